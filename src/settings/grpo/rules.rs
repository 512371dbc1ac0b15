//! Rules across the settings of `[grpo]`: what cannot work is refused, what TRL 1.16 warns about is warned about.

use super::{Grpo, ImportanceSamplingLevel as Level, ImportanceSamplingMode as Mode, LossType};
use crate::error::{Failure, Result};

impl Grpo {
    /// Fails on settings that do not fit together.
    ///
    /// # Errors
    /// Exit 2 with both names.
    pub(in crate::settings) fn check(&self) -> Result<()> {
        let refuse = |message: String, hint: &str| Err(Failure::usage(message).hint(hint));
        if self.warmup_steps > self.max_steps {
            let message =
                format!("grpo.warmup_steps is {} but grpo.max_steps is only {}", self.warmup_steps, self.max_steps);
            return refuse(message, "the learning rate would never reach its peak: lower warmup_steps");
        }
        let longest = self.max_completion_length;
        for (name, value) in [("min_new_tokens", self.min_new_tokens), ("soft_cache_length", self.soft_cache_length)] {
            if value > longest {
                let message = format!("grpo.{name} is {value} but grpo.max_completion_length is only {longest}");
                return refuse(message, "lower the one or raise the other");
            }
        }
        if self.loss_type == LossType::Luspo && self.importance_sampling_level == Level::Token {
            let message = "grpo.loss_type is \"luspo\" but grpo.importance_sampling_level is \"token\"";
            return refuse(message.into(), "luspo weighs whole answers: set grpo.importance_sampling_level=sequence");
        }
        let mode = self.importance_sampling_mode;
        if self.loss_type == LossType::Vespo
            && self.importance_sampling_correction
            && matches!(mode, Mode::SequenceTruncate | Mode::SequenceMask)
        {
            let message =
                format!("grpo.loss_type is \"vespo\" but grpo.importance_sampling_mode is \"{}\"", mode.name());
            let hint = "vespo takes ratios of tokens: set grpo.importance_sampling_mode=token_truncate or token_mask, or \
                        grpo.importance_sampling_correction=false";
            return refuse(message, hint);
        }
        if let (Some(low), Some(high)) = (self.importance_sampling_clip_min, self.importance_sampling_clip_max)
            && low > high
        {
            let message = format!(
                "grpo.importance_sampling_clip_min is {low} but grpo.importance_sampling_clip_max is only {high}"
            );
            return refuse(message, "an importance ratio of 1, which is none, should lie between them");
        }
        Ok(())
    }

    /// What is allowed but seldom meant, in sentences; `lora_dropout` is that of the adapter.
    pub fn warnings(&self, lora_dropout: f64) -> Vec<String> {
        let mut out = Vec::new();
        if self.importance_sampling_level == Level::Sequence {
            let name = self.loss_type.name();
            match self.loss_type {
                LossType::Vespo => out.push(
                    "vespo has a weight of whole answers of its own: grpo.importance_sampling_level should be token".into(),
                ),
                LossType::Bnpo | LossType::DrGrpo | LossType::Dapo | LossType::Cispo => out.push(format!(
                    "grpo.importance_sampling_level=sequence with grpo.loss_type={name} weighs answers by their length; \
                     GSPO is grpo.loss_type=grpo"
                )),
                LossType::Grpo | LossType::Sapo | LossType::Luspo => {}
            }
        }
        if self.num_answers > 1 && self.reward == "meta-action" {
            out.push(
                "grpo.reward=meta-action counts answers with exactly one label of an axis, grpo.num_answers asks for \
                 more: use alphadrive, or a recipe with plan_set_f1"
                    .into(),
            );
        }
        if lora_dropout > 0.0 {
            out.push(format!(
                "lora.lora_dropout is {lora_dropout}, but grpo trains without dropout: a ratio between two random \
                 networks says nothing about the policy"
            ));
        }
        out
    }
}
