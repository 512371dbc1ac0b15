//! `reinsman plan` from outside: what it prints, writes and refuses; and the label probabilities against brute force.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod tiny_planner;

use reinsman::{
    policy::{Planner, Source, frames::Frame, planner::Options},
    vlm::{Batch, Row, Visual},
};
use scene::{PathAction, SpeedAction};
use serde_json::Value;
use std::{path::Path, process::Output, sync::LazyLock};
use tiny_planner::{FRAME, REASONING, SPEED, Tiny, frame, reinsman, run, text};

static TINY: LazyLock<Tiny> = LazyLock::new(|| Tiny::make("plan"));

/// Runs `plan` with the taught planner; the picture goes to `out` in the test's folder.
fn plan(out: &str, args: &[&str]) -> Output {
    reinsman(&["plan", "--model", &TINY.taught, "--out", &TINY.path(out)]).args(args).output().unwrap()
}

/// The same with the planner that writes noise.
fn plan_noise(out: &str, args: &[&str]) -> Output {
    reinsman(&["plan", "--model", &TINY.random, "--out", &TINY.path(out)]).args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("exactly one JSON value on standard output")
}

fn check_sums(record: &Value) {
    for (axis, labels) in [("speed", SpeedAction::ALL.len()), ("path", PathAction::ALL.len())] {
        let p: Vec<f64> =
            record["probabilities"][axis].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).collect();
        assert_eq!(p.len(), labels);
        assert!(p.iter().all(|p| (0.0..=1.0).contains(p)), "{p:?}");
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{p:?}");
    }
}

#[test]
fn json_of_one_frame() {
    let record = json(&plan("one/plan.png", &["--json", &frame(FRAME), "--speed", SPEED]));
    let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
    assert_eq!(keys[..6], ["reasoning", "plan", "probabilities", "model", "prompt_version", "picture"]);
    assert_eq!(record["reasoning"], REASONING);
    assert_eq!(record["plan"], serde_json::json!({ "speed": "KEEP", "path": "LEFT_TURN" }));
    check_sums(&record);
    assert!(record["probabilities"]["path"]["LEFT_TURN"].as_f64().unwrap() > 0.9, "{record}");
    for key in ["parse_failure", "samples", "frames"] {
        assert!(record.get(key).is_none(), "{key} in {record}");
    }
    let raw = format!("<think> {REASONING} </think> <answer> KEEP, LEFT_TURN </answer>");
    assert_eq!(record["raw"].as_str().unwrap().trim_end(), raw);
    let picture = image::open(record["picture"].as_str().unwrap()).unwrap();
    assert!(picture.width() >= 640 && picture.height() > 400);
}

#[test]
fn page_of_one_frame() {
    let page = text(&plan("page.png", &[&frame(FRAME), "--speed", SPEED]).stdout);
    let parts =
        ["speed 12.4 m/s", "command follow the road", REASONING, "KEEP ", "LEFT_TURN ", "tokens in", "page.png"];
    for part in parts {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    assert!(!page.contains("<think>") && !page.contains("assuming"), "{page}");
    let quiet = text(&plan("page.png", &["--quiet", &frame(FRAME), "--speed", SPEED]).stdout);
    assert!(quiet.ends_with("KEEP, LEFT_TURN\n") && quiet.lines().count() == 1, "{quiet}");
}

#[test]
fn without_thinking() {
    let record = json(&plan("no_think.png", &["--json", &frame(FRAME), "--speed", SPEED, "--no-think"]));
    assert_eq!((record["reasoning"].as_str(), record["plan"]["path"].as_str()), (Some(""), Some("LEFT_TURN")));
    assert!(record["raw"].as_str().unwrap().starts_with("<answer>"));
    check_sums(&record);
}

#[test]
fn a_speed_that_nobody_gave_is_said() {
    let output = plan("assumed.png", &["--json", &frame(FRAME)]);
    assert!(text(&output.stderr).contains("assuming 10.0 m/s"), "{}", text(&output.stderr));
    let ego = &json(&output)["ego"];
    assert_eq!((&ego["speed_mps"], &ego["speed_assumed"]), (&10.0.into(), &true.into()));
    let told = plan("assumed.png", &["--json", &frame(FRAME), "--speed", "3"]);
    assert!(told.stderr.is_empty() && json(&told)["ego"]["speed_assumed"] == false);
}

#[test]
fn noise_is_no_plan_but_still_has_probabilities() {
    let args = [&frame(FRAME), "--max-new-tokens", "12", "--speed", "3"];
    let record = json(&plan_noise("noise.png", &[args.as_slice(), &["--json"]].concat()));
    assert!(record["parse_failure"].as_str().unwrap().contains("cut off after 12 tokens"), "{record}");
    check_sums(&record);
    // The plan is then the most probable label of each axis.
    for axis in ["speed", "path"] {
        let chosen = record["plan"][axis].as_str().unwrap();
        let p = record["probabilities"][axis].as_object().unwrap();
        assert!(p.values().all(|other| other.as_f64() <= p[chosen].as_f64()), "{record}");
    }
    let page = text(&plan_noise("noise.png", &args).stdout);
    assert!(page.contains("no valid plan") && page.contains("not a plan the model wrote"), "{page}");
}

#[test]
fn samples_are_seeded_and_counted() {
    let draw = |seed: &str| {
        let args = ["--json", &frame(FRAME), "--max-new-tokens", "16", "--samples", "3", "--seed", seed];
        let record = json(&plan_noise("samples.png", &args));
        record["samples"].as_array().unwrap().iter().map(|s| s["raw"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = draw("5");
    assert_eq!(first.len(), 3);
    assert!(first[0] != first[1] && first[1] != first[2], "{first:?}");
    assert_eq!(draw("5"), first, "the same seeds draw the same");
    // Each sample has the stream of its own seed, whatever stands beside it.
    assert_eq!(draw("6")[..2], first[1..]);

    let page = text(&plan("taught.png", &[&frame(FRAME), "--speed", SPEED, "--samples", "4"]).stdout);
    // What the four say depends on the random numbers; that each is counted once does not.
    let counted = page.lines().filter_map(|line| line.trim().split_once(" of 4")?.0.parse::<usize>().ok());
    assert_eq!(counted.sum::<usize>(), 4, "{page}");
    assert!(page.contains("KEEP, LEFT_TURN"), "{page}");
    let greedy = run(&["plan", "--samples", "2", "--temperature", "0"]);
    assert_eq!(greedy.status.code(), Some(2));
}

#[test]
fn folders_patterns_and_several_paths() {
    let clip = TINY.dir.join("clip");
    std::fs::create_dir_all(&clip).unwrap();
    for (i, name) in ["f_2.jpg", "f_10.jpg", "g.JPG"].iter().enumerate() {
        std::fs::copy(frame(&format!("udacity_07_00{i}.jpg")), clip.join(name)).unwrap();
    }
    std::fs::write(clip.join("notes.txt"), "no frame").unwrap();
    let names = |what: &str| {
        let record = json(&plan("clip/out/plan.png", &["--json", what, "--no-think", "--speed", "9"]));
        let frames = record["frames"].as_array().unwrap().clone();
        frames.iter().for_each(check_sums);
        assert_eq!((&frames[0]["frame"], &frames[0]["raw"]), (&record["frame"], &record["raw"]));
        assert!(record["picture"].is_string() && frames[1]["picture"].is_null());
        assert!(image::open(record["sheet"].as_str().unwrap()).unwrap().width() > 400);
        let short = |f: &Value| Path::new(f["frame"].as_str().unwrap()).file_name().unwrap().to_os_string();
        frames.iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(names(clip.to_str().unwrap()), ["f_2.jpg", "f_10.jpg", "g.JPG"]);
    assert_eq!(names(&TINY.path("clip/f_*.jpg")), ["f_2.jpg", "f_10.jpg"]);

    // A damaged frame among others is told at the end, and the others are planned.
    std::fs::write(clip.join("h.jpg"), "").unwrap();
    let three = ["h.jpg", "f_2.jpg", "g.JPG"].map(|name| clip.join(name).display().to_string());
    let output = plan("clip/out/plan.png", &[&three[0], &three[1], &three[2], "--no-think"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("h.jpg is empty"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("g.JPG") && text(&output.stdout).contains("plan_sheet.png"));
    std::fs::remove_file(clip.join("h.jpg")).unwrap();
}

#[test]
fn bad_input_has_one_message_a_hint_and_its_exit_code() {
    let bad = |name: &str, bytes: &[u8]| {
        let path = TINY.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let whole = std::fs::read(frame(FRAME)).unwrap();
    let mut huge = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    huge.extend([20_000u32.to_be_bytes(), 20_000u32.to_be_bytes()].concat());
    huge.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    let frames = [
        (frame("udacity_07_00.jpg"), "does not exist", "did you mean udacity_07_00"),
        (bad("cut.jpg", &whole[..whole.len() / 2]), "cut", "again"),
        (bad("empty.jpg", b""), "0 bytes", "again"),
        (bad("huge.png", &huge), "20000x20000", "scale"),
        (bad("photo.heic", b"\0\0\0\x18ftypheic"), "not a JPEG or PNG", "convert"),
        (TINY.path("*.bmp"), "no file matches", "has"),
    ];
    for (path, says, hint) in frames {
        refused(plan("bad.png", &[&path]), 3, says, hint);
    }
    for speed in ["NaN", "-1", "inf", "fast"] {
        refused(plan("bad.png", &[&frame(FRAME), "--speed", speed]), 2, "metres per second", "");
    }
    refused(plan("bad.png", &["--prompts", &TINY.dir.display().to_string()]), 2, "plan.jinja", "copy");
    let model = |path: &str| run(&["plan", &frame(FRAME), "--model", path, "--out", &TINY.path("bad.png")]);
    refused(model(&TINY.path("nowhere")), 3, "no model at", "embedded");
    refused(model(&tiny_planner::root().join("src").display().to_string()), 3, "holds no", "config.json");
    let cut = TINY.dir.join("cut_model");
    std::fs::create_dir_all(&cut).unwrap();
    for entry in std::fs::read_dir(&TINY.random).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let kept = if path.ends_with("model.safetensors") { bytes.len() / 2 } else { bytes.len() };
        std::fs::write(cut.join(path.file_name().unwrap()), &bytes[..kept]).unwrap();
    }
    refused(model(cut.to_str().unwrap()), 3, "model.safetensors", "");
    assert!(!Path::new(&TINY.path("bad.png")).exists());
}

fn refused(output: Output, code: i32, says: &str, hint: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(says) && stderr.contains(hint) && !stderr.contains("bug in reinsman"), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

#[test]
fn a_picture_that_cannot_be_written_does_not_cost_the_plan() {
    std::fs::write(TINY.path("blocked"), "a file where a folder is needed").unwrap();
    let args = [&frame(FRAME), "--speed", SPEED];
    let output = plan("blocked/plan.png", &args);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("LEFT_TURN"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("blocked") && text(&output.stderr).contains("hint: "));
    let output = plan("blocked/plan.png", &[args.as_slice(), &["--json"]].concat());
    assert_eq!(output.status.code(), Some(3));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(record["picture"].is_null() && record["plan"]["path"] == "LEFT_TURN");
}

/// Every label written out in full behind the prompt, the whole sequence through the model at once, the
/// log-probabilities of the answer's tokens added up.
#[test]
fn probabilities_equal_brute_force() {
    for model in [&TINY.random, &TINY.taught] {
        let source = Source::resolve(Some(Path::new(model))).unwrap();
        let planner = Planner::load(&source, &Options::default()).unwrap();
        let command = scene::Command::default();
        let ego = data::Ego { speed_mps: 3.2, command };
        let image = Frame::file(frame("udacity_07_011.jpg")).open().unwrap();
        let question = planner.question(&ego, vec![image], true).unwrap();
        for before in ["", "<think> The lane bends, so I slow down. </think> "] {
            let all = |texts: Vec<String>| {
                let sums: Vec<f64> = texts.iter().map(|text| whole(&planner, &question, text)).collect();
                let total: f64 = sums.iter().map(|s| s.exp()).sum();
                sums.iter().map(|s| s.exp() / total).collect::<Vec<f64>>()
            };
            let speeds = all(SpeedAction::ALL.iter().map(|l| format!("{before}<answer> {l},")).collect());
            let paths = |speed: SpeedAction| {
                all(PathAction::ALL.iter().map(|l| format!("{before}<answer> {speed}, {l} </answer>")).collect())
            };
            for speed in SpeedAction::ALL {
                let p = planner.probabilities(&question, before, Some(*speed)).unwrap();
                close(&p.speed, &speeds);
                close(&p.path, &paths(*speed));
            }
            let free = planner.probabilities(&question, before, None).unwrap();
            close(&free.speed, &speeds);
            close(&free.path, &paths(free.best().speed));
            assert!(speeds.iter().any(|p| (p - 0.25).abs() > 1e-3), "a model that prefers nothing tests nothing");
        }
    }
}

fn whole(planner: &Planner, question: &reinsman::policy::Question, answer: &str) -> f64 {
    let encoded = planner.encode(question).unwrap();
    let mut ids = encoded.ids.clone();
    ids.extend(planner.encoder.tokenizer.encode_text(answer).unwrap());
    let visuals: Vec<Visual> = encoded.grids.iter().map(|grid| Visual::image(*grid)).collect();
    let batch = Batch::right_padded(planner.vlm.config(), &[Row::new(&ids, &visuals)], 0).unwrap();
    let (_, images) = planner.batch(&[&encoded]).unwrap();
    let hidden = planner.vlm.forward(&batch, images.as_ref(), None, None).unwrap();
    let prompt = encoded.ids.len();
    let rows: Vec<u32> = (prompt - 1..ids.len() - 1).map(|row| row as u32).collect();
    let (logps, _) = planner.vlm.token_logps(&hidden, &rows, &ids[prompt..], 1.0).unwrap();
    logps.to_vec1::<f32>().unwrap().into_iter().map(f64::from).sum()
}

fn close(got: &[f64], wanted: &[f64]) {
    let far = got.iter().zip(wanted).any(|(a, b)| (a - b).abs() > 1e-5);
    assert!(!far && got.len() == wanted.len(), "{got:?} against {wanted:?}");
    assert!((got.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{got:?}");
}
