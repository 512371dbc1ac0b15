//! The work of `plan`: frame after frame, the first as a page, the others as lines, then the sheet and the JSON.

use super::{
    ASSUMED_SPEED, Args, drives,
    said::Live,
    samples::{self, Drawn},
    view::{self, Outcome},
};
use crate::{
    cli::{print, print_json},
    error::{Failure, Kind, Result},
    picture::{self, Facts, PlanView, Terminal, reflow, sheet, terminal},
    policy::{Decoding, Planned, Planner, TrajectoryPlanner, frames::Frame},
    train::signals::Stop,
    trajectory::{self, Decision, Route},
    vlm::{image::Rgb, sampling::SamplingParams},
};
use data::Ego;
use image::RgbImage;
use scene::Command;
use serde_json::Value;
use std::{path::PathBuf, time::Instant};

/// Width of a frame on the sheet.
const CELL: u32 = 480;

/// What stays the same for every frame.
pub struct Job<'a> {
    /// What was typed.
    pub args: &'a Args,
    /// Who is asked.
    pub planner: &'a Planner,
    /// Who plans trajectories.
    pub branches: Option<&'a TrajectoryPlanner<'a>>,
    /// What the page says where nobody does.
    pub hint: Option<&'static str>,
    /// Where pages go.
    pub terminal: Terminal,
    /// Ends a list of frames early.
    pub stop: Stop,
    /// One word line a frame.
    pub quiet: bool,
    /// For the page's head.
    pub threads: usize,
}

/// A planned frame.
struct Done {
    record: Value,
    cell: RgbImage,
    caption: String,
}

impl Job<'_> {
    /// Plans every frame. One that cannot be read or a picture that cannot be written does not stop the others.
    ///
    /// # Errors
    /// The first thing that went wrong, after everything else is done.
    pub fn all(&self, frames: &[Frame]) -> Result<()> {
        let wide = frames.iter().map(|frame| frame.short_name().chars().count()).max().unwrap_or(0).min(40);
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for frame in frames {
            match self.one(frame, done.is_empty(), wide, &mut failures) {
                Ok(Some(one)) => done.push(one),
                Ok(None) => break,
                Err(failure) => failures.push(failure),
            }
            if self.stop.requested() {
                break;
            }
        }
        let planned = done.len();
        let sheet = if frames.len() > 1 && planned > 0 { self.sheet(&done, &mut failures)? } else { None };
        if self.args.json && planned > 0 {
            print_json(&json(done, sheet.as_ref()))?;
        }
        if self.stop.requested() && planned < frames.len() {
            let failure = format!("stopped on request after {planned} of {} frames", frames.len());
            let kept = sheet.map_or_else(String::new, |path| format!("; the sheet is in {}", path.display()));
            return Err(Failure::new(Kind::Resumable, failure).hint(format!("plan the others by name{kept}")));
        }
        match failures.len() {
            0 | 1 => failures.pop().map_or(Ok(()), Err),
            n => Err(failures.swap_remove(0).context(format!("{n} things failed, the first is"))),
        }
    }

    /// Plans one frame and reports it: in full with its picture, or in a line. A picture that cannot be written goes to
    /// `failures`, after the plan is printed. `None` when its answer was stopped half way.
    fn one(&self, frame: &Frame, full: bool, wide: usize, failures: &mut Vec<Failure>) -> Result<Option<Done>> {
        let image = frame.open()?;
        let raster = view::raster(&image);
        let (ego, assumed) = self.ego(frame);
        let page = full && !self.args.json && !self.quiet;
        let blank = view::asked(self.planner, &ego);
        let mut facts = Facts {
            program: concat!("reinsman ", env!("CARGO_PKG_VERSION")).into(),
            threads: self.threads,
            frame: frame.name.clone(),
            ..Facts::default()
        };
        if page {
            print(&terminal::header(&blank, &facts, &self.terminal))?;
        }
        if full && assumed && !self.quiet {
            eprintln!("note: speed not given: assuming {ASSUMED_SPEED:.1} m/s (use --speed)");
        }
        if page {
            print("\n")?;
        }
        let begin = Instant::now();
        let picture = image.clone();
        let question = self.planner.question(&ego, vec![image], !self.args.no_think)?;
        let seen = self.planner.see(&question)?;
        let mut live = Live::new(&self.terminal, page);
        let go_on = || !self.stop.requested();
        let decoding = self.decoding(if self.args.samples > 1 { None } else { self.args.temperature });
        let planned = self.planner.plan(&seen, &decoding, &mut |piece| live.push(piece) && go_on())?;
        live.finish()?;
        if planned.completion.stopped {
            return Ok(None);
        }
        (facts.tokens, facts.seconds) = (planned.completion.ids.len(), begin.elapsed().as_secs_f64());
        let count = if self.args.samples > 1 { self.args.samples } else { 0 };
        let sampling = self.decoding(Some(self.args.temperature.unwrap_or(1.0)));
        let drawn = samples::draw(self.planner, &seen, count, &sampling, &go_on)?;
        let decision = self.drive(&picture, &ego, &planned)?;
        let threshold = self.branches.map_or(0.0, |branches| branches.threshold);
        let mut view = view::answered(blank, &planned, &drawn);
        if let Some(decision) = &decision {
            view = drives::shown(view, decision);
        }
        if page {
            let drives = match (&decision, self.hint) {
                (Some(decision), _) => drives::lines(decision, threshold, &self.terminal),
                (None, Some(hint)) => format!("  {hint}\n"),
                (None, None) => String::new(),
            };
            print(&format!("{}{drives}\n", self.verdict(frame, &view, &planned, &drawn)))?;
        }
        if full {
            match picture::save_png(&self.args.out, &picture::annotate(&raster, &view)) {
                Ok(()) => facts.picture = Some(self.args.out.display().to_string()),
                Err(failure) => {
                    failures.push(failure.hint("the plan is printed; choose another --out for the picture"))
                }
            }
        }
        if page {
            print(&terminal::closing(&facts, &self.terminal))?;
        } else if self.quiet && !self.args.json {
            print(&format!("{}\t{}\n", frame.name, planned.action()))?;
        } else if !self.args.json {
            print(&self.line(frame, &planned, decision.as_ref(), facts.seconds, wide))?;
        }
        let trajectory = decision.map_or(Value::Null, |decision| drives::to_json(&decision, threshold));
        let seconds = facts.seconds;
        let outcome = Outcome { frame, ego: &ego, assumed, planned: &planned, drawn: &drawn, trajectory, seconds };
        let mut record = outcome.to_json(self.planner);
        record["picture"] = facts.picture.into();
        let overlay = picture::overlay(&raster, &view);
        let high = (CELL * overlay.height() / overlay.width().max(1)).max(1);
        let cell = image::imageops::thumbnail(&overlay, CELL, high);
        Ok(Some(Done { record, cell, caption: format!("{}  {:.1} m/s", frame.short_name(), ego.speed_mps) }))
    }

    /// The trajectory of a frame, which leans to the plan that was read. The ego keeps its speed as far as is known.
    fn drive(&self, picture: &Rgb, ego: &Ego, planned: &Planned) -> Result<Option<Decision>> {
        let Some(branches) = self.branches else { return Ok(None) };
        let ego = trajectory::Ego {
            route: Route::of(&ego.command),
            velocity: [ego.speed_mps, 0.0],
            acceleration: [0.0, 0.0],
        };
        let action = planned.plan.as_ref().ok().map(|plan| plan.action);
        Ok(branches.plan(&[picture], vec![ego], &[action])?.pop())
    }

    /// What the planner is told, and whether the speed is an assumption.
    fn ego(&self, frame: &Frame) -> (Ego, bool) {
        let known = self.args.speed.or(frame.speed_mps);
        let command = self.args.command.clone().map_or_else(Command::default, Command);
        (Ego { speed_mps: known.unwrap_or(ASSUMED_SPEED), command }, known.is_none())
    }

    /// Greedy at no temperature or 0.
    fn decoding(&self, temperature: Option<f64>) -> Decoding {
        let sampling = match temperature.filter(|t| *t > 0.0) {
            None => SamplingParams::default(),
            Some(temperature) => SamplingParams { do_sample: true, temperature, ..SamplingParams::default() },
        };
        Decoding { sampling, max_new_tokens: self.args.max_new_tokens, seed: self.args.seed }
    }

    /// The plan with its bars, what was driven, and how samples differ.
    fn verdict(&self, frame: &Frame, view: &PlanView, planned: &Planned, drawn: &[Drawn]) -> String {
        let bars = PlanView { samples: Vec::new(), ..view.clone() };
        let mut out = terminal::verdict(&bars, &self.terminal);
        out += &view::remarks(planned);
        if let Some(driven) = &frame.driven {
            out += &format!("  driven {driven}\n");
        }
        if !drawn.is_empty() {
            let counts = PlanView { plan: Ok(planned.action()), samples: view.samples.clone(), ..no_bars(view) };
            out += &terminal::verdict(&counts, &self.terminal);
            out += &samples::differences(drawn, self.terminal.width, self.terminal.unicode);
        }
        out
    }

    /// One frame in a line.
    fn line(&self, frame: &Frame, planned: &Planned, decision: Option<&Decision>, seconds: f64, wide: usize) -> String {
        let action = planned.action();
        let p = &planned.probabilities;
        let name: String = reflow::clean(frame.short_name(), self.terminal.unicode).chars().take(40).collect();
        let (speed, path) = (action.speed.as_str(), action.path.as_str());
        let (ps, pp) = (p.speed[action.speed.index()], p.path[action.path.index()]);
        let mut out = format!("  {name:wide$}  {speed:10} {ps:.2}  {path:12} {pp:.2}  {seconds:5.2} s");
        if let Some(decision) = decision {
            out += &format!("  {}", drives::title(decision));
        }
        if let Some(driven) = &frame.driven {
            out += &format!("  driven {driven}");
        }
        if let Some(why) = planned.trouble() {
            out += &format!("  (likeliest; no valid plan: {})", reflow::clean(&why, self.terminal.unicode));
        }
        out + "\n"
    }

    /// Writes the sheet of all frames beside the picture. `None` when that failed.
    fn sheet(&self, done: &[Done], failures: &mut Vec<Failure>) -> Result<Option<PathBuf>> {
        let stem = self.args.out.file_stem().unwrap_or_default().to_string_lossy();
        let path = self.args.out.with_file_name(format!("{stem}_sheet.png"));
        let cells: Vec<(&RgbImage, &str)> = done.iter().map(|one| (&one.cell, one.caption.as_str())).collect();
        if let Err(failure) = picture::save_png(&path, &picture::contact_sheet(&cells, 0, CELL)) {
            failures.push(failure);
            return Ok(None);
        }
        if !self.quiet && !self.args.json {
            let shown = match done.len().saturating_sub(sheet::MAX_CELLS) {
                0 => String::new(),
                more => format!(" (its first {}, {more} more left out)", sheet::MAX_CELLS),
            };
            print(&format!("  sheet {}{shown}\n", path.display()))?;
        }
        Ok(Some(path))
    }
}

fn no_bars(view: &PlanView) -> PlanView {
    PlanView { speed_probabilities: Vec::new(), path_probabilities: Vec::new(), ..view.clone() }
}

/// One object: that of the first frame; with several frames also `frames`, one such object each, and `sheet`.
fn json(done: Vec<Done>, sheet: Option<&PathBuf>) -> Value {
    let mut records: Vec<Value> = done.into_iter().map(|one| one.record).collect();
    let Some(mut first) = records.first().cloned() else { return Value::Null };
    if let Some(sheet) = sheet {
        first["sheet"] = sheet.display().to_string().into();
    }
    if records.len() > 1 {
        first["frames"] = Value::Array(std::mem::take(&mut records));
    }
    first
}
