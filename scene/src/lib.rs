//! The vocabulary that every part of Reinsman speaks: meta-actions, plans, commands, poses and
//! trajectories, how a plan is labelled from driven metres, and how it is read out of model text; scenes with map and
//! agents, plane geometry, and the dynamics of the scored car.
//!
//! Axes: x forward, y left, heading counter-clockwise; metres, seconds, radians.

#![forbid(unsafe_code)]

pub mod command;
pub mod derive;
pub mod dynamics;
pub mod geometry;
pub mod idm;
pub mod label;
pub mod meta_action;
pub mod parse;
pub mod plan;
pub mod pose;
pub mod world;

pub use command::{Command, CommandError};
pub use label::{LabelError, LabelRule};
pub use meta_action::{MetaAction, PathAction, SpeedAction, UnknownLabel};
pub use parse::{Mode, ParseFailure, parse};
pub use plan::Plan;
pub use pose::{Pose, Trajectory};
