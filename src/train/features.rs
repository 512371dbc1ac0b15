//! Picture features of a frozen vision tower, kept from epoch to epoch.
//!
//! While the tower is not trained and pictures are not changed, a picture's features never change: each is read,
//! resized and encoded once, also when many samples share it. Pictures are encoded one at a time whether they are kept
//! or not, so that a resumed run, which starts with nothing kept, computes the same bits. Nothing is ever evicted: with
//! samples visited in epochs, the picture used longest ago is the one that is needed next.

use super::examples::{Recipe, picture};
use crate::{
    error::Result,
    policy::Planner,
    settings::Augment,
    vlm::{ImageFeatures, processor::Pixels},
};
use data::{Image, Sample};
use rayon::prelude::*;
use std::collections::HashMap;

/// Bytes of features that are kept.
pub const BUDGET: usize = 1 << 30;

/// A picture as the language model sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its grid of patches.
    pub grid: [usize; 3],
    /// Its tokens.
    pub features: ImageFeatures,
}

/// The features kept so far.
#[derive(Debug, Default)]
pub struct Features {
    kept: HashMap<Image, Seen>,
    left: usize,
}

impl Features {
    /// An empty store that keeps up to `budget` bytes.
    pub fn new(budget: usize) -> Self {
        Features { kept: HashMap::new(), left: budget }
    }

    /// Whether features stay the same over a run: no tensor of the tower is trained and no picture is changed.
    pub fn fit(planner: &Planner, recipe: &Recipe) -> bool {
        let frozen = planner.vlm.vars().keys().all(|name| !name.contains("visual."));
        frozen && recipe.augment == Augment::default()
    }

    /// The pictures of each sample, in order.
    ///
    /// # Errors
    /// Pictures that cannot be read, device trouble.
    pub fn of(&mut self, planner: &Planner, samples: &[&Sample]) -> Result<Vec<Vec<Seen>>> {
        let mut missing: Vec<(&Image, &Sample)> = Vec::new();
        for sample in samples {
            for image in &sample.images {
                if !self.kept.contains_key(image) && missing.iter().all(|(other, _)| *other != image) {
                    missing.push((image, sample));
                }
            }
        }
        let prepare = |(image, sample): &(&Image, &Sample)| -> Result<Pixels> {
            planner
                .encoder
                .processor
                .image(&picture(sample, image)?)
                .map_err(|e| e.context(format!("sample {}", sample.id)))
        };
        let pixels = missing.par_iter().map(prepare).collect::<Result<Vec<_>>>()?;
        let mut fresh: HashMap<&Image, Seen> = HashMap::new();
        for ((image, _), pixels) in missing.into_iter().zip(pixels) {
            let Some((values, grids)) = Pixels::concat(std::slice::from_ref(&pixels))? else { continue };
            let features = planner.vlm.frozen()?.encode_images(&values, &grids)?;
            let seen = Seen { grid: pixels.grid, features };
            let bytes = seen.bytes();
            if bytes <= self.left {
                self.left -= bytes;
                self.kept.insert(image.clone(), seen);
            } else {
                fresh.insert(image, seen);
            }
        }
        let find = |image: &Image| self.kept.get(image).or_else(|| fresh.get(image)).cloned();
        Ok(samples.iter().map(|sample| sample.images.iter().filter_map(find).collect()).collect())
    }
}

impl Seen {
    fn bytes(&self) -> usize {
        let tensors = std::iter::once(&self.features.embeds).chain(&self.features.deepstack);
        tensors.map(|t| t.elem_count() * t.dtype().size_in_bytes()).sum()
    }
}
