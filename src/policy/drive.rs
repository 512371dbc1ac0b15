//! A vision-language planner at the wheel: twice a second it is shown the front camera and asked for a plan; a tracker
//! follows the last plan in between ([`sim::policy::meta`]).

use super::{Decoding, Planner};
use crate::{
    error::{Failure, Result},
    generate::Look,
    vlm::{encode::Encoded, image::Rgb},
};
use data::Ego;
use rayon::prelude::*;
use scene::{MetaAction, Mode, PathAction, SpeedAction};
use sim::{
    Action, Batch, Scene,
    describe::command,
    policy::{Policy, meta, tracker},
    render::{Camera, Frame, Stage},
    view,
};

/// Simulator steps between two questions: 2 Hz.
pub const EVERY: u32 = 5;

/// The planner as a driver.
pub struct VlmDriver<'a> {
    planner: &'a Planner,
    camera: Camera,
    look: Look,
    think: bool,
    decoding: Decoding,
    batch: usize,
    stages: Vec<Stage>,
    cars: Vec<Car>,
    /// Questions asked.
    pub asked: usize,
    /// Answers that were no plan; the plan before is kept.
    pub unread: usize,
    failure: Option<Failure>,
}

#[derive(Default, Clone)]
struct Car {
    action: Option<MetaAction>,
    offset: f32,
    plan: Option<tracker::Plan>,
}

/// How it is asked.
pub struct Asking {
    /// Its camera.
    pub camera: Camera,
    /// How the world looks.
    pub look: Look,
    /// Reasoning before the answer.
    pub think: bool,
    /// How answers are drawn.
    pub decoding: Decoding,
    /// Answers written at the same time.
    pub batch: usize,
}

impl<'a> VlmDriver<'a> {
    /// A driver that asks `planner`.
    pub fn new(planner: &'a Planner, asking: Asking) -> Self {
        let Asking { camera, look, think, decoding, batch } = asking;
        let (stages, cars) = (Vec::new(), Vec::new());
        VlmDriver { planner, camera, look, think, decoding, batch, stages, cars, asked: 0, unread: 0, failure: None }
    }

    /// What went wrong while driving, if anything did: the drive then counts for nothing.
    ///
    /// # Errors
    /// Device trouble, prompts that cannot be rendered.
    pub fn finish(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Asks about some scenes and keeps what is answered.
    fn ask(&mut self, batch: &Batch, scenes: &[usize]) -> Result<()> {
        let (camera, look, stages) = (&self.camera, self.look, &self.stages);
        let (planner, think) = (self.planner, self.think);
        let encode = |&i: &usize| -> Result<Encoded> {
            let scene = batch.scene(i);
            let picture = front(&scene, &stages[i], camera, look)?;
            // As precise as in the training records.
            let speed_mps = (f64::from(scene.v[0]) * 10.0).round() / 10.0;
            let ego = Ego { speed_mps, command: command(&scene).into() };
            planner.encode(&planner.question(&ego, vec![picture], think)?)
        };
        for chunk in scenes.chunks(self.batch.max(1)) {
            let rows: Vec<Encoded> = chunk.par_iter().map(encode).collect::<Result<_>>()?;
            let refs: Vec<&Encoded> = rows.iter().collect();
            let seeds = vec![self.decoding.seed; rows.len()];
            let answers = planner.generate(&refs, &seeds, &self.decoding, &mut |_, _| true)?;
            for (&i, answer) in chunk.iter().zip(answers) {
                self.asked += 1;
                match scene::parse(&answer.text, Mode::Strict) {
                    Ok(plan) => self.cars[i].action = Some(plan.action),
                    Err(_) => self.unread += 1,
                }
            }
        }
        Ok(())
    }
}

/// What ego's front camera sees.
pub(super) fn front(scene: &Scene, stage: &Stage, camera: &Camera, look: Look) -> Result<Rgb> {
    let mut frame = Frame::new(false);
    view::look(scene, 0, stage, camera, &look.style(scene.world.scenario.seed), &mut Vec::new(), &mut frame);
    Rgb::new(frame.width, frame.height, frame.rgb)
}

/// Running scenes, and those of them whose plan is due.
pub(super) fn due(batch: &Batch) -> (Vec<usize>, Vec<usize>) {
    let running: Vec<usize> = (0..batch.len()).filter(|&i| !batch.scene(i).head.done).collect();
    let due = running.iter().copied().filter(|&i| batch.scene(i).head.step.is_multiple_of(EVERY)).collect();
    (running, due)
}

impl Policy for VlmDriver<'_> {
    fn name(&self) -> &str {
        "vlm"
    }

    fn reset(&mut self, batch: &Batch) {
        self.stages = batch.worlds.par_iter().map(|world| Stage::new(&world.scenario.map)).collect();
        self.cars = vec![Car::default(); batch.len()];
        self.failure = None;
    }

    fn act(&mut self, batch: &Batch, actions: &mut [Action]) {
        let (running, due) = due(batch);
        if self.failure.is_none()
            && let Err(failure) = self.ask(batch, &due)
        {
            self.failure = Some(failure);
        }
        for &i in &due {
            let car = &mut self.cars[i];
            let action = car.action.unwrap_or(MetaAction { speed: SpeedAction::Keep, path: PathAction::Straight });
            car.plan = meta::plan(&batch.scene(i), action, &mut car.offset);
        }
        for i in running {
            let follow = |plan: &mut tracker::Plan| plan.follow(&batch.scene(i));
            actions[i] = self.cars[i].plan.as_mut().map_or_else(Action::default, follow);
        }
    }
}
