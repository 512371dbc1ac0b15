//! Everyone around ego, frame by frame.

use super::{Compat, PdmError, Version, nc};
use scene::dynamics::{INTERVAL, State};
use scene::geometry::{Aabb, Corners, OrientedBox, Point, Ring, locate, segment_intersects_quad, strictly_inside};
use scene::world::{AgentType, Detection, Scene, SceneError, Track};
use std::collections::HashMap;

/// An area that must not be touched while it is red.
#[derive(Debug, Clone, PartialEq)]
pub struct RedArea {
    /// Open ring, world metres.
    pub ring: Vec<Point>,
    /// Whether it is red at each 0.1 s step.
    pub frames: Vec<bool>,
}

/// One box of one frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agent {
    pub track: u32,
    /// Vehicle, pedestrian or bicycle.
    pub is_agent: bool,
    /// Stands, judged by its first frame (pitfall 4).
    pub stopped: bool,
    pub center: Point,
    pub corners: Corners,
}

/// A red area with what makes touching it fast to decide.
#[derive(Debug, Clone)]
pub(super) struct Red {
    ring: Ring,
    frames: u64,
}

/// Agents and red lights of 41 (v2) or 51 (v1) frames at 0.1 s, indexed for collision tests.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    tracks: usize,
    /// One more than there are frames: where each frame's agents start.
    starts: Vec<u32>,
    bounds: Vec<Aabb>,
    agents: Vec<Agent>,
    red: Vec<Red>,
}

impl Observation {
    /// Indexes tracks as they are: nothing is removed.
    pub fn new(tracks: &[Track], red: &[RedArea], compat: &Compat) -> Observation {
        let frames = tracks.iter().map(|t| t.frames.len()).max().unwrap_or(0).max(scene::dynamics::STATES);
        let mut all = Observation { tracks: tracks.len(), starts: vec![0], ..Observation::default() };
        for t in 0..frames {
            for (index, track) in tracks.iter().enumerate() {
                if let Some(Some(here)) = track.frames.get(t) {
                    let known = if compat.first_seen_attributes { track.frames.iter().flatten().next() } else { None };
                    all.add(index as u32, track, here, known.unwrap_or(here));
                }
            }
            all.starts.push(all.agents.len() as u32);
        }
        all.red = red.iter().map(Red::new).collect();
        all
    }

    fn add(&mut self, index: u32, track: &Track, here: &Detection, known: &Detection) {
        let shape = footprint(track, here);
        let corners = shape.corners();
        self.bounds.push(Aabb::of(&corners));
        self.agents.push(Agent {
            track: index,
            is_agent: track.kind.is_agent(),
            stopped: known[3].hypot(known[4]) <= nc::STOPPED,
            center: shape.center,
            corners,
        });
    }

    /// The logged agents and red lights (spec 13). In v2 tracks that overlap ego at t = 0 are removed (pitfall 6);
    /// v1 has no lights.
    pub fn log_replay(scene: &Scene, version: Version, compat: &Compat) -> Result<Observation, PdmError> {
        let (field, tracks) = match version {
            Version::V1 => ("agents_10hz_v1", &scene.agents_10hz_v1),
            Version::V2 => ("agents_10hz_v2", &scene.agents_10hz_v2),
        };
        let tracks = required(scene, field, tracks.as_deref(), "log replay needs the interpolated tracks")?;
        if version == Version::V1 {
            return Ok(Observation::new(tracks, &[], compat));
        }
        let ego = State::of_ego(&scene.ego).footprint();
        let overlaps =
            |track: &&Track| matches!(track.frames.first(), Some(Some(d)) if footprint(track, d).intersects(&ego));
        let kept: Vec<Track> =
            tracks.iter().filter(|t| !(compat.drop_initial_overlaps && overlaps(t))).cloned().collect();
        Ok(Observation::new(&kept, &red_areas(scene)?, compat))
    }

    /// Vehicles that are there now keep their velocity and heading, everyone else is as logged (spec 13, v2).
    pub fn constant_velocity(scene: &Scene, compat: &Compat) -> Result<Observation, PdmError> {
        let tracks = required(
            scene,
            "agents_10hz_v2",
            scene.agents_10hz_v2.as_deref(),
            "the constant-velocity policy starts from the tracks",
        )?;
        let now: HashMap<&str, bool> =
            scene.agents_2hz.iter().map(|a| (a.token.as_str(), matches!(a.frames.first(), Some(Some(_))))).collect();
        let mut moved = Vec::with_capacity(tracks.len());
        for track in tracks {
            let mut track = track.clone();
            // The first frame is what is detected now, not the interpolation, in which single detections are frozen.
            if now.get(track.token.as_str()) == Some(&false) {
                track.frames[0] = None;
            }
            if track.kind == AgentType::Vehicle {
                let Some(&Some(start)) = track.frames.first() else { continue };
                for (k, frame) in track.frames.iter_mut().enumerate() {
                    let seconds = k as f64 * INTERVAL;
                    let [x, y, heading, vx, vy] = start;
                    *frame = Some([x + vx * seconds, y + vy * seconds, heading, vx, vy]);
                }
            }
            moved.push(track);
        }
        Ok(Observation::new(&moved, &red_areas(scene)?, compat))
    }

    /// The agents of a simulation (for example IDM) with the scene's red lights: nothing is removed.
    pub fn simulated(scene: &Scene, tracks: &[Track], compat: &Compat) -> Result<Observation, PdmError> {
        Ok(Observation::new(tracks, &red_areas(scene)?, compat))
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of tracks.
    pub(super) fn tracks(&self) -> usize {
        self.tracks
    }

    pub(super) fn red(&self) -> &[Red] {
        &self.red
    }

    /// The agents of frame `t` whose bounding boxes meet `bounds`; empty beyond the last frame.
    #[inline]
    pub(super) fn near(&self, t: usize, bounds: &Aabb) -> impl Iterator<Item = &Agent> {
        let range = match self.starts.get(t..t + 2) {
            Some(&[a, b]) => a as usize..b as usize,
            _ => 0..0,
        };
        let bounds = *bounds;
        self.bounds[range.clone()]
            .iter()
            .zip(&self.agents[range])
            .filter(move |(b, _)| b.meets(&bounds))
            .map(|(_, agent)| agent)
    }
}

/// A track's box in one frame.
fn footprint(track: &Track, d: &Detection) -> OrientedBox {
    OrientedBox { center: [d[0], d[1]], heading: d[2], length: track.length, width: track.width }
}

fn required<'a, T: ?Sized>(
    scene: &Scene,
    field: &'static str,
    value: Option<&'a T>,
    rule: &'static str,
) -> Result<&'a T, PdmError> {
    value.ok_or_else(|| SceneError::Missing { scene: scene.name.clone(), field, rule }.into())
}

/// The scene's red connectors.
fn red_areas(scene: &Scene) -> Result<Vec<RedArea>, PdmError> {
    let lights = required(scene, "red_lights", scene.red_lights.as_deref(), "v2 checks traffic lights (may be empty)")?;
    let area = |light: &scene::world::RedLight| {
        let lane = scene.map.lane(light.connector()?)?;
        Some(RedArea { ring: lane.polygon.clone(), frames: light.frames.bytes().map(|b| b == b'1').collect() })
    };
    Ok(lights.iter().filter_map(area).collect())
}

impl Red {
    fn new(area: &RedArea) -> Red {
        let bit = |(t, &on): (usize, &bool)| u64::from(on) << t;
        Red { ring: Ring::new(area.ring.clone()), frames: area.frames.iter().take(64).enumerate().map(bit).sum() }
    }

    /// Whether it is red at a step.
    #[inline]
    pub fn is_red(&self, t: usize) -> bool {
        self.frames >> t & 1 == 1
    }

    /// Whether the closed areas share a point; `bounds` are those of the corners.
    pub fn touches(&self, bounds: &Aabb, corners: &Corners) -> bool {
        if !self.ring.bounds.meets(bounds) {
            return false;
        }
        let points = &self.ring.points;
        let Some(&last) = points.last() else { return false };
        let mut a = last;
        for &b in points {
            if Aabb::of(&[a, b]).meets(bounds) && segment_intersects_quad(a, b, corners) {
                return true;
            }
            a = b;
        }
        // No edge comes near: ego is wholly inside or wholly outside.
        strictly_inside(points, corners[0]) || locate(corners, last) != scene::geometry::Place::Outside
    }
}

/// The set of tracks that are no longer looked at; its memory is reused.
#[derive(Debug, Clone, Default)]
pub(super) struct Ignored {
    words: Vec<u64>,
}

impl Ignored {
    pub fn heap_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    /// Empties the set and makes room for so many tracks.
    pub fn clear(&mut self, tracks: usize) {
        self.words.clear();
        self.words.resize(tracks.div_ceil(64), 0);
    }

    #[inline]
    pub fn has(&self, track: u32) -> bool {
        self.words[track as usize / 64] >> (track % 64) & 1 == 1
    }

    #[inline]
    pub fn add(&mut self, track: u32) {
        self.words[track as usize / 64] |= 1 << (track % 64);
    }
}
