//! Settings of group relative policy optimisation. Names and meanings follow TRL's `GRPOConfig` where it has one; what
//! is ours alone is said in the field's text.

use super::{
    ClassBalance,
    knob::{above, any, choice, count, number, or_none, section, seed, switch},
    sft::{Checkpointing, LrScheduler},
};

choice! {
    /// How token losses are put together (names of TRL's `loss_type`).
    pub enum LossType {
        /// Mean over the tokens of a completion, then over completions (DeepSeekMath).
        Grpo = "grpo",
        /// Mean over all tokens of a pass.
        Bnpo = "bnpo",
        /// Sum over tokens by completions times max_completion_length (Dr. GRPO).
        DrGrpo = "dr_grpo",
        /// Mean over all tokens of the step (DAPO).
        Dapo = "dapo",
        /// As dapo, with the clipped ratio as a constant weight (MiniMax-M1).
        Cispo = "cispo",
    }
}

choice! {
    /// How several rewards become one advantage (names of TRL's `multi_objective_aggregation`).
    pub enum Aggregation {
        /// Weighted sum, then compared within the group.
        SumThenNormalize = "sum_then_normalize",
        /// Each reward compared within the group, then the weighted sum within the step (GDPO).
        NormalizeThenSum = "normalize_then_sum",
    }
}

choice! {
    /// What advantages are divided by.
    pub enum ScaleRewards {
        /// The standard deviation of the group.
        Group = "group",
        /// The standard deviation of all rewards of the step.
        Batch = "batch",
        /// Nothing (Dr. GRPO).
        None = "none",
    }
}

section! {
    /// Reinforcement learning on groups of sampled answers (GRPO). Every step draws prompts, samples answers to each,
    /// rewards them and takes num_iterations optimizer steps on them.
    pub struct Grpo = "grpo" {
        /// Reward recipe: meta-action, alphadrive, alphadrive-released, driving (simulated frames), or a TOML file like those in rewards/recipes.
        reward: String = "meta-action".into(), any("a recipe name or a path");
        /// Answers sampled per prompt.
        num_generations: usize = 8, count(2, 1024);
        /// Prompts per step.
        prompts_per_step: usize = 4, count(1, 4096);
        /// Answers per forward pass of the update, all of one prompt.
        per_device_train_batch_size: usize = 8, count(1, 4096);
        /// Steps; each is one batch of answers.
        max_steps: usize = 200, count(1, 1_000_000_000);
        /// Optimizer steps on each batch of answers; above 1 the ratio is clipped.
        num_iterations: usize = 1, count(1, 64);
        /// Longest answer in tokens.
        max_completion_length: usize = 256, count(1, 65_536);
        /// Divides the logits, while sampling and in the update.
        temperature: f64 = 1.0, above(0.0, 100.0);
        /// Samples from the smallest set of tokens that holds this much probability.
        top_p: f64 = 1.0, above(0.0, 1.0);
        /// Samples from so many tokens; 0 is all.
        top_k: usize = 0, count(0, 10_000_000);
        /// Weight of the KL penalty towards the model training started from; 0 needs no reference.
        beta: f64 = 0.0, number(0.0, 100.0);
        /// The probability ratio is clipped below 1 - epsilon.
        epsilon: f64 = 0.2, number(0.0, 1.0);
        /// The ratio is clipped above 1 + epsilon_high; "none" is epsilon, DAPO uses 0.28.
        epsilon_high: Option<f64> = None, or_none(number(0.0, 100.0));
        /// How token losses are put together.
        loss_type: LossType = LossType::Dapo, LossType::rule();
        /// What advantages are divided by.
        scale_rewards: ScaleRewards = ScaleRewards::Group, ScaleRewards::rule();
        /// How several rewards become one advantage.
        multi_objective_aggregation: Aggregation = Aggregation::SumThenNormalize, Aggregation::rule();
        /// Answers cut off at max_completion_length carry no loss.
        mask_truncated_completions: bool = false, switch();
        /// Learning rate. 1e-5 suits adapters, which want about ten times that of full training (TRL: 1e-6).
        learning_rate: f64 = 1e-5, above(0.0, 1.0);
        /// How the learning rate moves over the run.
        lr_scheduler_type: LrScheduler = LrScheduler::ConstantWithWarmup, LrScheduler::rule();
        /// Steps from zero to the peak.
        warmup_steps: usize = 0, count(0, 1_000_000_000);
        /// Gradients are scaled down to this norm; 0 turns clipping off.
        max_grad_norm: f64 = 1.0, number(0.0, 1e6);
        /// Decoupled weight decay of AdamW (not on norms and biases).
        weight_decay: f64 = 0.0, number(0.0, 1.0);
        /// Compute the activations of a decoder layer again on the way back, as in sft.
        gradient_checkpointing: Checkpointing = Checkpointing::Auto, any("true, false or \"auto\"");
        /// The one seed that every random stream comes from.
        seed: u64 = 42, seed();
        /// Longest sample in tokens, with its own answer; longer ones are dropped and counted.
        max_length: usize = 2048, count(16, 1_048_576);
        /// Largest image in pixels after resizing; "none" keeps the model's own limit.
        max_pixels: Option<u64> = None, or_none(count(784, 16_777_216));
        /// How much more often prompts with rare plans are drawn.
        class_balance: ClassBalance = ClassBalance::None, ClassBalance::rule();
        /// Ask for reasoning before the answer.
        think: bool = true, switch();
        /// A checkpoint every so many steps.
        save_steps: usize = 50, count(1, 1_000_000_000);
        /// Checkpoints kept; the newest always is.
        save_total_limit: Option<usize> = Some(3), or_none(count(1, 1_000_000));
        /// A line of metrics every so many steps.
        logging_steps: usize = 1, count(1, 1_000_000_000);
        /// Greedy answers to data.val every so many steps; "none" asks only at the end.
        eval_steps: Option<usize> = None, or_none(count(1, 1_000_000_000));
        /// Write the answers of a step with their rewards to completions.jsonl.
        log_completions: bool = true, switch();
        /// The same every so many steps (ours).
        log_completions_steps: usize = 10, count(1, 1_000_000_000);
    }
}
