//! Teaching the trajectory branches: frames with what their drives are worth, and one step function a branch.
//!
//! Every step is a function of the seed and the step number, draws from streams of its own and touches the parameters of
//! its own branch alone, so a branch learns the same whether others learn beside it or not.

pub mod frames;
pub mod imitation;
pub mod learner;
pub mod measure;
pub mod options;
pub mod references;
pub mod report;
pub mod selection;
pub mod sequential;
pub mod store;
pub mod trainer;
pub mod tree;

pub use frames::{Frame, Frames};
pub use learner::{Learner, Stepped};
pub use references::Mix;
pub use store::Store;
pub use trainer::{Trainer, Verb};
