//! The report as one self-contained page: the table, the sub-scores, the worst cases from above. No script, no outside
//! resource (a content policy forbids both), every text escaped.

use super::{
    entry::Entry,
    table::{Stages, Table},
    worst::Case,
};
use crate::metrics::bootstrap::Figure;
use crate::report::{CSS, escape, grouped};
use std::fmt::Write;

const EXTRA: &str = "
.cards.wide-cards{grid-template-columns:repeat(auto-fill,minmax(460px,1fr))}
.bev{display:block;width:calc(100% + 28px);margin:-12px -14px 10px;background:var(--ground);--ground:#e9ecf0;--road:#c9ced6;--mark:#8f98a6}
@media(prefers-color-scheme:dark){.bev{--ground:#10141a;--road:#2a323d;--mark:#566273}}
.bev .road,.key .road{fill:var(--road)}.bev .crossing{fill:var(--mark);opacity:.25}
.bev .lane{fill:none;stroke:var(--mark);stroke-width:.8}
.bev .red,.key .red{fill:rgb(var(--bad));opacity:.3}
.bev .centre,.key .centre{fill:none;stroke:var(--accent);stroke-width:1.4;stroke-dasharray:7 5;opacity:.8}
.bev .driven,.key .driven{fill:none;stroke:rgb(var(--good));stroke-width:2.4;stroke-dasharray:1 5;stroke-linecap:round}
.bev .trail{fill:none;stroke:var(--dim);stroke-width:1;opacity:.7}
.bev .before{fill:none;stroke:var(--dim);stroke-width:1;stroke-dasharray:3 2}
.bev .vehicle,.key .vehicle{fill:#7a8699;stroke:var(--ink);stroke-width:.8}
.bev .person,.key .person{fill:#e0962a;stroke:var(--ink);stroke-width:.8}
.bev .thing,.key .thing{fill:#b07ad6;stroke:var(--ink);stroke-width:.6}
.bev .ego,.key .ego{fill:var(--accent);opacity:.16;stroke:var(--accent);stroke-width:1}
.bev .path{fill:none;stroke:var(--accent);stroke-width:1.6}
.bev .start,.bev .end{fill:var(--accent);fill-opacity:.35;stroke:var(--accent);stroke-width:1.6}
.bev .fault,.key .fault{fill:rgb(var(--bad));fill-opacity:.45;stroke:rgb(var(--bad));stroke-width:2}
.bev .hit{stroke:rgb(var(--bad));stroke-width:2.4}
.bev .nose{fill:none;stroke:var(--ink);stroke-width:1.4}
.bev text{font:600 12.5px system-ui,sans-serif;fill:var(--ink);text-anchor:middle;paint-order:stroke;stroke:var(--ground);stroke-width:4px;stroke-linejoin:round}
.bev .what{fill:rgb(var(--bad));font-size:13.5px}.bev .metres{font-weight:500;font-size:11px}
.bev .scale{fill:none;stroke:var(--ink);stroke-width:1.4}
.key{display:flex;flex-wrap:wrap;gap:6px 18px;font-size:13px;color:var(--dim);margin:8px 0 14px;--road:#c9ced6}
.key span{display:inline-flex;align-items:center;gap:6px}.key svg{width:26px;height:12px}
.scores{font-size:12.5px}.scores th,.scores td{padding:5px 5px}.scores td:first-child{white-space:nowrap}
.chips{display:flex;flex-wrap:wrap;gap:4px 12px;font-size:12.5px;font-variant-numeric:tabular-nums}.chips b{font-weight:650}
.chips .low{color:rgb(var(--bad))}.indent{padding-left:24px!important;color:var(--dim)}
";

/// The page.
pub fn page(title: &str, table: &Table, cases: &[&Case]) -> String {
    let title = escape(title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>{CSS}{EXTRA}</style></head>\
         <body><main><h1>{title}</h1><p class=\"dim\">{} scenes · {} · others: {}{}{}</p>",
        grouped(table.scenes),
        escape(table.columns().first().map_or("", |c| c.long)),
        escape(&table.policy),
        if table.human_filter { " · the human's failures are excused" } else { "" },
        if table.fixed { " · quirks of the reference turned off" } else { "" },
    );
    out += &tiles(table);
    if let Some(stages) = &table.two_stage {
        out += &two_stage(stages);
    }
    out += "<h2>Every sub-score</h2>";
    out += &lines(table);
    if !cases.is_empty() {
        let _ = write!(
            out,
            "<h2>Worst cases</h2><p class=\"dim\">{} shown, at most a third of one reason and two of a scene.</p>",
            cases.len()
        );
        out += &key();
        out += "<div class=\"cards wide-cards\">";
        for case in cases {
            out += &card(case, table);
        }
        out += "</div>";
    }
    for note in &table.notes {
        let _ = write!(out, "<p class=\"dim\">{}</p>", escape(note));
    }
    out + "</main></body></html>\n"
}

fn percent(figure: Option<Figure>) -> String {
    figure.map_or("–".into(), |f| format!("{:.1} <small>±{:.1}</small>", 100.0 * f.value, 100.0 * f.half_width()))
}

/// The score of every planner.
fn tiles(table: &Table) -> String {
    let Some(first) = table.columns().first() else { return String::new() };
    let tiles: String = table
        .lines
        .iter()
        .filter(|line| line.kind.is_none())
        .map(|line| {
            let figure = percent(Table::figure(line, first));
            format!("<div class=\"tile\">{}<b>{figure}</b></div>", escape(&line.planner))
        })
        .collect();
    format!("<div class=\"tiles\">{tiles}</div>")
}

fn two_stage(s: &Stages) -> String {
    format!(
        "<p class=\"verdict\">Two stages: <b>{:.1}</b> ±{:.1} over {} entries (first stage {:.1}, second stage {:.1}).</p>",
        100.0 * s.score.value,
        100.0 * s.score.half_width(),
        s.entries,
        100.0 * s.stage_one.score,
        100.0 * s.stage_two.score
    )
}

fn lines(table: &Table) -> String {
    let mut out = String::from("<div class=\"panel\"><table class=\"wide scores\"><thead><tr><th></th>");
    for column in table.columns() {
        let _ = write!(out, "<th title=\"{}\">{}</th>", escape(column.long), column.short);
    }
    out += "<th>plans</th></tr></thead>";
    let own = table.lines.first().map(|line| line.planner.clone());
    for line in &table.lines {
        let class = if Some(&line.planner) == own.as_ref() && line.kind.is_none() { " class=\"own\"" } else { "" };
        let _ = match &line.kind {
            Some(kind) => write!(out, "<tr><td class=\"indent\">{}</td>", escape(kind)),
            None => write!(out, "<tr{class}><td>{}</td>", escape(&line.planner)),
        };
        for column in table.columns() {
            let _ = write!(out, "<td>{}</td>", percent(Table::figure(line, column)));
        }
        let _ = write!(out, "<td>{}</td></tr>", grouped(line.trajectories));
    }
    let names: Vec<String> = table.columns().iter().map(|c| format!("{} {}", c.short, c.long)).collect();
    let _ = write!(
        out,
        "</table></div><p class=\"dim\">Percent. ± is half the 95 % bootstrap interval over scenes ({} resamples, seed {}). {}.</p>",
        table.bootstrap.resamples,
        table.bootstrap.seed,
        escape(&names.join(", "))
    );
    out
}

fn key() -> String {
    let area = |class: &str| {
        format!("<svg viewBox=\"0 0 26 12\"><rect class=\"{class}\" width=\"26\" height=\"12\" rx=\"2\"/></svg>")
    };
    let line = |class: &str| format!("<svg viewBox=\"0 0 26 12\"><path class=\"{class}\" d=\"M1 6h24\"/></svg>");
    let items = [
        (area("ego"), "ego every half second, as simulated"),
        (area("fault"), "ego when it fails"),
        (line("centre"), "centre line of the route"),
        (line("driven"), "what the human drove"),
        (area("vehicle"), "vehicle then (dashed: at the start)"),
        (area("person"), "pedestrian or bicycle"),
        (area("thing"), "cone, barrier and the like"),
        (area("red"), "red light"),
    ];
    let spans: String = items.iter().map(|(mark, words)| format!("<span>{mark}{words}</span>")).collect();
    format!("<div class=\"key\">{spans}</div>")
}

fn card(case: &Case, table: &Table) -> String {
    let Entry { scene, planner, kind, scores, failure } = &case.entry;
    let kind = kind.as_deref().map_or_else(String::new, |kind| format!(" · {}", escape(kind)));
    let mut out = format!(
        "<article class=\"card\">{}<h3>{}</h3><p class=\"dim\">{}{kind} · <span class=\"wrong\">{}</span></p><div class=\"chips\">",
        case.picture,
        escape(scene),
        escape(planner),
        escape(failure.as_deref().unwrap_or(case.entry.reason()))
    );
    for (column, value) in table.columns().iter().filter_map(|c| Some((c, (c.of)(scores.as_ref()?)?))) {
        let class = if value < 1.0 { " class=\"low\"" } else { "" };
        let _ = write!(out, "<span{class}>{} <b>{:.0}</b></span>", column.short, 100.0 * value);
    }
    out + "</div></article>"
}
