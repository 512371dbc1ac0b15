//! What a checkpoint of a training run holds, written and read back.
//!
//! ```text
//! adapter/  PEFT folder, when adapters are trained      model/  whole Hugging Face folder, otherwise
//! trainer/  optim.safetensors (moments and the auxiliary head)   state.json (step, metrics offset)
//! ```

use super::{
    adamw::AdamW,
    auxiliary::Head,
    checkpoint::{Checkpoint, Content, Published},
};
use crate::{
    error::{Failure, Result},
    files::RealFs,
    policy::Planner,
};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
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
}

const OPTIM: &str = "trainer/optim.safetensors";
const STATE: &str = "trainer/state.json";

/// Publishes a checkpoint.
///
/// # Errors
/// The disk.
pub fn publish(
    run_dir: &Path,
    planner: &Planner,
    optimizer: &AdamW,
    head: Option<&Head>,
    state: &State,
    config_digest: &str,
) -> Result<Published> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
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
    let contents: Vec<(&str, Content)> =
        files.iter().map(|(name, bytes)| (name.as_str(), Content::Bytes(bytes))).collect();
    Checkpoint::publish(&RealFs, run_dir, state.step, &contents, config_digest)
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
        let tensor = tensors.remove(name).ok_or_else(|| {
            Failure::data(format!("{} has no {name}", checkpoint.dir.display()))
                .hint("the run was started without auxiliary targets")
        })?;
        var.set(&tensor)?;
    }
    optimizer.import(&tensors)?;
    serde_json::from_slice(&checkpoint.read(STATE)?)
        .map_err(|e| Failure::data(format!("{}/{STATE}: {e}", checkpoint.dir.display())))
}
