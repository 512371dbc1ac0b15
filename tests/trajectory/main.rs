//! The parallel trajectory branches: gradients stay apart, trees are what their formulas say, and on analytic scenes
//! each branch adds something.
//!
//! `toy` are the scenes and their scorer, `gradients` isolation and coverage, `tree` log-probabilities and the objective,
//! `learning` the effect over three seeds, `damage` files that are not what they should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod damage;
mod gradients;
mod learning;
mod toy;
mod tree;
