//! Asking a planner every question of a set: batches of left-padded rows, one log line per finished sample.
//!
//! The batches are cut from the whole set, not from what is left of it: after a stop the one that was under way is
//! asked again as a whole and only its missing samples are logged. So a sample always meets the same neighbours and the
//! same padding, and a run that was killed any number of times gives the replies of one that was not.

use super::{Decoding, Planner, Question, digest::short};
use crate::{
    error::{Failure, Kind, Result, io_at},
    train::examples::pictures,
    vlm::{encode::Encoded, image::Rgb},
};
use data::{Content, Image, Part, Role, Sample};
use eval::{Entry, Log, LogError, Probabilities, Reply, Writer, metrics::Truth};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// How a set is asked.
pub struct Evaluation<'a> {
    /// Who is asked.
    pub planner: &'a Planner,
    /// Ask for reasoning.
    pub think: bool,
    /// How answers are drawn.
    pub decoding: Decoding,
    /// Answers per sample.
    pub replies: usize,
    /// Samples per batch.
    pub batch: usize,
    /// Replace every frame by a grey one.
    pub blind: bool,
    /// Score all labels after each reply.
    pub probabilities: bool,
    /// Leave samples out that cannot be asked, instead of ending the run.
    pub skip_bad: bool,
}

/// A sample or record that was left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Bad {
    /// The sample, or the place of a record that could not be read.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Done {
    /// Samples left out because they cannot be asked.
    pub bad: Vec<Bad>,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

/// The log of a run: what is finished, and where the rest goes.
pub struct Book {
    /// What was finished before.
    pub log: Log,
    /// Takes the rest.
    pub writer: Writer,
    /// Digest of the run.
    pub digest: String,
}

impl Book {
    /// Writes a finished sample down.
    ///
    /// # Errors
    /// The disk.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        self.writer.append(entry).map_err(log_failure)
    }
}

/// A sample as the planner meets it.
struct Asked<'s> {
    sample: &'s Sample,
    question: Question,
    encoded: Encoded,
}

impl Evaluation<'_> {
    /// Asks what is not yet in the log. `stop` is looked at between batches.
    ///
    /// # Errors
    /// A sample that cannot be asked (unless `skip_bad`), device trouble, a log that cannot be written. What was
    /// finished is kept.
    pub fn run(
        &self,
        samples: &[Sample],
        book: &mut Book,
        stop: &dyn Fn() -> bool,
        on_entry: &mut dyn FnMut(&Entry),
    ) -> Result<Done> {
        let finished: BTreeSet<String> = book.log.entries.iter().map(|entry| entry.id.clone()).collect();
        let mut done = Done::default();
        for batch in samples.chunks(self.batch.max(1)) {
            if batch.iter().all(|sample| finished.contains(&sample.id)) {
                continue;
            }
            if stop() {
                done.stopped = true;
                break;
            }
            let rows = self.prepare(batch, &mut done.bad)?;
            if rows.is_empty() {
                continue;
            }
            let asked = rows.iter().map(|row| row.sample);
            let encoded: Vec<&Encoded> = rows.iter().map(|row| &row.encoded).collect();
            let seeds: Vec<u64> = asked.flat_map(|s| (0..self.replies).map(|k| self.seed(&s.id, k))).collect();
            let replies = self.planner.generate(&encoded, &seeds, &self.decoding, &mut |_, _| true)?;
            for (row, replies) in rows.iter().zip(replies.chunks(self.replies)) {
                let sample = row.sample;
                if finished.contains(&sample.id) {
                    continue;
                }
                let begin = Instant::now();
                let mut entry = blank_entry(sample, self.think, &book.digest);
                entry.prompt = short(row.encoded.ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>());
                entry.replies = replies.iter().map(|reply| Reply::read(reply.text.as_str())).collect();
                entry.tokens = Some(replies.iter().map(|reply| reply.ids.len()).sum());
                entry.cut = replies.iter().filter(|reply| reply.cut).count();
                entry.probabilities = self.label_probabilities(row, &entry)?;
                let share = replies.iter().map(|reply| reply.seconds).fold(0.0, f64::max) / rows.len() as f64;
                entry.seconds = share + begin.elapsed().as_secs_f64();
                book.append(&entry)?;
                on_entry(&entry);
            }
            book.writer.sync().map_err(log_failure)?;
        }
        Ok(done)
    }

    /// Pictures and questions of a batch as model input, bad samples left out.
    fn prepare<'s>(&self, batch: &'s [Sample], bad: &mut Vec<Bad>) -> Result<Vec<Asked<'s>>> {
        let prepared: Vec<Result<Asked>> = batch.par_iter().map(|sample| self.encode(sample)).collect();
        let mut rows = Vec::new();
        for (sample, prepared) in batch.iter().zip(prepared) {
            match prepared {
                Ok(row) => rows.push(row),
                Err(failure) if self.skip_bad && failure.kind == Kind::Data => {
                    let own = format!("sample {}: ", sample.id);
                    let reason = failure.message.strip_prefix(&own).unwrap_or(&failure.message).to_owned();
                    bad.push(Bad { id: sample.id.clone(), reason });
                }
                Err(failure) => return Err(or_skip(failure)),
            }
        }
        Ok(rows)
    }

    fn encode<'s>(&self, sample: &'s Sample) -> Result<Asked<'s>> {
        let mut images = pictures(sample)?;
        if self.blind {
            images.iter_mut().for_each(|image| *image = Rgb::filled(image.width, image.height, [127; 3]));
        }
        let named = |failure: Failure| failure.context(format!("sample {}", sample.id));
        let question = self.planner.question_of(sample, images, self.think).map_err(named)?;
        let encoded = self.planner.encode(&question).map_err(named)?;
        Ok(Asked { sample, question, encoded })
    }

    /// The stream of a reply is its own: it does not depend on the batch or on what was asked before.
    fn seed(&self, id: &str, reply: usize) -> u64 {
        let name = short(format!("{} {reply} {id}", self.decoding.seed));
        u64::from_str_radix(&name, 16).unwrap_or_default()
    }

    /// The labels' probabilities after the reasoning of the first reply; none when it is no plan.
    fn label_probabilities(&self, row: &Asked, entry: &Entry) -> Result<Option<Probabilities>> {
        let Some((reply, plan)) = entry.replies.first().and_then(|r| Some((r, r.plan()?))) else { return Ok(None) };
        if !self.probabilities {
            return Ok(None);
        }
        let before = reply.text.split("<answer>").next().unwrap_or_default();
        let scored = self.planner.probabilities(&row.question, before, Some(plan.action.speed))?;
        let map = |labels: Vec<&str>, values: &[f64]| -> BTreeMap<String, f64> {
            labels.into_iter().map(str::to_owned).zip(values.iter().copied()).collect()
        };
        Ok(Some(Probabilities {
            speed: map(scene::SpeedAction::ALL.iter().map(|l| l.as_str()).collect(), &scored.speed),
            path: map(scene::PathAction::ALL.iter().map(|l| l.as_str()).collect(), &scored.path),
        }))
    }
}

/// Gives every sample the same answer, without a model.
///
/// # Errors
/// A log that cannot be written.
pub fn answer_all(
    text: &str,
    samples: &[Sample],
    book: &mut Book,
    stop: &dyn Fn() -> bool,
    on_entry: &mut dyn FnMut(&Entry),
) -> Result<Done> {
    let finished: BTreeSet<String> = book.log.entries.iter().map(|entry| entry.id.clone()).collect();
    let mut done = Done::default();
    for sample in samples.iter().filter(|sample| !finished.contains(&sample.id)) {
        if stop() {
            done.stopped = true;
            break;
        }
        let mut entry = blank_entry(sample, false, &book.digest);
        entry.replies = vec![Reply::read(text)];
        book.append(&entry)?;
        on_entry(&entry);
    }
    book.writer.sync().map_err(log_failure)?;
    Ok(done)
}

/// What a log keeps of a sample besides the reply.
pub(crate) fn blank_entry(sample: &Sample, think: bool, digest: &str) -> Entry {
    let command = match &sample.content {
        Content::Planning { ego, .. } => Some(ego.command.0.clone()),
        Content::Conversation { .. } => None,
    };
    let frame = sample.images.last().and_then(|image| match image {
        Image::File(path) => Some(path.display().to_string()),
        Image::Bytes(_) => None,
    });
    Entry {
        id: sample.id.clone(),
        digest: digest.into(),
        prompt: String::new(),
        clip: sample.clip.clone(),
        frame,
        speed_mps: sample.speed_mps(),
        command,
        truth: Truth { speed: sample.labels.speed, path: sample.labels.path },
        reasoning: if think { annotated_reasoning(sample) } else { None },
        replies: Vec::new(),
        probabilities: None,
        scores: BTreeMap::new(),
        tokens: None,
        cut: 0,
        seconds: 0.0,
    }
}

/// The reasoning that the reply is compared with: that of the record, or what the last answer says between its tags.
fn annotated_reasoning(sample: &Sample) -> Option<String> {
    let text = match &sample.content {
        Content::Planning { reasoning, .. } => reasoning.clone()?,
        Content::Conversation { turns } => {
            let answer = turns.iter().rev().find(|turn| turn.role == Role::Assistant)?;
            let text = |part: &Part| if let Part::Text(text) = part { Some(text.clone()) } else { None };
            let text: String = answer.parts.iter().filter_map(text).collect();
            let (_, rest) = text.split_once("<think>")?;
            rest.split_once("</think>")?.0.to_owned()
        }
    };
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Adds the way around a sample that cannot be asked.
pub fn or_skip(failure: Failure) -> Failure {
    if failure.kind != Kind::Data {
        return failure;
    }
    let skip = "--skip-bad to leave it out";
    let hint = failure.hint.clone().map_or(skip.to_owned(), |hint| format!("{hint}, or {skip}"));
    failure.hint(hint)
}

/// A log's error as the program's: a log of another run is a matter of usage, the rest of the disk.
pub fn log_failure(error: LogError) -> Failure {
    match error {
        LogError::Io { path, source } => io_at(&path)(source),
        LogError::OtherDigest { .. } => Failure::usage(error.to_string()),
        LogError::NotALog { .. } | LogError::BadEntry { .. } => Failure::data(error.to_string()),
    }
}
