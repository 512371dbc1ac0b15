//! The recipe of a reproduction: a TOML file in `eval/reproductions`, embedded in the binary. It names frames, sizes,
//! seeds, the base, reward texts, arms and the paper's claims; nothing of a paper is in the code.
//!
//! A file given by the user is laid over the built-in one table by table, so it need only say what differs; lists
//! (arms, sizes, claims) are replaced as a whole. `[quick]` is such a layer inside the recipe.

use crate::{
    error::{Failure, Result, io_at},
    settings::{Draft, Settings, nearest::nearest},
    train::grpo::judge::{self, Judge},
};
use eval::reproduction::{About, ArmName, Claim, Size};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};
use toml::{Table, Value};

/// Built-in recipes: name and text.
const BUILT_IN: &[(&str, &str)] = &[("alphadrive", include_str!("../../eval/reproductions/alphadrive.toml"))];

/// A checked recipe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What is reproduced.
    pub about: About,
    /// Seeds of every arm.
    pub seeds: Vec<u64>,
    /// What is driven and drawn.
    pub frames: Frames,
    /// What every arm starts from.
    pub base: Base,
    /// How arms are measured.
    pub measure: Measuring,
    /// Settings of every run, in the sections of a settings file.
    #[serde(default)]
    pub settings: Table,
    /// Training sets, each the first records of the largest.
    #[serde(rename = "size")]
    pub sizes: Vec<Size>,
    /// Reward recipes by name.
    #[serde(default)]
    pub rewards: BTreeMap<String, String>,
    /// Arms; one that starts from another comes after it.
    #[serde(rename = "arm")]
    pub arms: Vec<Arm>,
    /// The paper's claims.
    #[serde(default, rename = "claim")]
    pub claims: Vec<Claim>,
}

/// Generated frames.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// Held-out frames.
    pub test: usize,
    /// Seed of the set.
    pub seed: u64,
    /// Moments driven for each that is kept.
    pub pool: usize,
    /// Camera, as `data generate` takes it.
    pub camera: String,
    /// Scenario families.
    pub families: Vec<String>,
}

/// The stand-in for an instruction-tuned model: the embedded planner's eyes and a new text decoder that learned words and
/// form from answers dealt to the wrong frames.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Seed of the decoder's weights, of the dealing and of the training.
    pub seed: u64,
    /// Settings over the common ones.
    #[serde(default)]
    pub settings: Table,
}

/// How arms are measured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measuring {
    /// Answers drawn at temperature 1 to a frame.
    pub samples: usize,
    /// Held-out frames that they are drawn for.
    pub frames: usize,
    /// Longest answer in tokens.
    pub max_new_tokens: usize,
    /// Frames asked at a time.
    pub batch: usize,
    /// Frames whose answers are shown in the report.
    pub cards: usize,
}

/// A trainer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Supervised fine-tuning.
    Sft,
    /// Group relative policy optimisation.
    Grpo,
}

/// An arm: a trainer, its settings, and what it starts from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name in folders and claims.
    pub id: String,
    /// For people.
    pub label: String,
    /// `base`, or an arm of the same size and seed.
    pub from: String,
    /// Trainer.
    pub verb: Verb,
    /// A reward recipe of this file, or a built-in one.
    #[serde(default)]
    pub reward: Option<String>,
    /// Whether answers come with reasoning.
    #[serde(default = "yes")]
    pub think: bool,
    /// Whether it is also asked without the picture.
    #[serde(default)]
    pub blind: bool,
    /// Whether several answers are drawn.
    #[serde(default)]
    pub samples: bool,
    /// Sizes it is run at; all where left out.
    #[serde(default)]
    pub sizes: Option<Vec<String>>,
    /// Settings over the common ones.
    #[serde(default)]
    pub settings: Table,
    /// The paper's accuracy by size, percent.
    #[serde(default)]
    pub paper: BTreeMap<String, f64>,
}

fn yes() -> bool {
    true
}

/// The name that arms start from where they start from no other arm.
pub const BASE: &str = "base";

impl Recipe {
    /// Names of the built-in recipes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in recipe, small if `quick`, under a file of the user; also as the text that it amounts to.
    ///
    /// # Errors
    /// Exit 2 for unknown names, exit 3 for a file that cannot be read, exit 2 for what does not fit together.
    pub fn load(name: &str, quick: bool, over: Option<&Path>) -> Result<(Recipe, String)> {
        let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(name));
        };
        let (recipe, text): (Recipe, String) = layered(name, text, quick, over)?;
        recipe.check().map_err(|message| misfit(&place(name, over), &message))?;
        recipe.try_out()?;
        Ok((recipe, text))
    }

    /// Rules across the file.
    fn check(&self) -> Result<(), String> {
        let sizes: Vec<&str> = self.sizes.iter().map(|size| size.name.as_str()).collect();
        if self.seeds.is_empty() || sizes.is_empty() || self.arms.is_empty() || self.frames.test == 0 {
            return Err("seeds, sizes, arms and frames.test must not be empty".into());
        }
        if self.sizes.iter().any(|size| size.frames == 0) || self.measure.samples < 2 || self.measure.batch == 0 {
            return Err("size.frames and measure.batch must be 1 or more, measure.samples 2 or more".into());
        }
        let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let names =
            self.sizes.iter().map(|s| &s.name).chain(self.rewards.keys()).chain(self.arms.iter().map(|a| &a.id));
        for name in names {
            if !plain(name) {
                return Err(format!("{name:?} becomes part of a path: letters, digits and - are allowed"));
            }
        }
        for (i, arm) in self.arms.iter().enumerate() {
            let id = &arm.id;
            let before = &self.arms[..i];
            if id == BASE || before.iter().any(|other| other.id == *id) {
                return Err(format!("two arms are called {id}"));
            }
            if !self.sizes.iter().any(|size| arm.at(size)) {
                return Err(format!("arm {id} runs at none of the sizes {}", sizes.join(", ")));
            }
            if arm.from != BASE {
                let Some(start) = before.iter().find(|other| other.id == arm.from) else {
                    return Err(format!("arm {id} starts from {:?}, which is no arm before it", arm.from));
                };
                if let Some(size) = self.sizes.iter().find(|size| arm.at(size) && !start.at(size)) {
                    return Err(format!("arm {id} starts from {}, which has no size {}", arm.from, size.name));
                }
            }
            if arm.reward.is_some() != (arm.verb == Verb::Grpo) {
                return Err(format!("arm {id}: grpo needs a reward, sft takes none"));
            }
            if arm.samples && self.measure.frames > self.frames.test {
                return Err(format!("measure.frames is {}, of {} frames", self.measure.frames, self.frames.test));
            }
        }
        for claim in &self.claims {
            for name in [&claim.arm, &claim.against] {
                if !self.arms.iter().any(|arm| arm.id == *name) {
                    return Err(format!("claim {:?} names {name:?}, which is no arm", claim.text));
                }
            }
        }
        Ok(())
    }

    /// Resolves the settings of every arm and reads every reward, before any frame is made.
    fn try_out(&self) -> Result<()> {
        self.settings(&self.base.settings, &[])?;
        for (name, text) in &self.rewards {
            Judge::named(name, text, 1)?;
        }
        for arm in &self.arms {
            self.settings(&arm.settings, &[]).map_err(|e| e.context(format!("arm {}", arm.id)))?;
            if let Some(reward) = arm.reward.as_ref().filter(|reward| !self.rewards.contains_key(*reward)) {
                judge::text(reward).map_err(|e| e.context(format!("arm {}", arm.id)))?;
            }
        }
        Ok(())
    }

    /// Training frames of the largest size.
    pub fn train_frames(&self) -> usize {
        self.sizes.iter().map(|size| size.frames).max().unwrap_or(0)
    }

    /// The claims about sizes that are there.
    pub fn claims(&self) -> Vec<Claim> {
        let here = |claim: &&Claim| self.sizes.iter().any(|size| size.name == claim.size);
        self.claims.iter().filter(here).cloned().collect()
    }

    /// Arms by name.
    pub fn arm_names(&self) -> Vec<ArmName> {
        let name = |arm: &Arm| ArmName { id: arm.id.clone(), label: arm.label.clone(), paper: arm.paper.clone() };
        self.arms.iter().map(name).collect()
    }

    /// The common settings with others over them, and assignments over those.
    ///
    /// # Errors
    /// Exit 2 for settings that do not exist or are not allowed.
    pub fn settings(&self, over: &Table, assignments: &[(&str, Value)]) -> Result<Settings> {
        settings(&[&self.settings, over], assignments)
    }
}

/// Tables of settings, each over the one before, and assignments over them.
///
/// # Errors
/// Exit 2 for settings that do not exist or are not allowed.
pub(super) fn settings(tables: &[&Table], assignments: &[(&str, Value)]) -> Result<Settings> {
    let mut draft = Draft::new();
    for table in tables {
        draft.text(&table.to_string(), "the recipe's settings")?;
    }
    for (key, value) in assignments {
        draft.flag("the recipe", key, value.clone())?;
    }
    Ok(draft.finish()?.0)
}

impl Arm {
    /// Whether it is run at a size.
    pub fn at(&self, size: &Size) -> bool {
        self.sizes.as_ref().is_none_or(|sizes| sizes.contains(&size.name))
    }
}

/// An unknown reproduction, with the nearest name.
pub(super) fn unknown(name: &str) -> Failure {
    let hint = match nearest(name, super::names()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known are {}", super::names().collect::<Vec<_>>().join(", ")),
    };
    Failure::usage(format!("unknown reproduction {name:?}")).hint(hint)
}

fn place(name: &str, over: Option<&Path>) -> String {
    over.map_or(name.to_owned(), |path| path.display().to_string())
}

fn misfit(place: &str, e: &dyn std::fmt::Display) -> Failure {
    let shipped = "eval/reproductions holds the built-in recipe";
    Failure::usage(format!("recipe {place}: {}", e.to_string().trim())).hint(shipped)
}

/// A built-in text with its `[quick]` layer and a file of the user over it, read; also as the text that it amounts to.
///
/// # Errors
/// Exit 3 for a file that cannot be read, exit 2 for what does not fit the type.
pub(super) fn layered<T: serde::de::DeserializeOwned>(
    name: &str,
    text: &str,
    quick: bool,
    over: Option<&Path>,
) -> Result<(T, String)> {
    let mut table = parse(name, text)?;
    let small = table.remove("quick");
    if let (true, Some(Value::Table(small))) = (quick, small) {
        lay(&mut table, small);
    }
    if let Some(path) = over {
        let text = std::fs::read_to_string(path).map_err(io_at(path))?;
        lay(&mut table, parse(&path.display().to_string(), &text)?);
    }
    let place = place(name, over);
    let text = toml::to_string(&table).map_err(|e| misfit(&place, &e))?;
    let recipe: T = Value::Table(table).try_into().map_err(|e: toml::de::Error| misfit(&place, &e))?;
    Ok((recipe, text))
}

fn parse(name: &str, text: &str) -> Result<Table> {
    text.parse().map_err(|e: toml::de::Error| {
        Failure::usage(format!("{name}: {}", e.to_string().trim()))
            .hint("eval/reproductions holds a recipe that can be read")
    })
}

/// Lays a table over another, table by table.
fn lay(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(over: &str) -> Result<Recipe> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), over).unwrap();
        Ok(Recipe::load("alphadrive", true, Some(file.path()))?.0)
    }

    /// Every built-in recipe, full and quick; loading resolves all settings and rewards.
    #[test]
    fn built_in_recipes_are_whole() {
        for name in Recipe::names() {
            for quick in [false, true] {
                let (recipe, _) = Recipe::load(name, quick, None).unwrap();
                assert!(!recipe.arms.is_empty() && !recipe.claims.is_empty());
            }
        }
    }

    #[test]
    fn a_file_says_what_differs_and_what_does_not_fit_is_refused() {
        let recipe = with("seeds = [7]\n[frames]\ntest = 12\n[measure]\nframes = 4").unwrap();
        assert_eq!((recipe.seeds, recipe.frames.test, recipe.arms.len()), (vec![7], 12, with("").unwrap().arms.len()));
        for (over, says) in [
            ("seeds = []", "must not be empty"),
            ("sheep = 1", "unknown field"),
            ("[measure]\nframes = 1000000", "measure.frames is 1000000"),
            ("[[arm]]\nid = \"a\"\nlabel = \"a\"\nfrom = \"b\"\nverb = \"sft\"", "no arm before it"),
            ("[[arm]]\nid = \"a/b\"\nlabel = \"a\"\nfrom = \"base\"\nverb = \"sft\"", "part of a path"),
            ("[[arm]]\nid = \"a\"\nlabel = \"a\"\nfrom = \"base\"\nverb = \"grpo\"", "grpo needs a reward"),
            ("[[arm]]\nid = \"a\"\nlabel = \"a\"\nfrom = \"base\"\nverb = \"sft\"", "which is no arm"),
            ("[settings.grpo]\nlearning_rate = nan", "grpo.learning_rate is nan"),
            ("[base.settings.sft]\nmax_stps = 1", "unknown setting sft.max_stps"),
            ("[rewards]\nexact = '''[[reward]]\nterms = [\"nope\"]'''", "recipe exact"),
            ("seeds = [1", "unclosed array"),
        ] {
            let failure = with(over).unwrap_err();
            assert_eq!(failure.kind.exit_code(), 2, "{over}");
            assert!(failure.message.contains(says), "{over}: {failure}");
        }
        let failure = Recipe::load("alphadrve", false, None).unwrap_err();
        assert!(failure.hint.unwrap().contains("did you mean alphadrive?"));
    }
}
