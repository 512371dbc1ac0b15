//! Suites: fixed lists of routes, each a scenario family and a seed.

use serde::{Deserialize, Serialize};

/// The suites that come with the program: name and text.
const BUILT_IN: [(&str, &str); 5] = [
    ("tiny", include_str!("../../suites/tiny.toml")),
    ("train", include_str!("../../suites/train.toml")),
    ("validation", include_str!("../../suites/validation.toml")),
    ("test", include_str!("../../suites/test.toml")),
    ("occlusion", include_str!("../../suites/occlusion.toml")),
];

/// A list of routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Routes by family.
    pub routes: Vec<Routes>,
}

/// Routes of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// Scenario family.
    pub family: String,
    /// A route for each.
    pub seeds: Vec<u64>,
}

/// A suite that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// Not TOML, or not a suite.
    #[error("not a suite of routes: {}", .0.message())]
    Text(#[from] toml::de::Error),
    /// No such suite.
    #[error("no suite is called {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// No such family.
    #[error("no scenario family is called {0:?}")]
    Family(String),
}

impl Suite {
    /// Names of the suites that come with the program.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A suite that comes with the program.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn named(name: &str) -> Result<Suite, SuiteError> {
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Suite::parse(text),
            None => {
                let known = Suite::names().collect::<Vec<_>>().join(", ");
                Err(SuiteError::Unknown { name: name.into(), known })
            }
        }
    }

    /// Reads a suite: `[[routes]]` with `family` and `seeds`.
    ///
    /// # Errors
    /// The text is no suite, or names a family that does not exist.
    pub fn parse(text: &str) -> Result<Suite, SuiteError> {
        let suite: Suite = toml::from_str(text)?;
        match suite.routes.iter().find(|r| sim::families::find(&r.family).is_none()) {
            Some(bad) => Err(SuiteError::Family(bad.family.clone())),
            None => Ok(suite),
        }
    }

    /// Every route in order: family and seed.
    pub fn each(&self) -> impl Iterator<Item = (&str, u64)> {
        self.routes.iter().flat_map(|r| r.seeds.iter().map(|&seed| (r.family.as_str(), seed)))
    }

    /// The scenario of every route in order.
    pub fn scenarios(&self) -> Vec<sim::Scenario> {
        self.each().filter_map(|(family, seed)| Some((sim::families::find(family)?.make)(seed))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn suites_read_and_share_no_seed() {
        let mut seen = std::collections::BTreeSet::new();
        for name in Suite::names() {
            let suite = Suite::named(name).unwrap();
            assert!(suite.each().count() > 0, "{name}");
            for (family, seed) in suite.each() {
                assert!(seen.insert((family.to_owned(), seed)), "{name}: {family} {seed} twice");
            }
        }
        assert_eq!(Suite::named("validation").unwrap().each().count(), 80);
        let error = Suite::named("valid").unwrap_err().to_string();
        assert!(error.contains("validation"), "{error}");
        assert!(Suite::parse("[[routes]]\nfamily = \"moon\"\nseeds = [1]").is_err());
        assert!(Suite::parse("routes = 3").is_err());
    }
}
