//! The table at the end of `reinsman score`.

use super::table::{Line, Table};
use crate::report::grouped;
use std::fmt::Write;

/// Width of the score with its interval, and of every sub-score.
const SCORE: usize = 13;
const CELL: usize = 7;

/// The table for a terminal, percent.
pub fn terminal(table: &Table) -> String {
    let names: Vec<String> = table.lines.iter().map(name).collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0).max(10) + 2;
    let mut out = format!("{:width$}", "");
    for (i, column) in table.columns().iter().enumerate() {
        let _ = write!(out, "{:<1$}", column.short, if i == 0 { SCORE } else { CELL });
    }
    out = format!("{}\n", out.trim_end());
    for (line, name) in table.lines.iter().zip(&names) {
        let mut row = format!("{name:width$}");
        for (i, column) in table.columns().iter().enumerate() {
            let cell = match Table::figure(line, column) {
                None => "-".into(),
                Some(f) if i == 0 => format!("{:.1} ±{:.1}", 100.0 * f.value, 100.0 * f.half_width()),
                Some(f) => format!("{:.1}", 100.0 * f.value),
            };
            let _ = write!(row, "{cell:<0$}", if i == 0 { SCORE } else { CELL });
        }
        let _ = writeln!(out, "{}", row.trim_end());
    }
    if let Some(s) = &table.two_stage {
        let _ = write!(
            out,
            "\ntwo stages  {:.1} ±{:.1}  over {} entries (first stage {:.1}, second stage {:.1})\n",
            100.0 * s.score.value,
            100.0 * s.score.half_width(),
            grouped(s.entries),
            100.0 * s.stage_one.score,
            100.0 * s.stage_two.score
        );
    }
    for note in &table.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn name(line: &Line) -> String {
    match &line.kind {
        Some(kind) => format!("  {}", shorten(kind)),
        None => shorten(&line.planner),
    }
}

fn shorten(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    if plain.chars().count() > 28 { plain.chars().take(27).chain(['…']).collect() } else { plain }
}
