//! One proposal driven out: along its lateral profile, as fast as speeds, leaders and holds allow.

use super::Cause;
use super::forecast::{Other, STEP, STEPS, Who};
use super::lateral::Lateral;
use super::rules::{Caps, Hold};
use crate::driver::Habits;
use crate::policy::simple::{free, idm};

/// Ego as a proposal starts.
#[derive(Debug, Clone, Copy)]
pub struct Ego {
    /// Metres along the route.
    pub s: f32,
    /// m/s.
    pub v: f32,
    /// m/s².
    pub a: f32,
    /// Half length, half width, metres.
    pub half: [f32; 2],
}

/// Another one as a proposal meets it.
#[derive(Debug, Clone, Copy)]
pub struct Meeting<'a> {
    /// Who.
    pub other: &'a Other,
    /// Instants in which it is on ego's way, one bit each.
    pub within: u64,
    /// It joins ego's way and goes along it: first instant and speed along.
    pub joins: Option<(usize, f32)>,
}

/// A proposal driven out.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Metres along the route at each instant.
    pub s: [f32; STEPS],
    /// m/s.
    pub v: [f32; STEPS],
    /// m/s² from each instant to the next.
    pub a: [f32; STEPS],
    /// What held the speed at each instant.
    pub cause: [Cause; STEPS],
}

/// Who is on the way that a profile takes.
pub fn meetings<'a>(others: &'a [Other], lateral: &Lateral, ego: Ego, habits: &Habits) -> Vec<Meeting<'a>> {
    let mut found = Vec::new();
    for other in others {
        let margin = habits.distance * if other.kind.is_pedestrian() { 0.55 } else { 0.3 };
        let inside = |k: usize| {
            let d = lateral.offset(other.s[k]);
            other.s[k] + other.along[k] > ego.s && (other.lat[k] - d).abs() < other.across[k] + ego.half[1] + margin
        };
        let within = if other.still {
            if inside(0) { u64::MAX } else { 0 }
        } else {
            (0..STEPS).fold(0, |bits, k| bits | u64::from(inside(k)) << k)
        };
        if within == 0 {
            continue;
        }
        let first = within.trailing_zeros() as usize;
        let forward = other.speed[first] > 1.0;
        let stays = (within >> first).trailing_ones() as usize >= 6.min(STEPS - first);
        let aligned = other.across[first] < other.half[1] + 0.35 * other.half[0];
        let joins = (first > 0 && forward && stays && aligned).then_some((first, other.speed[first]));
        found.push(Meeting { other, within, joins });
    }
    found
}

/// Places to wait at for those who cross: each counts until they have gone, unless ego is through before they come.
/// `place(agent, low, s)` improves the place `s` at which ego would wait for an agent that crosses from `low` on.
pub fn crossings(
    meetings: &[Meeting<'_>],
    ego: Ego,
    caps: &Caps,
    habits: &Habits,
    place: impl Fn(usize, f32, f32) -> f32,
) -> Vec<Hold> {
    let front = ego.s + ego.half[0];
    let mut holds = Vec::new();
    for meeting in meetings {
        let Meeting { other, within, joins } = *meeting;
        let Who::Agent(agent) = other.who else { continue };
        let first = within.trailing_zeros() as usize;
        if other.still || joins.is_some() || within & 1 == 1 && other.speed[0].abs() > 3.0 {
            continue;
        }
        let walks = other.kind.is_pedestrian();
        let last = first + (within >> first).trailing_ones() as usize;
        let (mut low, mut high) = (f32::MAX, f32::MIN);
        for k in first..last.min(STEPS) {
            low = low.min(other.s[k] - other.along[k]);
            high = high.max(other.s[k] + other.along[k]);
        }
        let stand_off = habits.distance * if walks { 2.2 } else { 1.5 };
        if front > low - 0.3 && !walks || ego.s > low {
            continue;
        }
        let slowed = caps.at(low).0;
        let clear = time_over(high + ego.half[0] + 0.5 - ego.s, ego.v, slowed.max(ego.v.min(caps.at(ego.s).0)));
        let comes = first as f32 * STEP;
        if within & 1 == 0 && clear < comes - habits.margin {
            continue;
        }
        let until = if last >= STEPS { f32::INFINITY } else { last as f32 * STEP + if walks { 0.6 } else { 0.3 } };
        // Who comes to the place only after they have gone need not wait.
        let reach = time_over(low - stand_off - front, ego.v, caps.at(ego.s).0.max(ego.v));
        if reach > until + 0.3 {
            continue;
        }
        let s = if walks { low - stand_off } else { place(agent, low, low - stand_off) };
        let cause = if walks { Cause::Pedestrian(agent) } else { Cause::Crossing(agent) };
        holds.push(Hold { s, until, cause });
    }
    holds
}

/// Seconds for so many metres when one accelerates at 1.6 m/s² up to `top`.
fn time_over(metres: f32, v: f32, top: f32) -> f32 {
    const A: f32 = 1.6;
    if metres <= 0.0 {
        return 0.0;
    }
    let top = top.max(v).max(1.0);
    let until_top = (top * top - v * v) / (2.0 * A);
    if metres <= until_top {
        ((v * v + 2.0 * A * metres).sqrt() - v) / A
    } else {
        (top - v) / A + (metres - until_top) / top
    }
}

/// Drives a proposal out at a share of the allowed speed.
pub fn roll(
    (ego, habits): (Ego, &Habits),
    caps: &Caps,
    share: f32,
    meetings: &[Meeting<'_>],
    holds: &[Hold],
) -> Rollout {
    let mut out = Rollout { s: [ego.s; STEPS], v: [ego.v; STEPS], a: [0.0; STEPS], cause: [Cause::Free; STEPS] };
    let (mut s, mut v, mut a) = (ego.s, ego.v, ego.a);
    for k in 0..STEPS {
        let (wanted, cause) = wish((ego, habits), (s, v, k), caps, share, meetings, holds);
        // Gentle changes are smooth; braking that is needed comes at once.
        let (down, up) = if wanted < -3.2 { (40.0, 10.0) } else { (2.8, 2.6) };
        a = wanted.clamp(a - down * STEP, (a.max(-1.0) + up * STEP).max(a)).clamp(-8.0, 2.3);
        (out.s[k], out.v[k], out.a[k], out.cause[k]) = (s, v, a, cause);
        let next = (v + a * STEP).max(0.0);
        s += 0.5 * (v + next) * STEP;
        if next == 0.0 {
            a = a.min(0.0);
        }
        v = next;
    }
    out
}

fn wish(
    (ego, habits): (Ego, &Habits),
    (s, v, k): (f32, f32, usize),
    caps: &Caps,
    share: f32,
    meetings: &[Meeting<'_>],
    holds: &[Hold],
) -> (f32, Cause) {
    let time = k as f32 * STEP;
    let front = s + ego.half[0];
    let (cap, why) = caps.at(s + 0.4 * v * STEP);
    let cap = (cap * share).max(0.5);
    let mut best = (free(v, cap, 2.0), if v > 0.85 * cap { why } else { Cause::Free });
    if v > cap + 0.3 {
        let hardest = if share < 0.2 { -7.5 } else { -habits.hardest };
        best.0 = best.0.min((-(v - cap) / 0.7).max(hardest));
    }
    let mut offer = |accel: f32, cause: Cause| {
        if accel < best.0 {
            best = (accel, cause);
        }
    };
    for hold in holds {
        let gap = hold.s - front;
        if time >= hold.until || gap < -1.0 {
            continue;
        }
        let needed = v * v / (2.0 * (gap - 0.4).max(0.15));
        if needed > habits.brake || gap < 1.0 {
            // The last half metre softly.
            let soft = if v < 0.8 && gap > 0.3 { needed.min(0.7) } else { needed };
            offer(if gap < 0.5 && v < 0.5 { -1.2 } else { -soft }, hold.cause);
        } else if gap < habits.creep.0 {
            offer(free(v, (habits.creep.1 * gap).sqrt().max(0.6), 1.5), hold.cause);
        }
    }
    for meeting in meetings {
        let other = meeting.other;
        // For who joins later, room is made gently.
        let (at, lead, least) = match meeting.joins {
            _ if meeting.within >> k & 1 == 1 => (other.s[k], other.speed[k], f32::MIN),
            Some((first, speed)) if k < first && first - k <= 16 => {
                (other.s[first] - speed * (first - k) as f32 * STEP, speed, -2.0)
            }
            _ => continue,
        };
        if at <= s {
            continue;
        }
        let gap = at - other.along[k] - front;
        let (parameters, cause) = match other.who {
            Who::Prop(_) => ([12.0, 0.2], Cause::Obstacle(other.who)),
            Who::Agent(_) if other.still => ([12.0, 0.2], Cause::Obstacle(other.who)),
            Who::Agent(i) if other.kind.is_pedestrian() => ([2.5, habits.headway.min(0.8)], Cause::Pedestrian(i)),
            Who::Agent(i) => ([2.5, habits.headway], Cause::Lead(i)),
        };
        let [apart, headway] = [parameters[0] * habits.distance, parameters[1]];
        let parameters = [2.0, habits.comfort, apart, headway];
        offer(idm(v, cap, gap, lead.max(-8.0), parameters).max(least), cause);
    }
    best
}
