//! A planned trajectory in the forms that leave the program: lines of the page, the JSON object, and what pictures show.

use crate::{
    picture::{self, Choice, PlanView, Terminal},
    trajectory::{Decision, SubScores, plan::Source},
};
use scene::{Trajectory, dynamics::vehicle::TO_CENTER};
use serde_json::{Map, Value, json};
use sim::render;

/// How frames are taken that branches learn from: they see every frame as if it were such a one.
fn camera() -> picture::Camera {
    let front = render::Camera::new(288, 128, 75.0);
    picture::Camera {
        height_m: f64::from(front.mount[2]),
        horizontal_fov_deg: 75.0,
        horizon: 0.5,
        ahead_m: f64::from(front.mount[0]) + TO_CENTER,
    }
}

/// The view with the trajectory in it.
pub fn shown(view: PlanView, decision: &Decision) -> PlanView {
    let judged = decision.candidates[decision.chosen].judged;
    let named = |scores: SubScores| SubScores::NAMES.iter().map(|name| (*name).into()).zip(scores.row()).collect();
    let choice = Choice {
        candidates: decision.candidates.iter().map(|c| c.trajectory.clone()).collect(),
        chosen: decision.chosen,
        title: title(decision),
        score: judged.map(|judged| (judged.scores.total(), decision.gain)),
        subs: judged.map_or_else(Vec::new, |judged| named(judged.scores)),
    };
    PlanView { trajectory: Some(decision.trajectory().clone()), choice: Some(choice), camera: camera(), ..view }
}

/// What is driven, in a word or by the code of its path.
pub fn title(decision: &Decision) -> String {
    match &decision.candidates[decision.chosen].source {
        Source::Leaf(code) => code.clone(),
        Source::Mode(_) if decision.chosen == 0 => "the reference".into(),
        Source::Mode(_) => "another proposal of the imitation head".into(),
    }
}

/// The lines of the page.
pub fn lines(decision: &Decision, threshold: f64, terminal: &Terminal) -> String {
    let count = decision.candidates.len();
    let bold = |text: &str| if terminal.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.into() };
    let (ahead, left, speed) = end(decision.trajectory());
    let side = if left < 0.0 { "right" } else { "left" };
    let ends = format!("ends {ahead:.1} m ahead, {:.1} m {side}, at {speed:.1} m/s", left.abs());
    let mut out = format!("  drive  {}", bold(&title(decision)));
    let Some(judged) = decision.candidates[decision.chosen].judged else {
        return out + &format!(", the first of {count} proposals\n         {ends}\n");
    };
    out += &match decision.chosen {
        0 => format!(": none of {count} candidates gains more than {threshold:.2}\n"),
        _ => format!(" instead of the reference, from {count} candidates\n"),
    };
    out += &format!("         predicted score {:.2}", judged.scores.total());
    if decision.chosen > 0 {
        out += &format!(", {:.2} more than the reference", decision.gain);
    }
    let scores = SubScores::NAMES.iter().zip(judged.scores.row());
    let scores: Vec<String> = scores.map(|(name, value)| format!("{} {value:.2}", name.to_uppercase())).collect();
    out + &format!("\n         {}\n         {ends}\n", scores.join("  "))
}

/// Metres ahead and to the left, and m/s, where it ends.
fn end(trajectory: &Trajectory) -> (f64, f64, f64) {
    let last = trajectory.poses.last().copied().unwrap_or_default();
    (last.x, last.y, trajectory.speeds().last().copied().unwrap_or(0.0))
}

/// As JSON. Poses are `[x, y, heading]` of the rear axle, seen from the rear axle.
pub fn to_json(decision: &Decision, threshold: f64) -> Value {
    let chosen = &decision.candidates[decision.chosen];
    let (x, y, speed_mps) = end(&chosen.trajectory);
    let (choice, code) = match (&chosen.source, decision.chosen) {
        (Source::Leaf(code), _) => ("leaf", Some(code)),
        (Source::Mode(_), 0) => ("reference", None),
        (Source::Mode(_), _) => ("proposal", None),
    };
    json!({
        "choice": choice,
        "code": code,
        "score": chosen.judged.map(|judged| judged.scores.total()),
        "sub_scores": chosen.judged.map(|judged| sub_scores(&judged.scores)),
        "gain": chosen.judged.map(|_| decision.gain),
        "threshold": threshold.is_finite().then_some(threshold),
        "end": { "x": x, "y": y, "speed_mps": speed_mps },
        "selected": poses(&chosen.trajectory),
        "reference": poses(decision.reference()),
        "reference_score": decision.candidates[0].judged.map(|judged| judged.scores.total()),
        "step_seconds": chosen.trajectory.step,
        "candidates": decision.candidates.len(),
    })
}

fn sub_scores(scores: &SubScores) -> Value {
    let named = SubScores::NAMES.iter().zip(scores.row()).map(|(name, value)| ((*name).to_owned(), json!(value)));
    Value::Object(named.collect::<Map<_, _>>())
}

fn poses(trajectory: &Trajectory) -> Value {
    trajectory.poses.iter().map(|pose| json!([pose.x, pose.y, pose.heading])).collect()
}
