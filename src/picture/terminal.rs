//! A plan as text: who was asked what, the reasoning, a probability bar for each axis, how long it took.
//!
//! [`page`] is the whole; a verb that streams prints [`header`], then the reasoning through [`Reflow`], then
//! [`verdict`] and [`closing`]. Bars have eighths of a cell; without a UTF-8 terminal everything is ASCII.

use super::panel::ranked;
use super::plan_picture::PlanView;
use super::reflow::{self, Reflow, clean};
use scene::SpeedAction;

const INDENT: usize = 2;
/// Below this an alternative prints as 0.00 and is left out when it does not fit.
const NOTHING: f64 = 0.005;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Columns.
    pub width: usize,
    /// Block elements and typographic marks; plain ASCII without.
    pub unicode: bool,
    /// ANSI colours.
    pub colour: bool,
}

impl Terminal {
    /// ASCII, 100 columns, no colour: what a pipe gets.
    pub const PLAIN: Terminal = Terminal { width: 100, unicode: false, colour: false };

    /// Reads the environment through `var` (`std::env::var(..).ok()` in the program): block elements need a terminal
    /// and a UTF-8 locale, colours need a terminal and neither `NO_COLOR` nor `TERM=dumb`. `width` none means 100.
    pub fn from_env(is_tty: bool, width: Option<usize>, var: impl Fn(&str) -> Option<String>) -> Terminal {
        let set = |name: &str| var(name).filter(|v| !v.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Terminal {
            width: width.unwrap_or(Self::PLAIN.width).clamp(40, 140),
            unicode: is_tty && (locale.contains("utf-8") || locale.contains("utf8")),
            colour: is_tty && set("NO_COLOR").is_none() && set("TERM").as_deref() != Some("dumb"),
        }
    }

    /// A stream for the reasoning, indented like the rest of the page.
    pub fn reasoning(&self) -> Reflow {
        Reflow::new(self.width, INDENT, self.unicode)
    }

    fn dot(&self) -> &'static str {
        if self.unicode { " · " } else { " - " }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour && !text.trim().is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }
}

/// What the page says beside the plan.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// Program and version, for example `reinsman 0.1`.
    pub program: String,
    /// Worker threads.
    pub threads: usize,
    /// The frame as the user named it.
    pub frame: String,
    /// Tokens written.
    pub tokens: usize,
    /// Seconds from question to answer.
    pub seconds: f64,
    /// Where the picture went, if one was written.
    pub picture: Option<String>,
}

/// A bar `cells` wide: `fraction` of it filled, the rest blank. NaN is empty; without `unicode` whole `#` cells.
pub fn bar(fraction: f64, cells: usize, unicode: bool) -> String {
    let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
    let parts = if unicode { 8 } else { 1 };
    let filled = (fraction * (cells * parts) as f64).round() as usize;
    let mut bar = if unicode { "█" } else { "#" }.repeat(filled / parts);
    if !filled.is_multiple_of(parts) {
        bar.extend(char::from_u32(0x2590 - (filled % parts) as u32));
    }
    let used = filled.div_ceil(parts);
    bar + &" ".repeat(cells - used)
}

/// The whole page, ending with a line end.
pub fn page(view: &PlanView, facts: &Facts, terminal: &Terminal) -> String {
    let said = reflow::reflow(&view.reasoning, terminal.width, INDENT, terminal.unicode);
    let said = if said.is_empty() { said } else { said + "\n\n" };
    format!("{}\n{said}{}\n{}", header(view, facts, terminal), verdict(view, terminal), closing(facts, terminal))
}

/// Who answers, and what was asked.
pub fn header(view: &PlanView, facts: &Facts, terminal: &Terminal) -> String {
    let threads = format!("{} {}", facts.threads, if facts.threads == 1 { "thread" } else { "threads" });
    let who = [facts.program.as_str(), view.model.trim(), &threads].map(|t| clean(t, terminal.unicode));
    let speed = view.speed_mps.filter(|v| v.is_finite() && v.abs() < 1e4);
    let speed = speed.map_or_else(|| "speed not given".into(), |v| format!("speed {v:.1} m/s"));
    let asked = [format!("frame  {}", facts.frame), speed, format!("command {}", view.command.trim())];
    let asked = asked.map(|t| clean(&t, terminal.unicode));
    let fields = |fields: &[String], between: &str| {
        let line = fields.join(between);
        if reflow::width(&line) <= terminal.width { line } else { fields.join("\n") }
    };
    format!("{}\n{}\n", fields(&who, terminal.dot()), fields(&asked, "   "))
}

/// The chosen label of each axis with its bar and the alternatives; then the samples, if there are any.
pub fn verdict(view: &PlanView, terminal: &Terminal) -> String {
    let mut out = String::new();
    if let Err(why) = &view.plan {
        let text = reflow::reflow(&format!("no valid plan: {why}"), terminal.width, INDENT, terminal.unicode);
        out += &format!("{}\n", terminal.paint(&text, "31"));
    }
    let plan = view.plan.as_ref().ok();
    let speed = Axis::new(&view.speed_probabilities, plan.map(|p| p.speed.as_str()), terminal);
    let path = Axis::new(&view.path_probabilities, plan.map(|p| p.path.as_str()), terminal);
    let axes: Vec<(&str, &Axis)> =
        [("speed", &speed), ("path ", &path)].into_iter().filter_map(|(n, a)| Some((n, a.as_ref()?))).collect();
    let names = axes.iter().map(|(_, a)| reflow::width(&a.label)).fold(10, usize::max) + 2;
    for (name, axis) in &axes {
        let code = if *name == "speed" { speed_code(&axis.label) } else { "35" };
        out += &axis.line(name, names, &axes, code, terminal);
    }
    out + &samples(view, terminal)
}

/// Tokens, seconds and where the picture is.
pub fn closing(facts: &Facts, terminal: &Terminal) -> String {
    let mut line = format!("  {} tokens in {:.2} s", facts.tokens, facts.seconds);
    if let Some(picture) = &facts.picture {
        line += &format!("{}picture {}", terminal.dot(), clean(picture, terminal.unicode));
    }
    line + "\n"
}

struct Axis {
    label: String,
    p: Option<f64>,
    others: Vec<(String, f64)>, // text, probability
}

impl Axis {
    /// The chosen label first, or the likeliest when there is no plan; none without probabilities.
    fn new(probabilities: &[(String, f64)], chosen: Option<&str>, terminal: &Terminal) -> Option<Axis> {
        let mut rows = ranked(probabilities);
        let first = chosen.and_then(|c| rows.iter().position(|r| r.0 == c)).unwrap_or(0);
        if rows.is_empty() {
            return None;
        }
        let (label, p) = rows.remove(first);
        let text = |label: &str, p: Option<f64>| format!("{} {}", short(label, terminal), number(p));
        let others = rows.iter().take(16).map(|r| (text(r.0, r.1), r.1.unwrap_or(0.0))).collect();
        Some(Axis { label: short(label, terminal), p, others })
    }

    fn line(&self, name: &str, names: usize, axes: &[(&str, &Axis)], code: &str, terminal: &Terminal) -> String {
        let cells = if terminal.width >= 96 { 20 } else { 10 };
        let label = format!("{}{}", self.label, " ".repeat(names.saturating_sub(reflow::width(&self.label))));
        let filled = bar(self.p.unwrap_or(0.0), cells, terminal.unicode);
        let mut line = format!(
            "  {name}  {}{} {}",
            terminal.paint(&label, &format!("1;{code}")),
            terminal.paint(&filled, code),
            number(self.p)
        );
        let start = 2 + 5 + 2 + names + cells + 1 + 4;
        let (mut column, mut gap) = (start, 3);
        for (i, (text, p)) in self.others.iter().enumerate() {
            let wide = reflow::width(text);
            if column + gap + wide > terminal.width {
                if *p < NOTHING {
                    continue;
                }
                line += &format!("\n{}", " ".repeat(start));
                (column, gap) = (start, 3);
            }
            line += &format!("{}{}", " ".repeat(gap), terminal.paint(text, "2"));
            column += gap + wide;
            // The same column of the other axis may be wider; the next one starts after both.
            let widest = axes.iter().filter_map(|(_, a)| a.others.get(i)).map(|o| reflow::width(&o.0)).max();
            gap = 2 + widest.unwrap_or(wide).saturating_sub(wide);
        }
        line + "\n"
    }
}

fn samples(view: &PlanView, terminal: &Terminal) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for sample in &view.samples {
        let name = sample.plan.map_or_else(|| "no valid plan".into(), |p| p.to_string());
        match counts.iter_mut().find(|c| c.0 == name) {
            Some(c) => c.1 += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.sort_by_key(|c| std::cmp::Reverse(c.1));
    let line = |(name, n): &(String, usize)| {
        let share = bar(*n as f64 / view.samples.len() as f64, 10, terminal.unicode);
        format!("  {n:>3} of {}  {share}  {name}\n", view.samples.len())
    };
    let lines: String = counts.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn short(label: &str, terminal: &Terminal) -> String {
    clean(label, terminal.unicode).chars().take(24).collect()
}

fn number(p: Option<f64>) -> String {
    p.map_or_else(|| "n/a ".into(), |p| format!("{p:.2}"))
}

fn speed_code(label: &str) -> &'static str {
    match label.parse() {
        Ok(SpeedAction::Accelerate) => "32",
        Ok(SpeedAction::Decelerate) => "33",
        Ok(SpeedAction::Stop) => "31",
        _ => "34",
    }
}
