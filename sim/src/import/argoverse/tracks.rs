//! The tracks: a Parquet table with a row for every object and step.
//!
//! The parser of the `parquet` crate may panic on a broken file; a panic there becomes an error here.

use crate::import::build::{recorded, row, usual_size};
use crate::import::check::MAX_AGENTS;
use crate::import::geometry::{P, dot, narrow, sub, unit};
use crate::import::{ImportError, Options};
use crate::scenario::{Agent, AgentKind, Control, Prop, PropKind};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seconds between steps.
const STEP: f64 = 0.1;
/// Most rows: a scenario has some ten thousand.
const MAX_ROWS: i64 = 2_000_000;

/// What the table holds.
pub(super) struct Scene {
    pub id: String,
    /// Ego first, then in the order of track ids.
    pub agents: Vec<Agent>,
    pub props: Vec<Prop>,
    /// Seconds.
    pub duration: f32,
}

struct Track {
    kind: String,
    rows: Vec<Step>,
}

struct Step {
    step: i64,
    p: P,
    heading: f64,
    velocity: P,
}

pub(super) fn read(bytes: &[u8], origin: P, options: &Options) -> Result<Scene, ImportError> {
    let (id, tracks) = catch_unwind(AssertUnwindSafe(|| table(bytes)))
        .unwrap_or_else(|_| Err(ImportError::Parquet { what: "damaged file".into() }))?;
    let Some(av) = tracks.get("AV") else { return Err(ImportError::missing("track_id AV (the recording car)")) };
    if tracks.len() > MAX_AGENTS {
        return Err(ImportError::Count { at: "track_id".into(), count: tracks.len(), min: 1, max: MAX_AGENTS });
    }
    let first = av.rows.first().map_or(0, |r| r.step);
    let mut scene = Scene { id, agents: Vec::new(), props: Vec::new(), duration: 0.1 };
    let others = tracks.iter().filter(|(id, _)| *id != "AV").map(|(_, t)| (t, options.vehicle()));
    for (track, control) in std::iter::once((av, Control::Policy)).chain(others) {
        let rows: Vec<[f32; 5]> = track.rows.iter().filter(|r| r.step >= first).map(|r| r.row(first, origin)).collect();
        match kind(&track.kind) {
            Kind::User(kind) => scene.agents.extend(recorded(kind, usual_size(kind), rows, control)),
            Kind::Solid(kind, size) => {
                if let Some(r) = rows.first() {
                    scene.props.push(Prop { kind, at: [r[1], r[2]], heading: r[3], size });
                }
            }
            Kind::Nothing => {}
        }
    }
    match scene.agents.first().and_then(|a| a.track.last()) {
        Some(last) => scene.duration = last[0].max(0.1),
        None => return Err(ImportError::value("object_type of track AV", &av.kind, "vehicle")),
    }
    Ok(scene)
}

impl Step {
    fn row(&self, first: i64, origin: P) -> [f32; 5] {
        let p = narrow(sub(self.p, origin));
        let speed = dot(self.velocity, self.velocity).sqrt();
        let reverse = dot(self.velocity, unit(self.heading)) < -0.5;
        row(
            (self.step - first) as f64 * STEP,
            [p[0].into(), p[1].into()],
            self.heading,
            if reverse { -speed } else { speed },
        )
    }
}

enum Kind {
    User(AgentKind),
    Solid(PropKind, [f32; 3]),
    /// Seen by the sensors, but no body on the road.
    Nothing,
}

fn kind(name: &str) -> Kind {
    match name {
        "vehicle" => Kind::User(AgentKind::Car),
        "bus" => Kind::User(AgentKind::Bus),
        "pedestrian" => Kind::User(AgentKind::Pedestrian),
        "motorcyclist" => Kind::User(AgentKind::Motorcycle),
        "cyclist" | "riderless_bicycle" => Kind::User(AgentKind::Cyclist),
        "construction" => Kind::Solid(PropKind::Cone, [0.4, 0.4, 0.8]),
        "static" => Kind::Solid(PropKind::Container, [1.0, 1.0, 1.2]),
        _ => Kind::Nothing,
    }
}

fn table(bytes: &[u8]) -> Result<(String, BTreeMap<String, Track>), ImportError> {
    let failed = |e: parquet::errors::ParquetError| ImportError::Parquet { what: e.to_string() };
    let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).map_err(failed)?;
    let count = reader.metadata().file_metadata().num_rows();
    if !(0..=MAX_ROWS).contains(&count) {
        return Err(ImportError::value("number of rows", count, format!("0 to {MAX_ROWS}")));
    }
    let mut tracks: BTreeMap<String, Track> = BTreeMap::new();
    let mut scenario = String::new();
    for (k, row) in reader.get_row_iter(None).map_err(failed)?.enumerate() {
        let row = row.map_err(failed)?;
        let get = |name: &str| cell(&row, name, k);
        if k == 0 {
            scenario = text(get("scenario_id")?, "scenario_id", k)?;
        }
        let number = |name: &str| number(get(name)?, name, k);
        let step = Step {
            step: number("timestep")? as i64,
            p: [number("position_x")?, number("position_y")?],
            heading: number("heading")?,
            velocity: [number("velocity_x")?, number("velocity_y")?],
        };
        let track = text(get("track_id")?, "track_id", k)?;
        let kind = text(get("object_type")?, "object_type", k)?;
        tracks.entry(track).or_insert_with(|| Track { kind, rows: Vec::new() }).rows.push(step);
    }
    for track in tracks.values_mut() {
        track.rows.sort_by_key(|r| r.step);
    }
    Ok((scenario, tracks))
}

fn cell<'a>(row: &'a Row, name: &str, k: usize) -> Result<&'a Field, ImportError> {
    let found = row.get_column_iter().find(|(n, _)| *n == name);
    found.map(|(_, f)| f).ok_or_else(|| ImportError::missing(format!("row {k}, column {name}")))
}

fn text(field: &Field, name: &str, k: usize) -> Result<String, ImportError> {
    match field {
        Field::Str(s) => Ok(s.clone()),
        Field::Bytes(b) => Ok(String::from_utf8_lossy(b.data()).into_owned()),
        other => Err(ImportError::value(format!("row {k}, column {name}"), other, "a string")),
    }
}

fn number(field: &Field, name: &str, k: usize) -> Result<f64, ImportError> {
    let value = match field {
        Field::Double(v) => *v,
        Field::Float(v) => f64::from(*v),
        Field::Long(v) => *v as f64,
        Field::Int(v) => f64::from(*v),
        _ => f64::NAN,
    };
    if !value.is_finite() {
        return Err(ImportError::value(format!("row {k}, column {name}"), field, "a finite number"));
    }
    Ok(value)
}
