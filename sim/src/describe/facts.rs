//! What matters at a moment and can be seen in its frame: the state of a scene, filtered by what the picture shows.
//! Distances are metres from ego's front bumper along its way.

use super::command::{self, Command};
use super::corridor::{Corridor, Placed, REACH};
use super::sight::Sight;
use crate::batch::{Scene, flag};
use crate::render::Class;
use crate::scenario::{AgentKind, Control, Lamp, PropKind, SignKind, StopRule, Turn};

/// A side of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// To the left.
    Left,
    /// To the right.
    Right,
}

impl Side {
    /// The side of a left-positive number.
    pub fn of(lat: f32) -> Side {
        if lat > 0.0 { Side::Left } else { Side::Right }
    }

    /// `left` or `right`.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Left => "left",
            Side::Right => "right",
        }
    }
}

/// A road user that matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Other {
    /// Which agent.
    pub agent: usize,
    /// What it is.
    pub kind: AgentKind,
    /// Bumper to bumper, metres.
    pub gap: f32,
    /// m/s.
    pub speed: f32,
    /// m/s, positive when it draws away.
    pub opening: f32,
    /// Whether its brake lights are lit.
    pub braking: bool,
    /// Whether it stands for good.
    pub parked: bool,
    /// Its side of the corridor's centre.
    pub side: Side,
}

/// Someone on foot or on a bicycle near the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Person {
    /// Which agent.
    pub agent: usize,
    /// Pedestrian or cyclist.
    pub kind: AgentKind,
    /// Metres.
    pub gap: f32,
    /// Where.
    pub side: Side,
    /// In ego's lane or less than a metre beside it.
    pub in_way: bool,
    /// Moves toward the middle of ego's lane.
    pub toward: bool,
    /// Moves away from it.
    pub away: bool,
}

/// What blocks the lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Obstacle {
    /// The parked vehicle; `None` for cones and barriers.
    pub vehicle: Option<(usize, AgentKind)>,
    /// Metres.
    pub gap: f32,
    /// The side on which it stands.
    pub side: Side,
}

/// The road ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// Motor lanes of ego's direction and ego's place among them from the left; `None` in junctions and off the lanes.
    pub lanes: Option<(usize, usize)>,
    /// Metres to the left that the way lies at 20 m.
    pub aside: f32,
    /// Radians by which it turns within 3 s of travel, 20 m at least.
    pub turned: f32,
    /// Metres to the next junction, 0 inside, and what the route does there.
    pub junction: Option<(f32, Turn)>,
    /// m/s.
    pub limit: f32,
    /// m/s: the least limit within 3 s of travel.
    pub limit_ahead: f32,
}

/// What matters and is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Ego, m/s.
    pub speed: f32,
    /// Metres of ego to the left of the lane's centre.
    pub off: f32,
    /// What navigation asks for.
    pub command: Command,
    /// The road.
    pub road: Ahead,
    /// The light for ego's lane and the metres to its stop line (or to the light's pole).
    pub light: Option<(Lamp, f32)>,
    /// A stop or yield sign for ego's lane, and metres to its line.
    pub sign: Option<(SignKind, f32)>,
    /// Metres to the stop line ahead, where its paint is seen.
    pub stop_line: Option<f32>,
    /// The next speed-limit sign: km/h and metres.
    pub limit_sign: Option<(u8, f32)>,
    /// The vehicle ahead in ego's lane.
    pub lead: Option<Other>,
    /// Who matters most among those on foot or on a bicycle.
    pub person: Option<Person>,
    /// Vehicles of ego's direction in the lanes beside, left and right, from alongside to 15 m ahead.
    pub beside: [Option<Other>; 2],
    /// What blocks ego's lane.
    pub obstacle: Option<Obstacle>,
    /// A vehicle that comes toward ego in ego's lane or where ego is.
    pub oncoming: Option<Other>,
    /// The next vehicle in the opposite lanes within 50 m.
    pub opposite: Option<Other>,
    /// A moving vehicle that crosses the way.
    pub crossing: Option<Other>,
    /// A vehicle beside that moves into ego's lane.
    pub cut_in: Option<Other>,
    /// Everyone who is seen within reach, people too, nearest first.
    pub seen: Vec<Other>,
    /// A vehicle with blue lights.
    pub emergency: Option<Other>,
    /// A parked vehicle beside the lane that hides what is behind it.
    pub occluder: Option<Other>,
}

/// What matters in a scene now and is seen in its frame.
pub fn facts(scene: &Scene, sight: &Sight) -> Facts {
    let way = Corridor::new(scene);
    let seen: Vec<(usize, Placed)> =
        (1..scene.agents()).filter(|&a| sight.sees(a)).filter_map(|a| Some((a, way.place(a)?))).collect();
    let looker = Looker { scene, way: &way, seen: &seen };
    let speed = scene.v[0].max(0.0);
    let mut everyone: Vec<Other> = seen.iter().map(|(a, p)| looker.other(*a, p)).collect();
    everyone.sort_by(|a, b| a.gap.total_cmp(&b.gap).then(a.agent.cmp(&b.agent)));
    let look = (3.0 * speed).max(20.0);
    let ahead = (0..=look as usize).map(|d| way.path.limit[way.path.index(way.s + d as f32)]);
    let road = Ahead {
        lanes: way.lanes(),
        aside: way.bend(20.0).0,
        turned: way.bend(look).1,
        junction: way.junction().filter(|j| j.0 < 60.0),
        limit: way.limit(),
        limit_ahead: ahead.fold(f32::MAX, f32::min),
    };
    Facts {
        speed,
        off: way.lat - way.shift,
        command: command::of(&way),
        road,
        light: light(scene, &way, sight),
        sign: sign(scene, &way, sight),
        stop_line: stop_line(scene, &way, sight),
        limit_sign: limit_sign(scene, &way, sight),
        lead: looker.lead(),
        person: looker.person(),
        beside: [looker.beside(Side::Left), looker.beside(Side::Right)],
        obstacle: looker.obstacle(sight),
        oncoming: looker.oncoming(),
        opposite: looker.nearest(|_, p| p.along < -0.7 && p.lat > way.half && p.lat < 12.0 && p.gap < 50.0),
        crossing: looker.crossing(),
        cut_in: looker.cut_in(),
        seen: everyone,
        emergency: looker.nearest(|a, _| scene.world.agents[a].kind == AgentKind::Emergency),
        occluder: looker.occluder(),
    }
}

/// Whether it is a bicycle or a person.
fn soft(kind: AgentKind) -> bool {
    matches!(kind, AgentKind::Pedestrian | AgentKind::Cyclist)
}

struct Looker<'a> {
    scene: &'a Scene<'a>,
    way: &'a Corridor<'a>,
    seen: &'a [(usize, Placed)],
}

impl Looker<'_> {
    fn kind(&self, agent: usize) -> AgentKind {
        self.scene.world.agents[agent].kind
    }

    fn parked(&self, agent: usize) -> bool {
        self.scene.world.agents[agent].control == Control::Static
    }

    fn other(&self, agent: usize, p: &Placed) -> Other {
        let speed = self.scene.v[agent];
        Other {
            agent,
            kind: self.kind(agent),
            gap: p.gap.max(0.0),
            speed,
            opening: speed * p.along - self.scene.v[0],
            braking: self.scene.flags[agent] & flag::BRAKING != 0,
            parked: self.parked(agent),
            side: self.side(agent, p),
        }
    }

    /// The side as seen from ego for whoever does not drive along, and where the way turns; else its side of the lane.
    fn side(&self, agent: usize, p: &Placed) -> Side {
        let scene = self.scene;
        let at = self.way.path.at(self.way.s + p.gap.max(0.0));
        let turned = at.cos * scene.cos[0] + at.sin * scene.sin[0] < 0.87;
        if turned || p.along.abs() < 0.7 {
            let (dx, dy) = (scene.x[agent] - scene.x[0], scene.y[agent] - scene.y[0]);
            return Side::of(dy * scene.cos[0] - dx * scene.sin[0]);
        }
        Side::of(p.lat)
    }

    fn nearest(&self, test: impl Fn(usize, &Placed) -> bool) -> Option<Other> {
        let fit = self.seen.iter().filter(|(a, p)| p.gap > -2.0 && !soft(self.kind(*a)) && test(*a, p));
        fit.min_by(|a, b| a.1.gap.total_cmp(&b.1.gap)).map(|(a, p)| self.other(*a, p))
    }

    /// Metres by which an agent reaches into the corridor; negative when it is beside.
    fn inside(&self, p: &Placed) -> f32 {
        self.way.half + p.half_across - p.lat.abs()
    }

    /// Nearest vehicle or bicycle of ego's direction whose centre is in ego's lane.
    fn lead(&self) -> Option<Other> {
        let off = self.way.lat - self.way.shift;
        let fit = self.seen.iter().filter(|(a, p)| {
            // What ego is passing is close, but no longer ahead.
            let ahead = p.gap > 3.0 || p.gap > -2.0 && (p.lat - off).abs() < p.half_across + 0.8;
            let along = self.kind(*a) != AgentKind::Pedestrian && p.along > 0.5;
            along && ahead && p.gap < 70.0 && p.lat.abs() < 0.8 * self.way.half
        });
        let (a, p) = fit.min_by(|a, b| a.1.gap.total_cmp(&b.1.gap))?;
        Some(self.other(*a, p))
    }

    fn person(&self) -> Option<Person> {
        let half = self.way.half;
        let people = self.seen.iter().filter(|(a, p)| {
            let kind = self.kind(*a);
            // A bicycle that rides along in the lane is a lead.
            let rides_along = kind == AgentKind::Cyclist && p.along > 0.5 && p.lat.abs() < 0.8 * half;
            soft(kind) && !rides_along && p.gap > -1.0 && p.gap < 45.0 && p.lat.abs() < half + 6.0
        });
        let of = |(a, p): &(usize, Placed)| {
            let toward = p.drift * p.lat.signum() < -0.3 && p.lat.abs() < half + 5.0;
            let away = p.drift * p.lat.signum() > 0.3;
            let in_way = p.lat.abs() < half + 0.8;
            let (agent, kind, gap) = (*a, self.kind(*a), p.gap.max(0.0));
            Person { agent, kind, gap, side: self.side(*a, p), in_way, toward, away }
        };
        // Who is in the way comes first, then who moves there, then the nearest.
        people.map(of).min_by(|a, b| {
            let rank = |p: &Person| (!p.in_way, !p.toward);
            rank(a).cmp(&rank(b)).then(a.gap.total_cmp(&b.gap))
        })
    }

    fn beside(&self, side: Side) -> Option<Other> {
        let half = self.way.half;
        self.nearest(|a, p| {
            let across = half..3.0 * half;
            Side::of(p.lat) == side && across.contains(&p.lat.abs()) && p.along > 0.7 && p.gap < 15.0 && !self.parked(a)
        })
    }

    fn obstacle(&self, sight: &Sight) -> Option<Obstacle> {
        let parked = self.seen.iter().filter(|(a, p)| {
            self.parked(*a)
                && self.kind(*a) != AgentKind::Pedestrian
                && p.gap > -1.0
                && p.gap < 60.0
                && self.inside(p) > 0.4
        });
        let parked = parked.map(|(a, p)| Obstacle {
            vehicle: Some((*a, self.kind(*a))),
            gap: p.gap.max(0.0),
            side: Side::of(p.lat),
        });
        let works = self.scene.world.scenario.map.props.iter().filter(|p| {
            matches!(p.kind, PropKind::Cone | PropKind::Barrier)
                && sight.shows([p.at[0], p.at[1], 0.5 * p.size[2]], p.size[1].max(0.3), 2.0, Class::Barrier)
        });
        let works = works.filter_map(|p| {
            let (lat, gap) = self.way.point(p.at[0], p.at[1])?;
            let blocks = lat.abs() < self.way.half && gap > -1.0 && gap < 50.0;
            blocks.then_some(Obstacle { vehicle: None, gap: gap.max(0.0), side: Side::of(lat) })
        });
        parked.chain(works).min_by(|a, b| a.gap.total_cmp(&b.gap))
    }

    fn oncoming(&self) -> Option<Other> {
        let own = self.way.lat - self.way.shift;
        self.nearest(|a, p| {
            let near = p.lat.abs() < 0.8 * self.way.half || (p.lat - own).abs() < 1.8;
            p.along < -0.7 && near && p.gap < 60.0 && !self.parked(a) && self.scene.v[a] > 0.5
        })
    }

    fn crossing(&self) -> Option<Other> {
        self.nearest(|a, p| {
            let v = self.scene.v[a];
            // On the way or to be on it within 4 s.
            let toward = p.drift * p.lat.signum() < -1.0 && p.lat.abs() < self.way.half + 4.0 * p.drift.abs();
            p.along.abs() < 0.7 && v > 1.0 && p.gap < 40.0 && (toward || self.inside(p) > 0.0)
        })
    }

    fn cut_in(&self) -> Option<Other> {
        self.nearest(|a, p| {
            let toward = p.drift * p.lat.signum() < -0.25;
            let (half, beside) = (self.way.half, self.inside(p) < 2.0 * p.half_across);
            p.along > 0.7
                && toward
                && beside
                && p.lat.abs() < 2.6 * half
                && p.lat.abs() > 0.3 * half
                && p.gap < 35.0
                && !self.parked(a)
        })
    }

    fn occluder(&self) -> Option<Other> {
        self.nearest(|a, p| {
            let beside = -self.inside(p);
            self.parked(a) && p.gap < 30.0 && beside > -0.4 && beside < 3.0 && self.scene.world.agents[a].size[2] > 1.4
        })
    }
}

/// The light of the next stop line on the way.
fn light(scene: &Scene, way: &Corridor, sight: &Sight) -> Option<(Lamp, f32)> {
    let front = way.s + scene.world.half_length[0];
    let stop = way.path.stops.iter().find_map(|stop| match stop.rule {
        StopRule::Light(l) if stop.s > front - 1.0 && stop.s < front + REACH => Some((stop.s - front, l)),
        _ => None,
    })?;
    let light = scene.world.scenario.map.lights.get(stop.1)?;
    let faces = crate::math::cos(light.heading) * scene.cos[0] + crate::math::sin(light.heading) * scene.sin[0] < -0.2;
    let lamp = scene.world.lamp(stop.1, scene.time()).0;
    // The renderer lets the head grow with distance; it stands on a pole of 2.5 m, red on top.
    let head = 1.05 * sight.lens.focal / sight.depth(light.at[0], light.at[1]).max(1.0);
    let grow = (9.0 / head).clamp(1.0, 2.6);
    let below =
        0.19 + 0.335 * [Lamp::Red, Lamp::Yellow, Lamp::Green].iter().position(|l| *l == lamp).unwrap_or(0) as f32;
    let at = [light.at[0], light.at[1], 2.5 + (1.05 - below) * grow];
    let seen = faces && lamp != Lamp::Off && sight.shows(at, 1.05 * grow, 6.0, Class::Light);
    seen.then_some((lamp, stop.0.max(0.0)))
}

/// The stop or yield sign of the next such line on the way.
fn sign(scene: &Scene, way: &Corridor, sight: &Sight) -> Option<(SignKind, f32)> {
    let front = way.s + scene.world.half_length[0];
    let stop = way.path.stops.iter().find(|stop| {
        matches!(stop.rule, StopRule::Stop | StopRule::Yield) && stop.s > front - 1.0 && stop.s < front + 45.0
    })?;
    let kind = if stop.rule == StopRule::Stop { SignKind::Stop } else { SignKind::Yield };
    let map = &scene.world.scenario.map;
    let ends = map.stop_lines.get(stop.line)?.points;
    let near = |p: [f32; 2]| ends.iter().any(|e| crate::road::distance(*e, p) < 12.0);
    let seen = map.signs.iter().any(|s| s.kind == kind && near(s.at) && sees_sign(scene, sight, s));
    seen.then_some((kind, (stop.s - front).max(0.0)))
}

/// The paint of the next stop line on the way.
fn stop_line(scene: &Scene, way: &Corridor, sight: &Sight) -> Option<f32> {
    let front = way.s + scene.world.half_length[0];
    let stop = way.path.stops.iter().find(|stop| stop.s > front && stop.s < front + 30.0)?;
    let at = way.path.at(stop.s);
    sight.shows([at.x, at.y, 0.0], 2.5, 8.0, Class::Paint).then_some(stop.s - front)
}

fn limit_sign(scene: &Scene, way: &Corridor, sight: &Sight) -> Option<(u8, f32)> {
    let signs = scene.world.scenario.map.signs.iter().filter_map(|s| match s.kind {
        SignKind::Limit(kmh) if sees_sign(scene, sight, s) => {
            let (lat, gap) = way.point(s.at[0], s.at[1])?;
            (gap > -2.0 && gap < 40.0 && lat.abs() < 15.0).then_some((kmh, gap.max(0.0)))
        }
        _ => None,
    });
    signs.min_by(|a, b| a.1.total_cmp(&b.1))
}

fn sees_sign(scene: &Scene, sight: &Sight, sign: &crate::scenario::Sign) -> bool {
    let faces = crate::math::cos(sign.heading) * scene.cos[0] + crate::math::sin(sign.heading) * scene.sin[0] < -0.3;
    faces && sight.shows([sign.at[0], sign.at[1], 2.55], 0.9, 4.0, Class::Sign)
}
