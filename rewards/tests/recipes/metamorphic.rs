//! Changes that must never raise a total, for any said and driven action and any group around; order and position must
//! not matter; every total is finite and inside the declared range for any text.

use super::*;
use proptest::prelude::*;
use rewards::{Asked, terms};

fn action() -> impl Strategy<Value = MetaAction> {
    proptest::sample::select(MetaAction::all().collect::<Vec<_>>())
}

/// Fragments that parsers trip over, special tokens and other scripts among them.
fn soup() -> impl Strategy<Value = String> {
    let words = vec![
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        " ",
        "\n",
        "KEEP, STRAIGHT",
        "STOP",
        "LEFT_TURN",
        "; ",
        ",",
        "é",
        "<|im_end|>",
        "<|endoftext|>",
        "<|vision_start|>",
        "急",
        "\u{202e}",
        "\u{0}",
        "<",
        "stop",
        "🚗",
    ];
    proptest::collection::vec(proptest::sample::select(words), 0..14).prop_map(|v| v.concat())
}

fn groups() -> impl Strategy<Value = Vec<String>> {
    let one = prop_oneof![soup(), action().prop_map(|a| completion(&a.to_string()))];
    proptest::collection::vec(one, 1..7)
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// The total of the last of a group.
fn last(recipe: &str, others: &[String], text: &str, driven: MetaAction) -> f64 {
    let mut group = strs(others);
    group.push(text);
    totals_with(recipe, &group, &super::driven::reference(driven)).last().unwrap().value
}

/// What a policy might try with an answer it has; all of these are worse or no better.
fn tricks(good: &str, junk: &str) -> Vec<String> {
    let (think, answer) = good.split_once("<answer>").unwrap();
    let body = answer.trim_end_matches("</answer>");
    let answer = format!("<answer>{answer}");
    let mut all = vec![
        good.repeat(2),
        format!("{good}{answer}"),
        format!("{answer}{think}"),
        format!("<answer>{think}</answer>{answer}"),
        good.replace(body, &format!("{body}, {body}")),
        good.replace(body, ""),
        good.replace(body, "  \n "),
        good.replace("</answer>", ""),
        good.replace("<answer>", ""),
        good.replace("<think>", ""),
        good.replace("think>", "answer>"),
        think.to_owned(),
        String::new(),
        format!("{good}<|im_end|><|endoftext|>"),
        good.replace(body, &format!("{body}<|im_end|>")),
        good.replace(body, &format!("<|vision_start|>{body}")),
        good.replace(body, &format!("{body} 急停 🚗\u{202e}")),
    ];
    if !junk.trim().is_empty() {
        all.push(format!("{junk}{good}"));
        all.push(format!("{good}{junk}"));
        all.push(good.replace(body, &format!("{body}, {junk}")));
    }
    all
}

const ALL: &str = "KEEP, ACCELERATE, DECELERATE, STOP, STRAIGHT, LEFT_TURN, RIGHT_TURN, LEFT_CHANGE, RIGHT_CHANGE";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn tricks_never_pay(said in action(), driven in action(), others in groups(), junk in "[g-n 急é.!]{1,12}") {
        let good = completion(&said.to_string());
        for recipe in SOUND {
            let honest = last(recipe, &others, &good, driven);
            for text in tricks(&good, &junk) {
                let got = last(recipe, &others, &text, driven);
                prop_assert!(got <= honest + 1e-12, "{recipe}: {got} > {honest} for {text:?}");
            }
        }
        // Term by term too. The released code pays for some of this, see `defects`.
        for term in terms().iter().filter(|t| !matches!(t.name(), "speed_released" | "path_released")) {
            let of = |text: &str| {
                let mut group = strs(&others);
                group.push(text);
                let reference = super::driven::reference(driven);
                term.judge(&Asked { tokens: Some(text.len()), ..Asked::new(text, &reference, &group) }).unwrap().value
            };
            for text in tricks(&good, &junk) {
                prop_assert!(of(&text) <= of(&good) + 1e-12, "{} pays for {text:?}", term.name());
            }
        }
    }

    /// F1 pays a list more than a wrong label, so the paper's form is held to the right answer only.
    #[test]
    fn lists_never_pay(said in action(), driven in action(), others in groups(), more in proptest::collection::vec(action(), 1..4)) {
        let good = completion(&said.to_string());
        let extra = more.iter().map(|a| format!(", {a}")).collect::<String>();
        let lists = [completion(ALL), completion(&format!("{said}{extra}")), completion(&format!("{said}; {ALL}"))];
        for recipe in SOUND {
            let honest = last(recipe, &others, &good, driven);
            for list in &lists {
                let got = last(recipe, &others, list, driven);
                prop_assert!(got <= honest + 1e-12 || (recipe == "alphadrive" && said != driven), "{recipe}: {list}");
            }
        }
    }

    #[test]
    fn copies_never_pay(mut group in groups(), at in any::<prop::sample::Index>(), driven in action()) {
        let at = at.index(group.len());
        for recipe in SOUND {
            let before = totals_with(recipe, &strs(&group), &super::driven::reference(driven))[at].value;
            group.push(group[at].clone());
            let after = totals_with(recipe, &strs(&group), &super::driven::reference(driven));
            group.pop();
            prop_assert!(after[at].value <= before + 1e-12, "{recipe}");
            prop_assert_eq!(after[at].value, after[after.len() - 1].value);
        }
    }

    #[test]
    fn order_does_not_matter(group in groups(), driven in action(), turn in any::<prop::sample::Index>()) {
        let mut turned = group.clone();
        turned.rotate_left(turn.index(group.len()));
        turned.reverse();
        for recipe in SOUND {
            let here = totals_with(recipe, &strs(&group), &super::driven::reference(driven));
            let there = totals_with(recipe, &strs(&turned), &super::driven::reference(driven));
            for (text, total) in group.iter().zip(&here) {
                let same = turned.iter().position(|t| t == text).unwrap();
                prop_assert_eq!(total, &there[same], "{}", recipe);
            }
        }
    }

    #[test]
    fn totals_stay_in_range(mut group in groups(), driven in action(), axes in any::<(bool, bool)>()) {
        group.push(String::new());
        let reference = Reference { speed: axes.0.then_some(driven.speed), path: axes.1.then_some(driven.path), driven: None };
        for name in Recipe::names() {
            let recipe = recipe(name);
            let (low, high) = recipe.range();
            let totals = recipe.score_group(&strs(&group), &reference);
            prop_assert_eq!(totals.len(), group.len());
            let columns = |t: &Total| t.terms.iter().map(|(n, w, _)| (n.clone(), *w)).collect::<Vec<_>>();
            for total in &totals {
                prop_assert!(total.value.is_finite() && total.value >= low - 1e-9 && total.value <= high + 1e-9);
                prop_assert_eq!(columns(total), columns(&totals[0]), "the same rewards for all of a group");
                let sum: f64 = total.terms.iter().map(|(_, w, s)| w * s.value).sum();
                prop_assert_eq!(sum, total.value);
            }
        }
    }
}

#[test]
fn a_megabyte_never_pays_and_never_hurts() {
    let good = completion("KEEP, STRAIGHT");
    let long = |unit: &str| unit.repeat((1 << 20) / unit.len());
    let giants = [
        long("KEEP, "),
        long("<answer>"),
        long("<answer>KEEP, STRAIGHT</answer>"),
        long("</think>"),
        long("急"),
        long("; "),
        completion(&long("KEEP, STRAIGHT; ")),
        completion(&long("STRAIGHT\n")),
        good.replace("The road", &long("The road ")),
        format!("{good}{}", long(" ")),
        format!("{}{good}", long("\u{1c}")),
    ];
    for recipe in SOUND {
        for giant in &giants {
            let group = [giant.as_str(), good.as_str()];
            let totals = totals_with(recipe, &group, &keep_straight());
            assert!(totals[0].value <= totals[1].value, "{recipe}: {:?}", giant.chars().take(20).collect::<String>());
            assert!(totals[0].terms.iter().all(|(_, _, s)| s.why.len() < 400), "{recipe}");
        }
    }
    for giant in &giants {
        assert!(totals_with("alphadrive-released", &[giant], &keep_straight())[0].value.is_finite());
    }
}

#[test]
fn rambling_costs_where_the_recipe_says_so() {
    let good = completion("KEEP, STRAIGHT");
    let long = good.replace("clear", &"clear and wide ".repeat(200));
    let got = totals_with("meta-action", &[&good, &long], &keep_straight());
    assert!((got[0].value - got[1].value - 0.25).abs() < 1e-12);
    assert!(got[1].value > totals_with("meta-action", &[""], &keep_straight())[0].value);
}
