//! Parity of the reinforcement-learning mathematics with TRL: every case found in the fixture folder, alone and through
//! the models. `REINSMAN_HF_FIXTURES` points at another folder of the same layout, as for `hf_parity`, which has the
//! schedules and the sampling warpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod advantages;
#[allow(dead_code)]
#[path = "../hf_parity/case.rs"]
mod case;
mod check;
mod dpo;
mod extremes;
mod losses;
mod models;
#[allow(dead_code)]
#[path = "../hf_parity/support.rs"]
mod support;
