//! A batched driving simulator of a bounding-box world: roads, traffic, rules, frames.
//!
//! A [`scenario::Scenario`] (native file, importer or scenario family) is compiled into a [`world::World`], many worlds run
//! side by side in a [`batch::Batch`], whose scenes step, fork and are drawn independently of each other. Everything is
//! a function of the scenario and the actions: counter-based random numbers, own trigonometry, no order of threads.
//!
//! Axes as in `scene`: x forward or east, y left or north, headings counter-clockwise; metres, seconds, radians.

#![deny(unsafe_code)] // render::simd alone may, for vector instructions

pub mod batch;
pub mod boxes;
pub mod conflict;
pub mod describe;
pub mod drive;
pub mod driver;
pub mod event;
pub mod expert;
pub mod families;
pub mod import;
pub mod math;
pub mod moment;
pub mod path;
pub mod policy;
pub mod render;
pub mod rng;
pub mod road;
pub mod scenario;
mod start;
mod step;
pub mod view;
pub mod visibility;
pub mod world;

pub use batch::{Action, Batch, Scene};
pub use scenario::Scenario;
pub use world::World;
