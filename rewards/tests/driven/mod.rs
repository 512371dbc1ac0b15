//! References whose plans have been driven out: outcomes that are made up, the same in a mirrored world.

use rewards::{Driven, Outcome, Outcomes, Reference};
use scene::MetaAction;
use std::sync::Arc;

/// The driven plan is the best; others have something from 0 to 1, and some are not what the car then did.
pub fn reference(driven: MetaAction) -> Reference {
    let outcomes = Outcomes::new(|said| {
        let (speed, path) = (said.speed == driven.speed, said.path == driven.path);
        let rank = (3 * said.speed.index() + driven.speed.index()) % 5;
        let driving = if speed && path { 1.0 } else { rank as f64 / if path { 8.0 } else { 16.0 } };
        let (pdms, utility) = (Some(1.0 - 0.5 * driving), Some(0.5 * driving));
        Outcome { driving, pdms, utility, as_said: path || rank < 3, ..Outcome::default() }
    });
    with(Reference::from(driven), outcomes)
}

/// A reference with these outcomes.
pub fn with(reference: Reference, outcomes: Outcomes) -> Reference {
    Reference { driven: Some(Arc::new(Driven { outcomes: Some(outcomes), ..Driven::default() })), ..reference }
}
