//! Where everybody else will be in the next seconds, seen from ego's route.
//!
//! Those on a path go along it, those on foot along their line, others straight on. A driver slows behind the one ahead on
//! the same path (intelligent driver model) and for lines that hold it; nobody reacts to what ego is going to do.

use crate::batch::{NO_PATH, Scene, flag};
use crate::path::Path;
use crate::policy::simple::{free, idm};
use crate::scenario::{AgentKind, Control, Lamp, StopRule};

/// Instants of a forecast, the first is now.
pub const STEPS: usize = 33;
/// Seconds between them.
pub const STEP: f32 = 0.25;
/// Metres behind and ahead of ego within which others matter.
const WINDOW: (f32, f32) = (60.0, 140.0);
/// Metres to the side of the route beyond which nobody matters.
const ASIDE: f32 = 45.0;

/// Who or what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// An agent.
    Agent(usize),
    /// Something that never moves.
    Prop(usize),
}

/// A road user or a solid near ego's route: its box now and later. Values of `STEPS` instants.
#[derive(Debug, Clone)]
pub struct Other {
    /// Who.
    pub who: Who,
    /// What it is; solids are cars that never move.
    pub kind: AgentKind,
    /// It stands and will stand.
    pub still: bool,
    /// Half length and half width of the box, metres.
    pub half: [f32; 2],
    /// Centre in world metres.
    pub x: [f32; STEPS],
    /// Centre in world metres.
    pub y: [f32; STEPS],
    /// Heading.
    pub cos: [f32; STEPS],
    /// Heading.
    pub sin: [f32; STEPS],
    /// Centre along ego's route, metres.
    pub s: [f32; STEPS],
    /// Centre to the left of ego's route, metres.
    pub lat: [f32; STEPS],
    /// Half extent along the route.
    pub along: [f32; STEPS],
    /// Half extent across the route.
    pub across: [f32; STEPS],
    /// Speed along the route, m/s.
    pub speed: [f32; STEPS],
}

/// Motion of an agent along its own path: metres and speeds.
struct Rail {
    s: [f32; STEPS],
    v: [f32; STEPS],
}

/// Everyone else, and the solids, that can matter to ego on `route`.
pub fn forecast(scene: &Scene<'_>, route: &Path) -> Vec<Other> {
    let here = scene.s[0];
    let mut others = Vec::new();
    let rails = rails(scene);
    for (i, rail) in rails.iter().enumerate().skip(1) {
        if !scene.present(i) {
            continue;
        }
        let spec = &scene.world.agents[i];
        let half = [scene.world.half_length[i], scene.world.half_width[i]];
        let still = spec.control == Control::Static;
        let mut other = Other::at(Who::Agent(i), spec.kind, still, half);
        for k in 0..STEPS {
            let (x, y, cos, sin, v) = later(scene, i, rail.as_ref(), k);
            (other.x[k], other.y[k], other.cos[k], other.sin[k], other.speed[k]) = (x, y, cos, sin, v);
        }
        if other.look_from(route, here) {
            others.push(other);
        }
    }
    for (i, prop) in scene.world.scenario.map.props.iter().enumerate() {
        let half = [0.5 * prop.size[0], 0.5 * prop.size[1]];
        let mut other = Other::at(Who::Prop(i), AgentKind::Car, true, half);
        let (sin, cos) = crate::math::sin_cos(prop.heading);
        (other.x, other.y) = ([prop.at[0]; STEPS], [prop.at[1]; STEPS]);
        (other.cos, other.sin) = ([cos; STEPS], [sin; STEPS]);
        if other.look_from(route, here) && other.lat[0].abs() - other.across[0] < 8.0 {
            others.push(other);
        }
    }
    others
}

impl Other {
    fn at(who: Who, kind: AgentKind, still: bool, half: [f32; 2]) -> Other {
        let zero = [0.0; STEPS];
        Other {
            who,
            kind,
            still,
            half,
            x: zero,
            y: zero,
            cos: zero,
            sin: zero,
            s: zero,
            lat: zero,
            along: zero,
            across: zero,
            speed: zero,
        }
    }

    /// Fills in the values along the route; whether it ever comes near.
    fn look_from(&mut self, route: &Path, here: f32) -> bool {
        let middle = here + 0.5 * (WINDOW.1 - WINDOW.0);
        let reach = 0.5 * (WINDOW.0 + WINDOW.1);
        let (p, q) = (route.at(here), route.at(middle));
        let near = |c: crate::path::Place, r: f32| (self.x[0] - c.x).abs() < r && (self.y[0] - c.y).abs() < r;
        if !near(p, reach + ASIDE) && !near(q, reach + ASIDE) {
            return false;
        }
        let mut guess = route.project(self.x[0], self.y[0], middle, reach);
        let mut matters = false;
        for k in 0..STEPS {
            if k > 0 && !self.still {
                guess = if guess.lat.abs() < 12.0 {
                    route.project(self.x[k], self.y[k], guess.s, 12.0)
                } else {
                    route.project(self.x[k], self.y[k], middle, reach)
                };
            }
            let place = route.at(guess.s);
            let (c, s) =
                (self.cos[k] * place.cos + self.sin[k] * place.sin, self.sin[k] * place.cos - self.cos[k] * place.sin);
            self.s[k] = guess.s;
            self.lat[k] = guess.lat;
            self.along[k] = c.abs() * self.half[0] + s.abs() * self.half[1];
            self.across[k] = s.abs() * self.half[0] + c.abs() * self.half[1];
            self.speed[k] *= c;
            matters |= guess.lat.abs() - self.across[k] < 12.0;
        }
        matters
    }
}

/// Pose and speed of an agent at an instant.
fn later(scene: &Scene<'_>, i: usize, rail: Option<&Rail>, k: usize) -> (f32, f32, f32, f32, f32) {
    let t = k as f32 * STEP;
    let spec = &scene.world.agents[i];
    if spec.control == Control::Replay
        || spec.control == Control::ReactiveReplay && scene.flags[i] & flag::HANDED_OVER == 0
    {
        return replayed(&spec.track, scene.time() + t);
    }
    if let (Some(rail), Some(path)) = (rail, scene.world.paths.get(scene.path[i] as usize)) {
        let p = path.at(rail.s[k]);
        let drift = scene.lat_goal[i] - scene.lat[i];
        let lat = scene.lat[i] + drift.signum() * drift.abs().min(scene.lat_rate[i].abs() * t);
        return (p.x - lat * p.sin, p.y + lat * p.cos, p.cos, p.sin, rail.v[k]);
    }
    let (v, turn) = (scene.v[i], scene.yaw_rate[i] * t.min(1.0));
    let (sin, cos) = crate::math::sin_cos(scene.heading[i] + turn);
    (scene.x[i] + v * t * cos, scene.y[i] + v * t * sin, cos, sin, v)
}

fn replayed(track: &[[f32; 5]], time: f32) -> (f32, f32, f32, f32, f32) {
    let after = track.partition_point(|p| p[0] <= time);
    let (Some(b), Some(a)) = (track.get(after).or(track.last()), track.get(after.saturating_sub(1))) else {
        return (1e6, 1e6, 1.0, 0.0, 0.0);
    };
    let share = if b[0] > a[0] { ((time - a[0]) / (b[0] - a[0])).clamp(0.0, 1.0) } else { 0.0 };
    let mix = |k: usize| a[k] + share * (b[k] - a[k]);
    let (sin, cos) = crate::math::sin_cos(a[3] + share * crate::math::wrap(b[3] - a[3]));
    (mix(1), mix(2), cos, sin, mix(4))
}

/// The motion of all that follow a path, front runners first so that those behind can follow them.
fn rails(scene: &Scene<'_>) -> Vec<Option<Rail>> {
    let n = scene.agents();
    let mut rails: Vec<Option<Rail>> = (0..n).map(|_| None).collect();
    let mut order: Vec<usize> = (1..n).filter(|&i| scene.present(i) && on_rails(scene, i)).collect();
    order.sort_by(|&a, &b| scene.s[b].total_cmp(&scene.s[a]));
    for &i in &order {
        let leader = order
            .iter()
            .copied()
            .filter(|&j| j != i && scene.path[j] == scene.path[i] && scene.s[j] > scene.s[i])
            .filter(|&j| (scene.lat[j] - scene.lat[i]).abs() < 1.5)
            .min_by(|&a, &b| scene.s[a].total_cmp(&scene.s[b]));
        let ahead = leader.and_then(|j| rails[j].as_ref().map(|r| (j, r)));
        rails[i] = Some(run(scene, i, ahead));
    }
    rails
}

fn on_rails(scene: &Scene<'_>, i: usize) -> bool {
    let moves = matches!(scene.world.agents[i].control, Control::Idm | Control::Walk | Control::Policy)
        || scene.flags[i] & flag::HANDED_OVER != 0;
    moves && scene.path[i] != NO_PATH
}

fn run(scene: &Scene<'_>, i: usize, ahead: Option<(usize, &Rail)>) -> Rail {
    let spec = &scene.world.agents[i];
    let path = &scene.world.paths[scene.path[i] as usize];
    let (mut s, mut v) = (scene.s[i], scene.v[i]);
    let mut rail = Rail { s: [s; STEPS], v: [v; STEPS] };
    let walks = spec.control == Control::Walk;
    // Who stands and does not start to move stands on.
    if v < 0.3 && (walks || scene.a[i] < 0.2) {
        return Rail { s: [s; STEPS], v: [0.0; STEPS] };
    }
    let hold = if walks { f32::MAX } else { held_at(scene, i, path) };
    let braking = scene.brake[i] > 0.0;
    for k in 1..STEPS {
        let accel = if walks {
            0.0
        } else if braking {
            if v > scene.desired[i] { -scene.brake[i] } else { 0.0 }
        } else {
            let limit = path.limit.get(path.index(s)).copied().unwrap_or(v);
            let wanted = if scene.desired[i] > 0.0 { scene.desired[i] } else { limit.max(1.0) };
            let mut a = free(v, wanted.min(curve_speed(path, s)), 1.2);
            if let Some((j, lead)) = ahead {
                let gap = lead.s[k - 1] - s - scene.world.half_length[i] - scene.world.half_length[j];
                a = a.min(idm(v, wanted, gap, lead.v[k - 1], [1.5, 2.5, 2.0, 1.2]));
            }
            let gap = hold - s - scene.world.half_length[i];
            if gap < 120.0 && v * v > 2.0 * 1.5 * gap.max(0.0) {
                a = a.min(-v * v / (2.0 * gap.max(0.3)));
            }
            a.max(-7.0)
        };
        let next = (v + accel * STEP).max(if braking { scene.desired[i].min(v) } else { 0.0 });
        s += 0.5 * (v + next) * STEP;
        v = next;
        (rail.s[k], rail.v[k]) = (s, v);
        if walks && s >= path.length() {
            (rail.s[k], rail.v[k]) = (path.length(), 0.0);
        }
    }
    rail
}

/// Speed for a lateral acceleration of 3 m/s² in the bends of the next metres.
fn curve_speed(path: &Path, s: f32) -> f32 {
    let sharpest = (0..8).map(|d| path.kappa[path.index(s + d as f32)].abs()).fold(1e-4, f32::max);
    (3.0 / sharpest).sqrt()
}

/// Metres along its path at which a line holds a driver that obeys and still can; infinitely far when none does.
fn held_at(scene: &Scene<'_>, i: usize, path: &Path) -> f32 {
    if scene.flags[i] & flag::IGNORES_RULES != 0 {
        return f32::MAX;
    }
    let (front, v) = (scene.s[i] + scene.world.half_length[i], scene.v[i]);
    let can_stop = |gap: f32| gap > 0.0 && v * v / (2.0 * gap) < 4.5;
    path.stops
        .iter()
        .filter(|stop| stop.s > front && can_stop(stop.s - front))
        .find(|stop| match stop.rule {
            StopRule::Light(light) => {
                scene.world.lamp(light, scene.time()).0 != Lamp::Green
                    && scene.world.lamp(light, scene.time()).0 != Lamp::Off
            }
            StopRule::Stop | StopRule::Yield => true,
        })
        .map_or(f32::MAX, |stop| stop.s)
}
