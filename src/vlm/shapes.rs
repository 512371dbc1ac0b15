//! Shapes known by name: `config.json` files without weights, inside the binary (`data/shapes`).

use super::config::VlmConfig;
use crate::error::{Failure, Result};
use serde_json::Value;

macro_rules! shapes {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../data/shapes/", $name, ".json")))),+]
    };
}

const SHAPES: &[(&str, &str)] =
    shapes!["small", "qwen2-vl-2b", "qwen2.5-vl-3b", "qwen3-vl-2b", "qwen3-vl-4b", "text-562m"];

/// The names, separated by commas, for messages.
pub fn names() -> String {
    SHAPES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The `config.json` of a name, if it is known; `2b` and `3b` are the two of the speed comparison.
pub fn json(name: &str) -> Option<Value> {
    let name = match name {
        "2b" => "qwen2-vl-2b",
        "3b" => "qwen2.5-vl-3b",
        other => other,
    };
    let (_, text) = SHAPES.iter().find(|(known, _)| *known == name)?;
    serde_json::from_str(text).ok()
}

/// The configuration of a name.
///
/// # Errors
/// Exit 2 with the known names.
pub fn config(name: &str) -> Result<VlmConfig> {
    let json = json(name).ok_or_else(|| {
        Failure::usage(format!("no shape is called {name:?}; known are {}", names()))
            .hint("give the path of a config.json for a shape of your own")
    })?;
    VlmConfig::from_json(&json)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::vlm::model::layout;

    #[test]
    fn shapes_have_the_published_sizes() {
        for (name, parameters) in [
            ("small", 52_664_704),
            ("qwen2-vl-2b", 2_208_985_600),
            ("qwen2.5-vl-3b", 3_754_622_976),
            ("qwen3-vl-2b", 2_127_532_032),
            ("qwen3-vl-4b", 4_437_815_808),
        ] {
            let layout = layout(&config(name).unwrap()).unwrap();
            let count: usize = layout.tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(count, parameters, "{name}");
        }
        assert_eq!(config("3b").unwrap(), config("qwen2.5-vl-3b").unwrap());
        assert!(config("7b").unwrap_err().message.contains("qwen3-vl-4b"));
    }
}
