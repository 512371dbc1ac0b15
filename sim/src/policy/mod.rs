//! What decides for ego.

pub mod meta;
pub mod simple;
pub mod tracker;

use crate::batch::{Action, Batch};
use scene::Trajectory;

pub use simple::{ConstantSpeed, IdmOnly};

/// A driver of ego in many scenes at once.
pub trait Policy {
    /// Its name in tables.
    fn name(&self) -> &str;

    /// Forgets everything: the batch is at its start.
    fn reset(&mut self, batch: &Batch);

    /// Decides for each scene for the next step; scenes that are done may be left out. `actions` has one for each scene.
    fn act(&mut self, batch: &Batch, actions: &mut [Action]);

    /// What it intends in a scene now, seen from ego; `None` when it has no plan.
    fn plan(&self, _batch: &Batch, _scene: usize) -> Option<Trajectory> {
        None
    }
}
