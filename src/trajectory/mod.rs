//! Trajectory branches that learn in parallel (after PaIR-Drive, Lian et al., CVPR 2026 Findings, arXiv 2603.13842): an
//! imitation head proposes, a reinforcement-learned tree of offsets improves on any reference, a selector decides.
//!
//! "Parallel" means three disjoint sets of parameters that read the same detached picture features. The tree sees a
//! reference trajectory and nothing else of the policy that made it, so another one can take its place without training.
//!
//! Shape legend: B frames, N picture tokens, F their width, H hidden width, K modes, M candidates, P decision points of
//! a tree, T = 8 poses at 0.5 s.

pub mod anchors;
pub(crate) mod blocks;
pub mod branch;
pub mod branches;
pub mod features;
pub mod geometry;
pub mod grow;
pub mod il;
pub mod intention;
pub mod objective;
pub mod plan;
pub mod policy;
pub mod reference;
pub mod selector;
pub mod tree;

pub use branch::Shape;
pub use branches::Branches;
pub use features::{Context, Ego, Route};
pub use il::{IlHead, IlOptions};
pub use intention::Intention;
pub use objective::ObjectiveOptions;
pub use plan::{Decision, plan};
pub use policy::{TreeOptions, TreePolicy};
pub use reference::{ConstantVelocity, Proposals, Reference};
pub use selector::{Selector, SubScores};
pub use tree::Tree;
