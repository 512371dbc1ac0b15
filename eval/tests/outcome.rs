//! What comes of plans: the expert's own is among the best, collisions are near 0, records lead back to their moments or
//! say why not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use data::{Content, Ego, Labels, Sample};
use eval::outcome::{
    Moment, MomentError, driving, of_moment, of_sample, pdms, place, restore, roll::Recorded, roll::record,
    scene::scene,
};
use scene::MetaAction;
use sim::{driver::Driver, families, moment::Drive};

/// The drives of a family's first seeds at some steps, where the expert drives on without an infraction.
fn moments(family: &families::Family) -> Vec<(Drive, Recorded)> {
    let all = (0..2u64).flat_map(|seed| [12, 40].map(|step| (seed, step)));
    let drives =
        all.filter_map(|(seed, step)| Drive::at(family, seed, Driver::Expert, step).filter(|drive| !drive.done()));
    let recorded = drives.filter_map(|drive| record(&drive).map(|recorded| (drive, recorded)));
    recorded
        .filter(|(_, recorded)| recorded.rolled.events.iter().all(|&e| !eval::driving::penalty::spoils(e)))
        .collect()
}

#[test]
fn the_expert_s_plan_is_among_the_best_and_a_collision_near_nothing() {
    let (mut n, mut near, mut crashes) = (0.0, 0.0, 0);
    let (mut label, mut any, mut pdm_label, mut pdm_any) = (0.0, 0.0, 0.0, 0.0);
    for family in families::ALL {
        for (drive, recorded) in moments(family) {
            let outcomes = of_moment(&drive, &recorded).unwrap();
            let expert = outcomes.of(recorded.rolled.action);
            for outcome in &outcomes.0 {
                let pdms = outcome.pdms.expect(family.name);
                assert!(
                    (0.0..=1.0).contains(&outcome.driving) && (0.0..=1.0).contains(&pdms),
                    "{}: {outcome:?}",
                    family.name
                );
                if outcome.cost.starts_with("collision") {
                    assert!(outcome.driving < 0.07 && pdms == 0.0, "{}: {outcome:?}", family.name);
                    crashes += 1;
                }
                any += outcome.driving / 20.0;
                pdm_any += pdms / 20.0;
            }
            let best = outcomes.0.iter().map(|o| o.driving).fold(0.0, f64::max);
            assert!(expert.as_said, "{}", family.name);
            near += f64::from(u8::from(best - expert.driving <= 0.05));
            label += expert.driving;
            pdm_label += expert.pdms.unwrap();
            n += 1.0;
        }
    }
    assert!(n > 50.0 && crashes > 100, "{n} moments, {crashes} plans that crash");
    assert!(near / n > 0.97, "{} of {n} near the best", near);
    assert!(label / n > 0.97 && any / n < 0.75, "the expert's {}, any {}", label / n, any / n);
    assert!(pdm_label / n > 0.9 && pdm_any / n < pdm_label / n - 0.1, "PDM: {} {}", pdm_label / n, pdm_any / n);
}

/// The record that a generated set has of a moment.
fn sample(drive: &Drive, recorded: &Recorded, clip: &str) -> Sample {
    let tenth = |v: f32| (f64::from(v) * 10.0).round() / 10.0;
    let mut future = recorded.demonstrated.future.clone();
    for pose in &mut future.poses {
        (pose.x, pose.y) = ((100.0 * pose.x).round() / 100.0, (100.0 * pose.y).round() / 100.0);
    }
    let scene = drive.batch.scene(0);
    let ego = Ego { speed_mps: tenth(scene.v[0]), command: scene::Command("follow the road".into()) };
    let action = recorded.demonstrated.action;
    let labels = Labels { speed: Some(action.speed), path: Some(action.path), future: Some(future) };
    let t = tenth(scene.time());
    let mut extra = serde_json::Map::from_iter([("t".to_owned(), serde_json::json!(t))]);
    if drive.driver() != Driver::Expert {
        extra.insert("driver".into(), serde_json::json!(drive.driver().name()));
    }
    Sample {
        id: "one".into(),
        images: Vec::new(),
        content: Content::Planning { ego, reasoning: None },
        labels,
        aux: Default::default(),
        clip: Some(clip.into()),
        split: None,
        pair: None,
        extra,
    }
}

#[test]
fn records_lead_back_to_their_moments_or_say_why_not() {
    let family = families::find("signal").unwrap();
    let drive = Drive::at(family, 0x1f, Driver::Expert, 27).unwrap();
    let recorded = record(&drive).unwrap();
    let good = sample(&drive, &recorded, "signal/1f");
    assert_eq!(place(&good).map(|(family, seed, step)| (family.name, seed, step)), Ok(("signal", 0x1f, 27)));
    let outcomes = of_sample(&good).unwrap();
    assert_eq!(outcomes, of_moment(&drive, &recorded).unwrap());
    assert!(MetaAction::all().any(|plan| outcomes.of(plan).driving < 0.9));

    let field = |change: &dyn Fn(&mut Sample)| {
        let mut bad = good.clone();
        change(&mut bad);
        of_sample(&bad).unwrap_err()
    };
    for clip in [None, Some(""), Some("signal"), Some("moon/1f"), Some("signal/xyz"), Some("signal/1f/2")] {
        let error = field(&|s| s.clip = clip.map(String::from));
        assert!(matches!(error, MomentError::Field { field: "clip", .. }), "{clip:?}: {error}");
    }
    for t in [serde_json::json!(null), serde_json::json!("2"), serde_json::json!(-1), serde_json::json!(1e9)] {
        let error = field(&|s| drop(s.extra.insert("t".into(), t.clone())));
        assert!(matches!(error, MomentError::Field { field: "t", .. }), "{t}: {error}");
    }
    let ended = field(&|s| drop(s.extra.insert("t".into(), serde_json::json!(300.0))));
    assert!(matches!(ended, MomentError::Ended { .. }), "{ended}");
    let speed = field(&|s| {
        if let Content::Planning { ego, .. } = &mut s.content {
            ego.speed_mps += 0.2;
        }
    });
    assert!(matches!(speed, MomentError::Differs { what: "the speed", .. }), "{speed}");
    let future = field(&|s| s.labels.future.as_mut().unwrap().poses[7].y += 0.02);
    assert!(matches!(future, MomentError::Differs { what: "the future", .. }), "{future}");
}

/// From moments of a driver's drives: mean PDM and driving score of what it does from there on, and of what the expert
/// does from there on.
fn own_and_expert(driver: Driver) -> [[f64; 2]; 2] {
    let (mut sums, mut n) = ([[0.0; 2]; 2], 0.0);
    for family in families::ALL {
        for (seed, step) in (0..3u64).flat_map(|seed| [20, 60, 100, 140].map(|step| (seed, step))) {
            let Some(drive) = Drive::at(family, seed, driver, step).filter(|drive| !drive.done()) else { continue };
            let recorded = record(&drive).unwrap();
            let both = [recorded.demonstrated.clone(), recorded.rolled.clone()];
            let driven = driving::outcomes(&both, &recorded.rolled);
            let Ok(scores) = pdms(&scene(&drive, &recorded).unwrap(), &both) else { continue };
            for who in 0..2 {
                sums[who] = [sums[who][0] + scores[who], sums[who][1] + driven[who].driving];
            }
            n += 1.0;
        }
    }
    assert!(n > 200.0, "{n}");
    sums.map(|sum| sum.map(|sum| sum / n))
}

#[test]
fn from_where_other_drivers_are_the_expert_does_better() {
    let [own, expert] = own_and_expert(Driver::Expert);
    assert_eq!(own, expert);
    for driver in [Driver::LateBraking, Driver::CornerCutting, Driver::TooClose] {
        let [own, expert] = own_and_expert(driver);
        println!("{} {own:?} expert {expert:?}", driver.name());
        assert!(own[0] < expert[0] - 0.007 && own[1] <= expert[1], "{}: {own:?} {expert:?}", driver.name());
        assert!(own[0] > 0.8, "{}: {own:?}", driver.name());
    }
}

#[test]
fn records_of_other_drivers_tell_their_drive_and_are_measured_by_the_expert_s() {
    for driver in [Driver::LateBraking, Driver::CornerCutting, Driver::TooClose] {
        let (mut told, mut refused) = (0, 0);
        for (name, step) in
            ["signal", "right_turn", "lead_hard_brake"].into_iter().flat_map(|n| [30, 55, 80].map(|s| (n, s)))
        {
            let family = families::find(name).unwrap();
            let Some(drive) = Drive::at(family, 0x1f, driver, step).filter(|drive| !drive.done()) else { continue };
            let there = record(&drive).unwrap();
            let good = sample(&drive, &there, &format!("{name}/1f"));
            let (back, recorded) = restore(&good).unwrap();
            assert_eq!((back.driver(), back.batch.hash(0)), (driver, drive.batch.hash(0)));
            assert_eq!((&recorded.demonstrated, &recorded.rolled), (&there.demonstrated, &there.rolled));
            let mut expert = drive.clone();
            expert.hand_over(Driver::Expert);
            let expert = record(&expert).unwrap();
            assert_eq!((&recorded.rolled, &expert.demonstrated), (&expert.rolled, &expert.rolled));
            // Records round to centimetres: a drive nearly the expert's is taken for it.
            let pairs = recorded.demonstrated.future.poses.iter().zip(&recorded.rolled.future.poses);
            if pairs.map(|(a, b)| a.distance(*b)).fold(0.0, f64::max) < 0.05 {
                continue;
            }
            told += 1;
            let moment = Moment::of(&good).unwrap();
            assert_ne!(moment.demonstrated, moment.expert, "{name} {step}");
            // The same record as if the expert had driven it leads nowhere, unless that looks the same.
            let mut undriven = good.clone();
            undriven.extra.remove("driver");
            refused += usize::from(restore(&undriven).is_err());
            for unknown in [serde_json::json!("moon"), serde_json::json!(3), serde_json::json!(null)] {
                let mut bad = good.clone();
                bad.extra.insert("driver".into(), unknown.clone());
                let error = restore(&bad).unwrap_err();
                assert!(matches!(error, MomentError::Field { field: "driver", .. }), "{error}");
                assert!(error.to_string().contains("late_braking") && error.to_string().contains(&unknown.to_string()));
            }
        }
        assert!(told > 0 && refused > 0, "{}: {told} told, {refused} refused", driver.name());
    }
}
