//! Ego comes up a ramp and joins a carriageway from its acceleration lane.

use super::Family;
use super::curve::{Curve, Piece};
use super::roads::{Cross, Open, Strip, backwards};
use super::stage::Stage;
use super::street::START;
use crate::scenario::{Ability, Mark, Scenario, SignKind};

/// Joining a carriageway.
pub const FAMILY: Family = Family {
    name: "merge",
    abilities: &[Ability::Merging],
    about: "Ego joins a stream of traffic from a ramp whose lane ends.",
    make,
};

/// Where the borders of ramp and carriageway run together, metres before the acceleration lane.
const GORE: f32 = 26.0;

fn make(seed: u64) -> Scenario {
    let mut stage = Stage::new(&FAMILY, seed, 0);
    let duration = scene(&mut stage, true);
    stage.finish(&FAMILY, seed, duration)
}

/// Builds the scene and gives its duration; `tight` puts somebody beside ego where it would join.
pub fn scene(stage: &mut Stage, tight: bool) -> f32 {
    let speed = stage.draw.range(9.5, 13.0);
    let limit = stage.draw.pick(&[16.7, 19.4, 22.2]);
    let ramp = Ramp::build(stage, limit);
    stage.ego(&ramp.route, START, speed);

    let way = Curve::of_route(&stage.net.map, &ramp.route);
    // Ego slides over in the last part of its lane; whoever is there then is in its way.
    let late = ramp.slide_at - START;
    let pace = stage.draw.range(speed - 0.5, speed + 2.0);
    let lanes = ramp.lanes;
    for lane in 0..lanes {
        let route = ramp.main(lane);
        let line = Curve::of_route(&stage.net.map, &route);
        let place = way.at(ramp.slide_at);
        let meets = line.project([place[0], place[1]]);
        let mut s = meets - pace * late / speed
            + match tight {
                true if lane + 1 == lanes => stage.draw.range(-2.0, 3.0),
                true => 12.0,
                false => stage.draw.range(-40.0, 30.0),
            };
        let first = stage.traffic_kind();
        // One before, so that the lane is in use from the start.
        stage.drive(first, &route, s + 8.0 + pace * stage.draw.range(1.0, 1.8), pace);
        for k in 0..stage.draw.int(2, 5) {
            if s < 5.0 {
                break;
            }
            let kind = stage.traffic_kind();
            let i = stage.drive(kind, &route, s, pace);
            if tight && k == 0 {
                stage.lets_nobody_in(i);
                stage.follows_at(i, 1.0, 0.2);
            }
            s -= stage.agents[i].size[0] + 2.0 + pace * stage.draw.range(0.9, 2.0);
        }
    }
    stage.net.sign(&ramp.axis, ramp.axis.length() - 30.0, &ramp.cross, SignKind::Yield);
    let (axis, ramp_axis) = (ramp.axis.clone(), ramp.ramp_axis.clone());
    let wide = Cross { forward: lanes + 1, ..ramp.cross };
    let narrow = Cross { forward: 1, ..ramp.cross };
    stage.dress(&[(&axis, &wide), (&ramp_axis, &narrow)], 4.0);
    2.5 * way.length() / speed
}

/// A carriageway with a ramp on its right.
pub struct Ramp {
    axis: Curve,
    ramp_axis: Curve,
    cross: Cross,
    lanes: usize,
    strips: Vec<Strip>,
    /// Ramp, acceleration lane, slide, carriageway.
    pub route: Vec<usize>,
    /// Metres along the route at which ego is half over.
    pub slide_at: f32,
}

impl Ramp {
    /// Builds it.
    pub fn build(stage: &mut Stage, limit: f32) -> Ramp {
        let d = &stage.draw;
        let lanes = d.int(1, 2);
        let cross = Cross {
            forward: lanes,
            backward: 0,
            width: d.range(3.4, 3.75),
            limit,
            bike: 0.0,
            shoulder: 0.0,
            pavement: 0.0,
            centre: Mark::Solid,
        };
        let (ramp_length, accelerate, taper) = (d.range(44.0, 60.0), d.range(40.0, 60.0), d.range(26.0, 34.0));
        let (after, spare, before) = (d.range(45.0, 70.0), 60.0, 110.0);
        let (a, b) = (before, before + accelerate);
        let (c, e) = (b + taper, b + taper + after);
        let bend = d.sign() * d.range(0.0, 1.0 / 400.0);
        let axis = Curve::new([-a, 0.0, 0.0], &[Piece { length: e + spare, from: bend, to: bend * d.range(0.0, 1.0) }]);
        let ramp_bend = d.range(1.0 / 130.0, 1.0 / 80.0);

        let net = &mut stage.net;
        let wide = Cross { forward: lanes + 1, ..cross };
        let narrow = Cross { forward: 1, ..cross };
        let strips = vec![
            net.strip(&axis, 0.0, a - GORE, &cross, Open::Neither),
            net.strip(&axis, a - GORE, a, &cross, Open::Right),
            net.strip(&axis, a, b, &wide, Open::Neither),
            net.strip(&axis, b, c, &cross, Open::Right),
            net.strip(&axis, c, e, &cross, Open::Neither),
            net.strip(&axis, e, e + spare, &cross, Open::Neither),
        ];
        for pair in strips.windows(2) {
            net.join(&pair[0], &pair[1]);
        }

        // The ramp's axis is its left edge; driven backwards it turns away to the right of the carriageway.
        let end = axis.place(a, cross.lanes_right());
        let away = [end[0], end[1], end[2] + std::f32::consts::PI];
        let length = ramp_length + 30.0;
        let ramp_axis = Curve::new(
            away,
            &[
                Piece { length: GORE + 10.0, from: ramp_bend, to: ramp_bend },
                Piece { length: length - GORE - 10.0, from: ramp_bend, to: 0.3 * ramp_bend },
            ],
        )
        .reversed();
        let (r0, r1) = (length - ramp_length, length - GORE);
        let on_ramp = [
            net.strip(&ramp_axis, 0.0, r0, &narrow, Open::Neither),
            net.strip(&ramp_axis, r0, r1, &narrow, Open::Neither),
        ];
        let last = net.slide(&ramp_axis, (r1, length), (narrow.centre_of(0), narrow.centre_of(0)), &narrow);
        net.border(&ramp_axis, (r1, length), narrow.right(), 0.0);
        net.paint(ramp_axis.parallel(r1, length, narrow.right() + 0.15), Mark::Solid);
        net.join(&on_ramp[0], &on_ramp[1]);
        net.link(on_ramp[1].forward[0], last);
        let accelerating = strips[2].forward[lanes];
        net.link(last, accelerating);
        let mut gore = axis.parallel(a - GORE, a, cross.lanes_right());
        gore.extend(backwards(ramp_axis.parallel(r1, length, 0.0)));
        net.map.areas.push(gore);
        net.paint(axis.parallel(a - GORE, a, cross.lanes_right() + 0.1), Mark::Solid);
        net.paint(ramp_axis.parallel(r1, length, -0.1), Mark::Solid);

        // The acceleration lane ends in a taper.
        let slide = net.slide(&axis, (b, c), (cross.centre_of(lanes), cross.centre_of(lanes - 1)), &cross);
        net.link(accelerating, slide);
        net.link(slide, strips[4].forward[lanes - 1]);
        let kerb = axis.blend(b, c, wide.right(), cross.right());
        let mut area = kerb.clone();
        area.extend(backwards(axis.parallel(b, c, cross.right() + 1.0)));
        net.map.areas.push(area);
        let along = Curve::through(&kerb);
        net.border(&along, (0.0, along.length()), 0.0, 0.0);
        net.paint(axis.parallel(b, b + 0.6 * taper, cross.lanes_right()), Mark::Dashed);

        let route = vec![on_ramp[1].forward[0], last, accelerating, slide, strips[4].forward[lanes - 1]];
        let slide_at = ramp_length + accelerate + 0.5 * taper;
        Ramp { axis, ramp_axis, cross, lanes, strips, route, slide_at }
    }

    /// The whole carriageway in a lane.
    pub fn main(&self, lane: usize) -> Vec<usize> {
        self.strips.iter().map(|s| s.forward[lane]).collect()
    }
}
