//! A hub for tests: it speaks as much of the hub's protocol as a download needs, on two ports of this machine (the hub, and
//! the storage of large files that it redirects to), misbehaves as told, and remembers what it was asked.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

pub const COMMIT: &str = "66285546d2b821cf421d4f5eb2576359d3770cd3";
pub const REPO: &str = "org/tiny";

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whether the storage was asked, not the hub itself.
    pub storage: bool,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub token: Option<String>,
}

/// What is served, and how badly.
#[derive(Default)]
pub struct State {
    pub files: BTreeMap<String, Vec<u8>>,
    /// Names in the list that have no content.
    pub listed: Vec<String>,
    pub asked: Vec<Asked>,
    /// Everything needs this token.
    pub needs: Option<String>,
    /// Every answer of the hub is this status with this X-Error-Code.
    pub status: Option<(u16, &'static str)>,
    /// The connection ends after this many bytes of content, the next so many times.
    pub cut: Option<(usize, usize)>,
    /// Content is sent in pieces of this size with a pause after each.
    pub slowly: Option<(usize, Duration)>,
    /// Content other than announced.
    pub instead: BTreeMap<String, Vec<u8>>,
    pub no_ranges: bool,
    /// Nothing is answered to requests whose path holds this.
    pub silent_about: Option<String>,
    /// The commit that main is.
    pub commit: String,
    /// No length is announced with content.
    pub no_length: bool,
}

pub struct Server {
    state: Arc<Mutex<State>>,
    pub url: String,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn start(files: BTreeMap<String, Vec<u8>>) -> Server {
        let state = Arc::new(Mutex::new(State { files, commit: COMMIT.into(), ..State::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let hub = TcpListener::bind("127.0.0.1:0").unwrap();
        let storage = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", hub.local_addr().unwrap());
        let large = format!("http://{}", storage.local_addr().unwrap());
        for (listener, is_storage) in [(hub, false), (storage, true)] {
            let (state, stop, large) = (state.clone(), stop.clone(), large.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().take_while(|_| !stop.load(SeqCst)) {
                    let (state, large) = (state.clone(), large.clone());
                    std::thread::spawn(move || drop(answer(&state, &large, is_storage, stream.unwrap())));
                }
            });
        }
        Server { state, url, stop }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state().asked)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn git_hash(bytes: &[u8]) -> String {
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

/// Weights are stored as large files, as on the hub.
pub fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors")
}

fn answer(state: &Mutex<State>, large: &str, storage: bool, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let Some((method, path)) = lines.first().and_then(|l| l.split_once(' ')) else { return Ok(()) };
    let path = path.split(' ').next().unwrap().to_owned();
    let header = |name: &str| {
        let found = lines.iter().skip(1).filter_map(|l| l.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let (range, token) = (header("range"), header("authorization"));
    let mut s = state.lock().unwrap();
    let (method, token_now) = (method.to_owned(), token.clone());
    s.asked.push(Asked { storage, method: method.clone(), path: path.clone(), range: range.clone(), token });
    if s.silent_about.as_ref().is_some_and(|about| path.contains(about)) {
        drop(s);
        std::thread::sleep(Duration::from_secs(30));
        return Ok(());
    }
    let mut plain = |status: &str, more: &str, body: &str| {
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n{body}")
    };
    if !storage {
        if let Some((status, code)) = s.status {
            return plain(&format!("{status} No"), &format!("X-Error-Code: {code}\r\n"), "");
        }
        if s.needs.as_ref().is_some_and(|needs| token_now != Some(format!("Bearer {needs}"))) {
            return plain("401 Unauthorized", "", "Invalid username or password.");
        }
        if let Some(revision) = path.strip_prefix(&format!("/api/models/{REPO}/revision/")) {
            if ![s.commit.as_str(), "main", "v1", "refs%2Fpr%2F7"].contains(&revision) {
                return plain("404 Not Found", "X-Error-Code: RevisionNotFound\r\n", "");
            }
            let siblings: Vec<serde_json::Value> =
                (s.files.keys().chain(&s.listed)).map(|name| serde_json::json!({"rfilename": name})).collect();
            let body = serde_json::json!({"id": REPO, "sha": s.commit, "siblings": siblings, "private": false});
            return plain("200 OK", "Content-Type: application/json\r\n", &body.to_string());
        }
    }
    let start = if storage { "/stored/".to_owned() } else { format!("/{REPO}/resolve/{}/", s.commit) };
    let Some(file) = path.split('?').next().unwrap().strip_prefix(&start) else {
        return plain("404 Not Found", "X-Error-Code: RepoNotFound\r\n", "");
    };
    let Some(bytes) = s.files.get(file).cloned() else {
        return plain("404 Not Found", "X-Error-Code: EntryNotFound\r\n", "");
    };
    let commit = format!("X-Repo-Commit: {}\r\n", s.commit);
    if is_large(file) && !storage {
        let (etag, size) = (sha256(&bytes), bytes.len());
        let linked = format!("X-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\nETag: \"other\"\r\n{commit}");
        let to = format!("Location: {large}/stored/{file}?signature=secret\r\n");
        return plain("302 Found", &format!("{linked}{to}"), "Found. Redirecting");
    }
    let etag = if storage { "\"of-the-storage\"".into() } else { format!("\"{}\"", git_hash(&bytes)) };
    let bytes = if method == "GET" { s.instead.get(file).cloned().unwrap_or(bytes) } else { bytes };
    let from: usize = match range.filter(|_| !s.no_ranges) {
        Some(range) => range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap(),
        None => 0,
    };
    if from > 0 && from >= bytes.len() {
        return plain("416 Range Not Satisfiable", &format!("Content-Range: bytes */{}\r\n", bytes.len()), "");
    }
    let mut head = format!("HTTP/1.1 {}\r\n", if from > 0 { "206 Partial Content" } else { "200 OK" });
    head += &format!("Connection: close\r\nETag: {etag}\r\n{commit}");
    if !s.no_length || method == "HEAD" {
        head += &format!("Content-Length: {}\r\n", bytes.len() - from);
    }
    if from > 0 {
        head += &format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len());
    }
    let mut body = if method == "HEAD" { &[][..] } else { &bytes[from..] };
    if method == "GET"
        && is_large(file)
        && let Some((after, times)) = s.cut.filter(|(_, times)| *times > 0)
    {
        body = &body[..after.min(body.len())];
        s.cut = Some((after, times - 1));
    }
    let slowly = s.slowly.filter(|_| is_large(file));
    drop(s);
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    match slowly {
        Some((piece, pause)) => body.chunks(piece).try_for_each(|part| {
            stream.write_all(part)?;
            std::thread::sleep(pause);
            Ok(())
        }),
        None => stream.write_all(body),
    }
}
