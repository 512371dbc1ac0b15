//! Who rewards answers: a recipe of the `rewards` crate, or any function of a sample and the answers to it.

use super::{driven::Drives, rollout::Group, utility::Utility};
use crate::{
    error::{Failure, Result, io_at},
    policy::Planner,
};
use data::Sample;
use eval::outcome;
use rayon::prelude::*;
use rewards::{Driven, Recipe, Reference, Score};
use std::{path::Path, sync::Arc};

/// Terms that need the plans driven out.
const DRIVEN: [&str; 3] = ["driving", "pdms", TREE];
/// The term that needs a trajectory tree.
const TREE: &str = "tree";
/// Samples whose moments are restored before training.
const LOOKED_AT: usize = 32;

/// Scores the answers to one sample, given their texts and token counts: for each answer one score per reward, `None`
/// where a reward does not apply.
pub type Scoring = Box<dyn Fn(&Sample, &[&str], &[usize]) -> Vec<Vec<Option<Score>>>>;

/// Names, weights and the function.
pub struct Judge {
    /// Name of each reward.
    pub names: Vec<String>,
    /// Weight of each.
    pub weights: Vec<f64>,
    /// The function.
    pub scoring: Scoring,
    /// Plans driven out, where a reward asks what comes of them.
    pub drives: Option<Arc<Drives>>,
    /// The tree that plans are tried on, where a reward asks what it gains.
    pub utility: Option<Utility>,
}

impl Judge {
    /// The recipe of a name or TOML file, with its text ([`text`]), for answers that are asked for so many plans.
    ///
    /// # Errors
    /// Exit 2 for a recipe that is not valid.
    pub fn named(recipe: &str, text: &str, plans: usize) -> Result<Self> {
        let parsed = Recipe::parse(recipe, text).map(|recipe| recipe.asking(plans));
        parsed.map(Self::of).map_err(|e| Failure::usage(e.to_string()).hint("rewards/recipes holds recipes that work"))
    }

    /// A judge that follows a recipe.
    pub fn of(recipe: Recipe) -> Self {
        let (names, weights): (Vec<String>, Vec<f64>) =
            recipe.rewards().map(|(name, weight)| (name.to_owned(), weight)).unzip();
        let order = names.clone();
        let drives = recipe.terms().any(|term| DRIVEN.contains(&term)).then(Arc::<Drives>::default);
        let utility = recipe.terms().any(|term| term == TREE).then(Utility::default);
        let told = drives.clone();
        let scoring = move |sample: &Sample, texts: &[&str], tokens: &[usize]| {
            let group = rewards::recipe::Group { texts, tokens: Some(tokens) };
            let totals = recipe.score(group, &reference(sample, told.as_deref()));
            let named = |terms: &[(String, f64, Score)], name: &String| {
                terms.iter().find(|(n, ..)| n == name).map(|(.., score)| score.clone())
            };
            totals.iter().map(|total| order.iter().map(|name| named(&total.terms, name)).collect()).collect()
        };
        Judge { names, weights, scoring: Box::new(scoring), drives, utility }
    }

    /// The same with the branches of a run of `pair` (`grpo.branches`), which the term `tree` needs and no other.
    ///
    /// # Errors
    /// Exit 2 for branches that are missing, not asked for or without a tree; those of reading them.
    pub fn with_branches(self, path: Option<&Path>) -> Result<Self> {
        let utility = match (self.utility, path) {
            (Some(_), Some(path)) => Some(Utility::load(path)?),
            (Some(_), None) => return Err(Utility::missing()),
            (None, Some(path)) => {
                let message =
                    format!("grpo.branches is {}, but the reward does not have the term tree", path.display());
                return Err(Failure::usage(message).hint("leave grpo.branches out, or set grpo.reward=tree"));
            }
            (None, None) => None,
        };
        Ok(Judge { utility, ..self })
    }

    /// Looks over samples that will be asked about: whether their plans can be driven out, where a reward needs that.
    /// All must name a moment of the simulator; a part of them is restored and compared.
    ///
    /// # Errors
    /// Exit 3 for the first sample that the simulator cannot go on from.
    pub fn fits(&self, samples: &[Sample]) -> Result<()> {
        let Some(drives) = &self.drives else { return Ok(()) };
        let refused = |why: String| {
            Failure::data(format!("{why}; this reward drives plans out in the simulator")).hint(
                "`reinsman data generate` makes sets for it, again after the simulator has changed; \
                 other data needs another grpo.reward, such as meta-action",
            )
        };
        samples.iter().try_for_each(|sample| outcome::place(sample).map(drop)).map_err(|e| refused(e.to_string()))?;
        let some: Vec<&Sample> = samples.iter().step_by(samples.len().div_ceil(LOOKED_AT).max(1)).collect();
        let looked: Vec<_> = some.par_iter().map(|sample| drives.of(sample).map(drop)).collect();
        looked.into_iter().collect::<std::result::Result<(), String>>().map_err(refused)
    }

    /// Gets ready to score answers to these samples.
    ///
    /// # Errors
    /// Those of [`Utility::of`], where a reward asks a tree.
    pub fn prepare(&self, planner: &Planner, samples: &[&Sample]) -> Result<()> {
        let Some(drives) = &self.drives else { return Ok(()) };
        drives.prepare(samples);
        let Some(utility) = &self.utility else { return Ok(()) };
        samples.iter().try_for_each(|sample| drives.add(sample, || utility.of(planner, sample)))
    }

    /// Scores a group. Returns why its rewards are broken, if they are.
    pub fn score(&self, group: &mut Group) -> Option<String> {
        if let Some(Err(why)) = self.drives.as_ref().map(|drives| drives.of(group.prompt.sample)) {
            return Some(format!("plans cannot be driven out ({why})"));
        }
        let texts: Vec<&str> = group.answers.iter().map(|answer| answer.text.as_str()).collect();
        let tokens: Vec<usize> = group.answers.iter().map(|answer| answer.ids.len()).collect();
        let scores = (self.scoring)(group.prompt.sample, &texts, &tokens);
        let mut broken = None;
        for (answer, scores) in group.answers.iter_mut().zip(scores) {
            for (name, score) in self.names.iter().zip(&scores) {
                if let Some(score) = score.as_ref().filter(|score| !score.value.is_finite()) {
                    broken.get_or_insert_with(|| format!("the reward {name} is {}", score.value));
                }
            }
            answer.scores = scores;
        }
        broken
    }
}

/// The text of the recipe of a name, or that of a TOML file.
///
/// # Errors
/// Exit 2 for an unknown name, exit 3 for a file that cannot be read.
pub fn text(recipe: &str) -> Result<String> {
    let path = Path::new(recipe);
    if path.extension().is_some_and(|e| e == "toml") {
        return std::fs::read_to_string(path).map_err(io_at(path));
    }
    let unknown = |e: rewards::RecipeError| {
        let names: Vec<&str> = Recipe::names().collect();
        Failure::usage(e.to_string()).hint(format!("grpo.reward is one of {} or a TOML file", names.join(", ")))
    };
    Recipe::named(recipe).map_err(unknown)?;
    Ok(Recipe::text(recipe).unwrap_or_default().to_owned())
}

/// What a sample's answers are compared with.
fn reference(sample: &Sample, drives: Option<&Drives>) -> Reference {
    let labels = &sample.labels;
    let plain = || {
        let future = labels.future.clone()?;
        Some(Arc::new(Driven { trajectory: Some(future), ..Driven::default() }))
    };
    let driven = drives.and_then(|drives| drives.of(sample).ok()).or_else(plain);
    Reference { speed: labels.speed, path: labels.path, driven }
}
