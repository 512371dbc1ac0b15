//! One planned frame in the two forms that leave the program: what pictures and pages show, and the JSON object.

use super::samples::Drawn;
use crate::{
    cli::millions,
    device,
    picture::{self, Camera, PlanView, Terminal, reflow::clean},
    policy::{Planned, Planner, Probabilities, frames::Frame},
    vlm::image::Rgb,
};
use data::Ego;
use image::RgbImage;
use scene::{PathAction, SpeedAction};
use serde_json::{Value, json};
use std::io::IsTerminal;

/// What standard output can show.
pub fn terminal() -> Terminal {
    let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    Terminal::from_env(std::io::stdout().is_terminal(), width, |name| std::env::var(name).ok())
}

/// The model in one line.
pub fn model_line(planner: &Planner) -> String {
    format!(
        "{} ({} parameters, {}{})",
        planner.name(),
        millions(planner.vlm.parameter_count()),
        planner.vlm.quant().map_or(planner.vlm.dtype().as_str(), |kind| kind.name()),
        if planner.vlm.device().is_cpu() { String::new() } else { format!(", {}", device::name(planner.vlm.device())) }
    )
}

/// The view before anything is answered: who is asked, and what.
pub fn asked(planner: &Planner, ego: &Ego) -> PlanView {
    PlanView {
        model: model_line(planner),
        prompt_version: planner.prompts.version(),
        speed_mps: Some(ego.speed_mps),
        command: ego.command.to_string(),
        reasoning: String::new(),
        plan: Err("nothing answered yet".into()),
        speed_probabilities: Vec::new(),
        path_probabilities: Vec::new(),
        samples: Vec::new(),
        trajectory: None,
        choice: None,
        camera: Camera::default(),
    }
}

/// The same with the answer.
pub fn answered(mut view: PlanView, planned: &Planned, drawn: &[Drawn]) -> PlanView {
    view.reasoning = planned.reasoning();
    view.plan = match planned.trouble() {
        None => Ok(planned.action()),
        Some(why) => Err(why),
    };
    [view.speed_probabilities, view.path_probabilities] = bars(&planned.probabilities);
    view.samples = drawn.iter().map(|d| picture::Sample { plan: d.action(), trajectory: None }).collect();
    view
}

/// Labels with their probabilities, speed then path.
fn bars(probabilities: &Probabilities) -> [Vec<(String, f64)>; 2] {
    let speed = SpeedAction::ALL.iter().map(|l| l.to_string()).zip(probabilities.speed.iter().copied());
    let path = PathAction::ALL.iter().map(|l| l.to_string()).zip(probabilities.path.iter().copied());
    [speed.collect(), path.collect()]
}

/// The picture as the drawing code wants it.
pub fn raster(image: &Rgb) -> RgbImage {
    RgbImage::from_raw(image.width as u32, image.height as u32, image.data.clone()).unwrap_or_default()
}

/// What a reader of the plan should know about how it was read; empty when there is nothing to say.
pub fn remarks(planned: &Planned) -> String {
    let mut out = String::new();
    if planned.plan.is_err() {
        out += "  the words above are the most probable ones, not a plan the model wrote\n";
        if planned.completion.cut {
            out += "  a longer answer may hold one: --max-new-tokens\n";
        }
    }
    if let Some(strict) = planned.plan.as_ref().ok().and_then(|read| read.lenient.as_ref()) {
        out += &format!("  read leniently: {}\n", clean(&strict.to_string(), false));
    }
    out
}

/// Everything about one planned frame.
pub struct Outcome<'a> {
    /// Which frame.
    pub frame: &'a Frame,
    /// What the planner was told.
    pub ego: &'a Ego,
    /// Whether the speed was assumed because nobody gave one.
    pub assumed: bool,
    /// The answer.
    pub planned: &'a Planned,
    /// Further drawn plans.
    pub drawn: &'a [Drawn],
    /// The trajectory of the branches.
    pub trajectory: Value,
    /// Seconds from question to answer.
    pub seconds: f64,
}

impl Outcome<'_> {
    /// The documented keys first: `reasoning`, `plan`, `probabilities`, `model`, `prompt_version`, `picture` (filled in
    /// by who wrote one).
    pub fn to_json(&self, planner: &Planner) -> Value {
        let planned = self.planned;
        let mut out = json!({
            "reasoning": planned.reasoning(),
            "plan": planned.action(),
            "probabilities": planned.probabilities.to_json(),
            "model": planner.name(),
            "prompt_version": planner.prompts.version(),
            "picture": Value::Null,
            "frame": self.frame.name,
            "ego": { "speed_mps": self.ego.speed_mps, "speed_assumed": self.assumed },
            "command": self.ego.command,
            "tokens": planned.completion.ids.len(),
            "seconds": self.seconds,
            "raw": planned.completion.text,
        });
        if !self.trajectory.is_null() {
            out["trajectory"] = self.trajectory.clone();
        }
        if let Some(driven) = &self.frame.driven {
            out["driven"] = json!(driven);
        }
        match &planned.plan {
            Err(_) => out["parse_failure"] = json!(planned.trouble()),
            Ok(read) => {
                if let Some(strict) = &read.lenient {
                    out["read_leniently"] = json!(strict.to_string());
                }
            }
        }
        if !self.drawn.is_empty() {
            out["samples"] = self.drawn.iter().map(Drawn::to_json).collect();
        }
        out
    }
}
