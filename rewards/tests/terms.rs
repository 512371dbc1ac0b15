//! All terms: golden cases from `cases/`, bounded values, and changes that must never raise a score.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod driven;

use proptest::prelude::*;
use rewards::{Asked, Outcome, Outcomes, Reference, Term, term, terms};
use scene::{MetaAction, Plan};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    note: String,
    completion: String,
    reference: Reference,
    /// What came of plans, by their words; those left out score 0. Without any, nothing was driven out.
    outcomes: Option<BTreeMap<String, Told>>,
    #[serde(default)]
    group: Vec<String>,
    /// Generated tokens of the completion.
    tokens: Option<usize>,
    #[serde(default)]
    settings: BTreeMap<String, f64>,
    value: Option<f64>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Told {
    driving: f64,
    pdms: Option<f64>,
    utility: Option<f64>,
    as_said: bool,
    cost: String,
}

impl Default for Told {
    fn default() -> Self {
        Told { driving: 0.0, pdms: Some(0.0), utility: Some(0.0), as_said: true, cost: String::new() }
    }
}

/// The reference of a case with what came of plans.
fn driven_out(case: &Case) -> Reference {
    let Some(told) = &case.outcomes else { return case.reference.clone() };
    let plans: Vec<String> = MetaAction::all().map(|plan| plan.to_string()).collect();
    assert!(told.keys().all(|plan| plans.contains(plan)), "{}: no plan among {:?}", case.note, told.keys());
    let outcomes = Outcomes::new(|plan| {
        let rest = Told::default();
        let Told { driving, pdms, utility, as_said, cost } = told.get(&plan.to_string()).unwrap_or(&rest);
        let cost = cost.clone().leak();
        let (driving, pdms, utility) = (*driving, *pdms, *utility);
        Outcome { driving, pdms, utility, as_said: *as_said, cost, ..Outcome::default() }
    });
    driven::with(case.reference.clone(), outcomes)
}

#[test]
fn golden_cases() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    for term in terms() {
        let path = folder.join(term.name()).with_extension("jsonl");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let cases: Vec<Case> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert!(cases.len() >= 20, "{}: {} cases, at least 20 wanted", path.display(), cases.len());
        for case in cases {
            let mut group: Vec<&str> = case.group.iter().map(String::as_str).collect();
            group.push(&case.completion);
            let values = values(*term, &case.settings);
            let reference = driven_out(&case);
            let asked =
                Asked { tokens: case.tokens, values: &values, ..Asked::new(&case.completion, &reference, &group) };
            let value = term.judge(&asked).map(|s| s.value);
            let same = match (value, case.value) {
                (Some(got), Some(want)) => (got - want).abs() <= 1e-9,
                (got, want) => got == want,
            };
            assert!(
                same,
                "{}: {}: {value:?}, expected {:?}: {:?}",
                term.name(),
                case.note,
                case.value,
                case.completion
            );
            if case.tokens.is_none() && case.settings.is_empty() {
                assert_eq!(value, term.score(&case.completion, &reference, &group).map(|s| s.value));
            }
        }
    }
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, terms().len(), "every case file belongs to a term");
}

/// The settings of a term in its order, those of a case in place of the defaults.
fn values(term: &dyn Term, set: &BTreeMap<String, f64>) -> Vec<f64> {
    let known = term.settings();
    assert!(set.keys().all(|k| known.iter().any(|s| s.name == k)), "{}: {set:?}", term.name());
    known.iter().map(|s| set.get(s.name).copied().unwrap_or(s.default)).collect()
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = terms().iter().map(|t| t.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), terms().len());
    assert!(names.iter().all(|n| term(n).is_some_and(|t| t.name() == *n)) && term("nothing").is_none());
}

/// A regular expression engine in four lines, to check the one-pass matcher: try every split.
fn slow_released(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("<think>") else { return false };
    rest.match_indices("</think>").any(|(at, _)| {
        let after = rest[at + 8..].trim_start();
        after.strip_prefix("<answer>").is_some_and(|a| a.ends_with("</answer>"))
    })
}

fn soup() -> impl Strategy<Value = String> {
    let words =
        vec!["<think>", "</think>", "<answer>", "</answer>", " ", "\n", "KEEP, STRAIGHT", "STOP", "a", "<", "é"];
    proptest::collection::vec(proptest::sample::select(words), 0..12).prop_map(|v| v.concat())
}

fn any_action() -> impl Strategy<Value = MetaAction> {
    proptest::sample::select(MetaAction::all().collect::<Vec<_>>())
}

fn reference(a: MetaAction) -> Reference {
    driven::reference(a)
}

/// The terms' verdict where token counts are at hand.
fn judged(term: &dyn Term, text: &str, reference: &Reference, group: &[&str]) -> rewards::Score {
    term.judge(&Asked { tokens: Some(text.len()), ..Asked::new(text, reference, group) }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn values_stay_in_range(text in soup(), action in any_action(), others in proptest::collection::vec(soup(), 0..3)) {
        let mut group: Vec<&str> = others.iter().map(String::as_str).collect();
        group.push(&text);
        for term in terms() {
            let score = judged(*term, &text, &reference(action), &group);
            let (low, high) = term.range();
            prop_assert!(score.value.is_finite() && (low..=high).contains(&score.value));
            prop_assert_eq!(&judged(*term, &text, &reference(action), &group), &score);
            group.reverse();
            let turned = judged(*term, &text, &reference(action), &group);
            group.reverse();
            prop_assert!(turned == score || term.name().ends_with("_released"), "{} minds the order", term.name());
        }
    }

    #[test]
    fn released_match_is_the_regular_expression(text in soup()) {
        prop_assert_eq!(rewards::format::released_match(&text), slow_released(&text));
    }

    #[test]
    fn padding_repeating_and_reordering_never_pay(said in any_action(), driven in any_action(), junk in "[a-oq-zA-OQ-Z ,_]{1,12}") {
        let good = Plan::new("The road is clear.", said).unwrap().render(true);
        let (think, answer) = good.split_once("<answer>").unwrap();
        let answer = format!("<answer>{answer}");
        let worse = [
            good.repeat(2),
            [good.as_str(), &answer].concat(),
            [answer.as_str(), think].concat(),
            good.replace("</answer>", &[", ", &junk, "</answer>"].concat()),
            good.replace("</answer>", ""),
            good.replace("<think>", ""),
            think.to_owned(),
            String::new(),
        ];
        // The released code pays for some of this, which tests/recipes/defects.rs shows.
        for term in terms().iter().filter(|t| !matches!(t.name(), "speed_released" | "path_released")) {
            let of = |t: &str| judged(*term, t, &reference(driven), &[t]).value;
            for text in &worse {
                prop_assert!(of(text) <= of(&good), "{} pays for {text:?}", term.name());
            }
            if !junk.trim().is_empty() {
                prop_assert!(of(&[junk.as_str(), &good].concat()) <= of(&good));
            }
        }
    }

    #[test]
    fn a_mirrored_world_scores_the_same(said in any_action(), driven in any_action()) {
        let text = |a: MetaAction| Plan::new("why", a).unwrap().render(true);
        for term in terms() {
            let here = term.score(&text(said), &reference(driven), &[]);
            let there = term.score(&text(said.mirrored()), &reference(driven.mirrored()), &[]);
            prop_assert_eq!(here.map(|s| s.value), there.map(|s| s.value));
        }
    }

    #[test]
    fn exact_match_is_equality(said in any_action(), driven in any_action()) {
        let text = Plan::new("", said).unwrap().render(false);
        let of = |name: &str| term(name).unwrap().score(&text, &reference(driven), &[]).unwrap().value;
        prop_assert_eq!(of("speed") == 1.0, said.speed == driven.speed);
        prop_assert_eq!(of("path") == 1.0, said.path == driven.path);
    }
}

/// Whatever the numbers, the terms stay in range and apply to every completion or to none.
#[test]
fn outcomes_that_are_no_numbers_count_nothing() {
    let text = |a: MetaAction| Plan::new("why", a).unwrap().render(true);
    for bad in [f64::NAN, f64::INFINITY, -1.0, 7.0] {
        let one = Outcome { driving: bad, pdms: Some(bad), utility: Some(bad), as_said: true, ..Outcome::default() };
        let outcomes = Outcomes::new(|_| one);
        let reference = driven::with(Reference::default(), outcomes);
        for name in ["driving", "pdms", "tree"] {
            let value = term(name).unwrap().score(&text(MetaAction::KEEP_STRAIGHT), &reference, &[]).unwrap().value;
            assert_eq!(value, if bad == 7.0 { 1.0 } else { 0.0 }, "{name} of {bad}");
        }
    }
    let some =
        Outcomes::new(|a| Outcome { pdms: (a != MetaAction::KEEP_STRAIGHT).then_some(1.0), ..Outcome::default() });
    let reference = driven::with(Reference::default(), some);
    for text in MetaAction::all().map(text).chain([String::new()]) {
        assert!(term("driving").unwrap().score(&text, &reference, &[]).is_some());
        assert!(term("pdms").unwrap().score(&text, &reference, &[]).is_none(), "one plan has none: {text}");
        assert!(term("driving").unwrap().score(&text, &Reference::default(), &[]).is_none());
    }
}
