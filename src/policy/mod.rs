//! What can drive: one file per policy. So far the vision-language planner: where its files are ([`source`]), what
//! belongs together ([`planner`]), all of it but the weights ([`language`]), asking it ([`ask`]) and the exact probability of every label ([`choices`]).

pub mod ask;
pub mod card;
pub mod choices;
pub mod fresh;
pub mod language;
pub mod planner;
pub mod source;

pub use ask::{Completion, Decoding};
pub use choices::Probabilities;
pub use language::Language;
pub use planner::{Planner, Question};
pub use source::Source;
