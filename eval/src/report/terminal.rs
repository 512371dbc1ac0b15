//! The table at the end of an evaluation, and the same as Markdown.

use super::{grouped, percent, row_name, with_interval};
use crate::metrics::axis::NO_PLAN;
use crate::summary::{AxisSummary, BLIND, MAJORITY, Summary, THIS_MODEL, TableRow};
use std::fmt::Write;

/// The columns of the short table.
const COLUMNS: [&str; 3] = ["joint", "speed F1 (macro)", "path F1 (macro)"];

/// The table for a terminal. `report` is the page's name for the pointer to the hardest class.
pub fn terminal(summary: &Summary, report: Option<&str>) -> String {
    let mut out = format!("samples {}  parse failures {}", grouped(summary.samples), summary.failures);
    if !summary.failure_reasons.is_empty() {
        let reasons: Vec<String> = summary.failure_reasons.iter().map(|(r, n)| format!("{r} {n}")).collect();
        let _ = write!(out, " ({})", reasons.join(", "));
    }
    let names: Vec<String> = summary
        .rows
        .iter()
        .map(|row| if row.name == BLIND { format!("  {}", row_name(row)) } else { row_name(row) })
        .collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0).max(22) + 2;
    let _ = write!(out, "\n\n{:width$}{:<17}{:<19}{}\n", "", COLUMNS[0], COLUMNS[1], COLUMNS[2]);
    for (row, name) in summary.rows.iter().zip(&names) {
        let [joint, speed, path] = cells(row);
        let remark = if row.name == BLIND { verdict(summary) } else { "" };
        let line = format!("{name:width$}{joint:<17}{speed:<19}{path:<16}{remark}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if let Some(m) = &summary.multi {
        let _ = write!(
            out,
            "\n{} samples each: any right {}, mean {}, {:.1} different plans\n",
            m.k,
            percent(m.any_of_k),
            percent(m.mean_of_k),
            m.distinct
        );
    }
    if let Some(t) = &summary.text {
        let _ = write!(
            out,
            "\nreasoning ({} texts): BLEU-4 {:.1}  ROUGE-L {:.1}  CIDEr {:.2}  METEOR (exact+stem) {:.1}\n",
            t.samples,
            100.0 * t.bleu4,
            100.0 * t.rouge_l,
            t.cider,
            100.0 * t.meteor
        );
    }
    if let Some(sentence) = sight_sentence(summary) {
        let _ = write!(out, "\n{sentence}\n");
    }
    if let Some(sentence) = hardest_sentence(summary) {
        let _ = write!(out, "\n{sentence}");
        if let (Some(page), Some(h)) = (report, &summary.hardest) {
            let _ = write!(out, "  See {page}#{}", h.label);
        }
        out.push('\n');
    }
    for note in &summary.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// Models carry an interval, baselines a number.
fn cells(row: &TableRow) -> [String; 3] {
    let figures = [row.joint, row.speed_f1, row.path_f1];
    match row.name.as_str() {
        THIS_MODEL | BLIND => figures.map(with_interval),
        _ => figures.map(|f| percent(f.map(|f| f.value))),
    }
}

/// What the difference to the blind run says.
pub(super) fn verdict(summary: &Summary) -> &'static str {
    match summary.looks {
        Some(d) if d.clear && d.figure.value > 0.0 => "<- it does look",
        Some(d) if d.clear => "<- better without the image: something is wrong",
        Some(_) => "<- no clear difference: it may not look",
        None => "",
    }
}

/// `hardest: ACCELERATE (F1 44), mistaken for KEEP in 61 of 118.`
pub fn hardest_sentence(summary: &Summary) -> Option<String> {
    let h = summary.hardest.as_ref()?;
    let f1 = 100.0 * h.f1;
    Some(match h.mistaken_for.as_deref() {
        Some(NO_PLAN) => format!("hardest: {} (F1 {f1:.0}), no plan in {} of {}.", h.label, h.mistaken, h.truth),
        Some(other) => {
            format!("hardest: {} (F1 {f1:.0}), mistaken for {other} in {} of {}.", h.label, h.mistaken, h.truth)
        }
        None => format!("hardest: {} (F1 {f1:.0}), said too often, true {} times.", h.label, h.truth),
    })
}

/// Gaps in loss per token: below the first a planner is blind, from the second on it looks. Models from scratch measured
/// 0.00 when blind, and 0.10 when their answers began to follow the picture.
const LOOKS: [f64; 2] = [0.01, 0.05];

/// `it looks: a wrong picture costs +0.120 per token, a grey one +0.300 (loss 1.020 over 812 answer tokens)`
pub fn sight_sentence(summary: &Summary) -> Option<String> {
    let s = summary.sight.as_ref()?;
    // Both pictures must cost: one that only a wrong picture confuses may have learned single frames by heart.
    let verdict = match (s.wrong_image_gap, s.wrong_image_gap.min(s.blank_image_gap)) {
        (wrong, _) if wrong < LOOKS[0] => "it does not look",
        (_, least) if least < LOOKS[1] => "it hardly looks",
        _ => "it looks",
    };
    Some(format!(
        "{verdict}: a wrong picture costs {:+.3} per token, a grey one {:+.3} (loss {:.3} over {} answer tokens)",
        s.wrong_image_gap,
        s.blank_image_gap,
        s.eval_loss,
        grouped(s.eval_tokens)
    ))
}

/// The summary as Markdown.
pub fn markdown(summary: &Summary) -> String {
    let mut out = format!(
        "# Evaluation\n\n{} samples, {} without a plan; run `{}`. Percent; ± is half the 95 % bootstrap interval \
         ({} resamples, seed {}).\n\n",
        grouped(summary.samples),
        summary.failures,
        code(&summary.digest),
        summary.bootstrap.resamples,
        summary.bootstrap.seed
    );
    out += "| | joint | speed | path | speed F1 (macro) | path F1 (macro) | plans |\n|---|---|---|---|---|---|---|\n";
    for row in &summary.rows {
        let figures = [row.joint, row.speed, row.path, row.speed_f1, row.path_f1, row.parsed];
        let cells = figures.map(with_interval).join(" | ");
        let remark = if row.name == BLIND { verdict(summary).trim_start_matches("<- ") } else { "" };
        let remark = if remark.is_empty() { String::new() } else { format!(" ({remark})") };
        let _ = writeln!(out, "| {}{remark} | {cells} |", row_name(row));
    }
    for row in &summary.rows {
        if let Some(how) = row.detail.as_deref().filter(|_| row.name != MAJORITY) {
            let _ = write!(out, "\n{}: {how}.", row.name);
        }
    }
    out += "\n";
    if let Some(sentence) = sight_sentence(summary) {
        let _ = write!(out, "\n{sentence}\n");
    }
    if let Some(sentence) = hardest_sentence(summary) {
        let _ = write!(out, "\n{sentence}\n");
    }
    for (name, axis) in [("Speed", &summary.speed), ("Path", &summary.path)] {
        out += &axis_tables(name, axis);
    }
    if let Some(m) = &summary.multi {
        let _ = write!(
            out,
            "\n## {} replies per sample\n\nany right {} %, mean {} %, {:.2} different plans on average.\n",
            m.k,
            percent(m.any_of_k),
            percent(m.mean_of_k),
            m.distinct
        );
    }
    if let Some(t) = &summary.text {
        let _ = write!(
            out,
            "\n## Reasoning\n\n| texts | BLEU-4 | ROUGE-L | CIDEr | CIDEr-D | METEOR (exact+stem) |\n|---|---|---|---|---|---|\n\
             | {} | {:.2} | {:.2} | {:.3} | {:.3} | {:.2} |\n\nMETEOR is without WordNet synonyms, so lower than the full \
             measure. CIDEr-D is what the COCO scripts print as CIDEr.\n",
            t.samples,
            100.0 * t.bleu4,
            100.0 * t.rouge_l,
            t.cider,
            t.cider_d,
            100.0 * t.meteor
        );
    }
    if !summary.failure_reasons.is_empty() {
        out += "\n## Replies without a plan\n\n| reason | samples |\n|---|---|\n";
        for (reason, n) in &summary.failure_reasons {
            let _ = writeln!(out, "| {reason} | {n} |");
        }
    }
    let _ = write!(out, "\n## As the published script scores\n\n```\n{}\n```\n", summary.released.summary);
    for note in &summary.notes {
        let _ = write!(out, "\nNote: {note}.\n");
    }
    out
}

/// A digest comes from a file and goes between backticks.
fn code(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '`').take(80).collect()
}

fn axis_tables(name: &str, axis: &AxisSummary) -> String {
    if axis.known == 0 {
        return format!("\n## {name}\n\nNo sample has a {} label.\n", name.to_lowercase());
    }
    let mut out = format!("\n## {name} ({} labelled)\n\n", axis.known);
    out += "| class | true | said | precision | recall | F1 |\n|---|---|---|---|---|---|\n";
    for c in &axis.classes {
        let [p, r, f] = [c.precision, c.recall, c.f1].map(|v| percent(Some(v)));
        let _ = writeln!(out, "| {} | {} | {} | {p} | {r} | {f} |", c.label, c.truth, c.said);
    }
    let _ = write!(
        out,
        "\nTrue label in rows, answer in columns:\n\n| | {} | {NO_PLAN} |\n",
        axis.confusion.labels.join(" | ")
    );
    let _ = writeln!(out, "|{}", "---|".repeat(axis.confusion.labels.len() + 2));
    for (label, counts) in axis.confusion.labels.iter().zip(&axis.confusion.counts) {
        let cells: Vec<String> = counts.iter().map(u64::to_string).collect();
        let _ = writeln!(out, "| {label} | {} |", cells.join(" | "));
    }
    out
}
