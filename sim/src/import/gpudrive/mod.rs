//! GPUDrive's JSON of Waymo Open Motion scenes: 91 states at 10 Hz, a vector map without lane relations.
//!
//! Kazemkhani et al., *GPUDrive*, 2024; Ettinger et al., *Large scale interactive motion forecasting*, 2021. Positions are
//! global and become relative to the mean of the valid ones. Lane relations, widths and limits come from [`super::connect`].

mod rules;
mod scene;

use super::build::{route_ego, scenario};
use super::geometry::{P, mean};
use super::native::parse;
use super::route::Net;
use super::{ImportError, Options, cap, connect};
use crate::scenario::Scenario;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What GPUDrive writes where an object was not seen.
const INVALID: f64 = -10_000.0;
/// Seconds between states.
const STEP: f64 = 0.1;
/// Most points of all roads together: a scene has some 40 000.
const MAX_POINTS: usize = 400_000;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    name: String,
    #[serde(default)]
    scenario_id: String,
    objects: Vec<Object>,
    roads: Vec<Road>,
    #[serde(default)]
    tl_states: BTreeMap<String, LightStates>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    sdc_track_index: usize,
}

#[derive(Deserialize)]
struct Xy {
    x: f64,
    y: f64,
}

#[derive(Deserialize)]
struct Object {
    position: Vec<Xy>,
    velocity: Vec<Xy>,
    heading: Vec<f64>,
    valid: Vec<bool>,
    length: f64,
    width: f64,
    height: f64,
    r#type: String,
}

#[derive(Deserialize)]
struct Road {
    geometry: Vec<Xy>,
    #[serde(default)]
    r#type: String,
    map_element_id: Option<u32>,
    #[serde(default)]
    id: i64,
}

#[derive(Deserialize)]
struct LightStates {
    state: Vec<String>,
    x: Vec<f64>,
    y: Vec<f64>,
    time_index: Vec<u32>,
}

/// Reads a scene of GPUDrive.
///
/// Ego is the object of `sdc_track_index`; its route is the lanes of its track. Time 0 is when ego is first seen.
///
/// # Errors
///
/// When the JSON does not parse, a list has the wrong length, or ego is never seen.
pub fn read_gpudrive(bytes: &[u8], options: &Options) -> Result<Scenario, ImportError> {
    cap(bytes)?;
    let file: File = parse("GPUDrive", bytes)?;
    file.check()?;
    let seen = file.objects.iter().flat_map(|o| o.position.iter().zip(&o.valid));
    let origin = mean(seen.filter(|(p, v)| **v && p.x != INVALID).map(|(p, _)| [p.x, p.y]));
    let mut agents = scene::agents(&file, origin, options)?;
    let (mut map, road_lanes) = scene::map(&file, origin);
    let net = Net::new(&map.lanes);
    connect::successors(&mut map.lanes, &net);
    connect::turns(&mut map.lanes, &net);
    connect::neighbours(&mut map, &net);
    connect::limits(&mut map.lanes, &net, &agents);
    scene::surface(&mut map, &net);
    rules::stop_signs(&mut map, &net, &file, origin);
    rules::lights(&mut map, &net, &file, &road_lanes, origin)?;
    route_ego(&mut map, &mut agents[0]);
    let duration = agents[0].track.last().map_or(0.1, |r| r[0]).max(0.1);
    let name = if file.scenario_id.is_empty() { &file.name } else { &file.scenario_id };
    scenario("gpudrive", name, "Waymo Open Dataset, non-commercial licence", duration, map, agents)
}

impl File {
    fn check(&self) -> Result<(), ImportError> {
        let count = |at: &str, count: usize, min: usize, max: usize| {
            if count < min || count > max {
                return Err(ImportError::Count { at: at.to_owned(), count, min, max });
            }
            Ok(())
        };
        count("objects", self.objects.len(), 1, super::check::MAX_AGENTS)?;
        count("roads", self.roads.len(), 0, super::check::MAX_ENTRIES)?;
        count("roads (all points)", self.roads.iter().map(|r| r.geometry.len()).sum(), 0, MAX_POINTS)?;
        count("tl_states", self.tl_states.len(), 0, 1_000)?;
        if self.metadata.sdc_track_index >= self.objects.len() {
            let allowed = format!("an index below {}", self.objects.len());
            return Err(ImportError::value("metadata.sdc_track_index", self.metadata.sdc_track_index, allowed));
        }
        let steps = self.objects[0].position.len();
        count("objects[0].position", steps, 1, 10_000)?;
        for (i, o) in self.objects.iter().enumerate() {
            let lists = [
                ("position", o.position.len()),
                ("velocity", o.velocity.len()),
                ("heading", o.heading.len()),
                ("valid", o.valid.len()),
            ];
            for (name, len) in lists {
                count(&format!("objects[{i}].{name}"), len, steps, steps)?;
            }
        }
        Ok(())
    }
}

fn local(p: &Xy, origin: P) -> P {
    [p.x - origin[0], p.y - origin[1]]
}
