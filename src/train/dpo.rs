//! Direct preference optimisation (Rafailov et al. 2023), to be read from top to bottom: [`Trainer::new`] puts everything
//! together, [`Trainer::run`] is the loop, [`Trainer::step`] one optimizer step, [`Trainer::micro`] one forward and
//! backward pass over some pairs, each a row with the chosen and a row with the rejected answer.
//!
//! The loss is the mean over the pairs of a micro-batch, and micro-batch means are averaged. Everything random is a
//! function of the seed and the step, so a resumed run repeats the uninterrupted one bit by bit.
//!
//! Deviations from TRL 1.16:
//! 1. Every pair is scored once under the reference, when it first comes or before training; TRL's default does it again
//!    in every epoch.
//! 2. What a user says inside an answer of several turns carries no loss.
//! 3. A loss or gradient that is not finite skips the update instead of being trained on.

mod compare;
mod report;
mod setup;

pub use compare::Pair;
pub use report::Report;

use super::{
    adamw::{AdamW, Outcome},
    checkpoint::Checkpoint,
    clip::{Gradients, clip_coefficient},
    common::{self, EVAL_LIMIT, MAX_BAD},
    examples::Recipe,
    features::{self, Features},
    metrics::Metrics,
    order::Order,
    padded::Padded,
    progress::Progress,
    reference::Reference,
    rl::dpo::{DpoLoss, DpoOptions, Pairs, dpo_loss},
    run::Run,
    schedule::Schedule,
    segment::Pass,
    signals::Stop,
    snapshot::{self, Saved, State},
};
use crate::{
    error::{Failure, Kind, Result},
    policy::Planner,
    settings::{Dpo, Settings},
    vlm::Targets,
};
use candle_core::Tensor;
use compare::{Batched, Kept, Logps, Place};
use data::{Sample, balance::Balance};
use report::Told;

/// A training run in memory.
pub struct Trainer<'a> {
    /// The planner being taught.
    pub planner: &'a Planner,
    settings: &'a Settings,
    train: &'a [Sample],
    val: &'a [Sample],
    kept: Kept,
    loss: DpoOptions,
    order: Order,
    schedule: Schedule,
    features: Option<Features>,
    optimizer: AdamW,
    state: State,
    total: u64,
}

/// Fails on settings of the loss that do not fit together.
///
/// # Errors
/// Usage, naming the setting.
pub fn check(dpo: &Dpo) -> Result<()> {
    setup::loss(dpo).map(|_| ())
}

impl<'a> Trainer<'a> {
    /// Puts a run together. Every sample must be a preference pair.
    ///
    /// # Errors
    /// Settings that do not fit the model or the data.
    pub fn new(
        planner: &'a Planner,
        settings: &'a Settings,
        train: &'a [Sample],
        val: &'a [Sample],
        reference: Reference,
    ) -> Result<Self> {
        let dpo = &settings.dpo;
        if planner.vlm.vars().is_empty() {
            return Err(Failure::usage("nothing is trainable").hint("set model.train to lora, full, text or vision"));
        }
        if train.is_empty() {
            return Err(Failure::data("no pair to train on"));
        }
        let total = setup::total_steps(dpo, train.len());
        Ok(Trainer {
            planner,
            settings,
            train,
            val,
            kept: Kept::new(reference),
            loss: setup::loss(dpo)?,
            order: Order::new(train, Balance::None, true, dpo.seed),
            schedule: setup::schedule(dpo, total)?,
            features: Features::fit(planner, &Recipe::plain(true)).then(|| Features::new(features::BUDGET)),
            optimizer: AdamW::new(planner.vlm.vars(), setup::optimizer(dpo))?,
            state: State::new(train),
            total,
        })
    }

    /// Steps in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Continues from a checkpoint, whose weights the planner already has. Returns a warning when the training samples
    /// have changed since and `anyway` allows it.
    ///
    /// # Errors
    /// A checkpoint of another run; exit 2 for changed samples.
    pub fn restore(&mut self, from: &Checkpoint, anyway: bool) -> Result<Option<String>> {
        self.state.resume(from, &mut self.optimizer, None, anyway)
    }

    /// Trains to the end or until asked to stop.
    ///
    /// # Errors
    /// Exit 75 when stopped on request (everything saved), 4 after five broken steps in a row, 3 when data cannot be
    /// read (everything saved) or saving keeps failing.
    pub fn run(&mut self, run: &Run, progress: &mut Progress, stop: &Stop) -> Result<()> {
        let mut metrics = run.metrics(self.state.metrics_bytes, progress)?;
        let mut saved = Saved::of(run, self.state.step);
        if self.settings.dpo.precompute_ref_log_probs && self.state.step < self.total {
            self.precompute(progress, stop)?;
        }
        let mut told = Told::from(self.state.step);
        loop {
            // After the save, so that a stop need not wait for it; a resumed run repeats it.
            let evaluated = self.evaluate(&mut metrics, progress, stop)?;
            if evaluated && self.state.step == self.total {
                progress.finish();
                return Ok(());
            }
            if stop.requested() {
                self.save(run, progress, &mut metrics, &mut saved, true)?;
                progress.finish();
                return Err(Stop::resumable("dpo", saved.dir.as_deref(), &run.dir));
            }
            let report = match self.step() {
                Ok(report) => report,
                Err(failure) => {
                    match self.save(run, progress, &mut metrics, &mut saved, true) {
                        Ok(()) => progress.note(&format!("{} steps are saved", saved.step)),
                        Err(unsaved) => progress.note(&unsaved.to_string()),
                    }
                    return Err(failure);
                }
            };
            self.state.step += 1;
            let (step, dpo) = (self.state.step, &self.settings.dpo);
            let last = step == self.total;
            if step.is_multiple_of(dpo.logging_steps as u64) || last || report.skipped.is_some() {
                let epoch = (step * self.pairs_per_step() as u64) as f64 / self.train.len() as f64;
                metrics.write(&report.line(step, epoch, self.state.num_tokens))?;
            }
            told.progress(progress, &report, step, self.total);
            if let Some(why) = &report.skipped {
                progress.note(&format!("step {step} skipped: {why}; samples {}", report.ids.join(", ")));
                if self.state.bad_in_a_row >= MAX_BAD {
                    let model = (self.planner, None);
                    return Err(common::broken("dpo", model, (why, &report.ids), &saved));
                }
            }
            if last || step.is_multiple_of(dpo.save_steps as u64) {
                self.save(run, progress, &mut metrics, &mut saved, last)?;
            }
        }
    }

    /// Saves unless this step is saved already. A failure ends training when it `must` succeed or keeps happening.
    fn save(
        &self,
        run: &Run,
        progress: &mut Progress,
        metrics: &mut Metrics,
        saved: &mut Saved,
        must: bool,
    ) -> Result<()> {
        let how = (self.state.step, self.settings.dpo.save_total_limit, must);
        saved.save(run, progress, how, &self.settings.digest(), || {
            let state = State { metrics_bytes: metrics.offset()?, ..self.state.clone() };
            snapshot::files(self.planner, &self.optimizer, None, &state)
        })
    }

    /// What a save needs beside the disk, for its memory.
    ///
    /// # Errors
    /// Exit 4 naming a weight that is not finite.
    pub fn rehearse_save(&self) -> Result<()> {
        snapshot::files(self.planner, &self.optimizer, None, &self.state).map(|_| ())
    }

    /// Scores every pair under the reference and lets go of it. Cut short by a request to stop.
    fn precompute(&mut self, progress: &mut Progress, stop: &Stop) -> Result<()> {
        let (train, val) = (self.train, self.held_out());
        let places = (0..train.len()).map(Place::Train).chain((0..val.len()).map(Place::Val));
        let total = train.len() + val.len();
        for (done, place) in places.enumerate() {
            if stop.requested() {
                return Ok(()); // the loop stops before its first step
            }
            let (sample, features) = match place {
                Place::Train(i) => (&train[i], self.features.as_mut()),
                Place::Val(i) => (&val[i], None),
            };
            let pairs = Pair::of(self.planner, features, &[sample])?;
            pairs.iter().try_for_each(|pair| self.kept.of(self.planner, place, pair).map(|_| ()))?;
            progress.line(done + 1 == total, || format!("pair {}/{total} scored under the reference", done + 1));
        }
        self.kept.release();
        Ok(())
    }

    /// The samples that evaluations look at.
    fn held_out(&self) -> &'a [Sample] {
        &self.val[..self.val.len().min(EVAL_LIMIT)]
    }

    /// Where one is due: the loss and its metrics on held-out pairs. False when cut short by a request to stop.
    fn evaluate(&mut self, metrics: &mut Metrics, progress: &mut Progress, stop: &Stop) -> Result<bool> {
        let (dpo, step, val) = (&self.settings.dpo, self.state.step, self.held_out());
        let due =
            step == self.total || (step > 0 && dpo.eval_steps.is_some_and(|every| step.is_multiple_of(every as u64)));
        if !due || val.is_empty() {
            return Ok(true);
        }
        let (planner, size) = (self.planner, dpo.per_device_train_batch_size);
        let (frozen, mut report) = (planner.vlm.frozen()?, Report::default());
        for (part, samples) in val.chunks(size).enumerate() {
            if stop.requested() {
                return Ok(false);
            }
            let pairs = Pair::of(planner, None, &samples.iter().collect::<Vec<_>>())?;
            let places = (part * size..).map(Place::Val);
            let reference = self.refer(places, &pairs)?;
            let Batched { batch, targets, images } = Batched::new(planner, frozen, &pairs)?;
            let hidden = frozen.forward(&batch, images.as_ref(), None, None)?;
            let (logps, _) = frozen.token_logps(&hidden, &targets.rows, &targets.ids, 1.0)?;
            match self.compare(&logps, &targets, &reference) {
                Ok(found) => report.add(&found, pairs.len(), chosen_tokens(&targets)),
                Err(failure) if failure.kind == Kind::Device => progress.note(&format!("held out: {failure}")),
                Err(failure) => return Err(failure),
            }
        }
        progress.note(&format!("step {step}  held out: {}", report.text()));
        metrics.write(&report.evaluation(step, val.len()))?;
        Ok(true)
    }

    /// Pairs of an optimizer step.
    pub fn pairs_per_step(&self) -> usize {
        self.settings.dpo.per_device_train_batch_size * self.settings.dpo.gradient_accumulation_steps
    }

    /// One optimizer step: all its micro-batches, then clip and update, or nothing at all when a number is broken.
    ///
    /// # Errors
    /// Pictures that cannot be read, device trouble.
    pub fn step(&mut self) -> Result<Report> {
        let n = self.pairs_per_step() as u64;
        let from = self.state.step * n;
        let picks: Vec<usize> = (from..from + n).map(|position| self.order.at(position)).collect();
        self.learn(&picks)
    }

    /// A step on chosen pairs, to measure what it costs. It changes the weights in memory.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn rehearse(&mut self, picks: &[usize]) -> Result<Report> {
        self.learn(picks)
    }

    fn learn(&mut self, picks: &[usize]) -> Result<Report> {
        let (dpo, train) = (&self.settings.dpo, self.train);
        let mut report = Report { lr: self.schedule.lr(self.state.step), ..Report::default() };
        report.ids = picks.iter().map(|pick| train[*pick].id.clone()).collect();
        let mut gradients = Gradients::default();
        let parts = picks.chunks(dpo.per_device_train_batch_size);
        let scale = 1.0 / parts.len() as f64;
        for picks in parts {
            let samples: Vec<&'a Sample> = picks.iter().map(|pick| &train[*pick]).collect();
            let pairs = Pair::of(self.planner, self.features.as_mut(), &samples)?;
            let reference = self.refer(picks.iter().map(|pick| Place::Train(*pick)), &pairs)?;
            match self.micro(&pairs, &reference, &mut report)? {
                Ok(more) => gradients.add(more)?,
                Err(why) => {
                    report.skipped = Some(why);
                    break;
                }
            }
        }
        self.state.num_tokens += report.tokens;
        if report.skipped.is_none() {
            gradients.scale(scale)?;
            report.grad_norm = gradients.norm()?;
            let clip = clip_coefficient(report.grad_norm, dpo.max_grad_norm);
            report.skipped =
                match self.optimizer.step(&gradients, report.lr, if clip.is_finite() { clip } else { 1.0 })? {
                    Outcome::Stepped => None,
                    Outcome::Refused { tensors } => Some(common::not_finite(&tensors)),
                };
        }
        self.state.bad_in_a_row = if report.skipped.is_some() { self.state.bad_in_a_row + 1 } else { 0 };
        Ok(report)
    }

    /// Log-probabilities of pairs under the reference.
    fn refer(&mut self, places: impl Iterator<Item = Place>, pairs: &[Pair]) -> Result<Vec<Logps>> {
        places.zip(pairs).map(|(place, pair)| self.kept.of(self.planner, place, pair)).collect()
    }

    /// Forward and backward of some pairs; the inner error is why their numbers cannot be used.
    fn micro(&self, pairs: &[Pair], reference: &[Logps], report: &mut Report) -> Result<Result<Gradients, String>> {
        let vlm = &self.planner.vlm;
        let Batched { batch, targets, images } = Batched::new(self.planner, vlm, pairs)?;
        report.tokens += batch.lens.iter().sum::<usize>() as u64;
        let checkpointing = self.settings.dpo.gradient_checkpointing.on(vlm.parameter_count());
        let pass = Pass { vlm, batch: &batch, images: images.as_ref(), vars: vlm.vars(), checkpointing };
        let mut broken = None;
        let (_, gradients) = pass.gradients(|hidden, _| {
            let (logps, _) = vlm.token_logps(hidden, &targets.rows, &targets.ids, 1.0)?;
            match self.compare(&logps, &targets, reference) {
                Ok(found) => {
                    report.add(&found, pairs.len(), chosen_tokens(&targets));
                    Ok(found.loss)
                }
                Err(failure) if failure.kind == Kind::Device => {
                    let ids: Vec<&str> = pairs.iter().map(|pair| pair.sample.id.as_str()).collect();
                    broken = Some(format!("{} (of {})", failure.message, ids.join(", ")));
                    Ok((logps.sum_all()? * 0.0)?)
                }
                Err(failure) => Err(failure),
            }
        })?;
        Ok(match broken {
            Some(why) => Err(why),
            None => Ok(gradients),
        })
    }

    /// The loss from the log-probabilities `(R)` of all scored tokens, those of the chosen answers first.
    fn compare(&self, logps: &Tensor, targets: &Targets, reference: &[Logps]) -> Result<DpoLoss> {
        let padded = Padded::new(&targets.per_row, logps.device());
        let side = |at: usize| reference.iter().map(move |logps| logps[at].as_slice());
        let (logps, ref_logps, mask) = (padded.of(logps)?, padded.rows(side(0).chain(side(1)))?, padded.mask()?);
        dpo_loss(&Pairs { logps: &logps, ref_logps: &ref_logps, mask: &mask }, &self.loss)
    }
}

/// Scored tokens of the chosen answers, the first half of the rows.
fn chosen_tokens(targets: &Targets) -> usize {
    targets.per_row[..targets.per_row.len() / 2].iter().sum()
}
