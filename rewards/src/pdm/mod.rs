//! NAVSIM scores: PDMS (v1) and EPDMS (v2), exact and fast enough to be a reward.
//!
//! A [`MetricCache`] is prepared once per scene: map and agents indexed, the PDM-Closed reference and the human
//! simulated and scored. [`score_batch`] then scores any number of plans against it without allocating,
//! [`score_one`] is the reward call, and [`score_official`] repeats all that the reference repeats for every plan.
//! One file per sub-score. Quirks of the reference are switches in [`Compat`].
//!
//! Reference: NAVSIM v2.2 and v1.1 with nuPlan's devkit, as written down in the project's specification of the metrics;
//! "spec" and "pitfall" numbers refer to it.

mod batch;
mod cache;
pub mod closed;
mod compat;
mod error;
mod ground;
mod observation;
mod raw;
mod scores;

pub use batch::{Filter, Proposal, score_batch, score_official, score_one, score_parallel};
pub use cache::{MetricCache, Traffic};
pub use compat::{Compat, Version};
pub use error::{PdmError, check_plan};
pub use ground::Ground;
pub use observation::{Observation, RedArea};
pub use raw::{Workspace, raw_scores};
pub use scores::{RawScores, Scores};
