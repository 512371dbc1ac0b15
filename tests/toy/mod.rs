//! A toy planner, toy records and the program to run on them, for the tests of the binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, missing_docs)]

pub mod events;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

pub const SHAPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tiny/shape.json");
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/data");
pub const FRAMES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/real_drive/frames");

/// Makes 24 frames to learn from and 12 held out.
pub const GENERATE: [&str; 9] =
    ["data", "generate", "--count", "36", "--split", "2,1,0", "--camera", "tiny", "--out=frames"];

/// Trajectory branches that learn in no time.
pub const SMALL: [&str; 17] = [
    "trajectory.width=16",
    "trajectory.heads=2",
    "trajectory.layers=1",
    "trajectory.inner=16",
    "trajectory.registers=2",
    "il.modes=4",
    "il.max_steps=6",
    "il.warmup_steps=2",
    "il.per_device_train_batch_size=4",
    "pair.max_steps=6",
    "pair.warmup_steps=2",
    "pair.selector_steps=4",
    "pair.per_device_train_batch_size=3",
    "pair.selector_batch_size=2",
    "pair.branching=2,2,1,1",
    "pair.plan_branching=2,2,1,1",
    "pair.num_generations=4",
];

/// A folder with `model/` (random weights) and `train.jsonl` (twelve records on pictures of their own).
pub struct Toy {
    dir: tempfile::TempDir,
}

impl Toy {
    pub fn new() -> Toy {
        let toy = Toy { dir: tempfile::tempdir().unwrap() };
        let records: Vec<Value> = (0..12).map(|i| toy.record(i)).collect();
        toy.write_records("train.jsonl", &records);
        toy.init("model", SHAPE, &[]);
        toy
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A planning record and its picture: a grey gradient with a bright bar at a place of its own.
    pub fn record(&self, i: usize) -> Value {
        let name = format!("frame{i}.png");
        let bar = |x: u32| if (x as usize) / 5 == i % 12 { 90 } else { 0 };
        let picture = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(y * 3) as u8 + bar(x), 80 + bar(x), 120]));
        picture.save(self.path(&name)).unwrap();
        let speed = ["KEEP", "ACCELERATE", "DECELERATE"][i % 3];
        let (path, bend) =
            [("STRAIGHT", "straight"), ("LEFT_TURN", "sharp_left"), ("RIGHT_TURN", "sharp_right")][i / 2 % 3];
        json!({
            "id": format!("toy{i}"), "images": [name], "ego": {"speed_mps": 3.0 + i as f64},
            "command": "follow the road", "reasoning": format!("The road bends {bend} ahead, so I choose {speed}."),
            "plan": {"speed": speed, "path": path}, "aux": {"bend": bend},
        })
    }

    pub fn write_records(&self, name: &str, records: &[Value]) -> PathBuf {
        let text: String = records.iter().map(|r| format!("{r}\n")).collect();
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// `reinsman init` into a folder of this one.
    pub fn init(&self, name: &str, shape: &str, more: &[&str]) -> PathBuf {
        let (text, out) = (self.text("train.jsonl"), self.text(name));
        let mut args = vec!["init", "--shape", shape, "--text", &text, "--out", &out, "--max-pixels", "4096"];
        args.extend(more);
        self.run(&args).ok();
        self.path(name)
    }

    /// Arguments of `sft` on the toy model and records, with these settings.
    pub fn sft(&self, out: &str, sets: &[&str]) -> Vec<String> {
        let (model, data, out) = (self.text("model"), self.text("train.jsonl"), self.text(out));
        let mut args: Vec<String> =
            ["sft", "--model", &model, "--data", &data, "--out", &out].map(String::from).to_vec();
        for set in sets {
            args.extend(["--set".into(), (*set).into()]);
        }
        args
    }

    /// Arguments of `grpo` on the toy model and records, with these settings. Short answers, and a reward that random
    /// text has more or less of.
    pub fn grpo(&self, out: &str, sets: &[&str]) -> Vec<String> {
        let recipe = "[[reward]]\nterms = [\"length_chars\"]\nsettings.length_chars = { soft = 5, hard = 60 }\n";
        std::fs::write(self.path("short.toml"), recipe).unwrap();
        let reward = format!("grpo.reward={}", self.text("short.toml"));
        let small = ["grpo.max_completion_length=12", "grpo.num_generations=4", "grpo.prompts_per_step=2", &reward];
        let mut args = self.sft(out, &[&small[..], sets].concat());
        args[0] = "grpo".into();
        args
    }

    /// The record with this number as a preference pair: its own plan, and one that is wrong on both axes.
    pub fn pair(&self, i: usize) -> Value {
        let record = self.record(i);
        let wrong = [("STOP", "LEFT_CHANGE"), ("KEEP", "RIGHT_CHANGE")][i % 2];
        let (speed, path) = (record["plan"]["speed"].as_str().unwrap(), record["plan"]["path"].as_str().unwrap());
        json!({
            "id": record["id"], "images": record["images"], "ego": record["ego"], "command": record["command"],
            "chosen": format!("<answer> {speed}, {path} </answer>"),
            "rejected": format!("<answer> {}, {} </answer>", wrong.0, wrong.1),
        })
    }

    /// Arguments of `dpo` on the toy model and twelve pairs, with these settings.
    pub fn dpo(&self, out: &str, sets: &[&str]) -> Vec<String> {
        let pairs: Vec<Value> = (0..12).map(|i| self.pair(i)).collect();
        let data = self.write_records("pairs.jsonl", &pairs).display().to_string();
        let mut args = self.sft(out, &[&["dpo.per_device_train_batch_size=2"][..], sets].concat());
        (args[0], args[4]) = ("dpo".into(), data);
        args
    }

    /// Arguments of `il` or `pair` with small branches on frames of the simulator, which are made when they are missing.
    pub fn branches(&self, verb: &str, out: &str, sets: &[&str]) -> Vec<String> {
        if !self.path("frames").exists() {
            self.run(&GENERATE).ok();
        }
        let mut args = self.sft(out, &[&SMALL[..], sets].concat());
        (args[0], args[4]) = (verb.into(), self.text("frames/train.jsonl"));
        args
    }

    /// Arguments of a trainer by its verb; every `VERB.` in the settings becomes that verb.
    pub fn train(&self, verb: &str, out: &str, sets: &[&str]) -> Vec<String> {
        let sets: Vec<String> = sets.iter().map(|set| set.replace("VERB.", &format!("{verb}."))).collect();
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        match verb {
            "sft" => self.sft(out, &sets),
            "grpo" => self.grpo(out, &sets),
            "dpo" => self.dpo(out, &sets),
            "il" | "pair" => self.branches(verb, out, &sets),
            other => panic!("no trainer {other}"),
        }
    }

    /// Makes the model anew with an output head of its own, so that a broken input embedding breaks only the samples
    /// that use it.
    pub fn untie(&self) {
        let shape = std::fs::read_to_string(SHAPE).unwrap();
        let untied = shape.replace("\"tie_word_embeddings\":true", "\"tie_word_embeddings\":false");
        std::fs::write(self.path("untied.json"), untied).unwrap();
        std::fs::remove_dir_all(self.path("model")).unwrap();
        self.init("model", &self.text("untied.json"), &[]);
    }

    /// The rows of these tokens in the input embedding become NaN.
    pub fn poison(&self, ids: &[u32]) {
        let path = self.path("model/model.safetensors");
        let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        let name = "model.language_model.embed_tokens.weight";
        let (rows, width) = tensors[name].dims2().unwrap();
        let mut table: Vec<f32> = tensors[name].flatten_all().unwrap().to_vec1().unwrap();
        ids.iter().for_each(|id| table[*id as usize * width] = f32::NAN);
        tensors.insert(name.into(), Tensor::from_vec(table, (rows, width), &Device::Cpu).unwrap());
        candle_core::safetensors::save(&tensors, &path).unwrap();
    }

    pub fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reinsman"));
        command.args(args.iter().map(AsRef::as_ref)).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("HF_HUB_OFFLINE", "1"); // a wrong path must not ask the network whether it is a name there
        command.env("REINSMAN_CACHE", self.path("cache"));
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<str>>(&self, args: &[S]) -> Ran {
        Ran::of(&args.iter().map(|a| a.as_ref().to_owned()).collect::<Vec<_>>(), self.command(args).output().unwrap())
    }

    /// Starts the program and leaves it running.
    pub fn spawn<S: AsRef<str>>(&self, args: &[S]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// What the program did.
#[derive(Debug)]
pub struct Ran {
    pub args: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(args: &[String], output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran {
            args: args.join(" "),
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Must have ended well.
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}\n{}{}", self.args, self.stdout, self.stderr);
        self
    }

    /// Must have failed with this code, one message and one hint, which together say all of `words`.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Ran {
        let Ran { args, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "{args}\n{}{stderr}", self.stdout);
        let count = |start: &str| stderr.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((count("error: "), count("  hint: ")), (1, 1), "{args}\n{stderr}");
        assert!(!stderr.contains("bug in reinsman"), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{args}\nno {word:?} in\n{stderr}");
        }
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{}: {e}\n{}", self.args, self.stdout))
    }
}

/// Every number of a file of tensors must be finite.
#[track_caller]
pub fn assert_finite(file: &Path) {
    let tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    assert!(!tensors.is_empty());
    for (name, tensor) in tensors {
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        assert!(values.iter().all(|v| v.is_finite()), "{name} in {}", file.display());
    }
}

/// Every file below a folder with its bytes, by relative path. Links are left out.
pub fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            out.extend(tree(&entry.path()).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else if kind.is_file() {
            out.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    out
}

/// Fails naming the files that differ.
#[track_caller]
pub fn assert_same(what: &str, a: &Path, b: &Path) {
    let (a, b) = (tree(a), tree(b));
    let names: Vec<&String> = a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).collect();
    assert!(names.is_empty(), "{what}: these files differ: {names:?}");
    assert!(!a.is_empty(), "{what}: nothing was compared");
}

/// Copies a folder, files only.
pub fn copy(from: &Path, to: &Path) {
    for (name, bytes) in tree(from) {
        let path = to.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// The lines of a run's `metrics.jsonl`.
pub fn metrics(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sends a signal by name.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Waits, at most a minute, until something is true; false when the child ended first.
pub fn wait_until(child: &mut Child, mut done: impl FnMut() -> bool) -> bool {
    for _ in 0..30_000 {
        if done() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    panic!("a minute has passed");
}
