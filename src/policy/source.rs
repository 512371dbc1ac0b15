//! Where a planner's files are: the embedded checkpoint, a Hugging Face folder, a pair of GGUF files, a PEFT adapter on a
//! base, or a run folder, whose newest complete checkpoint counts.

use crate::{
    error::{Failure, Result, io_at},
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
    /// Finds out what a path is; `None` is the embedded planner.
    ///
    /// # Errors
    /// Nothing there, or a folder that is none of the known kinds.
    pub fn resolve(model: Option<&Path>) -> Result<Self> {
        Self::resolved(model, true)
    }

    fn resolved(model: Option<&Path>, adapters: bool) -> Result<Self> {
        let Some(path) = model else { return Ok(Source::Embedded) };
        if path.as_os_str() == EMBEDDED {
            return Ok(Source::Embedded);
        }
        if !path.exists() {
            let failure = Failure::data(format!("no model at {}", path.display()));
            let looks_like_hub = path.components().count() == 2 && !path.is_absolute();
            return Err(failure.hint(if looks_like_hub {
                "names on the hub are not downloaded yet: fetch the folder first (huggingface-cli download NAME --local-dir DIR) and give its path"
            } else {
                "give a Hugging Face model folder, an adapter folder or a run folder; leave --model out for the embedded planner"
            }));
        }
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) {
            return pair::beside(path).map(Self::of_pair);
        }
        if !path.is_dir() {
            return Err(Failure::data(format!("{} is a file, a model is a folder or a .gguf file", path.display()))
                .hint("give the folder that holds config.json and model.safetensors"));
        }
        Self::of_folder(path, adapters)
    }

    fn of_pair((text, mmproj): (PathBuf, PathBuf)) -> Self {
        Source::Gguf { text, mmproj }
    }

    /// `adapters` is false below an adapter: its base is a whole model, so a chain of folders that name each other ends.
    fn of_folder(path: &Path, adapters: bool) -> Result<Self> {
        if path.join("config.json").is_file() {
            return Ok(Source::Folder(path.into()));
        }
        if path.join("adapter_config.json").is_file() {
            if !adapters {
                return Err(Failure::data(format!("{} is an adapter itself, not a base model", path.display())));
            }
            return Ok(Source::Adapter { base: Box::new(base_of(path)?), adapter: path.into() });
        }
        for part in ["model", "adapter"] {
            if path.join(part).is_dir() && path.join("MANIFEST.json").is_file() {
                return Self::of_folder(&path.join(part), adapters);
            }
        }
        if path.join("ckpt").is_dir() || path.join("run.json").is_file() {
            let newest = Checkpoint::newest(path)?;
            return match newest.found {
                Some(checkpoint) => Self::of_folder(&checkpoint.dir, adapters),
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

    /// A short name for people and logs.
    pub fn name(&self) -> String {
        match self {
            Source::Embedded => "embedded planner".into(),
            Source::Folder(path) | Source::Gguf { text: path, .. } => path.display().to_string(),
            Source::Adapter { base, adapter } => format!("{} on {}", adapter.display(), base.name()),
        }
    }

    /// What an adapter's `base_model_name_or_path` says about this base.
    pub fn base_name(&self) -> String {
        match self {
            Source::Embedded => EMBEDDED.into(),
            Source::Folder(path) | Source::Gguf { text: path, .. } => {
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
            }
            Source::Adapter { base, .. } => base.base_name(),
        }
    }
}

/// What an adapter folder says it was trained on.
///
/// # Errors
/// Unreadable, not JSON, or nothing said.
pub fn named_base(adapter: &Path) -> Result<String> {
    let path = adapter.join("adapter_config.json");
    let bytes = std::fs::read(&path).map_err(io_at(&path))?;
    let config: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| Failure::data(format!("{}: {e}", path.display())))?;
    match config.get("base_model_name_or_path").and_then(serde_json::Value::as_str) {
        Some(base) if !base.is_empty() => Ok(base.into()),
        _ => Err(Failure::data(format!("{} does not name its base model", path.display())).hint(BASE_HINT)),
    }
}

const BASE_HINT: &str = "give the base with --model BASE and the adapter with --adapter DIR";

fn base_of(adapter: &Path) -> Result<Source> {
    Source::resolved(Some(Path::new(&named_base(adapter)?)), false)
        .map_err(|e| e.context(format!("base model of {}", adapter.display())).hint(BASE_HINT))
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
        let hub = Source::resolve(Some(Path::new("Qwen/Qwen2.5-VL-3B-Instruct"))).unwrap_err();
        assert!(hub.hint.unwrap().contains("hub"));
    }
}
