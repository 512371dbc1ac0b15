//! Who rewards answers: a recipe of the `rewards` crate, or any function of a sample and the answers to it.

use super::rollout::Group;
use crate::error::{Failure, Result, io_at};
use data::Sample;
use rewards::{Driven, Recipe, Reference, Score};
use std::{path::Path, sync::Arc};

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
        let scoring = move |sample: &Sample, texts: &[&str], tokens: &[usize]| {
            let group = rewards::recipe::Group { texts, tokens: Some(tokens) };
            let totals = recipe.score(group, &reference(sample));
            let named = |terms: &[(String, f64, Score)], name: &String| {
                terms.iter().find(|(n, ..)| n == name).map(|(.., score)| score.clone())
            };
            totals.iter().map(|total| order.iter().map(|name| named(&total.terms, name)).collect()).collect()
        };
        Judge { names, weights, scoring: Box::new(scoring) }
    }

    /// Scores a group. Returns why its rewards are broken, if they are.
    pub fn score(&self, group: &mut Group) -> Option<String> {
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
fn reference(sample: &Sample) -> Reference {
    let labels = &sample.labels;
    let driven = labels.future.clone().map(|future| Arc::new(Driven { trajectory: Some(future), scene: None }));
    Reference { speed: labels.speed, path: labels.path, driven }
}
