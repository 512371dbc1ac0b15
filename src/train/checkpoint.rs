//! Checkpoints that are complete or invisible.
//!
//! A checkpoint is built in `ckpt/.tmp-step-000120-<host>-<pid>`: every file written and synced, then `MANIFEST.json`
//! (sizes, SHA-256, config digest), then the folders synced; one rename makes it visible, syncing `ckpt/` makes that
//! durable. `latest` is a link for people; loading scans for the newest folder whose manifest verifies. Pruning comes
//! after publishing and never touches the newest. Protocol as in PyTorch DCP's marker file, plus fsync.

use crate::{
    error::{Failure, Result, human_bytes, io_at},
    files::{Fs, Output, names},
    train::lock::host,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufWriter, Read, Write},
    path::{Component, Path, PathBuf},
};

const MANIFEST: &str = "MANIFEST.json";
const MANIFEST_LIMIT: u64 = 4 << 20;

/// Streams a file's bytes; called once.
pub type Writer<'a> = &'a dyn Fn(&mut dyn Write) -> io::Result<()>;

/// What a file of a checkpoint holds.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// Bytes at hand.
    Bytes(&'a [u8]),
    /// Written piece by piece, for files that should not be held in memory twice.
    Stream(Writer<'a>),
}

/// Size and hash of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Length in bytes.
    pub bytes: u64,
    /// Hex SHA-256.
    pub sha256: String,
}

/// The last file written: what a complete checkpoint consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout version, 1.
    pub version: u32,
    /// Optimizer steps done.
    pub step: u64,
    /// [`crate::settings::Settings::digest`] of the run.
    pub config: String,
    /// Relative path (with `/`) to size and hash.
    pub files: BTreeMap<String, Entry>,
}

/// A complete checkpoint on disk.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Optimizer steps done.
    pub step: u64,
    /// Its folder.
    pub dir: PathBuf,
    /// What it consists of.
    pub manifest: Manifest,
}

/// A folder that looks like a checkpoint and is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The folder.
    pub dir: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// Result of looking for the newest checkpoint.
#[derive(Debug, Clone)]
pub struct Newest {
    /// The newest that verifies.
    pub found: Option<Checkpoint>,
    /// Newer folders that do not.
    pub skipped: Vec<Skipped>,
}

/// A checkpoint just made visible.
#[derive(Debug, Clone)]
pub struct Published {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Things that went wrong and do not matter for loading.
    pub warnings: Vec<String>,
}

impl Checkpoint {
    /// Writes and publishes the checkpoint of `step` in `run_dir/ckpt`. On failure nothing new is visible, what was
    /// there still is, and the temporary folder is removed if the disk allows it. Publishing the same content twice is
    /// fine; a different or damaged folder of the same step is moved to `.bad-...` first.
    ///
    /// # Errors
    /// Exit 3; a full disk with the bytes needed and free. Exit 2 for a file name that leaves the folder.
    pub fn publish(
        fs: &dyn Fs,
        run_dir: &Path,
        step: u64,
        files: &[(&str, Content<'_>)],
        config_digest: &str,
    ) -> Result<Published> {
        for (name, _) in files {
            check_name(name).map_err(Failure::usage)?;
        }
        let ckpt = run_dir.join("ckpt");
        let temporary = ckpt.join(format!(".tmp-{}-{}", folder_name(step), owner()));
        let target = ckpt.join(folder_name(step));
        let mut written = 0;
        let built = build(fs, &temporary, step, files, config_digest, &mut written);
        let published = built.and_then(|manifest| {
            let mut warnings = Vec::new();
            if verify(&target, Depth::Hashes).is_ok_and(|there| there == manifest) {
                remove_or_warn(fs, &temporary, &mut warnings);
            } else {
                set_aside(fs, &target)?;
                at(&target, fs.rename(&temporary, &target))?;
            }
            at(&ckpt, fs.sync_dir(&ckpt))?;
            if let Err((_, e)) = point_latest(fs, &ckpt, step) {
                warnings.push(format!("{} could not be updated: {e}", ckpt.join("latest").display()));
            }
            Ok(Published { checkpoint: Checkpoint { step, dir: target.clone(), manifest }, warnings })
        });
        published.map_err(|(path, error)| {
            let _ = fs.remove(&temporary);
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let failure = io_at(&path)(error).context(format!("checkpoint of step {step} not saved"));
            if !full {
                return failure;
            }
            let known = files.iter().map(|(_, c)| if let Content::Bytes(b) = c { b.len() as u64 } else { 0 }).sum();
            let needed = human_bytes(written.max(known));
            let free = fs4::available_space(run_dir).map_or_else(|_| "an unknown number".into(), human_bytes);
            failure.hint(format!(
                "at least {needed} are needed and {free} free: make room, lower save_total_limit or choose another --out; earlier checkpoints are intact"
            ))
        })
    }

    /// Finds the newest checkpoint whose manifest, sizes and hashes verify, and says what newer ones lack.
    ///
    /// # Errors
    /// Exit 3 when `run_dir/ckpt` exists but cannot be listed.
    pub fn newest(run_dir: &Path) -> Result<Newest> {
        let mut skipped = Vec::new();
        for (step, dir) in steps(run_dir)?.into_iter().rev() {
            match verify(&dir, Depth::Hashes) {
                Ok(manifest) if manifest.step == step => {
                    return Ok(Newest { found: Some(Checkpoint { step, dir, manifest }), skipped });
                }
                Ok(manifest) => {
                    skipped.push(Skipped { dir, why: format!("its manifest is of step {}", manifest.step) })
                }
                Err(why) => skipped.push(Skipped { dir, why }),
            }
        }
        Ok(Newest { found: None, skipped })
    }

    /// Opens one checkpoint folder and verifies it.
    ///
    /// # Errors
    /// Exit 3 saying what is missing or damaged.
    pub fn open(dir: &Path) -> Result<Self> {
        let manifest = verify(dir, Depth::Hashes).map_err(|why| Failure::data(format!("{}: {why}", dir.display())))?;
        Ok(Checkpoint { step: manifest.step, dir: dir.into(), manifest })
    }

    /// The bytes of one of its files, checked against the manifest once more.
    ///
    /// # Errors
    /// Exit 3 when the file is not part of the checkpoint or has changed since.
    pub fn read(&self, file: &str) -> Result<Vec<u8>> {
        let Some(entry) = self.manifest.files.get(file) else {
            let known: Vec<_> = self.manifest.files.keys().map(String::as_str).collect();
            return Err(Failure::data(format!("{} has no file {file}", self.dir.display()))
                .hint(format!("it has {}", known.join(", "))));
        };
        let path = self.dir.join(file);
        let bytes = std::fs::read(&path).map_err(io_at(&path))?;
        if bytes.len() as u64 != entry.bytes || hex(Sha256::digest(&bytes).as_slice()) != entry.sha256 {
            return Err(Failure::data(format!("{} does not match its manifest", path.display())));
        }
        Ok(bytes)
    }
}

/// Removes the oldest checkpoints until `keep` are left: `just`, which was published a moment ago and is known to be
/// good, and the newest others whose sizes are right. Damaged ones are not counted and go when they are older than all
/// kept. Deleting starts with a rename, so a half-deleted folder is never seen. Returns warnings.
///
/// # Errors
/// Exit 3 when `run_dir/ckpt` cannot be listed.
pub fn prune(fs: &dyn Fs, run_dir: &Path, keep: usize, just: &Checkpoint) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let mut kept = 1;
    for (_, dir) in steps(run_dir)?.into_iter().rev().filter(|(step, _)| *step != just.step) {
        if kept < keep {
            kept += usize::from(verify(&dir, Depth::Sizes).is_ok());
            continue;
        }
        let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let doomed = run_dir.join("ckpt").join(format!(".del-{name}-{}", owner()));
        match fs.rename(&dir, &doomed) {
            Ok(()) => remove_or_warn(fs, &doomed, &mut warnings),
            Err(e) => warnings.push(format!("{} could not be removed: {e}", dir.display())),
        }
    }
    Ok(warnings)
}

/// Removes what dead processes of this host left behind (`.tmp-`, `.del-`, `.latest-`). Only for the holder of the run's
/// lock: then nobody else on this host can be writing. Leftovers of other hosts stay and are named in the result.
///
/// # Errors
/// Exit 3 when `run_dir/ckpt` cannot be listed.
pub fn sweep(fs: &dyn Fs, run_dir: &Path) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (name, path) in names(&run_dir.join("ckpt"))? {
        if ![".tmp-", ".del-", ".latest-"].iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let without_pid = name.rsplit_once('-').map_or(name.as_str(), |(front, _)| front);
        if without_pid.ends_with(&format!("-{}", host())) {
            remove_or_warn(fs, &path, &mut warnings);
        } else {
            warnings.push(format!("{} was left by another host; remove it when that host is done", path.display()));
        }
    }
    Ok(warnings)
}

type IoAt<T> = std::result::Result<T, (PathBuf, io::Error)>;

fn at<T>(path: &Path, result: io::Result<T>) -> IoAt<T> {
    result.map_err(|e| (path.to_path_buf(), e))
}

fn build(
    fs: &dyn Fs,
    folder: &Path,
    step: u64,
    files: &[(&str, Content<'_>)],
    config: &str,
    written: &mut u64,
) -> IoAt<Manifest> {
    if folder.exists() {
        at(folder, fs.remove(folder))?;
    }
    at(folder, fs.mkdir(folder))?;
    let mut manifest = Manifest { version: 1, step, config: config.into(), files: BTreeMap::new() };
    let mut folders = BTreeSet::new();
    for (name, content) in files {
        let path = folder.join(name);
        for parent in path.ancestors().skip(1).take_while(|p| *p != folder) {
            if folders.insert(parent.to_path_buf()) {
                at(parent, fs.mkdir(parent))?;
            }
        }
        let entry = at(&path, write_file(fs, &path, *content, written))?;
        manifest.files.insert((*name).into(), entry);
    }
    for inner in folders.iter().rev() {
        at(inner, fs.sync_dir(inner))?;
    }
    let path = folder.join(MANIFEST);
    let text = at(&path, serde_json::to_vec_pretty(&manifest).map_err(io::Error::other))?;
    at(&path, write_file(fs, &path, Content::Bytes(&text), written))?;
    at(folder, fs.sync_dir(folder))?;
    Ok(manifest)
}

/// Counts and hashes what passes through.
struct Hashing<'a> {
    inner: Box<dyn Output>,
    hash: Sha256,
    bytes: u64,
    total: &'a mut u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.total += bytes.len() as u64;
        self.inner.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn write_file(fs: &dyn Fs, path: &Path, content: Content<'_>, total: &mut u64) -> io::Result<Entry> {
    let mut file = Hashing { inner: fs.create(path)?, hash: Sha256::new(), bytes: 0, total };
    match content {
        Content::Bytes(bytes) => file.write_all(bytes)?,
        Content::Stream(writer) => {
            let mut buffered = BufWriter::with_capacity(1 << 20, &mut file);
            writer(&mut buffered)?;
            buffered.flush()?;
        }
    }
    file.inner.sync()?;
    Ok(Entry { bytes: file.bytes, sha256: hex(file.hash.finalize().as_slice()) })
}

/// Moves whatever has the target's name out of the way, keeping it.
fn set_aside(fs: &dyn Fs, target: &Path) -> IoAt<()> {
    if std::fs::symlink_metadata(target).is_err() {
        return Ok(());
    }
    let name = target.file_name().and_then(|n| n.to_str()).unwrap_or("step");
    let free = (0..).map(|n| target.with_file_name(format!(".bad-{name}-{n}"))).find(|p| !p.exists());
    at(target, fs.rename(target, &free.unwrap_or_else(|| target.with_extension("bad"))))
}

fn point_latest(fs: &dyn Fs, ckpt: &Path, step: u64) -> IoAt<()> {
    let fresh = ckpt.join(format!(".latest-{}", owner()));
    let linked = fs.symlink(Path::new(&folder_name(step)), &fresh);
    let linked = linked.and_then(|()| fs.rename(&fresh, &ckpt.join("latest")));
    at(&fresh, linked.inspect_err(|_| drop(fs.remove(&fresh))))
}

fn remove_or_warn(fs: &dyn Fs, path: &Path, warnings: &mut Vec<String>) {
    if let Err(e) = fs.remove(path) {
        warnings.push(format!("{} could not be removed: {e}", path.display()));
    }
}

enum Depth {
    Sizes,
    Hashes,
}

fn verify(dir: &Path, depth: Depth) -> std::result::Result<Manifest, String> {
    let path = dir.join(MANIFEST);
    let mut text = Vec::new();
    let file = std::fs::File::open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!("{MANIFEST} is missing: it was never finished"),
        _ => format!("{MANIFEST}: {e}"),
    })?;
    file.take(MANIFEST_LIMIT).read_to_end(&mut text).map_err(|e| format!("{MANIFEST}: {e}"))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| format!("{MANIFEST} is damaged: {e}"))?;
    if manifest.version != 1 {
        return Err(format!("{MANIFEST} has version {}, this program knows 1", manifest.version));
    }
    for (name, entry) in &manifest.files {
        check_name(name)?;
        let path = dir.join(name);
        let metadata = std::fs::metadata(&path).map_err(|e| format!("{name}: {e}"))?;
        if metadata.len() != entry.bytes {
            return Err(format!("{name} has {} bytes instead of {}", metadata.len(), entry.bytes));
        }
        if matches!(depth, Depth::Hashes) && hash_file(&path).map_err(|e| format!("{name}: {e}"))? != entry.sha256 {
            return Err(format!("{name} is damaged: its SHA-256 is another"));
        }
    }
    Ok(manifest)
}

fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(hash.finalize().as_slice())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// A relative path of plain names: nothing that could leave the folder or be the manifest.
fn check_name(name: &str) -> std::result::Result<(), String> {
    let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    let fine = plain && !name.is_empty() && !name.contains('\\') && name != MANIFEST;
    if fine { Ok(()) } else { Err(format!("{name:?} is not a file name inside a checkpoint")) }
}

/// Step numbers and folders under `ckpt/`, oldest first.
fn steps(run_dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut steps: Vec<_> = names(&run_dir.join("ckpt"))?
        .into_iter()
        .filter_map(|(name, path)| Some((name.strip_prefix("step-")?.parse().ok()?, path)))
        .collect();
    steps.sort();
    Ok(steps)
}

fn folder_name(step: u64) -> String {
    format!("step-{step:06}")
}

fn owner() -> String {
    format!("{}-{}", host(), std::process::id())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
