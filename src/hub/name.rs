//! Names of models on the hub: `org/name`, or `org/name@revision` with a branch, tag or commit.
//!
//! Names become paths in the cache and parts of URLs, so only what the hub itself allows is let through, and nothing that
//! could leave a folder.

use crate::error::{Failure, Result};
use std::fmt;

/// The revision when none is given.
pub const MAIN: &str = "main";

/// A checked name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    repo: String,
    revision: String,
}

impl Name {
    /// Whether a text that is no path of this machine was meant as a name: one slash, not the beginning of a path.
    pub fn is_meant(text: &str) -> bool {
        let repo = text.split('@').next().unwrap_or_default();
        is_address(text)
            || (repo.matches('/').count() == 1 && !repo.starts_with(['.', '/', '~']) && !repo.ends_with('/'))
    }

    /// Reads `org/name` or `org/name@revision`.
    ///
    /// # Errors
    /// Exit 2 with what is allowed.
    pub fn parse(text: &str) -> Result<Self> {
        let (repo, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let bad = |what: &str| {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
            Failure::usage(format!("{shown:?} is neither a folder nor a name on the hub: {what}"))
                .hint("names are org/name or org/name@revision, for example Qwen/Qwen2.5-VL-3B-Instruct")
        };
        if is_address(text) {
            return Err(bad("it is an address, not a name"));
        }
        let Some((org, name)) = repo.split_once('/') else { return Err(bad("there is no / in it")) };
        if repo.len() > 96 {
            return Err(bad("it has more than 96 characters"));
        }
        for part in [org, name] {
            if part.is_empty() || !part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                return Err(bad("org and name are letters, digits, '-', '_' and '.'"));
            }
            let dots = part.starts_with(['-', '.']) || part.ends_with(['-', '.']) || part.ends_with(".git");
            if dots || part.contains("--") || part.contains("..") {
                return Err(bad("'-' and '.' may not be doubled, first or last, and .git may not be the end"));
            }
        }
        if !is_revision(revision) {
            return Err(bad("a revision is a branch, tag or commit of letters, digits, '-', '_', '.' and '/'"));
        }
        Ok(Name { repo: repo.into(), revision: revision.into() })
    }

    /// `org/name`.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// Branch, tag or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The revision, if it is a commit and so can never change.
    pub fn commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(self.revision.as_str())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            MAIN => f.write_str(&self.repo),
            revision => write!(f, "{}@{revision}", self.repo),
        }
    }
}

fn is_address(text: &str) -> bool {
    ["http://", "https://", "hf://"].iter().any(|scheme| text.starts_with(scheme))
}

/// A full commit hash.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_revision(text: &str) -> bool {
    let part = |p: &str| {
        let plain = p.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        plain && !p.is_empty() && !p.starts_with(['.', '-']) && !p.ends_with('.') && !p.contains("..")
    };
    text.len() <= 200 && text.split('/').all(part)
}

/// Whether a name that a server or an index gives is that of a plain file in the folder itself.
pub fn is_file_name(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    plain && !name.is_empty() && name.len() <= 200 && !name.starts_with(['.', '-'])
}

/// Whether a path inside a repository, of any depth, stays inside.
pub fn stays_inside(path: &str) -> bool {
    let odd = path.contains(['\\', ':']) || path.chars().any(char::is_control);
    !path.is_empty() && !odd && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn names_of_the_hub_are_read_and_written() {
        for (text, repo, revision) in [
            ("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct", "main"),
            ("a/b_c.d@v1.0", "a/b_c.d", "v1.0"),
            ("a/b@refs/pr/7", "a/b", "refs/pr/7"),
        ] {
            assert!(Name::is_meant(text));
            let name = Name::parse(text).unwrap();
            assert_eq!((name.repo(), name.revision(), name.to_string().as_str()), (repo, revision, text));
        }
        let commit = "66285546d2b821cf421d4f5eb2576359d3770cd3";
        assert_eq!(Name::parse(&format!("a/b@{commit}")).unwrap().commit(), Some(commit));
        assert_eq!(Name::parse("a/b@main").unwrap().to_string(), "a/b");
    }

    #[test]
    fn what_could_leave_a_folder_is_refused_as_usage() {
        let long = format!("a/{}", "b".repeat(95));
        for text in [
            "Qwen/..",
            "../b",
            "a/.b",
            "a/b--c",
            "a--b/c",
            "a/b.git",
            "-a/b",
            "a/b-",
            "a b/c",
            "a/b\n",
            "a/b%2e",
            "a/ü",
            "/b",
            "a/b@",
            "a/b@..",
            "a/b@../../x",
            "a/b@/etc",
            "a/b@x//y",
            "a/b@-x",
            "a/b@x y",
            "a/b@x@y",
            "a\\b/c",
            &long,
            "a/b?x",
            "https://huggingface.co/a/b",
            "hf://a/b",
            "x",
            "",
        ] {
            let failure = Name::parse(text).unwrap_err();
            assert_eq!(failure.kind, crate::error::Kind::Usage, "{text}");
            assert!(!failure.message.contains('\n') && failure.hint.is_some(), "{failure}");
        }
    }

    #[test]
    fn paths_are_not_taken_for_names() {
        for text in ["runs", "./runs/a", "../a", "/a/b", "~/a", "a/b/c", "a/b/", "a/", ""] {
            assert!(!Name::is_meant(text), "{text}");
        }
        assert!(["runs/a", "Qwen/..", "a/b@../..", "https://huggingface.co/a/b"].iter().all(|t| Name::is_meant(t)));
    }

    #[test]
    fn file_names_of_a_server() {
        assert!(is_file_name("model-00001-of-00002.safetensors") && is_file_name("config.json"));
        assert!(["", "..", ".hidden", "a/b", "a\\b", "a b", "-x", "a\0"].iter().all(|n| !is_file_name(n)));
        assert!(stays_inside("onnx/model.onnx") && stays_inside("a b/ü.txt"));
        assert!(
            ["../x", "a/../../x", "/etc/x", "a//b", "C:\\x", "a\\..\\b", "", "a\nb"].iter().all(|n| !stays_inside(n))
        );
    }
}
