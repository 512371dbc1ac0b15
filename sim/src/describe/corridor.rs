//! The stretch of road that ego uses: its route, moved sideways to the lane that ego is in, and where others are on it.

use crate::batch::Scene;
use crate::path::{NO_LANE, Path};
use crate::road::{OnLane, Road};
use crate::scenario::{LaneKind, Turn};
use std::borrow::Cow;

/// Metres ahead within which anything is described.
pub const REACH: f32 = 80.0;
/// Metres ahead within which a lane that slides sideways is announced.
const SLIDE_AHEAD: f32 = 30.0;

/// Ego's place on its way.
#[derive(Debug, Clone)]
pub struct Corridor<'a> {
    scene: &'a Scene<'a>,
    /// Ego's route.
    pub path: Cow<'a, Path>,
    /// Metres of ego's centre along it.
    pub s: f32,
    /// Metres of ego's centre to its left.
    pub lat: f32,
    /// The lane under ego.
    pub lane: Option<OnLane>,
    /// Metres from the route to the centre of ego's lane, positive to the left.
    pub shift: f32,
    /// Half of the lane's width, metres.
    pub half: f32,
}

/// A road user measured along the corridor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// Bumper to bumper, metres; negative when it overlaps ego along the way or is behind.
    pub gap: f32,
    /// Metres of its centre to the left of the corridor's centre.
    pub lat: f32,
    /// Half of its extent across the corridor.
    pub half_across: f32,
    /// Cosine of its heading against the corridor's.
    pub along: f32,
    /// m/s to the left.
    pub drift: f32,
}

impl<'a> Corridor<'a> {
    /// Of ego now. Without a route the way goes straight ahead.
    pub fn new(scene: &'a Scene<'a>) -> Corridor<'a> {
        let (x, y, cos, sin) = (scene.x[0], scene.y[0], scene.cos[0], scene.sin[0]);
        let path: Cow<'a, Path> = match scene.world.route() {
            Some(route) if route.x.len() > 1 => Cow::Borrowed(route),
            _ => Cow::Owned(Path::through(&[[x, y], [x + 2.0 * REACH * cos, y + 2.0 * REACH * sin]], 0.0)),
        };
        let on_route = scene.world.agents.first().and_then(|a| a.path).is_some_and(|p| p as u32 == scene.path[0]);
        let place = if on_route { path.project(x, y, scene.s[0], 30.0) } else { path.project_anywhere(x, y) };
        let road = &scene.world.road;
        let lane = road.lane_along(x, y, (cos, sin));
        // A lane ahead of which nothing is known, or a crossing connector under ego, says nothing about the way: only a
        // lane that runs along the route does.
        let here = path.at(place.s);
        let lane = lane.filter(|l| l.cos * here.cos + l.sin * here.sin > 0.9);
        let route_lane = path.lane.get(path.index(place.s)).copied().filter(|&l| l != NO_LANE).map(|l| l as usize);
        let width = lane.map(|l| l.lane).or(route_lane).and_then(|l| road.lanes.get(l)).map_or(3.5, |l| l.width);
        let shift = match lane {
            // On the route's own lane its centre is the route.
            Some(l) if Some(l.lane) == route_lane || path.lane.contains(&(l.lane as u32)) => 0.0,
            Some(l) => place.lat - l.lat,
            None => 0.0,
        };
        let half = 0.5 * width;
        Corridor { scene, path, s: place.s, lat: place.lat, lane, shift, half }
    }

    /// Metres to the next junction on the route (0 inside it) and what the route does there.
    pub fn junction(&self) -> Option<(f32, Turn)> {
        let road = &self.scene.world.road;
        let first = self.path.index(self.s);
        let last = self.path.index(self.s + REACH);
        (first..=last).find_map(|i| {
            let info = road.lanes.get(self.path.lane[i] as usize)?;
            (info.turn != Turn::None).then(|| ((i as f32 - self.s).max(0.0), info.turn))
        })
    }

    /// Where the route goes on: +1 in the lane to the left, -1 to the right, 0 in ego's lane.
    pub fn route_side(&self) -> i8 {
        if self.lane.is_some() && self.shift.abs() > self.half {
            // Only a lane that may be changed back from counts; beyond it ego is merely off its route.
            return if self.shift > 0.0 { -1 } else { 1 };
        }
        let from = self.path.index(self.s);
        let to = self.path.index(self.s + SLIDE_AHEAD);
        let mut seen = NO_LANE;
        for &lane in &self.path.lane[from..=to] {
            if lane == seen || lane == NO_LANE {
                continue;
            }
            seen = lane;
            let side = slide(&self.scene.world.road, lane as usize);
            if side != 0 {
                return side;
            }
        }
        0
    }

    /// Motor lanes of ego's direction and ego's place among them, from the left; `None` off the lanes and in junctions.
    pub fn lanes(&self) -> Option<(usize, usize)> {
        let road = &self.scene.world.road;
        let own = self.lane?.lane;
        if road.lanes[own].turn != Turn::None || road.lanes[own].kind != LaneKind::Road {
            return None;
        }
        let count = |side: fn(&crate::road::LaneInfo) -> Option<usize>| {
            let (mut at, mut n) = (own, 0);
            while let Some(next) = side(&road.lanes[at])
                && road.lanes[next].kind == LaneKind::Road
                && n < 8
            {
                (at, n) = (next, n + 1);
            }
            n
        };
        let (left, right) = (count(|l| l.left), count(|l| l.right));
        Some((left + right + 1, left))
    }

    /// Where an agent is; `None` for ego, for those that take no part, and beyond 10 m behind or [`REACH`] ahead.
    pub fn place(&self, agent: usize) -> Option<Placed> {
        let scene = self.scene;
        if agent == 0 || !scene.present(agent) {
            return None;
        }
        let (x, y) = (scene.x[agent], scene.y[agent]);
        let (dx, dy) = (x - scene.x[0], y - scene.y[0]);
        if dx * dx + dy * dy > (REACH + 20.0) * (REACH + 20.0) {
            return None;
        }
        let p = self.path.project(x, y, self.s + 0.5 * (REACH - 10.0), 0.5 * (REACH + 10.0));
        let at = self.path.at(p.s);
        // Nearest to an end of the stretch: beside it only if it is there across, not along.
        let (ox, oy) = (x - at.x, y - at.y);
        if (ox * at.cos + oy * at.sin).abs() > 2.0 {
            return None;
        }
        let along = scene.cos[agent] * at.cos + scene.sin[agent] * at.sin;
        let across = scene.sin[agent] * at.cos - scene.cos[agent] * at.sin;
        let (hl, hw) = (scene.world.half_length[agent], scene.world.half_width[agent]);
        let half_along = along.abs() * hl + across.abs() * hw;
        Some(Placed {
            gap: p.s - self.s - half_along - scene.world.half_length[0],
            lat: p.lat - self.shift,
            half_across: across.abs() * hl + along.abs() * hw,
            along,
            drift: scene.v[agent] * across,
        })
    }

    /// Metres to the left of the corridor's centre and metres ahead of ego's front of a point; `None` beyond the reach.
    pub fn point(&self, x: f32, y: f32) -> Option<(f32, f32)> {
        let p = self.path.project(x, y, self.s + 0.5 * REACH, 0.5 * REACH);
        let at = self.path.at(p.s);
        let along = (x - at.x) * at.cos + (y - at.y) * at.sin;
        (along.abs() < 2.0).then(|| (p.lat - self.shift, p.s - self.s - self.scene.world.half_length[0]))
    }

    /// Metres to the left of the way's present tangent at so many metres ahead, and the heading change until there.
    pub fn bend(&self, metres: f32) -> (f32, f32) {
        let (a, b) = (self.path.at(self.s), self.path.at((self.s + metres).min(self.path.length())));
        let aside = (b.y - a.y) * a.cos - (b.x - a.x) * a.sin;
        let turned = crate::math::atan2(a.cos * b.sin - a.sin * b.cos, a.cos * b.cos + a.sin * b.sin);
        (aside, turned)
    }

    /// Speed limit here, m/s.
    pub fn limit(&self) -> f32 {
        let here = self.lane.and_then(|l| self.scene.world.road.lanes.get(l.lane)).map(|l| l.limit);
        here.or(self.path.limit.get(self.path.index(self.s)).copied()).unwrap_or(0.0)
    }
}

/// +1 or -1 for a lane that slides by about a lane's width to the left or right: a lane change built into a route.
pub fn slide(road: &Road, lane: usize) -> i8 {
    let Some(info) = road.lanes.get(lane).filter(|l| l.turn == Turn::None && l.length < 120.0) else { return 0 };
    let (a, b) = (info.first, info.first + info.count - 1);
    let (dx, dy) = (road.x[b] - road.x[a], road.y[b] - road.y[a]);
    let aside = dy * road.cos[a] - dx * road.sin[a];
    let parallel = road.cos[a] * road.cos[b] + road.sin[a] * road.sin[b] > 0.996;
    match parallel && (0.6..1.6).contains(&(aside.abs() / info.width)) {
        true if aside > 0.0 => 1,
        true => -1,
        false => 0,
    }
}
