//! The report as one self-contained page: claims with both effects, arms, curves, answers before and after. No script, no
//! outside resource (a content policy forbids both), every text escaped.

use super::terminal::{change, of_seeds, papers, value};
use super::{Curve, Effect, Measure, Report, Verdict, curves};
use crate::report::{CSS, encode, escape, grouped, media_type};
use std::fmt::Write;

const EXTRA: &str = "
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:8px;margin:6px 0 18px}
.chart.small{min-width:0;background:var(--card);border:1px solid var(--line);border-radius:10px}
.chart.small .value{fill:var(--dim);font-size:11px;text-anchor:end}
.key{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;color:var(--dim);margin:4px 0}
.key i{display:inline-block;width:18px;height:4px;border-radius:2px;margin-right:6px;vertical-align:middle}
.claims td{white-space:normal}.claims td:nth-child(3),.claims td:nth-child(4){white-space:nowrap}.claims td:nth-child(2){min-width:230px}.claims td:last-child{text-align:left}
.claims svg{display:block;width:230px;height:20px}.claims .zero{stroke:var(--dim)}.claims .paper{fill:none;stroke:rgb(var(--bad));stroke-width:2}
.claims .ours{stroke:var(--accent);stroke-width:4;stroke-linecap:round;opacity:.6}.claims circle{fill:var(--accent)}
.group td{color:var(--dim);font-weight:600;padding-top:14px}
.said{margin:6px 0 0;font-size:13px}.said b{display:block}
";

/// Answers to one frame, from several planners.
#[derive(Debug, Clone)]
pub struct Card {
    /// Frame.
    pub id: String,
    /// Speed and command.
    pub asked: String,
    /// What was driven.
    pub truth: String,
    /// JPEG or PNG.
    pub picture: Option<Vec<u8>>,
    /// What was said.
    pub said: Vec<Said>,
}

/// What one planner said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Which.
    pub label: String,
    /// Its most probable answer.
    pub text: String,
    /// Whether both labels are right.
    pub right: bool,
    /// Its different plans among several drawn ones, most frequent first, with how often.
    pub plans: Vec<(String, usize)>,
}

/// What the page shows besides the report.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// How runs went.
    pub curves: Vec<Curve>,
    /// Answers.
    pub cards: Vec<Card>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// The page.
pub fn page(report: &Report, extra: &Page) -> String {
    let title = escape(&format!("{}, reproduced at our scale", report.about.name));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>{CSS}{EXTRA}</style></head>\
         <body><main><h1>{title}</h1><p class=\"dim\">{} · {} held-out frames</p><p class=\"verdict\">{}</p>",
        escape(&report.about.paper),
        grouped(report.test),
        escape(&report.about.scale),
    );
    out += &claims(report);
    out += &arms(report);
    if !extra.curves.is_empty() {
        out += "<h2>How the runs went</h2><p class=\"dim\">Means over seeds.</p>";
        out += &curves::charts(&extra.curves);
    }
    if !extra.cards.is_empty() {
        out += "<h2>What they say</h2><p class=\"dim\">The most probable answer, and different plans among drawn ones.</p><div class=\"cards\">";
        extra.cards.iter().for_each(|one| out += &card(one));
        out += "</div>";
    }
    for note in &extra.notes {
        let _ = write!(out, "<p class=\"dim\">{}</p>", escape(note));
    }
    out + "</main></body></html>\n"
}

fn claims(report: &Report) -> String {
    let ends = report.effects.iter().flat_map(|e| {
        let ours = e.ours.map_or([0.0; 2], |f| [f.low, f.high]);
        ours.into_iter().chain(e.claim.paper.map(|p| p / 100.0))
    });
    let (low, high) = ends.fold((-0.05f64, 0.05f64), |(low, high), x| (low.min(x), high.max(x)));
    let mut out = String::from(
        "<h2>What the paper claims</h2><div class=\"panel\"><table class=\"wide claims\"><thead><tr><th>claim</th><th></th><th>ours</th>\
         <th>paper</th><th>verdict</th></tr></thead>",
    );
    for effect in &report.effects {
        let class = match effect.verdict {
            Verdict::Reproduced => "right",
            Verdict::Opposite | Verdict::Absent => "wrong",
            Verdict::Noise | Verdict::Missing => "unknown",
        };
        let _ = write!(
            out,
            "<tr><td>{} <span class=\"unknown\">({})</span></td><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{}</td></tr>",
            escape(&effect.claim.text),
            escape(&effect.claim.source),
            forest(effect, low, high),
            change(effect.ours),
            papers(effect),
            effect.verdict.text()
        );
    }
    let _ = write!(
        out,
        "</table></div><p class=\"dim\">Change of {} in percent of the other arm's, unless the claim names another measure; dot and bar: ours \
         with the 95 % interval over seeds and frames ({} resamples, seed {}); red ring: the paper's. Reproduced: our interval \
         excludes no change on the paper's side. None as large: it holds no change and excludes the paper's.</p>",
        report.lead().name(),
        report.bootstrap.resamples,
        report.bootstrap.seed
    );
    out
}

/// Both effects on one axis.
fn forest(effect: &Effect, low: f64, high: f64) -> String {
    let x = |v: f64| 6.0 + 218.0 * (v - low) / (high - low);
    let mut out = format!(
        "<svg viewBox=\"0 0 230 20\" role=\"img\" aria-label=\"effects\"><line class=\"zero\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"0\" y2=\"20\"/>",
        x(0.0)
    );
    if let Some(f) = effect.ours {
        let _ = write!(
            out,
            "<line class=\"ours\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"10\" y2=\"10\"/><circle cx=\"{:.1}\" cy=\"10\" r=\"4\"/>",
            x(f.low),
            x(f.high),
            x(f.value)
        );
    }
    if let Some(paper) = effect.claim.paper {
        let _ = write!(
            out,
            "<circle class=\"paper\" style=\"fill:none\" cx=\"{:.1}\" cy=\"10\" r=\"5\"/>",
            x(paper / 100.0)
        );
    }
    out + "</svg>"
}

fn arms(report: &Report) -> String {
    let mut out = String::from("<h2>Every arm</h2><div class=\"panel\"><table class=\"wide\"><thead><tr><th></th>");
    let measures = report.measures();
    let wide = measures.len() + 5;
    for measure in &measures {
        let _ = write!(out, "<th>{}</th>", measure.name());
    }
    let lead = report.lead();
    let _ = write!(out, "<th>paper</th><th>{} by seed</th><th>steps</th><th>s a run</th></tr></thead>", lead.name());
    let mut size = "";
    for row in &report.rows {
        if row.size != size {
            let frames = grouped(row.frames);
            let _ = write!(
                out,
                "<tr class=\"group\"><td colspan=\"{wide}\">{frames} training frames ({})</td></tr>",
                escape(&row.size)
            );
            size = &row.size;
        }
        let _ = write!(out, "<tr><td>{}</td>", escape(&row.label));
        for measure in &measures {
            let _ = write!(out, "<td>{}</td>", value(row, *measure));
        }
        let paper = row.paper.map_or("-".into(), |p| format!("{p:.1}"));
        let _ = write!(
            out,
            "<td>{paper}</td><td>{}</td><td>{}</td><td>{:.0}</td></tr>",
            of_seeds(row, lead),
            grouped(row.steps as usize),
            row.seconds
        );
    }
    if !report.baselines.is_empty() {
        let _ = write!(out, "<tr class=\"group\"><td colspan=\"{wide}\">without training</td></tr>");
    }
    for b in &report.baselines {
        let _ = write!(out, "<tr><td>{} <span class=\"unknown\">({})</span></td>", escape(&b.name), escape(&b.detail));
        for v in [b.joint, b.speed_f1, b.path_f1] {
            let _ = write!(out, "<td>{}</td>", v.map_or("-".into(), |v| format!("{:.1}", 100.0 * v)));
        }
        let _ = write!(out, "<td colspan=\"{}\"></td></tr>", wide - 4);
    }
    let about = match lead {
        Measure::Joint => {
            "Plans per frame: different plans among the drawn answers. BLEU-4 against the annotated reasoning."
        }
        _ => "EPDMS of one frame, without extended comfort.",
    };
    let _ = write!(
        out,
        "</table></div><p class=\"dim\">Percent, mean over seeds ± half the 95 % interval over seeds and frames. {about}</p>"
    );
    out
}

/// Characters of a planner's text that are shown.
const MAX_TEXT: usize = 600;

fn card(card: &Card) -> String {
    let mut out = String::from("<article class=\"card\">");
    if let Some((kind, bytes)) = card.picture.as_deref().and_then(|bytes| Some((media_type(bytes)?, bytes))) {
        let _ = write!(out, "<img alt=\"frame\" src=\"data:{kind};base64,{}\">", encode(bytes));
    }
    let _ = write!(
        out,
        "<h3>{}</h3><p class=\"dim\">{} · driven {}</p>",
        escape(&card.id),
        escape(&card.asked),
        escape(&card.truth)
    );
    for said in &card.said {
        let text: String = said.text.chars().take(MAX_TEXT).collect();
        let class = if said.right { "right" } else { "wrong" };
        let _ = write!(out, "<div class=\"said\"><b class=\"{class}\">{}</b>{}", escape(&said.label), escape(&text));
        if !said.plans.is_empty() {
            let plans: Vec<String> = said.plans.iter().map(|(plan, n)| format!("{n} × {}", escape(plan))).collect();
            let _ = write!(out, "<br><span class=\"unknown\">{}</span>", plans.join(" · "));
        }
        out += "</div>";
    }
    out + "</article>"
}
