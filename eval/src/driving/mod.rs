//! Closed-loop scores of driven episodes: driving score and success, efficiency, comfort, abilities, infractions, time to
//! collision, HD-Score, with intervals.
//!
//! Formulas follow Bench2Drive's evaluator (Jia et al. 2024, arXiv 2406.03877), which builds on CARLA's leaderboard, and
//! HUGSIM (Zhou et al. 2024, arXiv 2412.01718). Deviations are numbered where they are made.

pub mod ability;
pub mod comfort;
pub mod efficiency;
pub mod hd;
pub mod penalty;
pub mod replay;
mod report;
mod route;
pub mod suite;

pub use report::{AbilityLine, DrivingReport, InfractionLine, report};
pub use route::{Infraction, RouteScore, route};
pub use suite::{Suite, SuiteError};
