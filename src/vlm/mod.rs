//! Vision-language models of the Qwen-VL families: one decoder with options, one vision tower per family.
//!
//! The module tree follows the checkpoint's tensor names. Shape legend used throughout:
//! B batch rows, T positions, H hidden width, N heads, K key/value heads, D head width, V vocabulary,
//! P image patches, I merged image tokens.

pub mod ops;
pub mod sampling;
