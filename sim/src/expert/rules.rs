//! What road and rules ask of ego: speeds along the route, and places where it has to stand.

use super::forecast::{Other, Who};
use super::lateral::Shift;
use super::{Cause, Memory};
use crate::batch::{NO_PATH, Scene};
use crate::driver::Habits;
use crate::path::Path;
use crate::scenario::{Control, Lamp, PropKind, StopRule};

/// Metres ahead that are looked at.
pub const LOOK: usize = 140;
/// Largest lateral acceleration in bends, m/s².
const LATERAL: f32 = 2.4;
/// Metres before a shared place at which ego's front waits.
const BEFORE: f32 = 1.2;

/// Speeds ahead, one for each metre from where ego is.
#[derive(Debug, Clone)]
pub struct Caps {
    /// Metres along the route of the first value.
    pub from: f32,
    /// m/s and why.
    pub speed: Vec<(f32, Cause)>,
    /// Deceleration into slower stretches, m/s².
    slowing: f32,
}

impl Caps {
    /// The speed at `s` metres along the route.
    pub fn at(&self, s: f32) -> (f32, Cause) {
        let i = ((s - self.from).max(0.0) as usize).min(self.speed.len() - 1);
        self.speed[i]
    }

    /// The same for a profile that shifts sideways: sharp shifts are driven slowly.
    pub fn shifting(&self, shifts: &[Shift], from: f32) -> Caps {
        let mut caps = self.clone();
        let mut before = from;
        for shift in shifts {
            let length = (shift.end - shift.start).max(1.0);
            let bend = 6.0 * (shift.to - before).abs() / (length * length);
            caps.lower(shift.start, shift.end, (LATERAL / bend.max(1e-3)).sqrt().max(1.5), Cause::Curve);
            before = shift.to;
        }
        caps.slow_in_time();
        caps
    }

    /// Speeds from which one can slow down to the next.
    fn slow_in_time(&mut self) {
        for i in (0..self.speed.len() - 1).rev() {
            let (next, cause) = self.speed[i + 1];
            let reachable = (next * next + 2.0 * self.slowing).sqrt();
            if reachable < self.speed[i].0 {
                self.speed[i] = (reachable, cause);
            }
        }
    }

    fn lower(&mut self, first: f32, last: f32, speed: f32, cause: Cause) {
        let n = self.speed.len();
        let place = |s: f32| ((s - self.from).max(0.0) as usize).min(n);
        if last < self.from {
            return;
        }
        for cap in &mut self.speed[place(first)..place(last + 1.0)] {
            if speed < cap.0 {
                *cap = (speed, cause);
            }
        }
    }
}

/// A place where ego's front has to stand until some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hold {
    /// Metres along the route.
    pub s: f32,
    /// Seconds from now; infinite when it is not known.
    pub until: f32,
    /// Why.
    pub cause: Cause,
}

/// Speeds that limit, bends, people at the edge and hidden places allow.
pub fn caps(scene: &Scene<'_>, route: &Path, others: &[Other], habits: &Habits) -> Caps {
    let from = scene.s[0];
    let speed = (0..LOOK)
        .map(|d| {
            let i = route.index(from + d as f32);
            let limit = route.limit[i].max(2.0);
            let bend = (LATERAL / route.kappa[i].abs().max(1e-4)).sqrt();
            if bend < limit { (bend, Cause::Curve) } else { (limit, Cause::Limit) }
        })
        .collect();
    let mut caps = Caps { from, speed, slowing: habits.slowing };
    for other in others {
        if let Who::Agent(i) = other.who
            && let Some(s) = may_step_out(scene, route, i, other)
        {
            let half = scene.world.half_length[0];
            caps.lower(s - half - 5.0, s - half + 1.0, habits.walking_edge, Cause::Pedestrian(i));
        } else if other.still && hides(scene, other) {
            let half = scene.world.half_width[0];
            let room = other.lat[0].abs() - other.across[0] - half;
            if (0.0..2.2).contains(&room) {
                let end = other.s[0] + other.along[0];
                caps.lower(end - 7.0, end, 6.5 + 2.5 * room, Cause::Sight(other.who));
            }
        }
    }
    caps.slow_in_time();
    caps
}

/// Where on the route somebody who stands beside it would cross it.
fn may_step_out(scene: &Scene<'_>, route: &Path, i: usize, other: &Other) -> Option<f32> {
    let spec = &scene.world.agents[i];
    if spec.control != Control::Walk || scene.v[i] > 0.3 {
        return None;
    }
    let path = scene.world.paths.get(spec.path?)?;
    let left = path.length() - scene.s[i];
    if left < 1.0 || other.lat[0].abs() > 9.0 {
        return None;
    }
    // The first sample of its line on ego's lane.
    let mut guess = other.s[0];
    (path.index(scene.s[i])..path.x.len()).find_map(|k| {
        let there = route.project(path.x[k], path.y[k], guess, 15.0);
        guess = there.s;
        (there.lat.abs() < scene.world.half_width[0] + 0.8).then_some(there.s)
    })
}

/// Whether a person could stand behind it unseen.
fn hides(scene: &Scene<'_>, other: &Other) -> bool {
    match other.who {
        Who::Agent(i) => scene.world.agents[i].size[2] > 1.2 && other.half[0] > 1.5,
        Who::Prop(i) => scene.world.scenario.map.props.get(i).is_some_and(|prop| {
            matches!(prop.kind, PropKind::Hedge | PropKind::Wall | PropKind::Container | PropKind::Building)
                && prop.size[2] > 1.0
        }),
    }
}

/// Lines that hold ego now.
pub fn holds(scene: &Scene<'_>, route: &Path, memory: &Memory) -> Vec<Hold> {
    let front = scene.s[0] + scene.world.half_length[0];
    let v = scene.v[0];
    let mut holds = Vec::new();
    for stop in &route.stops {
        let gap = stop.s - front;
        if gap < -0.3 || gap > LOOK as f32 {
            continue;
        }
        let needed = v * v / (2.0 * gap.max(0.1));
        let cause = match stop.rule {
            StopRule::Light(light) => match scene.world.lamp(light, scene.time()).0 {
                Lamp::Red => Some(Cause::Light(light)),
                Lamp::Yellow => (needed < 3.5 || memory.held == Some(stop.line)).then_some(Cause::Light(light)),
                Lamp::Green | Lamp::Off => None,
            },
            StopRule::Stop => (memory.stopped_at != Some(stop.line)).then_some(Cause::StopSign),
            StopRule::Yield => None,
        };
        if let Some(cause) = cause {
            holds.push(Hold { s: stop.s, until: f32::INFINITY, cause });
        }
    }
    holds
}

/// Where to wait for an agent that crosses ego's way from `low` metres on: before all of the place that its path and
/// those of others in traffic share with the route, and at the line that rules it if there is one. `s` is the place that
/// its forecast box asks for.
pub fn waiting_place(scene: &Scene<'_>, route: &Path, (agent, low, s): (usize, f32, f32), zones: &[Zoned]) -> f32 {
    let half = scene.world.half_length[0];
    let front = scene.s[0] + half;
    let line = route
        .stops
        .iter()
        .filter(|stop| !matches!(stop.rule, StopRule::Light(_)))
        .map(|stop| stop.s)
        .rfind(|&line| line > front - 0.8 && line < low && low - line < 25.0);
    if let Some(line) = line {
        return line.min(s);
    }
    let own = zones.iter().find(|z| z.path == scene.path[agent] && z.first < low + 4.0 && z.last > low - 4.0);
    let mut best = own.map_or(s, |z| (z.first - BEFORE).min(s));
    for _ in 0..3 {
        // Where ego does not fit between two zones it waits before the first.
        for zone in zones {
            if zone.first - BEFORE < best && zone.last + 2.0 * half + 0.5 > best && zone.first - BEFORE > front - 2.5 {
                best = zone.first - BEFORE;
            }
        }
    }
    // A little over the place already: no further.
    if best < front { s.min(front + 0.3) } else { best }
}

/// A place that ego's route shares with another path that somebody drives on, metres along the route.
#[derive(Debug, Clone, Copy)]
pub struct Zoned {
    path: u32,
    first: f32,
    last: f32,
}

/// The places where paths of traffic cross the route.
pub fn zones(scene: &Scene<'_>) -> Vec<Zoned> {
    let mut paths: Vec<u32> = (1..scene.agents())
        .filter(|&i| scene.present(i) && scene.path[i] != NO_PATH && scene.path[i] != scene.path[0])
        .filter(|&i| scene.world.agents[i].control == Control::Idm)
        .map(|i| scene.path[i])
        .collect();
    paths.sort_unstable();
    paths.dedup();
    let mut found = Vec::new();
    for path in paths {
        for zone in scene.world.conflicts.between(scene.path[0] as usize, path as usize) {
            if !zone.merge {
                found.push(Zoned { path, first: zone.mine.0, last: zone.mine.1 });
            }
        }
    }
    found
}
