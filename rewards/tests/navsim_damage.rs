//! Damaged scenes give typed errors or finite results, never a panic: derived fields, PDM-Closed, reactive traffic.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "navsim/fixture.rs"]
#[allow(dead_code)]
mod fixture;

use proptest::prelude::*;
use rewards::pdm::{Compat, closed};
use scene::dynamics::{STATES, State};
use scene::idm::{Config, IdmTraffic, Quirks};
use scene::world::Scene;
use std::sync::OnceLock;

/// A small scene of each layout, so that one run stays short.
fn scenes() -> &'static [Scene] {
    static SCENES: OnceLock<Vec<Scene>> = OnceLock::new();
    SCENES.get_or_init(|| {
        let mut picked: Vec<Scene> = Vec::new();
        for scene in fixture::read::<Scene>("scenes") {
            if !picked.iter().any(|s| s.layout == scene.layout) {
                picked.push(scene);
            }
        }
        picked
    })
}

/// One injury: what, where, how much.
type Injury = (u8, usize, f64);

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-1.0),
        Just(1e-9),
        Just(1e7),
        Just(1e300),
        -50.0..50.0f64,
    ]
}

/// Nudges keep the scene near its plausible self, so that damage reaches deep.
fn injure(s: &mut Scene, (what, place, value): Injury) {
    let lanes = s.map.lanes.len().max(1);
    let blocks = s.map.roadblocks.len().max(1);
    let lane = place % lanes;
    let vertex = place / lanes;
    match what {
        0 => s.route_roadblock_ids.clear(),
        1 => s.route_roadblock_ids.truncate(place % 3),
        2 => s.route_roadblock_ids.reverse(),
        3 => s.route_roadblock_ids.push(format!("missing{place}")),
        4 => s.map.lanes.iter_mut().skip(lane).take(3).for_each(|l| l.out.clear()),
        5 => s.map.lanes.iter_mut().skip(lane).take(3).for_each(|l| l.out.push(l.id.clone())),
        6 => s.map.lanes.iter_mut().for_each(|l| l.centerline.truncate(2 + place % 3)),
        7 => s.map.lanes.iter_mut().skip(lane).take(2).for_each(|l| {
            let first = l.centerline[0];
            l.centerline.iter_mut().for_each(|p| *p = first);
        }),
        8 => s.map.lanes.iter_mut().for_each(|l| l.speed_limit = Some(value)),
        9 => s.map.lanes.iter_mut().for_each(|l| l.speed_limit = None),
        10 => drop(s.map.lanes.drain(lane..(lane + 1).min(s.map.lanes.len()))),
        11 => s.map.roadblocks.iter_mut().skip(place % blocks).take(1).for_each(|r| r.lanes.clear()),
        12 => s.map.roadblocks.clear(),
        13 => s.map.lanes.iter_mut().skip(lane).take(1).for_each(|l| {
            let n = l.polygon.len().max(1);
            l.polygon.iter_mut().skip(vertex % n).take(2).for_each(|p| p[0] += value);
        }),
        14 => s.map.lanes.iter_mut().skip(lane).take(1).for_each(|l| {
            let n = l.centerline.len().max(1);
            l.centerline.iter_mut().skip(vertex % n).take(2).for_each(|p| p[1] += value);
        }),
        15 => s.map.lanes.iter_mut().for_each(|l| l.polygon.clear()),
        16 => s.ego.pose.x += value,
        17 => s.ego.pose.heading = value,
        18 => s.ego.velocity = [value, value],
        19 => s.agents_2hz.iter_mut().for_each(|a| a.size[place % 2] = value),
        20 => s.agents_2hz.iter_mut().skip(place % 4).take(2).for_each(|a| {
            a.frames.iter_mut().flatten().for_each(|f| f[place % 5] += value);
        }),
        21 => s.agents_2hz.iter_mut().for_each(|a| a.frames.truncate(place % 12)),
        22 => s.agents_2hz.iter_mut().for_each(|a| a.frames.iter_mut().skip(place % 11).for_each(|f| *f = None)),
        23 => s.agents_2hz.iter_mut().for_each(|a| a.token = "ego".into()),
        24 => s.traffic_lights_2hz = Some(vec![vec![(s.map.lanes[0].id.clone(), true)]; place % 13]),
        25 => s.ego.time_us = i64::MAX,
        26 => s.future_poses.clear(),
        27 => s.map.intersections.clear(),
        _ => s.map.roadblocks.iter_mut().for_each(|r| r.connector = true),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_an_error_or_a_finite_answer(
        which in any::<prop::sample::Index>(),
        injuries in prop::collection::vec((0u8..29, 0usize..4096, value()), 1..5),
        fixed in any::<bool>(),
    ) {
        let mut scene = which.get(scenes()).clone();
        injuries.into_iter().for_each(|i| if !scene.map.lanes.is_empty() { injure(&mut scene, i) });
        let compat = if fixed { Compat::fixed() } else { Compat::reference() };
        match closed::complete(&scene, compat) {
            Ok(full) => {
                let reference = full.pdm_reference.unwrap();
                prop_assert_eq!(reference.v2.len(), closed::POSES);
                prop_assert!(reference.v2.iter().all(|p| p.is_finite()));
            }
            Err(e) => prop_assert!(!e.to_string().is_empty()),
        }
        let quirks = if fixed { Quirks::fixed() } else { Quirks::reference() };
        let logged = scene.agents_10hz_v2.clone().unwrap_or_default();
        let mut states = [State::of_ego(&scene.ego); STATES];
        states.iter_mut().enumerate().for_each(|(k, s)| s.x += k as f64);
        match IdmTraffic::build(&scene, &logged, Config::default(), quirks).and_then(|t| t.simulate(&states)) {
            Ok(tracks) => prop_assert!(tracks.iter().all(|t| t.frames.len() == STATES || t.frames.len() == logged[0].frames.len())),
            Err(e) => prop_assert!(!e.to_string().is_empty()),
        }
    }
}
