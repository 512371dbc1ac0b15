//! What the planner believes of the next five seconds: constant velocity along the heading, red lights stay red.

use super::POSES;
use crate::pdm::{Compat, Observation, RedArea, Version};
use scene::derive::RoadGraph;
use scene::dynamics::{INTERVAL, State};
use scene::geometry::{Aabb, OrientedBox, Place, Point, Shape, centroid, locate, orient, str_order, strictly_inside};
use scene::pose::wrap_angle;
use scene::world::{AgentType, Scene, Track, Track2Hz};
use std::f64::consts::{FRAC_PI_2, PI};

/// Objects farther than this many metres from ego's centre are ignored.
const RADIUS: f64 = 100.0;
/// Steps per forecast frame.
const RESOLUTION: usize = 2;
/// Forecast frames.
const FRAMES: usize = POSES.div_ceil(RESOLUTION);

/// An obstacle in one frame.
#[derive(Debug, Clone)]
pub(super) struct Obstacle {
    pub shape: Shape,
    pub centroid: Point,
    /// Radians.
    pub heading: f64,
    /// m/s, 0 for static things and red lights.
    pub speed: f64,
    /// A red light leaves the leader's speed as it was.
    pub is_light: bool,
}

/// The planner's forecast.
#[derive(Debug, Clone)]
pub(super) struct Forecast {
    /// Obstacles per frame of 0.2 s in tree order, without those that ego touches at t = 0.
    frames: Vec<Vec<Obstacle>>,
    tracks: Vec<Track>,
    red: Vec<RedArea>,
}

impl Forecast {
    /// From the detections and lights at t = 0; `lanes` are the route's.
    pub fn new(scene: &Scene, graph: &RoadGraph<'_>, lanes: &[usize]) -> Forecast {
        let ego = State::of_ego(&scene.ego);
        let footprint = ego.footprint().corners();
        let movers: Vec<Mover> = nearest_objects(scene, ego.center()).into_iter().filter_map(Mover::new).collect();
        let lights = red_polygons(scene, graph, lanes);
        let touches =
            |ring: &[Point]| Shape::new(vec![ring.to_vec()]).intersects(&Shape::new(vec![footprint.to_vec()]));
        let ignored: Vec<bool> = movers
            .iter()
            .map(|m| touches(&m.corners(0)))
            .chain(lights.iter().map(|ring| touches(ring) && quad_within(&footprint, ring)))
            .collect();
        let frame = |k: usize| {
            let all: Vec<Obstacle> =
                movers.iter().map(|m| m.obstacle(k)).chain(lights.iter().map(|ring| light(ring))).collect();
            let bounds: Vec<Aabb> = all.iter().map(|o| *o.shape.bounds()).collect();
            str_order(&bounds).into_iter().filter(|&i| !ignored[i]).map(|i| all[i].clone()).collect()
        };
        Forecast {
            frames: (0..FRAMES).map(frame).collect(),
            tracks: movers.iter().zip(&ignored).filter(|(_, ignored)| !**ignored).map(|(m, _)| m.track()).collect(),
            red: lights.into_iter().map(|ring| RedArea { ring, frames: vec![true; POSES] }).collect(),
        }
    }

    /// The obstacles at a step of 0.1 s.
    pub fn at(&self, step: usize) -> &[Obstacle] {
        self.frames.get(step / RESOLUTION).map_or(&[], Vec::as_slice)
    }

    /// The forecast as the scorer wants it; v1 knows no lights.
    pub fn observation(&self, version: Version, compat: &Compat) -> Observation {
        let red: &[RedArea] = if version == Version::V2 { &self.red } else { &[] };
        Observation::new(&self.tracks, red, compat)
    }
}

/// An object and how its corners move.
struct Mover<'a> {
    raw: &'a Track2Hz,
    /// Where it is.
    place: OrientedBox,
    /// Logged, m/s.
    velocity: [f64; 2],
    /// Assumed, m/s.
    drift: [f64; 2],
}

impl<'a> Mover<'a> {
    fn new(raw: &'a Track2Hz) -> Option<Mover<'a>> {
        let [x, y, heading, vx, vy] = raw.frames.first().copied().flatten()?;
        let heading = wrap_angle(heading);
        let place = OrientedBox { center: [x, y], heading, length: raw.size[0], width: raw.size[1] };
        let (mut velocity, mut drift) = ([0.0; 2], [0.0; 2]);
        if raw.kind.is_agent() {
            let forward = wrap_angle(heading - vy.atan2(vx)).abs() < FRAC_PI_2;
            let (sin, cos) = if forward { heading } else { heading + PI }.sin_cos();
            velocity = [vx, vy];
            drift = [cos * vx.hypot(vy), sin * vx.hypot(vy)];
        }
        Some(Mover { raw, place, velocity, drift })
    }

    fn moved(&self, p: Point, frame: usize) -> Point {
        let seconds = (frame * RESOLUTION) as f64 * INTERVAL;
        [p[0] + seconds * self.drift[0], p[1] + seconds * self.drift[1]]
    }

    fn corners(&self, frame: usize) -> [Point; 4] {
        self.place.corners().map(|p| self.moved(p, frame))
    }

    fn obstacle(&self, frame: usize) -> Obstacle {
        let corners = self.corners(frame);
        Obstacle {
            centroid: centroid(&corners).unwrap_or(self.place.center),
            shape: Shape::new(vec![corners.to_vec()]),
            heading: self.place.heading,
            speed: self.velocity[0].hypot(self.velocity[1]),
            is_light: false,
        }
    }

    fn track(&self) -> Track {
        let detection = |step: usize| {
            let [x, y] = self.moved(self.place.center, step / RESOLUTION);
            Some([x, y, self.place.heading, self.velocity[0], self.velocity[1]])
        };
        Track {
            token: self.raw.token.clone(),
            kind: self.raw.kind,
            length: self.place.length,
            width: self.place.width,
            frames: (0..POSES).map(detection).collect(),
        }
    }
}

/// Static things, vehicles, pedestrians, bicycles: of each the nearest ones within the radius.
fn nearest_objects(scene: &Scene, center: Point) -> Vec<&Track2Hz> {
    let distance = |t: &Track2Hz| {
        let [x, y, ..] = t.frames.first().copied().flatten()?;
        let d = ((x - center[0]).powi(2) + (y - center[1]).powi(2)).sqrt();
        (d <= RADIUS).then_some(d)
    };
    let mut found = Vec::new();
    for (kind, most) in
        [(None, 50), (Some(AgentType::Vehicle), 50), (Some(AgentType::Pedestrian), 25), (Some(AgentType::Bicycle), 10)]
    {
        let wanted = |t: &&Track2Hz| kind.map_or(!t.kind.is_agent(), |k| t.kind == k);
        let mut group: Vec<(f64, &Track2Hz)> =
            scene.agents_2hz.iter().filter(wanted).filter_map(|t| Some((distance(t)?, t))).collect();
        group.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.extend(group.into_iter().take(most).map(|(_, t)| t));
    }
    found
}

/// Polygons of the connectors of the route that are red now.
fn red_polygons(scene: &Scene, graph: &RoadGraph<'_>, lanes: &[usize]) -> Vec<Vec<Point>> {
    let now = scene.traffic_lights_2hz.iter().flat_map(|frames| frames.first()).flatten();
    let red = now.filter(|(_, red)| *red).filter_map(|(id, _)| graph.lane_index(id));
    red.filter(|l| lanes.contains(l)).map(|l| graph.lane(l).polygon.clone()).collect()
}

fn light(ring: &[Point]) -> Obstacle {
    Obstacle {
        shape: Shape::new(vec![ring.to_vec()]),
        centroid: centroid(ring).unwrap_or_default(),
        heading: 0.0,
        speed: 0.0,
        is_light: true,
    }
}

/// Whether a quadrilateral lies completely within a polygon; its boundary may touch.
fn quad_within(quad: &[Point; 4], ring: &[Point]) -> bool {
    let edges = |r: &[Point]| r.iter().copied().zip(r.iter().copied().cycle().skip(1)).collect::<Vec<_>>();
    let crosses = |(a, b): (Point, Point), (c, d): (Point, Point)| {
        orient(a, b, c) * orient(a, b, d) < 0.0 && orient(c, d, a) * orient(c, d, b) < 0.0
    };
    let ring_edges = edges(ring);
    quad.iter().all(|&p| locate(ring, p) != Place::Outside)
        && !ring.iter().any(|&p| strictly_inside(quad, p))
        && !edges(quad).iter().any(|&e| ring_edges.iter().any(|&f| crosses(e, f)))
}
