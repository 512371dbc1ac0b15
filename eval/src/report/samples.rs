//! The samples worth looking at, as cards of the page. Model text is untrusted: everything is escaped and cut.

use super::base64::encode;
use super::html::escape;
use crate::log::{Entry, Log, Outcome};
use crate::metrics::Row;
use crate::summary::{row, sorted};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Larger pictures are left out of the page.
pub const MAX_PICTURE_BYTES: usize = 512 * 1024;

/// Characters of a model's text that are shown.
const MAX_TEXT: usize = 2000;

/// The worst samples of a log, worst first, at most `limit`: replies without a plan, then wrong answers by the number
/// of wrong axes and by how sure the model was of them. At most four of the same mistake.
pub fn worst(log: &Log, limit: usize) -> Vec<&Entry> {
    let mut wrong: Vec<(f64, &Entry)> =
        sorted(log).into_iter().map(|e| (badness(e), e)).filter(|(bad, _)| *bad > 0.0).collect();
    // Stable: equal ones stay in the order of their ids.
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut of_kind: BTreeMap<String, usize> = BTreeMap::new();
    wrong
        .into_iter()
        .map(|(_, e)| e)
        .filter(|e| {
            let kind = match e.replies.first().map(|r| &r.outcome) {
                Some(Outcome::Failure(reason)) => reason.code().to_owned(),
                _ => format!("{:?}", row(e)),
            };
            let seen = of_kind.entry(kind).or_default();
            *seen += 1;
            *seen <= 4
        })
        .take(limit)
        .collect()
}

fn badness(entry: &Entry) -> f64 {
    let Row { truth, said } = row(entry);
    let sure = |labels: &BTreeMap<String, f64>, label: &str| labels.get(label).copied().unwrap_or(0.5).clamp(0.0, 1.0);
    let Some(said) = said else { return 5.0 };
    let (mut bad, p) = (0.0, entry.probabilities.clone().unwrap_or_default());
    if truth.speed.is_some_and(|t| t != said.speed) {
        bad += 1.0 + sure(&p.speed, said.speed.as_str());
    }
    if truth.path.is_some_and(|t| t != said.path) {
        bad += 1.0 + sure(&p.path, said.path.as_str());
    }
    bad
}

/// A sample as a card, with its picture when there is one.
pub(super) fn card(entry: &Entry, picture: Option<&[u8]>) -> String {
    let mut out = String::from("<article class=\"card\">");
    if let Some((kind, bytes)) = picture.and_then(|b| Some((media_type(b)?, b))) {
        let _ = write!(out, "<img alt=\"frame\" src=\"data:{kind};base64,{}\">", encode(bytes));
    }
    let _ = write!(out, "<h3>{}</h3><p class=\"dim\">", escape(&cut(&entry.id, 80)));
    if let Some(v) = entry.speed_mps {
        let _ = write!(out, "{v:.1} m/s · ");
    }
    let _ = write!(out, "{}</p>", escape(&cut(entry.command.as_deref().unwrap_or("no command"), 200)));

    let Row { truth, said } = row(entry);
    let p = entry.probabilities.clone().unwrap_or_default();
    out += "<table class=\"verdicts\">";
    let axes = [
        ("speed", truth.speed.map(|l| l.as_str()), said.map(|a| a.speed.as_str()), &p.speed),
        ("path", truth.path.map(|l| l.as_str()), said.map(|a| a.path.as_str()), &p.path),
    ];
    for (axis, truth, said, labels) in axes {
        let class = match (truth, said) {
            (None, _) => "unknown",
            (t, s) if t == s => "right",
            _ => "wrong",
        };
        let _ = write!(
            out,
            "<tr><th>{axis}</th><td class=\"{class}\">{}</td><td>driven {}</td></tr>",
            said.unwrap_or("no plan"),
            truth.unwrap_or("unknown")
        );
        if !labels.is_empty() {
            let _ = write!(out, "<tr><td></td><td colspan=\"2\">{}</td></tr>", bars(labels));
        }
    }
    out += "</table>";
    if let Some(reply) = entry.replies.first() {
        match &reply.outcome {
            Outcome::Plan(plan) if !plan.reasoning.is_empty() => {
                let _ = write!(out, "<blockquote>{}</blockquote>", escape(&cut(&plan.reasoning, MAX_TEXT)));
            }
            Outcome::Plan(_) => {}
            Outcome::Failure(reason) => {
                let _ = write!(out, "<p class=\"wrong\">{}</p>", escape(&reason.to_string()));
            }
        }
        let _ = write!(
            out,
            "<details><summary>raw reply</summary><pre>{}</pre></details>",
            escape(&cut(&reply.text, MAX_TEXT))
        );
    }
    out + "</article>"
}

/// The three likeliest labels.
fn bars(labels: &BTreeMap<String, f64>) -> String {
    let mut all: Vec<(&String, f64)> = labels.iter().map(|(l, p)| (l, *p)).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.iter()
        .take(3)
        .filter(|(_, p)| *p >= 0.005)
        .map(|(label, p)| {
            format!(
                "<div class=\"bar\"><i style=\"width:{:.1}%\"></i><span>{} {p:.2}</span></div>",
                100.0 * p.clamp(0.0, 1.0),
                escape(&cut(label, 40))
            )
        })
        .collect()
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{} …", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// JPEG and PNG by their first bytes; anything else, or too large, is not shown.
pub(crate) fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        _ if bytes.len() > MAX_PICTURE_BYTES => None,
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        _ => None,
    }
}
