//! The report as lines for a terminal.

use super::{ArmRow, Effect, Measure, Report};
use crate::metrics::bootstrap::Figure;
use crate::report::grouped;
use std::fmt::Write;

/// Left to the page.
const HIDDEN: [Measure; 2] = [Measure::Parsed, Measure::AnyOfK];

/// Both tables.
pub fn terminal(report: &Report) -> String {
    let labels = report.rows.iter().map(|r| r.label.chars().count());
    let wide = labels.chain([24]).max().unwrap_or(0);
    let mut out = format!(
        "{}, {}: {} held-out frames; percent ± half the 95 % interval\n\n{:wide$}",
        report.about.name,
        report.about.paper,
        grouped(report.test),
        "",
    );
    let columns: Vec<Measure> = report.measures().into_iter().filter(|m| !HIDDEN.contains(m)).collect();
    columns.iter().for_each(|measure| {
        let _ = write!(out, "  {:>13}", measure.name());
    });
    out += "   paper  seeds\n";
    let mut size = "";
    for row in &report.rows {
        if row.size != size {
            let _ = writeln!(out, "{} training frames ({})", grouped(row.frames), row.size);
            size = &row.size;
        }
        let _ = write!(out, "{:wide$}", row.label);
        for measure in &columns {
            let _ = write!(out, "  {:>13}", value(row, *measure));
        }
        let paper = row.paper.map_or("-".into(), |p| format!("{p:.1}"));
        let _ = writeln!(out, "  {paper:>6}  {}", of_seeds(row, report.lead()));
    }
    for baseline in &report.baselines {
        let _ = write!(out, "{:wide$}", baseline.name);
        for value in [baseline.joint, baseline.speed_f1, baseline.path_f1] {
            let _ = write!(out, "  {:>13}", value.map_or("-".into(), |v| format!("{:.1}", 100.0 * v)));
        }
        out += "\n";
    }
    let wide = report.effects.iter().map(|e| e.claim.text.chars().count()).chain([24]).max().unwrap_or(0);
    let _ = writeln!(out, "\n{:wide$}  {:>24}  {:>9}", "", "ours, change", "paper's");
    for effect in &report.effects {
        let _ = writeln!(
            out,
            "{:wide$}  {:>24}  {:>9}  {}",
            effect.claim.text,
            change(effect.ours),
            papers(effect),
            effect.verdict.text()
        );
    }
    out + "\n" + &report.about.scale + "\n"
}

/// `31.2 ±2.1`, or `-`.
pub(super) fn value(row: &ArmRow, measure: Measure) -> String {
    let Some(value) = row.values.get(&measure) else { return "-".into() };
    let (scale, digits) = (measure.scale(), measure.digits());
    format!("{:.digits$} ±{:.digits$}", scale * value.figure.value, scale * value.figure.half_width())
}

/// The leading measure of every seed, percent.
pub(super) fn of_seeds(row: &ArmRow, lead: Measure) -> String {
    let Some(value) = row.values.get(&lead) else { return "-".into() };
    let each: Vec<String> = value.seeds.iter().map(|v| format!("{:.1}", 100.0 * v)).collect();
    each.join(" ")
}

/// `+12.3 % (+4.0 to +20.1)`.
pub(super) fn change(figure: Option<Figure>) -> String {
    figure
        .map_or("-".into(), |f| format!("{:+.1} % ({:+.1} to {:+.1})", 100.0 * f.value, 100.0 * f.low, 100.0 * f.high))
}

/// The paper's change, or which way it says.
pub(super) fn papers(effect: &Effect) -> String {
    match effect.claim.paper {
        Some(percent) => format!("{percent:+.1} %"),
        None if effect.claim.more() => "more".into(),
        None => "less".into(),
    }
}
