//! What a trained trajectory tree could still make of a plan, for the term `tree`: how much better than the reference the
//! best leaf of a tree drives that leans to the plan,
//!
//! ```text
//! U(plan) = max(0, max over leaves R(leaf | lean of the plan) - R(reference)),   R: PDM score at the sample's moment
//! ```
//! The reference is the first choice of the branches' imitation head. The branches only look: they are in no optimizer, and
//! they see with the tower that they learned with, which must stay frozen.
//!
//! 1. A lean moves the probabilities of the root alone. Where a tree tries all six intentions there, as `pair` has it by
//!    default, every lean would give the same leaves: here it tries the [`TRIED`] likeliest.

use crate::{
    error::{Failure, Result},
    policy::{Planner, eyes::eyes},
    train::branches::{Frames, store::Store},
    trajectory::{
        Branches, IlHead, Intention, SubScores, Tree, TreePolicy, branches::About, intention::INTENTIONS, plan::alone,
    },
};
use data::Sample;
use scene::{MetaAction, Trajectory};
use std::path::Path;

/// Intentions that are tried at the root: with the default biases what the plan leans to, and keep.
pub const TRIED: usize = 2;

/// Trained branches that plans are tried on; none until they are loaded.
#[derive(Default)]
pub struct Utility {
    learned: Option<Learned>,
}

struct Learned {
    about: About,
    il: IlHead,
    tree: TreePolicy,
}

impl Utility {
    /// Reads the branches of a run of `pair`.
    ///
    /// # Errors
    /// Exit 3 for a folder without branches, exit 2 for branches without a tree and for a tree without leans.
    pub fn load(path: &Path) -> Result<Self> {
        let branches = Branches::load(path).map_err(|failure| failure.context("grpo.branches"))?;
        let tree = branches.tree.ok_or_else(|| {
            Failure::usage(format!("the trajectory branches of {} have no tree to try plans on", path.display()))
                .hint("train some with `reinsman pair` and pair.mode=parallel")
        })?;
        if tree.options().lean_bias == 0.0 {
            let message =
                format!("the tree of {} has lean_bias 0, so that all plans are worth the same", path.display());
            return Err(Failure::usage(message).hint("train one with pair.lean_bias above 0"));
        }
        Ok(Utility { learned: Some(Learned { about: branches.about, il: branches.il, tree: tree.narrowed(TRIED) }) })
    }

    /// Fails unless the branches see with the tower of `planner`, which nothing trains.
    ///
    /// # Errors
    /// Exit 2 for missing branches, for branches of other eyes and for a tower that is trained.
    pub fn fits(&self, planner: &Planner) -> Result<()> {
        let learned = self.learned()?;
        if planner.vlm.vars().keys().any(|name| name.contains("visual.")) {
            return Err(Failure::usage(
                "model.train changes the vision tower that the tree of grpo.branches sees with",
            )
            .hint("set model.train=lora with adapters on the language model only, or model.train=text"));
        }
        eyes(planner)?.expect(&learned.about.eyes).map_err(|failure| failure.context("grpo.branches"))
    }

    /// What leaning to each intention gains at the moment of a sample, in `[0, 1]`; 0 where no meta-action leans to it.
    ///
    /// # Errors
    /// A picture that cannot be read, a sample that is not of the simulator, branches that have diverged.
    pub fn of(&self, planner: &Planner, sample: &Sample) -> Result<[f64; INTENTIONS]> {
        let Learned { about, il, tree } = self.learned()?;
        let mut leans: Vec<Intention> = MetaAction::all().map(Intention::of).collect();
        leans.sort_by_key(|lean| lean.index());
        leans.dedup();
        let mut frames = Frames::load(std::slice::from_ref(sample), planner, &mut Store::none(), &mut |_| Ok(()))?;
        if about.blind {
            frames = frames.blind()?;
        }
        let first = alone(&frames.context(&[0])?, il)?;
        let references: Vec<Trajectory> =
            leans.iter().flat_map(|_| first.first()).map(|choice| choice.reference().clone()).collect();
        // The same frame once for every lean.
        let picks = vec![0; leans.len()];
        let told: Vec<Option<Intention>> = leans.iter().copied().map(Some).collect();
        let trees = tree.expand(&frames.context(&picks)?, &references, &told)?;
        let drives = |tree: &Tree| std::iter::once(tree.control()).chain(tree.trajectories()).collect();
        let drives: Vec<Vec<Trajectory>> = trees.iter().map(drives).collect();
        let mut gains = [0.0; INTENTIONS];
        for (lean, scores) in leans.iter().zip(frames.score(&picks, &drives)?) {
            let mut totals = scores.iter().map(SubScores::total);
            let control = totals.next().unwrap_or_default();
            gains[lean.index()] = totals.fold(control, f64::max) - control;
        }
        Ok(gains)
    }

    /// Why nothing can be told without branches.
    pub(super) fn missing() -> Failure {
        Failure::usage("the reward has the term tree, but grpo.branches is not set")
            .hint("name a run folder of `reinsman pair` with this model: --set grpo.branches=DIR")
    }

    fn learned(&self) -> Result<&Learned> {
        self.learned.as_ref().ok_or_else(Utility::missing)
    }
}
