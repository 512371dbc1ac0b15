//! What the environment says about the hub, under the names and with the defaults of Python's `huggingface_hub`, so that
//! both share one cache, one token and one way to be offline.

use crate::error::{Failure, Result, io_at};
use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

/// The secret of an account. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The secret itself, for one header.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Where the hub and its cache are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address without a slash at the end (`HF_ENDPOINT`).
    pub endpoint: String,
    /// Cache folder (`HF_HUB_CACHE`, or `hub` in `HF_HOME`).
    pub cache: PathBuf,
    /// `HF_TOKEN`, or the file that a login left (`HF_TOKEN_PATH`, or `token` in `HF_HOME`).
    pub token: Option<Token>,
    /// Nothing is asked of the network (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// Longest wait for an answer (`HF_HUB_ETAG_TIMEOUT`, seconds).
    pub answer_within: Duration,
    /// Longest pause inside a transfer (`HF_HUB_DOWNLOAD_TIMEOUT`, seconds).
    pub bytes_within: Duration,
    /// Certificates to trust instead of Mozilla's (`SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`).
    pub certificates: Option<PathBuf>,
    /// No progress (`HF_HUB_DISABLE_PROGRESS_BARS`).
    pub silent: bool,
}

/// Most bytes of a token.
const MAX_TOKEN: u64 = 4096;

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Exit 2 with the variable and its value (never that of a token).
    pub fn from_env() -> Result<Self> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere; empty ones count as not set.
    ///
    /// # Errors
    /// As [`Self::from_env`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let is_true = |name: &str| {
            get(name).is_some_and(|v| matches!(v.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
        };
        let user = get("HOME").or_else(|| get("USERPROFILE")).map(PathBuf::from);
        let path = |text: String| match (text.strip_prefix("~/"), &user) {
            (Some(rest), Some(user)) => user.join(rest),
            _ => PathBuf::from(text),
        };
        let home = match (get("HF_HOME"), get("XDG_CACHE_HOME"), &user) {
            (Some(home), ..) => path(home),
            (None, Some(cache), _) => path(cache).join("huggingface"),
            (None, None, Some(user)) => user.join(".cache/huggingface"),
            (None, None, None) => {
                return Err(Failure::usage("no folder for models: neither HF_HOME nor HOME is set").hint("set HF_HOME"));
            }
        };
        let cache = get("HF_HUB_CACHE").or_else(|| get("HUGGINGFACE_HUB_CACHE"));
        let token = match get("HF_TOKEN").or_else(|| get("HUGGING_FACE_HUB_TOKEN")) {
            Some(token) => Some(("HF_TOKEN".to_owned(), token)),
            None if is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") => None,
            None => stored(&get("HF_TOKEN_PATH").map_or_else(|| home.join("token"), path))?,
        };
        let seconds = |name: &str| match get(name).map(|text| (text.trim().parse::<f64>(), text)) {
            None => Ok(Duration::from_secs(10)),
            Some((Ok(seconds), _)) if seconds > 0.0 && seconds <= 86_400.0 => Ok(Duration::from_secs_f64(seconds)),
            Some((_, text)) => {
                Err(Failure::usage(format!("{name} is {text:?}, allowed are seconds over 0 up to 86400")))
            }
        };
        Ok(Settings {
            endpoint: endpoint(&get("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into()))?,
            cache: cache.map_or_else(|| home.join("hub"), path),
            token: token.map(|(place, text)| checked(&place, &text)).transpose()?,
            offline: is_true("HF_HUB_OFFLINE") || (get("HF_HUB_OFFLINE").is_none() && is_true("TRANSFORMERS_OFFLINE")),
            answer_within: seconds("HF_HUB_ETAG_TIMEOUT")?,
            bytes_within: seconds("HF_HUB_DOWNLOAD_TIMEOUT")?,
            certificates: get("SSL_CERT_FILE").or_else(|| get("REQUESTS_CA_BUNDLE")).map(path),
            silent: is_true("HF_HUB_DISABLE_PROGRESS_BARS"),
        })
    }

    /// The endpoint for people: without the scheme.
    pub fn host(&self) -> &str {
        self.endpoint.split_once("://").map_or(&self.endpoint, |(_, host)| host)
    }
}

fn endpoint(text: &str) -> Result<String> {
    let text = text.trim().trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/[]~".contains(c);
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(plain) => Ok(text.into()),
        _ => Err(Failure::usage(format!("HF_ENDPOINT is {text:?}, which is no address of a server"))
            .hint("it looks like https://huggingface.co, without a user name or a query")),
    }
}

/// The token that a login left, with the file it is in.
fn stored(path: &Path) -> Result<Option<(String, String)>> {
    let mut text = String::new();
    match std::fs::File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_at(path)(e)),
        Ok(file) => file.take(MAX_TOKEN + 1).read_to_string(&mut text).map_err(io_at(path))?,
    };
    Ok(Some((path.display().to_string(), text)).filter(|(_, text)| !text.trim().is_empty()))
}

/// A token goes into a header, so it may hold nothing that ends one.
fn checked(place: &str, text: &str) -> Result<Token> {
    let text = text.trim();
    if text.len() as u64 <= MAX_TOKEN && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Token(text.into()));
    }
    Err(Failure::usage(format!("{place} holds no token: there are spaces or odd characters in it"))
        .hint("copy the token again from the page of your account (settings/tokens); it begins with hf_"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings> {
        Settings::read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn defaults_are_those_of_python() {
        let s = read(&[("HOME", "/home/a")]).unwrap();
        assert_eq!((s.endpoint.as_str(), s.host()), ("https://huggingface.co", "huggingface.co"));
        assert_eq!(s.cache, Path::new("/home/a/.cache/huggingface/hub"));
        assert_eq!((s.token, s.offline, s.bytes_within.as_secs()), (None, false, 10));
        assert!(read(&[]).is_err());
    }

    #[test]
    fn every_variable_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(at("token"), "hf_stored\n").unwrap();
        std::fs::write(at("other"), "hf_other").unwrap();
        let home = ("HF_HOME", dir.path().to_str().unwrap());
        let token = |pairs: &[(&str, &str)]| read(pairs).unwrap().token.map(|t| t.secret().to_owned());
        assert_eq!(read(&[home]).unwrap().cache, dir.path().join("hub"));
        assert_eq!(token(&[home]).as_deref(), Some("hf_stored"));
        assert_eq!(token(&[home, ("HF_TOKEN_PATH", &at("other"))]).as_deref(), Some("hf_other"));
        assert_eq!(token(&[home, ("HF_TOKEN", " hf_env ")]).as_deref(), Some("hf_env"));
        assert_eq!(token(&[home, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        let s =
            read(&[home, ("HF_HUB_CACHE", "~/c"), ("HOME", "/h"), ("HF_ENDPOINT", "http://127.0.0.1:81/x/")]).unwrap();
        assert_eq!((s.cache.as_path(), s.endpoint.as_str()), (Path::new("/h/c"), "http://127.0.0.1:81/x"));
        assert_eq!(read(&[("XDG_CACHE_HOME", "/x")]).unwrap().cache, Path::new("/x/huggingface/hub"));
        for on in ["1", "true", "YES", "On"] {
            assert!(read(&[home, ("HF_HUB_OFFLINE", on)]).unwrap().offline, "{on}");
        }
        assert!(!read(&[home, ("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]).unwrap().offline);
        let s = read(&[home, ("HF_HUB_DOWNLOAD_TIMEOUT", "0.5")]).unwrap();
        assert_eq!(s.bytes_within, Duration::from_millis(500));
    }

    #[test]
    fn nonsense_is_usage_and_a_token_is_never_shown() {
        for (name, value) in [
            ("HF_ENDPOINT", "huggingface.co"),
            ("HF_ENDPOINT", "https://"),
            ("HF_ENDPOINT", "https://user@host"),
            ("HF_ENDPOINT", "file:///etc"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "-1"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"),
            ("HF_HUB_ETAG_TIMEOUT", "NaN"),
        ] {
            let failure = read(&[("HOME", "/h"), (name, value)]).unwrap_err();
            assert_eq!(failure.kind, crate::error::Kind::Usage);
            assert!(failure.message.contains(name), "{failure}");
        }
        let failure = read(&[("HOME", "/h"), ("HF_TOKEN", "hf_secret\r\nX-Evil: 1")]).unwrap_err();
        assert!(!failure.message.contains("secret") && failure.message.contains("HF_TOKEN"), "{failure}");
        let shown = format!("{:?}", read(&[("HOME", "/h"), ("HF_TOKEN", "hf_secret")]).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
