//! Teaching branches side by side, to be read from top to bottom: [`Trainer::new`] puts everything together,
//! [`Trainer::run`] is the loop, [`Trainer::step`] one step of every branch that is due.
//!
//! `il` teaches the imitation head alone, `pair` also a tree and a selector beside it, in the same process with optimizers
//! of their own. In sequential mode reinforcement learning fine-tunes the imitation head after its steps. The selector
//! learns in the last steps of a run, when its candidates are nearly what they will be.

use super::{
    Frames, Learner, Stepped, imitation, measure, options,
    report::Report,
    selection::{self, Selected},
    sequential, tree,
};
use crate::{
    error::{Failure, Kind, Result},
    settings::{PairMode, Settings, Threshold},
    train::{
        checkpoint::Checkpoint,
        common::MAX_BAD,
        metrics::Metrics,
        order::Order,
        pieces::Pieces,
        progress::Progress,
        run::Run,
        signals::Stop,
        snapshot::{File, Files, Saved},
    },
    trajectory::{
        Branches, IlHead, ObjectiveOptions, Selector, TreePolicy, anchors,
        branches::{About, Eyes},
    },
};
use candle_core::Device;
use serde::{Deserialize, Serialize};

/// Which trainer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The imitation head alone.
    Il,
    /// All branches.
    Pair,
}

impl Verb {
    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Il => "il",
            Verb::Pair => "pair",
        }
    }
}

/// The state of a run beside weights and moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Bytes of `metrics.jsonl` that belong to these steps.
    pub metrics_bytes: u64,
    /// Broken steps in a row.
    pub bad_in_a_row: u32,
    /// Weight of the divergence as it has adapted.
    pub beta: f64,
    /// Digest of the training frames.
    pub data: String,
}

const STATE: &str = "trainer/state.json";

/// A training run in memory.
pub struct Trainer<'a> {
    /// The branches being taught.
    pub branches: Branches,
    verb: Verb,
    settings: &'a Settings,
    train: &'a Frames,
    val: Option<&'a Frames>,
    il: Option<Learner>,
    rl: Option<Learner>,
    selector: Option<Learner>,
    orders: [Order; 3],
    state: State,
}

impl<'a> Trainer<'a> {
    /// Puts a run together. `given`: an imitation head to start from, such as that of another run.
    ///
    /// # Errors
    /// Settings that make no sense or do not fit the frames; too few frames for the anchors.
    pub fn new(
        verb: Verb,
        settings: &'a Settings,
        train: &'a Frames,
        val: Option<&'a Frames>,
        eyes: Eyes,
        given: Option<Branches>,
    ) -> Result<Self> {
        let (pair, width) = (&settings.pair, train.feature_width());
        let learns = verb == Verb::Pair;
        options::check(verb, settings, given.is_some())?;
        let (il, head) = match given {
            Some(given) => {
                eyes.expect(&given.about.eyes)?;
                (given.about.il, given.il)
            }
            None => {
                let il = options::il(settings, width);
                let all: Vec<usize> = (0..train.len()).collect();
                let anchors = anchors::kmeans(&train.demonstrated(&all), il.modes, settings.il.seed)?;
                (il.clone(), IlHead::new(&il, anchors, settings.il.seed)?)
            }
        };
        let parallel = learns && pair.mode == PairMode::Parallel;
        let tree_options = if parallel { Some(options::tree(settings, width)?) } else { None };
        let tree = tree_options.as_ref().map(|options| TreePolicy::new(options, pair.seed)).transpose()?;
        let selects = parallel && pair.selector_steps > 0;
        let shape = options::shape(settings, width);
        let selector = if selects { Some(Selector::new(&shape, pair.seed)?) } else { None };
        let learner = |on: bool, vars: Option<_>, pace| match vars.filter(|_| on) {
            Some(vars) => Learner::new(vars, &pace).map(Some),
            None => Ok(None),
        };
        let rl_vars = if parallel { tree.as_ref().map(TreePolicy::vars) } else { Some(head.vars()) };
        let threshold = match pair.threshold {
            Threshold::Auto => measure::THRESHOLD,
            Threshold::Gain(gain) => gain,
        };
        let (selector_shape, blind) = (selects.then_some(shape), settings.il.blind);
        let about = About { format: 1, il, tree: tree_options, selector: selector_shape, threshold, eyes, blind };
        Ok(Trainer {
            il: learner(settings.il.max_steps > 0, Some(head.vars()), options::il_pace(settings))?,
            rl: learner(learns, rl_vars, options::rl_pace(pair))?,
            selector: learner(selects, selector.as_ref().map(Selector::vars), options::selector_pace(pair))?,
            orders: [
                Order::named(train.len(), settings.il.seed, "order.il"),
                Order::named(train.len(), pair.seed, "order.tree"),
                Order::named(train.len(), pair.seed, "order.selector"),
            ],
            state: State { step: 0, metrics_bytes: 0, bad_in_a_row: 0, beta: pair.beta, data: train.digest() },
            branches: Branches { about, il: head, tree, selector },
            verb,
            settings,
            train,
            val,
        })
    }

    /// First step of reinforcement learning: in sequential mode the imitation head has learned by then.
    fn rl_from(&self) -> u64 {
        match self.settings.pair.mode {
            PairMode::Sequential => self.settings.il.max_steps as u64,
            PairMode::Parallel => 0,
        }
    }

    /// Steps in all.
    pub fn total(&self) -> u64 {
        let (il, pair) = (self.settings.il.max_steps as u64, &self.settings.pair);
        match self.verb {
            Verb::Il => il,
            Verb::Pair => il.max(self.rl_from() + pair.max_steps as u64).max(pair.selector_steps as u64),
        }
    }

    /// Continues from a checkpoint, whose branches `self` was given. Returns a warning when the training frames have
    /// changed since and `anyway` allows it.
    ///
    /// # Errors
    /// A checkpoint of another run; exit 2 for changed frames.
    pub fn restore(&mut self, from: &Checkpoint, anyway: bool) -> Result<Option<String>> {
        let saved = Branches::load(&from.dir)?;
        if saved.about.il != self.branches.about.il
            || saved.about.tree != self.branches.about.tree
            || saved.about.selector != self.branches.about.selector
        {
            return Err(Failure::data(format!("{} holds branches of other sizes", from.dir.display()))
                .hint("set the sizes back, or start another run with --il to keep the imitation head"));
        }
        self.branches.about.eyes.expect(&saved.about.eyes)?;
        // Into the variables that the optimizers hold.
        for (name, var) in self.branches.vars() {
            let tensor = saved.vars().get(&name).map(|var| var.as_detached_tensor());
            let tensor = tensor.ok_or_else(|| Failure::data(format!("{}: no {name}", from.dir.display())))?;
            var.set(&tensor)?;
        }
        self.branches.il.set_anchors(saved.il.anchors())?;
        self.branches.about.threshold = saved.about.threshold;
        for (name, learner) in [("il", &mut self.il), ("rl", &mut self.rl), ("selector", &mut self.selector)] {
            let Some(learner) = learner else { continue };
            let file = optimizer(name);
            let state = candle_core::safetensors::load_buffer(&from.read(&file)?, &Device::Cpu)
                .map_err(|e| Failure::data(format!("{}/{file}: {e}", from.dir.display())))?;
            learner.adamw.import(&state.into_iter().collect())?;
        }
        let mine = std::mem::take(&mut self.state.data);
        self.state = serde_json::from_slice(&from.read(STATE)?)
            .map_err(|e| Failure::data(format!("{}/{STATE}: {e}", from.dir.display())))?;
        let theirs = std::mem::replace(&mut self.state.data, mine);
        if theirs == self.state.data {
            return Ok(None);
        }
        let changed = format!("the training frames are not those that {} was trained on", from.dir.display());
        if anyway {
            return Ok(Some(changed));
        }
        Err(Failure::usage(changed).hint("bring the records back as they were, or add --resume-anyway"))
    }

    /// Trains to the end or until asked to stop.
    ///
    /// # Errors
    /// Exit 75 when stopped on request (everything saved), 4 after five broken steps in a row, 3 when saving keeps failing.
    pub fn run(&mut self, run: &Run, progress: &mut Progress, stop: &Stop) -> Result<()> {
        let mut metrics = run.metrics(self.state.metrics_bytes, progress)?;
        let mut saved = Saved::of(run, self.state.step);
        let (total, verb) = (self.total(), self.verb.name());
        let (every, logging) = match self.verb {
            Verb::Il => (self.settings.il.save_steps, self.settings.il.logging_steps),
            Verb::Pair => (self.settings.pair.save_steps, self.settings.pair.logging_steps),
        };
        let mut told = super::report::Told::from(self.state.step);
        while self.state.step < total {
            if stop.requested() {
                self.save(run, progress, &mut metrics, &mut saved, true)?;
                progress.finish();
                return Err(Stop::resumable(verb, saved.dir.as_deref(), &run.dir));
            }
            let report = self.step()?;
            let step = self.state.step;
            if step == total {
                self.tune()?;
            }
            if step.is_multiple_of(logging as u64) || step == total || !report.skipped.is_empty() {
                metrics.write(&report.line(step))?;
            }
            told.progress(progress, &report, step, total);
            for why in &report.skipped {
                progress.note(&format!("step {step} skipped: {why}; samples {}", report.ids.join(", ")));
            }
            if self.state.bad_in_a_row >= MAX_BAD {
                return Err(broken(&report, &saved));
            }
            if step == total || step.is_multiple_of(every as u64) {
                self.save(run, progress, &mut metrics, &mut saved, step == total)?;
            }
        }
        progress.finish();
        Ok(())
    }

    /// The next step of every branch that is due. A branch whose numbers are broken is left as it is.
    ///
    /// # Errors
    /// Device trouble.
    pub fn step(&mut self) -> Result<Report> {
        let (step, total, settings) = (self.state.step, self.total(), self.settings);
        let (pair, train) = (&settings.pair, self.train);
        let mut report = Report::default();
        if step < settings.il.max_steps as u64
            && let Some(learner) = &mut self.il
        {
            let picks = picks(&mut self.orders[0], step, settings.il.per_device_train_batch_size);
            let result = imitation::step(&self.branches.il, learner, train, &picks, step);
            report.il = report.take(result, &picks, train, |it| &it.stepped)?;
        }
        let from = self.rl_from();
        if (from..from + pair.max_steps as u64).contains(&step)
            && let Some(learner) = &mut self.rl
        {
            let (step, n) = (step - from, pair.per_device_train_batch_size);
            let picks = picks(&mut self.orders[1], step, n);
            if let Some(policy) = &self.branches.tree {
                let working = tree::Working {
                    frames: train,
                    il: &self.branches.il,
                    mix: options::mix(pair),
                    shaping: options::shaping(pair),
                    lean_share: pair.lean_share,
                    iterations: pair.num_iterations,
                    best_of: pair.best_of,
                    kl_target: pair.kl_target,
                    seed: pair.seed,
                };
                let mut objective = ObjectiveOptions { beta: self.state.beta, ..options::objective(pair) };
                let result = tree::step(policy, learner, &working, &mut objective, &picks, step);
                self.state.beta = objective.beta;
                report.tree = report.take(result, &picks, train, |it| &it.stepped)?;
            } else {
                let working = sequential::Working {
                    frames: train,
                    group: pair.num_generations,
                    imitation: pair.imitation,
                    seed: pair.seed,
                };
                let result = sequential::step(&self.branches.il, learner, &working, &picks, step);
                report.sequential = report.take(result, &picks, train, |it| &it.stepped)?;
            }
        }
        let from = total - (pair.selector_steps as u64).min(total);
        if step >= from
            && let (Some(selector), Some(learner)) = (&self.branches.selector, &mut self.selector)
        {
            let step = step - from;
            let picks = picks(&mut self.orders[2], step, pair.selector_batch_size);
            let working = selection::Working {
                frames: train,
                il: &self.branches.il,
                tree: self.branches.tree.as_ref(),
                mix: options::mix(pair),
                lean_share: pair.lean_share,
                seed: pair.seed,
            };
            let result: Result<Selected> = selection::step(selector, learner, &working, &picks, step);
            report.selector = report.take(result, &picks, train, |it| &it.stepped)?;
        }
        self.state.bad_in_a_row = if report.skipped.is_empty() { 0 } else { self.state.bad_in_a_row + 1 };
        self.state.step += 1;
        Ok(report)
    }

    /// Picks the threshold on held-out frames, where there are some.
    fn tune(&mut self) -> Result<()> {
        if let (Threshold::Auto, Some(val), Some(_)) = (self.settings.pair.threshold, self.val, &self.branches.selector)
        {
            self.branches.about.threshold = measure::tune(&self.branches, val)?;
        }
        Ok(())
    }

    fn save(
        &self,
        run: &Run,
        progress: &mut Progress,
        metrics: &mut Metrics,
        saved: &mut Saved,
        must: bool,
    ) -> Result<()> {
        let keep = match self.verb {
            Verb::Il => self.settings.il.save_total_limit,
            Verb::Pair => self.settings.pair.save_total_limit,
        };
        let how = (self.state.step, keep, must);
        saved.save(run, progress, how, &self.settings.digest(), || {
            self.files(&State { metrics_bytes: metrics.offset()?, ..self.state.clone() })
        })
    }

    fn files(&self, state: &State) -> Result<Files<'_>> {
        let mut files: Files = Vec::new();
        files.extend(self.branches.files()?.into_iter().map(|(name, bytes)| (name, File::Bytes(bytes.into()))));
        for (name, learner) in [("il", &self.il), ("rl", &self.rl), ("selector", &self.selector)] {
            if let Some(learner) = learner {
                files.push((optimizer(name), File::Tensors(Pieces::new(learner.adamw.export(), &[])?)));
            }
        }
        let json = serde_json::to_vec_pretty(state).map_err(|e| Failure::data(e.to_string()))?;
        files.push((STATE.into(), File::Bytes(json.into())));
        Ok(files)
    }
}

fn optimizer(name: &str) -> String {
    format!("trainer/{name}.safetensors")
}

fn picks(order: &mut Order, step: u64, n: usize) -> Vec<usize> {
    let from = step * n as u64;
    (from..from + n as u64).map(|position| order.at(position)).collect()
}

/// Why training ends after [`MAX_BAD`] broken steps.
fn broken(report: &Report, saved: &Saved) -> Failure {
    let why = report.skipped.first().map_or("", String::as_str);
    let failure = Failure::new(
        Kind::Device,
        format!(
            "{MAX_BAD} steps in a row were broken, the last because {why}; its samples were {}",
            report.ids.join(", ")
        ),
    );
    match &saved.dir {
        Some(dir) => failure.hint(format!("{} is good; lower the learning rate or look at the samples", dir.display())),
        None => failure.hint("lower the learning rate or look at the named samples"),
    }
}

impl Report {
    /// What a branch's step gave. Numbers that are not finite are a reason to skip, other trouble ends training.
    fn take<T>(
        &mut self,
        result: Result<T>,
        picks: &[usize],
        frames: &Frames,
        stepped: impl Fn(&T) -> &Stepped,
    ) -> Result<Option<T>> {
        let why = match &result {
            Ok(done) => stepped(done).skipped.clone(),
            Err(failure) if failure.kind == Kind::Device => Some(failure.message.clone()),
            Err(_) => None,
        };
        if let Some(why) = why {
            self.skipped.push(why);
            self.ids.extend(picks.iter().map(|at| frames.all()[*at].id.clone()));
            return Ok(result.ok());
        }
        result.map(Some)
    }
}
