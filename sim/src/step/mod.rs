//! One step of a scene, 0.1 s: who moves how, what touches, what the rules say.
//!
//! All decisions are taken on the state before the step, agent by agent in order, then everybody moves, then ego's events
//! are found on the state after it.

mod collide;
mod ego;
mod rail;
mod rules;
mod traffic;
mod ttc;

use crate::batch::{Action, Batch, SceneMut, flag};

impl Batch {
    /// Advances every scene by one step of [`crate::scenario::DT`]. `actions` holds one for each scene: ego's.
    ///
    /// # Panics
    /// When there are fewer actions than scenes.
    pub fn step(&mut self, actions: &[Action]) {
        assert!(actions.len() >= self.len(), "one action for each scene");
        self.for_each(|i, scene| step(scene, actions[i]));
    }

    /// Advances one scene on the calling thread.
    ///
    /// # Panics
    /// When the scene does not exist.
    pub fn step_scene(&mut self, scene: usize, action: Action) {
        step(self.scene_mut(scene), action);
    }
}

fn step(mut scene: SceneMut<'_>, action: Action) {
    if scene.head.done || scene.world.agents.is_empty() {
        return;
    }
    let scene = &mut scene;
    traffic::decide(scene);
    let before = ego::Pose::of(scene);
    ego::drive(scene, action);
    rail::advance(scene);
    scene.head.step += 1;
    collide::traffic(scene);
    let contact = collide::ego(scene, &before);
    if contact.ahead {
        // It does not drive through what it has hit.
        before.restore(scene);
    }
    rules::judge(scene, &before);
    scene.flags[0] = lights(scene.flags[0], scene.a[0] < -0.5 || scene.v[0] < 0.05);
}

/// Flags with the brake lights set or cleared.
fn lights(flags: u32, braking: bool) -> u32 {
    if braking { flags | flag::BRAKING } else { flags & !flag::BRAKING }
}
