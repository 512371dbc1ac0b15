//! Does the planner look at the picture? The loss of the answers with the right picture, with another sample's picture
//! and with a grey one. A training loss says nothing about seeing; this gap does.

use super::examples::{Recipe, row};
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
    /// With the picture of another sample minus with the right one: 0 is blind.
    pub wrong_image_gap: f64,
    /// With a grey picture minus with the right one.
    pub blank_image_gap: f64,
    /// Answer tokens scored.
    pub eval_tokens: usize,
}

/// Measures on the first `limit` samples that teach something and have pictures; `None` when there are none.
///
/// # Errors
/// Pictures, prompts, device trouble.
pub fn measure(planner: &Planner, samples: &[Sample], think: bool, limit: usize) -> Result<Option<Sight>> {
    let recipe = Recipe::plain(think);
    let mut rows: Vec<Encoded> = Vec::new();
    for sample in samples {
        if rows.len() == limit {
            break;
        }
        if let Some(example) = recipe.example(planner, sample, &mut Stream::new(0, "sight"))?
            && !example.encoded.pixels.is_empty()
        {
            rows.push(example.encoded);
        }
    }
    let n = rows.len();
    if n == 0 {
        return Ok(None);
    }
    let swap = |i: usize, encoded: &Encoded| -> Vec<Pixels> {
        let other = (1..n).map(|k| &rows[(i + n / 2 + k - 1) % n]).find(|o| o.grids == encoded.grids);
        other.map_or_else(|| encoded.pixels.clone(), |o| o.pixels.clone())
    };
    let grey = |encoded: &Encoded| -> Result<Vec<Pixels>> {
        let (patch, _, _) = planner.encoder.processor.sizes();
        let blank = |grid: &[usize; 3]| {
            planner.encoder.processor.image(&Rgb::filled(grid[2] * patch, grid[1] * patch, [127; 3]))
        };
        encoded.grids.iter().map(blank).collect()
    };
    let (mut sums, mut tokens) = ([0.0; 3], 0);
    for (i, encoded) in rows.iter().enumerate() {
        for (sum, pixels) in sums.iter_mut().zip([encoded.pixels.clone(), swap(i, encoded), grey(encoded)?]) {
            let fits = pixels.iter().map(|p| p.grid).eq(encoded.grids.iter().copied());
            let pixels = if fits { pixels } else { encoded.pixels.clone() };
            *sum += answer_nll(planner, &Encoded { pixels, ..encoded.clone() })?;
        }
        tokens += encoded.labels.iter().skip(1).filter(|label| **label != IGNORED).count();
    }
    let mean = |i: usize| sums[i] / tokens.max(1) as f64;
    Ok(Some(Sight {
        eval_loss: mean(0),
        wrong_image_gap: mean(1) - mean(0),
        blank_image_gap: mean(2) - mean(0),
        eval_tokens: tokens,
    }))
}

/// Sum of the negative log-probabilities of the answer's tokens, without gradients.
fn answer_nll(planner: &Planner, encoded: &Encoded) -> Result<f64> {
    let scored = row(planner, &[encoded], planner.vlm.frozen()?)?;
    let (logps, _) = scored.logps(planner.vlm.frozen()?, 1.0)?;
    Ok(-logps.to_vec1::<f32>()?.into_iter().map(f64::from).sum::<f64>())
}
