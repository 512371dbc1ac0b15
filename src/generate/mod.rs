//! Labelled frames from the simulator: the rule expert, or others that do worse, drive seeded scenarios from perturbed
//! starts, moments of their drives are kept, a balanced part of them is drawn, described in words and written as records.
//!
//! Data flows one way: [`episode`] drives and keeps moments, [`describe`] draws a moment and writes its record, [`set`]
//! chooses and writes files, [`card`] says what came out. Everything is a function of the recipe: the same recipe gives the
//! same bytes for any number of threads.

pub mod card;
pub mod describe;
pub mod episode;
pub mod set;

use crate::error::{Failure, Result};
use sim::{
    driver::Driver,
    families::Family,
    render::{Camera, Style},
};

/// How episodes look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Flat colours at midday
    Plain,
    /// Patches, weather, times of day, noise
    Rich,
    /// Every second episode each
    Both,
}

impl Look {
    /// The style of an episode.
    pub fn style(self, seed: u64) -> Style {
        let plain = match self {
            Look::Plain => true,
            Look::Rich => false,
            Look::Both => seed.is_multiple_of(2),
        };
        let seed = sim::rng::hash(seed, 0x5779) as u32;
        if plain { Style::plain(seed) } else { Style::rich(seed) }
    }
}

/// A part of a set. Seeds of parts never meet, nor those of the evaluation suites (all under a million).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Val,
    /// To report.
    Test,
}

impl Split {
    /// All parts.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// Its word in file names and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }

    /// The scenario seed of the part's n-th episode.
    fn seed(self, seed: u64, episode: u64) -> u64 {
        ((self as u64 + 1) << 56) | ((seed & 0xff_ffff) << 32) | (episode & 0xffff_ffff)
    }
}

/// What is generated.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Scenario families to drive in turn.
    pub families: Vec<&'static Family>,
    /// Who drives, in turn.
    pub drivers: Vec<Driver>,
    /// Camera of the frames.
    pub camera: Camera,
    /// How episodes look.
    pub look: Look,
    /// Seed of the set.
    pub seed: u64,
    /// Moments kept for each that is written: the more, the better balanced and the slower.
    pub pool: usize,
    /// Write questions and answers too.
    pub questions: bool,
}

/// A camera by name, or `WIDTHxHEIGHT@DEGREES`.
///
/// # Errors
/// Unknown names, sizes beyond 2048 pixels, angles outside 20 to 150 degrees.
pub fn camera(text: &str) -> Result<Camera> {
    match text {
        "tiny" => return Ok(Camera::tiny()),
        "mid" => return Ok(Camera::mid()),
        "vlm" => return Ok(Camera::vlm()),
        _ => {}
    }
    let parts = text.split_once('@').and_then(|(size, fov)| {
        let (width, height) = size.split_once('x')?;
        Some((width.parse::<usize>().ok()?, height.parse::<usize>().ok()?, fov.parse::<f32>().ok()?))
    });
    match parts {
        Some((w, h, fov)) if (16..=2048).contains(&w) && (16..=2048).contains(&h) && (20.0..=150.0).contains(&fov) => {
            Ok(Camera::new(w, h, fov))
        }
        _ => Err(Failure::usage(format!("{text:?} is no camera"))
            .hint("tiny, mid, vlm, or WIDTHxHEIGHT@DEGREES such as 288x128@75 (16 to 2048 pixels, 20 to 150 degrees)")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn seeds_of_parts_and_suites_never_meet() {
        let seeds = |split: Split| [0, 1, u64::from(u32::MAX)].map(|episode| split.seed(3, episode));
        let mut all: Vec<u64> = Split::ALL.into_iter().flat_map(seeds).collect();
        assert!(all.iter().all(|&seed| seed > 1_000_000));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 9);
    }

    #[test]
    fn cameras_by_name_and_by_size() {
        assert_eq!(camera("mid").unwrap(), Camera::mid());
        assert_eq!(camera("288x128@75").unwrap(), Camera::new(288, 128, 75.0));
        for bad in ["", "big", "288x128", "8x8@75", "288x128@200", "288x128@NaN", "99999x9@75"] {
            assert!(camera(bad).is_err(), "{bad}");
        }
    }
}
