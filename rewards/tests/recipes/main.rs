//! Recipes: the defects of the released rewards and their absence elsewhere, changes that must never pay, reading TOML.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod defects;
#[path = "../driven/mod.rs"]
mod driven;
mod metamorphic;
mod reading;

use rewards::{Recipe, Reference, Total};
use scene::{MetaAction, PathAction, SpeedAction};
use std::sync::LazyLock;

/// Those that a trainer should use.
const SOUND: [&str; 4] = ["alphadrive", "driving", "meta-action", "tree"];

static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(|| Recipe::names().map(|n| Recipe::named(n).unwrap()).collect());

fn recipe(name: &str) -> &'static Recipe {
    RECIPES.iter().find(|r| r.name == name).unwrap()
}

/// The reference of the defect table.
fn keep_straight() -> Reference {
    driven::reference(MetaAction::new(SpeedAction::Keep, PathAction::Straight))
}

fn completion(answer: &str) -> String {
    format!("<think>The road is clear.</think><answer>{answer}</answer>")
}

fn totals_with(name: &str, group: &[&str], reference: &Reference) -> Vec<Total> {
    recipe(name).score_group(group, reference)
}

/// Total rewards of a group of answers in the asked form.
fn values(recipe: &str, answers: &[&str]) -> Vec<f64> {
    let texts: Vec<String> = answers.iter().map(|a| completion(a)).collect();
    let group: Vec<&str> = texts.iter().map(String::as_str).collect();
    totals_with(recipe, &group, &keep_straight()).iter().map(|t| t.value).collect()
}
