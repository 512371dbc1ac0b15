//! Reinsman eval.
