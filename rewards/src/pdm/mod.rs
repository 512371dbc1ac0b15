//! NAVSIM scores: PDMS (v1) and EPDMS (v2), exact and fast enough to be a reward.
//!
//! A [`MetricCache`] is prepared once per scene: map and agents indexed, the PDM-Closed reference and the human
//! simulated and scored. [`score_batch`] then scores any number of plans against it without allocating,
//! [`score_one`] is the reward call, and [`score_official`] repeats all that the reference repeats for every plan.
//! One file per sub-score. Quirks of the reference are switches in [`Compat`].
//!
//! Speed: `reinsman bench score`, one thread, measured in `eval/LOG.md`. One plan takes about 10 us, of which the
//! simulation takes a third (123 trigonometric functions and 400 dependent steps) and locating 205 points on the map nearly half.
//! One plan at a time that is near the floor: each part is bound by latency, not by work that could be left out; going on
//! would mean several plans per vector instruction.
//!
//! Reference: NAVSIM v2.2 and v1.1 with nuPlan's devkit, as written down in the project's specification of the metrics;
//! "spec" and "pitfall" numbers refer to it.

pub mod aggregate;
mod areas;
mod batch;
mod cache;
mod center_line;
pub mod closed;
mod comfort;
mod compat;
mod dac;
mod ddc;
mod ec;
mod ep;
mod error;
mod filter;
mod grid;
mod ground;
mod hc;
mod lk;
mod motion;
mod nc;
mod observation;
mod raw;
mod reactive;
mod ride;
pub mod savgol;
mod scores;
mod tlc;
mod ttc;
mod two_stage;

pub use areas::{EgoAreas, ego_areas};
pub use batch::{Filter, Proposal, score_batch, score_official, score_one, score_parallel, score_states};
pub use cache::{MetricCache, PreviousPlan, Traffic};
pub use comfort::ComfortFlags;
pub use compat::{Compat, Version};
pub use ec::{EcFilters, ExtendedComfort, Ride, extended_comfort};
pub use error::{PdmError, check_plan};
pub use ground::Ground;
pub use hc::{comfort_flags, comfort_samples};
pub use observation::{Observation, RedArea};
pub use raw::{Workspace, raw_scores};
pub use reactive::{Reactive, ReactiveError};
pub use ride::RideCheck;
pub use scores::{RawScores, Scores};
pub use two_stage::{Averages, Frame, Mapping, TokenResult, TwoStage, log_comfort, two_stage};
