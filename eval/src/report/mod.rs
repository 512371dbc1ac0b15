//! A summary for readers: [`terminal`] for the end of a run, [`markdown`] for a pull request, [`html`] as one file
//! that needs nothing else. Shares are shown in percent, intervals as `±` half their width.

mod base64;
mod chart;
mod driving;
mod html;
mod samples;
mod style;
mod terminal;

pub(crate) use base64::encode;
pub use driving::{Shown, anchor, driving_page};
pub(crate) use html::escape;
pub use html::{Page, html};
pub(crate) use samples::media_type;
pub use samples::{MAX_PICTURE_BYTES, worst};
pub(crate) use style::CSS;
pub use terminal::{hardest_sentence, markdown, sight_sentence, terminal};

use crate::metrics::bootstrap::Figure;
use crate::summary::{MAJORITY, TableRow};

/// `71.8`, or `-` where there is nothing to measure.
fn percent(value: Option<f64>) -> String {
    value.map_or("-".into(), |v| format!("{:.1}", 100.0 * v))
}

/// `71.8 ±2.8`, or `-`.
fn with_interval(figure: Option<Figure>) -> String {
    figure.map_or("-".into(), |f| format!("{:.1} ±{:.1}", 100.0 * f.value, 100.0 * f.half_width()))
}

/// The row's name, with the constant answer for the majority.
fn row_name(row: &TableRow) -> String {
    match &row.detail {
        Some(answer) if row.name == MAJORITY => format!("{MAJORITY} {}", answer.replace(", ", ",")),
        _ => row.name.clone(),
    }
}

/// `12 345`.
pub(crate) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}
