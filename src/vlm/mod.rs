//! Vision-language models of the Qwen-VL families: one decoder with options, one vision tower per family.
//!
//! The module tree follows the checkpoint's tensor names. Shape legend used throughout:
//! B batch rows, T positions, H hidden width, N heads, K key/value heads, D head width, V vocabulary,
//! P image patches, I merged image tokens, E width of the vision tower.

pub mod batch;
pub mod build;
pub mod cache;
pub mod chat;
pub mod config;
pub mod encode;
pub mod generate;
pub mod gguf;
pub mod image;
pub mod init;
pub mod linear;
pub mod lora;
pub mod merged;
pub mod model;
pub mod ops;
pub mod peft;
pub mod positions;
pub mod processor;
pub mod prompt;
pub mod quant;
pub mod resize;
pub mod sampling;
pub mod score;
pub mod shapes;
pub mod shards;
pub mod stream;
pub mod text;
pub mod tiled;
pub mod tokenizer;
pub mod vision;
pub mod weight;
pub mod weights;

pub use batch::{Batch, Row, Visual};
pub use cache::KvCache;
pub use config::{Family, VlmConfig};
pub use generate::{Choose, Flow, GenerateOptions, Generated, Token};
pub use lora::LoraSpec;
pub use model::{ImageFeatures, LoadOptions, Trace, Trainable, Vlm};
pub use score::Targets;
pub use weight::Weight;
