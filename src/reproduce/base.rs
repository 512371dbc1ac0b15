//! What every arm starts from where nothing can be downloaded: the embedded planner's vision tower, frozen, under a new
//! text decoder that learned words and the form of answers from answers dealt to the wrong frames. It stands in for an
//! instruction-tuned model: it can say anything and knows nothing about driving.

use crate::{
    error::{Result, io_at},
    files::{RealFs, write_atomic},
    policy::{
        Planner, Source,
        planner::{Options, embedded_weights},
    },
    vlm::{LoadOptions, Vlm, init, model::layout},
};
use candle_core::{DType, Device};
use std::path::Path;

/// Writes the model folder of the embedded planner with a new decoder; nothing if it is there.
///
/// # Errors
/// A binary without an embedded planner, a folder that cannot be written.
pub fn write(dir: &Path, seed: u64) -> Result<()> {
    let last = dir.join("config.json"); // a folder with one is complete
    if last.exists() {
        return Ok(());
    }
    let planner = Planner::load(&Source::Embedded, &Options::default())?;
    let config = planner.vlm.config().clone();
    let mut tensors = init::random_tensors(&config, &layout(&config)?, seed)?;
    let seeing = candle_core::safetensors::load_buffer(embedded_weights(), &Device::Cpu)?;
    for (name, tensor) in seeing.into_iter().filter(|(name, _)| name.contains("visual.")) {
        tensors.insert(crate::vlm::build::canonical(&name), tensor.to_dtype(DType::F32)?);
    }
    let vlm = Vlm::from_tensors(config, tensors, &LoadOptions::default())?;
    std::fs::create_dir_all(dir).map_err(io_at(dir))?;
    write_atomic(&RealFs, &dir.join("model.safetensors"), &vlm.to_bytes(DType::F32)?)?;
    for (name, bytes) in planner.companions().iter().filter(|(name, _)| *name != "config.json") {
        write_atomic(&RealFs, &dir.join(name), bytes)?;
    }
    match planner.companions().get("config.json") {
        Some(bytes) => write_atomic(&RealFs, &last, bytes),
        None => Ok(()),
    }
}
