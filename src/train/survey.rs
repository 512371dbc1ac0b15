//! A look over a data set before training, without decoding pictures: what can be taught, how long it is, and what is
//! wrong. Everything that is left out is counted.

use super::{
    examples::lesson,
    pair::{rows, scored},
};
use crate::{
    error::{Failure, Result},
    vlm::{
        encode::Encoder,
        image::{Loading, Rgb},
        prompt::Prompts,
    },
};
use data::{Image, Sample, error::thousands};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Indices of samples that can be trained on.
    pub usable: Vec<usize>,
    /// Their lengths.
    pub lengths: Vec<Length>,
    /// By how many tokens the dropped ones are too long.
    pub too_long: Vec<usize>,
    /// Samples without anything to teach.
    pub nothing: usize,
    /// Why samples were left out because of their pictures or text (only with `skip_bad`).
    pub bad: Vec<String>,
}

/// What a trainer wants of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// An answer to teach, with its reasoning or without.
    Answer {
        /// With it.
        think: bool,
    },
    /// Two answers to compare.
    Pair,
}

/// Size of a sample: of the longer row of a pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    /// All tokens.
    pub tokens: usize,
    /// Those that stand for pictures.
    pub image_tokens: usize,
    /// Those that carry loss, in both rows of a pair.
    pub answer_tokens: usize,
    /// Pictures.
    pub images: usize,
}

impl Survey {
    /// Measures every sample. Samples over `max_length` are dropped and counted, never cut.
    ///
    /// # Errors
    /// A picture that is missing, cut off or too large, a number of pictures that does not fit the text, unless
    /// `skip_bad`.
    pub fn of(
        encoder: &Encoder,
        prompts: &Prompts,
        samples: &[Sample],
        aim: Aim,
        max_length: usize,
        skip_bad: bool,
    ) -> Result<Survey> {
        let measured: Vec<Result<Option<Length>>> =
            samples.par_iter().map(|sample| measure(encoder, prompts, sample, aim)).collect();
        let mut out = Survey::default();
        let mut first_bad = None;
        for (i, (sample, result)) in samples.iter().zip(measured).enumerate() {
            match result {
                Ok(None) => out.nothing += 1,
                Ok(Some(length)) if length.tokens > max_length => out.too_long.push(length.tokens - max_length),
                Ok(Some(length)) => {
                    out.usable.push(i);
                    out.lengths.push(length);
                }
                Err(e) => {
                    let named = e.message.contains(&format!("sample {}", sample.id));
                    let e = if named { e } else { e.context(format!("sample {}", sample.id)) };
                    out.bad.push(e.message.clone());
                    first_bad.get_or_insert(e);
                }
            }
        }
        let (bad, total) = (out.bad.len(), samples.len());
        match first_bad {
            None => Ok(out),
            Some(_) if skip_bad => Ok(out),
            Some(failure) if bad == total => Err(failure),
            Some(failure) => {
                let skip = format!("--skip-bad to leave {bad} of {} out", thousands(total as u64));
                let hint = failure.hint.clone().map_or(skip.clone(), |hint| format!("{hint}, or {skip}"));
                Err(failure.hint(hint))
            }
        }
    }

    /// Tokens of the frame that most usable samples of one frame have; `None` when no sample has one frame.
    pub fn frame_tokens(&self) -> Option<usize> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for length in self.lengths.iter().filter(|l| l.images == 1) {
            *counts.entry(length.image_tokens).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(tokens, n)| (*n, *tokens)).map(|(tokens, _)| tokens)
    }

    /// Positions in [`Self::usable`] from the shortest sample to the longest.
    pub fn by_length(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        order.sort_by_key(|i| (self.lengths[*i].tokens, self.lengths[*i].image_tokens));
        order
    }
}

/// Measures every sample, and fails when none can be trained on; `section` is that of the settings.
///
/// # Errors
/// As [`Survey::of`]; nothing usable at all, with the reasons counted.
pub fn survey(
    encoder: &Encoder,
    prompts: &Prompts,
    samples: &[Sample],
    (section, aim): (&str, Aim),
    max_length: usize,
    skip_bad: bool,
) -> Result<Survey> {
    let out = Survey::of(encoder, prompts, samples, aim, max_length, skip_bad)?;
    let (total, long, nothing) = (samples.len(), out.too_long.len(), out.nothing);
    match (out.too_long.iter().min(), out.bad.first()) {
        _ if !out.usable.is_empty() => Ok(out),
        (Some(over), _) => {
            let tokens = over + max_length;
            let more = if long < total { format!(" ({} others are unusable)", total - long) } else { String::new() };
            let message = format!(
                "all {long} samples are too long{more}: the shortest has {tokens} tokens, {max_length} are allowed"
            );
            Err(Failure::data(message).hint(format!("raise {section}.max_length, or lower {section}.max_pixels")))
        }
        (None, Some(first)) => {
            let bad = out.bad.len();
            Err(Failure::data(format!("no sample is left of {total}: {bad} are bad, {nothing} teach nothing; {first}"))
                .hint("see `reinsman data check`"))
        }
        (None, None) => Err(Failure::data(format!("none of {total} samples teaches anything"))
            .hint("training needs answers: plan labels or assistant turns; see `reinsman data stats`")),
    }
}

fn measure(encoder: &Encoder, prompts: &Prompts, sample: &Sample, aim: Aim) -> Result<Option<Length>> {
    let grids = || -> Result<Vec<[usize; 3]>> {
        let grid = |image| {
            let (width, height) = size(image)?;
            encoder.processor.grid(width, height)
        };
        sample.images.iter().map(grid).collect()
    };
    let layouts = match aim {
        Aim::Answer { think } => {
            let Some(lesson) = lesson(prompts, sample, think)? else { return Ok(None) };
            vec![encoder.layout(&lesson.turns, &grids()?, &lesson.unscored)?]
        }
        Aim::Pair => {
            let Some(rows) = rows(encoder, prompts, sample, &grids()?)? else { return Ok(None) };
            vec![rows.chosen, rows.rejected]
        }
    };
    let image_tokens = layouts.first().map_or(0, |layout| layout.images.iter().map(|span| span.len()).sum());
    let tokens = layouts.iter().map(|layout| layout.ids.len()).max().unwrap_or(0);
    let answer_tokens = layouts.iter().map(scored).sum();
    let taught = layouts.iter().all(|layout| scored(layout) > 0);
    Ok(taught.then_some(Length { tokens, image_tokens, answer_tokens, images: sample.images.len() }))
}

/// Width and height from the header where the file is plain; a picture that must be turned has the same token count.
/// Where anything is odd, decoding gives the message, or shows that all is well.
fn size(image: &Image) -> Result<(usize, usize)> {
    let loading = Loading::default();
    if let Image::File(path) = image
        && let Ok((width, height)) = ::image::image_dimensions(path)
        && width.max(height) as usize <= loading.max_side
        && has_end(path).unwrap_or(false)
    {
        return Ok((width as usize, height as usize));
    }
    Rgb::from_record(image, &loading).map(|picture| (picture.width, picture.height))
}

/// Whether the end mark of a JPEG or PNG is among the last bytes of a file: a cheap sign that it is whole.
fn has_end(path: &Path) -> std::io::Result<bool> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(1024)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail.windows(2).any(|w| w == [0xff, 0xd9]) || tail.windows(4).any(|w| w == b"IEND"))
}
