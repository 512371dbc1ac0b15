//! Supervised fine-tuning, to be read from top to bottom: [`Trainer::new`] puts everything together, [`Trainer::run`]
//! is the loop, [`Trainer::step`] one optimizer step, [`Trainer::micro`] one forward and backward pass.
//!
//! The loss is the mean over the answer tokens of a micro-batch, and micro-batch means are averaged, as the Hugging
//! Face trainer does for these models. A model trained from scratch first learns to see: `sft.auxiliary.vision_steps`
//! steps train the vision tower alone on auxiliary targets, whose loss then stays beside the answer's.
//! Everything random is a function of the seed and the step, so a resumed run repeats the uninterrupted one bit by bit.

mod report;
mod setup;

pub use report::Report;

use super::{
    adamw::{AdamW, Outcome},
    auxiliary::{self, Head},
    checkpoint::Checkpoint,
    clip::{Gradients, clip_coefficient},
    common::{self, EVAL_LIMIT, MAX_BAD},
    examples::{Batched, Example, Recipe, row},
    features::{self, Features},
    metrics::Metrics,
    order::Order,
    progress::{Progress, Step},
    run::Run,
    schedule::Schedule,
    segment::{Pass, scalar},
    sight,
    signals::Stop,
    snapshot::{self, Saved, State},
};
use crate::{
    error::{Failure, Result},
    policy::Planner,
    settings::Settings,
    streams::Stream,
    vlm::{ImageFeatures, encode::Encoded, processor::Pixels},
};
use candle_core::{Tensor, Var};
use data::Sample;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// A training run in memory.
pub struct Trainer<'a> {
    /// The planner being taught.
    pub planner: &'a Planner,
    settings: &'a Settings,
    train: &'a [Sample],
    val: &'a [Sample],
    recipe: Recipe,
    order: Order,
    schedule: Schedule,
    head: Option<Head>,
    features: Option<Features>,
    vars: BTreeMap<String, Var>,
    optimizer: AdamW,
    state: State,
    total: u64,
}

/// Which part of training a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The vision tower alone, on auxiliary targets.
    Seeing,
    /// Answers, with auxiliary targets beside them where they have a weight.
    Answering,
}

/// A sample to learn from and the position in the run that its random changes hang on.
#[derive(Debug, Clone, Copy)]
struct Pick {
    position: u64,
    sample: usize,
}

impl<'a> Trainer<'a> {
    /// Puts a run together. `train` must hold only usable samples (see [`super::survey::survey`]), `frame_tokens` is the
    /// number of image tokens that most samples of one frame have; others carry no auxiliary loss.
    ///
    /// # Errors
    /// Settings that do not fit the model or the data.
    pub fn new(
        planner: &'a Planner,
        settings: &'a Settings,
        train: &'a [Sample],
        val: &'a [Sample],
        frame_tokens: Option<usize>,
    ) -> Result<Self> {
        let sft = &settings.sft;
        let mut vars = planner.vlm.vars().clone();
        if vars.is_empty() {
            return Err(Failure::usage("nothing is trainable").hint("set model.train to lora, full, text or vision"));
        }
        if train.is_empty() {
            return Err(Failure::data("no sample to train on"));
        }
        let (aux, augment) = (&settings.auxiliary, &settings.augment);
        let head = if aux.weight > 0.0 || aux.vision_steps > 0 {
            let targets = auxiliary::targets(train, &aux.targets, augment.flip)?;
            let tokens = frame_tokens.ok_or_else(|| {
                Failure::usage("auxiliary targets need samples of exactly one frame, and there are none")
                    .hint("set sft.auxiliary.weight=0 and sft.auxiliary.vision_steps=0")
            })?;
            let (width, device) = (planner.vlm.config().text.hidden_size, planner.vlm.device());
            Some(Head::new(targets, tokens, width, device, &mut Stream::new(sft.seed, "auxiliary"))?)
        } else {
            None
        };
        vars.extend(head.iter().flat_map(|head| head.vars().clone()));
        let total = setup::total_steps(settings, train.len());
        let optimizer = AdamW::new(&vars, setup::optimizer(settings))?;
        let recipe = Recipe { think: sft.think, augment: augment.clone() };
        Ok(Trainer {
            planner,
            settings,
            train,
            val,
            features: Features::fit(planner, &recipe).then(|| Features::new(features::BUDGET)),
            recipe,
            order: Order::new(train, common::balance(sft.class_balance), sft.shuffle, sft.seed),
            schedule: setup::schedule(settings, total)?,
            head,
            vars,
            optimizer,
            state: State::new(train),
            total: total + aux.vision_steps as u64,
        })
    }

    /// Steps in all, the vision phase included.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Exchanges the kept features of pictures with others, so that runs over one frozen tower encode each picture once.
    pub fn exchange_features(&mut self, other: &mut Features) {
        if let Some(own) = &mut self.features {
            std::mem::swap(own, other);
        }
    }

    /// Whether features of pictures are kept, which makes the first epoch the slowest.
    pub fn keeps_features(&self) -> bool {
        self.features.is_some()
    }

    /// Continues from a checkpoint, whose weights the planner already has. Returns a warning when the training samples
    /// have changed since and `anyway` allows it.
    ///
    /// # Errors
    /// A checkpoint of another run; exit 2 for changed samples.
    pub fn restore(&mut self, from: &Checkpoint, anyway: bool) -> Result<Option<String>> {
        self.state.resume(from, &mut self.optimizer, self.head.as_ref(), anyway)
    }

    /// Trains to the end or until asked to stop.
    ///
    /// # Errors
    /// Exit 75 when stopped on request (everything saved), 4 after five broken steps in a row, 3 when data cannot be
    /// read (everything saved) or saving keeps failing.
    pub fn run(&mut self, run: &Run, progress: &mut Progress, stop: &Stop) -> Result<()> {
        let mut metrics = run.metrics(self.state.metrics_bytes, progress)?;
        let mut saved = Saved::of(run, self.state.step);
        loop {
            // After the save, so that a stop need not wait for it; a resumed run repeats it.
            let evaluated = self.evaluate(&mut metrics, progress, stop)?;
            let last = self.state.step == self.total;
            if last && evaluated {
                progress.finish();
                return Ok(());
            }
            if stop.requested() {
                self.save(run, progress, &mut metrics, &mut saved, true)?;
                progress.finish();
                return Err(Stop::resumable("sft", saved.dir.as_deref(), &run.dir));
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
            let step = self.state.step;
            let last = step == self.total;
            if step.is_multiple_of(self.settings.sft.logging_steps as u64) || last || report.skipped.is_some() {
                let epoch = (step * self.samples_per_step() as u64) as f64 / self.train.len() as f64;
                metrics.write(&report.line(step, epoch, self.state.num_tokens))?;
            }
            let Report { loss, lr, grad_norm, .. } = report;
            progress.step(&Step { step, total: self.total, loss, lr, grad_norm });
            if let Some(why) = &report.skipped {
                progress.note(&format!("step {step} skipped: {why}; samples {}", report.ids.join(", ")));
                if self.state.bad_in_a_row >= MAX_BAD {
                    let model = (self.planner, self.head.as_ref());
                    return Err(common::broken("sft", model, (why, &report.ids), &saved));
                }
            }
            if last || step.is_multiple_of(self.settings.sft.save_steps as u64) {
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
        let how = (self.state.step, self.settings.sft.save_total_limit, must);
        saved.save(run, progress, how, &self.settings.digest(), || {
            let state = State { metrics_bytes: metrics.offset()?, ..self.state.clone() };
            snapshot::files(self.planner, &self.optimizer, self.head.as_ref(), &state)
        })
    }

    /// What a save needs beside the disk, for its memory.
    ///
    /// # Errors
    /// Exit 4 naming a weight that is not finite.
    pub fn rehearse_save(&self) -> Result<()> {
        snapshot::files(self.planner, &self.optimizer, self.head.as_ref(), &self.state).map(|_| ())
    }

    /// Where one is due: held-out loss, what other pictures cost, and accuracy on the auxiliary targets. False when it
    /// was cut short by a request to stop.
    fn evaluate(&self, metrics: &mut Metrics, progress: &mut Progress, stop: &Stop) -> Result<bool> {
        let (sft, step) = (&self.settings.sft, self.state.step);
        let due =
            step == self.total || (step > 0 && sft.eval_steps.is_some_and(|every| step.is_multiple_of(every as u64)));
        if !due || self.val.is_empty() {
            return Ok(true);
        }
        let go_on = || !stop.requested();
        let Some(sight) = sight::measure(self.planner, self.val, sft.think, EVAL_LIMIT, &go_on)? else {
            return Ok(go_on());
        };
        let aux = self.head.as_ref().map(|head| head.evaluate(self.planner, self.val, EVAL_LIMIT)).transpose()?;
        let (text, line) = report::evaluation(step, &sight, aux);
        progress.note(&text);
        metrics.write(&line)?;
        Ok(true)
    }

    fn samples_per_step(&self) -> usize {
        self.settings.sft.per_device_train_batch_size * self.settings.sft.gradient_accumulation_steps
    }

    /// One optimizer step: all its micro-batches, then clip and update, or nothing at all when a number is broken.
    ///
    /// # Errors
    /// Pictures that cannot be read, device trouble.
    pub fn step(&mut self) -> Result<Report> {
        let n = self.samples_per_step() as u64;
        let (from, vision) = (self.state.step * n, self.settings.auxiliary.vision_steps as u64);
        let picks: Vec<Pick> =
            (from..from + n).map(|position| Pick { position, sample: self.order.at(position) }).collect();
        let phase = if self.state.step < vision { Phase::Seeing } else { Phase::Answering };
        self.learn(&picks, phase)
    }

    /// A step on chosen samples, to measure what it costs. It changes the weights in memory.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn rehearse(&mut self, samples: &[usize], phase: Phase) -> Result<Report> {
        let picks: Vec<Pick> =
            samples.iter().zip(0..).map(|(sample, position)| Pick { position, sample: *sample }).collect();
        self.learn(&picks, phase)
    }

    fn learn(&mut self, picks: &[Pick], phase: Phase) -> Result<Report> {
        let sft = &self.settings.sft;
        let step = self.state.step;
        let mut report = Report { lr: self.lr(step), ..Report::default() };
        let mut gradients = Gradients::default();
        let parts = picks.chunks(sft.per_device_train_batch_size);
        let scale = 1.0 / parts.len() as f64;
        for (part, picks) in parts.enumerate() {
            let examples = self.examples(picks)?;
            report.ids.extend(examples.iter().map(|e| e.id.clone()));
            if self.planner.vlm.adapter_spec().is_some_and(|spec| spec.dropout > 0.0) {
                let name = format!("dropout/{step}/{part}");
                self.planner.vlm.set_dropout(Some(Stream::new(sft.seed, &name)));
            }
            gradients.add(self.micro(&examples, phase, &mut report)?)?;
        }
        self.planner.vlm.set_dropout(None);
        gradients.scale(scale)?;
        report.loss *= scale;
        report.aux = report.aux.map(|aux| aux * scale);
        report.grad_norm = gradients.norm()?;
        self.state.num_tokens += report.tokens;
        report.skipped = if !report.loss.is_finite() {
            Some(format!("the loss is {}", report.loss))
        } else {
            let clip = clip_coefficient(report.grad_norm, sft.max_grad_norm);
            match self.optimizer.step(&gradients, report.lr, if clip.is_finite() { clip } else { 1.0 })? {
                Outcome::Stepped => None,
                Outcome::Refused { tensors } => Some(common::not_finite(&tensors)),
            }
        };
        self.state.bad_in_a_row = if report.skipped.is_some() { self.state.bad_in_a_row + 1 } else { 0 };
        Ok(report)
    }

    /// Learning rate of a step: the vision phase warms up and stays, the main phase follows the schedule.
    fn lr(&self, step: u64) -> f64 {
        let vision = self.settings.auxiliary.vision_steps as u64;
        if step >= vision {
            return self.schedule.lr(step - vision);
        }
        let warmup = self.schedule.warmup_steps().min(vision).max(1);
        self.settings.sft.learning_rate * ((step + 1) as f64 / warmup as f64).min(1.0)
    }

    /// The examples of some picks; pictures are read in parallel.
    fn examples(&mut self, picks: &[Pick]) -> Result<Vec<Example>> {
        let (planner, recipe, train, seed) = (self.planner, &self.recipe, self.train, self.settings.sft.seed);
        let made: Vec<Result<Option<Example>>> = match &mut self.features {
            Some(features) => {
                let samples: Vec<&Sample> = picks.iter().map(|pick| &train[pick.sample]).collect();
                let seen = features.of(planner, &samples)?;
                samples.par_iter().zip(&seen).map(|(sample, seen)| recipe.example_of(planner, sample, seen)).collect()
            }
            None => {
                let make = |pick: &Pick| {
                    let mut stream = Stream::new(seed, &format!("augment/{}", pick.position));
                    recipe.example(&planner.encoder, &planner.prompts, &train[pick.sample], &mut stream)
                };
                picks.par_iter().map(make).collect()
            }
        };
        let unwrap = |(example, pick): (Result<Option<Example>>, &Pick)| {
            example?.ok_or_else(|| {
                Failure::data(format!("sample {} teaches nothing", train[pick.sample].id))
                    .hint("see `reinsman data check`")
            })
        };
        made.into_iter().zip(picks).map(unwrap).collect()
    }

    /// Forward and backward of one micro-batch. Adds its numbers to the report.
    fn micro(&self, examples: &[Example], phase: Phase, report: &mut Report) -> Result<Gradients> {
        if phase == Phase::Seeing {
            let embeds = self.look(examples)?;
            return match self.auxiliary(&embeds, examples, report)? {
                Some(loss) => {
                    report.loss += scalar(&loss)?;
                    Gradients::take(&mut loss.backward()?, &self.vars)
                }
                None => Ok(Gradients::default()),
            };
        }
        let vlm = &self.planner.vlm;
        let Batched { batch, images, targets } = self.batched(examples)?;
        report.tokens += batch.lens.iter().sum::<usize>() as u64;
        let checkpointing = self.settings.sft.gradient_checkpointing.on(vlm.parameter_count());
        let pass = Pass { vlm, batch: &batch, images: images.as_ref(), vars: &self.vars, checkpointing };
        let (_, gradients) = pass.gradients(|hidden, images| {
            // Mean negative log-probability of the answer tokens.
            let (logps, _) = vlm.token_logps(hidden, &targets.rows, &targets.ids, 1.0)?;
            let answer = logps.mean_all()?.neg()?;
            report.loss += scalar(&answer)?;
            Ok(match images.map(|images| self.auxiliary(&images.embeds, examples, report)).transpose()?.flatten() {
                Some(loss) => (answer + (loss * self.settings.auxiliary.weight)?)?,
                None => answer,
            })
        })?;
        Ok(gradients)
    }

    /// Loss on the auxiliary targets of the samples whose frame has the size that the head was made for.
    fn auxiliary(&self, embeds: &Tensor, examples: &[Example], report: &mut Report) -> Result<Option<Tensor>> {
        let Some(head) = &self.head else { return Ok(None) };
        let merged = |example: &Example| -> usize {
            example.encoded.grids.iter().map(|grid| self.planner.encoder.processor.tokens(*grid)).sum()
        };
        let (mut at, mut parts, mut aux) = (0, Vec::new(), Vec::new());
        for example in examples {
            let tokens = merged(example);
            if tokens == head.tokens() && example.encoded.grids.len() == 1 {
                parts.push(embeds.narrow(0, at, tokens)?);
                aux.push(&example.aux);
            }
            at += tokens;
        }
        let embeds = match parts.len() {
            0 => return Ok(None),
            n if n == examples.len() => embeds.clone(),
            _ => Tensor::cat(&parts, 0)?,
        };
        let outcome = head.loss(&embeds, &aux)?;
        for (right, known) in outcome.hits {
            report.aux_hits = (report.aux_hits.0 + right, report.aux_hits.1 + known);
        }
        if let Some(loss) = &outcome.loss {
            report.aux = Some(report.aux.unwrap_or(0.0) + scalar(loss)?);
        }
        Ok(outcome.loss)
    }

    /// Picture features alone, `(B * I, H)`.
    fn look(&self, examples: &[Example]) -> Result<Tensor> {
        let pixels: Vec<Pixels> = examples.iter().flat_map(|e| e.encoded.pixels.iter().cloned()).collect();
        let Some((values, grids)) = Pixels::concat(&pixels)? else {
            return Err(Failure::data("the vision phase needs pictures"));
        };
        Ok(self.planner.vlm.encode_images(&values, &grids)?.embeds)
    }

    fn batched(&self, examples: &[Example]) -> Result<Batched> {
        let encoded: Vec<&Encoded> = examples.iter().map(|e| &e.encoded).collect();
        let known: Vec<&ImageFeatures> = examples.iter().filter_map(|e| e.features.as_ref()).collect();
        match known.is_empty() {
            true => row(self.planner, &encoded, &self.planner.vlm),
            false => Batched::new(self.planner, &encoded, Some(ImageFeatures::concat(&known)?)),
        }
    }
}
