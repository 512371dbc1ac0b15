//! Records as the branches learn from them: picture features, the ego's state, and the moment that drives are scored at.

use super::Store;
use crate::{
    error::{Failure, Result},
    policy::Planner,
    streams::Stream,
    train::features::Features,
    trajectory::{Context, Ego, Intention, Route, SubScores},
};
use candle_core::{DType, Device, Tensor};
use data::{Content, Sample};
use eval::outcome::Moment;
use rayon::prelude::*;
use rewards::pdm::Workspace;
use scene::{MetaAction, Trajectory};
use sha2::{Digest, Sha256};
use std::cell::RefCell;

/// Records whose features are made between two lines of progress.
const CHUNK: usize = 64;

/// Where frames come from.
const ORIGIN: &str = "trajectory branches learn from frames that this version of `reinsman data generate` made";

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::new(Workspace::default());
}

/// One record.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Name of the record.
    pub id: String,
    /// Picture tokens `(N, F)`, f32 on the host.
    pub features: Tensor,
    /// The ego's state.
    pub ego: Ego,
    /// What was driven, in words.
    pub action: Option<MetaAction>,
    /// Where drives are scored.
    pub moment: Moment,
}

/// Frames of one set, all with features of one shape.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    all: Vec<Frame>,
}

impl Frames {
    /// Takes frames whose features all have one shape.
    ///
    /// # Errors
    /// None at all; features of another shape than the first's.
    pub fn new(all: Vec<Frame>) -> Result<Frames> {
        let Some(first) = all.first() else {
            return Err(
                Failure::data("no frames to learn from").hint("name records of `reinsman data generate` with --data")
            );
        };
        let dims = first.features.dims();
        match all.iter().find(|frame| frame.features.dims() != dims) {
            None => Ok(Frames { all }),
            Some(other) => Err(Failure::data(format!(
                "sample {} has picture features of {:?}, sample {} of {dims:?}",
                other.id,
                other.features.dims(),
                first.id,
            ))
            .hint("trajectory branches learn from frames of one size")),
        }
    }

    /// Restores the moments of records and encodes their frames with the frozen tower of `planner`, or takes their features
    /// from `store`. `told` hears how many are done and may ask to end.
    ///
    /// # Errors
    /// A record that is not of the simulator; a picture that cannot be read or is of another size than the first; what
    /// `told` says.
    pub fn load(
        samples: &[Sample],
        planner: &Planner,
        store: &mut Store,
        told: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Frames> {
        // Each picture is used once, so nothing is kept here.
        let mut features = Features::new(0);
        let mut all: Vec<Frame> = Vec::with_capacity(samples.len());
        for part in samples.chunks(CHUNK) {
            let moments = part.par_iter().map(|sample| Moment::of(sample).map_err(unknown)).collect::<Vec<_>>();
            for (sample, moment) in part.iter().zip(moments) {
                let moment = moment?;
                let tokens = tokens(sample, planner, store, &mut features)?;
                let ego = ego(sample, &moment);
                all.push(Frame { id: sample.id.clone(), features: tokens, ego, action: sample.action(), moment });
            }
            told(all.len())?;
        }
        Frames::new(all)
    }

    /// The same frames with nothing to see: what the ego's state alone tells.
    pub fn blind(&self) -> Result<Frames> {
        let mut all = self.all.clone();
        for frame in &mut all {
            frame.features = frame.features.zeros_like()?;
        }
        Ok(Frames { all })
    }

    /// Digest of what frames teach: another set gives other anchors and another order.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for frame in &self.all {
            hash.update(format!("{:?}{:?}{:?}{:?}\0", frame.id, frame.ego, frame.action, frame.moment.demonstrated));
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Some frames alone.
    pub fn part(&self, picks: &[usize]) -> Frames {
        Frames { all: picks.iter().map(|at| self.all[*at].clone()).collect() }
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The frames.
    pub fn all(&self) -> &[Frame] {
        &self.all
    }

    /// Width of the features, F.
    pub fn feature_width(&self) -> usize {
        self.all.first().and_then(|frame| frame.features.dims().last().copied()).unwrap_or(0)
    }

    /// Some frames as the branches see them.
    ///
    /// # Errors
    /// Device trouble.
    pub fn context(&self, picks: &[usize]) -> Result<Context> {
        let features: Vec<&Tensor> = picks.iter().map(|at| &self.all[*at].features).collect();
        Context::new(&Tensor::stack(&features, 0)?, picks.iter().map(|at| self.all[*at].ego).collect())
    }

    /// What the drivers of some frames drove.
    pub fn demonstrated(&self, picks: &[usize]) -> Vec<Trajectory> {
        picks.iter().map(|at| self.all[*at].moment.demonstrated.clone()).collect()
    }

    /// What the meta-actions of some frames lean to, for a `share` of them; the others lean nowhere.
    pub fn leans(&self, picks: &[usize], share: f64, stream: &mut Stream) -> Vec<Option<Intention>> {
        let one = |at: &usize| {
            let told = stream.uniform() < share;
            self.all[*at].action.filter(|_| told).map(Intention::of)
        };
        picks.iter().map(one).collect()
    }

    /// Scores drives of some frames, a set a frame, in parallel.
    ///
    /// # Errors
    /// A drive that is not 8 finite poses.
    pub fn score(&self, picks: &[usize], drives: &[Vec<Trajectory>]) -> Result<Vec<Vec<SubScores>>> {
        let one = |(at, drives): (&usize, &Vec<Trajectory>)| -> Result<Vec<SubScores>> {
            let frame = &self.all[*at];
            let scores = WORKSPACE.with(|workspace| frame.moment.score(drives, &mut workspace.borrow_mut()));
            let scores = scores.map_err(|e| Failure::data(format!("sample {}: {e}", frame.id)))?;
            Ok(scores.iter().map(SubScores::from).collect())
        };
        picks.par_iter().zip(drives).map(one).collect()
    }
}

/// Picture tokens of a record, f32 on the host.
fn tokens(sample: &Sample, planner: &Planner, store: &mut Store, features: &mut Features) -> Result<Tensor> {
    let place = sample.images.last().and_then(|image| store.place(image));
    if let Some(kept) = place.as_ref().and_then(|place| store.get(place.as_path())) {
        return Ok(kept);
    }
    let Some(seen) = features.of(planner, &[sample])?.pop().and_then(|mut seen| seen.pop()) else {
        return Err(Failure::data(format!("sample {} has no picture", sample.id)).hint(ORIGIN));
    };
    let embeds = seen.features.embeds.detach().to_device(&Device::Cpu)?;
    let tokens = embeds.to_dtype(DType::F32)?.contiguous()?;
    if let Some(place) = place {
        store.put(&place, &tokens);
    }
    Ok(tokens)
}

/// The ego of a record at its moment.
fn ego(sample: &Sample, moment: &Moment) -> Ego {
    let route = match &sample.content {
        Content::Planning { ego, .. } => Route::of(&ego.command),
        Content::Conversation { .. } => Route::Unknown,
    };
    Ego { route, velocity: [moment.speed, 0.0], acceleration: [moment.acceleration, 0.0] }
}

fn unknown(error: eval::outcome::MomentError) -> Failure {
    Failure::data(error.to_string()).hint(ORIGIN)
}
