//! The differentiable operations of the models. Every function here keeps gradients: candle's own fused
//! `rms_norm`, `layer_norm`, `rope`, `softmax_last_dim` and `sdpa` silently cut them, so none is used.
//!
//! Layouts: activations `(B, T, H)`, heads `(B, T, N, D)` (time before heads: no transposes around attention).

mod composed;

pub use composed::*;
