//! Scenario families: generators of situations with a name and abilities; a seed gives one scenario, always the same.
//!
//! Sixteen families follow the groups of Bench2Drive's scenario types, four those of DriveOcclusionSim, and `open_road` gives
//! training data of wide variety. To add one: a file with its `FAMILY`, and a line in [`ALL`].

pub mod crossroads;
pub mod curve;
pub mod draw;
pub mod dress;
pub mod junction;
pub mod place;
pub mod roads;
pub mod stage;
pub mod street;

mod cut_in;
mod cyclist_flow;
mod dos_left_turn;
mod dos_parked_cars;
mod dos_red_light_infraction;
mod dos_sudden_brake;
mod emergency_vehicle;
mod invading_oncoming;
mod lane_change_chain;
mod lead_hard_brake;
mod merge;
mod obstacle_bypass;
mod occluded_pedestrian;
mod open_road;
mod pedestrian_dart_out;
mod red_light_runner;
mod right_turn;
mod signal;
mod stop_sign;
mod two_way_bypass;
mod unprotected_left;

use crate::scenario::{Ability, Scenario};

/// A generator of scenarios.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Unique.
    pub name: &'static str,
    /// Bench2Drive abilities that it tests.
    pub abilities: &'static [Ability],
    /// One sentence.
    pub about: &'static str,
    /// Scenario of a seed.
    pub make: fn(seed: u64) -> Scenario,
}

/// Every family.
pub const ALL: &[Family] = &[
    obstacle_bypass::FAMILY,
    two_way_bypass::FAMILY,
    cut_in::FAMILY,
    merge::FAMILY,
    lane_change_chain::FAMILY,
    lead_hard_brake::FAMILY,
    pedestrian_dart_out::FAMILY,
    occluded_pedestrian::FAMILY,
    cyclist_flow::FAMILY,
    unprotected_left::FAMILY,
    right_turn::FAMILY,
    red_light_runner::FAMILY,
    stop_sign::FAMILY,
    signal::FAMILY,
    emergency_vehicle::FAMILY,
    invading_oncoming::FAMILY,
    dos_parked_cars::FAMILY,
    dos_sudden_brake::FAMILY,
    dos_left_turn::FAMILY,
    dos_red_light_infraction::FAMILY,
    open_road::FAMILY,
];

/// The family of a name.
pub fn find(name: &str) -> Option<&'static Family> {
    ALL.iter().find(|family| family.name == name)
}
