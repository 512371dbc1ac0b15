//! A reproduction by hand: two arms under two seeds on forty frames.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use eval::{
    Entry, Log, Reply,
    metrics::{Truth, bootstrap::Bootstrap},
    reproduction::{
        About, ArmName, Card, Claim, Curve, Finished, Measure, Page, Report, Said, Size, Verdict, page, terminal,
    },
    summary::ego_row,
};
use std::collections::BTreeMap;

const FRAMES: usize = 40;

fn entry(i: usize, texts: &[String]) -> Entry {
    Entry {
        id: format!("frame{i:03}"),
        digest: "d".into(),
        prompt: String::new(),
        clip: None,
        frame: None,
        speed_mps: Some(3.0),
        command: Some("follow the road".into()),
        truth: Truth { speed: "KEEP".parse().ok(), path: "STRAIGHT".parse().ok() },
        reasoning: Some("the road ahead is clear and straight".into()),
        replies: texts.iter().map(|text| Reply::read(text.as_str())).collect(),
        probabilities: None,
        scores: BTreeMap::new(),
        tokens: None,
        cut: 0,
        seconds: 0.0,
    }
}

fn says(speed: &str, thought: &str) -> String {
    format!("<think> {thought} </think> <answer> {speed}, STRAIGHT </answer>")
}

/// The first `right` frames are answered rightly; drawn answers alternate between `plans` speeds.
fn finished(arm: &str, seed: u64, right: usize, plans: usize) -> Finished {
    let speeds = ["KEEP", "STOP", "ACCELERATE", "DECELERATE"];
    let thought = "the road ahead is clear and straight";
    let one = |i: usize| entry(i, &[says(if i < right { "KEEP" } else { "STOP" }, thought)]);
    let drawn = |i: usize| entry(i, &(0..4).map(|k| says(speeds[k % plans], thought)).collect::<Vec<_>>());
    Finished {
        arm: arm.into(),
        size: "small".into(),
        seed,
        steps: 7,
        seconds: 2.0,
        greedy: Some(Log::of("d", (0..FRAMES).map(one))),
        sampled: Some(Log::of("d", (0..10).map(drawn))),
        blind: None,
        scores: BTreeMap::new(),
    }
}

fn claim(arm: &str, against: &str, measure: Measure, paper: Option<f64>) -> Claim {
    Claim {
        text: format!("{arm} against {against}"),
        arm: arm.into(),
        against: against.into(),
        size: "small".into(),
        measure,
        paper,
        expect: None,
        source: "Table <1>".into(),
    }
}

fn report() -> Report {
    let about = About { name: "A <paper>".into(), paper: "arXiv".into(), scale: "Small.".into() };
    let sizes = [Size { name: "small".into(), frames: 100, paper: "20k".into() }];
    let name = |id: &str, paper: f64| ArmName {
        id: id.into(),
        label: format!("arm {id}"),
        paper: BTreeMap::from([("small".to_owned(), paper)]),
    };
    let arms = [name("sft", 41.1), name("rl", 55.6), name("never", 1.0)];
    let claims = [
        claim("rl", "sft", Measure::Joint, Some(35.3)),
        claim("rl", "sft", Measure::Bleu4, Some(17.0)),
        claim("rl", "sft", Measure::Distinct, Some(-50.0)),
        claim("never", "sft", Measure::Joint, None),
    ];
    let runs =
        [finished("rl", 2, 31, 3), finished("sft", 1, 20, 1), finished("sft", 2, 21, 1), finished("rl", 1, 30, 3)];
    let train: Vec<_> = (0..5).map(|i| ego_row(&entry(i, &[]))).collect();
    Report::of(about, (&sizes, &arms, &claims), &runs, &train, Bootstrap { seed: 1, resamples: 300 })
}

#[test]
fn rows_are_means_over_seeds_and_claims_are_judged() {
    let report = report();
    assert_eq!((report.test, report.rows.len(), report.seconds), (FRAMES, 2, 8.0));
    let row = report.row("rl", "small").unwrap();
    assert_eq!((row.seeds.as_slice(), row.steps, row.paper), (&[1, 2][..], 7, Some(55.6)));
    let joint = &row.values[&Measure::Joint];
    assert_eq!(joint.seeds, [30.0 / 40.0, 31.0 / 40.0]);
    assert!((joint.figure.value - 0.7625).abs() < 1e-12);
    // 40 frames at three quarters: a standard error of 0.068, so about ±0.13.
    assert!((0.08..0.2).contains(&joint.figure.half_width()), "{joint:?}");
    assert_eq!(row.values[&Measure::Distinct].figure.value, 3.0);
    assert_eq!(row.values[&Measure::AnyOfK].figure.value, 1.0);
    assert!((row.values[&Measure::Bleu4].figure.value - 1.0).abs() < 1e-6);
    assert!(!row.values.contains_key(&Measure::Blind));

    let [joint, bleu, distinct, missing] = &report.effects[..] else { panic!("{:?}", report.effects) };
    // The right frames of one arm are among those of the other: paired, the effect is clear.
    assert_eq!(joint.verdict, Verdict::Reproduced, "{joint:?}");
    assert!((joint.ours.unwrap().value - (61.0 / 41.0 - 1.0)).abs() < 1e-12);
    assert_eq!(joint.seeds.len(), 2);
    assert_eq!(bleu.verdict, Verdict::Absent, "equal texts: {bleu:?}");
    assert_eq!(distinct.verdict, Verdict::Opposite, "{distinct:?}");
    assert_eq!((missing.verdict, missing.ours), (Verdict::Missing, None));
    assert_eq!(report.baselines[0].joint, Some(1.0));
    assert_eq!(report, self::report(), "draws depend on the seed alone");
}

#[test]
fn both_renderings_say_everything_and_escape_it() {
    let report = report();
    let text = terminal(&report);
    for part in
        ["arm rl", "76.2", "+48.8 %", "+35.3 %", "reproduced", "none as large", "the other way round", "majority"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let said =
        Said { label: "arm rl".into(), text: "<b>x".into(), right: true, plans: vec![("KEEP, STRAIGHT".into(), 3)] };
    let card = Card {
        id: "frame<1>".into(),
        asked: "3.0 m/s".into(),
        truth: "KEEP, STRAIGHT".into(),
        picture: Some(vec![0xff, 0xd8, 0xff, 0]),
        said: vec![said],
    };
    let curve = Curve {
        label: "arm rl".into(),
        group: "small".into(),
        quantity: "reward".into(),
        seed: 1,
        points: vec![(1.0, 0.5), (2.0, f64::NAN), (3.0, 1.0)],
    };
    let html = page(&report, &Page { curves: vec![curve], cards: vec![card], notes: vec!["a note".into()] });
    for part in [
        "A &lt;paper&gt;",
        "frame&lt;1&gt;",
        "&lt;b&gt;x",
        "3 × KEEP, STRAIGHT",
        "data:image/jpeg",
        "<polyline",
        "a note",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("NaN") && !html.contains("<script") && !html.contains("frame<1>"), "{html}");
}
