//! The mathematics that reinforcement-learning and preference trainers share: group advantages, policy losses, and
//! preference losses, as pure functions with the names, the numbers and the logged metrics of TRL 1.16.
//!
//! Losses are computed on the host in f64 with analytic gradients: there are only B x T numbers, a masked token cannot
//! poison its neighbours, and what overflows is an error that names the token instead of a NaN.

pub mod advantage;
pub mod dpo;
pub mod loss;
mod objective;
mod rows;

pub use rows::padded;
