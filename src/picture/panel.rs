//! The panel under the frame: reasoning, sampled plans, probability bars of both axes, the choice among trajectories, and
//! what was asked of whom.

use super::canvas::Canvas;
use super::font::{self, Style, bold, regular};
use super::plan_picture::{PlanView, Sample};
use super::theme::{self, Colour};
use image::{RgbImage, imageops};

const MARGIN: f64 = 28.0;
const REASONING: Style = regular(21.0);
const LINE: f64 = 31.0;
const MAX_LINES: usize = 14;
const MAX_BARS: usize = 8;
const MAX_CHIPS: usize = 6;
const ROW: f64 = 30.0;

/// Draws the panel `width` pixels wide, as high as it needs to be (bounded).
pub fn draw(view: &PlanView, width: u32) -> RgbImage {
    let mut canvas = Canvas::new(width, 1500, theme::GROUND);
    let wide = f64::from(width);
    let mut y = reasoning(&mut canvas, view, MARGIN, wide);
    if !view.samples.is_empty() {
        y = samples(&mut canvas, view, y + 22.0, wide);
    }
    if !(view.speed_probabilities.is_empty() && view.path_probabilities.is_empty()) {
        let column = (wide - 2.0 * MARGIN - 48.0) / 2.0;
        let chosen = view.plan.as_ref().ok();
        let speed = chosen.map(|p| (p.speed.as_str(), theme::speed_colour(p.speed)));
        let path = chosen.map(|p| (p.path.as_str(), theme::PATH));
        let left = axis(&mut canvas, "Speed", &view.speed_probabilities, speed, (MARGIN, y + 26.0), column);
        let right_x = MARGIN + column + 48.0;
        let right = axis(&mut canvas, "Path", &view.path_probabilities, path, (right_x, y + 26.0), column);
        y = left.max(right);
    }
    if let Some(choice) = &view.choice {
        let colour = view.plan.as_ref().map_or(theme::WHITE, |plan| theme::speed_colour(plan.speed));
        y = choice.draw(&mut canvas, colour, (MARGIN, y + 26.0), wide - 2.0 * MARGIN);
    }
    let y = footer(&mut canvas, view, y + 22.0, wide);
    let height = (y.ceil() as u32).clamp(1, canvas.height());
    imageops::crop_imm(&canvas.into_image(), 0, 0, width, height).to_image()
}

fn reasoning(canvas: &mut Canvas, view: &PlanView, top: f64, wide: f64) -> f64 {
    let inset = 22.0;
    let room = wide - 2.0 * MARGIN - inset;
    let mut blocks: Vec<(String, Style, Colour)> = Vec::new();
    if let Err(why) = &view.plan {
        let lines = font::wrap(&format!("No valid plan: {why}"), bold(21.0), room, 4);
        blocks.extend(lines.into_iter().map(|l| (l, bold(21.0), theme::ALARM)));
    }
    let said = view.reasoning.trim();
    if said.is_empty() && view.plan.is_ok() {
        blocks.push(("No reasoning was given.".into(), regular(19.0), theme::MUTED));
    } else if !said.is_empty() {
        // The closing quote is part of the text, so that it wraps with it; a cut text keeps its dots inside.
        let mut lines = font::wrap(&format!("“{said}”"), REASONING, room, MAX_LINES);
        if let Some(last) = lines.last_mut().filter(|l| l.ends_with('…') && !l.ends_with('”')) {
            last.push('”');
        }
        blocks.extend(lines.into_iter().map(|l| (l, REASONING, theme::TEXT)));
    }
    let tall = blocks.len() as f64 * LINE;
    let mark = view.plan.as_ref().map_or(theme::ALARM, |p| theme::speed_colour(p.speed));
    canvas.rounded(MARGIN, top, 5.0, tall, 2.5, mark);
    for (i, (line, style, colour)) in blocks.iter().enumerate() {
        font::draw(canvas, MARGIN + inset, top + (i as f64 + 0.72) * LINE, line, *style, *colour);
    }
    top + tall
}

/// Distinct samples, most frequent first, with their share of all. Trajectories are told apart, plans alone merge.
pub fn tally(samples: &[Sample]) -> Vec<(&Sample, f64)> {
    let mut counts: Vec<(&Sample, usize)> = Vec::new();
    for sample in samples.iter().take(64) {
        match counts.iter_mut().find(|(s, _)| *s == sample) {
            Some((_, n)) => *n += 1,
            None => counts.push((sample, 1)),
        }
    }
    counts.sort_by_key(|c| std::cmp::Reverse(c.1));
    let all = samples.len().min(64) as f64;
    counts.into_iter().map(|(s, n)| (s, n as f64 / all)).collect()
}

fn samples(canvas: &mut Canvas, view: &PlanView, top: f64, wide: f64) -> f64 {
    let mut counts: Vec<(String, Colour, usize)> = Vec::new();
    for sample in &view.samples {
        let name = sample.plan.map_or_else(|| "no valid plan".into(), |p| p.to_string());
        let colour = sample.plan.map_or(theme::ALARM, |p| theme::speed_colour(p.speed));
        match counts.iter_mut().find(|c| c.0 == name) {
            Some(c) => c.2 += 1,
            None => counts.push((name, colour, 1)),
        }
    }
    counts.sort_by_key(|c| std::cmp::Reverse(c.2));
    let left = counts.len().saturating_sub(MAX_CHIPS);
    let style = regular(16.0);
    let mut x = MARGIN;
    let mut y = top;
    x += font::draw(canvas, x, y + 21.0, &format!("{} samples", view.samples.len()), bold(16.0), theme::MUTED) + 14.0;
    let more = (left > 0).then(|| (format!("{left} more"), theme::MUTED, 0));
    for (name, colour, n) in counts.into_iter().take(MAX_CHIPS).chain(more) {
        let text = if n > 0 { format!("{n} × {name}") } else { name };
        let chip = font::width(&text, style) + 38.0;
        if x + chip > wide - MARGIN {
            x = MARGIN;
            y += 40.0;
        }
        canvas.rounded(x, y, chip, 32.0, 16.0, theme::RAISED);
        canvas.disc((x + 17.0, y + 16.0), 5.0, colour);
        font::draw(canvas, x + 28.0, y + 21.8, &text, style, theme::TEXT);
        x += chip + 10.0;
    }
    y + 32.0
}

/// Labels with their probabilities, highest first; what is not a probability goes last as none.
pub fn ranked(probabilities: &[(String, f64)]) -> Vec<(&str, Option<f64>)> {
    let valid = |p: f64| (-1e-6..=1.0 + 1e-6).contains(&p).then(|| p.clamp(0.0, 1.0));
    let mut rows: Vec<(&str, Option<f64>)> = probabilities.iter().map(|(l, p)| (l.as_str(), valid(*p))).collect();
    rows.sort_by(|a, b| b.1.unwrap_or(-1.0).total_cmp(&a.1.unwrap_or(-1.0)));
    rows
}

fn axis(
    canvas: &mut Canvas,
    title: &str,
    probabilities: &[(String, f64)],
    chosen: Option<(&str, Colour)>,
    (x, top): (f64, f64),
    wide: f64,
) -> f64 {
    font::draw(canvas, x, top + 14.0, title, bold(16.0), theme::MUTED);
    let rows = ranked(probabilities);
    let rows = &rows[..rows.len().min(MAX_BARS)];
    let names = rows.iter().map(|r| font::width(r.0, bold(16.0))).fold(60.0, f64::max).min(wide * 0.48);
    let (start, value) = (x + names + 14.0, 48.0);
    let track = (x + wide - value - start).max(8.0);
    for (i, (label, p)) in rows.iter().enumerate() {
        let y = top + 28.0 + i as f64 * ROW;
        let colour = chosen.and_then(|(name, colour)| (name == *label).then_some(colour));
        let style = if colour.is_some() { bold(16.0) } else { regular(16.0) };
        let text = if colour.is_some() { theme::TEXT } else { theme::MUTED };
        font::draw(canvas, x, y + 19.5, &font::ellipsize(label, style, names), style, text);
        canvas.rounded(start, y + 7.0, track, 14.0, 7.0, theme::TRACK);
        let filled = track * p.unwrap_or(0.0);
        if filled >= 1.0 {
            canvas.rounded(start, y + 7.0, filled, 14.0, 7.0, colour.unwrap_or(theme::QUIET));
        }
        let number = p.map_or_else(|| "n/a".into(), |p| format!("{p:.2}"));
        let right = x + wide - font::width(&number, style);
        font::draw(canvas, right, y + 19.5, &number, style, text);
    }
    top + 28.0 + rows.len() as f64 * ROW
}

fn footer(canvas: &mut Canvas, view: &PlanView, top: f64, wide: f64) -> f64 {
    canvas.rectangle(MARGIN, top, wide - 2.0 * MARGIN, 1.0, theme::TRACK);
    let style = regular(15.0);
    let mut asked = match view.speed_mps {
        Some(v) if v.is_finite() && v.abs() < 1e4 => format!("{v:.1} m/s ({:.0} km/h)", v * 3.6),
        _ => "speed not given".into(),
    };
    if !view.command.trim().is_empty() {
        asked += &format!("  ·  {}", view.command.trim());
    }
    let from = format!("{}  ·  prompt {}", view.model.trim(), view.prompt_version.trim());
    let room = wide - 2.0 * MARGIN;
    let (asked, from) = (font::ellipsize(&asked, style, room), font::ellipsize(&from, style, room));
    let (left, right) = (font::width(&asked, style), font::width(&from, style));
    font::draw(canvas, MARGIN, top + 29.0, &asked, style, theme::MUTED);
    if left + right + 30.0 <= room {
        font::draw(canvas, wide - MARGIN - right, top + 29.0, &from, style, theme::MUTED);
        return top + 48.0;
    }
    font::draw(canvas, MARGIN, top + 53.0, &from, style, theme::MUTED);
    top + 72.0
}
