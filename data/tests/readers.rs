//! Every reader on its fixture, and what each says about broken input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use data::{
    Cameras, Content, Dataset, Image, Part, ReadOptions, Role, Sample, Turn, load,
    options::LabelMap,
    read::{READERS, read_bytes},
};
use scene::{PathAction, SpeedAction};
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "tests", "fixtures", "data", name].iter().collect()
}

fn read(name: &str) -> Dataset {
    load(&fixture(name), &ReadOptions::default()).unwrap()
}

fn turns(sample: &Sample) -> &[Turn] {
    match &sample.content {
        Content::Conversation { turns } => turns,
        other => panic!("{other:?}"),
    }
}

fn text(turn: &Turn) -> String {
    turn.parts.iter().map(|p| if let Part::Text(t) = p { t.as_str() } else { "[i]" }).collect()
}

fn names(sample: &Sample) -> Vec<String> {
    let name = |i: &Image| match i {
        Image::File(p) => p.file_name().unwrap().to_string_lossy().into_owned(),
        Image::Bytes(b) => format!("{} bytes", b.len()),
    };
    sample.images.iter().map(name).collect()
}

fn labels(sample: &Sample) -> String {
    let word = |w: Option<&str>| w.unwrap_or("-").to_owned();
    word(sample.labels.speed.map(|l| l.as_str())) + " " + &word(sample.labels.path.map(|l| l.as_str()))
}

fn fail(name: &str, text: &str) -> (String, Option<String>) {
    let e = read_bytes(name, text.as_bytes(), &ReadOptions::default()).unwrap_err();
    (e.to_string(), e.hint())
}

#[test]
fn formats_are_told_apart() {
    let expect = [
        ("record.jsonl", "record"),
        ("metaad.json", "metaad"),
        ("metaad.jsonl", "metaad"),
        ("llava.json", "sharegpt"),
        ("sharegpt.jsonl", "sharegpt"),
        ("messages.jsonl", "messages"),
        ("drivelm.json", "drivelm"),
        ("senna.json", "senna"),
        ("frames.jsonl", "frames"),
        ("preference.jsonl", "preference"),
    ];
    for (file, format) in expect {
        assert_eq!(read(file).format, format, "{file}");
    }
    // Every reader has a fixture.
    assert!(READERS.iter().all(|r| expect.iter().any(|(_, format)| *format == r.name())));
}

#[test]
fn our_record() {
    let set = read("record.jsonl");
    let a = &set.samples[0];
    assert_eq!((a.id.as_str(), names(a).len(), labels(a).as_str()), ("a", 2, "KEEP STRAIGHT"));
    let Content::Planning { ego, reasoning } = &a.content else { panic!() };
    assert_eq!((ego.speed_mps, ego.command.0.as_str()), (13.28, "follow the road"));
    assert_eq!(reasoning.as_deref(), Some("The road runs straight, so I keep my speed."));
    assert_eq!(a.labels.future.as_ref().unwrap().poses[1].y, -0.07);
    assert_eq!((a.clip.as_deref(), a.split.as_deref()), (Some("udacity_00"), Some("train")));
    assert_eq!(a.aux["bend_3s"], "straight");
    assert_eq!(a.extra.keys().collect::<Vec<_>>(), ["license", "source", "weather"]);
    let b = &set.samples[1];
    assert_eq!((b.id.as_str(), labels(b).as_str()), ("record:2", "- LEFT_TURN"));
    assert!(matches!(&b.images[0], Image::Bytes(bytes) if bytes.starts_with(b"\x89PNG")));
    let c = &set.samples[2];
    assert_eq!((c.id.as_str(), text(&turns(c)[0]).as_str()), ("7", "[i]What is ahead?"));
}

#[test]
fn metaad_puts_the_image_before_the_problem() {
    let (array, lines) = (read("metaad.json"), read("metaad.jsonl"));
    for set in [&array, &lines] {
        let s = &set.samples;
        assert_eq!(
            s.iter().map(labels).collect::<Vec<_>>(),
            ["KEEP STRAIGHT", "ACCELERATE LEFT_TURN", "STOP RIGHT_CHANGE"]
        );
        assert_eq!(turns(&s[0])[0].parts[0], Part::Image);
        assert_eq!(
            text(&turns(&s[0])[1]),
            "<think> The road runs straight on. </think>\n<answer> KEEP, STRAIGHT </answer>"
        );
        assert!(text(&turns(&s[1])[0]).starts_with("First [i] then [i]."));
        assert_eq!(text(&turns(&s[1])[1]), "<answer> ACCELERATE, LEFT_TURN </answer>");
        assert_eq!(text(&turns(&s[2])[1]), "<think> I stand. </think>\n<answer>STOP, RIGHT_CHANGE</answer>");
        assert_eq!(s[2].extra["town"], "here");
        assert_eq!(s[0].speed_mps(), Some(12.9));
    }
    assert_eq!(array.samples[1].id, "metaad[1]");
    assert_eq!(lines.samples[1].id, "metaad:2");
}

#[test]
fn conversations() {
    let llava = read("llava.json");
    assert_eq!(names(&llava.samples[1]), ["udacity_00_000.jpg", "udacity_00_001.jpg"]);
    assert_eq!(labels(&llava.samples[1]), "DECELERATE LEFT_TURN");
    assert_eq!(labels(&llava.samples[0]), "- -");
    assert_eq!(llava.samples[2].images.len(), 0);
    let share = read("sharegpt.jsonl");
    let roles = |s: &Sample| turns(s).iter().map(|t| t.role).collect::<Vec<_>>();
    assert_eq!(roles(&share.samples[0]), [Role::System, Role::User, Role::Assistant]);
    assert_eq!(roles(&share.samples[1]), [Role::System, Role::User, Role::Assistant]);
    assert_eq!(roles(&share.samples[2]), [Role::User, Role::Assistant, Role::User, Role::Assistant]);
    let openai = read("messages.jsonl");
    assert_eq!(labels(&openai.samples[0]), "KEEP RIGHT_TURN");
    assert_eq!(text(&turns(&openai.samples[1])[0]), "Compare[i][i]");
    assert_eq!(names(&openai.samples[1])[1], "udacity_00_001.jpg");
    assert!(names(&openai.samples[1])[0].ends_with(" bytes"));
    assert_eq!(text(&turns(&openai.samples[2])[0]), "[i]Plan.");
    assert_eq!(labels(&openai.samples[2]), "STOP STRAIGHT");
    assert!(openai.samples[2].extra.contains_key("solution"));
}

#[test]
fn drivelm() {
    let set = read("drivelm.json");
    assert_eq!(set.samples.len(), 15);
    let ids: Vec<&str> = set.samples.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        (ids[0], ids[4], ids[5], ids[14]),
        ("scene0_frame0_0", "scene0_frame0_4", "scene0_frame1_0", "scene1_frame2_4")
    );
    let stop = &set.samples[4];
    assert_eq!((labels(stop).as_str(), stop.clip.as_deref()), ("STOP STRAIGHT", Some("scene0")));
    let left = &set.samples[9];
    assert_eq!((labels(left).as_str(), left.aux["path_phrase"].as_str()), ("- -", "slightly steering to the left"));
    assert_eq!(set.samples[0].extra["tag"], serde_json::json!([0]));
    assert_eq!(names(stop), ["udacity_00_000.jpg"]);

    let frames = env!("CARGO_MANIFEST_DIR").to_owned() + "/samples/real_drive/frames/";
    let mut options = ReadOptions { cameras: Cameras::All, categories: vec!["behavior".into()], ..Default::default() };
    options.roots.push(format!("../nuscenes/samples/CAM_FRONT={frames}").parse().unwrap());
    let all = load(&fixture("drivelm.json"), &options).unwrap();
    assert_eq!(
        all.samples.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
        ["scene0_frame0_4", "scene0_frame1_4", "scene1_frame2_4"]
    );
    assert_eq!(all.samples[0].images.len(), 6);
    assert!(matches!(&all.samples[0].images[0], Image::File(p) if p.is_file()), "{:?}", all.samples[0].images[0]);
    assert!(matches!(&all.samples[0].images[1], Image::File(p) if p.to_string_lossy().contains("CAM_FRONT_LEFT")));
    assert!(text(&turns(&all.samples[0])[0]).starts_with("CAM_FRONT:\n[i]CAM_FRONT_LEFT:\n[i]"));
}

#[test]
fn drivelm_on_one_line_and_nested_deeper() {
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(fixture("drivelm.json")).unwrap()).unwrap();
    for text in [value.to_string(), format!("[{value}]")] {
        let set = read_bytes("d.json", text.as_bytes(), &ReadOptions::default()).unwrap();
        assert_eq!((set.samples.len(), set.format), (15, "drivelm"));
    }
}

#[test]
fn senna_matches_views_by_name() {
    let set = read("senna.json");
    let by_path: Vec<String> = names(&set.samples[0]);
    let order = ["CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK_RIGHT", "CAM_BACK"];
    assert_eq!(by_path, order.map(|c| format!("n__{c}__1.jpg")));
    // The column goes F, FR, FL, B, BL, BR.
    assert_eq!(names(&set.samples[1]), [0, 2, 1, 4, 5, 3].map(|i| format!("view_{i}.jpg")));
    assert_eq!(names(&set.samples[2]), ["n__CAM_BACK_LEFT__1.jpg"]);
    assert_eq!(set.samples.iter().map(labels).collect::<Vec<_>>(), ["KEEP STRAIGHT", "ACCELERATE RIGHT_TURN", "- -"]);
    let poses = &set.samples[0].labels.future.as_ref().unwrap().poses;
    assert_eq!((poses.len(), poses[5].x, poses[5].y), (6, 18.0, -0.9));
    assert!(set.samples[1].labels.future.is_none() && set.samples[2].labels.future.is_none());
    let ids: Vec<&str> = set.samples.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["t0_0", "t0_1", "t1_2"]);
}

#[test]
fn frames_with_ego_motion() {
    let set = read("frames.jsonl");
    let first = &set.samples[0];
    assert_eq!((first.id.as_str(), labels(first).as_str()), ("udacity_00_001", "KEEP STRAIGHT"));
    assert_eq!((first.speed_mps(), first.labels.future.as_ref().unwrap().poses.len()), (Some(13.28), 8));
    assert_eq!(first.images.len(), 1);
    assert_eq!(first.extra["history"].as_array().unwrap().len(), 1);
    let bare = &set.samples[2];
    assert_eq!((turns(bare).len(), bare.speed_mps()), (0, None));
}

#[test]
fn preference_pairs() {
    let set = read("preference.jsonl");
    let s = &set.samples;
    let said = |turns: &[Turn]| turns.iter().map(text).collect::<Vec<_>>();
    let pair = |at: usize| s[at].pair.as_ref().unwrap();
    // Texts: the picture comes before the question.
    assert_eq!(text(&turns(&s[0])[0]), "[i]Plan the next three seconds.");
    assert_eq!((labels(&s[0]).as_str(), s[0].extra["score_chosen"].as_f64()), ("KEEP STRAIGHT", Some(0.9)));
    assert!(said(&pair(0).rejected)[0].ends_with("<answer> STOP, STRAIGHT </answer>"));
    // Messages with content parts.
    assert_eq!(turns(&s[1]).iter().map(|t| t.role).collect::<Vec<_>>(), [Role::System, Role::User]);
    assert_eq!((said(turns(&s[1])), names(&s[1]).len()), (vec!["Plan.".to_owned(), "[i]then[i]".into()], 2));
    assert_eq!(
        (said(&pair(1).chosen), said(&pair(1).rejected)),
        (vec!["They differ.".into()], vec!["No idea.".into()])
    );
    // Whole conversations: what both begin with is asked, and an answer may have several turns.
    assert_eq!((said(turns(&s[2])), labels(&s[2]).as_str()), (vec!["[i]Which way?".to_owned()], "KEEP RIGHT_TURN"));
    assert_eq!(said(&pair(2).rejected), ["Which?", "This.", "No."]);
    assert!(!s[2].extra.contains_key("prompt"));
    // A record of ours; what the policy said need not be a plan.
    let Content::Planning { ego, reasoning: None } = &s[3].content else { panic!("{:?}", s[3].content) };
    assert_eq!(
        (ego.speed_mps, ego.command.0.as_str(), labels(&s[3]).as_str()),
        (13.28, "turn left", "DECELERATE LEFT_TURN")
    );
    assert_eq!(
        (said(&pair(3).rejected)[0].as_str(), s[3].clip.as_deref()),
        ("<answer> KEEP, FLY </answer>", Some("udacity_00"))
    );
    assert_eq!(s[3].extra["cause"], "red light");
    // As a record of ours it is read back the same.
    for sample in s {
        let line = data::record::to_value(sample, std::path::Path::new("")).to_string();
        let again = read_bytes("p.jsonl", line.as_bytes(), &ReadOptions::default()).unwrap();
        let again = &again.samples[0];
        assert_eq!((again.pair.as_ref(), &again.content), (sample.pair.as_ref(), &sample.content));
        assert_eq!((&again.images, &again.labels), (&sample.images, &sample.labels));
    }
    let e =
        data::convert::value(&s[0], data::convert::Format::Llava, std::path::Path::new(""), &|_, _, _| Ok("?".into()));
    assert!(e.unwrap_err().to_string().contains("a preference pair, which has two answers"));
}

#[test]
fn pairs_that_cannot_be_compared_are_refused() {
    let good = r#"{"prompt":"p","chosen":"a","rejected":"b"}"#;
    let whole = r#"{"chosen":[{"role":"user","content":"p"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"p"},{"role":"assistant","content":"b"}]}"#;
    assert_eq!(
        read_bytes("p.jsonl", format!("{good}\n{whole}").as_bytes(), &ReadOptions::default()).unwrap().samples.len(),
        2
    );
    for (bad, says) in [
        (good.replace("\"b\"", "\"a\""), "are the same, so there is nothing to prefer"),
        (good.replace("\"b\"", "\" \""), "\"rejected\" is empty"),
        (good.replace("\"b\"", "7"), "\"rejected\" is the number 7; a text or a list of messages is needed"),
        (good.replace("\"b\"", "[]"), "\"rejected\" is empty; at least one turn"),
        (good.replace("rejected", "rejectd"), "\"rejected\" is missing; the record has prompt, chosen, rejectd"),
        (good.replace("prompt", "promt"), "\"prompt\" is missing; the record has promt, chosen, rejected"),
        (good.replace("\"p\"", "[{\"role\":\"system\",\"content\":\"p\"}]"), "does not end with a turn of the user"),
        (good.replace("\"b\"", "[{\"role\":\"user\",\"content\":\"b\"}]"), "\"rejected\" begins with another turn"),
        (good.replace("\"b\"", "[{\"role\":\"assistant\",\"content\":[{\"type\":\"image\"}]}]"), "holds a picture"),
        (whole.replacen("\"p\"", "\"q\"", 1), "begin with different messages"),
        (whole.replace("\"b\"", "\"a\""), "are the same"),
        (whole.replace(",{\"role\":\"assistant\",\"content\":\"b\"}", ""), "an answer is missing"),
    ] {
        let options = ReadOptions { format: Some("preference".into()), ..Default::default() };
        let e = read_bytes("p.jsonl", format!("{good}\n{bad}").as_bytes(), &options).unwrap_err();
        let text = e.to_string();
        assert!(text.starts_with("p.jsonl line 2") && text.contains(says), "{bad}\n{text}");
        if bad.contains("rejectd") || bad.contains("promt") {
            assert!(e.hint().unwrap().contains("is it the column"), "{:?}", e.hint());
        }
    }
}

#[test]
fn maps_rewrite_the_target_text() {
    let mut map = LabelMap::default();
    map.add("GO_STRAIGHT=STRAIGHT").unwrap();
    let options = ReadOptions { map, ..Default::default() };
    let row = r#"{"image":"a.jpg","problem":"p","solution":"<answer> KEEP, GO_STRAIGHT </answer>"}"#;
    let set = read_bytes("m.jsonl", row.as_bytes(), &options).unwrap();
    assert_eq!(labels(&set.samples[0]), "KEEP STRAIGHT");
    assert_eq!(text(&turns(&set.samples[0])[1]), "<answer> KEEP, STRAIGHT </answer>");
}

#[test]
fn errors_name_place_value_allowed_and_way_out() {
    let good = r#"{"image":"a.jpg","problem":"p","solution":"<answer>KEEP, STRAIGHT</answer>"}"#;
    let with = |bad: &str| format!("{good}\n{good}\n{bad}\n{good}\n");
    let (e, hint) = fail("v.jsonl", &with(&good.replace("STRAIGHT", "GO_STRAIGHT")));
    assert_eq!(
        e,
        "v.jsonl line 3: \"solution\" names the path GO_STRAIGHT; known are STRAIGHT, LEFT_TURN, RIGHT_TURN, \
         LEFT_CHANGE, RIGHT_CHANGE"
    );
    let expect = "reinsman data convert --map GO_STRAIGHT=STRAIGHT, or --skip-bad to leave 1 of 4 out";
    assert_eq!(hint.as_deref(), Some(expect));
    for (bad, says) in [
        (good.replace("a.jpg", ""), "\"image\" is \"\": a path is needed"),
        (good.replace("\"image\"", "\"img\""), "\"image\" is missing; the record has img, problem, solution"),
        (good.replace("\"p\"", "3"), "\"problem\" is the number 3; text is needed"),
        (good.replace("\"p\"", "\"<image><image>\""), "the text has 2 <image> marks and the record 1 images"),
        (good.replace("KEEP, ", ""), "a speed and a path label are needed"),
        (good.replace("}", ""), "not valid JSON: EOF"),
        ("[1]".into(), "the record is a list of 1; an object is needed"),
        (good.replace("a.jpg", "https://x/a.jpg"), "http addresses are not fetched"),
    ] {
        let (e, hint) = fail("v.jsonl", &with(&bad));
        assert!(e.starts_with("v.jsonl line 3") && e.contains(says), "{bad}\n{e}");
        assert!(hint.unwrap().contains("--skip-bad to leave 1 of 4 out"));
    }
    let record = r#"{"images":["a.jpg"],"ego":{"speed_mps":5},"plan":{"speed":"KEEP"},"future":[[1,0,0]]}"#;
    for (bad, says) in [
        (record.replace(":5}", ":-1}"), "\"speed_mps\" is -1; a speed from 0 to 100 m/s"),
        (record.replace(":5}", ":\"NaN\"}"), "\"speed_mps\" is \"NaN\""),
        (record.replace(":5}", ":NaN}"), "not valid JSON"),
        (record.replace(":5}", ":1e999}"), "not valid JSON: number out of range"),
        (record.replace("KEEP", "FLY"), "plan: \"speed\" names the speed FLY; known are KEEP, ACCELERATE"),
        (record.replace("[1,0,0]", "[1,null,0]"), "\"future\" holds [1,null,0]"),
        (record.replace("[1,0,0]", "[1e9,0,0]"), "\"future\" holds"),
        (record.replace("{\"speed_mps\":5}", "{}"), "\"speed_mps\" is missing"),
    ] {
        let (e, _) = fail("r.jsonl", &format!("{record}\n{bad}"));
        assert!(e.starts_with("r.jsonl line 2") && e.contains(says), "{bad}\n{e}");
    }
    let (e, _) = fail("c.json", r#"[{"conversations":[{"from":"robot","value":"x"}]}]"#);
    assert!(e.contains("c.json line 1 element 0 conversations[0]: \"from\" is \"robot\"; known roles are"), "{e}");
    assert!(fail("c.json", r#"[{"conversations":[]}]"#).0.contains("is empty; at least one turn"));
    assert!(fail("u.json", r#"[{"foo":1}]"#).0.contains("no known format has the columns foo"));
    assert!(fail("e.json", "[]").0.contains("holds no records"));
    let e = load(&fixture("nowhere.json"), &ReadOptions::default()).unwrap_err();
    assert!(e.to_string().contains("nowhere.json") && e.hint().is_some());
}

#[test]
fn skip_bad_keeps_the_rest_and_format_is_obeyed() {
    let text = "{\"images\":[\"a.jpg\"],\"ego\":{\"speed_mps\":5}}\n{oops\n{\"images\":[],\"ego\":{}}\n";
    let options = ReadOptions { skip_bad: true, ..Default::default() };
    let set = read_bytes("r.jsonl", text.as_bytes(), &options).unwrap();
    assert_eq!((set.samples.len(), set.problems.len()), (1, 2));
    let options = ReadOptions { format: Some("metaad".into()), ..Default::default() };
    let e = read_bytes("r.jsonl", text.as_bytes(), &options).unwrap_err().to_string();
    assert!(e.contains("\"image\"") || e.contains("\"problem\" is missing"), "{e}");
    let options = ReadOptions { format: Some("tfrecord".into()), ..Default::default() };
    assert!(read_bytes("r.jsonl", text.as_bytes(), &options).unwrap_err().to_string().contains("known are drivelm"));
    let options = ReadOptions { limit: Some(2), ..Default::default() };
    assert_eq!(load(&fixture("metaad.json"), &options).unwrap().samples.len(), 2);
}

#[test]
fn labels_know_both_orders() {
    let row = r#"{"image":"a.jpg","problem":"p","solution":"LEFT_TURN, KEEP"}"#;
    let set = read_bytes("m.jsonl", row.as_bytes(), &ReadOptions::default()).unwrap();
    assert_eq!(set.samples[0].labels.speed, Some(SpeedAction::Keep));
    assert_eq!(set.samples[0].labels.path, Some(PathAction::LeftTurn));
    assert_eq!(text(&turns(&set.samples[0])[1]), "<answer> KEEP, LEFT_TURN </answer>");
}
