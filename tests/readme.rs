//! README.md says what works: every command in its ```sh and ```console blocks runs here in the order of the page, in
//! one folder that holds what the page supposes, and every path it names exists. The same for the page of the embedded
//! planner. A command that should fail says so in its comment: `# exit 1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// What is changed in commands before they run, and nothing else: the program that is built already, fewer steps for
/// the large model, and short answers, because a stand-in with random weights never stops talking.
const INSTEAD: &[(&str, &str)] = &[
    ("cargo run --release --", "reinsman"),
    ("sft.max_steps=200", "sft.max_steps=2"),
    ("--count 2000", "--count 24"),
    ("reproduce alphadrive", "reproduce alphadrive --recipe one.toml"),
    ("reproduce pair-drive", "reproduce pair-drive --recipe pair.toml"),
    ("reinsman pair --data", "reinsman pair --config small.toml --data"),
    ("reinsman il --data", "reinsman il --config small.toml --data"),
    ("il.max_steps=300", "il.max_steps=2"),
    ("reinsman plan", "reinsman plan --max-new-tokens 24"),
    ("reinsman eval", "reinsman eval --max-new-tokens 24"),
    ("reinsman chat", "reinsman chat --max-new-tokens 24"),
    ("reinsman grpo --model", "reinsman grpo --set grpo.max_completion_length=24 --model"),
];

/// Trajectory branches that are trained in a moment.
const SMALL: &str = "
trajectory = { width = 16, heads = 2, layers = 1, inner = 16, registers = 2 }
il = { modes = 3, max_steps = 2, warmup_steps = 1 }
pair = { max_steps = 2, warmup_steps = 1, selector_steps = 2 }
";

/// The commands that make the embedded planner: one step of each phase, and never over the checkpoint itself.
const INSTEAD_EMBEDDED: &[(&str, &str)] = &[
    ("cargo run --release --", "reinsman"),
    ("train.toml", "train.toml --set sft.max_steps=1 --set sft.warmup_steps=0 --set sft.auxiliary.vision_steps=1"),
    ("--out data/models/embedded", "--out runs/exported"),
    ("--count 50000 --split 0.96,0.02,0.02", "--count 48 --split 0.5,0.25,0.25"),
    ("see.toml", "see.toml --set sft.max_steps=1 --set sft.warmup_steps=0 --set sft.auxiliary.vision_steps=1"),
];

/// Large checkpoints and the fixtures of the same family that stand in for them: as a folder, and as what a download of
/// the same name would leave in the cache of the hub.
const MODELS: &[(&str, &str)] = &[("models/Qwen2.5-VL-3B-Instruct", "qwen2_5_vl")];

fn page(path: &str) -> String {
    fs::read_to_string(Path::new(SOURCE).join(path)).unwrap()
}

/// The commands of a page, continued lines joined.
fn commands(page: &str) -> Vec<String> {
    let (mut found, mut block) = (Vec::new(), None);
    for line in page.lines() {
        match (block, line.strip_prefix("```")) {
            (None, Some(kind)) => block = Some(kind),
            (Some(_), Some(_)) => block = None,
            (Some("sh"), None) => found.push(line.to_owned()),
            (Some("console"), None) => found.extend(line.strip_prefix("$ ").map(str::to_owned)),
            _ => {}
        }
    }
    assert!(block.is_none(), "a block is never closed");
    let text = found.join("\n").replace("\\\n", " ");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The exit code that a command's comment announces.
fn announced(command: &str) -> i32 {
    let comment = command.split_once(" # exit ").map_or("0", |(_, comment)| comment);
    let digits: String = comment.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no exit code after `# exit`: {command}"))
}

/// Names of the programs that a line starts.
fn programs(command: &str) -> Vec<&str> {
    let code = command.split(" # ").next().unwrap();
    code.split(['|', ';']).flat_map(|part| part.split("&&")).filter_map(|p| p.split_whitespace().next()).collect()
}

/// Commands that build or set up are looked at, not run. True for such.
fn only_looked_at(command: &str) -> bool {
    if command.starts_with("cargo install --path .") || command.starts_with("cargo build --release --features") {
        return true;
    }
    if command.starts_with("cargo test") {
        assert!(command.contains("--release"), "{command}: tests need optimised code");
        return true;
    }
    if command.starts_with("scripts/") {
        let script = Path::new(SOURCE).join(command.split_whitespace().next().unwrap());
        assert!(Command::new("bash").arg("-n").arg(&script).status().unwrap().success(), "{command}");
        return true;
    }
    false
}

/// A folder that holds what the pages suppose: the repository's data, a reader's own files, and stand-ins.
fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    let repository = Path::new(SOURCE);
    let samples = repository.join("data/samples/real_drive");
    for folder in ["data", "prompts"] {
        symlink(repository.join(folder), at(folder)).unwrap();
    }
    symlink(samples.join("frames"), at("frames")).unwrap();
    fs::create_dir_all(at("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_reinsman"), at("bin/reinsman")).unwrap();

    // Files that a reader would have.
    fs::copy(samples.join("frames/udacity_07_000.jpg"), at("frame.jpg")).unwrap();
    fs::copy(samples.join("train.jsonl"), at("train.jsonl")).unwrap();
    fs::copy(samples.join("test.jsonl"), at("val.jsonl")).unwrap();
    let pair = |i: usize, chosen: &str, rejected: &str| {
        format!(
            "{{\"images\":[\"frames/udacity_07_{i:03}.jpg\"],\"ego\":{{\"speed_mps\":12.4}},\
             \"chosen\":\"<answer> {chosen} </answer>\",\"rejected\":\"<answer> {rejected} </answer>\"}}\n"
        )
    };
    let pairs = [pair(0, "KEEP, LEFT_TURN", "STOP, STRAIGHT"), pair(1, "KEEP, STRAIGHT", "ACCELERATE, LEFT_CHANGE")];
    fs::write(at("pairs.jsonl"), pairs.concat()).unwrap();
    fs::create_dir_all(at("clips/hill")).unwrap();
    for i in 0..2 {
        fs::copy(samples.join(format!("frames/udacity_07_{i:03}.jpg")), at(&format!("clips/hill/{i}.jpg"))).unwrap();
    }
    let plan = "{\"scene\":\"dev16_curve_oncoming\",\"poses\":[[2,0,0],[4,0,0],[6,0,0],[8,0,0],[10,0,0],[12,0,0],[14,0,0],[16,0,0]]}\n";
    fs::write(at("plans.jsonl"), plan).unwrap();
    fs::copy(repository.join("tests/fixtures/reproduce/one.toml"), at("one.toml")).unwrap();
    fs::copy(repository.join("tests/fixtures/reproduce/tiny-pair.toml"), at("pair.toml")).unwrap();
    fs::write(at("small.toml"), SMALL).unwrap();
    fs::write(at("questions.txt"), "why not faster?\n/speed 0\n").unwrap();
    let pose = |i: usize| {
        let frame = if i.is_multiple_of(20) { format!("frames/udacity_07_{:03}.jpg", i / 20) } else { String::new() };
        format!("hill,{:.1},{:.1},0.0,{frame}\n", i as f64 * 0.1, i as f64)
    };
    fs::write(at("poses.csv"), "clip,t,x,y,frame\n".to_owned() + &(0..80).map(pose).collect::<String>()).unwrap();

    for (name, family) in MODELS {
        let hub = name.replace("models/", "hf/hub/models--Qwen--");
        let (commit, references) = ("66285546d2b821cf421d4f5eb2576359d3770cd3", at(&format!("{hub}/refs")));
        fs::create_dir_all(&references).unwrap();
        fs::write(references.join("main"), commit).unwrap();
        for folder in [at(name), at(&format!("{hub}/snapshots/{commit}"))] {
            fs::create_dir_all(&folder).unwrap();
            for entry in fs::read_dir(repository.join(format!("tests/fixtures/hf_parity/{family}/ckpt"))).unwrap() {
                let path = entry.unwrap().path();
                fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    dir
}

/// Runs the commands one after the other; all failures are told together.
fn follow(commands: &[String], instead: &[(&str, &str)], dir: &Path) {
    let mut failures = Vec::new();
    for command in commands.iter().filter(|command| !only_looked_at(command)) {
        let line = instead.iter().fold(command.clone(), |line, (from, to)| line.replace(from, to));
        for program in programs(&line) {
            assert!(["reinsman", "printf"].contains(&program), "unknown program {program}: {command}");
        }
        let path = format!("{}:{}", dir.join("bin").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &line]).current_dir(dir).env("PATH", path).stdin(Stdio::null());
        let shell = shell.env("HF_HOME", dir.join("hf")).env("HF_HUB_OFFLINE", "1");
        let start = std::time::Instant::now();
        let output = shell.output().unwrap();
        let (code, wanted) = (output.status.code(), announced(command));
        eprintln!("{:6.1} s  {line}", start.elapsed().as_secs_f64());
        if code != Some(wanted) {
            let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            failures.push(format!("{command}\n  exit {code:?}, not {wanted}\n{out}{err}"));
        }
    }
    assert!(failures.is_empty(), "{} commands fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_command_works_as_written() {
    let dir = workplace();
    let commands = commands(&page("README.md"));
    assert!(commands.len() > 25, "only {} commands found", commands.len());
    for (from, _) in INSTEAD {
        assert!(commands.iter().any(|command| command.contains(from)), "{from} is nowhere in README.md");
    }
    follow(&commands, INSTEAD, dir.path());
    for made in [
        "out/plan.png",
        "out/hill.png",
        "runs/a/ckpt",
        "models/a/config.json",
        "val-metaad.json",
        "mine.jsonl",
        "submission.pkl",
        "out/trajectory.png",
    ] {
        assert!(dir.path().join(made).exists(), "{made} was not written");
    }
}

#[test]
fn the_embedded_planner_is_made_by_the_commands_of_its_page() {
    let dir = workplace();
    let commands = commands(&page("data/models/embedded/README.md"));
    assert_eq!(commands.len(), 5);
    for (from, _) in INSTEAD_EMBEDDED {
        assert!(commands.iter().any(|command| command.contains(from)), "{from} is nowhere in the page");
    }
    follow(&commands, INSTEAD_EMBEDDED, dir.path());
    let embedded = Path::new(SOURCE).join("data/models/embedded");
    for entry in fs::read_dir(dir.path().join("runs/exported")).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(embedded.join(&name).is_file(), "the recipe writes {name:?}, which is not embedded");
    }
}

#[test]
fn every_path_exists() {
    for name in ["README.md", "data/models/embedded/README.md", "eval/LOG.md"] {
        let (text, folder) = (page(name), Path::new(SOURCE).join(name).parent().unwrap().to_path_buf());
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap();
            assert!(folder.join(file).exists(), "{name} links to {link}, which is not there");
        }
        // Names of files in running text are paths from the root.
        let roots = ["src/", "scene/", "sim/", "data/", "rewards/", "eval/", "prompts/", "tests/", "scripts/", "docs/"];
        for code in text.split('`').skip(1).step_by(2) {
            let path = roots.iter().any(|root| code.starts_with(root)) && !code.contains([' ', '\n', '*']);
            if path && !code.contains("NAME") {
                assert!(Path::new(SOURCE).join(code).exists(), "{name} names {code}, which is not there");
            }
        }
        // `cargo test --test NAME` in running text.
        for rest in text.split("--test ").skip(1) {
            let test: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let found = ["", "scene", "sim", "data", "rewards", "eval"].iter().any(|member| {
                let tests = Path::new(SOURCE).join(member).join("tests");
                tests.join(format!("{test}.rs")).exists() || tests.join(&test).join("main.rs").exists()
            });
            assert!(found, "{name}: no test {test}");
        }
    }
    let script = Path::new(SOURCE).join("scripts/setup.sh");
    assert!(Command::new("bash").arg("-n").arg(script).status().unwrap().success());
}

#[test]
fn commands_and_codes_are_found() {
    let text = "a `x` b\n```sh\none \\\n  two\n# no\nthree    # exit 3: why\n```\n```text\nno\n```\n```console\n$ four | five\nout\n```\n";
    let found = commands(text);
    assert_eq!(found, ["one    two", "three    # exit 3: why", "four | five"]);
    assert_eq!(found.iter().map(|c| announced(c)).collect::<Vec<_>>(), [0, 3, 0]);
    assert_eq!(programs("a b | c && d; e # f | g"), ["a", "c", "d", "e"]);
}
