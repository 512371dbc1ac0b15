//! Reinsman trains, evaluates and debugs reasoning driving planners.
//!
//! Data flows one way: `vlm` (models) <- `trajectory` (heads that plan poses) <- `policy` (what can drive) <- `train` <- `cli` (verbs).
//! `bench` measures what the first three cost, `reproduce` trains what papers claim. `settings` turns what was typed into checked options; `error` is what
//! everything returns. `device` (where models compute), `files` (atomic writes), `hub` (models by name) and `streams` (random numbers)
//! serve all of them.

pub mod bench;
pub mod cli;
pub mod device;
pub mod error;
pub mod files;
pub mod generate;
pub mod hub;
pub mod memory;
pub mod picture;
pub mod policy;
pub mod reproduce;
pub mod settings;
pub mod streams;
pub mod train;
pub mod trajectory;
pub mod vlm;
