//! Pickles of other people, read without running anything: a small machine for protocols 0 to 5 that knows numpy arrays,
//! plain containers and the two classes of a NAVSIM submission, and refuses every other name ([`allowed`] is the list).
//!
//! What comes out is an arena of nodes that refer to each other by number ([`Pickle`]), never expanded: shared and even
//! cyclic values cost nothing, and nothing here recurses. Texts and bytes are slices of the input, so memory stays within a
//! constant times its length. Opcodes and their meaning: the comments of Python's `pickletools` (PEP 307, 3154, 574).

pub mod allowed;
mod cursor;
pub mod error;
mod machine;
pub mod node;
pub mod numpy;
mod reduce;
pub mod write;

pub use error::PickleError;
pub use node::{Pickle, View};

/// What one pickle may hold. Every bound is checked before memory is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most values on the stack of the machine.
    pub stack: usize,
    /// Most marks (containers that are open inside each other).
    pub depth: usize,
    /// Most values altogether.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { stack: 1 << 20, depth: 256, nodes: 1 << 24 }
    }
}

/// Reads one pickle.
///
/// # Errors
/// The first violated rule, with the byte it was found at.
pub fn read(bytes: &[u8], limits: Limits) -> Result<Pickle<'_>, PickleError> {
    machine::run(bytes, limits)
}

/// Whether bytes begin like a pickle: a protocol from 2 on, or a protocol 0 or 1 dict or list.
pub fn looks_like_one(head: &[u8]) -> bool {
    matches!(head, [0x80, 0..=5, ..] | [b'(', b'd' | b'l', ..] | [b'}' | b']', b'q', ..])
}
