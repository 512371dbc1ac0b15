//! `reinsman data ...` and `reinsman doctor` as a user runs them: exit codes, messages with places and hints, and what is
//! shown against what the encoder really makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use data::{Content, ReadOptions, Sample, load};
use reinsman::{
    policy::{Language, Source},
    train::examples::{lesson, pictures},
    vlm::{chat::text_of, encode::IGNORED, prompt::Prompts},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn fixture(name: &str) -> String {
    format!("{ROOT}/tests/fixtures/data/{name}")
}

fn drive(name: &str) -> String {
    format!("{ROOT}/data/samples/real_drive/{name}")
}

/// A model folder with a real tokenizer, whatever is embedded.
fn model() -> String {
    format!("{ROOT}/tests/fixtures/hf_parity/qwen2_5_vl/ckpt")
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn reinsman(args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_reinsman")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Runs, expects an exit code, gives stdout and stderr joined.
fn says(code: i32, args: &[&str]) -> String {
    let ran = reinsman(args);
    assert_eq!(ran.code, code, "{args:?}\n{}{}", ran.out, ran.err);
    ran.out + &ran.err
}

fn json(args: &[&str]) -> Value {
    let ran = reinsman(&[args, &["--json"]].concat());
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {args:?}\n{}{}", ran.out, ran.err))
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

fn read(path: impl AsRef<Path>) -> Vec<Sample> {
    load(path.as_ref(), &ReadOptions::default()).unwrap().samples
}

#[test]
fn the_bundled_set_is_sound() {
    let files = ["train.jsonl", "val.jsonl", "test.jsonl"].map(drive);
    let args: Vec<&str> = ["data", "check"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let found = json(&args);
    assert_eq!(
        (found["errors"].as_u64(), found["samples"].as_u64(), found["images"].as_u64()),
        (Some(0), Some(344), Some(344))
    );
    assert_eq!(says(0, &args).matches("error").count(), 0);
    says(0, &["data", "check", &files[1], "--decode"]);
}

/// Everything that can be wrong, in four files at once: each is named with its place, none hides another.
#[test]
fn check_finds_everything_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let frame = fs::read(drive("frames/udacity_00_000.jpg")).unwrap();
    write(dir.path(), "ok.jpg", &frame);
    write(dir.path(), "cut.jpg", &frame[..frame.len() / 2]);
    write(dir.path(), "photo.jpg", b"\0\0\0\x18ftypheic");
    let row = |id: &str, image: &str, path: &str| {
        format!(
            "{{\"id\":\"{id}\",\"images\":[\"{image}\"],\"ego\":{{\"speed_mps\":9}},\"clip\":\"hill\",\
             \"plan\":{{\"speed\":\"KEEP\",\"path\":\"{path}\"}}}}\n"
        )
    };
    let train = [
        row("a", "ok.jpg", "STRAIGHT"),
        row("a", "ok.jpg", "STRAIGHT"),
        "{\"id\": \"b\", oops}\n".into(),
        row("c", "ok.jpg", "GO_STRAIGHT"),
        row("d", "ok.jpg", "STRAIGHT").replace("9", "NaN"),
        row("e", "ok.jpeg", "STRAIGHT"),
        row("f", "cut.jpg", "STRAIGHT"),
        row("g", "photo.jpg", "STRAIGHT"),
    ];
    let train = write(dir.path(), "train.jsonl", train.concat());
    let val = write(dir.path(), "val.jsonl", row("v", "ok.jpg", "STRAIGHT"));
    let noise = write(dir.path(), "noise.jsonl", [0u8, 159, 146, 150, 0]);
    let gone = dir.path().join("gone.jsonl").display().to_string();
    let args = ["data", "check", &train, &val, &noise, &gone];
    let text = says(3, &args);
    for expected in [
        "train.jsonl line 3 column",
        "train.jsonl line 4 plan: \"path\" names the path GO_STRAIGHT; known are STRAIGHT",
        "--map GO_STRAIGHT=STRAIGHT",
        "train.jsonl line 5 column",
        "JSON has no NaN",
        "1 ids used twice",
        "ok.jpeg does not exist",
        "did you mean ok.jpg?",
        "cut.jpg is cut off: the JPEG has no end marker",
        "photo.jpg is not a JPEG or PNG (it starts with \"ftypheic\")",
        "1 clips in two splits",
        "hill is in",
        "noise.jsonl is not JSON or JSONL text",
        "gone.jsonl: No such file",
        "error: 11 errors",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let found = json(&args);
    assert_eq!(found["errors"], 11, "{found:#}");
    let kinds: Vec<&str> = found["findings"].as_array().unwrap().iter().filter_map(|f| f["problem"].as_str()).collect();
    let count = |kind: &str| kinds.iter().filter(|k| **k == kind).count();
    assert_eq!(["bad_record", "missing_image", "broken_image", "leaked_image"].map(count), [5, 1, 2, 1]);
    let mapped = json(&[&args[..], &["--map", "GO_STRAIGHT=STRAIGHT"]].concat());
    assert_eq!(mapped["errors"], 10, "{mapped:#}");
}

#[test]
fn stats_of_the_drivelm_layout() {
    let file = fixture("drivelm.json");
    let root = format!("../nuscenes/samples/CAM_FRONT/={ROOT}/data/samples/real_drive/frames/");
    let found = json(&["data", "stats", &file, "--root", &root, "--model", &model()]);
    let all = &found["all"];
    assert_eq!((all["samples"].as_u64(), all["image_files"].as_u64()), (Some(15), Some(3)));
    let category = &all["columns"]["category"];
    assert_eq!(
        ["perception", "prediction", "planning", "behavior"].map(|c| category[c].as_u64().unwrap()),
        [3, 3, 6, 3]
    );
    assert_eq!((all["clips"]["scene0"].as_u64(), all["clips"]["scene1"].as_u64()), (Some(10), Some(5)));
    assert_eq!(
        (found["tokens"]["all"]["n"].as_u64(), found["clips"]["scene1"]["samples"].as_u64()),
        (Some(15), Some(5))
    );
    // One file, one answer of known length: "Going ahead." with its end marks.
    let least = found["tokens"]["with_loss"]["min"].as_f64().unwrap();
    assert!((2.0..40.0).contains(&least) && found["tokens"]["all"]["min"].as_f64().unwrap() > least, "{found:#}");
    let text = says(0, &["data", "stats", &file, "--root", &root, "--model", &model(), "--category", "planning"]);
    assert!(text.contains("6 (6 conversation)") && text.contains("least, median, most of 6"), "{text}");
    // Without the folder the pictures cannot be measured, and this is said.
    let text = says(0, &["data", "stats", &file, "--model", &model()]);
    assert!(text.contains("15 samples not counted") && text.contains("does not exist"), "{text}");
}

#[test]
fn stats_by_split_and_clip() {
    let (train, val) = (drive("train.jsonl"), drive("val.jsonl"));
    let found = json(&["data", "stats", &train, &val, "--model", &model()]);
    assert_eq!(
        (found["splits"]["train"]["samples"].as_u64(), found["splits"]["val"]["samples"].as_u64()),
        (Some(215), Some(43))
    );
    assert_eq!(found["splits"]["val"]["path"]["RIGHT_TURN"], 2);
    assert_eq!(found["clips"].as_object().unwrap().len(), 6);
    assert_eq!(found["majority"]["label"], "KEEP, STRAIGHT");
    let text = says(0, &["data", "stats", &train, &val, "--model", &model()]);
    let row = text.lines().find(|line| line.starts_with("udacity_03 ")).unwrap();
    assert_eq!(row.split_whitespace().nth(1), Some("43"), "{text}");
    let wrong = says(3, &["data", "stats", &train, "--model", "nowhere/at/all"]);
    assert!(wrong.contains("no model at nowhere/at/all"), "{wrong}");
}

/// What `data show` marks is what [`reinsman::vlm::encode::Encoder::encode`] labels, for one picture and several, known
/// and unknown axes, plans and conversations.
#[test]
fn the_shown_mask_is_the_trained_one() {
    let language = Language::load(&Source::Folder(model().into()), None).unwrap();
    let (encoder, prompts) = (&language.encoder, &language.prompts);
    let mut unknown = 0;
    for file in [fixture("record.jsonl"), drive("train.jsonl"), fixture("llava.json"), fixture("metaad.json")] {
        let shown = json(&["data", "show", &file, "--n", "3", "--model", &model()]);
        let text = says(0, &["data", "show", &file, "--n", "3", "--model", &model()]);
        let mut marked = text.split("\nsample ").skip(1);
        for (sample, shown) in read(&file).iter().zip(shown.as_array().unwrap()) {
            let taught = lesson(prompts, sample, true).unwrap().unwrap();
            let encoded = encoder.encode(&taught.turns, &pictures(sample).unwrap(), &taught.unscored).unwrap();
            let numbers = |key: &str| -> Vec<i64> { serde_json::from_value(shown[key].clone()).unwrap() };
            assert_eq!(numbers("labels"), encoded.labels, "{}", sample.id);
            assert_eq!(numbers("ids"), encoded.ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>());
            let scored: Vec<u32> =
                encoded.ids.iter().zip(&encoded.labels).filter(|(_, l)| **l != IGNORED).map(|(id, _)| *id).collect();
            assert_eq!(shown["tokens_with_loss"], scored.len());
            assert!(!scored.is_empty() && scored.len() < encoded.ids.len());
            let loss = encoder.tokenizer.decode(&scored, false);
            let page = marked.next().unwrap();
            let between: String = page.split('«').skip(1).map(|part| part.split('»').next().unwrap()).collect();
            assert_eq!(between, loss, "{page}");
            for (grid, tokens) in encoded.grids.iter().zip(encoded.images.iter().map(ExactSizeIterator::len)) {
                assert!(page.contains(&format!("[image {}x{} = {tokens} tokens]", grid[1], grid[2])), "{page}");
            }
            let answer = text_of(taught.turns.last().unwrap());
            if sample.labels.speed.is_none() && matches!(sample.content, Content::Planning { .. }) {
                unknown += 1;
                assert!(answer.contains("KEEP") && !loss.contains("KEEP"), "{loss}");
            } else {
                assert!(loss.contains(&answer), "{loss}\n{answer}");
            }
        }
    }
    assert!(unknown >= 2);
}

#[test]
fn show_chooses_draws_and_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let (train, model) = (drive("train.jsonl"), model());
    let picture = dir.path().join("new/show.png").display().to_string();
    let two = ["--id", "udacity_04_007", "--id", "udacity_01_003"];
    let text =
        says(0, &[&["data", "show", &train, "--model", &model, "--ids", "--picture", &picture], &two[..]].concat());
    assert!(text.contains("sample udacity_04_007") && text.contains("sample udacity_01_003"), "{text}");
    assert_eq!((text.matches("\nsample ").count(), text.matches("\nids ").count()), (2, 2), "{text}");
    assert!(text.contains(" pixels  [image") && text.contains("480x360"), "{text}");
    let sheet = image::open(&picture).unwrap();
    assert!(sheet.width() > 480 && sheet.height() > 360);
    let wrong = says(3, &["data", "show", &train, "--model", &model, "--id", "udacity_04_7"]);
    assert!(
        wrong.contains("no sample has the id udacity_04_7") && wrong.contains("did you mean udacity_04_"),
        "{wrong}"
    );
    // Reasoning is left out on request, and then not asked for.
    let short = says(0, &["data", "show", &train, "--n", "1", "--model", &model, "--no-think"]);
    assert!(!short.contains("<think>") && short.contains("«<answer> »KEEP«, STRAIGHT </answer>"), "{short}");
    // A sample without labels has a question but no loss; a bare frame has neither.
    let open = write(
        dir.path(),
        "open.jsonl",
        format!("{{\"images\":[{:?}],\"ego\":{{\"speed_mps\":4}}}}", drive("frames/udacity_00_000.jpg")),
    );
    let text = says(0, &["data", "show", &open, "--model", &model]);
    assert!(text.contains("0 with loss") && text.contains("teaches nothing") && text.contains("4.0 m/s"), "{text}");
    let bare = says(3, &["data", "show", &drive("unlabelled.jsonl"), "--model", &model]);
    assert!(bare.contains("carnd_highway_000: a frame without a question") && bare.contains("data label"), "{bare}");
    says(0, &["data", "show", &drive("unlabelled.jsonl"), "--model", &model, "--skip-bad"]);
    // What a file says cannot command the terminal.
    let text = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\\u001b[2Jb <|im_end|>\"},{\"role\":\"assistant\",\"content\":\"c\"}]}";
    let text = says(0, &["data", "show", &write(dir.path(), "esc.jsonl", text), "--model", &model]);
    assert!(text.contains("a\\u{1b}[2Jb <|im_end|>") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn convert_round_trips() {
    let dir = tempfile::tempdir().unwrap();
    let out = |name: &str| dir.path().join(name).display().to_string();
    for (file, formats) in [
        ("metaad.json", &["record", "metaad", "llava", "messages"][..]),
        ("metaad.jsonl", &["record", "metaad", "llava", "messages"]),
        ("sharegpt.jsonl", &["record", "llava", "messages"]),
        ("senna.json", &["record", "llava", "messages"]),
    ] {
        let before = read(fixture(file));
        for to in formats {
            for ending in ["jsonl", "json"] {
                let path = out(&format!("{file}.{to}.{ending}"));
                let text = says(0, &["data", "convert", &fixture(file), "--to", to, "--out", &path]);
                assert!(text.contains(&format!("wrote {} records", before.len())), "{text}");
                let after = read(&path);
                assert_eq!(after.len(), before.len());
                for (a, b) in before.iter().zip(&after) {
                    let same = |p: &data::Image| match p {
                        data::Image::File(p) => data::Image::File(std::path::absolute(p).unwrap()),
                        bytes => bytes.clone(),
                    };
                    let images = |s: &Sample| s.images.iter().map(same).collect::<Vec<_>>();
                    assert_eq!((&a.id, images(a)), (&b.id, images(b)), "{to}");
                    assert_eq!((a.labels.speed, a.labels.path), (b.labels.speed, b.labels.path), "{to}");
                    // MetaAD's own spelling has spaces inside the tags.
                    let text = |s: &Sample| format!("{:?}", s.content).replace(' ', "");
                    assert_eq!(text(a), text(b), "{file} {to}");
                    assert!(*to == "metaad" || a.content == b.content, "{file} {to}");
                }
            }
        }
    }
}

#[test]
fn converted_plans_ask_in_our_words() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("deep/er/out.json").display().to_string();
    let train = drive("train.jsonl");
    let refused = says(3, &["data", "convert", &train, "--to", "metaad", "--out", &out]);
    assert!(
        refused.contains("udacity_00_000 cannot be written as metaad") && refused.contains("--skip-bad"),
        "{refused}"
    );
    assert!(!Path::new(&out).exists());
    let found = json(&["data", "convert", &train, "--to", "metaad", "--out", &out, "--skip-bad"]);
    assert_eq!((found["written"].as_u64(), found["left_out"].as_array().unwrap().len()), (Some(94), 121));
    let rows: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    let sample = read(&train).into_iter().find(|s| s.id == rows[0]["id"].as_str().unwrap()).unwrap();
    let Content::Planning { ego, .. } = &sample.content else { panic!() };
    let asked = Prompts::builtin().plan_turns(ego, 1, true).unwrap();
    assert_eq!(rows[0]["problem"].as_str().unwrap(), text_of(&asked[0]));
    assert_eq!(rows[0]["solution"], format!("<answer> {} </answer>", sample.action().unwrap()));
    // Other words for labels.
    let old = "{\"image\":\"a.jpg\",\"problem\":\"?\",\"solution\":\"<answer> KEEP, GO_STRAIGHT </answer>\"}\n";
    let old = write(dir.path(), "old.jsonl", old);
    let new = dir.path().join("new.jsonl").display().to_string();
    let refused = says(3, &["data", "convert", &old, "--out", &new]);
    assert!(
        refused.contains("old.jsonl line 1") && refused.contains("--map GO_STRAIGHT=STRAIGHT, or --skip-bad"),
        "{refused}"
    );
    says(0, &["data", "convert", &old, "--out", &new, "--map", "GO_STRAIGHT=STRAIGHT"]);
    assert_eq!(read(&new)[0].action().unwrap().to_string(), "KEEP, STRAIGHT");
    let same = says(2, &["data", "convert", &old, "--out", &old]);
    assert!(same.contains("is also an input") && fs::read_to_string(&old).unwrap().contains("GO_STRAIGHT"), "{same}");
    says(2, &["data", "convert", &old, "--out", &dir.path().display().to_string()]);
    says(2, &["data", "convert", &old, "--out", &new, "--to", "parquet"]);
    says(2, &["data", "convert", &old, "--out", &new, "--map", "GO_STRAIGHT=AHEAD"]);
    assert!(says(2, &["data", "stats", &old, "--format", "poses"]).contains("data label"));
    assert!(says(2, &["data", "stats", &old, "--format", "recrod"]).contains("record"));
}

/// Clip "bend": a left-hand circle of 50 m at 10 m/s. Clip "stand": no motion.
fn poses() -> String {
    let mut out = String::from("clip,t,x,y,frame\n");
    for i in 0..80 {
        let (t, a) = (f64::from(i) * 0.1, f64::from(i) * 0.02);
        let frame = if i % 10 == 0 { format!("bend_{i}.jpg") } else { String::new() };
        out += &format!("bend,{t},{},{},{frame}\n", 50.0 * a.cos(), 50.0 * a.sin());
    }
    for i in 0..80 {
        let frame = if i % 20 == 0 { format!("stand_{i}.jpg") } else { String::new() };
        out += &format!("stand,{},7.0,3.0,{frame}\n", f64::from(i) * 0.1);
    }
    out
}

#[test]
fn poses_become_labelled_records() {
    let dir = tempfile::tempdir().unwrap();
    let csv = write(dir.path(), "poses.csv", poses());
    let out = dir.path().join("set.jsonl");
    let path = out.display().to_string();
    let ran = reinsman(&["data", "label", &csv, "--out", &path]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err.contains("4 samples without both labels; the first, bend_50: the future covers 5 poses"),
        "{}",
        ran.err
    );
    assert!(ran.out.contains("wrote 12 records") && ran.out.contains("LEFT_TURN"), "{}", ran.out);
    let samples = read(&out);
    let actions: Vec<String> = samples.iter().map(|s| s.action().map_or("-".into(), |a| a.to_string())).collect();
    let [bend, stand, open] = ["KEEP, LEFT_TURN", "STOP, STRAIGHT", "-"];
    assert_eq!(actions, [bend, bend, bend, bend, bend, open, open, open, stand, stand, stand, open]);
    let Content::Planning { ego, reasoning: Some(text) } = &samples[0].content else { panic!() };
    assert!((ego.speed_mps - 10.0).abs() < 0.05 && text.contains("left"), "{text}");
    assert_eq!((samples[0].aux["bend_3s"].as_str(), samples[0].clip.as_deref()), ("hard_left", Some("bend")));
    assert_eq!(samples[0].images, [data::Image::File(dir.path().join("bend_0.jpg"))]);

    // Thresholds move the labels; an impossible or mistyped one is refused before anything is written.
    let label = |more: &[&str]| {
        says(0, &[&["data", "label", &csv, "--out", &path, "--quiet"], more].concat());
        read(&out)[0].action().map(|a| a.to_string())
    };
    assert_eq!(label(&["--lateral", "20"]).as_deref(), Some("KEEP, STRAIGHT"));
    assert_eq!(label(&["--angle-deg", "60"]).as_deref(), Some("KEEP, STRAIGHT"));
    assert_eq!(label(&["--stop-speed", "11"]).as_deref(), Some("STOP, LEFT_TURN"));
    // After 2 s the car is 50 (1 - cos 0.4) = 3.95 m aside, after 2.5 s 6.12 m.
    assert_eq!(label(&["--rule", "senna", "--set", "horizon=2"]).as_deref(), Some("KEEP, STRAIGHT"));
    assert_eq!(label(&["--rule", "senna", "--set", "horizon=2.5"]).as_deref(), Some("KEEP, LEFT_TURN"));
    assert_eq!(label(&["--rule", "none"]), None);
    label(&["--no-reasoning", "--no-aux"]);
    let sample = &read(&out)[0];
    assert!(sample.aux.is_empty() && matches!(sample.content, Content::Planning { reasoning: None, .. }));
    for (bad, says_what) in [
        (&["--lateral=-1"][..], "lateral is -1"),
        (&["--set", "lateralx=3"], "did you mean lateral?"),
        (&["--set", "change=sideways"], "`never`, `bearing`, `shape`"),
        (&["--rule", "none", "--stop-speed", "1"], "stop_speed belongs to a rule"),
        (&["--set", "step=0.3"], "label"),
        (&["--split-by-clip", "1"], "two or three shares"),
        (&["--rule", "sena"], "senna"),
    ] {
        let text = says(2, &[&["data", "label", &csv, "--out", &path], bad].concat());
        assert!(text.contains(says_what), "{bad:?}\n{text}");
    }
}

#[test]
fn labels_from_json_rows_splits_and_other_formats() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    // The same poses as JSON lines, which must not be taken for rows of an index.
    let csv = poses();
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let value = |key: &str, cell: &str| if key == "frame" || key == "clip" { format!("{cell:?}") } else { cell.into() };
    let rows: String = lines
        .map(|cells| {
            let pairs = header.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
            format!("{{{}}}\n", pairs.map(|(k, c)| format!("{k:?}:{}", value(k, c))).collect::<Vec<_>>().join(","))
        })
        .collect();
    let jsonl = write(dir.path(), "poses.jsonl", rows);
    let found = json(&["data", "label", &jsonl, "--to", "metaad", "--out", &path("m.json")]);
    assert_eq!((found["files"][0]["written"].as_u64(), found["files"][0]["left_out"].as_u64()), (Some(8), Some(4)));
    assert_eq!(found["stats"]["joint"]["STOP, STRAIGHT"], 3);
    assert!(read(path("m.json")).iter().all(|s| s.action().is_some()));

    // Rows with a future: labels that are there stay, unless asked otherwise; clips stay whole in a split.
    let index = fixture("frames.jsonl");
    let text =
        says(0, &["data", "label", &index, "--rule", "real_drive", "--speed-change", "0.1", "--out", &path("r.jsonl")]);
    assert!(text.contains("wrote 3 records"), "{text}");
    let speed = |s: &Sample| s.labels.speed.map(|l| l.to_string()).unwrap_or_default();
    assert_eq!(speed(&read(path("r.jsonl"))[0]), "KEEP");
    says(
        0,
        &[
            "data",
            "label",
            &index,
            "--relabel",
            "--rule",
            "real_drive",
            "--set",
            "speed_change=0.1",
            "--set",
            "speed_change_min=0.1",
            "--out",
            &path("r.jsonl"),
        ],
    );
    assert_eq!(speed(&read(path("r.jsonl"))[0]), "DECELERATE");

    let inputs = ["train.jsonl", "test.jsonl"].map(drive);
    let args = [
        "data",
        "label",
        &inputs[0],
        &inputs[1],
        "--rule",
        "none",
        "--split-by-clip",
        "0.6,0.4",
        "--out",
        &path("s.jsonl"),
    ];
    let found = json(&args);
    assert_eq!(found["stats"]["splits"], json(&args)["stats"]["splits"], "the seed decides");
    let [train, val] = ["train", "val"].map(|part| read(path(&format!("s.{part}.jsonl"))));
    assert_eq!(train.len() + val.len(), 215 + 86);
    assert!(train.iter().all(|a| val.iter().all(|b| a.clip != b.clip)) && !val.is_empty());
    assert!(val.iter().all(|s| s.split.as_deref() == Some("val")));
    says(0, &["data", "check", &path("s.train.jsonl"), &path("s.val.jsonl")]);
    // Records with reasoning of their own keep it.
    assert_eq!(
        train.iter().map(|s| &s.content).collect::<Vec<_>>(),
        inputs
            .iter()
            .flat_map(read)
            .filter(|s| train.iter().any(|t| t.id == s.id))
            .collect::<Vec<_>>()
            .iter()
            .map(|s| &s.content)
            .collect::<Vec<_>>()
    );
}

/// Truncated and random files: exit 3 and a message, for every verb and every place of the cut.
#[test]
fn damaged_files_are_told_never_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("o.jsonl").display().to_string();
    let model = model();
    for name in ["record.jsonl", "drivelm.json", "llava.json"] {
        let whole = fs::read(fixture(name)).unwrap();
        for part in [1, 3] {
            let cut = write(dir.path(), name, &whole[..whole.len() * part / 4]);
            for args in [
                &["data", "check", &cut][..],
                &["data", "stats", &cut, "--model", &model],
                &["data", "convert", &cut, "--out", &out],
                &["data", "label", &cut, "--out", &out],
            ] {
                let text = says(3, args);
                assert!(text.contains("error: ") && text.contains(name), "{args:?}\n{text}");
            }
        }
    }
    for (name, bytes) in [
        ("empty.jsonl", &b""[..]),
        ("noise.jsonl", b"\xff\xfe\0\x01"),
        ("words.jsonl", b"hello world"),
        ("parquet.jsonl", b"PAR1...."),
    ] {
        let file = write(dir.path(), name, bytes);
        for verb in ["check", "stats", "show", "convert", "label"] {
            let more = if verb == "convert" || verb == "label" { &["--out", &out][..] } else { &[] };
            let text = says(3, &[&["data", verb, &file], more].concat());
            assert!(text.contains(name), "{verb} {text}");
        }
    }
    let bad_csv = write(dir.path(), "p.csv", "t,x,y,frame\n0,0,0,a.jpg\n0.5,zero,0,b.jpg\n");
    let text = says(3, &["data", "label", &bad_csv, "--out", &out]);
    assert!(text.contains("p.csv line 3: \"x\" holds") && !Path::new(&out).exists(), "{text}");
}

#[test]
fn doctor_tells_the_embedded_checkpoint() {
    let weights = fs::read(PathBuf::from(ROOT).join("data/models/embedded/model.safetensors")).unwrap();
    let ran = reinsman(&["doctor", "--json"]);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let check = found["checks"].as_array().unwrap().iter().find(|c| c["name"] == "model").unwrap();
    if weights.is_empty() {
        assert_eq!(check["state"], "weak");
        assert!(check["fix"].as_str().unwrap().contains("--model"), "{check}");
        return;
    }
    let digest: String = Sha256::digest(&weights).iter().map(|b| format!("{b:02x}")).collect();
    let text = check["found"].as_str().unwrap();
    assert!(
        text.contains(&digest) && text.contains("M parameters, prompt plan-1-") && text.contains("answers a frame"),
        "{text}"
    );
    assert_eq!(check["state"], "fine", "{check}");
}
