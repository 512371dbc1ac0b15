//! The parser: every typed reason, the round trip, totality and linear time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use scene::parse::{Mode, ParseFailure, TAGS, answer, answers, parse};
use scene::{MetaAction, Plan};
use std::time::{Duration, Instant};

fn strict(text: &str) -> Result<Plan, ParseFailure> {
    parse(text, Mode::Strict)
}

#[test]
fn reads_the_written_form() {
    let plan = strict("\n<think> The road bends. </think>\n\n <answer>\tKEEP ,LEFT_TURN\n</answer> \n").unwrap();
    assert_eq!((plan.reasoning.as_str(), plan.action.to_string().as_str()), ("The road bends.", "KEEP, LEFT_TURN"));
    assert_eq!(strict("<answer>STOP,STRAIGHT</answer>").unwrap().reasoning, "");
    // A lone bracket or another tag in the reasoning is only text.
    assert!(strict("<think>a < b, <b>c</b> <|x|></think><answer>STOP, STRAIGHT</answer>").is_ok());
}

#[test]
fn names_the_reason() {
    use ParseFailure as F;
    let long = "x".repeat(60);
    let cases: Vec<(String, F)> = vec![
        (" \n".into(), F::Empty),
        ("KEEP, STRAIGHT".into(), F::NoAnswer),
        ("<think>a</think> KEEP, STRAIGHT".into(), F::NoAnswer),
        ("<think>and then it was cut".into(), F::UnclosedThink),
        ("<think>a <answer>KEEP, STRAIGHT</answer>".into(), F::UnclosedThink),
        ("<think>a</think><answer>KEEP, STR".into(), F::UnclosedAnswer),
        ("<answer>KEEP, STRAIGHT</answer><answer>KEEP, STRAIGHT</answer>".into(), F::SeveralAnswers { count: 2 }),
        ("<think>a</think><think>b</think><answer>KEEP, STRAIGHT</answer>".into(), F::SeveralThinks { count: 2 }),
        ("a</think><answer>KEEP, STRAIGHT</answer>".into(), F::StrayClose { tag: "</think>".into() }),
        ("KEEP, STRAIGHT</answer>".into(), F::StrayClose { tag: "</answer>".into() }),
        ("<think>a <answer>KEEP, STRAIGHT</answer></think>".into(), F::OutOfOrder),
        ("<answer>KEEP, STRAIGHT</answer><think>a</think>".into(), F::OutOfOrder),
        ("Sure! <answer>KEEP, STRAIGHT</answer>".into(), F::TextOutside { text: "Sure!".into() }),
        ("<think>a</think>so<answer>KEEP, STRAIGHT</answer>".into(), F::TextOutside { text: "so".into() }),
        (format!("<answer>KEEP, STRAIGHT</answer>{long}"), F::TextOutside { text: "x".repeat(40) }),
        ("<answer> </answer>".into(), F::EmptyAnswer),
        ("<answer>KEEP</answer>".into(), F::WrongCount { count: 1 }),
        ("<answer>KEEP, STRAIGHT, STOP</answer>".into(), F::WrongCount { count: 3 }),
        ("<answer>KEEP, STRAIGHT,</answer>".into(), F::WrongCount { count: 3 }),
        ("<answer>keep, STRAIGHT</answer>".into(), F::UnknownSpeed { word: "keep".into() }),
        ("<answer>STRAIGHT, KEEP</answer>".into(), F::UnknownSpeed { word: "STRAIGHT".into() }),
        ("<answer>KEEP, STRAIGHT.</answer>".into(), F::UnknownPath { word: "STRAIGHT.".into() }),
        (format!("<answer>KEEP, {long}</answer>"), F::UnknownPath { word: "x".repeat(40) }),
    ];
    for (text, reason) in cases {
        assert_eq!(strict(&text), Err(reason), "{text}");
    }
}

#[test]
fn reasons_keep_their_code_when_stored() {
    let failure = ParseFailure::UnknownSpeed { word: "go".into() };
    let text = serde_json::to_string(&failure).unwrap();
    assert_eq!(text, r#"{"reason":"unknown_speed","word":"go"}"#);
    assert_eq!(failure.code(), "unknown_speed");
    assert_eq!(serde_json::from_str::<ParseFailure>(&text).unwrap(), failure);
}

#[test]
fn lenient_reads_untaught_models() {
    let read = |text| parse(text, Mode::Lenient).map(|p| (p.reasoning, p.action.to_string()));
    let keep = |why: &str| Ok((why.to_owned(), "KEEP, LEFT_TURN".to_owned()));
    assert_eq!(read("KEEP, LEFT_TURN."), keep(""));
    assert_eq!(read("The bend. </think> **KEEP** / LEFT_TURN"), keep("The bend."));
    assert_eq!(read("Because. <answer>keep, left_turn"), keep("Because."));
    assert_eq!(read("<think>stop? no</think><answer>Keep; Left_Turn</answer> bye"), keep("stop? no"));
    // Plain English words are no labels outside an answer block.
    assert_eq!(read("KEEP LEFT_TURN and stop worrying"), keep(""));
    assert_eq!(read("KEEP or STOP, STRAIGHT"), Err(ParseFailure::Ambiguous { axis: "speed".into(), count: 2 }));
    assert_eq!(read("KEEP"), Err(ParseFailure::Ambiguous { axis: "path".into(), count: 0 }));
    assert_eq!(read(""), Err(ParseFailure::Empty));
}

#[test]
fn reasoning_with_tags_is_refused_by_the_constructor() {
    let e = Plan::new("so </think> there", MetaAction::KEEP_STRAIGHT).unwrap_err();
    assert_eq!((e.tag, e.at), ("</think>", 3));
}

/// One megabyte of each unpleasant shape; ten times the promised 50 ms so that a busy machine does not fail it,
/// while anything quadratic takes minutes.
#[test]
fn a_megabyte_is_linear() {
    let shapes =
        ["<", "<think>", "</think>", "<answer>", "<answer></answer>", "KEEP,", "a", " ", "é", "<think><answer>"];
    for shape in shapes {
        let inner = shape.repeat(1_000_000 / shape.len());
        for text in [inner.clone(), format!("<answer>{inner}</answer>"), format!("<think>{inner}</think><answer>x")] {
            for mode in [Mode::Strict, Mode::Lenient] {
                let start = Instant::now();
                let _ = parse(&text, mode);
                assert!(start.elapsed() < Duration::from_millis(500), "{shape} {mode:?} {:?}", start.elapsed());
            }
        }
    }
}

fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(TAGS.to_vec()).prop_map(str::to_owned),
        proptest::sample::select(vec!["KEEP", "STOP", "STRAIGHT", "LEFT_TURN", ",", ", ", " ", "\n", "<", ">", "é"])
            .prop_map(str::to_owned),
        "\\PC{0,3}",
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|v| v.concat())
}

fn any_action() -> impl Strategy<Value = MetaAction> {
    proptest::sample::select(MetaAction::all().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn never_panics_and_only_accepts_the_form(text in soup()) {
        let _ = parse(&text, Mode::Lenient);
        if let Ok(plan) = strict(&text) {
            // What strict accepts says exactly one thing: removing the reasoning leaves just the answer.
            prop_assert_eq!(text.matches("<answer>").count(), 1);
            prop_assert!(text.trim_end().ends_with("</answer>"));
            prop_assert!(!plan.reasoning.contains("<think>") && !plan.reasoning.contains("<answer>"));
            prop_assert_eq!(strict(&plan.render(true)), Ok(plan.clone()));
            prop_assert_eq!(parse(&text, Mode::Lenient).map(|p| p.action), Ok(plan.action));
        }
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        let _ = (strict(&text), parse(&text, Mode::Lenient));
    }

    #[test]
    fn what_is_rendered_reads_back(why in "(?s).{0,200}", action in any_action()) {
        prop_assume!(!TAGS.iter().any(|t| why.contains(t)));
        let plan = Plan::new(&why, action).unwrap();
        prop_assert_eq!(strict(&plan.render(true)), Ok(plan.clone()));
        prop_assert_eq!(strict(&plan.render(false)), Ok(Plan { reasoning: String::new(), action }));
        prop_assert_eq!(parse(&plan.render(true), Mode::Lenient), Ok(plan));
    }

    #[test]
    fn cutting_or_adding_text_never_yields_a_plan(action in any_action(), at in 0usize..80, junk in "[a-z]{1,5}") {
        let text = Plan::new("The road is clear.", action).unwrap().render(true);
        if at < text.len() {
            prop_assert!(strict(&text[..at]).is_err());
        }
        prop_assert!(strict(&[junk.as_str(), &text].concat()).is_err());
        prop_assert!(strict(&[text.as_str(), &junk].concat()).is_err());
    }
}

#[test]
fn lists_of_plans() {
    let plan = |text: &str| answer(text).unwrap();
    let (a, b) = (plan("KEEP, STRAIGHT"), plan("STOP, LEFT_TURN"));
    for body in
        [" KEEP, STRAIGHT; STOP, LEFT_TURN ", "KEEP,STRAIGHT;STOP,LEFT_TURN;", "\n KEEP, STRAIGHT\n\nSTOP, LEFT_TURN"]
    {
        assert_eq!(answers(body, 2), Ok(vec![a, b]), "{body}");
    }
    let wrong = |count, wanted| -> Result<Vec<MetaAction>, _> { Err(ParseFailure::WrongPlans { count, wanted }) };
    assert_eq!(answers("KEEP, STRAIGHT", 2), wrong(1, 2));
    assert_eq!(answers("KEEP, STRAIGHT; KEEP, STRAIGHT", 2), wrong(1, 2));
    assert_eq!(answers("KEEP, STRAIGHT; STOP, LEFT_TURN", 3), wrong(2, 3));
    assert_eq!(answers("KEEP, STRAIGHT; STOP, LEFT_TURN; KEEP, STRAIGHT", 2), wrong(3, 2));
    assert_eq!(answers(" ; \n", 2), Err(ParseFailure::EmptyAnswer));
    assert_eq!(answers("KEEP, STRAIGHT; go", 2), Err(ParseFailure::WrongCount { count: 1 }));
    assert_eq!(wrong(1, 2).unwrap_err().code(), "wrong_plans");
}
