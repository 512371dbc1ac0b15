//! The annotated picture of a plan: the frame with the plan as a ribbon on the road and its two labels, below it a
//! panel with the reasoning, the probabilities and where they come from.
//!
//! The frame is scaled to fit [`WIDTH`] x [`MAX_FRAME_HEIGHT`] pixels; a narrow or flat one is centred on the ground
//! colour. The result is never smaller than [`MIN_WIDTH`] wide and never larger than [`WIDTH`] x [`MAX_HEIGHT`].

use super::camera::Camera;
use super::canvas::{Canvas, Paint, ink};
use super::choice::Choice;
use super::{font, panel, ribbon, theme};
use image::{RgbImage, imageops};
use scene::{MetaAction, Trajectory};

/// Width the frame is scaled to, unless that makes it too high.
pub const WIDTH: u32 = 960;
/// Narrowest picture.
pub const MIN_WIDTH: u32 = 640;
/// Highest frame.
pub const MAX_FRAME_HEIGHT: u32 = 800;
/// Highest picture.
pub const MAX_HEIGHT: u32 = 2400;
/// Room for the labels when the frame is flatter than this.
const MIN_FRAME_HEIGHT: u32 = 200;

/// What a picture or a terminal page of a plan shows.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanView {
    /// The model in one line, for example `embedded planner (5.8 M parameters, q8_0)`.
    pub model: String,
    /// Which prompt was asked.
    pub prompt_version: String,
    /// Speed in m/s that the model was told; none when it was not told.
    pub speed_mps: Option<f64>,
    /// Navigation command that the model was told.
    pub command: String,
    /// Text between the `<think>` tags; empty in no-think mode.
    pub reasoning: String,
    /// The plan, or why there is none.
    pub plan: Result<MetaAction, String>,
    /// Label and probability of every speed action, any order.
    pub speed_probabilities: Vec<(String, f64)>,
    /// Label and probability of every path action, any order.
    pub path_probabilities: Vec<(String, f64)>,
    /// Further sampled plans (`--samples`); empty when not asked for.
    pub samples: Vec<Sample>,
    /// The planned poses when the model has a trajectory head; drawn instead of the plan's symbol.
    pub trajectory: Option<Trajectory>,
    /// What that trajectory was chosen from.
    pub choice: Option<Choice>,
    /// How the frame was taken.
    pub camera: Camera,
}

/// One of several sampled plans.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The plan; none when the text had no valid one.
    pub plan: Option<MetaAction>,
    /// Its poses, if any.
    pub trajectory: Option<Trajectory>,
}

/// Draws the picture. Total: any frame (0 x 0 included) and any values give a picture of bounded size.
pub fn annotate(frame: &RgbImage, view: &PlanView) -> RgbImage {
    let stage = overlay(frame, view);
    let panel = panel::draw(view, stage.width());
    let height = (stage.height() + panel.height()).min(MAX_HEIGHT);
    let mut page = Canvas::new(stage.width(), height, theme::GROUND);
    page.paste(&stage, 0, 0);
    page.paste(&panel, 0, i64::from(stage.height()));
    page.into_image()
}

/// The upper part of [`annotate`] alone: the frame with ribbon and labels, at least [`MIN_WIDTH`] wide. For sheets.
pub fn overlay(frame: &RgbImage, view: &PlanView) -> RgbImage {
    let (width, height) = fitted(frame.width(), frame.height());
    let scaled = scale(frame, width, height);
    let mut canvas = Canvas::over(scaled);
    draw_ribbons(&mut canvas, view);
    let (wide, high) = (width.max(MIN_WIDTH), height.max(MIN_FRAME_HEIGHT));
    let mut stage = Canvas::new(wide, high, theme::BLACK);
    stage.paste(&canvas.into_image(), i64::from((wide - width) / 2), i64::from((high - height) / 2));
    draw_labels(&mut stage, view);
    stage.into_image()
}

/// Size of a frame scaled to fit, each side at least 1.
fn fitted(width: u32, height: u32) -> (u32, u32) {
    let (w, h) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let scale = (f64::from(WIDTH) / w).min(f64::from(MAX_FRAME_HEIGHT) / h);
    let side = |s: f64, most: u32| ((s * scale).round() as u32).clamp(1, most);
    (side(w, WIDTH), side(h, MAX_FRAME_HEIGHT))
}

fn scale(frame: &RgbImage, width: u32, height: u32) -> RgbImage {
    if frame.width() == 0 || frame.height() == 0 {
        return RgbImage::from_pixel(width, height, image::Rgb(theme::TRACK));
    }
    if frame.dimensions() == (width, height) {
        return frame.clone();
    }
    // A box filter first keeps huge frames cheap; the smooth filter does the rest.
    let huge = frame.width() > 3 * width && frame.height() > 3 * height;
    if huge {
        let rough = imageops::thumbnail(frame, 2 * width, 2 * height);
        return imageops::resize(&rough, width, height, imageops::FilterType::Triangle);
    }
    imageops::resize(frame, width, height, imageops::FilterType::CatmullRom)
}

fn draw_ribbons(canvas: &mut Canvas, view: &PlanView) {
    let projection = view.camera.project(canvas.width(), canvas.height());
    let path = |plan: Option<MetaAction>, trajectory: Option<&Trajectory>| match (trajectory, plan) {
        (Some(t), _) => Some(ribbon::real(t, plan.map(|p| p.speed), &projection)),
        (None, Some(p)) => Some(ribbon::nominal(p, &projection)),
        (None, None) => None,
    };
    let chosen = view.plan.as_ref().ok().copied();
    for (sample, share) in panel::tally(&view.samples) {
        let differs = sample.trajectory.is_some() || sample.plan != chosen;
        if differs && let Some(path) = path(sample.plan, sample.trajectory.as_ref()) {
            path.trace(canvas, &projection, 0.45 + 0.5 * share as f32);
        }
    }
    if let Some(path) = path(chosen, view.trajectory.as_ref()) {
        path.draw(canvas, &projection);
    }
    if let Some(reference) = view.choice.as_ref().and_then(Choice::reference) {
        ribbon::real(reference, None, &projection).coloured(theme::REFERENCE).trace(canvas, &projection, 0.9);
    }
}

/// The two labels as pills in the top left corner.
fn draw_labels(stage: &mut Canvas, view: &PlanView) {
    let shade = Paint::Vertical { top: ink(theme::BLACK, 0.55), bottom: ink(theme::BLACK, 0.0), from: 0.0, to: 110.0 };
    stage.rectangle(0.0, 0.0, f64::from(stage.width()), 110.0, shade);
    match &view.plan {
        Ok(plan) => {
            let x = pill(stage, 20.0, plan.speed.as_str(), theme::speed_colour(plan.speed));
            pill(stage, x + 10.0, plan.path.as_str(), theme::PATH);
        }
        Err(_) => {
            pill(stage, 20.0, "NO VALID PLAN", theme::ALARM);
        }
    }
}

fn pill(stage: &mut Canvas, x: f64, text: &str, colour: theme::Colour) -> f64 {
    let style = font::bold(20.0);
    let wide = font::width(text, style) + 54.0;
    stage.rounded(x, 20.0, wide, 42.0, 21.0, ink(theme::GROUND, 0.82));
    stage.disc((x + 24.0, 41.0), 7.0, colour);
    font::draw(stage, x + 40.0, 48.2, text, style, theme::WHITE);
    x + wide
}
