//! The list of work items of `bench model` and how each is run on a shape.

use super::{Measured, Unit, best_lap, clock::Lap, decode, grpo, pictures, train};
use crate::{
    device::{self, Choice},
    error::{Failure, Result},
    vlm::{
        LoadOptions, LoraSpec, Trainable, Vlm, VlmConfig,
        model::layout,
        quant::{Kind, store},
        weights::Weights,
    },
};

/// A work item; some report several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// Pictures to patches, and JPEG decoding.
    Preprocess,
    /// 1024 patches through the vision tower.
    VisionTower,
    /// 384 tokens, the tower included.
    Prefill,
    /// Steps of one row.
    DecodeB1,
    /// Steps of eight rows.
    DecodeB8,
    /// Prefill and 64 tokens.
    Generate,
    /// An adapter's step.
    LoraStep,
    /// A step of all parameters.
    FullStep,
    /// Eight continuations of one prompt.
    Rollouts,
    /// Those, and the update from them.
    GrpoStep,
    /// A fresh process until the first prompt is encoded.
    Startup,
    /// Text alone, as llama.cpp measures.
    Text,
}

/// Name, item, and whether it runs unless asked for on a small and on a large model.
const ITEMS: &[(&str, Item, bool, bool)] = &[
    ("startup", Item::Startup, true, false),
    ("preprocess", Item::Preprocess, true, false),
    ("vision_tower_1024_patches", Item::VisionTower, true, true),
    ("prefill_256img_128text", Item::Prefill, true, true),
    ("decode_b1", Item::DecodeB1, true, true),
    ("decode_b8", Item::DecodeB8, true, true),
    ("generate_api_64_tokens_b1", Item::Generate, true, false),
    ("rollouts_8x64", Item::Rollouts, true, true),
    ("sft_lora_step_2x384", Item::LoraStep, true, true),
    ("sft_full_step_2x384", Item::FullStep, true, false),
    ("grpo_step_8x64", Item::GrpoStep, true, false),
    ("text_256_24", Item::Text, false, false),
];

/// Parameters from which a model counts as large: fewer steps and no warm-up of training.
const LARGE: usize = 200_000_000;

/// What to measure on.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The model's shape.
    pub config: VlmConfig,
    /// Parameters of that shape.
    pub parameters: usize,
    /// Format of the frozen matrices; `None` is that of the arithmetic.
    pub quant: Option<Kind>,
    /// Where to measure.
    pub device: Choice,
    /// Measured runs of an item.
    pub repeats: usize,
}

impl Setup {
    /// Counts the parameters of a shape.
    ///
    /// # Errors
    /// A shape that is too large for any machine.
    pub fn new(config: VlmConfig, quant: Option<Kind>, device: Choice, repeats: usize) -> Result<Self> {
        let tensors = layout(&config)?.tensors;
        let parameters = tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        Ok(Setup { config, parameters, quant, device, repeats })
    }

    /// Whether the model counts as large.
    pub fn large(&self) -> bool {
        self.parameters > LARGE
    }

    fn model(&self, trainable: Trainable) -> Result<Vlm> {
        let weights = Weights::tiled(&self.config, &layout(&self.config)?, 0)?;
        let quant = self.quant.map(store::Options::new);
        let device = self.device.open()?;
        let dtype = device::arithmetic(&device);
        let options = LoadOptions { trainable, quant, device, dtype, ..LoadOptions::default() };
        Vlm::from_weights(self.config.clone(), &weights, &options)
    }

    /// Runs an item in this process. Not for [`Item::Startup`], which needs a fresh one.
    ///
    /// # Errors
    /// Device trouble.
    pub fn run(&self, item: Item) -> Result<Vec<Measured>> {
        if item == Item::FullStep && self.quant.is_some() {
            return Err(Failure::usage("quantized weights are frozen, so there is no full step")
                .hint("leave sft_full_step_2x384 out of --items, or --quant out"));
        }
        let repeats = self.repeats;
        let frozen = || self.model(Trainable::None);
        let one = |line: Result<Measured>| line.map(|line| vec![line]);
        match item {
            Item::Preprocess => pictures::preprocess(repeats),
            Item::VisionTower => one(decode::vision_tower(&frozen()?, repeats)),
            Item::Prefill => one(decode::prefill(&frozen()?, repeats)),
            Item::DecodeB1 => one(decode::decode(&frozen()?, 1, if self.large() { 16 } else { 64 }, repeats)),
            Item::DecodeB8 => one(decode::decode(&frozen()?, 8, if self.large() { 8 } else { 64 }, repeats)),
            Item::Generate => one(decode::generate(&frozen()?, repeats)),
            Item::Rollouts => one(decode::rollouts(&frozen()?, repeats)),
            Item::LoraStep => {
                let vlm = self.model(Trainable::Lora(LoraSpec::default()))?;
                one(train::step(&vlm, "sft_lora_step_2x384", usize::from(!self.large()), repeats))
            }
            Item::FullStep => one(train::step(&self.model(Trainable::All)?, "sft_full_step_2x384", 1, repeats)),
            Item::GrpoStep => grpo::step(&self.model(Trainable::Lora(LoraSpec::default()))?, repeats),
            Item::Text => decode::text(&frozen()?, repeats),
            Item::Startup => Err(Failure::usage("startup is measured from outside")),
        }
    }
}

/// The items of some names, or those that belong to a shape; every item once, in the order of the list.
///
/// # Errors
/// Exit 2 with the known names.
pub fn select(names: &[String], setup: &Setup) -> Result<Vec<(&'static str, Item)>> {
    if let Some(odd) = names.iter().find(|name| ITEMS.iter().all(|(known, ..)| known != name)) {
        let known: Vec<&str> = ITEMS.iter().map(|(name, ..)| *name).collect();
        return Err(Failure::usage(format!("no work item is called {odd:?}; known are {}", known.join(", ")))
            .hint("give names separated by commas, or leave --items out"));
    }
    let wanted = |(name, item, small_default, large_default): &&(&str, Item, bool, bool)| match names {
        [] if setup.quant.is_some() && *item == Item::FullStep => false,
        [] => *if setup.large() { large_default } else { small_default },
        names => names.iter().any(|n| n == name),
    };
    Ok(ITEMS.iter().filter(wanted).map(|(name, item, ..)| (*name, *item)).collect())
}

/// The line of [`Item::Startup`] from the runs of a fresh process.
///
/// # Errors
/// Those of a run.
pub fn startup(repeats: usize, fresh: impl FnMut() -> Result<(Lap, Option<u64>)>) -> Result<Measured> {
    let mut peak = None;
    let mut fresh = fresh;
    let took = best_lap(1, repeats, || {
        let (lap, bytes) = fresh()?;
        peak = bytes.max(peak);
        Ok(lap)
    })?;
    Ok(Measured { peak_rss_bytes: peak, ..Measured::new("startup", took, Unit::Seconds) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_select_in_the_order_of_the_list() {
        let names = |list: &[&str], large, quant| {
            let list: Vec<String> = list.iter().map(|n| (*n).to_owned()).collect();
            let config = crate::vlm::shapes::config("small").unwrap();
            let parameters = if large { LARGE + 1 } else { LARGE };
            let setup = Setup { config, parameters, quant, device: Choice::Cpu, repeats: 1 };
            select(&list, &setup).map(|items| items.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["decode_b8", "decode_b1"], false, None).unwrap(), ["decode_b1", "decode_b8"]);
        assert!(names(&[], false, None).unwrap().contains(&"sft_full_step_2x384"));
        assert!(!names(&[], false, Some(Kind::Q4K)).unwrap().contains(&"sft_full_step_2x384"));
        assert!(!names(&[], true, None).unwrap().contains(&"sft_full_step_2x384"));
        assert!(names(&["decode"], false, None).unwrap_err().message.contains("decode_b1"));
    }
}
