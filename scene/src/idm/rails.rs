//! Vehicles at t = 0 are put on the lanes they drive on (spec 13.1).

use super::car::Car;
use super::{Config, IdmError, IdmTraffic, Quirks, Vehicle};
use crate::Pose;
use crate::dynamics::State;
use crate::geometry::{OrientedBox, Path, Point, Polyline, headed, point_along, strictly_inside};
use crate::pose::wrap_angle;
use crate::world::{AgentType, Lane, Map, Scene, Track};

/// Metres ahead on the base line that give its heading.
const HEADING_REACH: f64 = 0.5;
/// Slower than this (m/s) counts as parked.
const PARKED: f64 = 0.1;
/// Path vertices closer than this are one (metres).
const REPEATED: f64 = 1e-8;

impl IdmTraffic {
    /// Builds from the raw detections at t = 0 of a scene; `logged` are its tracks at 10 Hz (4 s), replayed for
    /// everything that is not a vehicle.
    pub fn build(scene: &Scene, logged: &[Track], config: Config, quirks: Quirks) -> Result<IdmTraffic, IdmError> {
        let mut taken = vec![State::of_ego(&scene.ego).footprint()];
        let mut target_speed = config.target_speed;
        let (mut vehicles, mut cars) = (Vec::new(), Vec::new());
        for track in scene.agents_2hz.iter().filter(|t| t.kind == AgentType::Vehicle) {
            let Some(Some(detection)) = track.frames.first() else { continue };
            let [length, width, _] = track.size;
            if !detection.iter().chain(&track.size[..2]).all(|v| v.is_finite()) {
                return Err(IdmError::NotFinite { token: track.token.clone(), what: "detection at t = 0" });
            }
            let rail = Rail::of(&scene.map, detection, quirks);
            let speed = detection[3].hypot(detection[4]);
            let astray = rail.as_ref().is_some_and(|r| r.deviation > config.snap);
            let parked = speed < PARKED && !on_road(&scene.map, [detection[0], detection[1]]);
            let vehicle =
                Vehicle { token: track.token.clone(), length, width, detection: *detection, stays: parked || astray };
            let index = vehicles.len();
            vehicles.push(vehicle);
            let Some(rail) = rail.filter(|_| !astray) else { continue };
            let center = [rail.pose.x, rail.pose.y];
            let snapped = OrientedBox { center, heading: rail.pose.heading, length, width };
            if taken.iter().any(|b| snapped.intersects(b)) {
                continue;
            }
            taken.push(snapped);
            let limit = rail.lane.speed_limit;
            let wanted = limit.filter(|&v| v != 0.0).unwrap_or(if quirks.leaked_target_speed {
                target_speed
            } else {
                config.target_speed
            });
            target_speed = wanted;
            let path = path_of(rail.lane, quirks);
            let vertices = path.poses().len();
            if vertices < 2 {
                return Err(IdmError::ShortPath { token: track.token.clone(), lane: rail.lane.id.clone(), vertices });
            }
            cars.push(Car::new(index, path, rail.progress, speed, wanted, &snapped));
        }
        let others = logged.iter().filter(|t| t.kind != AgentType::Vehicle).map(|t| replayed(t, scene)).collect();
        Ok(IdmTraffic { config, quirks, vehicles, cars, others })
    }
}

/// A logged track whose first frame is what was detected at t = 0 (a track seen once is not, though it is replayed).
fn replayed(track: &Track, scene: &Scene) -> Track {
    let raw = scene.agents_2hz.iter().find(|t| t.token == track.token);
    let mut track = track.clone();
    if let (Some(raw), Some(first)) = (raw, track.frames.first_mut()) {
        *first = raw.frames.first().copied().flatten();
    }
    track
}

/// Where a vehicle would stand on its lane.
struct Rail<'a> {
    lane: &'a Lane,
    /// On the base line.
    pose: Pose,
    /// Metres along the base line.
    progress: f64,
    /// Metres from the base line.
    deviation: f64,
}

impl<'a> Rail<'a> {
    /// On the lane (or, in a junction, the connector) around the vehicle whose heading is nearest to its own.
    fn of(map: &'a Map, &[x, y, heading, ..]: &[f64; 5], quirks: Quirks) -> Option<Rail<'a>> {
        let center = [x, y];
        let around = |connector: bool| {
            let all = map.lanes.iter().filter(move |l| l.connector == connector);
            all.filter(|l| strictly_inside(&l.polygon, center)).collect::<Vec<&Lane>>()
        };
        let mut lanes = around(false);
        if lanes.is_empty() && in_intersection(map, center) {
            lanes = around(true);
        }
        let mut best: Option<(f64, Rail<'a>)> = None;
        for lane in lanes {
            let (pose, progress) = nearest_pose(&lane.centerline, center)?;
            let turn = pose.heading - wrap_angle(heading);
            let turn = if quirks.unwrapped_heading { turn } else { wrap_angle(turn) }.abs();
            if best.as_ref().is_none_or(|(least, _)| turn < *least) {
                let deviation = (pose.x - x).hypot(pose.y - y);
                best = Some((turn, Rail { lane, pose, progress, deviation }));
            }
        }
        best.map(|(_, rail)| rail)
    }
}

fn in_intersection(map: &Map, p: Point) -> bool {
    map.intersections.iter().any(|a| strictly_inside(&a.polygon, p))
}

fn on_road(map: &Map, p: Point) -> bool {
    map.lanes.iter().any(|l| !l.connector && strictly_inside(&l.polygon, p)) || in_intersection(map, p)
}

/// The nearest pose on a base line and its metres along it; the heading is taken over the next half metre.
fn nearest_pose(line: &[Point], p: Point) -> Option<(Pose, f64)> {
    let progress = Polyline::new(line.to_vec()).project(p)?.progress;
    let here = point_along(line, progress)?;
    let ahead = point_along(line, progress + HEADING_REACH)?;
    let (from, to) = if here == ahead { (point_along(line, progress - HEADING_REACH)?, here) } else { (here, ahead) };
    Some((Pose::new(here[0], here[1], (to[1] - from[1]).atan2(to[0] - from[0])), progress))
}

/// The base line as a path keyed by its metres, without vertices that repeat the next one.
fn path_of(lane: &Lane, quirks: Quirks) -> Path {
    let whole = Path::new(headed(&lane.centerline));
    let (poses, along) = (whole.poses(), whole.along());
    let keeps = |i: usize| match along.get(i + 1) {
        Some(next) => (next - along[i]).abs() > REPEATED,
        None => !quirks.dropped_last_vertex,
    };
    let kept: Vec<usize> = (0..poses.len()).filter(|&i| keeps(i)).collect();
    Path::with_progress(kept.iter().map(|&i| poses[i]).collect(), kept.iter().map(|&i| along[i]).collect())
}
