//! The drives that training frames are taken from: the rule expert or another driver from a perturbed start, a function of
//! family, seed and driver alone, so that every moment of one can be had again.

use crate::batch::{Action, Batch};
use crate::driver::Driver;
use crate::expert::{Decision, RuleExpert};
use crate::families::Family;
use crate::math;
use crate::policy::Policy;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::world::World;
use std::sync::Arc;

/// A driver at the wheel in one scene, and where ego has been.
#[derive(Debug, Clone)]
pub struct Drive {
    /// One scene, as it is now.
    pub batch: Batch,
    /// Ego at the start and after each step until now: x, y, heading, speed, acceleration.
    pub past: Vec<[f32; 5]>,
    expert: RuleExpert,
    actions: [Action; 1],
}

/// Ego off its line, turned and at another speed at the start: what a driver has to come back from.
fn perturb(scenario: &mut Scenario, seed: u64) {
    let mut rng = Rng::new(seed, "perturbed start");
    let Some(ego) = scenario.agents.first_mut() else { return };
    if rng.chance(0.4) {
        return;
    }
    let (aside, turned, faster) = (0.35 * rng.bell(), 0.04 * rng.bell(), 1.5 * rng.bell());
    let (sin, cos) = math::sin_cos(ego.pose[2]);
    ego.pose = [ego.pose[0] - aside * sin, ego.pose[1] + aside * cos, ego.pose[2] + turned];
    ego.speed = (ego.speed + faster).clamp(0.0, 25.0);
}

impl Drive {
    /// At the start of the family's scenario of a seed.
    pub fn new(family: &Family, seed: u64, driver: Driver) -> Drive {
        let mut scenario = (family.make)(seed);
        perturb(&mut scenario, seed);
        let batch = Batch::new(vec![Arc::new(World::new(scenario))]);
        let mut expert = RuleExpert::of(driver);
        expert.reset(&batch);
        let mut drive = Drive { batch, past: Vec::new(), expert, actions: [Action::default()] };
        drive.note();
        drive
    }

    /// So many steps after the start; `None` when the drive ends before.
    pub fn at(family: &Family, seed: u64, driver: Driver, step: usize) -> Option<Drive> {
        let mut drive = Drive::new(family, seed, driver);
        for _ in 0..step {
            if drive.done() {
                return None;
            }
            drive.decide();
            drive.step();
        }
        Some(drive)
    }

    /// Who drives.
    pub fn driver(&self) -> Driver {
        self.expert.driver()
    }

    /// Lets another driver go on from here.
    pub fn hand_over(&mut self, driver: Driver) {
        self.expert.hand_over(driver);
    }

    /// Whether it is over.
    pub fn done(&self) -> bool {
        self.batch.scene(0).head.done
    }

    /// What the driver does now; `None` when ego has no route. Once before each step.
    pub fn decide(&mut self) -> Option<&Decision> {
        self.expert.act(&self.batch, &mut self.actions);
        self.expert.decision(0)
    }

    /// Does it.
    pub fn step(&mut self) {
        self.batch.step(&self.actions);
        self.note();
    }

    fn note(&mut self) {
        let scene = self.batch.scene(0);
        self.past.push([scene.x[0], scene.y[0], scene.heading[0], scene.v[0], scene.a[0]]);
    }
}
