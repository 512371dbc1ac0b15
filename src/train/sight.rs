//! Does the planner look at the picture? The loss of the answers with the right picture, with another sample's picture
//! and with a grey one. A training loss says nothing about seeing; this gap does.

use super::examples::{Recipe, pictures, row};
use crate::{
    error::Result,
    policy::Planner,
    streams::Stream,
    vlm::{
        encode::{Encoded, IGNORED},
        image::Rgb,
        processor::Pixels,
    },
};
use data::Sample;
use serde::Serialize;

/// Loss per answer token under three pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sight {
    /// With the right picture.
    pub eval_loss: f64,
    /// With the picture of another sample minus with the right one: 0 is blind. `None` when no two samples have
    /// different pictures of one size.
    pub wrong_image_gap: Option<f64>,
    /// With a grey picture minus with the right one.
    pub blank_image_gap: Option<f64>,
    /// Answer tokens scored.
    pub eval_tokens: usize,
}

/// Sums over answer tokens for one kind of other picture, beside the right picture on the same samples.
#[derive(Default)]
struct Gap {
    other: f64,
    right: f64,
    tokens: usize,
}

impl Gap {
    fn add(&mut self, other: f64, right: f64, tokens: usize) {
        (self.other, self.right, self.tokens) = (self.other + other, self.right + right, self.tokens + tokens);
    }

    fn mean(&self) -> Option<f64> {
        (self.tokens > 0).then(|| (self.other - self.right) / self.tokens as f64)
    }
}

/// Measures on the first `limit` samples that teach something and have pictures. `None` when there are none, or when
/// `go_on`, asked before every sample, says no.
///
/// # Errors
/// Pictures, prompts, device trouble.
pub fn measure(
    planner: &Planner,
    samples: &[Sample],
    think: bool,
    limit: usize,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Sight>> {
    let recipe = Recipe::plain(think);
    let mut rows: Vec<(&Sample, Encoded)> = Vec::new();
    for sample in samples.iter().filter(|sample| !sample.images.is_empty()) {
        if rows.len() == limit || !go_on() {
            break;
        }
        if let Some(example) =
            recipe.example(&planner.encoder, &planner.prompts, sample, &mut Stream::new(0, "sight"))?
        {
            // Pixels are large and made again when needed.
            rows.push((sample, Encoded { pixels: Vec::new(), ..example.encoded }));
        }
    }
    let (mut wrong, mut blank, mut right) = (Gap::default(), Gap::default(), Gap::default());
    for (i, (sample, encoded)) in rows.iter().enumerate() {
        if !go_on() {
            return Ok(None);
        }
        let tokens = encoded.labels.iter().skip(1).filter(|label| **label != IGNORED).count();
        let loss = |pixels| answer_nll(planner, &Encoded { pixels, ..encoded.clone() });
        let own = loss(pixels(planner, sample)?)?;
        right.add(own, 0.0, tokens);
        if let Some(other) = partner(&rows, i) {
            wrong.add(loss(pixels(planner, other)?)?, own, tokens);
        }
        let grey = grey(planner, encoded)?;
        if grey.iter().map(|p| p.grid).eq(encoded.grids.iter().copied()) {
            blank.add(loss(grey)?, own, tokens);
        }
    }
    Ok(right.mean().map(|eval_loss| Sight {
        eval_loss,
        wrong_image_gap: wrong.mean(),
        blank_image_gap: blank.mean(),
        eval_tokens: right.tokens,
    }))
}

/// A sample from half-way round the list whose pictures are others of the same sizes.
fn partner<'a>(rows: &[(&'a Sample, Encoded)], i: usize) -> Option<&'a Sample> {
    let n = rows.len();
    let (mine, encoded) = &rows[i];
    let others = (0..n).map(|k| &rows[(i + n / 2 + k) % n]);
    others.filter(|(s, e)| s.images != mine.images && e.grids == encoded.grids).map(|(s, _)| *s).next()
}

fn pixels(planner: &Planner, sample: &Sample) -> Result<Vec<Pixels>> {
    pictures(sample)?.iter().map(|picture| planner.encoder.processor.image(picture)).collect()
}

fn grey(planner: &Planner, encoded: &Encoded) -> Result<Vec<Pixels>> {
    let (patch, _, _) = planner.encoder.processor.sizes();
    let blank = |grid: &[usize; 3]| Rgb::filled(grid[2] * patch, grid[1] * patch, [127; 3]);
    encoded.grids.iter().map(|grid| planner.encoder.processor.image(&blank(grid))).collect()
}

/// Sum of the negative log-probabilities of the answer's tokens, without gradients.
fn answer_nll(planner: &Planner, encoded: &Encoded) -> Result<f64> {
    let frozen = planner.vlm.frozen()?;
    let (logps, _) = row(planner, &[encoded], frozen)?.logps(frozen, 1.0)?;
    Ok(-logps.to_vec1::<f32>()?.into_iter().map(f64::from).sum::<f64>())
}
