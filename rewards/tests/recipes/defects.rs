//! The known defects of AlphaDrive's released rewards, measured on its functions (driven `KEEP, STRAIGHT`, form kept):
//! one test for each. `alphadrive-released` must show it, the other recipes must not.

use super::*;

const RIGHT: &str = "KEEP, STRAIGHT";
const RELEASED: &str = "alphadrive-released";

/// Group-normalised advantages as in the released trainer: unbiased standard deviation plus 1e-4.
fn advantages(rewards: &[f64]) -> Vec<f64> {
    let n = rewards.len() as f64;
    let mean = rewards.iter().sum::<f64>() / n;
    let std = (rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    rewards.iter().map(|r| (r - mean) / (std + 1e-4)).collect()
}

#[track_caller]
fn near(got: &[f64], want: &[f64], by: f64) {
    let same = got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() < by);
    assert!(same, "{got:?}, expected {want:?}");
}

#[test]
fn equal_answers_score_by_sampling_order() {
    let released = values(RELEASED, &[RIGHT, RIGHT]);
    near(&released, &[3.4, 1.8], 1e-5);
    near(&advantages(&released), &[0.707, -0.707], 1e-3);
    for recipe in SOUND {
        let [a, b] = values(recipe, &[RIGHT, RIGHT])[..] else { panic!() };
        assert_eq!(a, b, "{recipe}");
    }
    // By hand: 1 + 2 * 1 * 0.8 * 0.8, and 0.5 + 0.8 + 0.8.
    near(&values("alphadrive", &[RIGHT, RIGHT]), &[2.28, 2.28], 1e-12);
    near(&values("meta-action", &[RIGHT, RIGHT]), &[2.1, 2.1], 1e-12);
}

#[test]
fn an_empty_answer_earns_the_bonus() {
    let released = values(RELEASED, &[RIGHT, ""]);
    near(&released, &[3.4, 1.8], 1e-5);
    near(&values(RELEASED, &[RIGHT, RIGHT])[1..], &released[1..], 1e-5);
    for recipe in SOUND {
        let empty = values(recipe, &[RIGHT, ""]);
        assert_eq!(empty[1], 0.0, "{recipe}");
        assert!(values(recipe, &[RIGHT, RIGHT])[1] > 1.0, "{recipe}: a right repeat is worth more");
    }
}

#[test]
fn a_wrong_speed_ties_with_fully_right() {
    let released = values(RELEASED, &["STOP, STRAIGHT", RIGHT]);
    near(&released, &[2.6, 2.6], 1e-5);
    near(&advantages(&released), &[0.0, 0.0], 0.05);
    for recipe in SOUND {
        let [wrong, right] = values(recipe, &["STOP, STRAIGHT", RIGHT])[..] else { panic!() };
        assert!(right > wrong + 0.5, "{recipe}: {wrong} {right}");
        // Axis by axis the conflict is in sight: equal paths, different speeds.
        let texts = [completion("STOP, STRAIGHT"), completion(RIGHT)];
        let group: Vec<&str> = texts.iter().map(String::as_str).collect();
        let totals = totals_with(recipe, &group, &keep_straight());
        let of = |total: usize, name: &str| totals[total].terms.iter().find(|(n, ..)| n == name).unwrap().2.value;
        assert_eq!(of(0, "path"), of(1, "path"), "{recipe}");
        assert!(of(0, "speed") < of(1, "speed"), "{recipe}");
    }
}

#[test]
fn listing_every_label_beats_a_right_repeat() {
    let all = "KEEP, ACCELERATE, DECELERATE, STOP, STRAIGHT, RIGHT_CHANGE, LEFT_CHANGE, RIGHT_TURN, LEFT_TURN";
    let released = values(RELEASED, &[all, RIGHT]);
    near(&released, &[2.49, 1.8], 1e-4);
    near(&advantages(&released), &[0.707, -0.707], 1e-3);
    for recipe in SOUND {
        for group in [[all, RIGHT], [RIGHT, all]] {
            let got = values(recipe, &group);
            let (list, right) = if group[0] == all { (got[0], got[1]) } else { (got[1], got[0]) };
            assert!(right > list + 0.5, "{recipe}: {list} {right}");
        }
    }
    assert_eq!(values("meta-action", &[all, RIGHT])[0], 0.5, "the form alone");
}

#[test]
fn right_answers_are_pushed_down_for_coming_late() {
    let group = ["STOP, LEFT_TURN", RIGHT, RIGHT, RIGHT];
    let released = values(RELEASED, &group);
    near(&released, &[1.8, 3.4, 1.8, 1.8], 1e-5);
    near(&advantages(&released), &[-0.5, 1.5, -0.5, -0.5], 1e-3);
    for recipe in SOUND {
        let a = advantages(&values(recipe, &group));
        near(&a[1..], &[0.5, 0.5, 0.5], 1e-3);
        near(&a[..1], &[-1.5], 1e-3);
    }
}

#[test]
fn the_counter_leaks_across_the_prompts_of_a_call() {
    let alone = values(RELEASED, &[RIGHT, "STOP, LEFT_TURN"]);
    let second = values(RELEASED, &["KEEP, LEFT_TURN", "STOP, STRAIGHT", RIGHT, "STOP, LEFT_TURN"]);
    near(&[alone[0] - second[2]], &[1.6], 1e-5);
    // Elsewhere a prompt is scored by its own group, and a call with two prompts is two calls.
    for recipe in SOUND {
        let again = values(recipe, &[RIGHT, "STOP, LEFT_TURN"]);
        values(recipe, &["KEEP, LEFT_TURN", "STOP, STRAIGHT"]);
        assert_eq!(values(recipe, &[RIGHT, "STOP, LEFT_TURN"]), again);
    }
}

#[test]
fn a_space_or_a_full_stop_hides_the_label() {
    for answer in ["KEEP,STRAIGHT", "KEEP., STRAIGHT.", "keep, straight"] {
        near(&values(RELEASED, &[answer]), &[1.8], 1e-5);
        assert!(values("alphadrive", &[answer])[0] > 2.5, "{answer}");
    }
    // The strict recipe agrees on spaces and asks for the words as written.
    assert_eq!(values("meta-action", &["KEEP,STRAIGHT"]), values("meta-action", &[RIGHT]));
    assert_eq!(values("meta-action", &["keep, straight"]), [0.5]);
}
