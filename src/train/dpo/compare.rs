//! Pairs as the models see them, and their log-probabilities under the reference.

use crate::{
    error::{Failure, Result},
    policy::Planner,
    train::{
        examples::pictures,
        features::{Features, Seen},
        pair::{self, Rows},
        reference::{Reference, Shown},
    },
    vlm::{
        Batch, ImageFeatures, Row, Targets, Visual, Vlm,
        encode::{IGNORED, Layout},
        processor::Pixels,
    },
};
use data::Sample;
use std::collections::BTreeMap;

/// A pair as a model sees it.
pub struct Pair<'a> {
    /// Where it comes from.
    pub sample: &'a Sample,
    /// Its two rows.
    pub rows: Rows,
    /// Grid of each picture.
    pub grids: Vec<[usize; 3]>,
    /// Patches, where the vision tower is trained or features are not kept.
    pub pixels: Vec<Pixels>,
    /// Picture features, where the tower is frozen.
    pub images: Option<ImageFeatures>,
}

impl<'a> Pair<'a> {
    /// Pairs of samples; pictures come from `features` where the tower is frozen, else they are read.
    ///
    /// # Errors
    /// Pictures that cannot be read, samples that are no pairs, device trouble.
    pub fn of(planner: &Planner, features: Option<&mut Features>, samples: &[&'a Sample]) -> Result<Vec<Self>> {
        let seen = features.map(|features| features.of(planner, samples)).transpose()?;
        let pair = |(i, sample): (usize, &&'a Sample)| match &seen {
            Some(seen) => Self::seen(planner, sample, &seen[i]),
            None => Self::fresh(planner, sample),
        };
        samples.iter().enumerate().map(|one| pair(one).map_err(|e| named(e, one.1))).collect()
    }

    fn seen(planner: &Planner, sample: &'a Sample, seen: &[Seen]) -> Result<Self> {
        let grids: Vec<[usize; 3]> = seen.iter().map(|s| s.grid).collect();
        let parts: Vec<&ImageFeatures> = seen.iter().map(|s| &s.features).collect();
        let images = if parts.is_empty() { None } else { Some(ImageFeatures::concat(&parts)?) };
        Ok(Pair { sample, rows: rows(planner, sample, &grids)?, grids, pixels: Vec::new(), images })
    }

    fn fresh(planner: &Planner, sample: &'a Sample) -> Result<Self> {
        let images = pictures(sample)?;
        let pixels: Vec<Pixels> =
            images.iter().map(|image| planner.encoder.processor.image(image)).collect::<Result<_>>()?;
        let grids: Vec<[usize; 3]> = pixels.iter().map(|p| p.grid).collect();
        Ok(Pair { sample, rows: rows(planner, sample, &grids)?, grids, pixels, images: None })
    }
}

fn rows(planner: &Planner, sample: &Sample, grids: &[[usize; 3]]) -> Result<Rows> {
    pair::rows(&planner.encoder, &planner.prompts, sample, grids)?
        .ok_or_else(|| Failure::data(format!("sample {} has no chosen and rejected answer", sample.id)))
}

fn named(failure: Failure, sample: &Sample) -> Failure {
    let named = failure.message.contains(&format!("sample {}", sample.id));
    if named { failure } else { failure.context(format!("sample {}", sample.id)) }
}

/// The right-padded rows of some pairs, the chosen ones first, with their pictures and the places that score the answers'
/// tokens.
pub(super) struct Batched {
    pub(super) batch: Batch,
    pub(super) targets: Targets,
    pub(super) images: Option<ImageFeatures>,
}

impl Batched {
    /// `vlm` is the policy, whose tower gets gradients where it is trained, or its frozen twin. Every picture goes through
    /// the tower once, for both answers.
    pub(super) fn new(planner: &Planner, vlm: &Vlm, pairs: &[Pair]) -> Result<Self> {
        let visuals: Vec<Vec<Visual>> =
            pairs.iter().map(|pair| pair.grids.iter().map(|grid| Visual::image(*grid)).collect()).collect();
        let chosen = pairs.iter().map(|pair| &pair.rows.chosen);
        let layouts: Vec<&Layout> = chosen.chain(pairs.iter().map(|pair| &pair.rows.rejected)).collect();
        let rows: Vec<Row> = layouts
            .iter()
            .zip(visuals.iter().cycle())
            .map(|(layout, visuals)| Row::new(&layout.ids, visuals))
            .collect();
        let batch = Batch::right_padded(planner.vlm.config(), &rows, planner.encoder.tokenizer.pad())?;
        let targets = Targets::select(&batch, |row, token| layouts[row].labels[token] != IGNORED);
        let pixels: Vec<Pixels> = pairs.iter().flat_map(|pair| pair.pixels.iter().cloned()).collect();
        let known: Vec<&ImageFeatures> = pairs.iter().filter_map(|pair| pair.images.as_ref()).collect();
        let once = match Pixels::concat(&pixels)? {
            Some((values, grids)) => Some(vlm.encode_images(&values, &grids)?),
            None if known.is_empty() => None,
            None => Some(ImageFeatures::concat(&known)?),
        };
        let images = once.map(|once| ImageFeatures::concat(&[&once, &once])).transpose()?;
        Ok(Batched { batch, targets, images })
    }
}

/// Log-probabilities of the scored tokens of the chosen and of the rejected answer.
pub(super) type Logps = [Vec<f32>; 2];

/// Which list of samples, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Train(usize),
    Val(usize),
}

/// Log-probabilities under the reference: made pair by pair, so that they do not depend on what else is in a batch, and
/// kept, because they never change.
pub(super) struct Kept {
    reference: Option<Reference>,
    logps: BTreeMap<Place, Logps>,
}

impl Kept {
    pub(super) fn new(reference: Reference) -> Self {
        Kept { reference: Some(reference), logps: BTreeMap::new() }
    }

    /// Those of a pair.
    pub(super) fn of(&mut self, policy: &Planner, place: Place, pair: &Pair) -> Result<Logps> {
        if let Some(known) = self.logps.get(&place) {
            return Ok(known.clone());
        }
        let Some(reference) = &self.reference else {
            return Err(Failure::usage(format!("sample {} was not scored under the reference", pair.sample.id)));
        };
        let Pair { rows, grids, pixels, images, .. } = pair;
        let shown = Shown { ids: &rows.chosen.ids[..rows.prompt], grids, pixels, images: images.as_ref() };
        let sides = [&rows.chosen, &rows.rejected];
        let answers = sides.map(|row| row.ids[rows.prompt..].to_vec());
        let all = reference.logps(policy, &shown, &answers, 1.0)?;
        let mut scored = sides.into_iter().zip(all).map(|(row, logps)| -> Vec<f32> {
            let labels = row.labels[rows.prompt..].iter();
            logps.into_iter().zip(labels).filter(|(_, label)| **label != IGNORED).map(|(logp, _)| logp).collect()
        });
        let found = [scored.next().unwrap_or_default(), scored.next().unwrap_or_default()];
        self.logps.insert(place, found.clone());
        Ok(found)
    }

    /// Lets go of the reference, when every pair was scored.
    pub(super) fn release(&mut self) {
        self.reference = None;
    }
}
