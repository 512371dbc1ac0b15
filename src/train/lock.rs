//! One process per run folder: an advisory lock on `lock`, which also says who holds it.
//!
//! The kernel drops the lock when its process ends in any way, so a lock file left by a killed run is recognised as
//! stale by being free, not by guessing about process ids. A clean end empties the file.

use crate::error::{Failure, Result, io_at};
use fs4::{FileExt, TryLockError};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id on its host.
    pub pid: u32,
    /// Host name.
    pub host: String,
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// Who left the lock behind without letting go, if someone did.
    pub recovered: Option<Holder>,
}

impl Lock {
    /// Takes `run_dir/lock`, creating the folder if needed.
    ///
    /// # Errors
    /// Exit 3 when another process holds it (with its pid and host) or the folder is not writable.
    pub fn acquire(run_dir: &Path) -> Result<Lock> {
        std::fs::create_dir_all(run_dir).map_err(io_at(run_dir))?;
        let path = run_dir.join("lock");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io_at(&path))?;
        let locked = FileExt::try_lock(&file);
        let before = read_holder(&mut file);
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(run_dir, before)),
            Err(TryLockError::Error(e)) => {
                return Err(io_at(&path)(e).hint("the file system must support locks; choose another --out"));
            }
        }
        let me = Holder { pid: std::process::id(), host: host() };
        let text = serde_json::to_string(&me).map_err(|e| Failure::data(e.to_string()))?;
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(io_at(&path))?;
        Ok(Lock { file, recovered: before })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The kernel unlocks when the file closes; emptying it only tells the next process that this was a clean end.
        let _ = self.file.set_len(0);
        let _ = FileExt::unlock(&self.file);
    }
}

fn in_use(run_dir: &Path, holder: Option<Holder>) -> Failure {
    let dir = run_dir.display();
    match holder {
        Some(Holder { pid, host }) => Failure::data(format!("{dir} is in use by process {pid} on {host}"))
            .hint("wait for it to end, stop it, or choose another --out"),
        None => Failure::data(format!("{dir} is in use by another process"))
            .hint("wait for it to end or choose another --out"),
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The host's name, with only characters that fit in a file name.
pub fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(PathBuf::from(path)).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name: String =
        name.trim().chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
    if name.is_empty() { "unknown".into() } else { name }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_second_is_refused_with_pid_and_host_and_the_third_gets_in() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::acquire(dir.path()).unwrap();
        assert_eq!(held.recovered, None);
        // flock belongs to the open file, so a second acquire in this process meets the first like another process.
        let failure = Lock::acquire(dir.path()).unwrap_err();
        assert!(failure.message.contains(&format!("process {} on {}", std::process::id(), host())), "{failure}");
        assert_eq!(failure.kind.exit_code(), 3);
        drop(held);
        assert_eq!(Lock::acquire(dir.path()).unwrap().recovered, None);
    }

    #[test]
    fn a_lock_left_by_a_killed_process_is_recovered() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("lock"), r#"{"pid":1,"host":"gone"}"#).unwrap();
        let lock = Lock::acquire(dir.path()).unwrap();
        assert_eq!(lock.recovered, Some(Holder { pid: 1, host: "gone".into() }));
        drop(lock);
        std::fs::write(dir.path().join("lock"), b"\xff garbage").unwrap();
        assert_eq!(Lock::acquire(dir.path()).unwrap().recovered, None);
    }
}
