//! Drives a policy through episodes and writes down what scores and replays need.

use crate::batch::{Action, Batch, Scene};
use crate::event::{Event, EventKind};
use crate::policy::Policy;
use crate::scenario::Control;
use crate::world::World;
use scene::Trajectory;
use std::sync::Arc;

/// Simulator steps between plans that are kept.
pub const PLAN_EVERY: u32 = 5;
/// Metres around ego in which traffic counts as its background.
const BACKGROUND: f32 = 50.0;

/// Ego after one step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Metres.
    pub x: f32,
    /// Metres.
    pub y: f32,
    /// Radians.
    pub heading: f32,
    /// m/s.
    pub v: f32,
    /// m/s².
    pub a: f32,
    /// Radians per second.
    pub yaw_rate: f32,
    /// Seconds; infinite when nothing is ahead.
    pub time_to_collision: f32,
    /// Furthest place along the route, metres from its start.
    pub progress: f32,
    /// Mean speed of the vehicles in traffic within 50 m, m/s; not a number when there is none.
    pub background: f32,
}

/// Why an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// At the end of the route.
    Complete,
    /// Too far from the route.
    Deviation,
    /// Stood too long.
    Blocked,
    /// Out of time.
    Timeout,
    /// The caller stopped it.
    Stopped,
}

impl End {
    /// The word of tables.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::Deviation => "deviation",
            End::Blocked => "blocked",
            End::Timeout => "timeout",
            End::Stopped => "stopped",
        }
    }
}

/// What happened in one scene.
#[derive(Debug, Clone)]
pub struct Episode {
    /// The scene's constants.
    pub world: Arc<World>,
    /// Ego at the start and after each step.
    pub samples: Vec<Sample>,
    /// Boxes of every agent at the start and after each step, `[x, y, heading, speed]`; not numbers when absent. Empty
    /// unless recorded.
    pub boxes: Vec<Vec<[f32; 4]>>,
    /// Flags of every agent beside `boxes`.
    pub flags: Vec<Vec<u16>>,
    /// Plans by simulator step, seen from ego then.
    pub plans: Vec<(u32, Trajectory)>,
    /// Everything logged.
    pub events: Vec<Event>,
    /// Place along the route at the start, metres.
    pub start: f32,
    /// Metres driven.
    pub driven: f32,
    /// Metres driven outside the lanes of the route.
    pub outside: f32,
    /// Why it ended.
    pub end: End,
}

impl Episode {
    /// Share of the route that was driven, in `[0, 1]`.
    pub fn completion(&self) -> f64 {
        if self.end == End::Complete {
            return 1.0;
        }
        let length = self.world.goal - self.start;
        let progress = self.samples.last().map_or(0.0, |s| s.progress) - self.start;
        if length > 0.0 { f64::from((progress / length).clamp(0.0, 1.0)) } else { 0.0 }
    }
}

/// How episodes are driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Keep the boxes of all agents.
    pub record: bool,
    /// Steps at most; episodes end by themselves before.
    pub steps: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { record: true, steps: 100_000 }
    }
}

/// Drives all scenes at once to their ends. `observe` sees the batch and the actions before each step.
pub fn drive(
    worlds: Vec<Arc<World>>,
    policy: &mut dyn Policy,
    options: Options,
    mut observe: impl FnMut(&Batch, &[Action]),
) -> Vec<Episode> {
    let mut batch = Batch::new(worlds);
    policy.reset(&batch);
    let mut actions = vec![Action::default(); batch.len()];
    let mut episodes: Vec<Episode> = (0..batch.len()).map(|i| begin(&batch, i)).collect();
    for (i, episode) in episodes.iter_mut().enumerate() {
        note(&batch.scene(i), episode, options.record);
    }
    for _ in 0..options.steps {
        let running: Vec<bool> = (0..batch.len()).map(|i| !batch.scene(i).head.done).collect();
        if !running.contains(&true) {
            break;
        }
        policy.act(&batch, &mut actions);
        for (i, episode) in episodes.iter_mut().enumerate().filter(|(i, _)| running[*i]) {
            let step = batch.scene(i).head.step;
            if step.is_multiple_of(PLAN_EVERY)
                && let Some(plan) = policy.plan(&batch, i)
            {
                episode.plans.push((step, plan));
            }
        }
        observe(&batch, &actions);
        batch.step(&actions);
        for (i, episode) in episodes.iter_mut().enumerate().filter(|(i, _)| running[*i]) {
            note(&batch.scene(i), episode, options.record);
        }
    }
    for (i, episode) in episodes.iter_mut().enumerate() {
        finish(&batch.scene(i), episode);
    }
    episodes
}

fn begin(batch: &Batch, i: usize) -> Episode {
    Episode {
        world: Arc::clone(&batch.worlds[i]),
        samples: Vec::new(),
        boxes: Vec::new(),
        flags: Vec::new(),
        plans: Vec::new(),
        events: Vec::new(),
        start: batch.scene(i).s[0],
        driven: 0.0,
        outside: 0.0,
        end: End::Stopped,
    }
}

fn note(scene: &Scene<'_>, episode: &mut Episode, record: bool) {
    episode.samples.push(Sample {
        x: scene.x[0],
        y: scene.y[0],
        heading: scene.heading[0],
        v: scene.v[0],
        a: scene.a[0],
        yaw_rate: scene.yaw_rate[0],
        time_to_collision: scene.head.time_to_collision,
        progress: scene.head.progress.max(episode.start),
        background: background(scene),
    });
    if record {
        let n = scene.agents();
        let one = |i: usize| match scene.present(i) {
            true => [scene.x[i], scene.y[i], scene.heading[i], scene.v[i]],
            false => [f32::NAN; 4],
        };
        episode.boxes.push((0..n).map(one).collect());
        episode.flags.push(scene.flags[..n].iter().map(|&f| f as u16).collect());
    }
}

fn background(scene: &Scene<'_>) -> f32 {
    let (mut sum, mut count) = (0.0, 0.0);
    for i in 1..scene.agents() {
        let spec = &scene.world.agents[i];
        let traffic = !spec.kind.is_pedestrian() && spec.control != Control::Static && scene.present(i);
        let (dx, dy) = (scene.x[i] - scene.x[0], scene.y[i] - scene.y[0]);
        if traffic && dx * dx + dy * dy < BACKGROUND * BACKGROUND {
            sum += scene.v[i];
            count += 1.0;
        }
    }
    sum / count
}

fn finish(scene: &Scene<'_>, episode: &mut Episode) {
    episode.events = scene.head.log.events().to_vec();
    (episode.driven, episode.outside) = (scene.head.driven, scene.head.outside);
    let end = episode.events.iter().rev().find_map(|e| match e.kind {
        EventKind::Complete => Some(End::Complete),
        EventKind::Deviation => Some(End::Deviation),
        EventKind::Blocked => Some(End::Blocked),
        EventKind::Timeout => Some(End::Timeout),
        _ => None,
    });
    episode.end = end.unwrap_or(End::Stopped);
}
