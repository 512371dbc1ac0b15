//! Trajectory branches at the wheel: twice a second they see the front camera and plan 4 s, and a tracker follows the last
//! plan in between. Nothing is written in words, so a meta-action leads nowhere.
//!
//! Branches plan poses of the rear axle; the tracker, like the simulator, follows the middle of the car. A plan that
//! stands still is a braked stop, because predicted poses never lie on each other exactly.

use super::{
    drive::{due, front},
    trajectory::TrajectoryPlanner,
};
use crate::{
    error::{Failure, Result},
    generate::Look,
    trajectory::{Decision, Ego, Route},
    vlm::image::Rgb,
};
use rayon::prelude::*;
use scene::{Command, Pose, Trajectory, dynamics::vehicle::TO_CENTER};
use sim::{
    Action, Batch, Scene,
    describe::command,
    policy::{Policy, tracker},
    render::{Camera, Stage},
};

/// Metres in 4 s up to which a plan stands still.
const STILL: f64 = 0.5;
/// m/s below which a plan that ends so has stopped.
const CREEP: f32 = 0.3;

/// Branches as a driver.
pub struct BranchDriver<'a> {
    planner: &'a TrajectoryPlanner<'a>,
    camera: Camera,
    look: Look,
    batch: usize,
    stages: Vec<Stage>,
    cars: Vec<Option<Car>>,
    /// Plans made.
    pub made: usize,
    /// Plans that left the reference.
    pub left: usize,
    failure: Option<Failure>,
}

#[derive(Clone)]
struct Car {
    /// Of the middle of the car, seen from where it was.
    trajectory: Trajectory,
    plan: tracker::Plan,
}

impl<'a> BranchDriver<'a> {
    /// A driver with a camera that plans for `batch` scenes at a time.
    pub fn new(planner: &'a TrajectoryPlanner<'a>, camera: Camera, look: Look, batch: usize) -> Self {
        let (stages, cars) = (Vec::new(), Vec::new());
        BranchDriver { planner, camera, look, batch, stages, cars, made: 0, left: 0, failure: None }
    }

    /// What went wrong while driving, if anything did: the drive then counts for nothing.
    ///
    /// # Errors
    /// Device trouble, branches that say what is not finite.
    pub fn finish(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Plans anew for some scenes.
    fn look_ahead(&mut self, batch: &Batch, scenes: &[usize]) -> Result<()> {
        for chunk in scenes.chunks(self.batch.max(1)) {
            let (camera, look, stages) = (&self.camera, self.look, &self.stages);
            let see = |&i: &usize| front(&batch.scene(i), &stages[i], camera, look);
            let pictures: Vec<Rgb> = chunk.par_iter().map(see).collect::<Result<_>>()?;
            let egos = chunk.iter().map(|&i| ego(&batch.scene(i))).collect();
            let pictures: Vec<&Rgb> = pictures.iter().collect();
            for (&i, decision) in chunk.iter().zip(self.planner.plan(&pictures, egos, &vec![None; chunk.len()])?) {
                self.made += 1;
                self.left += usize::from(decision.chosen > 0);
                self.cars[i] = Some(Car::new(&batch.scene(i), &decision));
            }
        }
        Ok(())
    }
}

/// The ego of a scene, as records tell of it.
fn ego(scene: &Scene) -> Ego {
    Ego {
        route: Route::of(&Command::from(command(scene))),
        velocity: [f64::from(scene.v[0]), 0.0],
        acceleration: [f64::from(scene.a[0]), 0.0],
    }
}

impl Car {
    fn new(scene: &Scene, decision: &Decision) -> Car {
        let trajectory = of_middle(decision.trajectory());
        let place = Pose::new(scene.x[0].into(), scene.y[0].into(), scene.heading[0].into());
        let mut plan = tracker::Plan::of_poses(&trajectory, place, scene.v[0]);
        if stands(&trajectory) {
            let still = Trajectory { poses: Vec::new(), ..trajectory.clone() };
            plan = tracker::Plan { speed: vec![0.0], ..tracker::Plan::of_poses(&still, place, 0.0) };
        } else {
            plan.speed.iter_mut().rev().take_while(|speed| **speed < CREEP).for_each(|speed| *speed = 0.0);
        }
        Car { trajectory, plan }
    }
}

/// The way of the middle of the car, seen from it, for a way of its rear axle.
fn of_middle(axle: &Trajectory) -> Trajectory {
    let middle = |pose: &Pose| {
        let (sin, cos) = pose.heading.sin_cos();
        Pose::new(pose.x + TO_CENTER * (cos - 1.0), pose.y + TO_CENTER * sin, pose.heading)
    };
    Trajectory { step: axle.step, poses: axle.poses.iter().map(middle).collect() }
}

/// Whether a plan goes nowhere.
fn stands(trajectory: &Trajectory) -> bool {
    trajectory.poses.iter().all(|pose| pose.x.hypot(pose.y) < STILL)
}

impl Policy for BranchDriver<'_> {
    fn name(&self) -> &str {
        "branches"
    }

    fn reset(&mut self, batch: &Batch) {
        self.stages = batch.worlds.par_iter().map(|world| Stage::new(&world.scenario.map)).collect();
        self.cars = vec![None; batch.len()];
        self.failure = None;
    }

    fn act(&mut self, batch: &Batch, actions: &mut [Action]) {
        let (running, due) = due(batch);
        if self.failure.is_none()
            && let Err(failure) = self.look_ahead(batch, &due)
        {
            self.failure = Some(failure);
        }
        for i in running {
            let follow = |car: &mut Car| car.plan.follow(&batch.scene(i));
            actions[i] = self.cars[i].as_mut().map_or_else(Action::default, follow);
        }
    }

    fn plan(&self, _: &Batch, scene: usize) -> Option<Trajectory> {
        self.cars.get(scene)?.as_ref().map(|car| car.trajectory.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_swings_out_where_the_axle_turns() {
        let quarter = std::f64::consts::FRAC_PI_2;
        let axle = Trajectory::half_second(vec![Pose::new(5.0, 0.0, 0.0), Pose::new(5.0, 3.0, quarter)]);
        let middle = of_middle(&axle).poses;
        assert_eq!(middle[0], Pose::new(5.0, 0.0, 0.0));
        assert!((middle[1].x - (5.0 - TO_CENTER)).abs() < 1e-12 && (middle[1].y - (3.0 + TO_CENTER)).abs() < 1e-12);
    }

    #[test]
    fn trembling_is_standing() {
        let along =
            |far: f64| Trajectory::half_second((1..=8).map(|t| Pose::new(far * f64::from(t), 0.01, 0.0)).collect());
        assert!(stands(&along(0.05)) && stands(&along(-0.05)) && !stands(&along(0.1)));
    }
}
