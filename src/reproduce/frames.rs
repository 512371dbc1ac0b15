//! What a reproduction trains and is measured on: frames of the simulator, in a folder of the run.
//!
//! ```text
//! OUT/frames/  train.jsonl  test.jsonl  train-SIZE.jsonl (its first records)  dealt.jsonl (for the base)  frames/
//! ```

use super::recipe::{Frames, Recipe};
use crate::{
    error::{Failure, Result, io_at},
    files::{RealFs, write_atomic},
    generate::{self, Look, Split, camera, set},
    streams::Stream,
    train::progress::Progress,
};
use data::{Content, Image, ReadOptions, Sample, record};
use sim::{driver::Driver, families};
use std::path::{Path, PathBuf};

/// Records and where they are.
pub struct Set {
    folder: PathBuf,
    /// Training records, all of them.
    pub train: Vec<Sample>,
    /// Held-out records.
    pub test: Vec<Sample>,
}

impl Set {
    /// Generates what is not there yet and reads it.
    ///
    /// # Errors
    /// Unknown families and cameras exit 2, the disk 3.
    pub fn make(recipe: &Recipe, folder: &Path, progress: &mut Progress) -> Result<Set> {
        std::fs::create_dir_all(folder).map_err(io_at(folder))?;
        let how = generator(&recipe.frames)?;
        let mut read = |split: Split, count: usize| -> Result<Vec<Sample>> {
            let file = set::file(folder, split);
            if !file.exists() {
                let told = &mut |n: usize| {
                    progress.line(n >= count, || format!("frames: {} {n}/{count}", split.as_str()));
                };
                set::write(&how, split, count, folder, told)?;
            }
            let found = data::load(&file, &ReadOptions::default())?.samples;
            if found.len() < count {
                let message = format!("{} holds {} records, {count} are needed", file.display(), found.len());
                return Err(Failure::data(message).hint("remove the folder to generate them anew"));
            }
            Ok(found)
        };
        let (train, test) = (read(Split::Train, recipe.train_frames())?, read(Split::Test, recipe.frames.test)?);
        progress.finish();
        let set = Set { folder: folder.into(), train, test };
        for size in &recipe.sizes {
            set.write(&set.file(&size.name), &set.train[..size.frames])?;
        }
        set.write(&set.dealt_file(), &dealt(&set.train, recipe.base.seed))?;
        Ok(set)
    }

    /// The records of a size.
    pub fn file(&self, size: &str) -> PathBuf {
        self.folder.join(format!("train-{size}.jsonl"))
    }

    /// The records that the base learns from.
    pub fn dealt_file(&self) -> PathBuf {
        self.folder.join("dealt.jsonl")
    }

    fn write(&self, file: &Path, samples: &[Sample]) -> Result<()> {
        let lines: String = samples.iter().map(|s| format!("{}\n", record::to_value(s, &self.folder))).collect();
        write_atomic(&RealFs, file, lines.as_bytes())
    }
}

fn generator(frames: &Frames) -> Result<generate::Recipe> {
    let find = |name: &String| {
        families::ALL.iter().find(|family| family.name == name).ok_or_else(|| {
            let known: Vec<&str> = families::ALL.iter().map(|f| f.name).collect();
            Failure::usage(format!("unknown scenario family {name:?}")).hint(format!("known are {}", known.join(", ")))
        })
    };
    let families = frames.families.iter().map(find).collect::<Result<Vec<_>>>()?;
    let (camera, look) = (camera(&frames.camera)?, Look::Both);
    let (drivers, seed, pool) = (vec![Driver::Expert], frames.seed, frames.pool);
    Ok(generate::Recipe { families, drivers, camera, look, seed, pool, questions: false })
}

/// The records with their answers dealt anew, so that they tell words and form and nothing about driving; every second
/// one without reasoning, so that both forms are known.
pub fn dealt(samples: &[Sample], seed: u64) -> Vec<Sample> {
    let mut from: Vec<usize> = (0..samples.len()).collect();
    Stream::new(seed, "dealt").shuffle(&mut from);
    let deal = |(i, (sample, from)): (usize, (&Sample, usize))| {
        let mut sample = sample.clone();
        let (labels, content) = (samples[from].labels.clone(), &samples[from].content);
        sample.labels = data::Labels { future: None, ..labels };
        if let (Content::Planning { reasoning, .. }, Content::Planning { reasoning: other, .. }) =
            (&mut sample.content, content)
        {
            *reasoning = other.clone().filter(|_| i.is_multiple_of(2));
        }
        sample.aux.clear();
        sample.extra.clear();
        sample
    };
    samples.iter().zip(from).enumerate().map(deal).collect()
}

/// The same questions about grey pictures of the same size.
///
/// # Errors
/// Pictures that cannot be read or written.
pub fn without_pictures(samples: &[Sample]) -> Result<Vec<Sample>> {
    let Some(first) = samples.iter().find_map(|sample| Some((sample, sample.images.first()?))) else {
        return Ok(samples.to_vec());
    };
    let size = crate::train::examples::picture(first.0, first.1)?;
    let grey = image::RgbImage::from_pixel(size.width as u32, size.height as u32, image::Rgb([127; 3]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    grey.write_to(&mut bytes, image::ImageFormat::Png).map_err(|e| Failure::data(format!("a grey picture: {e}")))?;
    let image = Image::Bytes(bytes.into_inner().into());
    let blind = |sample: &Sample| Sample { images: vec![image.clone(); sample.images.len()], ..sample.clone() };
    Ok(samples.iter().map(blind).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dealing_keeps_questions_and_answers_but_not_their_pairs() {
        let records = concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/real_drive/train.jsonl");
        let samples = data::load(records.as_ref(), &ReadOptions::default()).unwrap().samples;
        let dealt = dealt(&samples, 1);
        let asked = |s: &Sample| (s.id.clone(), s.images.clone(), s.speed_mps().map(f64::to_bits));
        assert!(samples.iter().zip(&dealt).all(|(a, b)| asked(a) == asked(b)));
        let answers = |all: &[Sample]| {
            let mut all: Vec<String> = all.iter().map(|s| format!("{:?}", (s.labels.speed, s.labels.path))).collect();
            all.sort();
            all
        };
        assert_eq!(answers(&samples), answers(&dealt));
        assert_ne!(dealt, super::dealt(&samples, 2));
        let moved = samples.iter().zip(&dealt).filter(|(a, b)| a.labels.path != b.labels.path).count();
        assert!(moved > samples.len() / 10, "{moved}");
        let thinking = |s: &&Sample| matches!(&s.content, Content::Planning { reasoning: Some(_), .. });
        assert!(dealt.iter().filter(thinking).count() <= samples.len() / 2 + 1);
    }
}
