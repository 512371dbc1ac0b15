//! What decides for ego.

use crate::batch::{Action, Batch};

/// A driver of ego in many scenes at once.
pub trait Policy {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// Forgets everything: the batch is at its start.
    fn reset(&mut self, batch: &Batch);

    /// Decides for each scene for the next step; scenes that are done may be left out. `actions` has one for each scene.
    fn act(&mut self, batch: &Batch, actions: &mut [Action]);
}
