//! `data label`: labels computed by hand, thresholds, splits, and what is kept.

use super::{drive, fixture, json, read, reinsman, says, write};
use data::{Content, Sample};

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
