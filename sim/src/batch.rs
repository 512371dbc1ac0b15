//! Many scenes side by side. All that changes in a scene lies in one flat slice, so that a fork is a copy of memory and
//! scenes step in parallel without sharing anything.

use crate::event::EventLog;
use crate::scenario::Lamp;
use crate::world::{LANES, World};
use rayon::prelude::*;
use std::sync::Arc;

/// Number of `f32` fields of an agent.
pub const FLOATS: usize = 18;
/// Number of `u32` fields of an agent.
pub const WORDS: usize = 6;

/// What a policy asks of its car for one step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Action {
    /// m/s², held to [-8, 4].
    pub accel: f32,
    /// Angle of the front wheels in radians, positive to the left; it is reached at 0.6 rad/s and held to +-0.667.
    pub steer: f32,
}

/// Bits of the `flags` field.
pub mod flag {
    /// The agent takes part: it is drawn and can be hit. Replayed agents come and go.
    pub const PRESENT: u32 = 1;
    /// A walker or a scripted driver has been set going.
    pub const STARTED: u32 = 2;
    /// Disregards lights, signs and right of way.
    pub const IGNORES_RULES: u32 = 4;
    /// Disregards ego.
    pub const IGNORES_EGO: u32 = 8;
    /// Brake lights are lit.
    pub const BRAKING: u32 = 16;
    /// Left indicator blinks.
    pub const LEFT: u32 = 32;
    /// Right indicator blinks.
    pub const RIGHT: u32 = 64;
    /// It has been in a collision.
    pub const CRASHED: u32 = 128;
    /// A replayed agent was handed over to the intelligent driver model.
    pub const HANDED_OVER: u32 = 256;
}

/// The state of one scene that belongs to no agent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Head {
    /// Steps done.
    pub step: u32,
    /// Whether the episode has ended: stepping does nothing any more.
    pub done: bool,
    /// Furthest place of ego along its route, metres.
    pub progress: f32,
    /// Steps in a row that ego stood still.
    pub standing: u32,
    /// Metres driven by ego, and those of them outside the lanes of its route.
    pub driven: f32,
    /// See `driven`.
    pub outside: f32,
    /// Stop lines that ego has dealt with, one bit each (the first 64).
    pub lines_done: u64,
    /// Agents that ego touches now or did a moment ago, one bit each (the first 64).
    pub touching: u64,
    /// Bits of [`crate::event::EventKind`] that are going on now (off road, off route, near miss).
    pub ongoing: u32,
    /// Step after which an emergency vehicle was close behind ego; 0 when none is.
    pub emergency_since: u32,
    /// Emergency vehicles that ego has dealt with, one bit each (the first 64 agents).
    pub emergency_done: u64,
    /// Time to collision of ego with what is ahead, seconds; infinite when nothing is.
    pub time_to_collision: f32,
    /// Events.
    pub log: EventLog,
}

/// Scenes of one stride.
#[derive(Debug, Clone)]
pub struct Batch {
    /// One for each scene.
    pub worlds: Vec<Arc<World>>,
    stride: usize,
    floats: Vec<f32>,
    words: Vec<u32>,
    heads: Vec<Head>,
}

macro_rules! views {
    ($(($float:ident, $fdoc:literal)),+; $(($word:ident, $wdoc:literal)),+) => {
        /// A scene to read: each field has one value per agent, padded to the batch's stride.
        #[derive(Debug, Clone, Copy)]
        pub struct Scene<'a> {
            /// Its constants.
            pub world: &'a World,
            /// What belongs to no agent.
            pub head: &'a Head,
            $(#[doc = $fdoc] pub $float: &'a [f32],)+
            $(#[doc = $wdoc] pub $word: &'a [u32],)+
        }

        /// A scene to change.
        #[derive(Debug)]
        pub struct SceneMut<'a> {
            /// Its constants.
            pub world: &'a World,
            /// What belongs to no agent.
            pub head: &'a mut Head,
            $(#[doc = $fdoc] pub $float: &'a mut [f32],)+
            $(#[doc = $wdoc] pub $word: &'a mut [u32],)+
        }

        fn view<'a>(world: &'a World, head: &'a Head, floats: &'a [f32], words: &'a [u32], stride: usize) -> Scene<'a> {
            let (mut f, mut w) = (floats, words);
            $(let ($float, rest) = f.split_at(stride); f = rest;)+
            $(let ($word, rest) = w.split_at(stride); w = rest;)+
            let _ = (f, w);
            Scene { world, head, $($float,)+ $($word,)+ }
        }

        pub(crate) fn view_mut<'a>(
            world: &'a World, head: &'a mut Head, floats: &'a mut [f32], words: &'a mut [u32], stride: usize,
        ) -> SceneMut<'a> {
            let (mut f, mut w) = (floats, words);
            $(let ($float, rest) = f.split_at_mut(stride); f = rest;)+
            $(let ($word, rest) = w.split_at_mut(stride); w = rest;)+
            let _ = (f, w);
            SceneMut { world, head, $($float,)+ $($word,)+ }
        }
    };
}

views!(
    (x, "Box centre, metres."),
    (y, "Box centre, metres."),
    (heading, "Radians."),
    (cos, "Cosine of the heading."),
    (sin, "Sine of the heading."),
    (v, "Speed, m/s."),
    (a, "Acceleration, m/s²."),
    (steer, "Steering angle, radians."),
    (yaw_rate, "Radians per second."),
    (s, "Metres along the path."),
    (lat, "Metres to the left of the path."),
    (lat_goal, "Where `lat` is heading, metres."),
    (lat_rate, "How fast `lat` moves at cruising speed, m/s."),
    (lat_accel, "How fast `lat_rate` changes, m/s²."),
    (lat_left, "Seconds left until `lat` is at `lat_goal`."),
    (desired, "Desired speed, m/s; 0: the limit."),
    (brake, "Deceleration of a scripted braking, m/s²; 0: none. It ends at `desired`."),
    (cue_time, "Time of the last cue of the script, seconds.");
    (path, "Path that is followed, or `NO_PATH`."),
    (cue, "Next cue of the script."),
    (flags, "Bits of [`flag`]."),
    (lane_since, "Step of the last lane change."),
    (stop_done, "Number of the stop line at which it has stood, plus 1."),
    (waiting, "Steps in a row that it stood still.")
);

/// An agent that follows no path.
pub const NO_PATH: u32 = u32::MAX;

impl Batch {
    /// One scene for each world, at its start.
    pub fn new(worlds: Vec<Arc<World>>) -> Batch {
        let stride = worlds.iter().map(|w| w.agents.len()).max().unwrap_or(1).next_multiple_of(LANES);
        let n = worlds.len();
        let mut batch = Batch {
            stride,
            floats: vec![0.0; n * FLOATS * stride],
            words: vec![0; n * WORDS * stride],
            heads: vec![Head::default(); n],
            worlds,
        };
        for i in 0..n {
            batch.reset(i);
        }
        batch
    }

    /// Number of scenes.
    pub fn len(&self) -> usize {
        self.worlds.len()
    }

    /// Whether there is no scene.
    pub fn is_empty(&self) -> bool {
        self.worlds.is_empty()
    }

    /// Agents of a scene, padding included.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// A scene to read.
    pub fn scene(&self, i: usize) -> Scene<'_> {
        let (f, w) = (FLOATS * self.stride, WORDS * self.stride);
        view(
            &self.worlds[i],
            &self.heads[i],
            &self.floats[i * f..(i + 1) * f],
            &self.words[i * w..(i + 1) * w],
            self.stride,
        )
    }

    /// A scene to change.
    pub fn scene_mut(&mut self, i: usize) -> SceneMut<'_> {
        let (f, w) = (FLOATS * self.stride, WORDS * self.stride);
        let (floats, words) = (&mut self.floats[i * f..(i + 1) * f], &mut self.words[i * w..(i + 1) * w]);
        view_mut(&self.worlds[i], &mut self.heads[i], floats, words, self.stride)
    }

    /// Calls `f` with each scene and its number, in parallel.
    pub(crate) fn for_each(&mut self, f: impl Fn(usize, SceneMut<'_>) + Sync + Send) {
        let stride = self.stride;
        let scenes = self
            .worlds
            .par_iter()
            .zip(&mut self.heads)
            .zip(self.floats.par_chunks_mut(FLOATS * stride))
            .zip(self.words.par_chunks_mut(WORDS * stride));
        scenes
            .enumerate()
            .for_each(|(i, (((world, head), floats), words))| f(i, view_mut(world, head, floats, words, stride)));
    }

    /// Puts a scene back to its start.
    pub fn reset(&mut self, i: usize) {
        let scene = self.scene_mut(i);
        *scene.head = Head { time_to_collision: f32::INFINITY, ..Head::default() };
        crate::start::start(scene);
    }

    /// So many copies of one scene, as they are now.
    pub fn fork(&self, scene: usize, copies: usize) -> Batch {
        let (f, w) = (FLOATS * self.stride, WORDS * self.stride);
        Batch {
            worlds: vec![Arc::clone(&self.worlds[scene]); copies],
            stride: self.stride,
            floats: self.floats[scene * f..(scene + 1) * f].repeat(copies),
            words: self.words[scene * w..(scene + 1) * w].repeat(copies),
            heads: vec![self.heads[scene]; copies],
        }
    }

    /// A hash of a scene's state, rounded to about a millimetre: equal runs have equal hashes, on every machine.
    pub fn hash(&self, scene: usize) -> u64 {
        let view = self.scene(scene);
        let n = view.agents();
        let mut hash = crate::rng::hash(u64::from(view.head.step), view.head.log.count() as u64);
        let rounded = |x: f32| i64::from((x.clamp(-1e6, 1e6) * 1024.0) as i32) as u64;
        let fields = [view.x, view.y, view.heading, view.v, view.a, view.steer, view.s, view.lat, view.desired];
        for value in fields.iter().flat_map(|field| &field[..n]) {
            hash = crate::rng::hash(hash, rounded(*value));
        }
        for value in [view.path, view.cue, view.flags].iter().flat_map(|field| &field[..n]) {
            hash = crate::rng::hash(hash, u64::from(*value));
        }
        for event in view.head.log.events() {
            hash = crate::rng::hash(
                hash,
                u64::from(event.step) << 32 | (event.kind as u64) << 16 | u64::from(event.other),
            );
        }
        crate::rng::hash(hash, rounded(view.head.progress) ^ u64::from(view.head.done) << 63)
    }

    /// Overwrites a scene with one of another batch of the same stride, without allocating.
    ///
    /// # Panics
    /// When the strides differ or a scene does not exist.
    pub fn copy_from(&mut self, scene: usize, other: &Batch, from: usize) {
        assert_eq!(self.stride, other.stride, "scenes of different strides");
        let (f, w) = (FLOATS * self.stride, WORDS * self.stride);
        self.worlds[scene] = Arc::clone(&other.worlds[from]);
        self.heads[scene] = other.heads[from];
        self.floats[scene * f..(scene + 1) * f].copy_from_slice(&other.floats[from * f..(from + 1) * f]);
        self.words[scene * w..(scene + 1) * w].copy_from_slice(&other.words[from * w..(from + 1) * w]);
    }
}

impl Scene<'_> {
    /// Number of agents, without padding.
    pub fn agents(&self) -> usize {
        self.world.agents.len()
    }

    /// Scenario time, seconds.
    pub fn time(&self) -> f32 {
        self.head.step as f32 * crate::scenario::DT
    }

    /// Colour of each light now.
    pub fn lamps(&self) -> Vec<Lamp> {
        self.world.lamps(self.time())
    }

    /// Whether an agent takes part now.
    pub fn present(&self, agent: usize) -> bool {
        self.flags[agent] & flag::PRESENT != 0
    }
}
