//! The summary: baselines, exactness of the constant answerer, what each part is computed from.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use eval::metrics::Metric;
use eval::metrics::baseline::EgoRow;
use eval::metrics::bootstrap::Bootstrap;
use eval::summary::{BLIND, EGO_ONLY, MAJORITY, compare, ego_row};
use eval::{Entry, Options, Reply, Sight, Summary, report, threshold};
use scene::{MetaAction, Plan};
use support::log;

fn say(entry: &mut Entry, action: MetaAction) {
    entry.replies = vec![Reply::read(Plan { reasoning: String::new(), action }.render(false))];
}

fn options() -> Options<'static> {
    Options { bootstrap: Bootstrap { seed: 3, resamples: 200 }, ..Options::default() }
}

#[test]
fn a_constant_answerer_scores_exactly_the_majority_row() {
    let s = Summary::of(&log(300, |e| say(e, MetaAction::KEEP_STRAIGHT)), options());
    let majority = s.row(MAJORITY).unwrap();
    assert_eq!(majority.detail.as_deref(), Some("KEEP, STRAIGHT"));
    let model = s.model();
    let of = |r: &eval::summary::TableRow| [r.joint, r.speed, r.path, r.speed_f1, r.path_f1, r.parsed];
    assert_eq!(of(model), of(majority));
    assert!(model.joint.unwrap().value > 0.2 && model.speed_f1.unwrap().value < 0.5);
}

#[test]
fn a_perfect_planner_scores_everything() {
    let perfect = log(200, |e| {
        let truth = MetaAction::new(e.truth.speed.unwrap_or(scene::SpeedAction::Keep), e.truth.path.unwrap());
        say(e, truth);
    });
    let s = Summary::of(&perfect, options());
    assert_eq!((s.failures, s.model().joint.unwrap().value, s.model().path_f1.unwrap().value), (0, 1.0, 1.0));
    assert_eq!((s.hardest, s.looks), (None, None));
    assert!(s.rows.iter().all(|r| r.joint.unwrap().value <= 1.0));
    assert!(s.released.summary.contains("Planning Accuracy: 100.00%"));
}

#[test]
fn blind_rows_are_paired_by_id() {
    let blind = log(250, |e| say(e, MetaAction::KEEP_STRAIGHT));
    let s = Summary::of(&log(300, |_| ()), Options { blind: Some(&blind), ..options() });
    let row = s.row(BLIND).unwrap();
    assert_eq!((row.samples, s.model().samples, s.notes.len()), (250, 300, 1));
    let d = s.looks.unwrap();
    assert!(d.clear && d.figure.value > 0.1 && d.samples == 250, "{d:?}");
    let same = compare(&log(300, |_| ()), &blind, Metric::Joint, options().bootstrap).unwrap();
    assert_eq!(same, d);
    // Against itself there is no difference.
    let own = log(300, |_| ());
    assert!(!Summary::of(&own, Options { blind: Some(&own), ..options() }).looks.unwrap().clear);
}

#[test]
fn ego_speed_alone_finds_the_stops() {
    // In the synthetic set slow means STOP, so the table beats the constant on speed.
    let s = Summary::of(&log(400, |_| ()), options());
    let (ego, majority) = (s.row(EGO_ONLY).unwrap(), s.row(MAJORITY).unwrap());
    assert!(ego.speed.unwrap().value > majority.speed.unwrap().value + 0.05);
    let train: Vec<EgoRow> = log(400, |_| ()).entries.iter().map(ego_row).collect();
    let fitted = Summary::of(&log(100, |_| ()), Options { train: Some(&train), ..options() });
    assert_eq!(fitted.row(EGO_ONLY).unwrap().detail.as_deref(), Some("fitted on 400 training samples"));
}

#[test]
fn unknown_axes_are_skipped() {
    let s = Summary::of(&log(100, |e| e.truth.speed = None), options());
    assert_eq!((s.joint_known, s.speed.known, s.path.known), (0, 0, 100));
    assert_eq!((s.model().joint, s.model().speed_f1), (None, None));
    assert!(s.model().path.is_some());
    // The blind comparison falls back to the axis that is known.
    let blind = log(100, |e| say(e, MetaAction::KEEP_STRAIGHT));
    let both = log(100, |e| e.truth.speed = None);
    assert!(Summary::of(&both, Options { blind: Some(&blind), ..options() }).looks.is_some());
}

#[test]
fn failures_are_counted_by_reason_and_texts_scored() {
    let s = Summary::of(&log(240, |_| ()), options());
    assert!(s.failures > 5 && s.failure_reasons["no_answer"] as u64 == s.failures);
    let column: u64 = s.path.confusion.counts.iter().map(|r| r.last().copied().unwrap()).sum();
    assert_eq!(column, s.failures);
    let t = s.text.as_ref().unwrap();
    assert!(t.samples > 60 && t.bleu4 > 0.0 && t.meteor > 0.0 && s.multi.is_none());
    assert_eq!(serde_json::from_str::<Summary>(&serde_json::to_string(&s).unwrap()).unwrap(), s);
}

#[test]
fn several_replies_give_the_k_sample_figures() {
    let s = Summary::of(
        &log(60, |e| {
            let again = e.replies[0].clone();
            let other = Reply::read(Plan { reasoning: String::new(), action: MetaAction::KEEP_STRAIGHT }.render(false));
            e.replies.extend([again, other]);
        }),
        options(),
    );
    let m = s.multi.as_ref().unwrap();
    assert!((m.k, m.samples) == (3, 60) && m.any_of_k >= s.model().joint.map(|f| f.value));
    assert!(m.distinct > 1.0 && m.histogram.iter().sum::<usize>() == 60);
}

#[test]
fn thresholds_pass_fail_and_cannot_be_met_by_nothing() {
    let s = Summary::of(&log(200, |_| ()), options());
    let limits = threshold::parse("joint=0.1,path_f1=0.99,any_of_k=0").unwrap();
    let checks = threshold::check(&limits, &s);
    assert_eq!(checks.iter().map(|c| c.pass).collect::<Vec<_>>(), [true, false, false]);
    assert!(checks[1].line().starts_with("FAIL path_f1 0.") && checks[2].line().contains("could not be measured"));
    let exact = s.model().joint.unwrap().value;
    let limit = threshold::parse(&format!("joint={exact}")).unwrap();
    assert!(threshold::check(&limit, &s)[0].pass);
}

#[test]
fn what_the_picture_is_worth_is_shown_and_read_back() {
    let sight = |gap| Sight { eval_loss: 1.25, wrong_image_gap: gap, blank_image_gap: 0.5, eval_tokens: 1812 };
    let of = |gap| Summary::of(&log(20, |_| ()), Options { sight: Some(sight(gap)), ..options() });
    let s = of(0.125);
    let json = serde_json::to_value(&s).unwrap();
    assert_eq!((json["eval_loss"].as_f64(), json["wrong_image_gap"].as_f64()), (Some(1.25), Some(0.125)));
    assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), s);
    let line =
        "it looks: a wrong picture costs +0.125 per token, a grey one +0.500 (loss 1.250 over 1 812 answer tokens)";
    assert!(report::terminal(&s, None).contains(line) && report::markdown(&s).contains(line));
    assert!(report::terminal(&of(0.03), None).contains("it hardly looks: "));
    assert!(report::terminal(&of(0.001), None).contains("it does not look: "));
    assert!(report::terminal(&of(-0.2), None).contains("it does not look: a wrong picture costs -0.200"));
    let none = Summary::of(&log(20, |_| ()), options());
    assert!(serde_json::to_value(&none).unwrap().get("eval_loss").is_none());
    assert_eq!(serde_json::from_str::<Summary>(&serde_json::to_string(&none).unwrap()).unwrap(), none);
}

#[test]
fn replies_that_were_cut_are_noted() {
    let s = Summary::of(&log(20, |e| e.cut = usize::from(e.id.contains("clip3"))), options());
    assert_eq!(s.notes, ["3 of 20 replies ran into the token limit"]);
}
