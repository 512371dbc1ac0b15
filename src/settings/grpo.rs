//! Settings of group relative policy optimisation. Names and meanings follow TRL's `GRPOConfig` where it has one; what
//! is ours alone is said in the field's text.

mod rules;

use super::{
    ClassBalance,
    knob::{above, any, choice, count, number, or_none, section, seed, switch},
    sft::{Checkpointing, LrScheduler},
};
use std::path::PathBuf;

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
        /// As grpo, with a soft gate in the place of clipping (SAPO).
        Sapo = "sapo",
        /// As dapo, with a weight of whole answers that falls off on both sides (VESPO).
        Vespo = "vespo",
        /// Sum over the tokens of an answer, then mean over answers (LUSPO); needs importance_sampling_level=sequence.
        Luspo = "luspo",
    }
}

choice! {
    /// What the ratio between the policy of now and the one that sampled belongs to (names of TRL's
    /// `importance_sampling_level`).
    pub enum ImportanceSamplingLevel {
        /// Each token has its own.
        Token = "token",
        /// The geometric mean over the answer (GSPO).
        Sequence = "sequence",
    }
}

choice! {
    /// How the importance ratio between trainer and sampler is bounded (names of TRL's
    /// `vllm_importance_sampling_mode`).
    pub enum ImportanceSamplingMode {
        /// Each token has its own, moved to the bound.
        TokenTruncate = "token_truncate",
        /// Each token has its own; out of bounds it is 0.
        TokenMask = "token_mask",
        /// The product over the answer, moved to the bound.
        SequenceTruncate = "sequence_truncate",
        /// The product over the answer; out of bounds it is 0.
        SequenceMask = "sequence_mask",
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
        /// Reward recipe: meta-action, alphadrive, alphadrive-released, driving or tree (simulated frames), or a TOML file like those in rewards/recipes.
        reward: String = "meta-action".into(), any("a recipe name or a path");
        /// Run folder of `pair` with the same vision tower, for a reward with the term tree, and for no other.
        branches: Option<PathBuf> = None, or_none(any("a path"));
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
        /// Tokens before which no answer can end (Hugging Face's name); 0 is no limit.
        min_new_tokens: usize = 0, count(0, 65_536);
        /// Divides the logits, while sampling and in the update.
        temperature: f64 = 1.0, above(0.0, 100.0);
        /// Samples from the smallest set of tokens that holds this much probability.
        top_p: f64 = 1.0, above(0.0, 1.0);
        /// Samples from so many tokens; 0 is all.
        top_k: usize = 0, count(0, 10_000_000);
        /// Samples no token below this part of the largest probability; 0 is all.
        min_p: f64 = 0.0, number(0.0, 1.0);
        /// Makes tokens of the prompt and the answer so far less likely while sampling; 1 is off.
        repetition_penalty: f64 = 1.0, above(0.0, 100.0);
        /// Replace groups whose answers all have the same reward, which teach nothing, by groups of further prompts
        /// (DAPO's dynamic sampling; not in TRL, the names are those of ms-swift).
        dynamic_sample: bool = false, switch();
        /// Rounds of such further prompts in a step; what is missing then is filled with the groups left out.
        max_resample_times: usize = 3, count(1, 1000);
        /// Soft overlong punishment (DAPO; ms-swift's name): a reward "soft_overlong" that falls from 0 to -1 over the
        /// last so many tokens before max_completion_length; 0 turns it off.
        soft_cache_length: usize = 0, count(0, 65_536);
        /// Weight of the KL penalty towards the model training started from; 0 needs no reference.
        beta: f64 = 0.0, number(0.0, 100.0);
        /// Multiply the KL penalty by the probability ratio, so that its gradient is unbiased (DeepSeek-V3.2).
        use_bias_correction_kl: bool = true, switch();
        /// The probability ratio is clipped below 1 - epsilon.
        epsilon: f64 = 0.2, number(0.0, 1.0);
        /// The ratio is clipped above 1 + epsilon_high; "none" is epsilon, DAPO uses 0.28.
        epsilon_high: Option<f64> = None, or_none(number(0.0, 100.0));
        /// Upper bound of the ratio where the advantage is negative (INTELLECT-2), above 1 + epsilon; "none" is no bound.
        delta: Option<f64> = None, or_none(above(0.0, 1e6));
        /// How token losses are put together.
        loss_type: LossType = LossType::Dapo, LossType::rule();
        /// What the ratio belongs to: sequence with loss_type=grpo is GSPO.
        importance_sampling_level: ImportanceSamplingLevel = ImportanceSamplingLevel::Token,
            ImportanceSamplingLevel::rule();
        /// Temperature of the gate of sapo where the advantage is positive.
        sapo_temperature_pos: f64 = 1.0, above(0.0, 1000.0);
        /// The same elsewhere.
        sapo_temperature_neg: f64 = 1.05, above(0.0, 1000.0);
        /// Power of the ratio in the weight of vespo where the advantage is not negative.
        vespo_k_pos: f64 = 2.0, above(0.0, 1000.0);
        /// Decay of that weight.
        vespo_lambda_pos: f64 = 3.0, above(0.0, 1000.0);
        /// Power of the ratio in the weight of vespo where the advantage is negative.
        vespo_k_neg: f64 = 3.0, above(0.0, 1000.0);
        /// Decay of that weight.
        vespo_lambda_neg: f64 = 2.0, above(0.0, 1000.0);
        /// Weight of the mean entropy of the tokens as a bonus.
        entropy_coef: f64 = 0.0, number(0.0, 100.0);
        /// Only this part of the tokens, those with the highest entropy, moves the policy.
        top_entropy_quantile: f64 = 1.0, number(0.0, 1.0);
        /// Answers with a negative advantage are left out when their tokens have become less likely by more than this on
        /// average, in nats (DeepSeek-V3.2); "none" keeps all.
        off_policy_mask_threshold: Option<f64> = None, or_none(above(0.0, 1000.0));
        /// Weigh by the importance ratio between trainer and sampler, which differ by rounding, quantized or in bf16 by
        /// more (TRL's vllm_importance_sampling_correction; it and the next three are named without vllm_ here).
        importance_sampling_correction: bool = true, switch();
        /// How that ratio is bounded.
        importance_sampling_mode: ImportanceSamplingMode = ImportanceSamplingMode::SequenceMask,
            ImportanceSamplingMode::rule();
        /// Its largest value; "none" is no bound.
        importance_sampling_clip_max: Option<f64> = Some(3.0), or_none(number(0.0, 1e6));
        /// Its smallest value; "none" is no bound.
        importance_sampling_clip_min: Option<f64> = None, or_none(number(0.0, 1e6));
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
        /// Different plans that an answer must list, separated by semicolons (ours, for planning with alternatives): the
        /// format reward wants exactly that many, accuracy counts an answer when one of them is right. Other verbs go on
        /// asking for one.
        num_answers: usize = 1, count(1, 20);
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
