//! What can drive: one file per policy. So far the vision-language planner: where its files are ([`source`]), what
//! belongs together ([`planner`]; without the weights [`language`]), asking it ([`ask`]), the exact probability of every label ([`choices`]), both with the
//! plan that was written ([`planned`]) and a whole set of records ([`evaluate`]), at the wheel in the simulator ([`drive`]). [`frames`] finds the pictures that a
//! user means, [`eyes`] lends a planner's vision tower to trajectory branches, [`trajectory`] plans with them,
//! [`branch_driver`] puts them at the wheel, [`whole`] is a planner on its way to a file.

pub mod ask;
pub mod branch_driver;
pub mod card;
pub mod choices;
pub mod digest;
pub mod drive;
pub mod evaluate;
pub mod eyes;
pub mod frames;
pub mod fresh;
pub mod language;
pub mod planned;
pub mod planner;
pub mod source;
pub mod trajectory;
pub mod whole;

pub use ask::{Completion, Decoding, Seen};
pub use choices::Probabilities;
pub use language::Language;
pub use planned::Planned;
pub use planner::{Planner, Question};
pub use source::Source;
pub use trajectory::TrajectoryPlanner;
pub use whole::Whole;
