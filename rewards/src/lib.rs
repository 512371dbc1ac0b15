//! Reinsman rewards.
