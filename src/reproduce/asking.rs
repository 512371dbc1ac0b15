//! What an arm answers on held-out frames: the most probable answer to every frame, several drawn ones to some, and the
//! most probable one without the picture. The logs are those of `reinsman eval`.

use super::{arms::Job, recipe::Measuring};
use crate::{
    error::{Result, io_at},
    policy::{
        Planner,
        evaluate::{blank_entry, log_failure},
    },
    train::{
        features::Features,
        grpo::rollout::{Group, Prompt, Sampling, sample},
        signals::Stop,
    },
    vlm::sampling::SamplingParams,
};
use data::Sample;
use eval::{Log, Reply, Writer};
use std::path::{Path, PathBuf};

/// Seed of the draws, the same for every arm.
const SEED: u64 = 0;

/// Who is asked, and how.
pub struct Asking<'a> {
    /// The planner.
    pub planner: &'a Planner,
    /// Picture features.
    pub features: &'a mut Features,
    /// Whether to stop.
    pub stop: &'a Stop,
    /// What it is the planner of.
    pub job: &'a Job<'a>,
    /// How arms are measured.
    pub how: &'a Measuring,
}

/// A log of a run folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The most probable answers.
    Greedy,
    /// Several drawn ones.
    Drawn,
    /// The most probable ones without the picture.
    Blind,
}

/// The file of a log.
pub fn file(dir: &Path, kind: Kind) -> PathBuf {
    dir.join(match kind {
        Kind::Greedy => "samples.jsonl",
        Kind::Drawn => "samples-drawn.jsonl",
        Kind::Blind => "samples-blind.jsonl",
    })
}

/// Reads a log back; `None` when there is none.
///
/// # Errors
/// A file that is no log.
pub fn read(dir: &Path, kind: Kind) -> Result<Option<Log>> {
    let log = Log::read(&file(dir, kind), None).map_err(log_failure)?;
    Ok(Some(log).filter(|log| !log.entries.is_empty()))
}

/// The frames that several answers are drawn for: spread over all of them.
pub fn spread(samples: &[Sample], count: usize) -> Vec<&Sample> {
    (0..count).filter_map(|i| samples.get(i * samples.len() / count.max(1))).collect()
}

impl Asking<'_> {
    /// Writes the logs that the arm is to have. False when asked to stop before the end.
    ///
    /// # Errors
    /// Device trouble, the disk.
    pub fn measure(&mut self, test: &[Sample], grey: &[Sample]) -> Result<bool> {
        let all: Vec<&Sample> = test.iter().collect();
        let mut whole = self.ask(Kind::Greedy, &all)?;
        if whole && self.job.arm.samples {
            whole = self.ask(Kind::Drawn, &spread(test, self.how.frames))?;
        }
        if whole && self.job.arm.blind {
            whole = self.ask(Kind::Blind, &grey.iter().collect::<Vec<_>>())?;
        }
        Ok(whole)
    }

    fn ask(&mut self, kind: Kind, samples: &[&Sample]) -> Result<bool> {
        let path = file(&self.job.dir, kind);
        if path.exists() {
            // Of a start that was stopped: batches decide by rounding what is said, so it begins again.
            std::fs::remove_file(&path).map_err(io_at(&path))?;
        }
        let digest = format!("{}/{}/{}/{kind:?}", self.job.size.name, self.job.arm.id, self.job.seed);
        let (mut writer, _) = Writer::open(&path, &digest).map_err(log_failure)?;
        let drawn = kind == Kind::Drawn;
        let sampling = Sampling {
            min_new_tokens: 0,
            generations: if drawn { self.how.samples } else { 1 },
            max_new_tokens: self.how.max_new_tokens,
            params: SamplingParams { do_sample: drawn, temperature: 1.0, ..SamplingParams::default() },
            seed: SEED,
        };
        let rows = (self.how.batch / sampling.generations).max(1);
        for (step, batch) in samples.chunks(rows).enumerate() {
            if self.stop.requested() {
                return Ok(false);
            }
            let prompts = Prompt::of(self.planner, Some(&mut *self.features), batch, self.job.arm.think)?;
            for Group { prompt, answers } in sample(self.planner, prompts, &sampling, (step as u64, 0))? {
                let mut entry = blank_entry(prompt.sample, self.job.arm.think, &digest);
                entry.replies = answers.iter().map(|answer| Reply::read(answer.text.as_str())).collect();
                entry.tokens = Some(answers.iter().map(|answer| answer.ids.len()).sum());
                entry.cut = answers.iter().filter(|answer| answer.cut).count();
                writer.append(&entry).map_err(log_failure)?;
            }
        }
        writer.sync().map_err(log_failure)?;
        Ok(true)
    }
}
