//! What a checkpoint of a training run holds, written and read back.
//!
//! ```text
//! adapter/  PEFT folder, when adapters are trained      model/  whole Hugging Face folder, otherwise
//! trainer/  optim.safetensors (moments and the auxiliary head)   state.json (step, metrics offset)
//! ```
//! A weight that is not finite is never written.

use super::{
    adamw::AdamW,
    auxiliary::Head,
    checkpoint::{Checkpoint, Content, Published},
};
use crate::{
    error::{Failure, Result},
    files::RealFs,
    policy::Planner,
    vlm::Weight,
};
use candle_core::{DType, Device, Tensor};
use data::Sample;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

/// The trainer's own state beside weights and moments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Optimizer steps done.
    pub step: u64,
    /// Bytes of `metrics.jsonl` that belong to these steps.
    pub metrics_bytes: u64,
    /// Skipped steps in a row.
    pub bad_in_a_row: u32,
    /// Tokens trained on so far.
    pub num_tokens: u64,
    /// [`fingerprint`] of the training samples.
    #[serde(default)]
    pub data: String,
}

const OPTIM: &str = "trainer/optim.safetensors";
const STATE: &str = "trainer/state.json";

/// Files of a checkpoint by their path inside it.
pub type Files = Vec<(String, Vec<u8>)>;

/// The files of a checkpoint.
///
/// # Errors
/// Exit 4 naming a weight that is not finite.
pub fn files(planner: &Planner, optimizer: &AdamW, head: Option<&Head>, state: &State) -> Result<Files> {
    if let Some(name) = non_finite(planner, head, planner.vlm.adapter_spec().is_none())? {
        return Err(Failure::device(format!("{name} holds a NaN or an infinity, so the weights are not written"))
            .hint("look at the model that training started from; earlier checkpoints are good"));
    }
    let mut files: Files = Vec::new();
    if planner.vlm.adapter_spec().is_some() {
        for (name, bytes) in planner.vlm.adapter_files(&planner.source.base_name())? {
            files.push((format!("adapter/{name}"), bytes));
        }
    } else {
        files.push(("model/model.safetensors".into(), planner.vlm.to_bytes(DType::F32)?));
        files.extend(planner.companions().iter().map(|(name, bytes)| (format!("model/{name}"), bytes.clone())));
    }
    let mut tensors: HashMap<String, Tensor> = optimizer.export()?.into_iter().collect();
    if let Some(head) = head {
        tensors.extend(head.vars().iter().map(|(name, var)| (name.clone(), var.as_tensor().detach())));
    }
    let bytes = safetensors::serialize(&tensors, None)
        .map_err(|e| Failure::data(format!("optimizer state cannot be serialised: {e}")))?;
    files.push((OPTIM.into(), bytes));
    let json = serde_json::to_vec_pretty(state).map_err(|e| Failure::data(e.to_string()))?;
    files.push((STATE.into(), json));
    Ok(files)
}

/// Publishes the files of [`files`] as the checkpoint of `step`.
///
/// # Errors
/// The disk.
pub fn publish(run_dir: &Path, step: u64, files: &Files, config_digest: &str) -> Result<Published> {
    let contents: Vec<(&str, Content)> =
        files.iter().map(|(name, bytes)| (name.as_str(), Content::Bytes(bytes))).collect();
    Checkpoint::publish(&RealFs, run_dir, step, &contents, config_digest)
}

/// Restores optimizer and auxiliary head, and returns the state. The weights come with the planner, which the caller
/// loads from the checkpoint's `model/` or `adapter/` folder.
///
/// # Errors
/// A state that belongs to other tensors.
pub fn restore(checkpoint: &Checkpoint, optimizer: &mut AdamW, head: Option<&Head>) -> Result<State> {
    let mut tensors: BTreeMap<String, Tensor> =
        candle_core::safetensors::load_buffer(&checkpoint.read(OPTIM)?, &Device::Cpu)
            .map_err(|e| Failure::data(format!("{}/{OPTIM}: {e}", checkpoint.dir.display())))?
            .into_iter()
            .collect();
    for (name, var) in head.into_iter().flat_map(Head::vars) {
        let tensor = tensors.remove(name).filter(|tensor| tensor.dims() == var.dims()).ok_or_else(|| {
            Failure::data(format!("{}: no {name} of the shape {:?}", checkpoint.dir.display(), var.dims()))
                .hint("the run was started with other auxiliary targets, or its data has changed")
        })?;
        var.set(&tensor)?;
    }
    optimizer.import(&tensors)?;
    serde_json::from_slice(&checkpoint.read(STATE)?)
        .map_err(|e| Failure::data(format!("{}/{STATE}: {e}", checkpoint.dir.display())))
}

/// Digest of what samples teach. Their order in an epoch depends on it, so a resumed run needs the same.
pub fn fingerprint(samples: &[Sample]) -> String {
    let mut hash = Sha256::new();
    for sample in samples {
        hash.update(format!("{:?}{:?}{:?}{:?}\0", sample.id, sample.labels, sample.content, sample.aux));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The first trained tensor, with `base` also frozen one, that holds a NaN or an infinity.
///
/// # Errors
/// Device trouble.
pub fn non_finite(planner: &Planner, head: Option<&Head>, base: bool) -> Result<Option<String>> {
    // Packed weights are frozen and were looked at when they were quantized.
    let dense = |(name, weight): (_, &'_ Weight)| match weight {
        Weight::Dense(tensor) => Some((name, tensor.clone())),
        _ => None,
    };
    let base = planner.vlm.tensors.iter().filter(|_| base).filter_map(dense);
    let vars = planner.vlm.vars().iter().chain(head.into_iter().flat_map(Head::vars));
    for (name, tensor) in base.chain(vars.map(|(name, var)| (name, var.as_tensor().clone()))) {
        // Zero times a finite number is zero, times anything else NaN.
        let zero = (tensor.detach() * 0.0)?.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?;
        if zero != 0.0 {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}
