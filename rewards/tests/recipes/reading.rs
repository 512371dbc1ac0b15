//! Reading recipes: what is in, what a mistake says, nothing panics.

use super::*;
use proptest::prelude::*;
use rewards::{Group, RecipeError, terms};

fn error(text: &str) -> String {
    Recipe::parse("mine", text).expect_err(text).to_string()
}

#[test]
fn built_in_recipes_read() {
    assert_eq!(
        Recipe::names().collect::<Vec<_>>(),
        ["alphadrive", "alphadrive-released", "driving", "meta-action", "tree"]
    );
    for name in Recipe::names() {
        let recipe = Recipe::named(name).unwrap();
        assert_eq!(recipe.name, name);
        assert!(!recipe.about.is_empty());
        // Each axis by itself, for normalising rewards one by one.
        let names: Vec<&str> = recipe.rewards().map(|(n, _)| n).collect();
        assert!(["format", "speed", "path"].iter().all(|n| names.contains(n)), "{names:?}");
    }
    assert_eq!(Recipe::named("alphadrive").unwrap().range(), (0.0, 3.0));
    assert_eq!(Recipe::named("driving").unwrap().range(), (0.0, 1.5));
    assert_eq!(Recipe::named("driving").unwrap().terms().collect::<Vec<_>>(), ["format", "driving", "speed", "path"]);
    assert_eq!(Recipe::named("meta-action").unwrap().range(), (-0.25, 2.5));
    let e = Recipe::named("alfadrive").unwrap_err();
    assert!(
        matches!(e, RecipeError::UnknownRecipe { .. }) && e.to_string().contains("did you mean alphadrive?"),
        "{e}"
    );
    assert!(Recipe::named("zzz").unwrap_err().to_string().contains("meta-action"));
}

#[test]
fn every_term_and_setting_can_be_named() {
    for term in terms() {
        let set: Vec<String> = term.settings().iter().map(|s| format!("{} = {:?}", s.name, s.range.0)).collect();
        let text =
            format!("[[reward]]\nterms = [{:?}]\nsettings.{} = {{ {} }}", term.name(), term.name(), set.join(", "));
        let recipe = Recipe::parse("mine", &text).unwrap();
        assert_eq!(recipe.rewards().collect::<Vec<_>>(), [(term.name(), 1.0)]);
        for s in term.settings() {
            assert!(s.range.0 <= s.default && s.default <= s.range.1, "{}", s.name);
        }
    }
}

#[test]
fn weights_settings_and_products_count() {
    let text = r#"
        [[reward]]
        name = "both"
        terms = ["speed", "path_weight"]
        weight = -2
        settings.path_weight = { STRAIGHT = 0.25 }
        [[reward]]
        terms = ["length_tokens"]
        settings.length_tokens = { soft = 10, hard = 20 }
    "#;
    let recipe = Recipe::parse("mine", text).unwrap();
    let one = completion("KEEP, STRAIGHT");
    let texts = [one.as_str(), one.as_str(), ""];
    let totals = recipe.score(Group { texts: &texts, tokens: Some(&[10, 15, 40]) }, &keep_straight());
    assert_eq!(totals.iter().map(|t| t.value).collect::<Vec<_>>(), [-0.5, -1.0, -1.0]);
    assert_eq!(totals[0].terms[0].2.parts, [("speed".to_owned(), 1.0), ("path_weight".to_owned(), 0.25)]);
    // Without counts the term does not apply, and too few counts are none.
    for totals in [
        recipe.score_group(&texts, &keep_straight()),
        recipe.score(Group { texts: &texts, tokens: Some(&[10]) }, &keep_straight()),
    ] {
        assert!(totals.iter().all(|t| t.terms.len() == 1));
    }
    assert_eq!(recipe.range(), (-3.0, 0.0));
    // A reference without the axis leaves the product out; an empty group has no totals.
    assert_eq!(recipe.score_group(&texts, &Reference::default())[0].value, 0.0);
    assert!(recipe.score_group(&[], &keep_straight()).is_empty());
}

#[test]
fn mistakes_name_the_place_and_the_nearest() {
    let cases = [
        ("rewrad = 1", "unknown key \"rewrad\"; did you mean reward?"),
        ("about = 3\n[[reward]]\nterms = [\"speed\"]", "about is integer; a string is needed"),
        ("", "reward is missing"),
        ("reward = []", "at least one"),
        ("reward = 3", "a list of [[reward]] is needed"),
        ("[[reward]]\nterm = [\"speed\"]", "reward 1: unknown key \"term\"; did you mean terms?"),
        ("[[reward]]\nterms = [\"speed_fl\"]", "unknown term \"speed_fl\"; did you mean speed_f1?"),
        ("[[reward]]\nterms = [\"zebra\"]", "known are format"),
        ("[[reward]]\nterms = \"speed\"", "a list of names"),
        ("[[reward]]\nterms = []", "at least one"),
        ("[[reward]]\nweight = 1", "terms is missing"),
        ("[[reward]]\nterms = [\"speed\"]\nweight = nan", "outside -1000 to 1000"),
        ("[[reward]]\nterms = [\"speed\"]\nweight = 1e9", "outside"),
        ("[[reward]]\nterms = [\"speed\"]\nweight = \"1\"", "weight is string; a number"),
        ("[[reward]]\nterms = [\"speed\", \"path\"]", "name is missing"),
        ("[[reward]]\nname = \"a\"\nterms = [\"speed\", \"speed\"]", "speed is there twice"),
        ("[[reward]]\nterms = [\"speed\"]\n[[reward]]\nterms = [\"speed\"]", "reward 2: speed is there twice"),
        ("[[reward]]\nterms = [\"speed\"]\nsettings.sped = {}", "unknown term \"sped\"; did you mean speed?"),
        (
            "[[reward]]\nterms = [\"speed_weight\"]\nsettings.speed_weight.KEP = 1",
            "settings of speed_weight: unknown setting \"KEP\"; did you mean KEEP?",
        ),
        ("[[reward]]\nterms = [\"speed\"]\nsettings.speed.a = 1", "there are none"),
        ("[[reward]]\nterms = [\"speed_weight\"]\nsettings.speed_weight.KEEP = 1.5", "KEEP = 1.5 lies outside 0 to 1"),
        ("[[reward]", "line 1"),
    ];
    for (text, want) in cases {
        let e = error(text);
        assert!(e.starts_with("recipe mine") && e.contains(want), "{text:?} gives {e:?}, expected {want:?}");
    }
    assert!(error(&"#".repeat(70_000)).contains("70000 bytes"));
    assert!(error(&"[[reward]]\nterms = [\"speed\"]\n".repeat(33)).contains("33 rewards"));
}

proptest! {
    #[test]
    fn any_text_is_a_recipe_or_an_error(
        cut in any::<prop::sample::Index>(),
        put in "[\\[\\]{}=\"a-z0-9.\n#é]{0,6}",
        which in 0usize..3,
    ) {
        let name = Recipe::names().nth(which).unwrap();
        let text = Recipe::text(name).unwrap();
        let mut at = cut.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let damaged = format!("{}{put}{}", &text[..at], &text[at..]);
        match Recipe::parse("mine", &damaged) {
            Ok(recipe) => prop_assert!(recipe.rewards().count() > 0),
            Err(e) => prop_assert!(e.to_string().len() < 4000),
        }
    }
}

/// The form of several plans is exactly that many different ones; the F1 of labels takes them as a set.
#[test]
fn several_plans() {
    let recipe = Recipe::named("alphadrive").unwrap();
    let text = |body: &str| format!("<think>The road is clear.</think><answer>{body}</answer>");
    let score = |plans: usize, body: &str, name: &str| {
        let text = text(body);
        let totals = recipe.clone().asking(plans).score_group(&[text.as_str()], &keep_straight());
        totals[0].terms.iter().find(|(known, ..)| known == name).unwrap().2.clone()
    };
    let list = "STOP, STRAIGHT; KEEP, STRAIGHT";
    assert_eq!([1, 2, 3].map(|plans| score(plans, list, "format").value), [1.0, 1.0, 0.0]);
    assert_eq!([1, 2].map(|plans| score(plans, "KEEP, STRAIGHT", "format").value), [1.0, 0.0]);
    assert!(score(2, "KEEP, STRAIGHT; KEEP, STRAIGHT", "format").why.contains("2 different ones are wanted"));
    let f1 = |score: rewards::Score| score.parts.iter().find(|(name, _)| name == "speed_f1").unwrap().1;
    assert!((f1(score(2, list, "speed")) - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(f1(score(1, "KEEP, STRAIGHT", "speed")), 1.0);
}
