//! Settings of supervised fine-tuning. Names and meanings follow TRL's `SFTConfig` and Hugging Face's
//! `TrainingArguments` where they have one; what is ours alone is said in the field's text.

use super::knob::{Setting, above, any, below, choice, count, each, number, or_none, section, seed, switch};
use toml::Value;

choice! {
    /// How the learning rate moves over the run (names of Hugging Face's `SchedulerType`).
    pub enum LrScheduler {
        /// Down to zero in a line.
        Linear = "linear",
        /// Down to zero along half a cosine.
        Cosine = "cosine",
        /// Down to a tenth along half a cosine.
        CosineWithMinLr = "cosine_with_min_lr",
        /// Down to 1e-7 in a line (Hugging Face's polynomial of power 1).
        Polynomial = "polynomial",
        /// Always the peak, no warm-up.
        Constant = "constant",
        /// The peak after the warm-up.
        ConstantWithWarmup = "constant_with_warmup",
    }
}

choice! {
    /// How much more often rare plans are drawn.
    pub enum ClassBalance {
        /// As often as they occur.
        None = "none",
        /// By the square root of their rarity.
        Sqrt = "sqrt",
        /// Every plan equally often.
        Uniform = "uniform",
    }
}

/// Parameters above which "auto" switches gradient checkpointing on.
const LARGE: usize = 200_000_000;

/// Whether activations are computed again on the way back instead of being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpointing {
    /// For models over 200 million parameters.
    Auto,
    /// Always or never.
    Always(bool),
}

impl Checkpointing {
    /// Whether it is on for a model of so many parameters.
    pub fn on(self, parameters: usize) -> bool {
        match self {
            Checkpointing::Auto => parameters > LARGE,
            Checkpointing::Always(on) => on,
        }
    }
}

impl Setting for Checkpointing {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(on) => Some(Checkpointing::Always(*on)),
            Value::String(text) if text == "auto" => Some(Checkpointing::Auto),
            _ => None,
        }
    }
    fn write(&self) -> Option<Value> {
        Some(match self {
            Checkpointing::Auto => Value::String("auto".into()),
            Checkpointing::Always(on) => Value::Boolean(*on),
        })
    }
}

section! {
    /// Supervised fine-tuning. The loss falls on the assistant's tokens only.
    pub struct Sft = "sft" {
        /// Peak learning rate.
        learning_rate: f64 = 1e-4, above(0.0, 1.0);
        /// How the learning rate moves over the run.
        lr_scheduler_type: LrScheduler = LrScheduler::Cosine, LrScheduler::rule();
        /// Optimizer steps from zero to the peak; above 0 it replaces warmup_ratio.
        warmup_steps: usize = 0, count(0, 1_000_000_000);
        /// Part of all steps spent from zero to the peak.
        warmup_ratio: f64 = 0.03, number(0.0, 1.0);
        /// Passes over the data; ignored when max_steps is given.
        num_train_epochs: f64 = 3.0, above(0.0, 1e6);
        /// Optimizer steps; those of sft.auxiliary.vision_steps come before and are not counted.
        max_steps: Option<usize> = None, or_none(count(1, 1_000_000_000));
        /// Samples per forward pass.
        per_device_train_batch_size: usize = 4, count(1, 4096);
        /// Forward passes per optimizer step.
        gradient_accumulation_steps: usize = 1, count(1, 65_536);
        /// Compute the activations of a decoder layer again on the way back instead of keeping them: much less memory, a
        /// third more time; "auto" does so for models over 200 million parameters.
        gradient_checkpointing: Checkpointing = Checkpointing::Auto, any("true, false or \"auto\"");
        /// Gradients are scaled down to this norm; 0 turns clipping off.
        max_grad_norm: f64 = 1.0, number(0.0, 1e6);
        /// Decoupled weight decay of AdamW (not on norms and biases).
        weight_decay: f64 = 0.0, number(0.0, 1.0);
        /// Decay of AdamW's mean.
        adam_beta1: f64 = 0.9, below(0.0, 1.0);
        /// Decay of AdamW's square mean.
        adam_beta2: f64 = 0.999, below(0.0, 1.0);
        /// AdamW's guard against division by zero.
        adam_epsilon: f64 = 1e-8, above(0.0, 1.0);
        /// The one seed that every random stream comes from.
        seed: u64 = 42, seed();
        /// Longest sample in tokens, image tokens included; longer ones are dropped and counted, never cut.
        max_length: usize = 2048, count(16, 1_048_576);
        /// Largest image in pixels after resizing; "none" keeps the model's own limit.
        max_pixels: Option<u64> = None, or_none(count(784, 16_777_216));
        /// A checkpoint every so many steps.
        save_steps: usize = 100, count(1, 1_000_000_000);
        /// Checkpoints kept; the newest always is.
        save_total_limit: Option<usize> = Some(3), or_none(count(1, 1_000_000));
        /// A line of metrics every so many steps.
        logging_steps: usize = 1, count(1, 1_000_000_000);
        /// An evaluation on data.val every so many steps; "none" evaluates only at the end.
        eval_steps: Option<usize> = None, or_none(count(1, 1_000_000_000));
        /// A new order of the samples in every epoch.
        shuffle: bool = true, switch();
        /// How much more often rare plans are drawn.
        class_balance: ClassBalance = ClassBalance::None, ClassBalance::rule();
        /// Teach the reasoning where a sample has one; false teaches the answer alone.
        think: bool = true, switch();
    }
}

section! {
    /// Auxiliary class targets on the vision tower: a small model from scratch stays blind without them.
    pub struct Auxiliary = "sft.auxiliary" {
        /// Weight of the auxiliary loss beside the answer loss; 0 turns it off.
        weight: f64 = 0.0, number(0.0, 100.0);
        /// Steps of a first phase that trains the vision tower alone on the auxiliary targets.
        vision_steps: usize = 0, count(0, 1_000_000_000);
        /// Names of the samples' auxiliary targets, such as "bend_3s".
        targets: Vec<String> = Vec::new(), each("a list of names", |t: &String| !t.trim().is_empty());
    }
}

section! {
    /// Changes made to training images and labels together.
    pub struct Augment = "sft.augment" {
        /// Mirror half of the samples, with left and right exchanged in labels and text.
        flip: bool = false, switch();
        /// Largest random change of brightness and contrast, as a part of the full range; 0 turns it off.
        jitter: f64 = 0.0, below(0.0, 1.0);
        /// Largest random sideways shift, as a part of the width; 0 turns it off.
        shift: f64 = 0.0, below(0.0, 0.5);
        /// Largest curvature (1/m) by which the road is bent at random, labels and reasoning with it; 0 turns it off.
        /// Assumes a camera like that of the bundled drive.
        bend: f64 = 0.0, below(0.0, 0.05);
    }
}

section! {
    /// Low-rank adapters (names as in PEFT's LoraConfig); used when model.train is "lora".
    pub struct Lora = "lora" {
        /// Rank.
        r: usize = 16, count(1, 1024);
        /// The adapter is scaled by lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora.
        lora_alpha: f64 = 32.0, above(0.0, 1e6);
        /// Linears that get an adapter: "all-linear" for every one of the language model, or endings such as "q_proj".
        target_modules: Vec<String> = vec!["all-linear".into()],
            each("\"all-linear\" or a list of module name endings", |t: &String| !t.trim().is_empty());
        /// Scale by the square root of the rank.
        use_rslora: bool = false, switch();
        /// Part of the adapter's inputs that is dropped while training (by sft only).
        lora_dropout: f64 = 0.0, below(0.0, 1.0);
    }
}
