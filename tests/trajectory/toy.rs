//! Four kinds of scenes with an analytic scorer: a free road, a blocked lane, a red light, a bend.
//!
//! Everything is known in closed form, so a reward costs microseconds. People drive timidly here, and round the blocked
//! lane only half of them pass: imitation alone cannot be best.

use candle_core::{Device, Tensor};
use reinsman::{
    streams::Stream,
    train::{
        adamw::{AdamW, AdamWOptions, Outcome},
        clip::{Gradients, clip_coefficient},
    },
    trajectory::{Context, Ego, Route, Shape, SubScores, geometry},
};
use scene::{Pose, Trajectory, pose::wrap_angle};
use std::collections::BTreeMap;

pub const FEATURES: usize = 16;
pub const TOKENS: usize = 4;

pub fn shape() -> Shape {
    Shape { feature_width: FEATURES, width: 32, heads: 4, layers: 2, inner: 64, registers: 8 }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Free,
    Blocked,
    RedLight,
    Bend,
}

#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub kind: Kind,
    /// Ego speed, m/s.
    pub speed: f64,
    /// Metres to the obstacle's middle or the stop line.
    pub distance: f64,
    /// Of the lane, 1/m, positive to the left.
    pub curvature: f64,
}

impl Scene {
    pub fn draw(stream: &mut Stream) -> Scene {
        let mut between = |low: f64, high: f64| low + (high - low) * stream.uniform();
        let (speed, part, bend) = (between(5.0, 9.0), between(0.0, 1.0), between(0.015, 0.04));
        let side = if stream.below(2) == 0 { 1.0 } else { -1.0 };
        match stream.below(4) {
            0 => Scene { kind: Kind::Free, speed, distance: 60.0, curvature: 0.0 },
            1 => Scene { kind: Kind::Blocked, speed, distance: speed * (2.2 + part), curvature: 0.0 },
            2 => Scene { kind: Kind::RedLight, speed, distance: speed * (2.0 + 1.2 * part), curvature: 0.0 },
            _ => Scene { kind: Kind::Bend, speed, distance: 60.0, curvature: side * bend },
        }
    }

    /// Tokens that tell what there is to see, each through a fixed random matrix and with a little noise.
    fn tokens(&self, stream: &mut Stream) -> Vec<f32> {
        let mut seen = [0.0; 7];
        seen[self.kind as usize] = 1.0;
        (seen[4], seen[5], seen[6]) = (self.distance / 20.0, self.curvature * 30.0, 1.0);
        let mut tokens = Vec::with_capacity(TOKENS * FEATURES);
        for token in 0..TOKENS {
            let mut matrix = Stream::new(7, &format!("camera {token}"));
            for _ in 0..FEATURES {
                let value: f64 = seen.iter().map(|x| x * matrix.normal()).sum();
                tokens.push((value + 0.02 * stream.normal()) as f32);
            }
        }
        tokens
    }

    /// Metres along the lane and to its left.
    fn lane(&self, pose: Pose) -> (f64, f64) {
        if self.curvature == 0.0 {
            return (pose.x, pose.y);
        }
        let (radius, side) = (1.0 / self.curvature.abs(), self.curvature.signum());
        let left = side * (radius - pose.x.hypot(side * pose.y - radius));
        (radius * pose.x.atan2(radius - side * pose.y), left)
    }

    fn pose(&self, along: f64, left: f64, turned: f64) -> Pose {
        if self.curvature == 0.0 {
            return Pose::new(along, left, turned);
        }
        let k = self.curvature;
        let (sin, cos) = (k * along).sin_cos();
        Pose::new(sin / k - left * sin, (1.0 - cos) / k + left * cos, wrap_angle(k * along + turned))
    }

    /// How somebody drives: an acceleration held until standing, and a smooth move to the left from 0.5 s to 2.5 s.
    fn drive(&self, acceleration: f64, aside: f64) -> Trajectory {
        let time_to_stand = if acceleration < 0.0 { self.speed / -acceleration } else { f64::INFINITY };
        let poses = (1..=geometry::POSES).map(|t| {
            let t = t as f64 * geometry::STEP;
            let driven = t.min(time_to_stand);
            let speed = self.speed + acceleration * driven;
            let u = ((t - 0.5) / 2.0).clamp(0.0, 1.0);
            let sideways = aside * 6.0 * u * (1.0 - u) / 2.0;
            let along = self.speed * driven + acceleration * driven * driven / 2.0;
            self.pose(along, aside * u * u * (3.0 - 2.0 * u), sideways.atan2(speed.max(1.0)))
        });
        Trajectory::half_second(poses.collect())
    }

    /// A timid human.
    pub fn human(&self, stream: &mut Stream) -> Trajectory {
        let stop_at = |at: f64| -self.speed * self.speed / (2.0 * at.max(2.0));
        let noise = stream.normal();
        match self.kind {
            Kind::Free | Kind::Bend => self.drive(-0.3 + 0.3 * noise, 0.0),
            Kind::Blocked if stream.below(2) == 0 => self.drive(-0.2 + 0.2 * noise, 3.2 + 0.2 * stream.normal()),
            Kind::Blocked => self.drive(stop_at(self.distance - 8.0 + 0.5 * noise), 0.0),
            Kind::RedLight => self.drive(stop_at(self.distance - 3.0 + 0.7 * noise), 0.0),
        }
    }

    /// Progress of somebody who knows what they do, metres.
    fn best_progress(&self) -> f64 {
        match self.kind {
            Kind::Free => 4.0 * self.speed + 6.0,
            Kind::Bend => 4.0 * self.speed + 3.0,
            Kind::Blocked => 4.0 * self.speed,
            Kind::RedLight => (4.0 * self.speed).min(self.distance - 1.0),
        }
    }

    /// Sub-scores like the PDMS's, at 4 Hz.
    pub fn score(&self, trajectory: &Trajectory) -> SubScores {
        let hits = |along: f64, left: f64| {
            self.kind == Kind::Blocked && (along - self.distance).abs() < 4.5 && left.abs() < 1.9
        };
        let widest = if self.kind == Kind::Blocked { 4.7 } else { 1.2 };
        let (mut nc, mut dac, mut ttc) = (1.0, 1.0, 1.0);
        let mut before = (0.0, 0.0);
        for i in 1..=16 {
            let (along, left) = self.lane(trajectory.at(0.25 * i as f64).unwrap());
            let speed = (along - before.0) / 0.25;
            if hits(along, left) {
                nc = 0.0;
            }
            if !(-1.2..=widest).contains(&left) || (self.kind == Kind::RedLight && along > self.distance) {
                dac = 0.0;
            }
            if hits(along + 0.8 * speed, left) {
                ttc = 0.0;
            }
            before = (along, left);
        }
        // Comfort of what a tracking controller would make of the poses: means over 1 s.
        let at = |t: usize| trajectory.at(t as f64).unwrap();
        let speeds: Vec<f64> = std::iter::once(self.speed).chain((0..4).map(|t| at(t).distance(at(t + 1)))).collect();
        let turns: Vec<f64> = (0..4).map(|t| wrap_angle(at(t + 1).heading - at(t).heading)).collect();
        let gentle = speeds.windows(2).all(|v| (-4.3..=2.4).contains(&(v[1] - v[0])))
            && turns.iter().zip(&speeds[1..]).all(|(turn, v)| turn.abs() <= 0.95 && (turn * v).abs() <= 4.89);
        let ep = (before.0 / self.best_progress()).clamp(0.0, 1.0);
        SubScores { nc, dac, ep, ttc, comfort: if gentle { 1.0 } else { 0.0 }, ..SubScores::BEST }
    }
}

/// Scenes as a context; noise from the stream.
pub fn context(scenes: &[Scene], stream: &mut Stream) -> Context {
    let tokens: Vec<f32> = scenes.iter().flat_map(|scene| scene.tokens(stream)).collect();
    let features = Tensor::from_vec(tokens, (scenes.len(), TOKENS, FEATURES), &Device::Cpu).unwrap();
    let ego = |s: &Scene| Ego { route: Route::Straight, velocity: [s.speed, 0.0], acceleration: [0.0; 2] };
    Context::new(&features, scenes.iter().map(ego).collect()).unwrap()
}

pub fn draw(seed: u64, name: &str, count: usize) -> (Vec<Scene>, Context, Vec<Trajectory>) {
    let mut stream = Stream::new(seed, name);
    let scenes: Vec<Scene> = (0..count).map(|_| Scene::draw(&mut stream)).collect();
    let context = context(&scenes, &mut stream);
    let humans = scenes.iter().map(|scene| scene.human(&mut stream)).collect();
    (scenes, context, humans)
}

/// An optimizer over the variables of one branch.
pub struct Learner {
    vars: BTreeMap<String, candle_core::Var>,
    adamw: AdamW,
}

impl Learner {
    pub fn new(vars: &BTreeMap<String, candle_core::Var>) -> Learner {
        Learner { vars: vars.clone(), adamw: AdamW::new(vars, AdamWOptions::default()).unwrap() }
    }

    pub fn step(&mut self, loss: &Tensor, lr: f64) {
        let grads = Gradients::take(&mut loss.backward().unwrap(), &self.vars).unwrap();
        let clip = clip_coefficient(grads.norm().unwrap(), 1.0);
        assert_eq!(self.adamw.step(&grads, lr, clip).unwrap(), Outcome::Stepped);
    }
}

/// One stream a frame of a step.
pub fn streams(seed: u64, step: usize, frames: usize) -> Vec<Stream> {
    (0..frames).map(|frame| Stream::new(seed, &format!("tree.{step}.{frame}"))).collect()
}

#[test]
fn scores_of_known_drives() {
    let blocked = Scene { kind: Kind::Blocked, speed: 8.0, distance: 20.0, curvature: 0.0 };
    assert_eq!(blocked.score(&blocked.drive(0.0, 0.0)).nc, 0.0);
    let passing = blocked.score(&blocked.drive(0.0, 3.2));
    assert_eq!((passing.nc, passing.dac, passing.ep, passing.comfort), (1.0, 1.0, 1.0, 1.0));
    let red = Scene { kind: Kind::RedLight, ..blocked };
    assert_eq!(red.score(&red.drive(0.0, 0.0)).dac, 0.0);
    assert_eq!(red.score(&red.drive(-2.0, 0.0)).dac, 1.0);
    for curvature in [0.03, -0.03] {
        let bend = Scene { kind: Kind::Bend, curvature, ..blocked };
        let (along, left) = bend.lane(bend.pose(13.0, 0.7, 0.0));
        assert!((along - 13.0).abs() < 1e-9 && (left - 0.7).abs() < 1e-9, "{along} {left}");
        assert_eq!(bend.score(&bend.drive(0.0, 0.0)).dac, 1.0);
        let straight = Scene { curvature: 0.0, ..bend }.drive(0.0, 0.0);
        assert_eq!(bend.score(&straight).dac, 0.0, "straight on leaves the bend");
    }
}
