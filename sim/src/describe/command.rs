//! The navigation command of the moment, from the route alone: what a navigation device would say. It is given from
//! 50 m before a turn until the turn is done, so that it does not tell when the turn begins.

use super::corridor::Corridor;
use crate::batch::Scene;
use crate::scenario::Turn;

/// Metres before a junction at which it is announced.
pub const ANNOUNCED: f32 = 50.0;

/// What navigation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Command {
    /// Nothing in particular.
    #[default]
    Follow,
    /// A turn to the left at the next junction.
    TurnLeft,
    /// A turn to the right at the next junction.
    TurnRight,
    /// Straight over the next junction.
    Straight,
    /// The route goes on in the lane to the left.
    ChangeLeft,
    /// The route goes on in the lane to the right.
    ChangeRight,
}

impl Command {
    /// Every command.
    pub const ALL: [Command; 6] = [
        Command::Follow,
        Command::TurnLeft,
        Command::TurnRight,
        Command::Straight,
        Command::ChangeLeft,
        Command::ChangeRight,
    ];

    /// Its words.
    pub fn as_str(self) -> &'static str {
        match self {
            Command::Follow => "follow the road",
            Command::TurnLeft => "turn left",
            Command::TurnRight => "turn right",
            Command::Straight => "go straight",
            Command::ChangeLeft => "change to the left lane",
            Command::ChangeRight => "change to the right lane",
        }
    }
}

impl From<Command> for scene::Command {
    fn from(command: Command) -> scene::Command {
        scene::Command(command.as_str().to_owned())
    }
}

/// The command for ego now.
pub fn command(scene: &Scene) -> Command {
    of(&Corridor::new(scene))
}

pub(super) fn of(corridor: &Corridor) -> Command {
    match corridor.junction() {
        Some((distance, turn)) if distance <= ANNOUNCED => match turn {
            Turn::Left => return Command::TurnLeft,
            Turn::Right => return Command::TurnRight,
            _ => {}
        },
        _ => {}
    }
    match corridor.route_side() {
        1 => return Command::ChangeLeft,
        -1 => return Command::ChangeRight,
        _ => {}
    }
    match corridor.junction() {
        Some((distance, _)) if distance <= ANNOUNCED => Command::Straight,
        _ => Command::Follow,
    }
}
