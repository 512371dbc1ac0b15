//! The simulator as work items: agent-steps a second with and without a frame for each agent, and forks rolled out.
//!
//! The scenes are the validation suite's families, so roads, traffic and what is in view are those of an evaluation. An
//! agent-step is one step of one agent that takes part; a rendered one delivers that agent's own front view (RGB).

use super::{Measured, clock::cpu_seconds};
use crate::train::progress::peak_bytes;
use rayon::{ThreadPool, prelude::*};
use sim::{
    Action, Batch, World,
    families::{self, Family},
    render::{Actor, Camera, Frame, Stage, Style},
    scenario::{Agent, AgentKind, Control, Driver, Lane, LaneKind, Map, Scenario, Turn, VERSION},
    view,
};
use std::{hint::black_box, sync::Arc, time::Instant};

/// Scenes stepped side by side.
const SCENES: usize = 256;
/// Steps of a measured run without frames.
const STEPS: usize = 100;
/// Steps between resets: most episodes last longer.
const EPISODE: usize = 100;
/// Agents of the scene that is forked.
const CROWD: usize = 32;
/// Steps of a rollout: 4 s.
const ROLLOUT: usize = 40;
/// Forks of a measured run.
const FORKS: usize = 100;

/// Work items: name, and the camera of its frames.
pub const ITEMS: [(&str, Work); 8] = [
    ("vector", Work::Vector),
    ("rendered_128x64", Work::Frames(Camera::tiny, Style::plain)),
    ("rendered_256x128", Work::Frames(Camera::mid, Style::plain)),
    ("rendered_448x252", Work::Frames(Camera::vlm, Style::plain)),
    ("rendered_128x64_rich", Work::Frames(Camera::tiny, Style::rich)),
    ("rendered_256x128_rich", Work::Frames(Camera::mid, Style::rich)),
    ("rendered_448x252_rich", Work::Frames(Camera::vlm, Style::rich)),
    ("fork_rollout_32x4s", Work::Fork),
];

/// What an item does.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Steps alone.
    Vector,
    /// Steps with a frame for each agent, in one of the two looks.
    Frames(fn() -> Camera, fn(u32) -> Style),
    /// A fork of 32 agents and 4 s of steps.
    Fork,
}

/// Measures an item on a pool of threads: the best of `repeats` after one unmeasured run.
pub fn run(name: &str, work: Work, pool: &ThreadPool, repeats: usize) -> Measured {
    pool.install(|| match work {
        Work::Vector => rate(name, pool, repeats, || steps(STEPS, |_| {})),
        Work::Frames(camera, style) => rate(name, pool, repeats, || frames(&camera(), style)),
        Work::Fork => fork(name, pool, repeats),
    })
}

/// Agent-steps per wall second, the best run; `cpu_seconds` are those of a million agent-steps, the least of the runs.
fn rate(name: &str, pool: &ThreadPool, repeats: usize, work: impl Fn() -> (usize, f64, f64)) -> Measured {
    let (mut value, mut cpu_seconds) = (0.0f64, f64::MAX);
    for repeat in 0..=repeats {
        let (count, wall, cpu) = work();
        if repeat > 0 {
            value = value.max(count as f64 / wall);
            cpu_seconds = cpu_seconds.min(1e6 * cpu / count as f64);
        }
    }
    measured(name, value, "agent-steps/s", pool, cpu_seconds)
}

fn measured(name: &str, value: f64, unit: &str, pool: &ThreadPool, cpu_seconds: f64) -> Measured {
    let threads = pool.current_num_threads();
    Measured { name: name.into(), value, unit: unit.into(), threads, cpu_seconds, peak_rss_bytes: peak_bytes() }
}

/// Worlds of the validation seeds, families in turn.
fn worlds(count: usize) -> Vec<Arc<World>> {
    let evaluated: Vec<&Family> = families::ALL.iter().filter(|f| !f.abilities.is_empty()).collect();
    let kinds = (5 * evaluated.len()).max(1);
    let distinct: Vec<Arc<World>> = (0..kinds.min(count))
        .into_par_iter()
        .map(|i| Arc::new(World::new((evaluated[i % evaluated.len()].make)(2000 + (i / evaluated.len()) as u64))))
        .collect();
    (0..count).map(|i| Arc::clone(&distinct[i % distinct.len()])).collect()
}

fn present(batch: &Batch) -> usize {
    let in_scene = |i: usize| {
        let scene = batch.scene(i);
        if scene.head.done { 0 } else { (0..scene.agents()).filter(|&a| scene.present(a)).count() }
    };
    (0..batch.len()).map(in_scene).sum()
}

/// Steps all scenes; ego rolls on gently. `after` is timed with the steps. Agent-steps, wall and processor seconds.
fn steps(count: usize, mut after: impl FnMut(&Batch)) -> (usize, f64, f64) {
    let mut batch = Batch::new(worlds(SCENES));
    let actions = vec![Action::default(); batch.len()];
    let (mut done, mut wall, mut cpu) = (0, 0.0, 0.0);
    for step in 0..count {
        if step % EPISODE == 0 {
            (0..batch.len()).for_each(|i| batch.reset(i));
        }
        done += present(&batch);
        let (begin, processor) = (Instant::now(), cpu_seconds());
        batch.step(&actions);
        after(&batch);
        wall += begin.elapsed().as_secs_f64();
        cpu += cpu_seconds() - processor;
    }
    (done, wall, cpu)
}

/// Steps with a frame from each agent.
fn frames(camera: &Camera, style: fn(u32) -> Style) -> (usize, f64, f64) {
    let worlds = worlds(SCENES);
    let stages: Vec<Stage> = worlds.iter().map(|w| Stage::new(&w.scenario.map)).collect();
    let styles: Vec<Style> = (0..worlds.len()).map(|i| style(i as u32)).collect();
    let draw = |batch: &Batch| {
        (0..batch.len()).into_par_iter().for_each_init(
            || (Vec::<Actor>::new(), Frame::new(false)),
            |(actors, frame), i| {
                let scene = batch.scene(i);
                for viewer in (0..scene.agents()).filter(|&a| !scene.head.done && scene.present(a)) {
                    view::look(&scene, viewer, &stages[i], camera, &styles[i], actors, frame);
                    black_box(&frame.rgb);
                }
            },
        );
    };
    let steps_done = (SCENES * 4) / 100;
    steps(steps_done.max(4), draw)
}

/// Milliseconds of a fork of 32 agents with 4 s of steps on each thread, and the processor seconds of one.
fn fork(name: &str, pool: &ThreadPool, repeats: usize) -> Measured {
    let mut base = Batch::new(vec![Arc::new(World::new(crowd()))]);
    let actions = [Action { accel: 0.2, steer: 0.0 }];
    (0..20).for_each(|_| base.step(&actions));
    let threads = pool.current_num_threads();
    let once = || {
        let mut fork = base.fork(0, 1);
        (0..ROLLOUT).for_each(|_| fork.step(&actions));
        black_box(fork.scene(0).x[1]);
    };
    let (mut best, mut least) = (f64::MAX, f64::MAX);
    for repeat in 0..=repeats {
        let (begin, cpu) = (Instant::now(), cpu_seconds());
        (0..FORKS * threads).into_par_iter().for_each(|_| once());
        let each = begin.elapsed().as_secs_f64() * 1e3 / FORKS as f64;
        if repeat > 0 {
            best = best.min(each);
            least = least.min((cpu_seconds() - cpu) / (FORKS * threads) as f64);
        }
    }
    measured(name, best, "ms", pool, least)
}

/// A four-lane road with ego and 31 cars that follow, brake and change lanes.
fn crowd() -> Scenario {
    let width = 3.5;
    let lane = |k: usize| Lane {
        points: vec![[0.0, width * k as f32], [1500.0, width * k as f32]],
        width,
        limit: 15.0,
        next: Vec::new(),
        left: (k < 3).then_some(k + 1),
        right: k.checked_sub(1),
        turn: Turn::None,
        kind: LaneKind::Road,
    };
    let car = |k: usize| Agent {
        kind: AgentKind::Car,
        size: [4.6, 1.9, 1.5],
        pose: [20.0 + 14.0 * (k / 4) as f32 + 3.0 * (k % 4) as f32, width * (k % 4) as f32, 0.0],
        speed: 7.0 + (k % 5) as f32,
        control: if k == 0 { Control::Policy } else { Control::Idm },
        route: vec![k % 4],
        desired_speed: 8.0 + (k % 7) as f32,
        track: Vec::new(),
        script: Vec::new(),
        driver: (k > 0).then_some(Driver { mobil: true, ..Driver::default() }),
    };
    Scenario {
        version: VERSION,
        name: "crowd".into(),
        family: "bench".into(),
        seed: 0,
        abilities: Vec::new(),
        licence: String::new(),
        duration: 60.0,
        map: Map { lanes: (0..4).map(lane).collect(), ..Map::default() },
        agents: (0..CROWD).map(car).collect(),
        hazard: None,
    }
}
