//! OpenScene and NAVSIM log pickles as scenes: every frame that has three frames before it and ten after it, as the
//! NAVSIM loader cuts logs. A log has no map; it comes in our format. Derived fields stay empty.
//!
//! Read per frame: `token`, `timestamp`, `log_name`, `ego2global_translation`, `ego2global_rotation` (w, x, y, z),
//! `ego_dynamic_state` (narrowed to float32 as the loader does), `roadblock_ids`, `traffic_lights`, and of `anns` the
//! boxes (relative to the rear axle), names, velocities and track tokens. Everything else is passed over.

use super::{
    input::pickle_bytes,
    scenes::{LoadedScene, checked},
};
use crate::{
    error::{DataError, Place, Result},
    pickle::{Limits, View, read},
};
use scene::{
    Pose,
    world::{AgentType, EgoStatus, Map, SCHEMA, Scene, Track2Hz},
};
use std::{collections::HashMap, path::Path};

/// Frames before the present one.
const PAST: usize = 3;
/// Frames after it.
const FUTURE: usize = 10;
/// Logged poses of a scene.
const HUMAN: usize = 8;
/// Most boxes of one frame.
const MAX_BOXES: usize = 10_000;

/// One frame of a log.
#[derive(Debug, Clone)]
struct Frame {
    token: String,
    ego: EgoStatus,
    route: Vec<String>,
    lights: Vec<(String, bool)>,
    boxes: Vec<Detected>,
}

#[derive(Debug, Clone)]
struct Detected {
    token: String,
    kind: AgentType,
    size: [f64; 3],
    /// World: x, y, heading, vx, vy.
    at: [f64; 5],
}

/// A log, scene by scene.
pub struct Log {
    place: Place,
    map: Map,
    frames: Vec<Frame>,
    next: usize,
}

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    /// The first rule that is broken: the frame's token, the field, the value.
    pub fn read(path: &Path, map: &Map) -> Result<Log> {
        Self::from_bytes(&path.display().to_string(), &pickle_bytes(path)?, map)
    }

    /// The same from bytes; `name` is for messages.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn from_bytes(name: &str, bytes: &[u8], map: &Map) -> Result<Log> {
        let pickle = read(bytes, Limits::default()).map_err(|error| DataError::Pickle { file: name.into(), error })?;
        let (root, place) = (pickle.root(), Place::file(name));
        let Some(items) = root.items() else {
            let problem = format!("is {}: must be a list of frames", root.kind());
            return Err(DataError::BadField { place, field: "the log".into(), problem });
        };
        let frames: Result<Vec<Frame>> = items.enumerate().map(|(i, view)| frame(&place, i, view)).collect();
        let frames = frames?;
        if frames.len() < PAST + 1 + FUTURE {
            let problem = format!("has {} frames: a scene needs {}", frames.len(), PAST + 1 + FUTURE);
            return Err(DataError::BadField { place, field: "the log".into(), problem });
        }
        Ok(Log { place, map: map.clone(), frames, next: PAST })
    }

    /// The scene whose present is frame `now`.
    fn scene(&self, now: usize) -> Result<LoadedScene> {
        let frame = |i: usize| self.frames.get(i);
        let window = self.frames.get(now..=now + FUTURE).unwrap_or_default();
        let history: Vec<EgoStatus> = (now - PAST..=now).filter_map(frame).map(|f| f.ego).collect();
        let (token, route) = window.first().map(|f| (f.token.clone(), f.route.clone())).unwrap_or_default();
        let scene = Scene {
            schema: SCHEMA.into(),
            name: token.clone(),
            map: self.map.clone(),
            route_roadblock_ids: route,
            agents_2hz: tracks(window),
            traffic_lights_2hz: Some(window.iter().map(|f| f.lights.clone()).collect()),
            ego: history.last().copied().unwrap_or_default(),
            ego_history: history,
            future_poses: window.iter().skip(1).take(HUMAN).map(|f| f.ego.pose).collect(),
            ..Scene::default()
        };
        let place = self.place.within(format!("frame {token}"));
        checked(&place, &scene)?;
        Ok(LoadedScene { place, scene, proposals: Vec::new() })
    }
}

impl Iterator for Log {
    type Item = Result<LoadedScene>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next + FUTURE < self.frames.len() {
            let now = self.next;
            self.next += 1;
            // Without a route there is no reference to compare with; the loader passes such frames over too.
            if self.frames.get(now).is_some_and(|f| !f.route.is_empty()) {
                return Some(self.scene(now));
            }
        }
        None
    }
}

/// Tracks of a window in the order of their first appearance.
fn tracks(window: &[Frame]) -> Vec<Track2Hz> {
    let mut found: Vec<Track2Hz> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for (k, frame) in window.iter().enumerate() {
        for seen in &frame.boxes {
            let at = *index.entry(seen.token.as_str()).or_insert_with(|| {
                let frames = vec![None; window.len()];
                found.push(Track2Hz { token: seen.token.clone(), kind: seen.kind, size: seen.size, frames });
                found.len() - 1
            });
            if let Some(slot) = found.get_mut(at).and_then(|track| track.frames.get_mut(k)) {
                *slot = Some(seen.at);
            }
        }
    }
    found
}

/// Reads fields of one frame with its place.
struct Fields<'v> {
    place: Place,
    view: View<'v, 'v>,
}

impl<'v> Fields<'v> {
    fn bad(&self, field: &str, problem: String) -> DataError {
        DataError::BadField { place: self.place.clone(), field: field.into(), problem }
    }

    fn get(&self, field: &str) -> Result<View<'v, 'v>> {
        self.view.get(field).ok_or_else(|| self.bad(field, "is missing".into()))
    }

    fn text(&self, field: &str) -> Result<&'v str> {
        let view = self.get(field)?;
        view.text().ok_or_else(|| self.bad(field, format!("is {}: must be a text", view.kind())))
    }

    fn numbers<const N: usize>(&self, field: &str) -> Result<[f64; N]> {
        let view = self.get(field)?;
        let numbers = view.numbers().and_then(|n| n.get(..N)?.try_into().ok());
        numbers.ok_or_else(|| self.bad(field, format!("is {}: must be {N} numbers", view.kind())))
    }
}

fn frame<'v>(place: &Place, index: usize, view: View<'v, 'v>) -> Result<Frame> {
    let mut fields = Fields { place: place.within(format!("frame {index}")), view };
    let token = fields.text("token")?.to_owned();
    fields.place = place.within(format!("frame {index} ({})", token.chars().take(40).collect::<String>()));
    let time = fields.get("timestamp")?;
    let time_us = time.integer().ok_or_else(|| fields.bad("timestamp", format!("is {}", time.kind())))?;
    let [x, y] = fields.numbers("ego2global_translation")?;
    let heading = yaw(fields.numbers("ego2global_rotation")?);
    let narrow = |v: f64| f64::from(v as f32);
    let [vx, vy, ax, ay] = fields.numbers("ego_dynamic_state")?.map(narrow);
    let ego = EgoStatus { time_us, pose: Pose { x, y, heading }, velocity: [vx, vy], acceleration: [ax, ay] };
    let route = fields.get("roadblock_ids")?;
    let route =
        route.texts().ok_or_else(|| fields.bad("roadblock_ids", format!("is {}: must be texts", route.kind())))?;
    Ok(Frame { token, ego, route, lights: lights(&fields)?, boxes: boxes(&fields, ego.pose)? })
}

/// Yaw of a quaternion (w, x, y, z) as the loader's library has it: with a minus in the first term.
fn yaw(q: [f64; 4]) -> f64 {
    let norm = q.iter().map(|v| v * v).sum::<f64>().sqrt();
    let [w, x, y, z] = q.map(|v| v / norm);
    f64::atan2(2.0 * (w * z - x * y), 1.0 - 2.0 * (y * y + z * z))
}

fn lights(fields: &Fields<'_>) -> Result<Vec<(String, bool)>> {
    let view = fields.get("traffic_lights")?;
    let bad = || fields.bad("traffic_lights", "must be a list of (lane connector id, is red)".into());
    let light = |item: View<'_, '_>| {
        let (id, red) = item.items().and_then(|mut pair| Some((pair.next()?, pair.next()?)))?;
        let id = id.text().map(str::to_owned).or_else(|| id.integer().map(|n| n.to_string()))?;
        Some((id, red.truth()?))
    };
    view.items().ok_or_else(bad)?.map(|item| light(item).ok_or_else(bad)).collect()
}

fn boxes(fields: &Fields<'_>, ego: Pose) -> Result<Vec<Detected>> {
    let anns = fields.get("anns")?;
    let part = |name: &str| {
        let field = format!("anns.{name}");
        anns.get(name).ok_or_else(|| fields.bad(&field, "is missing".into()))
    };
    let (boxes, speeds) = (part("gt_boxes")?, part("gt_velocity_3d")?);
    let texts = |name: &str| {
        let view = part(name)?;
        view.texts().ok_or_else(|| fields.bad(&format!("anns.{name}"), format!("is {}: must be texts", view.kind())))
    };
    let (names, tokens) = (texts("gt_names")?, texts("track_tokens")?);
    let n = names.len();
    let rows = |name: &str, view: View<'_, '_>, width: usize| {
        let shape = view.array().map(|a| a.shape.clone()).unwrap_or_default();
        let rows = view.array_numbers().filter(|_| shape == [n, width] || (n == 0 && shape.first() == Some(&0)));
        rows.ok_or_else(|| {
            let problem = format!("has the shape {shape:?}: must be an array of shape [{n}, {width}], a row per name");
            fields.bad(&format!("anns.{name}"), problem)
        })
    };
    let (boxes, speeds) = (rows("gt_boxes", boxes, 7)?, rows("gt_velocity_3d", speeds, 3)?);
    if tokens.len() != n || n > MAX_BOXES {
        let problem = format!("has {} entries: must have one per name ({n}), at most {MAX_BOXES}", tokens.len());
        return Err(fields.bad("anns.track_tokens", problem));
    }
    let (sin, cos) = ego.heading.sin_cos();
    let mut found = Vec::with_capacity(n);
    let rows = boxes.chunks_exact(7).zip(speeds.chunks_exact(3));
    for (i, ((name, token), (row, speed))) in names.iter().zip(tokens).zip(rows).enumerate() {
        let (&[x, y, _, length, width, height, heading], &[vx, vy, _]) = (row, speed) else { continue };
        let kind = kind(name).ok_or_else(|| {
            let problem = format!(
                "is {name:?}: must be vehicle, pedestrian, bicycle, traffic_cone, barrier, czone_sign or generic_object"
            );
            fields.bad(&format!("anns.gt_names[{i}]"), problem)
        })?;
        let turned = heading + ego.heading;
        let (vx, vy) = if kind.is_agent() { (vx, vy) } else { (0.0, 0.0) };
        let at = [
            ego.x + cos * x - sin * y,
            ego.y + sin * x + cos * y,
            f64::atan2(turned.sin(), turned.cos()),
            cos * vx - sin * vy,
            sin * vx + cos * vy,
        ];
        found.push(Detected { token, kind, size: [length, width, height], at });
    }
    Ok(found)
}

fn kind(name: &str) -> Option<AgentType> {
    Some(match name {
        "vehicle" => AgentType::Vehicle,
        "pedestrian" => AgentType::Pedestrian,
        "bicycle" => AgentType::Bicycle,
        "traffic_cone" => AgentType::TrafficCone,
        "barrier" => AgentType::Barrier,
        "czone_sign" => AgentType::CzoneSign,
        "generic_object" => AgentType::GenericObject,
        _ => return None,
    })
}
