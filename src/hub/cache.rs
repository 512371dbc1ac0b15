//! The cache that all Hugging Face libraries share: `models--org--name/{blobs,refs,snapshots}`, blobs named by their etag,
//! snapshots made of relative links to them, `refs/main` holding a commit. Looking into it needs no network.
//!
//! A snapshot counts only when a planner can be loaded from it, because Python leaves partial ones.

use super::name::{Name, is_commit, is_file_name};
use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
};

/// What is needed of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Everything.
    Model,
    /// Everything except the weights.
    Language,
}

/// A repository's folder in the cache.
#[derive(Debug, Clone)]
pub struct Shelf {
    root: PathBuf,
    cache: PathBuf,
    folder: String,
}

/// Most bytes of an index of shards.
const MAX_INDEX: u64 = 64 << 20;

impl Shelf {
    /// Where a name's files are or would be.
    pub fn of(cache: &Path, name: &Name) -> Self {
        let folder = format!("models--{}", name.repo().replace('/', "--"));
        Shelf { root: cache.join(&folder), cache: cache.into(), folder }
    }

    /// The content of a file, by its etag.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// The files of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The file that says which commit a branch or tag is.
    pub fn reference(&self, revision: &str) -> PathBuf {
        self.root.join("refs").join(revision)
    }

    /// The lock that a process holds while it writes a blob; Python takes the same one.
    pub fn lock(&self, etag: &str) -> PathBuf {
        self.cache.join(".locks").join(&self.folder).join(format!("{etag}.lock"))
    }

    /// The commit of a revision, as far as the cache knows.
    pub fn commit(&self, name: &Name) -> Option<String> {
        if let Some(commit) = name.commit() {
            return Some(commit.into());
        }
        let mut text = String::new();
        std::fs::File::open(self.reference(name.revision())).ok()?.take(128).read_to_string(&mut text).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// The folder of a name, if everything wanted is there; otherwise what is missing.
    ///
    /// # Errors
    /// The names of the missing files; empty when nothing of this revision is there.
    pub fn find(&self, name: &Name, wanted: Wanted) -> Result<PathBuf, Vec<String>> {
        let folder = self.commit(name).map(|commit| self.snapshot(&commit)).ok_or_else(Vec::new)?;
        if !folder.is_dir() {
            return Err(Vec::new());
        }
        let missing = missing(&folder, wanted);
        if missing.is_empty() { Ok(folder) } else { Err(missing) }
    }
}

/// What a planner needs and a folder lacks. A link whose blob is gone counts as lacking.
pub fn missing(folder: &Path, wanted: Wanted) -> Vec<String> {
    let has = |name: &str| folder.join(name).is_file();
    let one_of = |names: &[&[&str]]| {
        let found = names.iter().any(|all| all.iter().all(|name| has(name)));
        (!found).then(|| names[0][0].to_owned())
    };
    if has("adapter_config.json") && !has("config.json") {
        let weights = (wanted == Wanted::Model).then(|| one_of(&[&["adapter_model.safetensors"]]));
        return weights.flatten().into_iter().collect();
    }
    let mut missing: Vec<String> = [
        one_of(&[&["config.json"]]),
        one_of(&[&["tokenizer.json"], &["vocab.json", "merges.txt"]]),
        one_of(&[&["preprocessor_config.json"], &["processor_config.json"]]),
    ]
    .into_iter()
    .flatten()
    .collect();
    if wanted == Wanted::Model && !has(SINGLE) {
        match shards(&folder.join(INDEX)) {
            Some(shards) => missing.extend(shards.into_iter().filter(|shard| !has(shard))),
            None => missing.push(SINGLE.into()),
        }
    }
    missing
}

/// Weights in one file.
pub const SINGLE: &str = "model.safetensors";
/// The list of weights in several files.
pub const INDEX: &str = "model.safetensors.index.json";

/// The files that an index names; `None` when it is not there or none of its kind.
pub fn shards(index: &Path) -> Option<BTreeSet<String>> {
    let mut bytes = Vec::new();
    std::fs::File::open(index).ok()?.take(MAX_INDEX + 1).read_to_end(&mut bytes).ok()?;
    let json: serde_json::Value = (bytes.len() as u64 <= MAX_INDEX).then(|| serde_json::from_slice(&bytes).ok())??;
    let name = |file: &serde_json::Value| file.as_str().filter(|name| is_file_name(name)).map(str::to_owned);
    let names: Option<BTreeSet<String>> = json.get("weight_map")?.as_object()?.values().map(name).collect();
    names.filter(|names| !names.is_empty())
}

/// The name, with its commit, of a folder that is a snapshot in a cache.
pub fn name_of(folder: &Path) -> Option<Name> {
    let text = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
    let commit = text(folder).filter(|commit| is_commit(commit))?;
    let snapshots = folder.parent()?;
    if text(snapshots)? != "snapshots" {
        return None;
    }
    let shelf = text(snapshots.parent()?)?;
    let repo = shelf.strip_prefix("models--")?.replacen("--", "/", 1);
    Name::parse(&format!("{repo}@{commit}")).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::fs;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// A cache as Python leaves it.
    fn shelf(dir: &Path) -> (Name, Shelf) {
        let name = Name::parse("org/some.name").unwrap();
        let shelf = Shelf::of(dir, &name);
        fs::create_dir_all(shelf.snapshot(COMMIT)).unwrap();
        fs::create_dir_all(dir.join("models--org--some.name/refs")).unwrap();
        fs::write(shelf.reference("main"), COMMIT).unwrap();
        (name, shelf)
    }

    #[test]
    fn a_snapshot_counts_when_a_planner_can_be_loaded_from_it() {
        let dir = tempfile::tempdir().unwrap();
        let (name, shelf) = shelf(dir.path());
        let folder = shelf.snapshot(COMMIT);
        assert_eq!(
            shelf.find(&name, Wanted::Model).unwrap_err(),
            ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"]
        );
        for file in ["config.json", "vocab.json", "merges.txt", "preprocessor_config.json"] {
            fs::write(folder.join(file), "{}").unwrap();
        }
        assert_eq!(shelf.find(&name, Wanted::Language).unwrap(), folder);
        assert_eq!(shelf.find(&name, Wanted::Model).unwrap_err(), ["model.safetensors"]);
        fs::write(folder.join(INDEX), r#"{"weight_map":{"x":"a.safetensors","y":"b.safetensors"}}"#).unwrap();
        fs::write(folder.join("a.safetensors"), "").unwrap();
        assert_eq!(shelf.find(&name, Wanted::Model).unwrap_err(), ["b.safetensors"]);
        #[cfg(unix)]
        std::os::unix::fs::symlink("../../blobs/gone", folder.join("b.safetensors")).unwrap();
        assert_eq!(shelf.find(&name, Wanted::Model).unwrap_err(), ["b.safetensors"]);
        fs::create_dir_all(shelf.blob("x").parent().unwrap()).unwrap();
        fs::write(shelf.blob("gone"), "").unwrap();
        assert_eq!(shelf.find(&name, Wanted::Model).unwrap(), folder);
        let pinned = Name::parse(&format!("org/some.name@{COMMIT}")).unwrap();
        assert_eq!(shelf.find(&pinned, Wanted::Model).unwrap(), folder);
        assert_eq!(name_of(&folder), Some(pinned));
        let other = Name::parse("org/some.name@v2").unwrap();
        assert_eq!(shelf.find(&other, Wanted::Model).unwrap_err(), [""; 0]);
    }

    #[test]
    fn adapters_and_broken_indexes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("adapter_config.json"), "{}").unwrap();
        assert_eq!(missing(dir.path(), Wanted::Model), ["adapter_model.safetensors"]);
        assert_eq!(missing(dir.path(), Wanted::Language), [""; 0]);
        let index = dir.path().join(INDEX);
        for text in ["{", "{}", r#"{"weight_map":{}}"#, r#"{"weight_map":{"x":"../a"}}"#, r#"{"weight_map":{"x":1}}"#] {
            fs::write(&index, text).unwrap();
            assert_eq!(shards(&index), None, "{text}");
        }
    }

    #[test]
    fn a_reference_that_is_no_commit_is_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let (name, shelf) = shelf(dir.path());
        assert_eq!(shelf.commit(&name).as_deref(), Some(COMMIT));
        for text in ["../../../etc", "", "0123", "zzzz456789abcdef0123456789abcdef01234567"] {
            fs::write(shelf.reference("main"), text).unwrap();
            assert_eq!(shelf.commit(&name), None, "{text}");
        }
        for path in ["models--a--b/snapshots/x", "models--a/snapshots/0123456789abcdef0123456789abcdef01234567", "x"] {
            assert_eq!(name_of(Path::new(path)), None, "{path}");
        }
    }

    /// The paths are those of Hugging Face's own Rust library.
    #[cfg(feature = "hub")]
    #[test]
    fn the_layout_is_that_of_hf_hub() {
        let dir = tempfile::tempdir().unwrap();
        let (_, shelf) = shelf(dir.path());
        let theirs = hf_hub::Cache::new(dir.path().into()).model("org/some.name".into());
        assert_eq!((theirs.blob_path("e"), theirs.pointer_path(COMMIT)), (shelf.blob("e"), shelf.snapshot(COMMIT)));
        fs::write(shelf.snapshot(COMMIT).join("config.json"), "{}").unwrap();
        assert_eq!(theirs.get("config.json"), Some(shelf.snapshot(COMMIT).join("config.json")));
        theirs.create_ref("x").unwrap();
        assert_eq!(fs::read_to_string(shelf.reference("main")).unwrap(), "x");
    }
}
