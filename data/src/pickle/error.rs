//! What can be wrong with a pickle: one variant per violated rule, with the byte where it was found.

/// A violated rule. The fields of a variant are what its message shows.
#[allow(missing_docs)]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// The input ends inside a value.
    #[error("byte {at}: the pickle is cut off ({needed} more bytes are announced, {left} are left)")]
    CutOff { at: usize, needed: u64, left: usize },
    /// No STOP before the end.
    #[error("byte {at}: the pickle ends without its STOP mark: it is cut off")]
    NoStop { at: usize },
    /// A byte that is no opcode.
    #[error("byte {at}: 0x{code:02x} is no opcode of a pickle")]
    UnknownOpcode { at: usize, code: u8 },
    /// An opcode that reaches outside the file.
    #[error("byte {at}: {name} refers to data outside the file, which is not read")]
    Outside { at: usize, name: &'static str },
    /// A protocol newer than this reader.
    #[error("byte {at}: protocol {found}; protocols 0 to 5 are known")]
    Protocol { at: usize, found: u8 },
    /// A name that is not on the list.
    #[error(
        "byte {at}: the pickle asks for {name}, which is refused: only numpy arrays, plain containers and NAVSIM trajectories are read"
    )]
    Refused { at: usize, name: String },
    /// A known name with arguments it does not take here.
    #[error("byte {at}: {name} is called with {found}; {expected} is needed")]
    BadCall { at: usize, name: &'static str, found: String, expected: &'static str },
    /// An opcode on a value of another type.
    #[error("byte {at}: {opcode} needs {expected}, the pickle gives {found}")]
    WrongOperand { at: usize, opcode: &'static str, expected: &'static str, found: &'static str },
    /// Taking from an empty stack.
    #[error("byte {at}: {opcode} finds too few values before it")]
    EmptyStack { at: usize, opcode: &'static str },
    /// A container end without its beginning.
    #[error("byte {at}: {opcode} without a mark before it")]
    NoMark { at: usize, opcode: &'static str },
    /// Keys and values that do not pair up.
    #[error("byte {at}: a dict of {count} keys and values together; an even number is needed")]
    OddDict { at: usize, count: usize },
    /// A memo entry that was never stored.
    #[error("byte {at}: memo entry {index} is read before it is written")]
    NoMemo { at: usize, index: u64 },
    /// A whole number of more than 64 bits.
    #[error("byte {at}: a whole number of {bytes} bytes; at most 8 are read")]
    LongNumber { at: usize, bytes: u64 },
    /// A text line that is no number.
    #[error("byte {at}: {found:?} is not {expected}")]
    BadNumber { at: usize, found: String, expected: &'static str },
    /// Text in a broken encoding.
    #[error("byte {at}: text that is not valid UTF-8")]
    BadText { at: usize },
    /// A quoted text with an unknown escape.
    #[error("byte {at}: a quoted text that cannot be read: {reason}")]
    BadQuote { at: usize, reason: &'static str },
    /// An element type other than the plain ones.
    #[error("byte {at}: numpy type {found:?}; floats, whole numbers, bools and texts are read")]
    DType { at: usize, found: String },
    /// Shape and data of an array disagree.
    #[error("byte {at}: a numpy array of shape {shape} and {item} bytes each has {found} bytes of data")]
    ArraySize { at: usize, shape: String, item: usize, found: usize },
    /// An array of too many dimensions.
    #[error("byte {at}: a numpy array of {found} dimensions; at most {limit} are read")]
    Dimensions { at: usize, found: usize, limit: usize },
    /// Too many values on the stack.
    #[error("byte {at}: more than {limit} values are open at once")]
    StackLimit { at: usize, limit: usize },
    /// Too many containers inside each other.
    #[error("byte {at}: containers nested deeper than {limit} levels")]
    DepthLimit { at: usize, limit: usize },
    /// Too many values.
    #[error("byte {at}: more than {limit} values")]
    NodeLimit { at: usize, limit: usize },
    /// Something after STOP.
    #[error("byte {at}: {left} bytes follow the end of the pickle")]
    Trailing { at: usize, left: usize },
}

impl PickleError {
    /// What to try, in one line.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            PickleError::CutOff { .. } | PickleError::NoStop { .. } => {
                Some("copy or download it again; was the export interrupted?")
            }
            PickleError::Refused { name, .. } if name.starts_with("torch") => {
                Some("store numpy arrays: tensor.cpu().numpy()")
            }
            PickleError::Refused { name, .. } if name.starts_with("omegaconf") => {
                Some("store plain lists and texts: OmegaConf.to_container(cfg)")
            }
            PickleError::Refused { .. } => {
                Some("store poses as numpy arrays in navsim Trajectory objects, or use the JSONL format")
            }
            _ => None,
        }
    }
}
