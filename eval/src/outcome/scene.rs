//! A moment of a drive and the expert's next 4 s as a scene of the PDM scorer ([`rewards::pdm`]).
//!
//! 1. Progress is measured against the expert's own drive, which stands in for PDM-Closed; it is the human of the
//!    human-penalty filter too.
//! 2. Each lane is a roadblock of its own, widened to what still counts as road in the simulator. The route's lanes and
//!    those beside them in the same direction are on the route.
//! 3. Of the solids only what is put onto roads (cones, barriers, containers) is told; others lie off the road anyway.

use super::roll::{Recorded, STEPS};
use scene::{
    Pose,
    dynamics::vehicle,
    geometry::Point,
    world::{
        AgentType, Area, DrivableArea, DrivableKind, EgoStatus, Lane, Map, PdmReference, RedLight, Roadblock, SCHEMA,
        Scene, Track,
    },
};
use sim::{
    moment::Drive,
    path::NO_LANE,
    road::Road,
    scenario::{AgentKind, Lamp, LaneKind, PropKind, StopRule, Turn},
};
use std::collections::BTreeSet;

/// Metres around ego of which the scene tells.
const NEAR: f32 = 110.0;
/// Metres beside a lane that are still road.
const ROADSIDE: f32 = 0.3;
/// Microseconds of a simulator step.
const STEP_US: i64 = 100_000;
/// States of the past, half a second apart.
const PAST: usize = 4;

/// Ego's rear axle.
pub fn axle(x: f32, y: f32, heading: f32) -> Pose {
    let (sin, cos) = f64::from(heading).sin_cos();
    Pose::new(f64::from(x) - vehicle::TO_CENTER * cos, f64::from(y) - vehicle::TO_CENTER * sin, f64::from(heading))
}

/// The scene of a moment; `None` when ego has no route.
pub fn scene(drive: &Drive, recorded: &Recorded) -> Option<Scene> {
    let now = recorded.seen[0].scene(0);
    let (world, road) = (now.world, &now.world.road);
    let route = world.route()?;
    let here = [now.x[0], now.y[0]];
    let (map, areas) = map(road, &world.scenario.map.areas, here);
    let known: BTreeSet<&str> = map.lanes.iter().map(|l| l.id.as_str()).collect();
    let range = route.index(now.s[0] - 30.0)..=route.index(now.s[0] + NEAR);
    let centerline = range.clone().map(|i| {
        let heading = sim::math::atan2(route.sin[i], route.cos[i]);
        Pose::new(f64::from(route.x[i]), f64::from(route.y[i]), f64::from(heading))
    });
    let lanes: BTreeSet<usize> =
        range.clone().filter(|&i| route.lane[i] != NO_LANE).map(|i| route.lane[i] as usize).collect();
    let route_lane_ids =
        beside(road, &lanes).into_iter().map(|l| l.to_string()).filter(|id| known.contains(id.as_str()));
    let step = now.head.step as i64;
    let ego = status(drive.past.last()?, step);
    let history: Vec<EgoStatus> = (0..PAST)
        .rev()
        .filter_map(|k| Some((drive.past.len().checked_sub(1 + 5 * k)?, step - 5 * k as i64)))
        .map(|(i, step)| status(&drive.past[i], step))
        .collect();
    let poses: Vec<Pose> = recorded.rolled.ego.iter().map(|e| axle(e[0], e[1], e[2])).collect();
    Some(Scene {
        schema: SCHEMA.into(),
        name: world.scenario.name.clone(),
        centerline: Some(centerline.collect()),
        route_lane_ids: Some(route_lane_ids.collect()),
        drivable_map: Some(areas),
        red_lights: Some(red_lights(recorded, &known)),
        agents_10hz_v2: Some(tracks(recorded, here)),
        human_poses: Some(poses.iter().skip(5).step_by(5).map(|p| p.into_frame(ego.pose)).collect()),
        pdm_reference: Some(PdmReference {
            time_us: (0..=STEPS as i64).map(|k| (step + k) * STEP_US).collect(),
            v2: poses,
            v1: None,
        }),
        ego_history: if history.len() > 1 { history } else { Vec::new() },
        ego,
        map,
        ..Scene::default()
    })
}

fn status(&[x, y, heading, v, a]: &[f32; 5], step: i64) -> EgoStatus {
    EgoStatus {
        time_us: step * STEP_US,
        pose: axle(x, y, heading),
        velocity: [f64::from(v), 0.0],
        acceleration: [f64::from(a), 0.0],
    }
}

/// Lanes and junctions around a point, and what of them is drivable.
fn map(road: &Road, junctions: &[Vec<[f32; 2]>], here: [f32; 2]) -> (Map, Vec<DrivableArea>) {
    let (mut map, mut areas) = (Map::default(), Vec::new());
    for (i, info) in road.lanes.iter().enumerate() {
        let samples = info.first..info.first + info.count;
        let near = |k: usize| sim::road::distance([road.x[k], road.y[k]], here) < NEAR;
        let kept: Vec<usize> = samples.filter(|&k| near(k)).collect();
        let (Some(&first), Some(&last)) = (kept.first(), kept.last()) else { continue };
        if last == first {
            continue;
        }
        let id = i.to_string();
        let half = 0.5 * info.width;
        map.roadblocks.push(Roadblock {
            id: id.clone(),
            connector: false,
            polygon: outline(road, first..=last, half + ROADSIDE, ROADSIDE),
            lanes: vec![id.clone()],
        });
        areas.push(DrivableArea { id: id.clone(), kind: DrivableKind::Roadblock });
        if info.kind != LaneKind::Road {
            continue;
        }
        let connector = info.turn != Turn::None;
        let kind = if connector { DrivableKind::LaneConnector } else { DrivableKind::Lane };
        areas.push(DrivableArea { id: id.clone(), kind });
        map.lanes.push(Lane {
            polygon: outline(road, first..=last, half, 0.0),
            centerline: (first..=last).map(|k| [f64::from(road.x[k]), f64::from(road.y[k])]).collect(),
            roadblock: id.clone(),
            id,
            connector,
            speed_limit: Some(f64::from(info.limit)),
            out: Vec::new(),
            inc: Vec::new(),
        });
    }
    for (i, area) in junctions.iter().enumerate().filter(|(_, area)| area.len() > 2) {
        let polygon = area.iter().map(|p| [f64::from(p[0]), f64::from(p[1])]).collect();
        map.intersections.push(Area { id: i.to_string(), polygon });
        areas.push(DrivableArea { id: i.to_string(), kind: DrivableKind::Intersection });
    }
    (map, areas)
}

/// A ring around samples of a lane, `half` metres to both sides and `more` beyond both ends. Samples of a straight
/// piece are left out.
fn outline(road: &Road, samples: std::ops::RangeInclusive<usize>, half: f32, more: f32) -> Vec<Point> {
    let (first, last) = (*samples.start(), *samples.end());
    let mut kept: Vec<usize> = vec![first];
    for k in samples {
        let before = kept.last().copied().unwrap_or(first);
        let turned = (road.cos[before] * road.sin[k] - road.sin[before] * road.cos[k]).abs();
        if k > before && (turned > 0.01 || k == last) {
            kept.push(k);
        }
    }
    let side = |half: f32| {
        kept.iter().map(move |&k| {
            let along = if k == first {
                -more
            } else if k == last {
                more
            } else {
                0.0
            };
            let (cos, sin) = (road.cos[k], road.sin[k]);
            [f64::from(road.x[k] + along * cos - half * sin), f64::from(road.y[k] + along * sin + half * cos)]
        })
    };
    side(half).chain(side(-half).rev()).collect()
}

/// Lanes and all beside them in the same direction.
fn beside(road: &Road, lanes: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut all = lanes.clone();
    let mut new: Vec<usize> = lanes.iter().copied().collect();
    while let Some(lane) = new.pop() {
        let info = &road.lanes[lane];
        new.extend([info.left, info.right].into_iter().flatten().filter(|&l| all.insert(l)));
    }
    all
}

/// When the connectors behind the lights of the route are red.
fn red_lights(recorded: &Recorded, known: &BTreeSet<&str>) -> Vec<RedLight> {
    let now = recorded.seen[0].scene(0);
    let (world, mut lights) = (now.world, Vec::new());
    for stop in world.route().map_or(&[][..], |route| &route.stops) {
        let StopRule::Light(light) = stop.rule else { continue };
        let connector = world.route().and_then(|route| {
            let behind = route.lane.iter().skip(route.index(stop.s)).take(15).filter(|l| **l != NO_LANE);
            behind.copied().find(|&l| world.road.lanes[l as usize].turn != Turn::None)
        });
        let Some(id) = connector.map(|l| l.to_string()).filter(|id| known.contains(id.as_str())) else { continue };
        let token = format!("{}{id}", RedLight::PREFIX);
        if lights.iter().any(|l: &RedLight| l.token == token) {
            continue;
        }
        let red = |seen: &sim::Batch| world.lamp(light, seen.scene(0).time()).0 == Lamp::Red;
        lights.push(RedLight { token, frames: recorded.seen.iter().map(|s| if red(s) { '1' } else { '0' }).collect() });
    }
    lights
}

/// Everyone near ego at some time.
fn tracks(recorded: &Recorded, here: [f32; 2]) -> Vec<Track> {
    let now = recorded.seen[0].scene(0);
    let world = now.world;
    let mut tracks = Vec::new();
    for i in 1..now.agents() {
        let seen = |batch: &sim::Batch| {
            let scene = batch.scene(0);
            let [x, y, heading, v] = [scene.x[i], scene.y[i], scene.heading[i], scene.v[i]].map(f64::from);
            let near = sim::road::distance([scene.x[i], scene.y[i]], here) < NEAR;
            (scene.present(i) && near).then(|| [x, y, heading, v * heading.cos(), v * heading.sin()])
        };
        let frames: Vec<_> = recorded.seen.iter().map(seen).collect();
        if frames.iter().all(Option::is_none) {
            continue;
        }
        let kind = match world.agents[i].kind {
            AgentKind::Pedestrian => AgentType::Pedestrian,
            AgentKind::Cyclist | AgentKind::Motorcycle => AgentType::Bicycle,
            _ => AgentType::Vehicle,
        };
        let [length, width, _] = world.agents[i].size.map(f64::from);
        tracks.push(Track { token: format!("agent {i}"), kind, length, width, frames });
    }
    for (i, prop) in world.scenario.map.props.iter().enumerate() {
        let kind = match prop.kind {
            PropKind::Cone => AgentType::TrafficCone,
            PropKind::Barrier => AgentType::Barrier,
            PropKind::Container => AgentType::GenericObject,
            _ => continue,
        };
        if sim::road::distance(prop.at, here) < NEAR {
            let [x, y, heading] = [prop.at[0], prop.at[1], prop.heading].map(f64::from);
            let (length, width) = (f64::from(prop.size[0]), f64::from(prop.size[1]));
            let frames = vec![Some([x, y, heading, 0.0, 0.0]); STEPS + 1];
            tracks.push(Track { token: format!("solid {i}"), kind, length, width, frames });
        }
    }
    tracks
}
