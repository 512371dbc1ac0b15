//! The properties, on fixture scenes that are moved, shuffled, crowded or damaged.

use super::fixture::{self, Case};
use proptest::prelude::*;
use rewards::pdm::*;
use scene::geometry::Point;
use scene::world::{AgentType, Scene, Track};
use scene::{Pose, Trajectory};
use std::sync::OnceLock;

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(fixture::own_cases)
}

fn scores(scene: &Scene, case: &Case, version: Version, filter: Filter) -> Vec<Scores> {
    let cache = MetricCache::new(scene, version, Compat::reference()).unwrap();
    let previous_ego = &scene.ego_history[scene.ego_history.len() - 2];
    let mut workspace = Workspace::default();
    let one = |p: &fixture::ProposalCase| {
        let previous = cache.previous(previous_ego, &p.previous_plan()).unwrap();
        let proposal = Proposal { plan: &p.plan(), previous: Some(&previous) };
        score_one(&cache, &cache.log_replay, proposal, filter, &mut workspace).unwrap()
    };
    case.proposals.iter().map(one).collect()
}

/// The whole scene turned and shifted.
fn moved(scene: &Scene, by: Pose) -> Scene {
    let pose = |p: &mut Pose| *p = p.out_of_frame(by);
    let point = |p: &mut Point| {
        let q = Pose::new(p[0], p[1], 0.0).out_of_frame(by);
        *p = [q.x, q.y];
    };
    let detection = |d: &mut [f64; 5]| {
        let q = Pose::new(d[0], d[1], d[2]).out_of_frame(by);
        let v = Pose::new(d[3], d[4], 0.0).out_of_frame(Pose::new(0.0, 0.0, by.heading));
        *d = [q.x, q.y, q.heading, v.x, v.y];
    };
    let mut s = scene.clone();
    s.map.lanes.iter_mut().flat_map(|l| l.polygon.iter_mut().chain(&mut l.centerline)).for_each(point);
    s.map.roadblocks.iter_mut().flat_map(|r| &mut r.polygon).for_each(point);
    s.map.intersections.iter_mut().chain(&mut s.map.carparks).flat_map(|a| &mut a.polygon).for_each(point);
    s.agents_2hz.iter_mut().flat_map(|a| a.frames.iter_mut().flatten()).for_each(detection);
    for tracks in [&mut s.agents_10hz_v2, &mut s.agents_10hz_v1] {
        tracks.iter_mut().flatten().flat_map(|a| a.frames.iter_mut().flatten()).for_each(detection);
    }
    s.ego_history.iter_mut().chain([&mut s.ego]).for_each(|e| pose(&mut e.pose));
    s.future_poses.iter_mut().chain(s.centerline.iter_mut().flatten()).for_each(pose);
    let reference = s.pdm_reference.as_mut().unwrap();
    reference.v2.iter_mut().chain(reference.v1.iter_mut().flatten()).for_each(pose);
    s
}

fn assert_close(a: &[Scores], b: &[Scores], tolerance: f64, place: &str) {
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let discrete = |s: &Scores| (s.nc, s.dac, s.ddc, s.tlc, s.ttc, s.lk, s.comfort, s.ec, s.multiplicative);
        assert_eq!(discrete(a), discrete(b), "{place} proposal {i}");
        for (x, y) in [(a.ep, b.ep), (a.pdm_score, b.pdm_score), (a.total, b.total)] {
            assert!((x - y).abs() < tolerance, "{place} proposal {i}: {x} {y}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn rigid_motion_changes_nothing(
        which in any::<prop::sample::Index>(),
        x in -1000.0..1000.0f64,
        y in -1000.0..1000.0f64,
        heading in -3.2..3.2f64,
    ) {
        let case = &cases()[which.index(cases().len())];
        let turned = moved(&case.scene, Pose::new(x, y, heading));
        for version in [Version::V1, Version::V2] {
            let (a, b) = (scores(&case.scene, case, version, Filter::Human), scores(&turned, case, version, Filter::Human));
            assert_close(&a, &b, 1e-9, &case.scene.name);
        }
    }

    #[test]
    fn the_order_of_agents_does_not_matter(which in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let case = &cases()[which.index(cases().len())];
        let mut shuffled = case.scene.clone();
        for tracks in [&mut shuffled.agents_10hz_v2, &mut shuffled.agents_10hz_v1] {
            tracks.as_mut().unwrap().sort_by_key(|t| t.token.bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)));
        }
        for version in [Version::V1, Version::V2] {
            prop_assert_eq!(
                scores(&case.scene, case, version, Filter::Human),
                scores(&shuffled, case, version, Filter::Human)
            );
        }
    }

    #[test]
    fn one_more_agent_never_raises_nc_or_ttc(
        which in any::<prop::sample::Index>(),
        kind in 0..3usize,
        (ahead, left, heading) in (-10.0..60.0f64, -8.0..8.0f64, -3.2..3.2f64),
        speed in 0.0..12.0f64,
        from in 0..40usize,
    ) {
        let case = &cases()[which.index(cases().len())];
        let mut crowded = case.scene.clone();
        for tracks in [&mut crowded.agents_10hz_v2, &mut crowded.agents_10hz_v1] {
            let tracks = tracks.as_mut().unwrap();
            let start = Pose::new(ahead, left, heading).out_of_frame(case.scene.ego.pose);
            let (vy, vx) = start.heading.sin_cos();
            let frames = if tracks.first().is_some_and(|t| t.frames.len() == 51) { 51 } else { 41 };
            let at = |t: usize| {
                let way = speed * 0.1 * t as f64;
                (t >= from).then_some([start.x + vx * way, start.y + vy * way, start.heading, vx * speed, vy * speed])
            };
            tracks.push(Track {
                token: "one more".into(),
                kind: [AgentType::Vehicle, AgentType::Pedestrian, AgentType::TrafficCone][kind],
                length: 3.0,
                width: 1.5,
                frames: (0..frames).map(at).collect(),
            });
        }
        for version in [Version::V1, Version::V2] {
            let after = scores(&crowded, case, version, Filter::Off);
            for (before, after) in scores(&case.scene, case, version, Filter::Off).iter().zip(after) {
                prop_assert!(after.nc <= before.nc && after.ttc <= before.ttc);
            }
        }
    }

    #[test]
    fn any_plan_is_scored_or_refused(
        which in any::<prop::sample::Index>(),
        step in prop_oneof![Just(0.5), Just(0.1), any::<f64>()],
        poses in prop::collection::vec((wild(), wild(), wild()), 0..50),
        fixed in any::<bool>(),
    ) {
        let case = &cases()[which.index(cases().len())];
        let plan = Trajectory { step, poses: poses.into_iter().map(|(x, y, h)| Pose::new(x, y, h)).collect() };
        for version in [Version::V1, Version::V2] {
            let compat = if fixed { Compat::fixed() } else { Compat::reference() };
            let cache = MetricCache::new(&case.scene, version, compat).unwrap();
            let mut workspace = Workspace::default();
            let proposal = Proposal::alone(&plan);
            let finite = plan.poses.iter().all(|p| p.is_finite() && p.x.abs() <= 1e6 && p.y.abs() <= 1e6 && p.heading.abs() <= 1e6);
            let good = (0.01..=10.0).contains(&step) && !plan.poses.is_empty() && finite;
            match score_one(&cache, &cache.log_replay, proposal, Filter::Human, &mut workspace) {
                Ok(s) => {
                    prop_assert!(good);
                    for v in [s.nc, s.dac, s.ddc, s.tlc, s.ep, s.ttc, s.lk, s.comfort, s.multiplicative, s.pdm_score, s.total] {
                        prop_assert!((0.0..=1.0).contains(&v), "{:?}", s);
                    }
                }
                Err(e) => {
                    prop_assert!(!good);
                    prop_assert!(e.to_string().contains("must be"), "{}", e);
                }
            }
        }
    }

    #[test]
    fn a_damaged_scene_is_refused_by_name_or_scored(
        which in any::<prop::sample::Index>(),
        damage in 0..DAMAGES.len(),
        at in any::<prop::sample::Index>(),
        bad in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1e300), Just(0.0), Just(1e7)],
    ) {
        let case = &cases()[which.index(cases().len())];
        let mut s = case.scene.clone();
        let certain = DAMAGES[damage](&mut s, &at, bad);
        for version in [Version::V1, Version::V2] {
            match MetricCache::new(&s, version, Compat::reference()) {
                Ok(cache) => {
                    prop_assert!(!certain || version == Version::V1, "damage {damage} went unnoticed");
                    let mut workspace = Workspace::default();
                    for p in &case.proposals {
                        let _ = score_one(&cache, &cache.log_replay, Proposal::alone(&p.plan()), Filter::Human, &mut workspace);
                    }
                }
                Err(e) => prop_assert!(e.to_string().contains(&s.name), "{}", e),
            }
        }
    }
}

/// Where real maps lie: coordinates resolve only a nanometre.
#[test]
fn far_from_the_origin_the_scores_are_the_same() {
    for (i, case) in cases().iter().enumerate() {
        let far = moved(&case.scene, Pose::new(331_000.25, 4_690_000.75, 0.3 * i as f64));
        for version in [Version::V1, Version::V2] {
            let (a, b) =
                (scores(&case.scene, case, version, Filter::Human), scores(&far, case, version, Filter::Human));
            assert_close(&a, &b, 1e-8, &case.scene.name);
        }
    }
}

fn wild() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -60.0..60.0f64,
        1 => any::<f64>(),
        1 => prop_oneof![Just(0.0), Just(1e6), Just(-1e6), Just(f64::NAN)],
    ]
}

type Damage = fn(&mut Scene, &prop::sample::Index, f64) -> bool;

/// Each returns whether every version must refuse the scene (v2 at least).
const DAMAGES: [Damage; 14] = [
    |s, at, bad| {
        let n = s.map.lanes.len();
        s.map.lanes[at.index(n)].polygon[1][0] = bad;
        !bad.is_finite()
    },
    |s, at, _| {
        let n = s.map.lanes.len();
        s.map.lanes[at.index(n)].polygon.clear();
        true
    },
    |s, at, _| {
        // All vertices in one place: no area, but a polygon.
        let n = s.map.roadblocks.len();
        let polygon = &mut s.map.roadblocks[at.index(n)].polygon;
        polygon.fill([1.0, 1.0]);
        false
    },
    |s, at, _| {
        let tracks = s.agents_10hz_v2.as_mut().unwrap();
        let n = tracks.len();
        tracks.get_mut(at.index(n.max(1))).is_some_and(|t| {
            t.frames.clear();
            true
        })
    },
    |s, at, _| {
        let tracks = s.agents_10hz_v2.as_mut().unwrap();
        let n = tracks.len();
        // Never seen: legal, and nowhere.
        if let Some(t) = tracks.get_mut(at.index(n.max(1))) {
            t.frames.fill(None);
        }
        false
    },
    |s, at, bad| {
        let tracks = s.agents_10hz_v2.as_mut().unwrap();
        let n = tracks.len();
        tracks.get_mut(at.index(n.max(1))).is_some_and(|t| {
            t.length = bad;
            true
        })
    },
    |s, _, bad| {
        s.ego.velocity[0] = bad;
        !bad.is_finite()
    },
    |s, _, bad| {
        s.ego.pose.heading = bad;
        !bad.is_finite()
    },
    |s, at, bad| {
        let line = s.centerline.as_mut().unwrap();
        let n = line.len();
        line[at.index(n)].x = bad;
        !bad.is_finite()
    },
    |s, _, _| {
        // All vertices in one place.
        let line = s.centerline.as_mut().unwrap();
        let first = line[0];
        line.fill(first);
        false
    },
    |s, _, _| {
        s.centerline.as_mut().unwrap().truncate(1);
        true
    },
    |s, at, _| {
        let areas = s.drivable_map.as_mut().unwrap();
        let n = areas.len();
        areas[at.index(n)].id = "nowhere".into();
        true
    },
    |s, _, _| {
        s.pdm_reference.as_mut().unwrap().v2.pop();
        true
    },
    |s, at, _| {
        let lane = s.map.lanes[at.index(s.map.lanes.len())].clone();
        s.map.lanes.push(lane);
        true
    },
];

#[test]
fn results_do_not_depend_on_threads_or_batches() {
    for case in cases().iter().take(6) {
        let cache = MetricCache::new(&case.scene, Version::V2, Compat::reference()).unwrap();
        let plans: Vec<Trajectory> = case.proposals.iter().cycle().take(100).map(|p| p.plan()).collect();
        let proposals: Vec<Proposal<'_>> = plans.iter().map(Proposal::alone).collect();
        let (mut workspace, mut one) = (Workspace::default(), Vec::new());
        score_batch(&cache, &cache.log_replay, &proposals, Filter::Human, &mut workspace, &mut one).unwrap();
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let many = pool.install(|| score_parallel(&cache, &cache.log_replay, &proposals, Filter::Human)).unwrap();
            assert_eq!(one, many, "{threads} threads");
        }
    }
}

#[test]
fn every_single_switch_can_be_turned_off() {
    let names = serde_json::to_value(Compat::reference()).unwrap();
    for name in names.as_object().unwrap().keys() {
        let mut switches = names.clone();
        switches[name] = false.into();
        let compat: Compat = serde_json::from_value(switches).unwrap();
        let mut changed = 0;
        for case in cases() {
            let base = MetricCache::new(&case.scene, Version::V2, Compat::reference()).unwrap();
            let off = MetricCache::new(&case.scene, Version::V2, compat).unwrap();
            let mut workspace = Workspace::default();
            for p in &case.proposals {
                let plan = p.plan();
                let mut score = |c: &MetricCache| {
                    score_one(c, &c.log_replay, Proposal::alone(&plan), Filter::Human, &mut workspace).unwrap()
                };
                changed += usize::from(score(&base) != score(&off));
            }
        }
        println!("without {name}: {changed} of the fixture's scores change");
    }
}

/// Resident memory in bytes (Linux), `None` elsewhere.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
}

fn score_many(times: usize) {
    let prepared: Vec<_> = cases()
        .iter()
        .map(|case| {
            let cache = MetricCache::new(&case.scene, Version::V2, Compat::reference()).unwrap();
            let previous: Vec<_> = case
                .proposals
                .iter()
                .map(|p| cache.previous(case.previous_ego(), &p.previous_plan()).unwrap())
                .collect();
            let plans: Vec<_> = case.proposals.iter().map(|p| p.plan()).collect();
            (cache, plans, previous)
        })
        .collect();
    let (mut workspace, mut scores) = (Workspace::default(), Vec::new());
    let mut pass = |workspace: &mut Workspace| {
        for (cache, plans, previous) in &prepared {
            let proposals: [Proposal<'_>; 8] = std::array::from_fn(|i| Proposal {
                plan: &plans[i % plans.len()],
                previous: Some(&previous[i % plans.len()]),
            });
            score_batch(cache, &cache.log_replay, &proposals, Filter::Human, workspace, &mut scores).unwrap();
        }
        prepared.len() * 8
    };
    pass(&mut workspace);
    let (held, before) = (workspace.heap_bytes(), resident());
    let mut done = 0;
    while done < times {
        done += pass(&mut workspace);
    }
    assert_eq!(workspace.heap_bytes(), held);
    if let (Some(before), Some(after)) = (before, resident()) {
        println!("{done} scorings: resident memory {before} -> {after} bytes, workspace {held} bytes");
        // Other tests of this process allocate meanwhile; run alone the difference is 0.
        assert!(after < before + (256 << 20));
    }
}

#[test]
fn memory_does_not_grow() {
    score_many(20_000);
}

/// `cargo test --release -p reinsman-rewards --test pdm_properties -- --ignored --nocapture ten_million`
#[test]
#[ignore = "two minutes: ten million scorings"]
fn ten_million_scorings_in_constant_memory() {
    score_many(10_000_000);
}
