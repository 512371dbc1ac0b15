//! One step of a scene, 0.1 s: who moves how, what touches, what the rules say.

use crate::batch::{Action, Batch, SceneMut};

impl Batch {
    /// Advances every scene by one step of [`crate::scenario::DT`]. `actions` holds one for each scene: ego's.
    ///
    /// # Panics
    /// When there are fewer actions than scenes.
    pub fn step(&mut self, actions: &[Action]) {
        assert!(actions.len() >= self.len(), "one action for each scene");
        self.for_each(|i, scene| step(scene, actions[i]));
    }
}

fn step(scene: SceneMut<'_>, _ego: Action) {
    if scene.head.done {
        return;
    }
    scene.head.step += 1;
}
