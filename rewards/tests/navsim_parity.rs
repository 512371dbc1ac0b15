//! The scorer against the reference implementation: every sub-score of every proposal of every fixture scene, IDM tracks
//! and scores, PDM-Closed plans and the fields derived for them.
//!
//! Discrete sub-scores must be equal, continuous scores agree to 1e-9, simulated states to 1e-8. All deviations are
//! collected before the test fails. `REINSMAN_NAVSIM_FIXTURES` names another folder of the same schema.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "navsim/fixture.rs"]
#[allow(dead_code)]
mod fixture;
#[path = "navsim/parity.rs"]
mod parity;
#[path = "navsim/traffic.rs"]
mod traffic;
