//! Labelling of meta-actions from a driven trajectory.
