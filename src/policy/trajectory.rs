//! Trajectories from pictures: a planner's frozen tower as eyes, an imitation head that proposes, and where they were
//! trained a tree that improves on it and a selector that decides. The imitation head can be another one than the tree
//! learned beside: the tree sees the reference and nothing else of who made it.

use super::{
    Planner, Source,
    eyes::{eyes, tokens},
    planner::EMBEDDED_BRANCHES,
};
use crate::{
    error::{Failure, Result},
    trajectory::{
        Branches, Context, Decision, Ego, IlHead, Intention, Reference,
        geometry::check,
        plan::{alone, plan},
        reference::Proposals,
    },
    vlm::image::Rgb,
};
use scene::MetaAction;
use std::{collections::BTreeMap, path::Path};

/// Branches as they were named: their own, and those that another imitation head is taken from.
pub struct Named {
    /// What drives.
    pub branches: Branches,
    /// Whose imitation head proposes instead.
    pub il: Option<Branches>,
}

/// The model and the branches that are meant by `--model`, `--branches` and `--il`. A run folder of the branches' own
/// trainers is a model too: the one that they learned with.
///
/// # Errors
/// Those of [`Source::resolve`] and [`Branches::load`]; an imitation head without branches to put it in.
pub fn find(model: Option<&Path>, branches: Option<&Path>, il: Option<&Path>) -> Result<(Source, Option<Named>)> {
    let inside = model.map(Branches::inside).transpose()?.flatten();
    let source = match (&inside, Source::resolve(model)) {
        (Some(inside), Err(_)) => Source::resolve(Some(Path::new(&inside.about.eyes.name)))?,
        (_, resolved) => resolved?,
    };
    let branches = match (branches, inside) {
        (Some(path), _) => Some(Branches::load(path)?),
        (None, Some(inside)) => Some(inside),
        (None, None) if source == Source::Embedded && !embedded().is_empty() => {
            Some(Branches::from_files(&embedded())?)
        }
        (None, None) => None,
    };
    match (branches, il) {
        (Some(branches), il) => {
            let il = il.map(Branches::load).transpose()?;
            Ok((source, Some(Named { branches, il })))
        }
        (None, Some(il)) => Err(Failure::usage(format!(
            "--il {} takes the place of an imitation head, and there are no trajectory branches",
            il.display()
        ))
        .hint("give --branches DIR: a run folder of `reinsman pair`")),
        (None, None) => Ok((source, None)),
    }
}

/// Files of the branches inside the binary.
fn embedded() -> BTreeMap<&'static str, &'static [u8]> {
    EMBEDDED_BRANCHES.iter().copied().collect()
}

/// Plans trajectories.
pub struct TrajectoryPlanner<'a> {
    planner: &'a Planner,
    branches: Branches,
    il: Option<IlHead>,
    il_blind: bool,
    /// Predicted gain below which the imitation head's choice is driven; infinite keeps to it bit for bit.
    pub threshold: f64,
}

/// An imitation head that sees what it learned to see, which is not always what the tree sees.
struct Head<'a> {
    head: &'a IlHead,
    sees: &'a Context,
}

impl Reference for Head<'_> {
    fn propose(&self, _: &Context) -> Result<Vec<Proposals>> {
        self.head.propose(self.sees)
    }
}

impl<'a> TrajectoryPlanner<'a> {
    /// Puts branches behind the eyes of a planner.
    ///
    /// # Errors
    /// Exit 2 when branches or imitation head learned with other eyes.
    pub fn new(planner: &'a Planner, named: Named) -> Result<Self> {
        let Named { branches, il } = named;
        let eyes = eyes(planner)?;
        eyes.expect(&branches.about.eyes)?;
        if let Some(il) = &il {
            eyes.expect(&il.about.eyes).map_err(|failure| failure.context("--il"))?;
        }
        let il_blind = il.as_ref().map_or(branches.about.blind, |il| il.about.blind);
        let threshold = branches.about.threshold;
        Ok(TrajectoryPlanner { planner, branches, il: il.map(|il| il.il), il_blind, threshold })
    }

    /// The branches, whose imitation head may not be the one that proposes.
    pub fn branches(&self) -> &Branches {
        &self.branches
    }

    /// Plans for pictures of one size, each with the ego's state and, where it is known, what the planner wants to do.
    ///
    /// # Errors
    /// Pictures that cannot be seen together, other numbers of egos or actions than pictures, egos and trajectories that
    /// are not finite.
    pub fn plan(&self, pictures: &[&Rgb], egos: Vec<Ego>, actions: &[Option<MetaAction>]) -> Result<Vec<Decision>> {
        self.decide(&Context::new(&tokens(self.planner, pictures)?, egos)?, actions)
    }

    /// [`Self::plan`] of pictures that were seen already.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn decide(&self, context: &Context, actions: &[Option<MetaAction>]) -> Result<Vec<Decision>> {
        let shut = context.blind()?;
        let sees = |blind: bool| if blind { &shut } else { context };
        let head = Head { head: self.il.as_ref().unwrap_or(&self.branches.il), sees: sees(self.il_blind) };
        let context = sees(self.branches.about.blind);
        let Some(selector) = &self.branches.selector else {
            // A tree without a selector has leaves that nothing chooses among.
            let decisions = alone(context, &head)?;
            decisions.iter().try_for_each(|decision| check(decision.trajectory()))?;
            return Ok(decisions);
        };
        let leans: Vec<Option<Intention>> = actions.iter().map(|action| action.map(Intention::of)).collect();
        plan(context, &head, self.branches.tree.as_ref(), selector, &leans, self.threshold)
    }
}

/// Whether a model is the embedded planner and has no branches beside it, which is worth a hint.
pub fn missing(source: &Source) -> bool {
    *source == Source::Embedded && embedded().is_empty()
}
