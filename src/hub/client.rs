//! Requests to the hub: who may see the token, which redirects are followed, and what every refusal means for the user.
//!
//! The token goes to the origin of the endpoint and nowhere else, so a redirect to the storage of large files carries
//! none. Addresses of redirects are signed: messages show only their host. What may pass by waiting is tried again.

use super::{
    name::{MAIN, Name, is_commit, stays_inside},
    settings::Settings,
};
use crate::error::{Failure, Result};
use hf_hub::{Repo, RepoType, api::RepoInfo};
use std::{io, time::Duration};
use ureq::{
    Agent, Body, Error,
    http::{HeaderMap, Response, Uri},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// Most redirects of one request.
const MAX_HOPS: usize = 8;
/// Most bytes of the list of a repository's files.
const MAX_LISTING: u64 = 32 << 20;
/// How often something is tried that may pass by waiting.
pub(super) const TRIES: u32 = 5;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may pass: broken connections, time-outs, overloaded servers. With what the server asks to wait.
    Passing(String, Option<Duration>),
    /// Nobody is there.
    Unreachable(String),
    /// It will not pass.
    Final(Failure),
}

/// What the hub says about a file before it is downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    /// Name of the content: sha256 of a large file, git's hash of a small one.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

/// A connection to the hub for one model.
pub(super) struct Client<'a> {
    agent: Agent,
    pub settings: &'a Settings,
    pub name: &'a Name,
    repo: Repo,
}

impl<'a> Client<'a> {
    pub fn new(settings: &'a Settings, name: &'a Name) -> Result<Self> {
        let roots = match &settings.certificates {
            None => RootCerts::WebPki,
            Some(path) => {
                let pem = std::fs::read(path).map_err(crate::error::io_at(path))?;
                let certificates: Vec<_> = parse_pem(&pem)
                    .filter_map(|item| if let Ok(PemItem::Certificate(one)) = item { Some(one) } else { None })
                    .collect();
                if certificates.is_empty() {
                    return Err(Failure::usage(format!("{} holds no certificates", path.display())).hint(
                        "SSL_CERT_FILE and REQUESTS_CA_BUNDLE name a PEM file; unset them for the built-in list",
                    ));
                }
                RootCerts::new_with_certs(&certificates)
            }
        };
        let (answer, bytes) = (Some(settings.answer_within), Some(settings.bytes_within));
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("reinsman/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(answer)
            .timeout_connect(answer)
            .timeout_recv_response(answer)
            .timeout_per_read(bytes)
            .build()
            .into();
        let repo = Repo::with_revision(name.repo().into(), RepoType::Model, name.revision().into());
        Ok(Client { agent, settings, name, repo })
    }

    /// The files of the revision and the commit that it is.
    pub fn listing(&self) -> Result<RepoInfo> {
        let url = format!("{}/api/{}", self.settings.endpoint, self.repo.api_url());
        let bytes = self.patiently("the list of files", || {
            let mut response = self.send(&url, true, None, |_| false)?;
            let body = response.body_mut().with_config().limit(MAX_LISTING).read_to_vec();
            body.map_err(|e| self.trouble(e))
        })?;
        let bad = |what: &str| {
            let hint = "check HF_ENDPOINT: this does not look like a hub";
            Failure::data(format!("{} answers {what} about {}", self.settings.host(), self.name)).hint(hint)
        };
        let info: RepoInfo = serde_json::from_slice(&bytes)
            .map_err(|e| bad(&format!("with something that is no list of files ({e})")))?;
        if !is_commit(&info.sha) {
            return Err(bad("with something that is no commit"));
        }
        if let Some(odd) = info.siblings.iter().find(|file| !stays_inside(&file.rfilename)) {
            return Err(bad(&format!("with a file name that leaves its folder ({:?})", odd.rfilename)));
        }
        Ok(info)
    }

    /// The address of a file of a commit.
    pub fn address(&self, commit: &str, file: &str) -> String {
        format!("{}/{}/resolve/{commit}/{file}", self.settings.endpoint, self.repo.url())
    }

    /// What a file will be. Redirects are followed only until its etag and size are known.
    pub fn about(&self, commit: &str, file: &str) -> Result<About> {
        let known = |h: &HeaderMap| header(h, "x-linked-etag").is_some() && header(h, "x-linked-size").is_some();
        let response = self.patiently(file, || self.send(&self.address(commit, file), false, None, known))?;
        let headers = response.headers();
        let bad = |what: &str| {
            let host = self.settings.host();
            Failure::data(format!("{host} does not say {what} of {file} of {}", self.name))
                .hint("check HF_ENDPOINT: this does not look like a hub")
        };
        let named = header(headers, "x-repo-commit").filter(|named| *named != commit);
        if let Some(named) = named.filter(|named| is_commit(named)) {
            let host = self.settings.host();
            return Err(Failure::data(format!("{host} answers with {file} of commit {named} when asked for {commit}")));
        }
        let etag = header(headers, "x-linked-etag").or_else(|| header(headers, "etag"));
        let etag = etag.map(|e| e.trim_start_matches("W/").trim_matches('"')).unwrap_or_default();
        let size = header(headers, "x-linked-size").or_else(|| header(headers, "content-length"));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if etag.is_empty() || etag.len() > 128 || !etag.chars().all(plain) {
            return Err(bad("the etag"));
        }
        let size = size.and_then(|size| size.parse().ok()).ok_or_else(|| bad("the size"))?;
        Ok(About { etag: etag.to_ascii_lowercase(), size })
    }

    /// The content of a file from byte `from` on, through every redirect.
    pub fn content(&self, commit: &str, file: &str, from: u64) -> Result<Response<Body>, Trouble> {
        self.send(&self.address(commit, file), true, Some(from), |_| false)
    }

    /// Sends a request (`get`, otherwise HEAD) and follows redirects until one satisfies `enough`.
    fn send(
        &self,
        url: &str,
        get: bool,
        from: Option<u64>,
        enough: impl Fn(&HeaderMap) -> bool,
    ) -> Result<Response<Body>, Trouble> {
        let mut url = url.to_owned();
        for _ in 0..MAX_HOPS {
            let mut request = if get { self.agent.get(&url) } else { self.agent.head(&url) };
            // Compressed answers would hide the size, and ranges count uncompressed bytes.
            request = request.header("accept-encoding", "identity");
            if let Some(token) = self.settings.token.as_ref().filter(|_| same_origin(&url, &self.settings.endpoint)) {
                request = request.header("authorization", format!("Bearer {}", token.secret()));
            }
            if let Some(from) = from.filter(|from| *from > 0) {
                request = request.header("range", format!("bytes={from}-"));
            }
            let response = request.call().map_err(|e| self.trouble(e))?;
            let status = response.status().as_u16();
            match status {
                200..=299 => return Ok(response),
                301 | 302 | 303 | 307 | 308 if enough(response.headers()) => return Ok(response),
                301 | 302 | 303 | 307 | 308 => {
                    let to = header(response.headers(), "location").and_then(|to| joined(&url, to));
                    url = to.ok_or_else(|| {
                        let host = host_of(&url);
                        Trouble::Final(Failure::data(format!("{host} redirects to an address that cannot be followed")))
                    })?;
                }
                416 if from.is_some() => return Ok(response),
                408 | 429 | 500..=599 => {
                    let pause = header(response.headers(), "retry-after").and_then(|s| s.parse().ok());
                    let pause = pause.map(|seconds: u64| Duration::from_secs(seconds.min(60)));
                    return Err(Trouble::Passing(format!("{} answers {status}", host_of(&url)), pause));
                }
                _ => return Err(Trouble::Final(self.refusal(status, response.headers(), &host_of(&url)))),
            }
        }
        Err(Trouble::Final(Failure::data(format!("more than {MAX_HOPS} redirects from {}", self.settings.host()))))
    }

    /// What a status means.
    fn refusal(&self, status: u16, headers: &HeaderMap, host: &str) -> Failure {
        let (name, repo, endpoint) = (self.name, self.name.repo(), &self.settings.endpoint);
        let code = header(headers, "x-error-code").unwrap_or_default();
        let page = format!("accept the conditions on {endpoint}/{repo} with that account");
        let token = format!("make a token on {endpoint}/settings/tokens and set HF_TOKEN");
        let with = self.settings.token.is_some();
        match (status, code) {
            (404, "RevisionNotFound") => {
                let failure = Failure::data(format!("{repo} has no revision {:?} on {host} (404)", name.revision()));
                failure.hint(format!("leave it out for {MAIN}, or choose one on {endpoint}/{repo}/tree/{MAIN}"))
            }
            (404, _) => Failure::data(format!("{name} is no folder here and no model on {host} (404)"))
                .hint(format!("check the spelling, or look for it on {endpoint}/models; a private model needs HF_TOKEN")),
            (401 | 403, "GatedRepo") if with => {
                Failure::data(format!("{name} is gated on {host}, and the token may not read it ({status})")).hint(page)
            }
            (401 | 403, "GatedRepo") => {
                Failure::data(format!("{name} is gated on {host} ({status})")).hint(format!("{token}; then {page}"))
            }
            (401 | 403, _) if with => Failure::data(format!(
                "{name} is no folder here, and {host} does not give it to this token ({status}): the model does not exist, is private or gated, or the token is not valid"
            ))
            .hint(format!("check the name and HF_TOKEN; {page} if the model is gated")),
            (401 | 403, _) => Failure::data(format!(
                "{name} is no folder here, and {host} does not give it without a token ({status}): it does not exist, is private, or is gated"
            ))
            .hint(format!("check the name; for a private or gated model {token}, and {page}")),
            _ => Failure::data(format!("{host} answers {status} when asked for {name}")).hint("try again later"),
        }
    }

    /// What an error of the transport means.
    pub fn trouble(&self, error: Error) -> Trouble {
        let host = self.settings.host();
        match error {
            Error::HostNotFound => Trouble::Unreachable(format!("no address of {host} is known")),
            Error::ConnectionFailed => Trouble::Unreachable(format!("no connection to {host}")),
            Error::Timeout(_) => Trouble::Passing(format!("{host} did not answer in time"), None),
            Error::Io(e) => match e.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable => Trouble::Unreachable(e.to_string()),
                // The system's resolver has no error kind of its own.
                _ if e.to_string().contains("failed to lookup address") => {
                    Trouble::Unreachable(format!("no address of {host} is known"))
                }
                io::ErrorKind::InvalidData => untrusted(host, &e.to_string()),
                _ => Trouble::Passing(e.to_string(), None),
            },
            Error::Rustls(e) => untrusted(host, &e.to_string()),
            Error::Tls(e) => untrusted(host, e),
            Error::BodyExceedsLimit(limit) => {
                Trouble::Final(Failure::data(format!("{host} answers with more than {limit} bytes")))
            }
            other => Trouble::Passing(other.to_string(), None),
        }
    }

    /// Tries until it works, is final, or was tried often enough.
    pub fn patiently<T>(&self, what: &str, mut attempt: impl FnMut() -> Result<T, Trouble>) -> Result<T> {
        let mut tried = 1;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Trouble::Passing(_, pause)) if tried < TRIES => self.wait(tried, pause),
                Err(trouble) => return Err(self.failure(trouble, what)),
            }
            tried += 1;
        }
    }

    /// Waits before the next attempt, each time longer; the pauses follow the time-outs that the user chose.
    pub fn wait(&self, tried: u32, asked: Option<Duration>) {
        let pause = self.settings.answer_within.mul_f64(0.01 * f64::from(4_u32.pow(tried.min(TRIES) - 1)));
        std::thread::sleep(asked.unwrap_or(pause));
    }

    /// The end of trying.
    pub fn failure(&self, trouble: Trouble, what: &str) -> Failure {
        let (name, host) = (self.name, self.settings.host());
        match trouble {
            Trouble::Final(failure) => failure,
            Trouble::Unreachable(why) => {
                Failure::data(format!("{name} is neither a folder nor in the cache, and {host} cannot be reached: {why}"))
                    .hint("check the path, the network and HF_ENDPOINT; with HF_HUB_OFFLINE=1 only the cache is used")
            }
            Trouble::Passing(why, _) => Failure::data(format!("{what} of {name} could not be had from {host}: {why}"))
                .hint("start again: it continues where it stopped; HF_HUB_DOWNLOAD_TIMEOUT (seconds) allows longer pauses"),
        }
    }
}

fn untrusted(host: &str, why: &str) -> Trouble {
    let failure = Failure::data(format!("no safe connection to {host}: {why}"));
    Trouble::Final(failure.hint("behind a proxy of your own, name its certificates in SSL_CERT_FILE"))
}

/// A header as text.
pub(super) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

fn same_origin(a: &str, b: &str) -> bool {
    origin(a).is_some_and(|a| Some(a) == origin(b))
}

/// The host of an address, which alone is fit to be shown.
fn host_of(url: &str) -> String {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
    host.unwrap_or_else(|| "the server".into())
}

/// Where a redirect leads; `None` for what is no address, or for one that gives up encryption.
fn joined(base: &str, location: &str) -> Option<String> {
    let (scheme, rest) = base.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let to = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let path = rest.split('?').next()?.rsplit_once('/').map_or(authority, |(folder, _)| folder);
        format!("{scheme}://{path}/{location}")
    };
    let safe = to.starts_with("https://") || (to.starts_with("http://") && scheme == "http");
    (safe && origin(&to).is_some()).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_joined_and_never_give_up_encryption() {
        for (base, location, to) in [
            ("https://h/a/b?c", "https://cdn.h/x?s=1", Some("https://cdn.h/x?s=1")),
            ("https://h/a/b", "/x/y", Some("https://h/x/y")),
            ("http://h:81/a/b", "c", Some("http://h:81/a/c")),
            ("https://h/a", "//g/x", Some("https://g/x")),
            ("https://h/a", "http://h/a", None),
            ("https://h/a", "file:///etc/passwd", None),
            ("https://h/a", "https://", None),
        ] {
            assert_eq!(joined(base, location).as_deref(), to, "{base} {location}");
        }
    }

    #[test]
    fn the_token_stays_at_its_origin() {
        let endpoint = "https://huggingface.co";
        assert!(
            same_origin("https://huggingface.co:443/a", endpoint) && same_origin("https://HuggingFace.co/a", endpoint)
        );
        for other in ["https://cdn.huggingface.co/a", "http://huggingface.co/a", "https://huggingface.co:81/a", "x"] {
            assert!(!same_origin(other, endpoint), "{other}");
        }
        assert_eq!(host_of("https://cdn.h/x?signature=secret"), "cdn.h");
    }
}
