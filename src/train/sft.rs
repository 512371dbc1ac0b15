//! Supervised fine-tuning, to be read from top to bottom: [`Trainer::new`] puts everything together, [`Trainer::run`]
//! is the loop, [`Trainer::step`] one optimizer step, [`Trainer::micro`] one forward and backward pass.
//!
//! The loss is the mean over the answer tokens of a micro-batch, and micro-batch means are averaged, as the Hugging
//! Face trainer does for these models. A model trained from scratch first learns to see: `sft.auxiliary.vision_steps`
//! steps train the vision tower alone on auxiliary targets, whose loss then stays beside the answer's.
//! Everything random is a function of the seed and the step, so a resumed run repeats the uninterrupted one bit by bit.

use super::{
    adamw::{AdamW, AdamWOptions, Outcome},
    auxiliary::{self, Head},
    checkpoint::{self, Checkpoint},
    clip::{Gradients, clip_coefficient},
    examples::{Example, Recipe, row},
    metrics::Metrics,
    order::Order,
    progress::{Progress, Step},
    run::Run,
    schedule::{Schedule, ScheduleOptions, SchedulerKwargs, SchedulerType},
    sight,
    signals::Stop,
    snapshot::{self, State},
};
use crate::{
    error::{Failure, Result},
    files::RealFs,
    policy::Planner,
    settings::{ClassBalance, LrScheduler, Settings},
    streams::Stream,
    vlm::{encode::Encoded, processor::Pixels},
};
use candle_core::{Tensor, Var};
use data::{Sample, balance::Balance};
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Skipped steps in a row after which training stops.
const MAX_BAD: u32 = 5;
/// Failed saves in a row after which training stops.
const MAX_FAILED_SAVES: u32 = 3;
/// Held-out samples that an evaluation looks at.
const EVAL_LIMIT: usize = 128;

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
    vars: BTreeMap<String, Var>,
    optimizer: AdamW,
    state: State,
    total: u64,
}

/// What one step did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Mean loss over micro-batches.
    pub loss: f64,
    /// Mean auxiliary loss, where there is one.
    pub aux: Option<f64>,
    /// Right and known auxiliary answers, summed over targets.
    pub aux_hits: (usize, usize),
    /// Gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate.
    pub lr: f64,
    /// Input tokens.
    pub tokens: u64,
    /// Why nothing was written, if so.
    pub skipped: Option<String>,
    /// Samples of the step.
    pub ids: Vec<String>,
}

impl<'a> Trainer<'a> {
    /// Puts a run together. `train` must hold only usable samples (see [`super::examples::survey`]).
    ///
    /// # Errors
    /// Settings that do not fit the model or the data.
    pub fn new(
        planner: &'a Planner,
        settings: &'a Settings,
        train: &'a [Sample],
        val: &'a [Sample],
        image_tokens: Option<usize>,
    ) -> Result<Self> {
        let sft = &settings.sft;
        let mut vars = planner.vlm.vars().clone();
        if vars.is_empty() {
            return Err(Failure::usage("nothing is trainable").hint("set model.train to lora, full, text or vision"));
        }
        let aux = &settings.auxiliary;
        let head = if aux.weight > 0.0 || aux.vision_steps > 0 {
            let targets = auxiliary::targets(train, &aux.targets)?;
            let tokens = image_tokens.ok_or_else(|| {
                Failure::usage("auxiliary targets need one frame of the same size in every sample")
                    .hint("set sft.auxiliary.weight=0 and sft.auxiliary.vision_steps=0")
            })?;
            let width = planner.vlm.config().text.hidden_size;
            Some(Head::new(targets, tokens, width, &mut Stream::new(sft.seed, "auxiliary"))?)
        } else {
            None
        };
        vars.extend(head.iter().flat_map(|head| head.vars().clone()));
        let total = total_steps(settings, train.len());
        let optimizer = AdamW::new(
            &vars,
            AdamWOptions {
                adam_beta1: sft.adam_beta1,
                adam_beta2: sft.adam_beta2,
                adam_epsilon: sft.adam_epsilon,
                weight_decay: sft.weight_decay,
                ..AdamWOptions::default()
            },
        )?;
        Ok(Trainer {
            planner,
            settings,
            train,
            val,
            recipe: Recipe { think: sft.think, augment: settings.augment.clone() },
            order: Order::new(train, balance(sft.class_balance), sft.shuffle, sft.seed),
            schedule: schedule(settings, total)?,
            head,
            vars,
            optimizer,
            state: State { step: 0, metrics_bytes: 0, bad_in_a_row: 0, num_tokens: 0 },
            total: total + aux.vision_steps as u64,
        })
    }

    /// Steps in all, the vision phase included.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Continues from a checkpoint, whose weights the planner already has.
    ///
    /// # Errors
    /// A checkpoint of another run.
    pub fn restore(&mut self, from: &Checkpoint) -> Result<()> {
        self.state = snapshot::restore(from, &mut self.optimizer, self.head.as_ref())?;
        Ok(())
    }

    /// Trains to the end or until asked to stop.
    ///
    /// # Errors
    /// Exit 75 when stopped on request (everything saved), 4 after five broken steps in a row, 3 when saving keeps
    /// failing.
    pub fn run(&mut self, run: &Run, progress: &mut Progress, stop: &Stop) -> Result<()> {
        let sft = &self.settings.sft;
        let mut metrics = if self.state.step == 0 {
            Metrics::create(&run.metrics_path())?
        } else {
            let (metrics, missing) = Metrics::open(&run.metrics_path(), self.state.metrics_bytes)?;
            if missing > 0 {
                progress.note(&format!("metrics.jsonl lacks {missing} bytes of the steps before the checkpoint"));
            }
            metrics
        };
        let mut failed_saves = 0;
        let mut saved_at = self.state.step;
        while self.state.step < self.total {
            let report = self.step()?;
            self.state.step += 1;
            let step = self.state.step;
            let last = step == self.total;
            if step % sft.logging_steps as u64 == 0 || last || report.skipped.is_some() {
                metrics.write(&self.line(&report))?;
            }
            progress.step(&Step {
                step,
                total: self.total,
                loss: report.loss,
                lr: report.lr,
                grad_norm: report.grad_norm,
            });
            if let Some(why) = &report.skipped {
                progress.note(&format!("step {step} skipped: {why}; samples {}", report.ids.join(", ")));
                if self.state.bad_in_a_row >= MAX_BAD {
                    return Err(Failure::device(format!("{MAX_BAD} steps in a row were broken, the last by {why}"))
                        .hint("the newest checkpoint is good; lower sft.learning_rate or look at the named samples"));
                }
            }
            if last || sft.eval_steps.is_some_and(|every| step % every as u64 == 0) {
                if let Some(line) = self.evaluate(progress)? {
                    metrics.write(&line)?;
                }
            }
            let stopping = stop.requested();
            if last || stopping || step % sft.save_steps as u64 == 0 {
                self.state.metrics_bytes = metrics.offset()?;
                match self.save(run, progress) {
                    Ok(()) => (failed_saves, saved_at) = (0, step),
                    Err(e) if last || stopping || failed_saves + 1 >= MAX_FAILED_SAVES => return Err(e),
                    Err(e) => {
                        failed_saves += 1;
                        progress.note(&format!("{e}; training goes on"));
                    }
                }
            }
            if stopping && !last {
                progress.finish();
                let folder = run.dir.join("ckpt").join(format!("step-{saved_at:06}"));
                return Err(Stop::resumable(&folder, &run.dir));
            }
        }
        progress.finish();
        Ok(())
    }

    /// Held-out loss, what other pictures cost, and accuracy on the auxiliary targets; `None` without held-out data.
    fn evaluate(&self, progress: &mut Progress) -> Result<Option<Value>> {
        let Some(sight) = sight::measure(self.planner, self.val, self.settings.sft.think, EVAL_LIMIT)? else {
            return Ok(None);
        };
        let step = self.state.step;
        let mut line = json!({ "step": step });
        merge(&mut line, serde_json::to_value(sight).unwrap_or_default());
        let mut text = format!(
            "step {step}  held-out loss {:.3}  wrong image {:+.3}  blank image {:+.3}",
            sight.eval_loss, sight.wrong_image_gap, sight.blank_image_gap
        );
        if let Some(head) = &self.head {
            let accuracy = head.evaluate(self.planner, self.val)?;
            for (name, a) in &accuracy {
                text.push_str(&format!("  {name} {:.2} ({:.2})", a.accuracy, a.majority));
            }
            merge(&mut line, json!({ "eval_aux": accuracy }));
        }
        progress.note(&text);
        Ok(Some(line))
    }

    fn save(&self, run: &Run, progress: &mut Progress) -> Result<()> {
        let digest = self.settings.digest();
        let published =
            snapshot::publish(&run.dir, self.planner, &self.optimizer, self.head.as_ref(), &self.state, &digest)?;
        progress.saved(&published.checkpoint.dir);
        let keep = self.settings.sft.save_total_limit.unwrap_or(usize::MAX);
        let pruned = checkpoint::prune(&RealFs, &run.dir, keep, &published.checkpoint)?;
        for warning in published.warnings.iter().chain(&pruned) {
            progress.note(warning);
        }
        Ok(())
    }

    fn line(&self, report: &Report) -> Value {
        let per_step =
            (self.settings.sft.per_device_train_batch_size * self.settings.sft.gradient_accumulation_steps) as f64;
        let mut line = Map::new();
        line.insert("step".into(), json!(self.state.step));
        line.insert("epoch".into(), json!(self.state.step as f64 * per_step / self.train.len() as f64));
        line.insert("loss".into(), json!(report.loss));
        if let Some(aux) = report.aux {
            line.insert("aux_loss".into(), json!(aux));
            line.insert("aux_accuracy".into(), json!(report.aux_hits.0 as f64 / report.aux_hits.1.max(1) as f64));
        }
        line.insert("learning_rate".into(), json!(report.lr));
        line.insert("grad_norm".into(), json!(report.grad_norm));
        line.insert("num_tokens".into(), json!(self.state.num_tokens));
        if let Some(why) = &report.skipped {
            line.insert("skipped".into(), json!(why));
            line.insert("samples".into(), json!(report.ids));
        }
        Value::Object(line)
    }

    /// One optimizer step: all its micro-batches, then clip and update, or nothing at all when a number is broken.
    ///
    /// # Errors
    /// Pictures that cannot be read, device trouble.
    pub fn step(&mut self) -> Result<Report> {
        let sft = &self.settings.sft;
        let (batch, parts) = (sft.per_device_train_batch_size, sft.gradient_accumulation_steps);
        let step = self.state.step;
        let mut report = Report { lr: self.lr(step), ..Report::default() };
        let mut gradients = Gradients::default();
        for part in 0..parts {
            let begin = (step * parts as u64 + part as u64) * batch as u64;
            let examples = self.examples(begin, batch)?;
            report.ids.extend(examples.iter().map(|e| e.id.clone()));
            if self.planner.vlm.adapter_spec().is_some_and(|spec| spec.dropout > 0.0) {
                let name = format!("dropout/{step}/{part}");
                self.planner.vlm.set_dropout(Some(Stream::new(sft.seed, &name)));
            }
            gradients.add(self.micro(&examples, step, &mut report)?)?;
        }
        self.planner.vlm.set_dropout(None);
        let scale = 1.0 / parts as f64;
        gradients.scale(scale)?;
        report.loss *= scale;
        report.aux = report.aux.map(|aux| aux * scale);
        report.grad_norm = gradients.norm()?;
        self.state.num_tokens += report.tokens;
        let broken = if !report.loss.is_finite() {
            Some(format!("the loss is {}", report.loss))
        } else {
            let clip = clip_coefficient(report.grad_norm, sft.max_grad_norm);
            match self.optimizer.step(&gradients, report.lr, if clip.is_finite() { clip } else { 1.0 })? {
                Outcome::Stepped => None,
                Outcome::Refused { tensors } => Some(format!("the gradient of {} is not finite", tensors.join(", "))),
            }
        };
        self.state.bad_in_a_row = if broken.is_some() { self.state.bad_in_a_row + 1 } else { 0 };
        report.skipped = broken;
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

    /// The examples at positions `begin..begin + count` of the order, made in parallel.
    fn examples(&mut self, begin: u64, count: usize) -> Result<Vec<Example>> {
        let picks: Vec<(u64, usize)> =
            (begin..begin + count as u64).map(|position| (position, self.order.at(position))).collect();
        let make = |(position, index): &(u64, usize)| {
            let mut stream = Stream::new(self.settings.sft.seed, &format!("augment/{position}"));
            let sample = &self.train[*index];
            self.recipe.example(self.planner, sample, &mut stream)?.ok_or_else(|| {
                Failure::data(format!("sample {} teaches nothing", sample.id)).hint("see `reinsman data check`")
            })
        };
        picks.par_iter().map(make).collect()
    }

    /// Forward and backward of one micro-batch. Adds its numbers to the report.
    fn micro(&self, examples: &[Example], step: u64, report: &mut Report) -> Result<Gradients> {
        let vlm = &self.planner.vlm;
        let encoded: Vec<&Encoded> = examples.iter().map(|e| &e.encoded).collect();
        let aux: Vec<&BTreeMap<String, String>> = examples.iter().map(|e| &e.aux).collect();
        let seeing_only = step < self.settings.auxiliary.vision_steps as u64;
        let (answer, features) = if seeing_only {
            let pixels: Vec<Pixels> = encoded.iter().flat_map(|e| e.pixels.iter().cloned()).collect();
            let Some((values, grids)) = Pixels::concat(&pixels)? else {
                return Err(Failure::data("the vision phase needs pictures"));
            };
            (None, Some(vlm.encode_images(&values, &grids)?.embeds))
        } else {
            let batched = row(self.planner, &encoded, vlm)?;
            report.tokens += encoded.iter().map(|e| e.ids.len() as u64).sum::<u64>();
            let (logps, _) = batched.logps(vlm, 1.0)?;
            (Some(logps.mean_all()?.neg()?), batched.images.map(|images| images.embeds))
        };
        let auxiliary = match (&self.head, &features) {
            (Some(head), Some(features)) => {
                let outcome = head.loss(features, &aux)?;
                let (right, known) = outcome.hits.iter().fold((0, 0), |(r, k), (right, n)| (r + right, k + n));
                report.aux_hits = (report.aux_hits.0 + right, report.aux_hits.1 + known);
                outcome.loss
            }
            _ => None,
        };
        if let Some(loss) = &auxiliary {
            report.aux = Some(report.aux.unwrap_or(0.0) + scalar(loss)?);
        }
        let weight = if seeing_only { 1.0 } else { self.settings.auxiliary.weight };
        let total = match (answer, auxiliary) {
            (Some(answer), aux) => {
                report.loss += scalar(&answer)?;
                match aux {
                    Some(aux) => (answer + (aux * weight)?)?,
                    None => answer,
                }
            }
            (None, Some(aux)) => {
                report.loss += scalar(&aux)?;
                aux
            }
            (None, None) => return Ok(Gradients::default()),
        };
        Gradients::take(&mut total.backward()?, &self.vars)
    }
}

fn scalar(loss: &Tensor) -> Result<f64> {
    Ok(f64::from(loss.to_scalar::<f32>()?))
}

fn merge(line: &mut Value, more: Value) {
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
}

/// Optimizer steps of the main phase: `max_steps`, or what `num_train_epochs` passes take.
fn total_steps(settings: &Settings, samples: usize) -> u64 {
    let sft = &settings.sft;
    let per_step = (sft.per_device_train_batch_size * sft.gradient_accumulation_steps).max(1);
    match sft.max_steps {
        Some(steps) => steps as u64,
        None => ((samples as f64 * sft.num_train_epochs / per_step as f64).ceil() as u64).max(1),
    }
}

fn schedule(settings: &Settings, total: u64) -> Result<Schedule> {
    let sft = &settings.sft;
    let warmup = if sft.warmup_steps > 0 { sft.warmup_steps as f64 } else { sft.warmup_ratio };
    ScheduleOptions {
        learning_rate: sft.learning_rate,
        lr_scheduler_type: curve(sft.lr_scheduler_type),
        warmup_steps: warmup,
        lr_scheduler_kwargs: match sft.lr_scheduler_type {
            LrScheduler::CosineWithMinLr => SchedulerKwargs { min_lr_rate: Some(0.1), ..SchedulerKwargs::default() },
            _ => SchedulerKwargs::default(),
        },
        ..ScheduleOptions::default()
    }
    .resolve(total)
}

fn curve(kind: LrScheduler) -> SchedulerType {
    match kind {
        LrScheduler::Linear => SchedulerType::Linear,
        LrScheduler::Cosine => SchedulerType::Cosine,
        LrScheduler::CosineWithMinLr => SchedulerType::CosineWithMinLr,
        LrScheduler::Polynomial => SchedulerType::Polynomial,
        LrScheduler::Constant => SchedulerType::Constant,
        LrScheduler::ConstantWithWarmup => SchedulerType::ConstantWithWarmup,
    }
}

fn balance(kind: ClassBalance) -> Balance {
    match kind {
        ClassBalance::None => Balance::None,
        ClassBalance::Sqrt => Balance::Sqrt,
        ClassBalance::Uniform => Balance::Uniform,
    }
}
