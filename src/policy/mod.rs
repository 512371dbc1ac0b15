//! What can drive: one file per policy.
