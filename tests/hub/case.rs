//! A download in a test: the files of a model, a server that has them, an empty cache, and the program run on them.

use crate::server::{Asked, COMMIT, Server, git_hash, is_large, sha256};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

pub const WEIGHTS: &str = "model.safetensors";

/// The files of a small published checkpoint, and what a planner does not need.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hf_parity/qwen2_5_vl/ckpt");
    let read = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    let mut files: BTreeMap<String, Vec<u8>> = fs::read_dir(folder).unwrap().map(|e| read(e.unwrap())).collect();
    for extra in ["README.md", "onnx/model.onnx", "pytorch_model.bin", "a picture ü.png"] {
        files.insert(extra.into(), b"not needed".to_vec());
    }
    files
}

/// The same with the weights in two shards.
pub fn sharded() -> BTreeMap<String, Vec<u8>> {
    let mut files = files();
    let whole = files.remove(WEIGHTS).unwrap();
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&whole[8..8 + length]).unwrap();
    let (mut map, mut shards) = (serde_json::Map::new(), vec![(serde_json::Map::new(), Vec::new()); 2]);
    for (i, (name, tensor)) in header.as_object().unwrap().iter().filter(|(n, _)| *n != "__metadata__").enumerate() {
        let offset = |i: usize| 8 + length + tensor["data_offsets"][i].as_u64().unwrap() as usize;
        let (head, data) = &mut shards[i % 2];
        let begin = data.len();
        data.extend(&whole[offset(0)..offset(1)]);
        let mut tensor = tensor.clone();
        tensor["data_offsets"] = serde_json::json!([begin, data.len()]);
        head.insert(name.clone(), tensor);
        map.insert(name.clone(), format!("model-0000{}-of-00002.safetensors", i % 2 + 1).into());
    }
    for (i, (head, data)) in shards.into_iter().enumerate() {
        let mut head = serde_json::Value::Object(head).to_string();
        head += &" ".repeat((8 - head.len() % 8) % 8);
        let bytes = [&(head.len() as u64).to_le_bytes()[..], head.as_bytes(), &data].concat();
        files.insert(format!("model-0000{}-of-00002.safetensors", i + 1), bytes);
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    files.insert("model.safetensors.index.json".into(), index.to_string().into_bytes());
    files
}

/// A server, an empty HF_HOME and a working folder.
pub struct Case {
    pub server: Server,
    pub dir: tempfile::TempDir,
}

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: &Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// One error and one hint, which together say all of `words`; nothing secret.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        let count = |start: &str| self.err.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((count("error: "), count("  hint: ")), (1, 1), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is missing in\n{}", self.err);
        }
        for secret in ["hf_secret", "signature", "bug in"] {
            assert!(!self.err.contains(secret), "{}", self.err);
        }
        self
    }
}

impl Case {
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Case {
        Case { server: Server::start(files), dir: tempfile::tempdir().unwrap() }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reinsman"));
        for (name, _) in std::env::vars() {
            let upper = name.to_ascii_uppercase();
            if upper.starts_with("HF_") || upper.starts_with("HUGGING") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("TRANSFORMERS_OFFLINE").env("HF_HOME", self.dir.path().join("hf"));
        command.env("HF_ENDPOINT", &self.server.url);
        // Long enough for a busy machine; the pauses before new attempts follow it.
        command.env("HF_HUB_DOWNLOAD_TIMEOUT", "5").env("HF_HUB_ETAG_TIMEOUT", "3");
        command
    }

    pub fn run(&self, command: &mut Command) -> Ran {
        Ran::of(&command.output().unwrap())
    }

    /// Loads the tokenizer and the weights of a model in the quickest way.
    pub fn plan(&self, model: &str) -> Command {
        let frame = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/samples/real_drive/frames/udacity_07_000.jpg");
        let frame = frame.display().to_string();
        let mut command = self.command(&["plan", &frame, "--speed", "5", "--no-think", "--max-new-tokens", "2"]);
        command.args(["--json", "--model", model, "--out", "plan.png"]);
        command
    }

    pub fn shelf(&self) -> PathBuf {
        self.dir.path().join("hf/hub/models--org--tiny")
    }

    pub fn snapshot(&self) -> PathBuf {
        self.shelf().join("snapshots").join(COMMIT)
    }

    /// Names in a folder, sorted; empty when it is not there.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.shelf().join(folder)) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn incomplete(&self) -> PathBuf {
        let weights = sha256(&self.server.state().files[WEIGHTS]);
        self.shelf().join("blobs").join(format!("{weights}.incomplete"))
    }

    /// Requests for the content of weights since the last time.
    pub fn transfers(&self) -> Vec<Asked> {
        self.server.asked().into_iter().filter(|asked| asked.storage && asked.method == "GET").collect()
    }

    /// The cache as Python would have left it: blobs, links, a reference.
    pub fn fill(&self, leave_out: &[&str]) {
        fs::create_dir_all(self.shelf().join("blobs")).unwrap();
        fs::create_dir_all(self.shelf().join("refs")).unwrap();
        fs::create_dir_all(self.snapshot()).unwrap();
        fs::write(self.shelf().join("refs/main"), COMMIT).unwrap();
        for (name, bytes) in &self.server.state().files {
            if name.contains(['/', ' ']) || leave_out.contains(&name.as_str()) {
                continue;
            }
            let etag = if is_large(name) { sha256(bytes) } else { git_hash(bytes) };
            fs::write(self.shelf().join("blobs").join(&etag), bytes).unwrap();
            std::os::unix::fs::symlink(format!("../../blobs/{etag}"), self.snapshot().join(name)).unwrap();
        }
    }
}
