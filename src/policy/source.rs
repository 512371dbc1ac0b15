//! Where a planner's files are: the embedded checkpoint, a Hugging Face folder, a name on the hub, a pair of GGUF files, a
//! PEFT adapter on a base, or a run folder, whose newest complete checkpoint counts. A folder goes before a name that is
//! spelt the same.

use crate::{
    error::{Failure, Result, io_at},
    hub::{self, Wanted},
    train::checkpoint::Checkpoint,
    vlm::gguf::pair,
};
use std::path::{Path, PathBuf};

/// Name of the embedded checkpoint wherever a base model is named.
pub const EMBEDDED: &str = "embedded";

/// A resolved model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The checkpoint inside the binary.
    Embedded,
    /// A Hugging Face folder.
    Folder(PathBuf),
    /// A text model and its vision half.
    Gguf {
        /// The text model.
        text: PathBuf,
        /// `mmproj`
        mmproj: PathBuf,
    },
    /// A PEFT adapter and what it sits on.
    Adapter {
        /// The base model.
        base: Box<Source>,
        /// Folder with `adapter_config.json`.
        adapter: PathBuf,
    },
}

impl Source {
    /// Finds out what a path or a name on the hub is; `None` is the embedded planner. Models that are not in the cache of
    /// the hub are downloaded.
    ///
    /// # Errors
    /// Nothing there, a folder that is none of the known kinds, or a download that failed.
    pub fn resolve(model: Option<&Path>) -> Result<Self> {
        Self::resolved(model, true, Wanted::Model)
    }

    /// [`Self::resolve`] for [`super::Language::load`]: no weights are downloaded.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_language(model: Option<&Path>) -> Result<Self> {
        Self::resolved(model, true, Wanted::Language)
    }

    fn resolved(model: Option<&Path>, adapters: bool, wanted: Wanted) -> Result<Self> {
        let Some(path) = model else { return Ok(Source::Embedded) };
        if path.as_os_str() == EMBEDDED {
            return Ok(Source::Embedded);
        }
        let gguf = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) && !path.is_dir();
        if !path.exists() {
            // A missing file is not looked for on the hub.
            if !gguf && let Some(folder) = on_hub(path, wanted)? {
                return Self::of_folder(&folder, adapters, wanted);
            }
            return Err(Failure::data(format!("no model at {}", path.display()))
                .hint("give a model folder, an adapter folder, a run folder or a name on the hub (org/name); leave --model out for the embedded planner"));
        }
        if gguf {
            return pair::beside(path).map(Self::of_pair);
        }
        if !path.is_dir() {
            return Err(Failure::data(format!("{} is a file, a model is a folder or a .gguf file", path.display()))
                .hint("give the folder that holds config.json and model.safetensors"));
        }
        Self::of_folder(path, adapters, wanted)
    }

    fn of_pair((text, mmproj): (PathBuf, PathBuf)) -> Self {
        Source::Gguf { text, mmproj }
    }

    /// `adapters` is false below an adapter: its base is a whole model, so a chain of folders that name each other ends.
    fn of_folder(path: &Path, adapters: bool, wanted: Wanted) -> Result<Self> {
        if path.join("config.json").is_file() {
            return Ok(Source::Folder(path.into()));
        }
        if path.join("adapter_config.json").is_file() {
            if !adapters {
                return Err(Failure::data(format!("{} is an adapter itself, not a base model", path.display())));
            }
            return Ok(Source::Adapter { base: Box::new(base_of(path, wanted)?), adapter: path.into() });
        }
        for part in ["model", "adapter"] {
            if path.join(part).is_dir() && path.join("MANIFEST.json").is_file() {
                return Self::of_folder(&path.join(part), adapters, wanted);
            }
        }
        if path.join("ckpt").is_dir() || path.join("run.json").is_file() {
            let newest = Checkpoint::newest(path)?;
            return match newest.found {
                Some(checkpoint) => Self::of_folder(&checkpoint.dir, adapters, wanted),
                None => Err(Failure::data(format!("{} has no complete checkpoint yet", path.display()))
                    .hint("wait for the first one (sft.save_steps), or continue the run with sft --resume")),
            };
        }
        if let Some(found) = pair::inside(path)? {
            return Ok(Self::of_pair(found));
        }
        let mut names: Vec<String> = std::fs::read_dir(path)
            .map_err(io_at(path))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names.truncate(8);
        Err(Failure::data(format!("{} holds no model: it has {}", path.display(), names.join(", ")))
            .hint("a model folder has config.json, an adapter adapter_config.json, a run run.json"))
    }

    /// A short name for people and logs; that of the hub for what comes from there.
    pub fn name(&self) -> String {
        let short = |path: &Path| match hub::name_of(path) {
            Some(name) => name.repo().to_owned(),
            None => path.display().to_string(),
        };
        match self {
            Source::Embedded => "embedded planner".into(),
            Source::Folder(path) => short(path),
            Source::Gguf { text: path, .. } => path.display().to_string(),
            Source::Adapter { base, adapter } => format!("{} on {}", short(adapter), base.name()),
        }
    }

    /// What an adapter's `base_model_name_or_path` says about this base: for one from the hub its name with the commit, so
    /// that it is found on other machines.
    pub fn base_name(&self) -> String {
        match self {
            Source::Embedded => EMBEDDED.into(),
            Source::Folder(path) => match hub::name_of(path) {
                Some(name) => name.to_string(),
                None => std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string(),
            },
            Source::Gguf { text: path, .. } => {
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
            }
            Source::Adapter { base, .. } => base.base_name(),
        }
    }
}

/// The folder of a name on the hub, if a path that is not there was meant as one.
fn on_hub(path: &Path, wanted: Wanted) -> Result<Option<PathBuf>> {
    match path.to_str().filter(|text| hub::Name::is_meant(text)) {
        Some(text) => hub::locate(text, wanted).map(Some),
        None => Ok(None),
    }
}

/// The folder of an adapter, given as such or as a name on the hub.
///
/// # Errors
/// A name that cannot be downloaded. A folder is not looked into.
pub fn adapter_folder(path: &Path) -> Result<PathBuf> {
    let found = if path.exists() { None } else { on_hub(path, Wanted::Model)? };
    Ok(found.unwrap_or_else(|| path.into()))
}

/// What an adapter folder says it was trained on: a path, or a name on the hub with the revision if one is said.
///
/// # Errors
/// Unreadable, not JSON, or nothing said.
pub fn named_base(adapter: &Path) -> Result<String> {
    let path = adapter.join("adapter_config.json");
    let bytes = std::fs::read(&path).map_err(io_at(&path))?;
    let config: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| Failure::data(format!("{}: {e}", path.display())))?;
    let text = |key: &str| config.get(key).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
    match (text("base_model_name_or_path"), text("revision")) {
        (Some(base), Some(revision)) if hub::Name::is_meant(base) && !Path::new(base).exists() => {
            Ok(format!("{base}@{revision}"))
        }
        (Some(base), _) => Ok(base.into()),
        _ => Err(Failure::data(format!("{} does not name its base model", path.display())).hint(BASE_HINT)),
    }
}

const BASE_HINT: &str = "give the base with --model BASE and the adapter with --adapter DIR";

fn base_of(adapter: &Path, wanted: Wanted) -> Result<Source> {
    let base = named_base(adapter)?;
    Source::resolved(Some(Path::new(&base)), false, wanted).map_err(|e| {
        let e = e.context(format!("base model of {}", adapter.display()));
        if hub::Name::is_meant(&base) { e.or_hint(BASE_HINT) } else { e.hint(BASE_HINT) }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::error::Kind;

    #[test]
    fn folders_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Source::resolve(None).unwrap(), Source::Embedded);
        let missing = Source::resolve(Some(&dir.path().join("nope"))).unwrap_err();
        assert_eq!(missing.kind, Kind::Data);
        std::fs::write(dir.path().join("notes.txt"), "x").unwrap();
        let empty = Source::resolve(Some(dir.path())).unwrap_err();
        assert!(empty.message.contains("notes.txt"), "{empty}");
        std::fs::write(dir.path().join("adapter_config.json"), r#"{"base_model_name_or_path":"embedded"}"#).unwrap();
        let adapter = Source::resolve(Some(dir.path())).unwrap();
        assert_eq!(adapter, Source::Adapter { base: Box::new(Source::Embedded), adapter: dir.path().into() });
        let own = format!(r#"{{"base_model_name_or_path":{:?}}}"#, dir.path());
        std::fs::write(dir.path().join("adapter_config.json"), own).unwrap();
        let circle = Source::resolve(Some(dir.path())).unwrap_err();
        assert!(circle.message.contains("is an adapter itself"), "{circle}");
        std::fs::write(dir.path().join("config.json"), "{}").unwrap();
        assert_eq!(Source::resolve(Some(dir.path())).unwrap(), Source::Folder(dir.path().into()));
        let bad = Source::resolve(Some(Path::new("Qwen/../x"))).unwrap_err();
        assert_eq!(bad.kind, Kind::Data, "{bad}");
        let bad = Source::resolve(Some(Path::new("Qwen/.."))).unwrap_err();
        assert_eq!(bad.kind, Kind::Usage, "{bad}");
    }

    #[test]
    fn what_comes_from_the_hub_is_named_so() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let source = Source::Folder(format!("/c/models--Qwen--Qwen2-VL/snapshots/{commit}").into());
        assert_eq!(source.name(), "Qwen/Qwen2-VL");
        assert_eq!(source.base_name(), format!("Qwen/Qwen2-VL@{commit}"));
        let dir = tempfile::tempdir().unwrap();
        for (revision, named) in [("null", "a/b"), ("\"v1\"", "a/b@v1"), ("\"\"", "a/b")] {
            let config = format!(r#"{{"base_model_name_or_path":"a/b","revision":{revision}}}"#);
            std::fs::write(dir.path().join("adapter_config.json"), config).unwrap();
            assert_eq!(named_base(dir.path()).unwrap(), named);
        }
    }
}
