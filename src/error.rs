//! The one error type of the program: what happened, what to try, and the exit code that says which kind it is.

use std::{fmt, io::Write};

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
    /// Adds the way out unless one is given already.
    pub fn or_hint(self, hint: &str) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }
    /// Puts `what: ` before the message.
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl Failure {
    /// Writes `error: ...` and the hint to stderr; a failure without a message was reported already.
    pub fn report(&self) {
        if self.message.is_empty() {
            return;
        }
        let mut text = format!("error: {}\n", self.message);
        if let Some(hint) = &self.hint {
            text.push_str(&format!("  hint: {hint}\n"));
        }
        // A closed stderr must not hide the exit code.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// Turns a panic into one line that asks for a report; the exit code stays 101. Printing into a pipe whose
/// reader has left (`reinsman ... | head`) is not a bug: the program ends quietly with 0, as ripgrep does.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let said = payload.downcast_ref::<&str>().copied();
        let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        if said.starts_with("failed printing to std") && said.contains("Broken pipe") {
            std::process::exit(0);
        }
        let at = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        let _ = writeln!(
            std::io::stderr(),
            "error: this is a bug in reinsman{at}: {}\n  hint: please report this line with your command and the output of `reinsman doctor`",
            said.replace('\n', " ")
        );
    }));
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<data::DataError> for Failure {
    fn from(e: data::DataError) -> Self {
        let failure = Failure::data(e.to_string());
        match e.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

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
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                let free = path.ancestors().find_map(|p| fs4::available_space(p).ok());
                let free = free.map_or_else(String::new, |bytes| format!(" ({} free there)", human_bytes(bytes)));
                failure.hint(format!("free some space{free} or choose another --out; what was finished is kept"))
            }
            std::io::ErrorKind::FileTooLarge => failure.hint("raise the file size limit (ulimit -f)"),
            std::io::ErrorKind::NotFound => failure.hint("check the path"),
            std::io::ErrorKind::PermissionDenied => failure.hint("check the permissions"),
            std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory => {
                failure.hint("a file is where a folder is needed: choose another name")
            }
            _ => failure,
        }
    }
}

/// Bytes for people: `512 B`, `4.0 KiB`, `6.8 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_kind_has_its_exit_code() {
        let codes = [Kind::Threshold, Kind::Usage, Kind::Data, Kind::Device, Kind::Resumable].map(Kind::exit_code);
        assert_eq!(codes, [1, 2, 3, 4, 75]);
    }

    #[test]
    fn a_full_disk_is_exit_3_with_a_way_out() {
        let failure = io_at(std::path::Path::new("/tmp/x"))(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(failure.kind, Kind::Data);
        assert!(failure.message.starts_with("/tmp/x: "), "{failure}");
        assert!(failure.hint.is_some_and(|h| h.contains("free there") && h.contains("--out")));
    }

    /// Runs itself again as a process that panics, since a hook belongs to the whole process.
    #[test]
    fn a_panic_is_one_line_that_asks_for_a_report() {
        const PANIC: &str = "REINSMAN_TEST_PANIC";
        if std::env::var_os(PANIC).is_some() {
            install_panic_hook();
            panic!("two\nlines");
        }
        let test = "error::tests::a_panic_is_one_line_that_asks_for_a_report";
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args(["--exact", test, "--nocapture"]).env(PANIC, "1").output().unwrap();
        assert_eq!(output.status.code(), Some(101));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("error: this is a bug in reinsman at src/error.rs:") && stderr.contains(": two lines\n")
        );
        assert!(stderr.contains("reinsman doctor"), "{stderr}");
    }

    #[test]
    fn bytes_are_readable() {
        assert_eq!(
            ["512 B", "4.0 KiB", "6.8 GiB", "2.0 TiB"].map(String::from),
            [512, 4096, 7_300_000_000, 2 << 40].map(human_bytes)
        );
    }
}
