//! Files that are whole or not there: the few operations that checkpoints are made of, behind a trait so that tests can fail the k-th of them for
//! every k (the habit of SQLite's I/O-error tests).
//!
//! [`RealFs`] is the disk. [`FaultyFs`] counts operations and fails one, or one and all after it, which looks to the
//! code above like a disk that just died.

use crate::error::{Failure, Result, io_at};
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

/// An open new file.
pub trait Output: Write {
    /// Waits until everything written is on the disk.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync(&mut self) -> io::Result<()>;
}

impl Output for fs::File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// What writing a checkpoint needs from a file system.
#[allow(clippy::missing_errors_doc)] // Each fails as the operating system says.
pub trait Fs: Send + Sync {
    /// Creates a folder and its missing parents.
    fn mkdir(&self, path: &Path) -> io::Result<()>;
    /// Creates or empties a file.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// Waits until a folder's names are on the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames; files and links are replaced, folders are not.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a symbolic link.
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()>;
    /// Removes a file, a link or a whole folder.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn mkdir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(fs::File::create(path)?))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
    #[cfg(unix)]
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, link)
    }
    #[cfg(not(unix))]
    fn symlink(&self, _target: &Path, _link: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    }
}

/// Replaces a small file in one step: readers see the old or the new content, never a part.
///
/// # Errors
/// Exit 3 with the path.
pub fn write_atomic(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| Failure::data(format!("{} is not a file name", path.display())))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = folder.join(format!(".{name}.tmp-{}", std::process::id()));
    let written = fs.create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync()
    });
    let published = written.and_then(|()| fs.rename(&temporary, path)).and_then(|()| fs.sync_dir(folder));
    published.map_err(|e| {
        let _ = fs.remove(&temporary);
        io_at(path)(e)
    })
}

/// What [`FaultyFs`] does after the operation that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Works again: a passing error.
    Works,
    /// Fails for ever: a dead disk, or a process killed at this point.
    Fails,
}

/// The disk with one operation that fails, half-done where that is possible.
#[derive(Debug, Clone)]
pub struct FaultyFs {
    count: Arc<AtomicUsize>,
    fail_at: usize,
    after: After,
    kind: io::ErrorKind,
}

impl FaultyFs {
    /// Fails operation `fail_at` (counted from 1) with an error of `kind`; 0 only counts.
    pub fn new(fail_at: usize, after: After, kind: io::ErrorKind) -> Self {
        FaultyFs { count: Arc::default(), fail_at, after, kind }
    }
    /// Operations so far.
    pub fn operations(&self) -> usize {
        self.count.load(SeqCst)
    }
    fn step(&self) -> io::Result<()> {
        let now = self.count.fetch_add(1, SeqCst) + 1;
        let fails = self.fail_at > 0 && (now == self.fail_at || (now > self.fail_at && self.after == After::Fails));
        if fails { Err(io::Error::from(self.kind)) } else { Ok(()) }
    }
}

struct FaultyFile {
    file: Box<dyn Output>,
    fs: FaultyFs,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(e) = self.fs.step() {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(e);
        }
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Output for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        self.fs.step()?;
        self.file.sync()
    }
}

impl Fs for FaultyFs {
    fn mkdir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealFs.mkdir(path)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.step()?;
        Ok(Box::new(FaultyFile { file: RealFs.create(path)?, fs: self.clone() }))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealFs.sync_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        RealFs.rename(from, to)
    }
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.step()?;
        RealFs.symlink(target, link)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealFs.remove(path)
    }
}

/// Names in a folder, sorted; an absent folder is empty.
///
/// # Errors
/// Exit 3 when the folder cannot be read.
pub fn names(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_at(folder)(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_at(folder))?;
        names.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn an_atomic_write_is_all_or_nothing_wherever_it_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        write_atomic(&RealFs, &path, b"old").unwrap();
        let counting = FaultyFs::new(0, After::Works, io::ErrorKind::Other);
        write_atomic(&counting, &path, b"old").unwrap();
        assert_eq!(counting.operations(), 5);
        for k in 1..=counting.operations() {
            for after in [After::Works, After::Fails] {
                write_atomic(&RealFs, &path, b"old").unwrap();
                let faulty = FaultyFs::new(k, after, io::ErrorKind::StorageFull);
                let failure = write_atomic(&faulty, &path, b"new content").unwrap_err();
                assert_eq!(failure.kind.exit_code(), 3);
                let content = fs::read(&path).unwrap();
                assert!(content == b"old" || content == b"new content", "k = {k}");
                if after == After::Works {
                    assert_eq!(names(dir.path()).unwrap().len(), 1, "leftovers after k = {k}");
                }
                for (_, leftover) in names(dir.path()).unwrap().into_iter().filter(|(n, _)| n.contains(".tmp-")) {
                    fs::remove_file(leftover).unwrap();
                }
            }
        }
    }
}
