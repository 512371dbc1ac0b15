//! What a completion is compared with: the labels of the driven plan and, for terms that look at metres instead of
//! words, the drive itself. Everything is optional; a term that misses what it needs does not apply.

use crate::Outcomes;
use scene::{MetaAction, PathAction, SpeedAction, Trajectory, world::Scene};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the completion is compared with; an axis may be unknown. `..Reference::default()` leaves the rest out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reference {
    /// The driven speed action.
    pub speed: Option<SpeedAction>,
    /// The driven path action.
    pub path: Option<PathAction>,
    /// What was driven, for trajectory and simulator terms. Shared, since a scene is large and a group is scored
    /// with one reference; not written to files.
    #[serde(skip)]
    pub driven: Option<Arc<Driven>>,
}

/// A drive beyond its labels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Driven {
    /// Driven poses in the ego frame of the frame that was asked about.
    pub trajectory: Option<Trajectory>,
    /// Map, traffic and ego state at that frame, enough to score or to simulate a trajectory.
    pub scene: Option<Scene>,
    /// What came of every joint plan that was driven out from that frame on.
    pub outcomes: Option<Outcomes>,
}

impl From<MetaAction> for Reference {
    fn from(action: MetaAction) -> Self {
        Reference { speed: Some(action.speed), path: Some(action.path), driven: None }
    }
}
