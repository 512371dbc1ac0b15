//! What a scene must satisfy before anything is computed from it.

use super::{DrivableArea, EgoStatus, Map, SCHEMA, Scene, Track};
use crate::Pose;
use crate::geometry::Point;
use std::collections::HashSet;

/// Largest coordinate in metres: beyond it doubles no longer resolve a micrometre.
const FARTHEST: f64 = 1e8;
/// Largest time stamp in microseconds: a double still resolves a few.
const LATEST: i64 = 100_000_000_000_000_000;
/// Smallest length or width of a box in metres.
const THINNEST: f64 = 1e-3;
/// Largest length or width of a box in metres.
const LONGEST: f64 = 1e3;

/// A scene breaks a rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SceneError {
    /// A number is not finite or outside its range.
    #[error("scene {scene}: {field} is {value}: must be {rule}")]
    Number {
        /// Name of the scene.
        scene: String,
        /// Path of the field.
        field: String,
        /// What was found.
        value: f64,
        /// What is allowed.
        rule: &'static str,
    },
    /// A list has the wrong number of entries.
    #[error("scene {scene}: {field} has {found} entries: must have {rule}")]
    Count {
        /// Name of the scene.
        scene: String,
        /// Path of the field.
        field: String,
        /// How many were found.
        found: usize,
        /// How many are allowed.
        rule: &'static str,
    },
    /// A name refers to nothing.
    #[error("scene {scene}: {field} names {id:?}, {rule}")]
    Unknown {
        /// Name of the scene.
        scene: String,
        /// Path of the field.
        field: String,
        /// The name.
        id: String,
        /// What was expected.
        rule: &'static str,
    },
    /// A name that must be unique occurs twice.
    #[error("scene {scene}: {field} {id:?} occurs twice: ids must be unique")]
    Duplicate {
        /// Name of the scene.
        scene: String,
        /// Path of the field.
        field: String,
        /// The name.
        id: String,
    },
    /// A text field holds something else.
    #[error("scene {scene}: {field} is {value:?}: must be {rule}")]
    Text {
        /// Name of the scene.
        scene: String,
        /// Path of the field.
        field: String,
        /// What was found.
        value: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// A field that the asked computation needs is absent.
    #[error("scene {scene}: {field} is missing: {rule}")]
    Missing {
        /// Name of the scene.
        scene: String,
        /// Path of the field.
        field: &'static str,
        /// Why it is needed or what to do.
        rule: &'static str,
    },
}

/// Says the first rule that a scene breaks. Derived fields are checked when present.
pub fn check(scene: &Scene) -> Result<(), SceneError> {
    let c = Check { scene: &scene.name };
    if scene.schema != SCHEMA {
        return Err(c.text("schema", &scene.schema, "navsim-fixture/1"));
    }
    c.map(&scene.map)?;
    c.tracks_2hz(scene)?;
    c.history(scene)?;
    c.poses("future_poses", &scene.future_poses)?;
    c.lights(scene)?;
    if let Some(line) = &scene.centerline {
        c.count("centerline", line.len(), line.len() >= 2, "at least 2 vertices")?;
        c.poses("centerline", line)?;
    }
    if let Some(areas) = &scene.drivable_map {
        c.drivable(&scene.map, areas)?;
    }
    for (field, frames, tracks) in
        [("agents_10hz_v2", 41, &scene.agents_10hz_v2), ("agents_10hz_v1", 51, &scene.agents_10hz_v1)]
    {
        if let Some(tracks) = tracks {
            c.tracks(field, frames, tracks)?;
        }
    }
    if let Some(reference) = &scene.pdm_reference {
        let n = reference.time_us.len();
        c.count("pdm_reference.time_us", n, n >= 2, "at least 2 time stamps")?;
        c.rising("pdm_reference.time_us", &reference.time_us)?;
        for (field, poses) in [("pdm_reference.v2", Some(&reference.v2)), ("pdm_reference.v1", reference.v1.as_ref())] {
            if let Some(poses) = poses {
                c.count(field, poses.len(), poses.len() == n, "as many poses as time stamps")?;
                c.poses(field, poses)?;
            }
        }
    }
    if let Some(human) = &scene.human_poses {
        c.count("human_poses", human.len(), !human.is_empty(), "at least 1 pose")?;
        c.poses("human_poses", human)?;
    }
    Ok(())
}

struct Check<'a> {
    scene: &'a str,
}

impl Check<'_> {
    fn text(&self, field: impl Into<String>, value: &str, rule: &'static str) -> SceneError {
        SceneError::Text { scene: self.scene.into(), field: field.into(), value: value.into(), rule }
    }

    fn count(&self, field: &str, found: usize, ok: bool, rule: &'static str) -> Result<(), SceneError> {
        let error = || SceneError::Count { scene: self.scene.into(), field: field.into(), found, rule };
        if ok { Ok(()) } else { Err(error()) }
    }

    fn number(&self, field: impl Fn() -> String, value: f64, ok: bool, rule: &'static str) -> Result<(), SceneError> {
        let error = || SceneError::Number { scene: self.scene.into(), field: field(), value, rule };
        if ok { Ok(()) } else { Err(error()) }
    }

    fn finite(&self, field: impl Fn() -> String, values: &[f64]) -> Result<(), SceneError> {
        values
            .iter()
            .try_for_each(|&v| self.number(&field, v, v.abs() <= FARTHEST, "a finite number of magnitude at most 1e8"))
    }

    fn poses(&self, field: &str, poses: &[Pose]) -> Result<(), SceneError> {
        poses.iter().enumerate().try_for_each(|(i, p)| self.finite(|| format!("{field}[{i}]"), &[p.x, p.y, p.heading]))
    }

    fn points(
        &self,
        field: impl Fn() -> String,
        points: &[Point],
        least: usize,
        rule: &'static str,
    ) -> Result<(), SceneError> {
        self.count(&field(), points.len(), points.len() >= least, rule)?;
        points.iter().enumerate().try_for_each(|(i, p)| self.finite(|| format!("{}[{i}]", field()), p))
    }

    fn ring(&self, field: impl Fn() -> String, points: &[Point]) -> Result<(), SceneError> {
        self.points(field, points, 3, "at least 3 vertices")
    }

    fn unique<'i>(&self, field: &str, ids: impl Iterator<Item = &'i str>) -> Result<HashSet<&'i str>, SceneError> {
        let mut seen = HashSet::new();
        for id in ids {
            if !seen.insert(id) {
                return Err(SceneError::Duplicate { scene: self.scene.into(), field: field.into(), id: id.into() });
            }
        }
        Ok(seen)
    }

    fn unknown(&self, field: impl Into<String>, id: &str, rule: &'static str) -> SceneError {
        SceneError::Unknown { scene: self.scene.into(), field: field.into(), id: id.into(), rule }
    }

    fn map(&self, map: &Map) -> Result<(), SceneError> {
        self.unique("map.lanes id", map.lanes.iter().map(|l| l.id.as_str()))?;
        self.unique("map.roadblocks id", map.roadblocks.iter().map(|r| r.id.as_str()))?;
        self.unique("map.intersections id", map.intersections.iter().map(|a| a.id.as_str()))?;
        self.unique("map.carparks id", map.carparks.iter().map(|a| a.id.as_str()))?;
        for l in &map.lanes {
            self.ring(|| format!("map.lanes[{}].polygon", l.id), &l.polygon)?;
            self.points(|| format!("map.lanes[{}].centerline", l.id), &l.centerline, 2, "at least 2 vertices")?;
            if let Some(limit) = l.speed_limit {
                let field = || format!("map.lanes[{}].speed_limit", l.id);
                self.number(field, limit, limit.is_finite() && limit >= 0.0, "a finite number of m/s, not negative")?;
            }
        }
        for r in &map.roadblocks {
            self.ring(|| format!("map.roadblocks[{}].polygon", r.id), &r.polygon)?;
        }
        for a in &map.intersections {
            self.ring(|| format!("map.intersections[{}].polygon", a.id), &a.polygon)?;
        }
        map.carparks.iter().try_for_each(|a| self.ring(|| format!("map.carparks[{}].polygon", a.id), &a.polygon))
    }

    fn drivable(&self, map: &Map, areas: &[DrivableArea]) -> Result<(), SceneError> {
        for (i, area) in areas.iter().enumerate() {
            if map.polygon(area.kind, &area.id).is_none() {
                return Err(self.unknown(format!("drivable_map[{i}]"), &area.id, "which is no map object of its type"));
            }
        }
        Ok(())
    }

    fn size(&self, field: impl Fn() -> String, size: &[f64]) -> Result<(), SceneError> {
        size.iter().try_for_each(|&v| {
            self.number(&field, v, (THINNEST..=LONGEST).contains(&v), "a length between 0.001 and 1000 m")
        })
    }

    fn tracks_2hz(&self, scene: &Scene) -> Result<(), SceneError> {
        self.unique("agents_2hz token", scene.agents_2hz.iter().map(|a| a.token.as_str()))?;
        for a in &scene.agents_2hz {
            let field = || format!("agents_2hz[{}]", a.token);
            self.size(|| format!("{}.size", field()), &a.size[..2])?;
            let n = a.frames.len();
            self.count(&format!("{}.frames", field()), n, n == 9 || n == 11, "9 or 11 frames")?;
            for (k, frame) in a.frames.iter().enumerate() {
                self.finite(|| format!("{}.frames[{k}]", field()), frame.as_ref().map_or(&[], |f| f.as_slice()))?;
            }
        }
        Ok(())
    }

    fn tracks(&self, name: &str, frames: usize, tracks: &[Track]) -> Result<(), SceneError> {
        self.unique(&format!("{name} token"), tracks.iter().map(|a| a.token.as_str()))?;
        for a in tracks {
            let field = || format!("{name}[{}]", a.token);
            self.size(|| format!("{}.length, width", field()), &[a.length, a.width])?;
            let rule = if frames == 41 { "41 frames" } else { "51 frames" };
            self.count(&format!("{}.frames", field()), a.frames.len(), a.frames.len() == frames, rule)?;
            for (k, frame) in a.frames.iter().enumerate() {
                self.finite(|| format!("{}.frames[{k}]", field()), frame.as_ref().map_or(&[], |f| f.as_slice()))?;
            }
        }
        Ok(())
    }

    fn status(&self, field: &str, s: &EgoStatus) -> Result<(), SceneError> {
        self.time(|| format!("{field}.time_us"), s.time_us)?;
        self.finite(|| format!("{field}.pose"), &[s.pose.x, s.pose.y, s.pose.heading])?;
        self.finite(|| format!("{field}.velocity"), &s.velocity)?;
        self.finite(|| format!("{field}.acceleration"), &s.acceleration)
    }

    fn time(&self, field: impl Fn() -> String, time_us: i64) -> Result<(), SceneError> {
        let fits = (-LATEST..=LATEST).contains(&time_us);
        self.number(field, time_us as f64, fits, "microseconds of magnitude at most 1e17")
    }

    fn rising(&self, field: &str, times: &[i64]) -> Result<(), SceneError> {
        times.iter().enumerate().try_for_each(|(i, &t)| self.time(|| format!("{field}[{i}]"), t))?;
        times.windows(2).enumerate().try_for_each(|(i, pair)| {
            let name = || format!("{field}[{}]", i + 1);
            self.number(name, pair[1] as f64, pair[1] > pair[0], "later than the entry before it")
        })
    }

    fn history(&self, scene: &Scene) -> Result<(), SceneError> {
        let n = scene.ego_history.len();
        self.count("ego_history", n, n == 0 || n >= 2, "no entries or at least 2 (usually 4)")?;
        for (i, s) in scene.ego_history.iter().enumerate() {
            self.status(&format!("ego_history[{i}]"), s)?;
        }
        let times: Vec<i64> = scene.ego_history.iter().map(|s| s.time_us).collect();
        self.rising("ego_history.time_us", &times)?;
        self.status("ego", &scene.ego)
    }

    fn lights(&self, scene: &Scene) -> Result<(), SceneError> {
        if let Some(frames) = &scene.traffic_lights_2hz {
            let n = frames.len();
            self.count("traffic_lights_2hz", n, n == 9 || n == 11, "9 or 11 frames")?;
        }
        for (i, light) in scene.red_lights.iter().flatten().enumerate() {
            let field = || format!("red_lights[{i}]");
            let connector = light
                .connector()
                .ok_or_else(|| self.text(field() + ".token", &light.token, "red_light_<lane connector id>"))?;
            if scene.map.lane(connector).is_none() {
                return Err(self.unknown(field() + ".token", connector, "which is no lane connector of the map"));
            }
            let bits = light.frames.len() == 41 && light.frames.bytes().all(|b| b == b'0' || b == b'1');
            if !bits {
                return Err(self.text(field() + ".frames", &light.frames, "41 characters 0 or 1"));
            }
        }
        Ok(())
    }
}
