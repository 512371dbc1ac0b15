//! The data card: what a set holds, how it was made, and how far the prompt alone would get.

use super::{Recipe, Split};
use data::{Content, Sample};
use serde::Serialize;
use sim::{describe::balance, driver::Driver};
use std::{collections::BTreeMap, fmt::Write};

/// What one part holds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Episodes driven.
    pub episodes: u64,
    /// Moments of their drives.
    pub driven: usize,
    /// Moments whose frame tells what to do, to choose from.
    pub moments: usize,
    /// Records written.
    pub records: usize,
    /// Records of each speed label.
    pub speed: BTreeMap<String, usize>,
    /// Records of each path label.
    pub path: BTreeMap<String, usize>,
    /// Records of each scenario family.
    pub family: BTreeMap<String, usize>,
    /// Records of each navigation command.
    pub command: BTreeMap<String, usize>,
    /// Records of each cause of the driver.
    pub cause: BTreeMap<String, usize>,
    /// Records of each driver.
    pub driver: BTreeMap<String, usize>,
    /// Different reasoning texts.
    pub texts: usize,
    #[serde(skip)]
    seen: std::collections::BTreeSet<String>,
    #[serde(skip)]
    cells: Vec<balance::Moment>,
}

impl Counts {
    /// Counts a record.
    pub fn add(&mut self, sample: &Sample, cell: &balance::Moment) {
        let mut count = |map: fn(&mut Counts) -> &mut BTreeMap<String, usize>, key: &str| {
            *map(self).entry(key.to_owned()).or_default() += 1;
        };
        count(|c| &mut c.speed, cell.action.speed.as_str());
        count(|c| &mut c.path, cell.action.path.as_str());
        count(|c| &mut c.command, cell.command.as_str());
        count(|c| &mut c.family, sample.clip.as_deref().and_then(|clip| clip.split('/').next()).unwrap_or_default());
        let extra = |name: &str| sample.extra.get(name).and_then(serde_json::Value::as_str);
        count(|c| &mut c.cause, extra("cause").unwrap_or("none"));
        count(|c| &mut c.driver, extra("driver").unwrap_or(Driver::Expert.name()));
        if let Content::Planning { reasoning: Some(text), .. } = &sample.content {
            self.seen.insert(text.clone());
        }
        self.records += 1;
        self.texts = self.seen.len();
        self.cells.push(*cell);
    }
}

/// Whether nobody but the expert drives.
fn alone(recipe: &Recipe) -> bool {
    recipe.drivers.iter().all(|&driver| driver == Driver::Expert)
}

/// The card as Markdown.
pub fn markdown(recipe: &Recipe, command: &str, parts: &[(Split, Counts)]) -> String {
    let mut text = String::from("# Data card\n\nFrames of a bounding-box world, driven by the rule expert");
    if !alone(recipe) {
        let names: Vec<&str> = recipe.drivers.iter().map(|driver| driver.name()).collect();
        let _ = write!(text, " with the habits of {} in turn", names.join(", "));
    }
    text.push_str(". Made by\n\n");
    let _ = writeln!(text, "```sh\n{command}\n```\n");
    let camera = recipe.camera;
    let degrees = camera.fov.to_degrees();
    let _ = writeln!(text, "Camera {} x {} pixels, {degrees:.0} degrees.", camera.width, camera.height);
    text.push_str(
        "Every word of the reasoning comes from the simulator's state and speaks only of what the frame shows.\n",
    );
    text.push_str("Licence: the set is the program's own output; use it as you like.\n\n");
    text.push_str("| part | records | episodes | moments | of them told by the frame | texts | blind floor: speed F1 | path F1 | joint |\n|---|---|---|---|---|---|---|---|---|\n");
    let fit = parts.first().map_or(&[][..], |(_, c)| &c.cells);
    for (split, c) in parts {
        let floor = balance::blind_floor(fit, &c.cells);
        let [speed, path, joint] = [floor.speed_f1, floor.path_f1, floor.joint].map(|v| format!("{:.1}", 100.0 * v));
        let name = split.as_str();
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {speed} | {path} | {joint} |",
            c.records, c.episodes, c.driven, c.moments, c.texts
        );
    }
    text.push_str("\nThe blind floor is the best table from command and speed bin to labels, fitted on the first part: what a model\nthat never looks reaches.\n");
    text.push_str("Moments are left out whose frame cannot tell what to do: the expert then drove otherwise than it meant to a moment\nbefore, or slowed or changed lanes for something that is not in the frame.\n");
    type Pick = fn(&Counts) -> &BTreeMap<String, usize>;
    let tables: [(&str, Pick); 5] = [
        ("speed", |c| &c.speed),
        ("path", |c| &c.path),
        ("command", |c| &c.command),
        ("cause", |c| &c.cause),
        ("family", |c| &c.family),
    ];
    let driver: (&str, Pick) = ("driver", |c| &c.driver);
    for (title, pick) in tables.into_iter().chain((!alone(recipe)).then_some(driver)) {
        let keys: std::collections::BTreeSet<&String> = parts.iter().flat_map(|(_, c)| pick(c).keys()).collect();
        let _ = write!(text, "\n| {title} |");
        parts.iter().for_each(|(split, _)| text.push_str(&format!(" {} |", split.as_str())));
        text.push_str(&format!("\n|---|{}\n", "---|".repeat(parts.len())));
        for key in keys {
            let _ = write!(text, "| {key} |");
            for (_, c) in parts {
                let n = pick(c).get(key).copied().unwrap_or(0);
                let _ = write!(text, " {n} ({:.1} %) |", 100.0 * n as f64 / c.records.max(1) as f64);
            }
            text.push('\n');
        }
    }
    text
}
