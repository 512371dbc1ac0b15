//! The rows of the table as dots with their intervals, drawn as inline SVG.

use super::html::escape;
use super::row_name;
use crate::metrics::bootstrap::Figure;
use crate::summary::{Summary, THIS_MODEL, TableRow};
use std::fmt::Write;

type Column = (&'static str, fn(&TableRow) -> Option<Figure>);

const COLUMNS: [Column; 3] =
    [("joint", |r| r.joint), ("speed F1 (macro)", |r| r.speed_f1), ("path F1 (macro)", |r| r.path_f1)];

const LEFT: f64 = 210.0;
const PANEL: f64 = 220.0;
const GAP: f64 = 42.0;
const ROW: f64 = 30.0;
const TOP: f64 = 30.0;

/// One panel per column, one line per row of the table.
pub fn chart(summary: &Summary) -> String {
    let width = LEFT + 3.0 * PANEL + 2.0 * GAP + 16.0;
    let height = TOP + ROW * summary.rows.len() as f64 + 26.0;
    let mut out = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"rows with intervals\">"
    );
    for (i, row) in summary.rows.iter().enumerate() {
        let y = TOP + ROW * (i as f64 + 0.5);
        let _ = write!(
            out,
            "<text x=\"{}\" y=\"{}\" class=\"name\">{}</text>",
            LEFT - 14.0,
            y + 4.0,
            escape(&row_name(row))
        );
    }
    for (c, (title, of)) in COLUMNS.iter().enumerate() {
        let left = LEFT + c as f64 * (PANEL + GAP);
        let bottom = TOP + ROW * summary.rows.len() as f64;
        let _ = write!(out, "<text x=\"{left}\" y=\"16\" class=\"title\">{title}</text>");
        for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let x = left + PANEL * tick;
            let _ = write!(out, "<line x1=\"{x}\" x2=\"{x}\" y1=\"{TOP}\" y2=\"{bottom}\" class=\"grid\"/>");
            let _ = write!(out, "<text x=\"{x}\" y=\"{}\" class=\"tick\">{:.0}</text>", bottom + 16.0, 100.0 * tick);
        }
        for (i, row) in summary.rows.iter().enumerate() {
            let Some(f) = of(row) else { continue };
            let y = TOP + ROW * (i as f64 + 0.5);
            let at = |v: f64| left + PANEL * v.clamp(0.0, 1.0);
            let class = if row.name == THIS_MODEL { "own" } else { "other" };
            let _ = write!(
                out,
                "<g class=\"{class}\"><line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\"/><circle cx=\"{:.1}\" cy=\"{y}\" r=\"5\"/>\
                 <title>{:.1} ({:.1} to {:.1})</title></g>",
                at(f.low),
                at(f.high),
                at(f.value),
                100.0 * f.value,
                100.0 * f.low,
                100.0 * f.high
            );
        }
    }
    out + "</svg>"
}
