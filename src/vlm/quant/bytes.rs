//! Bytes that are owned or lie in a memory-mapped file, cheap to clone.

use memmap2::Mmap;
use std::{ops::Range, sync::Arc};

/// Shared read-only bytes.
#[derive(Clone)]
pub enum Bytes {
    /// In memory.
    Owned(Arc<Vec<u8>>),
    /// A part of a mapped file.
    Mapped(Arc<Mmap>, Range<usize>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Owned(bytes) => bytes,
            Bytes::Mapped(map, range) => &map[range.clone()],
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::Owned(Arc::new(bytes))
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if matches!(self, Bytes::Owned(_)) { "owned" } else { "mapped" };
        write!(f, "{} bytes ({place})", self.len())
    }
}
