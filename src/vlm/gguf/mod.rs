//! GGUF files: a text model and its vision half (`mmproj`), in the layout that llama.cpp writes and reads.
//!
//! [`header`] checks every byte of a header before it is used; [`dequant`] turns blocks into f32; [`names`] binds tensor
//! names to those of the checkpoint; [`pair`] opens two files as one model, whose metadata become the files of a Hugging
//! Face folder, so that everything above reads one form; [`export`] writes such a pair.

mod config;
pub mod dequant;
mod describe;
pub mod export;
pub mod file;
pub mod header;
pub mod kind;
mod language;
pub mod names;
pub mod pair;
pub mod rule;
pub mod tensors;
pub mod value;
pub mod write;

pub use file::GgufFile;
pub use pair::Pair;
