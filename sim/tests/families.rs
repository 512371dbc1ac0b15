//! Every scenario family over many seeds: valid, reproducible, clear of overlaps, tagged.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rayon::prelude::*;
use sim::families::curve::{Curve, distance};
use sim::families::place::{corners, footprint, overlap};
use sim::families::roads::inside;
use sim::families::{ALL, Family};
use sim::math::wrap;
use sim::scenario::*;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Fewer where the compiler does not optimise.
const SEEDS: u64 = if cfg!(debug_assertions) { 12 } else { 50 };

static SCENES: LazyLock<Vec<(&Family, Scenario)>> = LazyLock::new(|| {
    let jobs: Vec<_> = ALL.iter().flat_map(|family| (0..SEEDS).map(move |seed| (family, seed))).collect();
    jobs.into_par_iter().map(|(family, seed)| (family, (family.make)(seed))).collect()
});

/// Runs a check over all families and seeds and reports every failure at once.
fn every(check: impl Fn(&Family, &Scenario) -> Result<(), String>) {
    let mut failures = Vec::new();
    for (family, scenario) in SCENES.iter() {
        if let Err(why) = check(family, scenario) {
            failures.push(format!("{}: {why}", scenario.name));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

#[test]
fn scenarios_are_valid() {
    every(|family, s| {
        ensure(s.family == family.name && s.abilities == family.abilities, || "name or tags".to_owned())?;
        sim::import::check(s).map_err(|e| e.to_string())?;
        let text = serde_json::to_string(s).unwrap();
        let back: Scenario = serde_json::from_str(&text).unwrap();
        ensure(back == *s, || "does not survive JSON".to_owned())?;
        let ego = &s.agents[0];
        ensure(ego.control == Control::Policy && ego.size == [4.6, 1.9, 1.5], || "ego".to_owned())?;
        let least = if family.name == "open_road" { 0.0 } else { 4.0 };
        ensure((least..23.0).contains(&ego.speed), || format!("ego's speed {}", ego.speed))?;
        let extent = s.map.lanes.iter().flat_map(|l| &l.points).map(|p| p[0].abs().max(p[1].abs())).fold(0.0, f32::max);
        ensure(extent < 450.0, || format!("reaches {extent} m"))
    });
}

#[test]
fn lanes_continue_each_other() {
    every(|_, s| {
        for (i, lane) in s.map.lanes.iter().enumerate() {
            let (n, last) = (lane.points.len(), lane.points[lane.points.len() - 1]);
            let end = heading(lane.points[n - 2], last);
            for &next in &lane.next {
                let to = &s.map.lanes[next].points;
                let gap = distance(last, to[0]);
                let turn = wrap(heading(to[0], to[1]) - end).abs().to_degrees();
                ensure(gap < 0.3 && turn < 10.0, || format!("lane {i} to {next}: {gap} m, {turn} degrees"))?;
            }
            for pair in lane.points.windows(3) {
                let bend = wrap(heading(pair[1], pair[2]) - heading(pair[0], pair[1])).abs().to_degrees();
                ensure(bend < 20.0, || format!("lane {i} bends by {bend} degrees"))?;
            }
            if let Some(left) = lane.left {
                ensure(s.map.lanes[left].right == Some(i), || format!("lane {i}: left {left} does not answer"))?;
            }
            if let Some(right) = lane.right {
                ensure(s.map.lanes[right].left == Some(i), || format!("lane {i}: right {right} does not answer"))?;
            }
        }
        Ok(())
    });
}

fn heading(a: Point, b: Point) -> f32 {
    (b[1] - a[1]).atan2(b[0] - a[0])
}

#[test]
fn routes_are_connected_and_of_the_promised_length() {
    every(|_, s| {
        for (i, agent) in s.agents.iter().enumerate() {
            for pair in agent.route.windows(2) {
                let linked = s.map.lanes[pair[0]].next.contains(&pair[1]);
                ensure(linked, || format!("agent {i}: {} does not lead to {}", pair[0], pair[1]))?;
            }
            if !agent.route.is_empty() {
                let way = Curve::of_route(&s.map, &agent.route);
                let at = way.at(way.project([agent.pose[0], agent.pose[1]]));
                let off = distance([at[0], at[1]], [agent.pose[0], agent.pose[1]]);
                let turn = wrap(at[2] - agent.pose[2]).abs().to_degrees();
                ensure(off < 0.2 && turn < 8.0, || format!("agent {i} is {off} m, {turn} degrees off its route"))?;
            }
        }
        let ego = &s.agents[0];
        let length = Curve::of_route(&s.map, &ego.route).length();
        ensure((90.0..285.0).contains(&length), || format!("route of {length} m"))?;
        let free = length / ego.speed.max(8.0);
        ensure((1.5..6.0).contains(&(s.duration / free)), || format!("{} s for {free} s of driving", s.duration))?;
        // Road goes on behind the end of the route.
        let last = ego.route[ego.route.len() - 1];
        let spare = s.map.lanes[last].next.first().map_or(0.0, |&l| Curve::of_route(&s.map, &[l]).length());
        ensure(spare > 25.0, || format!("{spare} m to spare"))
    });
}

#[test]
fn nobody_starts_inside_anybody() {
    every(|_, s| {
        for (i, a) in s.agents.iter().enumerate() {
            for (j, b) in s.agents.iter().enumerate().skip(i + 1) {
                let hit = overlap(&footprint(a, 0.1), &footprint(b, 0.1));
                ensure(!hit, || format!("agents {i} {:?} and {j} {:?} overlap", a.kind, b.kind))?;
            }
            for prop in &s.map.props {
                let quad = corners([prop.at[0], prop.at[1], prop.heading], [prop.size[0], prop.size[1]], 0.1);
                let hit = overlap(&footprint(a, 0.1), &quad);
                ensure(!hit, || format!("agent {i} {:?} and a {:?} overlap", a.kind, prop.kind))?;
            }
        }
        Ok(())
    });
}

/// Families that put something on ego's own lanes.
const BLOCKED: [&str; 2] = ["obstacle_bypass", "two_way_bypass"];

#[test]
fn nothing_stands_on_the_lanes_unless_meant() {
    every(|family, s| {
        for prop in &s.map.props {
            let meant = matches!(prop.kind, PropKind::Cone | PropKind::Barrier | PropKind::Container);
            let quad = corners([prop.at[0], prop.at[1], prop.heading], [prop.size[0], prop.size[1]], 0.0);
            for (i, lane) in s.map.lanes.iter().enumerate() {
                let own = s.agents[0].route.contains(&i);
                let allowed = meant && (BLOCKED.contains(&family.name) || (!own && family.name == "invading_oncoming"));
                let reach = prop.size[0].max(prop.size[1]) + lane.width + 7.0;
                if lane.points.iter().all(|&p| distance(p, prop.at) > reach) {
                    continue;
                }
                let line = Curve::through(&lane.points);
                let steps = line.length().ceil() as usize;
                let hit = (0..steps).any(|k| {
                    let pose = line.at(k as f32 + 0.5);
                    overlap(&quad, &corners(pose, [1.0, lane.width], 0.0))
                });
                ensure(!hit || allowed, || format!("a {:?} on lane {i}", prop.kind))?;
            }
            let on_area = s.map.areas.iter().any(|a| inside(prop.at, a));
            ensure(!on_area, || format!("a {:?} on the junction", prop.kind))?;
        }
        Ok(())
    });
}

#[test]
fn a_seed_is_a_scenario() {
    for family in ALL {
        let texts: BTreeSet<String> = SCENES
            .iter()
            .filter(|(f, _)| f.name == family.name)
            .map(|(_, s)| serde_json::to_string(s).unwrap())
            .collect();
        assert_eq!(texts.len(), SEEDS as usize, "{}: seeds that give the same", family.name);
        assert_eq!((family.make)(7), (family.make)(7), "{}", family.name);
    }
    let names: BTreeSet<_> = ALL.iter().map(|f| f.name).collect();
    assert_eq!(names.len(), ALL.len());
}

#[test]
fn occlusion_families_hide_and_show_their_hazard() {
    for family in ALL.iter().filter(|f| f.name.starts_with("dos_")) {
        for (_, scenario) in SCENES.iter().filter(|(f, _)| f.name == family.name) {
            let sight = sim::visibility::sight(scenario).unwrap_or_else(|| panic!("{}: nothing hidden", scenario.name));
            assert!(sight.hidden >= 1.0, "{}: {sight:?}", scenario.name);
            assert!((1.0..=2.5).contains(&sight.time_to_collision), "{}: {sight:?}", scenario.name);
        }
    }
}
