//! Group relative policy optimisation (Shao et al. 2024, DeepSeekMath), to be read from top to bottom: [`Trainer::new`]
//! puts everything together, [`Trainer::run`] is the loop, [`Trainer::step`] draws groups of answers to prompts (`draw`),
//! compares their rewards and learns from them, [`Trainer::update`] is one optimizer step, [`Trainer::micro`] one forward
//! and backward pass over answers to one prompt.
//!
//! Everything random is a function of the seed and the state, so a resumed run repeats the uninterrupted one bit by bit.
//!
//! Deviations from TRL 1.16:
//! 1. A step is one batch of answers with all its `num_iterations` updates.
//! 2. The adapter's dropout stays off: a ratio between two random networks says nothing about the policy.
//! 3. Old log-probabilities are those of the first update pass, not of a pass of their own: the same numbers.
//! 4. The reference of an adapter that was trained before is that adapter, as it was when training started.
//! 5. A reward, loss or gradient that is not finite skips the update instead of being trained on.
//! 6. Sampling log-probabilities are always known, so the importance ratio between trainer and sampler and the off-policy
//!    mask see them in every run, where TRL has them from vLLM only.
//! 7. With `dynamic_sample` (not in TRL) rewards and answers are told of all groups that were drawn.

mod ask;
mod draw;
pub mod driven;
mod health;
pub mod judge;
mod overlong;
mod report;
pub mod rollout;
mod setup;
pub mod utility;

pub use report::Report;

use super::{
    adamw::{AdamW, Outcome},
    checkpoint::Checkpoint,
    clip::{Gradients, clip_coefficient},
    common::{self, MAX_BAD},
    examples::Recipe,
    features::{self, Features},
    metrics::Metrics,
    order::Order,
    padded::Padded,
    progress::Progress,
    reference::Reference,
    rl::loss::{Completions, LossOptions, policy_loss},
    run::Run,
    schedule::Schedule,
    segment::Pass,
    signals::Stop,
    snapshot::{self, Saved, State},
};
use crate::{
    error::{Failure, Kind, Result},
    policy::Planner,
    settings::Settings,
    vlm::{Batch, Row, Targets, processor::Pixels},
};
use candle_core::DType;
use data::{Content, Sample};
use draw::Drawn;
use health::Health;
use judge::Judge;
use report::Told;
use rollout::{Answer, Group, Prompt, Sampling};

/// A training run in memory.
pub struct Trainer<'a> {
    /// The planner being taught.
    pub planner: &'a Planner,
    settings: &'a Settings,
    train: &'a [Sample],
    val: &'a [Sample],
    judge: Judge,
    reference: Option<Reference>,
    sampling: Sampling,
    loss: LossOptions,
    order: Order,
    schedule: Schedule,
    features: Option<Features>,
    optimizer: AdamW,
    state: State,
}

impl<'a> Trainer<'a> {
    /// Puts a run together. Every sample of `train` must have a label to be compared with; `reference` is needed when
    /// `grpo.beta` is not 0.
    ///
    /// # Errors
    /// Settings that do not fit the model or the data.
    pub fn new(
        planner: &'a Planner,
        settings: &'a Settings,
        train: &'a [Sample],
        val: &'a [Sample],
        judge: Judge,
        reference: Option<Reference>,
    ) -> Result<Self> {
        let grpo = &settings.grpo;
        if planner.vlm.vars().is_empty() {
            return Err(Failure::usage("nothing is trainable").hint("set model.train to lora, full, text or vision"));
        }
        if train.is_empty() {
            return Err(Failure::data("no sample to train on"));
        }
        if grpo.beta > 0.0 && reference.is_none() {
            return Err(Failure::usage(format!("grpo.beta is {}, but there is no reference policy", grpo.beta)));
        }
        let asked = planner.prompts.answers();
        if asked != grpo.num_answers {
            let message = format!("grpo.num_answers is {}, but the prompts ask for {asked}", grpo.num_answers);
            return Err(Failure::usage(message));
        }
        if let Some(sample) = train.iter().find(|s| asked > 1 && matches!(s.content, Content::Conversation { .. })) {
            let message = format!("sample {} asks in its own words, not for {asked} plans", sample.id);
            return Err(Failure::usage(message).hint("grpo.num_answers above 1 needs records with an ego state"));
        }
        judge.utility.as_ref().map_or(Ok(()), |utility| utility.fits(planner))?;
        let judge = match grpo.soft_cache_length {
            0 => judge,
            cache => overlong::with_soft_overlong(judge, grpo.max_completion_length, cache),
        };
        Ok(Trainer {
            planner,
            settings,
            train,
            val,
            judge,
            reference: reference.filter(|_| grpo.beta > 0.0),
            sampling: setup::sampling(grpo),
            loss: setup::loss(grpo),
            order: Order::new(train, setup::balance(grpo.class_balance), true, grpo.seed),
            schedule: setup::schedule(grpo)?,
            features: Features::fit(planner, &Recipe::plain(grpo.think)).then(|| Features::new(features::BUDGET)),
            optimizer: AdamW::new(planner.vlm.vars(), setup::optimizer(grpo))?,
            state: State::new(train),
        })
    }

    /// Steps in all.
    pub fn total(&self) -> u64 {
        self.settings.grpo.max_steps as u64
    }

    /// Exchanges the kept features of pictures with others, so that runs over one frozen tower encode each picture once.
    pub fn exchange_features(&mut self, other: &mut Features) {
        if let Some(own) = &mut self.features {
            std::mem::swap(own, other);
        }
    }

    /// Continues from a checkpoint, whose weights the planner already has. Returns a warning when the training samples
    /// have changed since and `anyway` allows it.
    ///
    /// # Errors
    /// A checkpoint of another run; exit 2 for changed samples.
    pub fn restore(&mut self, from: &Checkpoint, anyway: bool) -> Result<Option<String>> {
        let warning = self.state.resume(from, &mut self.optimizer, None, anyway)?;
        if self.state.cursor == 0 {
            // Written when every step took the same number of prompts.
            self.state.cursor = self.state.step * self.settings.grpo.prompts_per_step as u64;
        }
        Ok(warning)
    }

    /// Trains to the end or until asked to stop.
    ///
    /// # Errors
    /// Exit 75 when stopped on request (everything saved), 4 after five broken steps in a row, 3 when data cannot be
    /// read (everything saved) or saving keeps failing.
    pub fn run(&mut self, run: &Run, progress: &mut Progress, stop: &Stop) -> Result<()> {
        let mut told = Told::open(run, &self.state, progress)?;
        let mut saved = Saved::of(run, self.state.step);
        let mut health = Health::default();
        loop {
            // After the save, so that a stop need not wait for it; a resumed run repeats it.
            let evaluated = self.evaluate(&mut told.metrics, progress, stop)?;
            if evaluated && self.state.step == self.total() {
                progress.finish();
                return Ok(());
            }
            if stop.requested() {
                self.save(run, progress, &mut told, &mut saved, true)?;
                progress.finish();
                return Err(Stop::resumable("grpo", saved.dir.as_deref(), &run.dir));
            }
            let (report, groups) = match self.step() {
                Ok(done) => done,
                Err(failure) => {
                    match self.save(run, progress, &mut told, &mut saved, true) {
                        Ok(()) => progress.note(&format!("{} steps are saved", saved.step)),
                        Err(unsaved) => progress.note(&unsaved.to_string()),
                    }
                    return Err(failure);
                }
            };
            self.state.step += 1;
            let (step, grpo) = (self.state.step, &self.settings.grpo);
            let last = step == self.total();
            let due = |every: usize| step.is_multiple_of(every as u64) || last;
            if due(grpo.logging_steps) || report.skipped.is_some() {
                let epoch = self.state.cursor as f64 / self.train.len() as f64;
                told.metrics.write(&report.line(step, epoch, self.state.num_tokens))?;
            }
            if grpo.log_completions && (step == 1 || due(grpo.log_completions_steps) || report.skipped.is_some()) {
                told.completions(step, &self.judge, &groups)?;
            }
            told.progress(progress, &report, step, self.total());
            for warning in health.look(step, &report) {
                progress.note(&format!("warning: {warning}"));
            }
            if let Some(why) = &report.skipped {
                progress.note(&format!("step {step} skipped: {why}; samples {}", report.ids.join(", ")));
                if self.state.bad_in_a_row >= MAX_BAD {
                    let model = (self.planner, None);
                    return Err(common::broken("grpo", model, (why, &report.ids), &saved));
                }
            }
            if last || step.is_multiple_of(grpo.save_steps as u64) {
                self.save(run, progress, &mut told, &mut saved, last)?;
            }
        }
    }

    /// Saves unless this step is saved already. A failure ends training when it `must` succeed or keeps happening.
    fn save(&self, run: &Run, progress: &mut Progress, told: &mut Told, saved: &mut Saved, must: bool) -> Result<()> {
        let how = (self.state.step, self.settings.grpo.save_total_limit, must);
        saved.save(run, progress, how, &self.settings.digest(), || {
            snapshot::files(self.planner, &self.optimizer, None, &told.state(&self.state)?)
        })
    }

    /// Where one is due: greedy answers to the held-out samples. False when cut short by a request to stop.
    fn evaluate(&self, metrics: &mut Metrics, progress: &mut Progress, stop: &Stop) -> Result<bool> {
        let (grpo, step) = (&self.settings.grpo, self.state.step);
        let due = step == self.total()
            || (step > 0 && grpo.eval_steps.is_some_and(|every| step.is_multiple_of(every as u64)));
        if !due || self.val.is_empty() {
            return Ok(true);
        }
        let go_on = || !stop.requested();
        let Some(asked) = ask::evaluate(self.planner, &self.judge, self.val, grpo, &go_on)? else {
            return Ok(false);
        };
        progress.note(&asked.text(step));
        metrics.write(&asked.line(step))?;
        Ok(true)
    }

    /// One step: prompts, answers, rewards, advantages, updates. A number that is not finite anywhere leaves the weights
    /// as they are (those of an update that was already made stay).
    ///
    /// # Errors
    /// Pictures that cannot be read, device trouble, logits that are not finite.
    pub fn step(&mut self) -> Result<(Report, Vec<Group<'a>>)> {
        let grpo = &self.settings.grpo;
        let drawn = self.draw()?;
        let mut report = Report { lr: self.schedule.lr(self.state.step), ..Report::default() };
        report.drawn(&drawn, grpo);
        if drawn.broken.is_none() {
            report.rewards(&self.judge.names, &self.compare(&drawn.all())?);
        }
        let Drawn { mut groups, prompts, broken, .. } = drawn;
        report.skipped = broken;
        if report.skipped.is_none() {
            let found = self.compare(&groups.iter().collect::<Vec<_>>())?;
            for (i, answer) in groups.iter_mut().flat_map(|group| &mut group.answers).enumerate() {
                (answer.reward, answer.advantage) = (found.rewards[i], found.advantages[i]);
            }
            if let Some(reference) = &self.reference {
                for group in &mut groups {
                    group.refer(reference, self.planner, grpo.temperature)?;
                }
            }
            for iteration in 0..grpo.num_iterations {
                report.skipped = self.update(&mut groups, iteration, &mut report)?;
                if report.skipped.is_some() {
                    break;
                }
            }
        }
        self.state.cursor += prompts;
        self.state.num_tokens += report.tokens;
        self.state.bad_in_a_row = if report.skipped.is_some() { self.state.bad_in_a_row + 1 } else { 0 };
        Ok((report, groups))
    }

    /// One optimizer step on all answers. Returns why nothing was written, if so.
    fn update(&mut self, groups: &mut [Group], iteration: usize, report: &mut Report) -> Result<Option<String>> {
        let grpo = &self.settings.grpo;
        let counts = |answer: &&mut Answer| !(answer.cut && grpo.mask_truncated_completions);
        let items: usize =
            groups.iter_mut().flat_map(|g| g.answers.iter_mut().filter(counts)).map(|a| a.ids.len()).sum();
        // Micro-batches never mix prompts, so that pictures are encoded once for all their rows.
        let mut parts: Vec<(&Prompt, Vec<&mut Answer>)> = Vec::new();
        for Group { prompt, answers } in groups.iter_mut() {
            for answer in answers.iter_mut().filter(counts) {
                match parts.last_mut() {
                    Some((last, part))
                        if std::ptr::eq(*last, prompt) && part.len() < grpo.per_device_train_batch_size =>
                    {
                        part.push(answer);
                    }
                    _ => parts.push((prompt, vec![answer])),
                }
            }
        }
        let step = super::rl::loss::Step {
            gradient_accumulation_steps: parts.len().max(1),
            num_items: items as f64,
            max_completion_length: grpo.max_completion_length,
        };
        let mut gradients = Gradients::default();
        report.loss = 0.0;
        for (prompt, answers) in &mut parts {
            match self.micro(prompt, answers, step, iteration, report)? {
                Ok(more) => gradients.add(more)?,
                Err(why) => return Ok(Some(why)),
            }
        }
        if parts.is_empty() {
            return Ok(None); // every answer was cut off and is masked: there is nothing to learn from
        }
        report.grad_norm = gradients.norm()?;
        let clip = clip_coefficient(report.grad_norm, grpo.max_grad_norm);
        Ok(match self.optimizer.step(&gradients, report.lr, if clip.is_finite() { clip } else { 1.0 })? {
            Outcome::Stepped => None,
            Outcome::Refused { tensors } => Some(common::not_finite(&tensors)),
        })
    }

    /// Forward and backward of some answers to one prompt; the inner error is why their numbers cannot be used.
    fn micro(
        &self,
        prompt: &Prompt,
        answers: &mut [&mut Answer],
        step: super::rl::loss::Step,
        iteration: usize,
        report: &mut Report,
    ) -> Result<Result<Gradients, String>> {
        let (vlm, grpo) = (&self.planner.vlm, &self.settings.grpo);
        let (batch, targets) = packed(self.planner, prompt, answers)?;
        let images = match Pixels::concat(&prompt.pixels)? {
            Some((values, grids)) => Some(vlm.encode_images(&values, &grids)?), // with gradients
            None => prompt.images.clone(),
        };
        let checkpointing = grpo.gradient_checkpointing.on(vlm.parameter_count());
        let pass = Pass { vlm, batch: &batch, images: images.as_ref(), vars: vlm.vars(), checkpointing };
        let mut broken = None;
        let (_, gradients) = pass.gradients(|hidden, _| {
            let (logps, entropies) = vlm.token_logps(hidden, &targets.rows, &targets.ids, grpo.temperature)?;
            let padded = Padded::new(&targets.per_row, hidden.device());
            let numbers = |of: fn(&Answer) -> Option<&Vec<f32>>| padded.numbers(answers.iter().map(|a| of(a)));
            let (old, reference) = (numbers(|a| a.old.as_ref())?, numbers(|a| a.reference.as_ref())?);
            let sampling = numbers(|a| Some(&a.logps))?;
            let advantages: Vec<f64> = answers.iter().map(|answer| answer.advantage).collect();
            let completions = Completions {
                logps: &padded.of(&logps)?,
                old_logps: old.as_ref(),
                sampling_logps: sampling.as_ref(),
                ref_logps: reference.as_ref(),
                mask: &padded.mask()?,
                advantages: &advantages,
                entropies: Some(&padded.of(&entropies)?),
            };
            match policy_loss(&completions, step, &self.loss) {
                Ok(found) => {
                    let fresh = logps.detach().to_dtype(DType::F32)?.to_vec1::<f32>()?;
                    report.passed(iteration, answers, &fresh, &found);
                    if iteration == 0 && grpo.num_iterations > 1 {
                        remember(answers, &fresh);
                    }
                    Ok(found.loss)
                }
                Err(failure) if failure.kind == Kind::Device => {
                    broken = Some(format!("{} (sample {})", failure.message, prompt.sample.id));
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
}

/// Keeps the log-probabilities of the first update pass.
fn remember(answers: &mut [&mut Answer], logps: &[f32]) {
    let mut logps = logps.iter().copied();
    for answer in answers.iter_mut() {
        answer.old = Some(logps.by_ref().take(answer.ids.len()).collect());
    }
}

/// A prompt and its answers in one row, and the places that score the answers' tokens.
///
/// # Errors
/// A prompt or answers that do not fit the model.
fn packed(planner: &Planner, prompt: &Prompt, answers: &[&mut Answer]) -> Result<(Batch, Targets)> {
    let (config, visuals) = (planner.vlm.config(), prompt.visuals());
    let alone = Batch::right_padded(config, &[Row::new(&prompt.ids, &visuals)], planner.encoder.tokenizer.pad())?;
    let tails: Vec<&[u32]> = answers.iter().map(|answer| answer.ids.as_slice()).collect();
    let batch = Batch::packed(config, &alone, &tails)?;
    let targets = Targets::tails(&batch);
    Ok((batch, targets))
}
