//! A driving report as one self-contained page: figures, abilities, infractions, every route worst first, and for each
//! route a replay from above with the front camera beside it. Its script is part of the page; a content policy forbids
//! everything from outside.

use super::base64;
use super::{CSS, escape, grouped};
use crate::driving::replay::Replay;
use crate::driving::{DrivingReport, RouteScore, ability, penalty};
use crate::metrics::bootstrap::Figure;
use sim::event::EventKind;
use std::fmt::Write;

const SCRIPT: &str = include_str!("replay.js");

const EXTRA: &str = "
:root{--ground:#e4e9e1;--road:#c3c8cf;--mark:#f7f8fa}
@media(prefers-color-scheme:dark){:root{--ground:#10141a;--road:#2a323d;--mark:#66717f}}
main{max-width:1180px}
#player{position:sticky;top:0;z-index:1;margin:14px 0;padding:10px}
#views{display:flex;gap:10px}#bev{display:block;flex:1;min-width:0;height:330px;border-radius:8px}
#camera{width:38%;max-height:330px;object-fit:contain;object-position:top;border-radius:8px}#camera[hidden]{display:none}
#chart{display:block;width:100%;height:58px;margin-top:6px;cursor:pointer}
#bar{display:flex;flex-wrap:wrap;gap:6px 12px;align-items:center;margin-top:6px;font-size:13px}
#bar b{min-width:150px}#clock{min-width:120px;font-variant-numeric:tabular-nums}#said{color:rgb(var(--bad));font-weight:650}
#bar button,#bar select{font:inherit;padding:3px 12px;border:1px solid var(--line);border-radius:6px;background:var(--paper);color:var(--ink)}
#scrub{flex:1;min-width:160px;accent-color:var(--accent)}
tr.shown td{background:color-mix(in srgb,var(--accent) 14%,transparent)}
.routes a{color:var(--accent);text-decoration:none}.routes a.wrong{color:rgb(var(--bad))}.routes a.unknown{color:var(--dim)}.routes td:last-child,.routes th:last-child{text-align:left;white-space:normal;min-width:220px}
.routes tr{scroll-margin-top:470px}
";

/// A route's replay and pictures.
pub struct Shown {
    /// What is drawn from above.
    pub replay: Replay,
    /// Front camera: seconds and PNG; may be empty.
    pub camera: Vec<(f64, Vec<u8>)>,
}

/// The page.
///
/// # Errors
/// A replay cannot be written as JSON.
pub fn driving_page(report: &DrivingReport, shown: &[Shown]) -> Result<String, serde_json::Error> {
    let title = escape(&format!("{} on {}", report.policy, report.suite));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>{CSS}{EXTRA}</style></head>\
         <body><main><h1>{title}</h1><p class=\"dim\">{} routes · {:.1} km · ± is half the 95 % bootstrap interval over routes</p>",
        grouped(report.routes.len()),
        report.kilometres,
    );
    out += &tiles(report);
    out += &format!("<div class=\"pair\">{}{}</div>", abilities(report), infractions(report));
    out += "<h2>Routes, worst first</h2>";
    out += PLAYER;
    out += &routes(report);
    for one in shown {
        let name = escape(&one.replay.name);
        // Inside a script element only "<" could end it.
        let json = serde_json::to_string(&one.replay)?.replace('<', "\\u003c");
        let _ = write!(out, "<script type=\"application/json\" data-replay=\"{name}\">{json}</script>");
        if !one.camera.is_empty() {
            let _ = write!(out, "<div hidden data-camera=\"{name}\">");
            for (time, png) in &one.camera {
                let src = base64::encode(png);
                let _ = write!(out, "<i data-t=\"{time:.2}\" data-src=\"data:image/png;base64,{src}\"></i>");
            }
            out += "</div>";
        }
    }
    let _ = writeln!(out, "<script>{SCRIPT}</script></main></body></html>");
    Ok(out)
}

const PLAYER: &str = "<div id=\"player\" class=\"panel\"><div id=\"views\"><canvas id=\"bev\" aria-label=\"the scene from above\"></canvas>\
    <img id=\"camera\" alt=\"front camera\" hidden></div><canvas id=\"chart\" aria-label=\"speed over time\"></canvas>\
    <div id=\"bar\"><button id=\"play\">Play</button><select id=\"pace\" aria-label=\"pace\"><option value=\"1\">1×</option>\
    <option value=\"2\" selected>2×</option><option value=\"4\">4×</option></select><input id=\"scrub\" type=\"range\" min=\"0\" value=\"0\" \
    aria-label=\"time\"><span id=\"clock\"></span><b id=\"playing\"></b><span id=\"said\"></span></div></div>";

fn value(figure: Option<Figure>, digits: usize) -> String {
    figure.map_or("–".into(), |f| format!("{:.digits$} <small>±{:.digits$}</small>", f.value, f.half_width()))
}

fn tiles(report: &DrivingReport) -> String {
    let tile = |name: &str, text: String| format!("<div class=\"tile\">{name}<b>{text}</b></div>");
    let tiles = [
        tile("driving score", value(report.driving_score, 1)),
        tile("success rate, %", value(report.success_rate, 1)),
        tile("route completion, %", value(report.completion, 1)),
        tile("mean ability, %", report.ability_mean.map_or("–".into(), |v| format!("{v:.1}"))),
        tile("efficiency, %", value(report.efficiency, 0)),
        tile("efficiency, unreached = 0", value(report.efficiency_all, 0)),
        tile("comfort, %", value(report.comfort, 1)),
        tile("comfort, with yaw acceleration", value(report.comfort_fixed, 1)),
        tile("time to collision, s", value(report.ttc_mean, 1)),
        tile("least time to collision, s", value(report.ttc_min, 1)),
        tile("HD-Score, %", value(report.hd_score, 1)),
    ];
    format!("<div class=\"tiles\">{}</div>", tiles.concat())
}

fn abilities(report: &DrivingReport) -> String {
    let lines: String = report
        .abilities
        .iter()
        .map(|a| {
            format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                ability::name(a.ability),
                a.routes,
                value(a.success, 1)
            )
        })
        .collect();
    format!(
        "<div class=\"panel\"><table class=\"wide\"><thead><tr><th>ability</th><th>routes</th><th>success, %</th></tr></thead>{lines}</table></div>"
    )
}

fn infractions(report: &DrivingReport) -> String {
    let lines: String = report
        .infractions
        .iter()
        .filter(|i| i.count > 0)
        .map(|i| format!("<tr><td>{}</td><td>{}</td><td>{:.2}</td></tr>", escape(&i.kind), i.count, i.per_km))
        .collect();
    format!(
        "<div class=\"panel\"><table class=\"wide\"><thead><tr><th>infraction</th><th>count</th><th>per km</th></tr></thead>{lines}</table></div>"
    )
}

fn routes(report: &DrivingReport) -> String {
    let mut out = String::from(
        "<div class=\"panel\"><table class=\"wide routes\"><thead><tr><th>route</th><th>score</th><th>done, %</th>\
         <th>penalty</th><th>efficiency</th><th>comfort</th><th>least TTC</th><th>HD</th><th>time, s</th><th>what happened</th></tr></thead>",
    );
    for route in &report.routes {
        out += &line(route);
    }
    out + "</table></div>"
}

/// The part of a page's address that leads to a route.
pub fn anchor(route: &str) -> String {
    route.replace('/', "-")
}

fn line(r: &RouteScore) -> String {
    let id = escape(&anchor(&r.name));
    let number = |v: Option<f64>, digits: usize| v.map_or("–".into(), |v| format!("{v:.digits$}"));
    let class = if r.success { "right" } else { "wrong" };
    let near = penalty::name(EventKind::NearMiss);
    let mut what: Vec<String> = r
        .infractions
        .iter()
        .filter(|i| i.kind != near)
        .map(|i| {
            let mark = if i.coefficient.is_some() { " class=\"wrong\"" } else { " class=\"unknown\"" };
            format!("<a{mark} href=\"#{id}@{:.1}\">{} {:.0} s</a>", (i.time - 3.0).max(0.0), escape(&i.kind), i.time)
        })
        .collect();
    let misses: Vec<f64> = r.infractions.iter().filter(|i| i.kind == near).map(|i| i.time).collect();
    if let Some(first) = misses.first() {
        let start = (first - 3.0).max(0.0);
        what.push(format!("<a class=\"unknown\" href=\"#{id}@{start:.1}\">{near} × {}</a>", misses.len()));
    }
    format!(
        "<tr id=\"{id}\" data-route=\"{name}\"><td><a href=\"#{id}\">{name}</a></td><td class=\"{class}\">{:.1}</td><td>{:.0}</td><td>{:.2}</td>\
         <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.0}</td><td>{}</td></tr>",
        r.driving_score,
        r.completion,
        r.penalty,
        number(r.efficiency, 0),
        number(r.comfort.map(|c| 100.0 * c), 0),
        number(r.ttc_min, 1),
        number(r.hd.map(|h| 100.0 * h.score), 0),
        r.seconds,
        what.join(", "),
        name = escape(&r.name),
    )
}
