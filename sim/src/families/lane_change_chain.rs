//! Ego's route crosses several lanes one after the other while their traffic keeps rolling.

use super::Family;
use super::curve::Curve;
use super::stage::Stage;
use super::street::{START, bends, cross_section};
use crate::scenario::{Ability, Scenario};

/// Lane changes one after the other.
pub const FAMILY: Family = Family {
    name: "lane_change_chain",
    abilities: &[Ability::Merging],
    about: "Ego changes lane two or three times in a row through moving traffic.",
    make,
};

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let duration = scene(&mut stage, true);
    stage.finish(&FAMILY, seed, duration)
}

/// Builds the scene and gives its duration; `tight` puts somebody beside ego wherever it would change.
pub fn scene(stage: &mut Stage, tight: bool) -> f32 {
    let speed = stage.draw.range(9.0, 14.0);
    let limit = stage.draw.pick(&[13.9, 16.7, 19.4f32]).max(speed);
    let lanes = stage.draw.int(3, 4);
    let mut cross = cross_section(&stage.draw, lanes, 0, limit);
    cross.bike = 0.0;
    let changes = if tight { stage.draw.int(2, lanes - 1) } else { stage.draw.int(1, lanes - 1) };
    let leftward = stage.draw.chance(0.5);
    let spare = lanes - 1 - changes;
    let first = if leftward { lanes - 1 - stage.draw.int(0, spare) } else { stage.draw.int(0, spare) };

    // Cuts: behind, then keep and change in turn, then beyond.
    let mut cuts = vec![0.0, 80.0];
    for _ in 0..changes {
        let at = cuts[cuts.len() - 1];
        let keep =
            if cuts.len() == 2 { START + speed * stage.draw.range(1.4, 2.2) } else { stage.draw.range(8.0, 22.0) };
        cuts.push(at + keep);
        cuts.push(at + keep + stage.draw.range(24.0, 32.0));
    }
    let at = cuts[cuts.len() - 1];
    cuts.push(at + stage.draw.range(35.0, 55.0));
    cuts.push(cuts[cuts.len() - 1] + 60.0);
    let length = cuts[cuts.len() - 1];
    let pieces = bends(&stage.draw, length, 1.3 * speed);
    let draft = Curve::new([0.0; 3], &pieces).at(80.0);
    let axis = Curve::new([-draft[0], -draft[1], 0.0], &pieces);
    let strips = stage.net.road(&axis, &cuts, &cross);

    let mut lane = first;
    let mut route = Vec::new();
    let mut halfway = Vec::new();
    for k in 1..strips.len() - 1 {
        if k % 2 == 0 {
            let to = if leftward { lane - 1 } else { lane + 1 };
            let offsets = (cross.centre_of(lane), cross.centre_of(to));
            let slide = stage.net.slide(&axis, (cuts[k], cuts[k + 1]), offsets, &cross);
            stage.net.link(strips[k - 1].forward[lane], slide);
            stage.net.link(slide, strips[k + 1].forward[to]);
            route.push(slide);
            halfway.push((0.5 * (cuts[k] + cuts[k + 1]), to));
            lane = to;
        } else {
            route.push(strips[k].forward[lane]);
        }
    }
    stage.ego(&route, START, speed);

    let start = 80.0 + START;
    let along = |lane: usize| strips.iter().map(|s| s.forward[lane]).collect::<Vec<_>>();
    let mut served = vec![first];
    for (at, to) in halfway {
        served.push(to);
        // Whoever would be beside ego when it changes, and others around.
        let pace = speed * stage.draw.range(0.9, 1.15);
        let mut s = at - pace * (at - start) / speed
            + if tight { stage.draw.range(-2.5, 2.0) } else { stage.draw.range(-40.0, 30.0) };
        let kind = stage.traffic_kind();
        let before = s + 7.0 + pace * stage.draw.range(0.9, 2.5);
        stage.drive(kind, &along(to), before.min(length - 10.0), pace);
        for k in 0..stage.draw.int(1, 3) {
            if s < 5.0 {
                break;
            }
            let kind = stage.traffic_kind();
            let i = stage.drive(kind, &along(to), s, pace);
            if tight && k == 0 {
                stage.lets_nobody_in(i);
                stage.follows_at(i, 1.0, 0.2);
            }
            s -= stage.agents[i].size[0] + 2.0 + pace * stage.draw.range(1.0, 2.4);
        }
    }
    for other in (0..lanes).filter(|l| !served.contains(l)) {
        let count = stage.draw.int(0, 3);
        let from = stage.draw.range(90.0, 160.0);
        stage.platoon(&along(other), from, speed, count, (1.2, 3.0));
    }
    // Somebody far ahead in ego's own lane, a little slower.
    if stage.draw.chance(0.5) {
        let kind = stage.traffic_kind();
        let pace = speed * stage.draw.range(0.8, 0.95);
        stage.drive(kind, &along(first), start + stage.draw.range(32.0, 50.0), pace);
    }
    stage.dress(&[(&axis, &cross)], 0.5);
    2.8 * (length - 140.0) / speed
}
