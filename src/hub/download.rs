//! Downloads what a planner needs of a model into the shared cache.
//!
//! A blob is written aside as `ETAG.incomplete`, continued there after a break or a kill, checked for size and digest,
//! synced and renamed; its link in the snapshot comes after it, weights come after all small files, and `refs/main` moves
//! last. So at any moment a model is complete or not there, and processes that download the same wait for each other.

use super::{
    cache::{INDEX, SINGLE, Shelf, Wanted, shards},
    client::{About, Client, TRIES, Trouble, header},
    name::Name,
    settings::Settings,
};
use crate::{
    error::{Failure, Result, human_bytes, io_at},
    files::{Fs, RealFs, write_atomic},
    policy::planner::COMPANIONS,
    train::progress::{Progress, duration},
};
use fs4::{FileExt, TryLockError};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Most bytes of a file that is not weights.
const MAX_SMALL: u64 = 256 << 20;
/// A transfer that brings as much as this starts counting its failures anew.
const WORTH: u64 = 1 << 20;

/// Downloads what is missing and gives the folder.
pub(super) fn snapshot(settings: &Settings, name: &Name, wanted: Wanted, quiet: bool) -> Result<PathBuf> {
    let client = Client::new(settings, name)?;
    let mut progress = Progress::new(quiet);
    let info = client.listing()?;
    let names: Vec<&str> = info.siblings.iter().map(|file| file.rfilename.as_str()).collect();
    check(&client, &names)?;
    let shelf = Shelf::of(&settings.cache, name);
    let mut fetch =
        Fetch { folder: shelf.snapshot(&info.sha), commit: &info.sha, client, shelf, progress: &mut progress };
    fs::create_dir_all(&fetch.folder).map_err(io_at(&fetch.folder))?;
    let small = COMPANIONS.iter().copied().chain([INDEX, "adapter_config.json"]).filter(|file| names.contains(file));
    fetch.all(small.filter(|file| *file != INDEX || !names.contains(&SINGLE)), false)?;
    if wanted == Wanted::Model {
        let weights = weights(&names, &fetch.folder)?;
        fetch.all(weights.iter().map(String::as_str), true)?;
    }
    fetch.refer()?;
    Ok(fetch.folder)
}

/// Refuses repositories that hold no planner, before anything is downloaded.
fn check(client: &Client, names: &[&str]) -> Result<()> {
    let (name, repo, endpoint) = (client.name, client.name.repo(), &client.settings.endpoint);
    let ending = |ending: &str| names.iter().filter(|file| file.ends_with(ending)).count();
    let model = names.contains(&"config.json") && (names.contains(&SINGLE) || names.contains(&INDEX));
    if model || (names.contains(&"adapter_config.json") && names.contains(&"adapter_model.safetensors")) {
        return Ok(());
    }
    let has = format!("{name} on {} has", client.settings.host());
    Err(match (ending(".gguf"), ending(".safetensors"), ending(".bin") + ending(".pt") + ending(".pth")) {
        (1.., 0, _) => Failure::data(format!("{has} only GGUF files"))
            .hint(format!("download the model and its mmproj file (huggingface-cli download {repo} FILE --local-dir DIR) and give the path of the file")),
        (0, 0, 1..) => Failure::data(format!("{has} only weights in pickle form, which can run code when opened"))
            .hint(format!("choose a revision or a copy with safetensors, see {endpoint}/{repo}/tree/main")),
        _ => Failure::data(format!("{has} no config.json with model.safetensors, and no adapter"))
            .hint("give a Qwen2-VL, Qwen2.5-VL or Qwen3-VL model in the layout of transformers, or a PEFT adapter of one"),
    })
}

/// The files with the weights; the index, if there is one, lies in the folder already.
fn weights(names: &[&str], folder: &Path) -> Result<Vec<String>> {
    if !names.contains(&"config.json") {
        return Ok(vec!["adapter_model.safetensors".into()]);
    }
    if names.contains(&SINGLE) {
        return Ok(vec![SINGLE.into()]);
    }
    let index = folder.join(INDEX);
    let shards = shards(&index).ok_or_else(|| {
        Failure::data(format!("{} names no files beside it", index.display())).hint("choose another revision or model")
    })?;
    match shards.iter().find(|shard| !names.contains(&shard.as_str()) || !shard.ends_with(".safetensors")) {
        Some(odd) => Err(Failure::data(format!("{} names {odd}, which the model does not have", index.display()))
            .hint("choose another revision or model")),
        None => Ok(shards.into_iter().collect()),
    }
}

/// One download.
struct Fetch<'a> {
    client: Client<'a>,
    shelf: Shelf,
    commit: &'a str,
    folder: PathBuf,
    progress: &'a mut Progress,
}

/// Bytes so far of all files of one kind.
struct Meter {
    done: u64,
    total: u64,
    fresh: u64,
    begin: Instant,
    /// Small files are shown only when they take their time.
    weights: bool,
}

impl Meter {
    fn text(&self, file: &str) -> String {
        let rate = self.fresh as f64 / self.begin.elapsed().as_secs_f64().max(1e-3);
        let left = duration(self.total.saturating_sub(self.done) as f64 / rate.max(1.0));
        let (done, total, rate) = (human_bytes(self.done), human_bytes(self.total), human_bytes(rate as u64));
        format!("download {file}  {done}/{total}  {rate}/s  eta {left}")
    }
}

impl Fetch<'_> {
    /// Brings files, in this order, that the snapshot lacks.
    fn all<'f>(&mut self, files: impl Iterator<Item = &'f str>, weights: bool) -> Result<()> {
        let lacking = files.filter(|file| !self.folder.join(file).is_file());
        let parts: Vec<(&str, About)> =
            lacking.map(|file| Ok((file, self.client.about(self.commit, file)?))).collect::<Result<_>>()?;
        if let Some((file, about)) = parts.iter().find(|(_, about)| !weights && about.size > MAX_SMALL) {
            let (size, most) = (human_bytes(about.size), human_bytes(MAX_SMALL));
            return Err(Failure::data(format!("{file} of {} has {size}, at most {most} are read", self.client.name)));
        }
        let sum = |bytes: &dyn Fn(&About) -> u64| parts.iter().fold(0_u64, |sum, (_, a)| sum.saturating_add(bytes(a)));
        let missing = sum(&|about| about.size - self.present(about));
        let total = sum(&|about| about.size);
        self.room(missing)?;
        if weights && missing > 0 {
            let (name, commit, cache) = (self.client.name, &self.commit[..12], &self.client.settings.cache);
            let size = human_bytes(missing);
            self.progress.note(&format!("downloading {size} of {name} (commit {commit}) into {}", cache.display()));
        }
        let mut meter = Meter { done: 0, total, fresh: 0, begin: Instant::now(), weights };
        for (file, about) in &parts {
            self.one(file, about, &mut meter)?;
        }
        self.progress.finish();
        Ok(())
    }

    fn incomplete(&self, about: &About) -> PathBuf {
        self.shelf.blob(&format!("{}.incomplete", about.etag))
    }

    /// Bytes of a blob that lie here already, done or not.
    fn present(&self, about: &About) -> u64 {
        let length = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
        length(&self.shelf.blob(&about.etag)).max(length(&self.incomplete(about))).min(about.size)
    }

    fn room(&self, missing: u64) -> Result<()> {
        let cache = &self.client.settings.cache;
        match fs4::available_space(cache) {
            Ok(free) if free < missing => {
                let (name, free, missing) = (self.client.name, human_bytes(free), human_bytes(missing));
                Err(Failure::data(format!("{name} needs {missing} in {}, {free} are free there", cache.display()))
                    .hint("free some space, or set HF_HUB_CACHE to a folder on another disk"))
            }
            _ => Ok(()),
        }
    }

    /// Brings one file into the cache and links it.
    fn one(&mut self, file: &str, about: &About, meter: &mut Meter) -> Result<()> {
        let blob = self.shelf.blob(&about.etag);
        for folder in [&blob, &self.shelf.lock(&about.etag)].into_iter().filter_map(|path| path.parent()) {
            fs::create_dir_all(folder).map_err(io_at(folder))?;
        }
        let lock = self.lock(file, about)?;
        let whole = |path: &Path| fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == about.size);
        let before = meter.done;
        if !whole(&blob) {
            self.blob(file, about, meter)?;
            let folder = blob.parent().unwrap_or(Path::new("."));
            let renamed = fs::rename(self.incomplete(about), &blob).and_then(|()| RealFs.sync_dir(folder));
            renamed.map_err(io_at(&blob))?;
        }
        meter.done = before.saturating_add(about.size);
        link(&about.etag, &blob, &self.folder.join(file))?;
        drop(lock);
        Ok(())
    }

    /// Waits until no other process downloads the same; the kernel frees the lock of one that died.
    fn lock(&mut self, file: &str, about: &About) -> Result<File> {
        let path = self.shelf.lock(&about.etag);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(io_at(&path))?;
        let begin = Instant::now();
        loop {
            match FileExt::try_lock(&lock) {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {
                    let seconds = begin.elapsed().as_secs_f64();
                    if seconds > 1.0 {
                        let since = duration(seconds);
                        self.progress
                            .line(false, || format!("waiting for another process to download {file} ({since})"));
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(TryLockError::Error(e)) => {
                    return Err(io_at(&path)(e).hint("the file system must support locks; choose another HF_HUB_CACHE"));
                }
            }
        }
    }

    /// Completes and checks the `.incomplete` file of a blob.
    fn blob(&mut self, file: &str, about: &About, meter: &mut Meter) -> Result<()> {
        let path = self.incomplete(about);
        let mut output =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io_at(&path))?;
        let mut sum = Sum::new(about);
        let mut have = sum.take_in(&mut output, about.size).map_err(io_at(&path))?;
        let mut resumed = have > 0;
        meter.done += have;
        let mut tried = 1;
        loop {
            let start = have;
            let outcome = match have == about.size {
                true => Ok(()),
                false => self.transfer(file, about, &mut output, &mut sum, &mut have, meter),
            };
            match outcome {
                Ok(()) if have == about.size && sum.holds(about) => break,
                Ok(()) if have == about.size => {
                    // Bytes of an earlier attempt may be the bad ones: once more from the beginning.
                    if !std::mem::take(&mut resumed) {
                        let _ = fs::remove_file(&path);
                        return Err(self.damaged(file, about, &sum));
                    }
                    meter.done -= have;
                    have = sum.restart(&mut output, about).map_err(io_at(&path))?;
                }
                Err(Trouble::Final(failure)) => {
                    // Nothing of it can be used: what came had the wrong size, or nothing came.
                    if have == 0 {
                        let _ = fs::remove_file(&path);
                    }
                    return Err(failure);
                }
                Ok(()) | Err(Trouble::Passing(..) | Trouble::Unreachable(_)) => {
                    tried = if have.saturating_sub(start) >= WORTH { 1 } else { tried + 1 };
                    let trouble = outcome.err();
                    if tried > TRIES {
                        let why = || Trouble::Passing("the connection ended too early".into(), None);
                        let failure = self.client.failure(trouble.unwrap_or_else(why), file);
                        let (have, size) = (human_bytes(have), human_bytes(about.size));
                        return Err(failure.context(format!("after {have} of {size}")));
                    }
                    let asked = match trouble {
                        Some(Trouble::Passing(_, asked)) => asked,
                        _ => None,
                    };
                    self.client.wait(tried - 1, asked);
                }
            }
        }
        output.sync_all().map_err(io_at(&path))
    }

    /// One request, written to the end of `output` until it ends or breaks.
    fn transfer(
        &mut self,
        file: &str,
        about: &About,
        output: &mut File,
        sum: &mut Sum,
        have: &mut u64,
        meter: &mut Meter,
    ) -> Result<(), Trouble> {
        let path = self.incomplete(about);
        let disk = |e| Trouble::Final(io_at(&path)(e));
        let response = self.client.content(self.commit, file, *have)?;
        let headers = response.headers();
        let length: Option<u64> = header(headers, "content-length").and_then(|n| n.parse().ok());
        // "bytes 100-199/200"
        let range = header(headers, "content-range").and_then(|r| r.strip_prefix("bytes ")?.split_once('/'));
        let begins = range.and_then(|(span, _)| span.split('-').next()?.parse::<u64>().ok());
        let of = range.and_then(|(_, total)| total.parse::<u64>().ok());
        let status = response.status().as_u16();
        let continues = status == 206 && begins == Some(*have);
        let whole = if continues { of.or(length.map(|n| n + *have)) } else { length };
        let refused = (status == 206 && !continues) || status == 416;
        if *have > 0 && !continues {
            // The server knows no ranges, or not this one.
            meter.done -= *have;
            *have = sum.restart(output, about).map_err(disk)?;
        }
        if refused {
            return Err(Trouble::Passing("the server gives another part than was asked for".into(), None));
        }
        if let Some(odd) = whole.filter(|whole| *whole != about.size) {
            *have = sum.restart(output, about).map_err(disk)?;
            return Err(Trouble::Final(self.wrong_size(file, about, odd)));
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.client.trouble(ureq::Error::from(e))),
            };
            if *have + n as u64 > about.size {
                *have = sum.restart(output, about).map_err(disk)?;
                return Err(Trouble::Final(self.wrong_size(file, about, about.size + 1)));
            }
            output.write_all(&buffer[..n]).map_err(disk)?;
            sum.update(&buffer[..n]);
            *have += n as u64;
            meter.done += n as u64;
            meter.fresh += n as u64;
            if meter.weights || meter.begin.elapsed() > Duration::from_secs(2) {
                self.progress.line(meter.weights && meter.done >= meter.total, || meter.text(file));
            }
        }
    }

    fn wrong_size(&self, file: &str, about: &About, found: u64) -> Failure {
        let (name, host, size) = (self.client.name, self.client.settings.host(), about.size);
        let found = if found == size + 1 { "more".to_owned() } else { found.to_string() };
        Failure::data(format!(
            "{file} of {name} has {found} bytes instead of the {size} that {host} announced; it was removed"
        ))
        .hint(TAMPERED)
    }

    fn damaged(&self, file: &str, about: &About, sum: &Sum) -> Failure {
        let (name, host) = (self.client.name, self.client.settings.host());
        let (kind, found) = sum.shown();
        let message = format!(
            "{file} of {name} is damaged: its {kind} is {found}, {host} announced {}; it was removed",
            about.etag
        );
        Failure::data(message).hint(TAMPERED)
    }

    /// Lets a branch or tag point at the commit, now that all of it is there.
    fn refer(&self) -> Result<()> {
        if self.client.name.revision() == self.commit {
            return Ok(());
        }
        let path = self.shelf.reference(self.client.name.revision());
        if fs::read_to_string(&path).is_ok_and(|now| now == self.commit) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(io_at(folder))?;
        write_atomic(&RealFs, &path, self.commit.as_bytes())
    }
}

const TAMPERED: &str =
    "try again; if it stays, something between here and the hub changes files (a proxy, a mirror in HF_ENDPOINT)";

/// Puts a link to a blob, relative so that a cache may be moved, in one step.
fn link(etag: &str, blob: &Path, at: &Path) -> Result<()> {
    let target = Path::new("../../blobs").join(etag);
    if fs::read_link(at).is_ok_and(|now| now == target) {
        return Ok(());
    }
    let temporary = at.with_extension(format!("tmp-{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let made = RealFs.symlink(&target, &temporary).or_else(|_| fs::hard_link(blob, &temporary));
    made.and_then(|()| fs::rename(&temporary, at)).map_err(|e| {
        let _ = fs::remove_file(&temporary);
        io_at(at)(e)
    })
}

/// The running digest of a blob, of the kind that its etag is.
enum Sum {
    Sha256(Sha256),
    Git(Sha1),
    Unknown,
}

impl Sum {
    fn new(about: &About) -> Self {
        let hex = about.etag.bytes().all(|b| b.is_ascii_hexdigit());
        match about.etag.len() {
            64 if hex => Sum::Sha256(Sha256::new()),
            40 if hex => Sum::Git(Sha1::new_with_prefix(format!("blob {}\0", about.size))),
            _ => Sum::Unknown,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Sum::Sha256(sum) => sum.update(bytes),
            Sum::Git(sum) => sum.update(bytes),
            Sum::Unknown => {}
        }
    }

    /// Takes in what an earlier attempt left and stands at its end; more than the size is thrown away.
    fn take_in(&mut self, file: &mut File, size: u64) -> io::Result<u64> {
        let have = file.metadata()?.len();
        if have > size {
            file.set_len(0)?;
            return Ok(0);
        }
        let (mut buffer, mut read) = (vec![0; 1 << 20], 0);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(read),
                n => self.update(&buffer[..n]),
            }
            read = io::Seek::stream_position(file)?;
        }
    }

    /// Begins anew with an empty file.
    fn restart(&mut self, file: &mut File, about: &About) -> io::Result<u64> {
        *self = Sum::new(about);
        file.set_len(0)?;
        io::Seek::rewind(file)?;
        Ok(0)
    }

    /// Kind and value so far.
    fn shown(&self) -> (&'static str, String) {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        match self {
            Sum::Sha256(sum) => ("sha256", hex(&sum.clone().finalize())),
            Sum::Git(sum) => ("git hash", hex(&sum.clone().finalize())),
            Sum::Unknown => ("digest", String::new()),
        }
    }

    fn holds(&self, about: &About) -> bool {
        matches!(self, Sum::Unknown) || self.shown().1 == about.etag
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn digests_are_those_of_git_and_sha256() {
        let of = |etag: &str, bytes: &[u8]| {
            let about = About { etag: etag.into(), size: bytes.len() as u64 };
            let mut sum = Sum::new(&about);
            bytes.chunks(3).for_each(|part| sum.update(part));
            (sum.shown().0, sum.holds(&about))
        };
        // `printf 'hello\n' | git hash-object --stdin`, `printf 'hello\n' | sha256sum`
        assert_eq!(of("ce013625030ba8dba906f756967f9e9ca394464a", b"hello\n"), ("git hash", true));
        assert_eq!(of("ce013625030ba8dba906f756967f9e9ca394464b", b"hello\n"), ("git hash", false));
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(of(sha256, b"hello\n"), ("sha256", true));
        assert_eq!(of(sha256, b"Hello\n"), ("sha256", false));
        assert_eq!(of("something-else", b"x"), ("digest", true));
    }
}
