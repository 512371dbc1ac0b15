//! What can drive: one file per policy. So far the vision-language planner: where its files are ([`source`]), what
//! belongs together ([`planner`]), asking it ([`ask`]), the exact probability of every label ([`choices`]) and asking it
//! a whole set of records ([`evaluate`]).

pub mod ask;
pub mod card;
pub mod choices;
pub mod digest;
pub mod evaluate;
pub mod fresh;
pub mod planner;
pub mod source;

pub use ask::{Completion, Decoding};
pub use choices::Probabilities;
pub use planner::{Planner, Question};
pub use source::Source;
