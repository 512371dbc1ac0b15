//! Texts agree with labels, name only what is seen, and use few words; questions fit DriveLM's layout.

use super::stage::{agent, batch, scenario, sight};
use proptest::prelude::*;
use scene::{MetaAction, PathAction as P, SpeedAction as S};
use sim::describe::{self, Command, Facts, Reason, qa::Kind};
use sim::expert::{Cause, Who};
use sim::scenario::{Agent, AgentKind as K, Control, Lamp};
use std::collections::{BTreeMap, BTreeSet};
use std::f32::consts::PI;

/// Reads the label back out of the decision.
pub fn read_back(text: &str) -> MetaAction {
    let at = [" so I ", ". I ", ", I "].iter().filter_map(|cut| text.rfind(cut)).max().unwrap();
    let decision = &text[at..];
    let has = |words: &[&str]| words.iter().any(|w| decision.contains(w));
    let speed = if has(&["stop", "wait", "stand"]) {
        S::Stop
    } else if has(&["brake", "slow", "reduce", "take off"]) {
        S::Decelerate
    } else if has(&["up", "accelerate", "faster", "gain", "set off", "start", "drive off", "going"]) {
        S::Accelerate
    } else {
        assert!(has(&["my speed", "this speed", "same speed"]), "{text}");
        S::Keep
    };
    let left = decision.contains("left");
    let path = if has(&["left lane", "right lane", "lanes to", "lane on the"]) {
        if left { P::LeftChange } else { P::RightChange }
    } else if has(&["left", "right"]) {
        if left { P::LeftTurn } else { P::RightTurn }
    } else {
        P::Straight
    };
    MetaAction::new(speed, path)
}

/// Words of a text that name road users.
pub fn named(text: &str) -> Vec<K> {
    let words = [
        ("car", K::Car),
        ("van", K::Van),
        ("truck", K::Truck),
        ("bus", K::Bus),
        ("motorcycle", K::Motorcycle),
        ("cyclist", K::Cyclist),
        ("pedestrian", K::Pedestrian),
    ];
    let lower = text.replace("stop the car", "stop").to_lowercase();
    let said: BTreeSet<&str> = lower.split(|c: char| !c.is_alphabetic()).collect();
    words.into_iter().filter(|(word, _)| said.contains(word)).map(|(_, kind)| kind).collect()
}

/// Whether a text speaks only of what the facts hold.
pub fn only_seen(text: &str, facts: &Facts) -> bool {
    let is = |kind: K, other: K| kind == other || kind == K::Van && other == K::Emergency;
    let lower = text.to_lowercase();
    let light =
        ["red", "yellow", "green"].iter().any(|w| lower.split(' ').any(|said| said.trim_matches(['.', ',']) == *w));
    named(text).into_iter().all(|kind| facts.seen.iter().any(|o| is(kind, o.kind)))
        && (!light || facts.light.is_some())
        && (!lower.contains("sign") || facts.sign.is_some() || facts.limit_sign.is_some())
        && (!lower.contains("blue light") || facts.emergency.is_some())
        && (!lower.contains("cones") && !lower.contains("road works") || facts.obstacle.is_some())
        && (!lower.contains("stop line") || facts.stop_line.is_some())
}

fn crowd() -> Vec<Agent> {
    vec![
        agent(K::Truck, [24.0, 0.3, 0.0], 8.0, Control::Idm),
        agent(K::Car, [6.0, 3.5, 0.0], 10.0, Control::Idm),
        agent(K::Pedestrian, [14.0, -4.0, 0.5 * PI], 1.4, Control::Walk),
        agent(K::Bus, [45.0, 7.0, PI], 9.0, Control::Idm),
        agent(K::Van, [40.0, -1.2, 0.0], 0.0, Control::Static),
        agent(K::Emergency, [35.0, 3.5, 0.0], 12.0, Control::Idm),
        agent(K::Motorcycle, [30.0, 10.0, -0.5 * PI], 6.0, Control::Idm),
        agent(K::Cyclist, [18.0, -1.5, 0.0], 4.0, Control::Idm),
    ]
}

fn causes() -> Vec<Cause> {
    let mut all = vec![Cause::Free, Cause::Limit, Cause::Curve, Cause::Light(0), Cause::StopSign, Cause::RouteEnd];
    for a in 1..=8 {
        all.extend([Cause::Lead(a), Cause::Pedestrian(a), Cause::Crossing(a), Cause::Emergency(a)]);
        all.extend([Cause::Obstacle(Who::Agent(a)), Cause::Sight(Who::Agent(a))]);
    }
    all.extend([Cause::Obstacle(Who::Prop(0)), Cause::Sight(Who::Prop(0))]);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn texts_agree_with_labels_and_name_only_what_is_seen(mask in 0u32..512, speed in 0.0..14.0f32, lamp in 0usize..4, seed in 0u64..1000) {
        let lamp = [Lamp::Red, Lamp::Yellow, Lamp::Green, Lamp::Off][lamp];
        let mut batch = batch(scenario(lamp, crowd()));
        batch.scene_mut(0).v[0] = speed;
        let scene = batch.scene(0);
        let sight = sight(&scene, |a| mask >> a & 1 == 1);
        let mut facts = describe::facts(&scene, &sight);
        for (i, action) in MetaAction::all().enumerate() {
            facts.command = Command::ALL[(i + seed as usize) % 6];
            for (k, cause) in causes().into_iter().enumerate() {
                let told = (k > 0).then(|| Reason::told(cause, &facts));
                let text = describe::reasoning(&facts, action, told, seed + 1000 * k as u64);
                prop_assert_eq!(read_back(&text), action, "{}", text);
                prop_assert!(only_seen(&text, &facts), "{} {:?}", text, facts);
                let whole = !text.contains(['{', '}']) && text.ends_with('.') && text.starts_with(char::is_uppercase);
                prop_assert!(whole, "{}", text);
                let words = text.split(' ').count();
                prop_assert!((7..=32).contains(&words), "{} words: {}", words, text);
            }
        }
    }
}

#[test]
fn wordings_vary_and_are_stable() {
    let batch = batch(scenario(Lamp::Off, crowd()));
    let scene = batch.scene(0);
    let facts = describe::facts(&scene, &sight(&scene, |a| a == 1));
    let action = MetaAction::new(S::Decelerate, P::Straight);
    let text = |seed| describe::reasoning(&facts, action, Some(Reason::Lead), seed);
    let texts: BTreeSet<String> = (0..300).map(text).collect();
    assert!(texts.len() > 200, "{}", texts.len());
    assert!(texts.iter().all(|t| t.contains("truck")), "{texts:?}");
    assert_eq!(text(7), text(7));
}

#[test]
fn a_hidden_cause_is_hedged_and_a_bystander_is_not_blamed() {
    let batch = batch(scenario(Lamp::Off, crowd()));
    let scene = batch.scene(0);
    // The driver brakes for the pedestrian; only the truck far ahead is seen.
    let facts = describe::facts(&scene, &sight(&scene, |a| a == 1));
    let told = Some(Reason::told(Cause::Pedestrian(3), &facts));
    assert_eq!(told, Some(Reason::Unseen));
    let action = MetaAction::new(S::Decelerate, P::Straight);
    for seed in 0..50 {
        let text = describe::reasoning(&facts, action, told, seed);
        assert!(named(&text).is_empty(), "{text}");
        assert!(["not sure", "cannot see", "may not", "may be"].iter().any(|w| text.contains(w)), "{text}");
    }
    let facts = describe::facts(&scene, &sight(&scene, |a| a == 3));
    let text = describe::reasoning(&facts, action, Some(Reason::told(Cause::Pedestrian(3), &facts)), 1);
    assert!(text.contains("pedestrian"), "{text}");
}

#[test]
fn questions_fit_the_layout() {
    let batch = batch(scenario(Lamp::Red, crowd()));
    let scene = batch.scene(0);
    let sight = sight(&scene, |a| a != 5);
    let facts = describe::facts(&scene, &sight);
    let action = MetaAction::new(S::Stop, P::Straight);
    let (objects, pairs) = describe::qa(&facts, &sight, action, None, 4);
    assert!((2..=4).contains(&objects.len()));
    assert_eq!(objects[0].tag, "<c1,CAM_FRONT,20.0,40.0>");
    for kind in Kind::ALL {
        assert!(pairs.iter().any(|p| p.kind == kind), "{kind:?}");
    }
    assert!(pairs.iter().any(|p| p.answer == "The traffic light is red."));
    let frame = describe::key_frame("frames/1.jpg", &objects, &pairs);
    assert_eq!(frame["image_paths"]["CAM_FRONT"], "frames/1.jpg");
    assert_eq!(frame["key_object_infos"][&objects[0].tag]["2d_bbox"], serde_json::json!([10, 20, 29, 59]));
    let behaviour = frame["QA"]["behavior"][0]["A"].as_str().unwrap();
    assert_eq!(behaviour, "The ego vehicle is going straight. The ego vehicle is driving to a stop.");
    let mut wordings: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    for seed in 0..40 {
        for pair in describe::qa(&facts, &sight, action, None, seed).1 {
            assert!(!pair.question.contains('{') && !pair.answer.contains('{'), "{pair:?}");
            let known =
                |text: &str| text.matches("<c").count() == objects.iter().filter(|o| text.contains(&o.tag)).count();
            assert!(known(&pair.question) && known(&pair.answer), "{pair:?}");
            wordings.entry(pair.kind).or_default().insert(pair.question);
        }
    }
    assert!(wordings.values().all(|w| w.len() >= 3), "{wordings:?}");
}
