//! Reads a recipe out of TOML. By hand instead of by serde, so that a mistyped key names the nearest one.

use super::{
    Factor, Recipe, RecipeError, Reward,
    error::{hint, short},
};
use crate::{Term, term, terms};
use toml::{Table, Value};

const MOST_BYTES: usize = 64 << 10;
const MOST_REWARDS: usize = 32;
const MOST_FACTORS: usize = 8;
/// Totals stay finite, and a misplaced point is noticed.
const MOST_WEIGHT: f64 = 1000.0;

/// Where a table stands, for messages.
struct Place<'a> {
    recipe: &'a str,
    place: String,
}

pub(super) fn recipe(name: &str, text: &str) -> Result<Recipe, RecipeError> {
    let name = short(name);
    let too_many = |what, found, most| RecipeError::TooMany { recipe: name.clone(), what, found, most };
    if text.len() > MOST_BYTES {
        return Err(too_many("bytes", text.len(), MOST_BYTES));
    }
    let table: Table = text.parse().map_err(|e: toml::de::Error| RecipeError::Toml {
        recipe: name.clone(),
        why: e.to_string().trim_end().to_owned(),
    })?;
    let top = Place { recipe: &name, place: "top level".into() };
    top.only(&table, "key", &["about", "reward"])?;
    let about = table.get("about").map_or(Ok(""), |v| top.text("about", v))?.to_owned();
    let list = table.get("reward").ok_or_else(|| top.missing("reward", "a recipe is a list of [[reward]]"))?;
    let list = list.as_array().ok_or_else(|| top.kind("reward", list, "a list of [[reward]]"))?;
    if list.is_empty() {
        return Err(top.missing("reward", "at least one is needed"));
    }
    if list.len() > MOST_REWARDS {
        return Err(too_many("rewards", list.len(), MOST_REWARDS));
    }
    let mut rewards: Vec<Reward> = Vec::new();
    for (i, value) in list.iter().enumerate() {
        let place = Place { recipe: &name, place: format!("reward {}", i + 1) };
        let reward = reward(&place, value)?;
        if rewards.iter().any(|r| r.name == reward.name) {
            return Err(place.twice(&reward.name));
        }
        rewards.push(reward);
    }
    Ok(Recipe { name, about, rewards, plans: 1 })
}

fn reward(place: &Place, value: &Value) -> Result<Reward, RecipeError> {
    let table = value.as_table().ok_or_else(|| place.kind("reward", value, "a table"))?;
    place.only(table, "key", &["name", "terms", "weight", "settings"])?;
    let weight = table.get("weight").map_or(Ok(1.0), |v| place.number("weight", v, (-MOST_WEIGHT, MOST_WEIGHT)))?;
    let list = table.get("terms").ok_or_else(|| place.missing("terms", "the terms to multiply"))?;
    let list = list.as_array().ok_or_else(|| place.kind("terms", list, "a list of names"))?;
    if list.is_empty() {
        return Err(place.missing("terms", "at least one is needed"));
    }
    if list.len() > MOST_FACTORS {
        let (recipe, what) = (place.recipe.to_owned(), "terms in one reward");
        return Err(RecipeError::TooMany { recipe, what, found: list.len(), most: MOST_FACTORS });
    }
    let none = Table::new();
    let settings = table.get("settings").map_or(Ok(&none), |v| place.table("settings", v))?;
    let mut factors: Vec<Factor> = Vec::new();
    for value in list {
        let name = place.text("terms", value)?;
        let known: Vec<&str> = terms().iter().map(|t| t.name()).collect();
        let term = term(name).ok_or_else(|| place.unknown("term", name, &known))?;
        if factors.iter().any(|f| f.term.name() == name) {
            return Err(place.twice(name));
        }
        let set = settings.get(name).map_or(Ok(&none), |v| place.table(name, v))?;
        factors.push(Factor { term, values: values(place, term, set)? });
    }
    let used: Vec<&str> = factors.iter().map(|f| f.term.name()).collect();
    place.only(settings, "term", &used)?;
    let name = match (table.get("name"), used.as_slice()) {
        (Some(v), _) => place.text("name", v)?,
        (None, [only]) => only,
        (None, _) => return Err(place.missing("name", "a product of terms needs one")),
    };
    Ok(Reward { name: short(name), weight, factors })
}

fn values(place: &Place, term: &dyn Term, set: &Table) -> Result<Vec<f64>, RecipeError> {
    let known: Vec<&str> = term.settings().iter().map(|s| s.name).collect();
    let place = Place { recipe: place.recipe, place: format!("{}, settings of {}", place.place, term.name()) };
    place.only(set, "setting", &known)?;
    let value = |s: &crate::Setting| set.get(s.name).map_or(Ok(s.default), |v| place.number(s.name, v, s.range));
    term.settings().iter().map(value).collect()
}

impl Place<'_> {
    fn only(&self, table: &Table, kind: &'static str, known: &[&str]) -> Result<(), RecipeError> {
        match table.keys().find(|k| !known.contains(&k.as_str())) {
            Some(key) => Err(self.unknown(kind, key, known)),
            None => Ok(()),
        }
    }

    fn unknown(&self, kind: &'static str, name: &str, known: &[&str]) -> RecipeError {
        let (recipe, place) = (self.recipe.to_owned(), self.place.clone());
        RecipeError::Unknown { recipe, place, kind, name: short(name), hint: hint(name, known) }
    }

    fn missing(&self, key: &'static str, why: &'static str) -> RecipeError {
        RecipeError::Missing { recipe: self.recipe.to_owned(), place: self.place.clone(), key, why }
    }

    fn twice(&self, name: &str) -> RecipeError {
        RecipeError::Twice { recipe: self.recipe.to_owned(), place: self.place.clone(), name: short(name) }
    }

    fn kind(&self, key: &str, found: &Value, want: &'static str) -> RecipeError {
        let (recipe, place, key) = (self.recipe.to_owned(), self.place.clone(), key.to_owned());
        RecipeError::Type { recipe, place, key, found: found.type_str(), want }
    }

    fn text<'v>(&self, key: &str, value: &'v Value) -> Result<&'v str, RecipeError> {
        value.as_str().ok_or_else(|| self.kind(key, value, "a string"))
    }

    fn table<'v>(&self, key: &str, value: &'v Value) -> Result<&'v Table, RecipeError> {
        value.as_table().ok_or_else(|| self.kind(key, value, "a table"))
    }

    fn number(&self, key: &str, value: &Value, (low, high): (f64, f64)) -> Result<f64, RecipeError> {
        let number = value.as_float().or_else(|| value.as_integer().map(|i| i as f64));
        let number = number.ok_or_else(|| self.kind(key, value, "a number"))?;
        // Also catches nan, which lies in no range.
        if (low..=high).contains(&number) {
            return Ok(number);
        }
        let (recipe, place, key) = (self.recipe.to_owned(), self.place.clone(), key.to_owned());
        Err(RecipeError::Range { recipe, place, key, value: number, low, high })
    }
}
