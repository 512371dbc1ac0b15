//! Models by their name on the Hugging Face hub: `org/name` or `org/name@revision`.
//!
//! The cache that Python's `huggingface_hub` keeps comes first: what is complete there is used without asking anybody, so
//! a name means the same weights until another revision is asked for. Otherwise the files that a planner needs are
//! downloaded into it (feature `hub`). [`name`], [`settings`] and [`cache`] are pure and always there.

pub mod cache;
#[cfg(feature = "hub")]
pub mod client;
#[cfg(feature = "hub")]
pub mod download;
pub mod name;
pub mod settings;

pub use cache::{Wanted, name_of};
pub use name::Name;
pub use settings::Settings;

use crate::error::{Failure, Result};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

static QUIET: AtomicBool = AtomicBool::new(false);

/// `--quiet` of the process: no word about downloads.
pub fn be_quiet(quiet: bool) {
    QUIET.store(quiet, Relaxed);
}

/// The folder of a model on the hub, from the cache or downloaded into it.
///
/// # Errors
/// Exit 2 for a name that is none, exit 3 when it is not in the cache and cannot be had from the network.
pub fn locate(text: &str, wanted: Wanted) -> Result<PathBuf> {
    locate_with(&Settings::from_env()?, &Name::parse(text)?, wanted)
}

/// [`locate`] with given settings.
///
/// # Errors
/// As [`locate`].
pub fn locate_with(settings: &Settings, name: &Name, wanted: Wanted) -> Result<PathBuf> {
    let missing = match cache::Shelf::of(&settings.cache, name).find(name, wanted) {
        Ok(folder) => return Ok(folder),
        Err(missing) => missing,
    };
    let cached = match missing.as_slice() {
        [] => format!("not in the cache {}", settings.cache.display()),
        missing => format!("in the cache {} only without {}", settings.cache.display(), missing.join(", ")),
    };
    if settings.offline {
        return Err(Failure::data(format!(
            "{name} is no folder here, {cached}, and HF_HUB_OFFLINE forbids to download it"
        ))
        .hint("unset HF_HUB_OFFLINE, or copy the cache from a machine that has it; otherwise check the path"));
    }
    obtain(settings, name, wanted, &cached)
}

#[cfg(feature = "hub")]
fn obtain(settings: &Settings, name: &Name, wanted: Wanted, _cached: &str) -> Result<PathBuf> {
    download::snapshot(settings, name, wanted, QUIET.load(Relaxed) || settings.silent)
}

#[cfg(not(feature = "hub"))]
fn obtain(_settings: &Settings, name: &Name, _wanted: Wanted, cached: &str) -> Result<PathBuf> {
    Err(Failure::data(format!(
        "{name} is no folder here, {cached}, and this build cannot download (feature hub is off)"
    ))
    .hint("build with the default features, or fetch it with another tool: huggingface-cli download"))
}

/// The line of `doctor`: endpoint, cache, token or not, online or not. No network is used.
///
/// # Errors
/// A variable of the environment that makes no sense.
pub fn about() -> Result<String> {
    let settings = Settings::from_env()?;
    let token = if settings.token.is_some() { "a token" } else { "no token" };
    let network = match (cfg!(feature = "hub"), settings.offline) {
        (false, _) => "no downloads (built without the feature hub)",
        (true, true) => "offline (HF_HUB_OFFLINE)",
        (true, false) => "downloads allowed",
    };
    Ok(format!("{}, cache {}, {token}, {network}", settings.endpoint, settings.cache.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn settings(home: &std::path::Path, offline: &str) -> Settings {
        let home = home.display().to_string();
        Settings::read(|name| match name {
            "HF_HOME" => Some(home.clone()),
            "HF_HUB_OFFLINE" => Some(offline.into()),
            "HF_ENDPOINT" => Some("http://127.0.0.1:1".into()),
            _ => None,
        })
        .unwrap()
    }

    #[test]
    fn offline_says_what_is_missing_and_a_full_cache_needs_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let name = Name::parse("a/b").unwrap();
        let offline = settings(dir.path(), "1");
        let failure = locate_with(&offline, &name, Wanted::Model).unwrap_err();
        assert_eq!(failure.kind, crate::error::Kind::Data);
        assert!(failure.message.contains("a/b") && failure.message.contains("HF_HUB_OFFLINE"), "{failure}");
        let shelf = cache::Shelf::of(&offline.cache, &name);
        let commit = "0123456789abcdef0123456789abcdef01234567";
        std::fs::create_dir_all(shelf.snapshot(commit)).unwrap();
        std::fs::create_dir_all(shelf.reference("main").parent().unwrap()).unwrap();
        std::fs::write(shelf.reference("main"), commit).unwrap();
        let failure = locate_with(&offline, &name, Wanted::Model).unwrap_err();
        assert!(failure.message.contains("only without config.json"), "{failure}");
        for file in ["config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"] {
            std::fs::write(shelf.snapshot(commit).join(file), "{}").unwrap();
        }
        for offline in ["1", "0"] {
            let found = locate_with(&settings(dir.path(), offline), &name, Wanted::Model).unwrap();
            assert_eq!(found, shelf.snapshot(commit));
        }
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn without_the_feature_the_error_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let name = Name::parse("a/b").unwrap();
        let failure = locate_with(&settings(dir.path(), "0"), &name, Wanted::Model).unwrap_err();
        assert!(failure.message.contains("feature hub"), "{failure}");
        assert_eq!(failure.kind, crate::error::Kind::Data);
    }
}
