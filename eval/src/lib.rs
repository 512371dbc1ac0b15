//! Reinsman eval.
#![forbid(unsafe_code)]
pub mod metrics;
pub mod released;
pub mod text;
