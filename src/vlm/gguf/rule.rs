//! The rules that a GGUF header must keep, one variant per rule, with the values that break it.

use crate::error::Failure;
use thiserror::Error;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)] // the texts say what the fields are
pub enum Rule {
    #[error("the file ends inside {what} (byte {at} of {len})")]
    Truncated { what: String, at: usize, len: usize },
    #[error("it does not start with GGUF")]
    Magic,
    #[error("version {0} is not supported; versions 2 and 3 are")]
    Version(u32),
    #[error("the file is big-endian; only little-endian files are supported")]
    BigEndian,
    #[error("{count} {what} are declared; at most {max} are allowed")]
    Count { what: &'static str, count: u64, max: u64 },
    #[error("{count} {what} are declared, which do not fit into the {left} bytes that follow")]
    CountOverFile { what: &'static str, count: u64, left: usize },
    #[error("{what} has {len} bytes; at most {max} are allowed")]
    StringLength { what: String, len: u64, max: u64 },
    #[error("{0} is not UTF-8")]
    Utf8(String),
    #[error("{0} is empty")]
    EmptyName(&'static str),
    #[error("the key {0} occurs twice")]
    DuplicateKey(String),
    #[error("the tensor {0} occurs twice")]
    DuplicateTensor(String),
    #[error("{key} has the value type {kind}; known are 0 to 12")]
    ValueType { key: String, kind: u32 },
    #[error("{key} holds the byte {value} where true or false must be")]
    Bool { key: String, value: u8 },
    #[error("{key} is an array of {len} items; at most {max} are allowed")]
    ArrayLength { key: String, len: u64, max: u64 },
    #[error("{key} nests arrays deeper than {max}")]
    ArrayDepth { key: String, max: usize },
    #[error("general.alignment is {0}; it must be a power of two from 8 to 1048576")]
    Alignment(String),
    #[error("tensor {name} has {rank} dimensions; 1 to 4 are allowed")]
    Rank { name: String, rank: u32 },
    #[error("tensor {name} has an empty dimension: {dims:?}")]
    EmptyDimension { name: String, dims: Vec<u64> },
    #[error("tensor {name}: the product of the dimensions {dims:?} overflows")]
    Product { name: String, dims: Vec<u64> },
    #[error("tensor {name} has the unknown number format {kind}")]
    TensorType { name: String, kind: u32 },
    #[error("tensor {name}: rows of {width} elements are not a multiple of the block size {block} of {kind}")]
    Blocks { name: String, width: u64, block: usize, kind: &'static str },
    #[error("tensor {name} begins at {offset}, which is no multiple of the alignment {alignment}")]
    Offset { name: String, offset: u64, alignment: u64 },
    #[error("tensor {name} needs {bytes} bytes at {offset} of the data; the file has only {left} there")]
    OutsideFile { name: String, offset: u64, bytes: u64, left: u64 },
    #[error("the tensors {first} and {second} overlap")]
    Overlap { first: String, second: String },
}

impl From<Rule> for Failure {
    fn from(rule: Rule) -> Failure {
        let hint = match rule {
            Rule::Magic => "give a .gguf file; a file that starts otherwise is something else, or a Git LFS pointer",
            Rule::Version(_) | Rule::BigEndian => "convert the model again with a current llama.cpp",
            Rule::TensorType { .. } => "the file is damaged, or newer than this program",
            _ => "the file is damaged or incomplete: download it again",
        };
        Failure::data(format!("not a valid GGUF file: {rule}")).hint(hint)
    }
}
