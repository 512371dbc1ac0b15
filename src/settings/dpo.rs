//! Settings of direct preference optimisation. Names and meanings follow TRL's `DPOConfig` where it has one (`rpo_alpha`
//! is from its versions before 1.0); what is ours alone is said in the field's text.

use super::{
    knob::{above, any, below, choice, count, each, number, or_none, section, seed, switch},
    sft::{Checkpointing, LrScheduler},
};

choice! {
    /// How a pair becomes a loss (names of TRL's `loss_type`); formulas in `src/train/rl/dpo.rs`.
    pub enum PairLoss {
        /// Minus the log-sigmoid of the margin (DPO).
        Sigmoid = "sigmoid",
        /// Hinge on the margin (SLiC).
        Hinge = "hinge",
        /// Squared distance of the margin per token from a target (IPO).
        Ipo = "ipo",
        /// Reverse KL (EXO); needs label_smoothing.
        ExoPair = "exo_pair",
        /// Noise contrast on each answer alone (NCA).
        NcaPair = "nca_pair",
        /// As sigmoid, unbiased where label_smoothing of the pairs are the wrong way round.
        Robust = "robust",
        /// Up with the chosen, down with the rejected answer (APO-zero).
        ApoZero = "apo_zero",
        /// Down with both, more with the rejected one (APO-down).
        ApoDown = "apo_down",
        /// As sigmoid, with means over tokens instead of sums.
        SigmoidNorm = "sigmoid_norm",
        /// Mean negative log-probability of the chosen answers' tokens.
        Sft = "sft",
    }
}

section! {
    /// Preference training on pairs of a chosen and a rejected answer (DPO). A reference, the model training starts from,
    /// is held on to.
    pub struct Dpo = "dpo" {
        /// Losses, added up.
        loss_type: Vec<PairLoss> = vec![PairLoss::Sigmoid],
            each(&format!("{}, or a list of them", PairLoss::rule().allowed), |_| true);
        /// One weight per loss; "none" is 1 for all.
        loss_weights: Option<Vec<f64>> = None, or_none(any("a list of numbers, one per loss"));
        /// How near to the reference the policy stays: higher is nearer.
        beta: f64 = 0.1, above(0.0, 100.0);
        /// Part of the pairs that is taken to be the wrong way round; only robust and exo_pair know it.
        label_smoothing: f64 = 0.0, below(0.0, 0.5);
        /// Weight of the sft loss on chosen answers beside the others (RPO): short for adding sft to loss_type.
        rpo_alpha: Option<f64> = None, or_none(above(0.0, 1e6));
        /// Score all pairs under the reference first, and let go of a copied reference before training: less memory. The
        /// result is the same.
        precompute_ref_log_probs: bool = false, switch();
        /// Peak learning rate. 1e-5 suits adapters, which want about ten times that of full training (TRL: 1e-6).
        learning_rate: f64 = 1e-5, above(0.0, 1.0);
        /// How the learning rate moves over the run.
        lr_scheduler_type: LrScheduler = LrScheduler::Linear, LrScheduler::rule();
        /// Optimizer steps from zero to the peak.
        warmup_steps: usize = 0, count(0, 1_000_000_000);
        /// Passes over the pairs; ignored when max_steps is given (TRL: 3).
        num_train_epochs: f64 = 1.0, above(0.0, 1e6);
        /// Optimizer steps.
        max_steps: Option<usize> = None, or_none(count(1, 1_000_000_000));
        /// Pairs per forward pass, each of two rows.
        per_device_train_batch_size: usize = 4, count(1, 4096);
        /// Forward passes per optimizer step.
        gradient_accumulation_steps: usize = 1, count(1, 65_536);
        /// Compute the activations of a decoder layer again on the way back, as in sft.
        gradient_checkpointing: Checkpointing = Checkpointing::Auto, any("true, false or \"auto\"");
        /// Gradients are scaled down to this norm; 0 turns clipping off.
        max_grad_norm: f64 = 1.0, number(0.0, 1e6);
        /// Decoupled weight decay of AdamW (not on norms and biases).
        weight_decay: f64 = 0.0, number(0.0, 1.0);
        /// The one seed that every random stream comes from.
        seed: u64 = 42, seed();
        /// Longest prompt with an answer in tokens; pairs with a longer one are dropped and counted, never cut.
        max_length: usize = 2048, count(16, 1_048_576);
        /// Largest image in pixels after resizing; "none" keeps the model's own limit.
        max_pixels: Option<u64> = None, or_none(count(784, 16_777_216));
        /// A checkpoint every so many steps.
        save_steps: usize = 100, count(1, 1_000_000_000);
        /// Checkpoints kept; the newest always is.
        save_total_limit: Option<usize> = Some(3), or_none(count(1, 1_000_000));
        /// A line of metrics every so many steps.
        logging_steps: usize = 1, count(1, 1_000_000_000);
        /// The loss on data.val every so many steps; "none" measures it only at the end.
        eval_steps: Option<usize> = None, or_none(count(1, 1_000_000_000));
    }
}
