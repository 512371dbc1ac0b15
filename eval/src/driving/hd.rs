//! HD-Score (HUGSIM, Zhou et al. 2024, arXiv 2412.01718): plans of a drive are held against what the others did next.
//!
//! For each plan `PDMS = NC · DAC · (5·TTC + 2·C) / 7`; the score is route completion times the mean over plans. Plans have
//! poses at 0.5 s; the driven way takes their place where a policy gives none.
//! Deviation 1: solids are boxes, not point clouds, and touching one counts as a collision.
//! Deviation 2: comfort is taken from differences of poses at 0.5 s, unsmoothed.

use scene::{Pose, Trajectory};
use serde::{Deserialize, Serialize};
use sim::drive::{Episode, PLAN_EVERY};
use sim::world::World;

/// Poses of a plan that are looked at: 4 s.
const POSES: usize = 8;
const STEP: f64 = 0.5;

/// Means over the plans of a drive, each in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Hd {
    /// Route completion times the mean of `pdms`.
    pub score: f64,
    /// The weighted sub-scores.
    pub pdms: f64,
    /// No collision.
    pub nc: f64,
    /// Drivable area: 1, or 0.5 and 0 when less than 0.5 and 0.3 of a quarter of ego is on the road.
    pub dac: f64,
    /// Nothing is hit when ego is moved on by what it drives in 0.5 and 1 s.
    pub ttc: f64,
    /// Comfort bounds hold.
    pub comfort: f64,
}

/// The weighted sub-scores of one plan.
pub fn pdms(nc: f64, dac: f64, ttc: f64, comfort: f64) -> f64 {
    nc * dac * (5.0 * ttc + 2.0 * comfort) / 7.0
}

/// Scores a drive; `None` when its boxes were not recorded or it has no plan.
pub fn hd(episode: &Episode) -> Option<Hd> {
    if episode.boxes.is_empty() {
        return None;
    }
    let plans: Vec<(usize, Vec<Pose>)> = match episode.plans.is_empty() {
        true => (0..episode.samples.len()).step_by(PLAN_EVERY as usize).map(|i| (i, driven(episode, i))).collect(),
        false => {
            let made = episode.plans.iter().map(|(step, plan)| (*step as usize, plan));
            let driven = made.filter(|(at, _)| *at < episode.samples.len());
            driven.map(|(at, plan)| (at, poses(episode, at, plan))).collect()
        }
    };
    let mut sum = Hd::default();
    let mut count = 0.0;
    for (at, poses) in plans.iter().filter(|(_, poses)| !poses.is_empty()) {
        let (nc, ttc) = touches(episode, *at, poses);
        let dac = drivable(&episode.world, poses);
        let comfort = comfort(ego(episode, *at), f64::from(episode.samples[*at].v), poses);
        sum.pdms += pdms(nc, dac, ttc, comfort);
        (sum.nc, sum.dac, sum.ttc, sum.comfort) = (sum.nc + nc, sum.dac + dac, sum.ttc + ttc, sum.comfort + comfort);
        count += 1.0;
    }
    if count == 0.0 {
        return None;
    }
    let mean = |x: f64| x / count;
    Some(Hd {
        score: episode.completion() * mean(sum.pdms),
        pdms: mean(sum.pdms),
        nc: mean(sum.nc),
        dac: mean(sum.dac),
        ttc: mean(sum.ttc),
        comfort: mean(sum.comfort),
    })
}

fn ego(episode: &Episode, at: usize) -> Pose {
    let s = &episode.samples[at];
    Pose::new(f64::from(s.x), f64::from(s.y), f64::from(s.heading))
}

/// Poses of a plan in the world, as long as the drive goes on.
fn poses(episode: &Episode, at: usize, plan: &Trajectory) -> Vec<Pose> {
    let from = ego(episode, at);
    (1..=POSES)
        .filter(|j| at + j * PLAN_EVERY as usize <= episode.samples.len().saturating_sub(1))
        .filter_map(|j| plan.at(j as f64 * STEP))
        .map(|pose| pose.out_of_frame(from))
        .collect()
}

fn driven(episode: &Episode, at: usize) -> Vec<Pose> {
    (1..=POSES)
        .map(|j| at + j * PLAN_EVERY as usize)
        .filter(|&i| i < episode.samples.len())
        .map(|i| ego(episode, i))
        .collect()
}

#[derive(Clone, Copy)]
struct Rect {
    pose: Pose,
    half: [f64; 2],
}

/// No collision and time to collision of a plan.
fn touches(episode: &Episode, at: usize, poses: &[Pose]) -> (f64, f64) {
    let world = &episode.world;
    let half = |i: usize| [f64::from(world.half_length[i]), f64::from(world.half_width[i])];
    let props: Vec<Rect> = world
        .scenario
        .map
        .props
        .iter()
        .map(|p| Rect {
            pose: Pose::new(f64::from(p.at[0]), f64::from(p.at[1]), f64::from(p.heading)),
            half: [0.5 * f64::from(p.size[0]), 0.5 * f64::from(p.size[1])],
        })
        .collect();
    let (mut nc, mut ttc) = (1.0, 1.0);
    let mut before = ego(episode, at);
    for (j, &pose) in poses.iter().enumerate() {
        let Some(boxes) = episode.boxes.get(at + (j + 1) * PLAN_EVERY as usize) else { break };
        let speed = pose.distance(before) / STEP;
        before = pose;
        let others: Vec<Rect> = boxes
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, b)| b[0].is_finite())
            .map(|(i, b)| Rect { pose: Pose::new(b[0].into(), b[1].into(), b[2].into()), half: half(i) })
            .chain(props.iter().copied())
            .filter(|r| r.pose.distance(pose) < 12.0 + speed + r.half[0] + r.half[1])
            .collect();
        let hit = |seconds: f64| {
            let (s, c) = pose.heading.sin_cos();
            let moved = Pose::new(pose.x + seconds * speed * c, pose.y + seconds * speed * s, pose.heading);
            others.iter().any(|&other| overlap(Rect { pose: moved, half: half(0) }, other))
        };
        if hit(0.0) {
            nc = 0.0;
        }
        if hit(0.5) || hit(1.0) {
            ttc = 0.0;
        }
    }
    (nc, ttc)
}

fn overlap(a: Rect, b: Rect) -> bool {
    let seen = b.pose.into_frame(a.pose);
    let back = a.pose.into_frame(b.pose);
    let (s, c) = seen.heading.sin_cos();
    let (s, c) = (s.abs(), c.abs());
    seen.x.abs() < a.half[0] + b.half[0] * c + b.half[1] * s
        && seen.y.abs() < a.half[1] + b.half[0] * s + b.half[1] * c
        && back.x.abs() < b.half[0] + a.half[0] * c + a.half[1] * s
        && back.y.abs() < b.half[1] + a.half[0] * s + a.half[1] * c
}

/// Drivable area: the least covered quarter of ego over all poses decides.
fn drivable(world: &World, poses: &[Pose]) -> f64 {
    const SIDE: usize = 3;
    let half = [f64::from(world.half_length[0]), f64::from(world.half_width[0])];
    let mut least = 1.0f64;
    for &pose in poses {
        for (l, w) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
            let mut on = 0.0;
            for i in 0..SIDE * SIDE {
                let share = |k: usize| (k as f64 + 0.5) / SIDE as f64;
                let corner = Pose::new(l * half[0] * share(i % SIDE), w * half[1] * share(i / SIDE), 0.0);
                let p = corner.out_of_frame(pose);
                on += f64::from(u8::from(world.road.on_road(p.x as f32, p.y as f32, 0.0)));
            }
            least = least.min(on / (SIDE * SIDE) as f64);
        }
    }
    match least {
        x if x < 0.3 => 0.0,
        x if x < 0.5 => 0.5,
        _ => 1.0,
    }
}

/// 1 when a plan stays within the comfort bounds.
fn comfort(from: Pose, speed: f64, poses: &[Pose]) -> f64 {
    let (mut before, mut v, mut a, mut turn) = (from, speed, None, None);
    let mut good = true;
    for &pose in poses {
        let next = pose.distance(before) / STEP;
        let rate = scene::pose::wrap_angle(pose.heading - before.heading) / STEP;
        let lon = (next - v) / STEP;
        good &= lon > -4.05 && lon < 2.40 && (next * rate).abs() < 4.89 && rate.abs() < 0.95;
        if let Some(earlier) = a {
            let jerk: f64 = (lon - earlier) / STEP;
            good &= jerk.abs() < 8.37;
        }
        if let Some(earlier) = turn {
            let acceleration: f64 = (rate - earlier) / STEP;
            good &= acceleration.abs() < 1.93;
        }
        (before, v, a, turn) = (pose, next, Some(lon), Some(rate));
    }
    f64::from(u8::from(good))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_bounds_by_hand() {
        assert_eq!(pdms(1.0, 1.0, 1.0, 1.0), 1.0);
        assert!((pdms(1.0, 0.5, 1.0, 0.0) - 2.5 / 7.0).abs() < 1e-12);
        assert_eq!(pdms(0.0, 1.0, 1.0, 1.0), 0.0);
        let along = |speeds: [f64; 4]| -> Vec<Pose> {
            let mut x = 0.0;
            speeds
                .iter()
                .map(|v| {
                    x += v * STEP;
                    Pose::new(x, 0.0, 0.0)
                })
                .collect()
        };
        assert_eq!(comfort(Pose::ORIGIN, 8.0, &along([8.0, 9.0, 10.0, 11.0])), 1.0);
        assert_eq!(comfort(Pose::ORIGIN, 8.0, &along([8.0, 9.3, 10.0, 11.0])), 0.0);
        assert_eq!(comfort(Pose::ORIGIN, 8.0, &along([8.0, 5.9, 4.0, 3.0])), 0.0);
        let rect = |x: f64, y: f64, heading: f64| Rect { pose: Pose::new(x, y, heading), half: [2.0, 1.0] };
        assert!(overlap(rect(0.0, 0.0, 0.0), rect(3.9, 0.0, 0.0)));
        assert!(!overlap(rect(0.0, 0.0, 0.0), rect(4.1, 0.0, 0.0)));
        assert!(!overlap(rect(0.0, 0.0, 0.0), rect(3.1, 0.0, std::f64::consts::FRAC_PI_2)));
        // Corner to corner: boxes around them meet, they do not.
        assert!(!overlap(rect(0.0, 0.0, 0.0), rect(3.3, 2.8, std::f64::consts::FRAC_PI_4)));
    }
}
