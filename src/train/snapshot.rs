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
    checkpoint::{self, Checkpoint, Content, Published},
    pieces::{Numbers, Pieces},
    progress::Progress,
    run::Run,
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
    borrow::Cow,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
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
    /// Bytes of `completions.jsonl` that belong to these steps.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub completions_bytes: u64,
    /// Place in the order of the data of the next prompt, where steps take more or fewer of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cursor: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl State {
    /// The start of a run on these samples.
    pub fn new(samples: &[Sample]) -> Self {
        State {
            step: 0,
            metrics_bytes: 0,
            bad_in_a_row: 0,
            num_tokens: 0,
            data: fingerprint(samples),
            completions_bytes: 0,
            cursor: 0,
        }
    }

    /// Continues from a checkpoint: [`restore`], and a look whether the samples are still the same. Returns a warning
    /// when they are not and `anyway` allows it.
    ///
    /// # Errors
    /// A checkpoint of another run; exit 2 for changed samples.
    pub fn resume(
        &mut self,
        from: &Checkpoint,
        optimizer: &mut AdamW,
        head: Option<&Head>,
        anyway: bool,
    ) -> Result<Option<String>> {
        let mine = std::mem::take(&mut self.data);
        *self = restore(from, optimizer, head)?;
        let theirs = std::mem::replace(&mut self.data, mine);
        if theirs == self.data {
            return Ok(None);
        }
        let changed = format!("the training samples are not those that {} was trained on", from.dir.display());
        if anyway {
            return Ok(Some(changed));
        }
        Err(Failure::usage(changed).hint("bring the records back as they were, or add --resume-anyway"))
    }
}

const OPTIM: &str = "trainer/optim.safetensors";
const STATE: &str = "trainer/state.json";

/// A file of a checkpoint.
pub enum File<'a> {
    /// Bytes at hand.
    Bytes(Cow<'a, [u8]>),
    /// Tensors that are read where they lie while the file is written.
    Tensors(Pieces<'a>),
}

/// Files of a checkpoint by their path inside it.
pub type Files<'a> = Vec<(String, File<'a>)>;

/// The files of a checkpoint.
///
/// # Errors
/// Exit 4 naming a weight that is not finite.
pub fn files<'a>(planner: &'a Planner, optimizer: &'a AdamW, head: Option<&Head>, state: &State) -> Result<Files<'a>> {
    if let Some(name) = non_finite(planner, head, planner.vlm.adapter_spec().is_none())? {
        return Err(Failure::device(format!("{name} holds a NaN or an infinity, so the weights are not written"))
            .hint("look at the model that training started from; earlier checkpoints are good"));
    }
    let mut files: Files = Vec::new();
    if planner.vlm.adapter_spec().is_some() {
        for (name, bytes) in planner.vlm.adapter_files(&planner.source.base_name())? {
            files.push((format!("adapter/{name}"), File::Bytes(bytes.into())));
        }
    } else {
        let weights = planner.vlm.checkpoint(None)?.into_iter().map(|(name, t)| (name, Numbers::Tensor(t))).collect();
        files.push(("model/model.safetensors".into(), File::Tensors(Pieces::new(weights, &[("format", "pt")])?)));
        let companions = planner.companions().iter();
        files.extend(companions.map(|(name, bytes)| (format!("model/{name}"), File::Bytes(bytes.into()))));
    }
    let mut tensors = optimizer.export();
    if let Some(head) = head {
        tensors.extend(head.vars().iter().map(|(name, var)| (name.clone(), Numbers::Tensor(var.as_tensor().detach()))));
    }
    files.push((OPTIM.into(), File::Tensors(Pieces::new(tensors, &[])?)));
    let json = serde_json::to_vec_pretty(state).map_err(|e| Failure::data(e.to_string()))?;
    files.push((STATE.into(), File::Bytes(json.into())));
    Ok(files)
}

/// Publishes the files of [`files`] as the checkpoint of `step`.
///
/// # Errors
/// The disk.
pub fn publish(run_dir: &Path, step: u64, files: &Files, config_digest: &str) -> Result<Published> {
    type Writer<'a> = Box<dyn Fn(&mut dyn io::Write) -> io::Result<()> + 'a>;
    let writers: Vec<Writer> = files
        .iter()
        .map(|(_, file)| match file {
            File::Tensors(pieces) => Box::new(|out: &mut dyn io::Write| pieces.write(out)) as Writer,
            File::Bytes(bytes) => Box::new(|out: &mut dyn io::Write| out.write_all(bytes)),
        })
        .collect();
    let names = files.iter().map(|(name, _)| name.as_str());
    let contents: Vec<(&str, Content)> = names.zip(writers.iter().map(|writer| Content::Stream(writer))).collect();
    Checkpoint::publish(&RealFs, run_dir, step, &contents, config_digest)
}

/// What is on disk.
pub struct Saved {
    /// Steps of the newest checkpoint.
    pub step: u64,
    /// Its folder.
    pub dir: Option<PathBuf>,
    failed: u32,
}

/// Failed saves in a row after which training stops.
const MAX_FAILED_SAVES: u32 = 3;

impl Saved {
    /// What a run that starts or continues has.
    pub fn of(run: &Run, step: u64) -> Self {
        Saved { step, dir: run.from.as_ref().map(|c| c.dir.clone()), failed: 0 }
    }

    /// Publishes `files` as the checkpoint of `step`, unless it is saved already, and removes old ones. A failure ends
    /// training when it `must` succeed or keeps happening.
    ///
    /// # Errors
    /// That failure.
    pub fn save<'f>(
        &mut self,
        run: &Run,
        progress: &mut Progress,
        (step, keep, must): (u64, Option<usize>, bool),
        config_digest: &str,
        files: impl FnOnce() -> Result<Files<'f>>,
    ) -> Result<()> {
        if self.step == step {
            return Ok(());
        }
        let published = match files().and_then(|files| publish(&run.dir, step, &files, config_digest)) {
            Ok(published) => published,
            Err(failure) if must || self.failed + 1 >= MAX_FAILED_SAVES => return Err(failure),
            Err(failure) => {
                self.failed += 1;
                progress.note(&format!("{failure}; training goes on"));
                return Ok(());
            }
        };
        progress.saved(&published.checkpoint.dir);
        let pruned = checkpoint::prune(&RealFs, &run.dir, keep.unwrap_or(usize::MAX), &published.checkpoint)?;
        for warning in published.warnings.iter().chain(&pruned) {
            progress.note(warning);
        }
        *self = Saved { step, dir: Some(published.checkpoint.dir), failed: 0 };
        Ok(())
    }
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
        var.set(&tensor.to_device(var.device())?)?;
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
        if let Some(pair) = &sample.pair {
            hash.update(format!("{pair:?}\0"));
        }
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
