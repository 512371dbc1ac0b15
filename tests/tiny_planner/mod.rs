//! Two planners small enough to make in a test: one with random weights, whose answers are noise, and one that was
//! taught a single frame by heart. Neither depends on the weights inside the binary.
#![allow(dead_code)] // each test binary uses a part

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What the taught planner was taught.
pub const REASONING: &str = "The road bends.";
/// The frame it was taught, and the speed.
pub const FRAME: &str = "udacity_07_000.jpg";
/// In m/s.
pub const SPEED: &str = "12.4";

/// A folder of this test binary with the planners in it, empty at the start.
pub struct Tiny {
    /// The folder.
    pub dir: PathBuf,
    /// Random weights.
    pub random: String,
    /// Knows [`FRAME`] by heart, with and without reasoning.
    pub taught: String,
}

impl Tiny {
    /// Makes both; `name` is that of the test binary.
    pub fn make(name: &str) -> Tiny {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let fixture = |name: &str| root().join("tests/fixtures/tiny").join(name).display().to_string();
        let at = |name: &str| dir.join(name).display().to_string();
        let made = run(&[
            "init",
            "--shape",
            &fixture("shape.json"),
            "--text",
            &fixture("corpus.txt"),
            "--max-pixels",
            "16000",
            "--seed",
            "1",
            "--out",
            &at("random"),
        ]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let image = frame(FRAME);
        let record = |reasoning: &str| {
            format!(
                r#"{{"images":["{image}"],"ego":{{"speed_mps":{SPEED}}},{reasoning}"plan":{{"speed":"KEEP","path":"LEFT_TURN"}}}}"#
            )
        };
        let records = [record(&format!(r#""reasoning":"{REASONING}","#)), record("")].join("\n");
        std::fs::write(at("lesson.jsonl"), records).unwrap();
        let mut args = vec!["sft".to_owned(), "--model".into(), at("random"), "--data".into(), at("lesson.jsonl")];
        args.extend(["--out".into(), at("taught")]);
        for set in [
            "model.train=full",
            "sft.max_steps=150",
            "sft.save_steps=150",
            "sft.learning_rate=5e-3",
            "sft.per_device_train_batch_size=2",
        ] {
            args.extend(["--set".into(), set.into()]);
        }
        let taught = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(taught.status.success(), "{}", text(&taught.stderr));
        Tiny { random: at("random"), taught: at("taught"), dir }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A frame of the bundled drive.
pub fn frame(name: &str) -> String {
    root().join("data/samples/real_drive/frames").join(name).display().to_string()
}

/// The binary with arguments, not started yet.
pub fn reinsman(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reinsman"));
    command.args(args).current_dir(env!("CARGO_TARGET_TMPDIR")).env("HF_HUB_OFFLINE", "1");
    command
}

/// Runs it.
pub fn run(args: &[&str]) -> Output {
    reinsman(args).output().unwrap()
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
