//! The one error type of the program: what happened, what to try, and the exit code that says which kind it is.

use std::fmt;

/// Exit code families (DESIGN section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A threshold was missed (`--fail-under`): exit 1.
    Threshold,
    /// Wrong flag, setting or combination: exit 2.
    Usage,
    /// Missing, malformed or unwritable data: exit 3.
    Data,
    /// Device, memory or numerics: exit 4.
    Device,
    /// Stopped on request with everything saved: exit 75.
    Resumable,
}

impl Kind {
    /// The process exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Threshold => 1,
            Kind::Usage => 2,
            Kind::Data => 3,
            Kind::Device => 4,
            Kind::Resumable => 75,
        }
    }
}

/// A failure with its way out.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What, where, the value, what is allowed.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
}

/// Result of everything in the program.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), hint: None }
    }
    /// Exit 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }
    /// Exit 3.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message)
    }
    /// Exit 4.
    pub fn device(message: impl Into<String>) -> Self {
        Self::new(Kind::Device, message)
    }
    /// Adds the way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// Puts `what: ` before the message.
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<candle_core::Error> for Failure {
    fn from(e: candle_core::Error) -> Self {
        Failure::device(format!("tensor operation failed: {e}"))
    }
}

/// Adds a path to an I/O error.
pub fn io_at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Failure + '_ {
    move |e| {
        let failure = Failure::data(format!("{}: {e}", path.display()));
        match e.kind() {
            std::io::ErrorKind::StorageFull => {
                failure.hint("free some space or choose another --out; what was finished is kept")
            }
            std::io::ErrorKind::NotFound => failure.hint("check the path"),
            std::io::ErrorKind::PermissionDenied => failure.hint("check the permissions"),
            _ => failure,
        }
    }
}
