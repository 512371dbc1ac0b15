//! How runs went: small charts of one quantity over the steps, a line per arm (mean over seeds) in inline SVG.

use crate::report::escape;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// One quantity of one run over its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Arm, for people.
    pub label: String,
    /// Group of charts that it belongs to, such as a size.
    pub group: String,
    /// What is drawn.
    pub quantity: String,
    /// Seed.
    pub seed: u64,
    /// Step and value.
    pub points: Vec<(f64, f64)>,
}

/// Colours of lines; more arms than that begin again.
const COLOURS: [&str; 8] = ["#2f6fdb", "#d9663a", "#169a5c", "#9a5bd0", "#c4973b", "#3aa7b8", "#cd423a", "#7a8699"];

const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 40.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 26.0;

/// The points of a line: mean over seeds, averaged in so many parts that a line stays readable.
fn smooth(curves: &[&Curve]) -> Vec<(f64, f64)> {
    let mut at: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for (step, value) in curves.iter().flat_map(|c| &c.points).filter(|(s, v)| s.is_finite() && v.is_finite()) {
        let (sum, n) = at.entry(step.max(0.0) as u64).or_default();
        (*sum, *n) = (*sum + value, *n + 1.0);
    }
    let all: Vec<(f64, f64)> = at.into_iter().map(|(step, (sum, n))| (step as f64, sum / n)).collect();
    let part = all.len().div_ceil(30).max(1);
    let mean = |part: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| part.iter().map(of).sum::<f64>() / part.len() as f64;
    all.chunks(part).map(|part| (mean(part, |p| p.0), mean(part, |p| p.1))).collect()
}

/// All charts: one block a group, one chart a quantity, in the order in which they come.
pub(super) fn charts(curves: &[Curve]) -> String {
    let mut out = String::new();
    let labels = distinct(curves.iter().map(|c| c.label.as_str()));
    for group in distinct(curves.iter().map(|c| c.group.as_str())) {
        let here: Vec<&Curve> = curves.iter().filter(|c| c.group == group).collect();
        let _ = write!(out, "<h3>{}</h3><div class=\"key\">", escape(group));
        for label in distinct(here.iter().map(|c| c.label.as_str())) {
            let _ =
                write!(out, "<span><i style=\"background:{}\"></i>{}</span>", colour(&labels, label), escape(label));
        }
        out += "</div><div class=\"charts\">";
        for quantity in distinct(here.iter().map(|c| c.quantity.as_str())) {
            let lines: Vec<(&str, Vec<(f64, f64)>)> = distinct(here.iter().map(|c| c.label.as_str()))
                .into_iter()
                .map(|label| {
                    let own = here.iter().copied().filter(|c| c.quantity == quantity && c.label == label);
                    (colour(&labels, label), smooth(&own.collect::<Vec<_>>()))
                })
                .filter(|(_, points)| !points.is_empty())
                .collect();
            out += &chart(quantity, &lines);
        }
        out += "</div>";
    }
    out
}

fn colour(labels: &[&str], label: &str) -> &'static str {
    let at = labels.iter().position(|other| *other == label).unwrap_or(0);
    COLOURS.get(at % COLOURS.len()).copied().unwrap_or("#7a8699")
}

fn distinct<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut out: Vec<&str> = Vec::new();
    for item in items {
        if !out.contains(&item) {
            out.push(item);
        }
    }
    out
}

fn chart(title: &str, lines: &[(&str, Vec<(f64, f64)>)]) -> String {
    let all = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let bound = |of: fn((f64, f64)) -> f64, pick: fn(f64, f64) -> f64, from: f64| all().map(of).fold(from, pick);
    let last = bound(|p| p.0, f64::max, 1.0);
    let low = bound(|p| p.1, f64::min, f64::INFINITY).min(0.0);
    let high = bound(|p| p.1, f64::max, low + 1e-6);
    let x = |step: f64| LEFT + (WIDTH - LEFT - 8.0) * step / last;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low);
    let mut out = format!(
        "<svg class=\"chart small\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">\
         <text x=\"{LEFT}\" y=\"15\" class=\"title\">{0}</text>",
        escape(title)
    );
    for part in [0.0, 0.5, 1.0] {
        let value = low + part * (high - low);
        let _ = write!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"grid\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" class=\"value\">{value:.2}</text>",
            WIDTH - 8.0,
            LEFT - 5.0,
            y(value) + 4.0,
            y = y(value),
        );
        let step = part * last;
        let _ = write!(out, "<text x=\"{:.0}\" y=\"{:.0}\" class=\"tick\">{step:.0}</text>", x(step), HEIGHT - 6.0);
    }
    for (colour, points) in lines {
        let path: Vec<String> = points.iter().map(|(s, v)| format!("{:.1},{:.1}", x(*s), y(*v))).collect();
        let _ = write!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
    }
    out + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(label: &str, seed: u64, points: &[(f64, f64)]) -> Curve {
        let (label, group, quantity) = (label.into(), "small".into(), "reward".into());
        Curve { label, group, quantity, seed, points: points.into() }
    }

    #[test]
    fn seeds_are_averaged_and_numbers_that_are_none_left_out() {
        let (a, b) = (curve("a", 1, &[(1.0, 0.0), (2.0, f64::NAN)]), curve("a", 2, &[(1.0, 1.0), (2.0, 3.0)]));
        assert_eq!(smooth(&[&a, &b]), [(1.0, 0.5), (2.0, 3.0)]);
        let long = curve("a", 1, &(0..90).map(|i| (f64::from(i), 1.0)).collect::<Vec<_>>());
        assert_eq!(smooth(&[&long]).len(), 30);
        let page = charts(&[a, b, curve("<b>", 1, &[(1.0, 2.0)]), curve("c", 1, &[])]);
        assert!(
            page.contains("&lt;b&gt;") && !page.contains("NaN") && page.matches("<polyline").count() == 2,
            "{page}"
        );
    }
}
