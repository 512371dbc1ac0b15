//! Trajectories scored per CPU second on one thread, with every sub-score:
//! `cargo run --release -p reinsman-rewards --example pdm_speed [-- seconds per row]`.
//!
//! User CPU time of this process; scenes are the test fixtures, visited in turn. Every proposal of a batch differs: the
//! fixture's eight plans, stretched and turned a little.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../tests/navsim/fixture.rs"]
#[allow(dead_code)]
mod fixture;

use fixture::Case;
use rewards::pdm::*;
use scene::Trajectory;
use std::hint::black_box;

/// User CPU seconds of this process (Linux), from `/proc/self/stat` in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = &stat[stat.rfind(')').unwrap() + 2..];
    after_name.split(' ').nth(11).unwrap().parse::<f64>().unwrap() / 100.0
}

struct Prepared {
    cache: MetricCache,
    plans: Vec<Trajectory>,
    previous: Vec<PreviousPlan>,
}

/// Largest batch.
const MOST: usize = 256;

/// One of the fixture's plans, driven a little faster or slower and turned a little: no two are equal.
fn varied(case: &Case, i: usize) -> Trajectory {
    let p = &case.proposals[i % case.proposals.len()];
    let round = (i / case.proposals.len()) as f64;
    let (stretch, turn) = (1.0 + 0.004 * round * (-1f64).powf(round), 0.002 * round * (round * 2.4).sin());
    let pose = |q: &scene::Pose| {
        scene::Pose::new(q.x * stretch, q.y * stretch, q.heading).out_of_frame(scene::Pose::new(0.0, 0.0, turn))
    };
    Trajectory { step: p.interval, poses: p.poses.iter().map(pose).collect() }
}

fn prepare(case: &Case, version: Version) -> Prepared {
    let cache = MetricCache::new(&case.scene, version, Compat::reference()).unwrap();
    let previous = |p: &fixture::ProposalCase| cache.previous(case.previous_ego(), &p.previous_plan()).unwrap();
    let plans = (0..MOST).map(|i| varied(case, i)).collect();
    let previous = case.proposals.iter().map(previous).collect();
    Prepared { cache, plans, previous }
}

/// Runs `work` (one pass over all scenes, returns how many trajectories) for some CPU seconds.
fn measure(name: &str, seconds: f64, mut work: impl FnMut() -> usize) {
    work();
    let (start, mut done) = (cpu_seconds(), 0);
    while cpu_seconds() - start < seconds {
        done += work();
    }
    let rate = done as f64 / (cpu_seconds() - start);
    println!("{name:24} {rate:10.0} /s  {:8.2} us each", 1e6 / rate);
}

fn main() {
    let seconds: f64 = std::env::args().nth(1).map_or(2.0, |s| s.parse().unwrap());
    let cases = fixture::cases();
    let (mut workspace, mut crowd_scores) = (Workspace::default(), Vec::new());
    for (metric, version) in [("epdms", Version::V2), ("pdms", Version::V1)] {
        let scenes: Vec<Prepared> = cases.iter().map(|c| prepare(c, version)).collect();
        let ec = version == Version::V2;
        for (call, filter) in [("official_call", Filter::Off), ("official_call_human", Filter::Human)] {
            measure(&format!("{metric}_{call}"), seconds, || {
                for s in &scenes {
                    for (plan, previous) in s.plans.iter().zip(&s.previous) {
                        let p = Proposal { plan, previous: ec.then_some(previous) };
                        black_box(score_official(&s.cache, &s.cache.log_replay, p, filter, &mut workspace).unwrap());
                    }
                }
                scenes.len() * 8
            });
        }
        for size in [1, 8, 64, 256] {
            let mut scores = Vec::new();
            let mut batches: Vec<Vec<Proposal<'_>>> = Vec::new();
            for s in &scenes {
                let one = |i| Proposal { plan: &s.plans[i], previous: ec.then_some(&s.previous[i % s.previous.len()]) };
                batches.push((0..size).map(one).collect());
            }
            measure(&format!("{metric}_batch_{size}"), seconds, || {
                for (s, batch) in scenes.iter().zip(&batches) {
                    let (cache, traffic) = (&s.cache, &s.cache.log_replay);
                    score_batch(cache, traffic, batch, Filter::Human, &mut workspace, &mut scores).unwrap();
                    black_box(&scores);
                }
                scenes.len() * size
            });
        }
        let crowds: Vec<Prepared> =
            cases.iter().map(|c| prepare(&Case { scene: crowded(c), ..c.clone() }, version)).collect();
        measure(&format!("{metric}_52_agents_batch_64"), seconds, || {
            for s in &crowds {
                let batch: Vec<_> = s.plans[..64].iter().map(Proposal::alone).collect();
                let (cache, traffic) = (&s.cache, &s.cache.log_replay);
                score_batch(cache, traffic, &batch, Filter::Human, &mut workspace, &mut crowd_scores).unwrap();
                black_box(&crowd_scores);
            }
            crowds.len() * 64
        });
        stages(metric, seconds, &scenes, version, &mut workspace);
        measure(&format!("{metric}_cache"), seconds, || {
            cases
                .iter()
                .map(|c| black_box(MetricCache::new(&c.scene, version, Compat::reference())).is_ok() as usize)
                .sum()
        });
    }
}

/// The scene among 52 agents: its own, and copies of them set off a few metres each way.
fn crowded(case: &Case) -> scene::world::Scene {
    let mut scene = case.scene.clone();
    for tracks in [&mut scene.agents_10hz_v2, &mut scene.agents_10hz_v1] {
        let Some(tracks) = tracks.as_mut().filter(|t| !t.is_empty()) else { continue };
        let own = tracks.len();
        for i in own..52 {
            let mut copy = tracks[i % own].clone();
            copy.token = format!("copy {i}");
            let off = 7.0 * (i / own) as f64 * if i % 2 == 0 { 1.0 } else { -1.0 };
            copy.frames.iter_mut().flatten().for_each(|d| (d[0], d[1]) = (d[0] + off, d[1] - 0.6 * off));
            tracks.push(copy);
        }
    }
    scene
}

fn stages(metric: &str, seconds: f64, scenes: &[Prepared], version: Version, workspace: &mut Workspace) {
    let simulated: Vec<Vec<_>> =
        scenes.iter().map(|s| s.plans.iter().take(8).map(|p| s.cache.simulate(p).unwrap()).collect()).collect();
    type Stage<'a> = &'a mut dyn FnMut(&Prepared, usize, &[scene::dynamics::State; 41]);
    let each = |name: &str, work: Stage<'_>| {
        measure(&format!("  {metric} {name}"), seconds, || {
            for (s, states) in scenes.iter().zip(&simulated) {
                states.iter().enumerate().for_each(|(i, states)| work(s, i, states));
            }
            scenes.len() * 8
        });
    };
    each("simulate", &mut |s, i, _| {
        black_box(s.cache.simulate(&s.plans[i]).unwrap());
    });
    each("areas", &mut |s, _, states| {
        black_box(ego_areas(&s.cache.ground, states, workspace));
    });
    each("comfort", &mut |s, _, states| {
        black_box(comfort_flags(&s.cache.ground, version, states, workspace));
    });
    each("ec", &mut |s, i, states| {
        black_box(s.cache.extended_comfort(states, &s.previous[i]));
    });
    each("all scores", &mut |s, _, states| {
        let observation = &s.cache.log_replay.observation;
        black_box(raw_scores(&s.cache.ground, observation, version, states, true, workspace));
    });
}
