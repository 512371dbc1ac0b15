//! NAVSIM evaluations: trajectories scored scene by scene ([`judge`]), one line each ([`entry`]), averages with intervals
//! ([`table`]), and what a reader sees: a table, a page with the worst cases drawn from above ([`bev`]).

pub mod bev;
pub mod entry;
pub mod judge;
pub mod page;
pub mod table;
pub mod terminal;
mod view;
pub mod worst;

pub use entry::{Column, Entry};
pub use judge::{Judge, JudgeError, Judged, Policy, Subject};
pub use table::{Line, Stages, Table};
pub use worst::{Case, Worst};
