//! Small class targets for an auxiliary vision head: what a frame shows, one class a question. Every class can be told
//! from the frame alone, so nothing here speaks of motion, commands or the other side of a crest; a question that a
//! frame cannot answer (the lanes inside a junction) is left out. Sides are named `left` and `right`, so that mirroring
//! a frame exchanges them.

use super::facts::{Facts, Side};
use crate::scenario::{AgentKind, Lamp, SignKind, Turn};
use std::collections::BTreeMap;

/// Every target with its classes, in order.
pub const TARGETS: [(&str, &[&str]); 19] = [
    ("beside", &["none", "left", "right", "both"]),
    ("brake_lights", &["none", "off", "on"]),
    ("crossing_car", &["none", "left", "right"]),
    ("curvature", &["hard_left", "left", "straight", "right", "hard_right"]),
    ("emergency", &["none", "seen"]),
    ("junction", &["none", "far", "near", "inside"]),
    ("lane_layout", &["one", "two", "three"]),
    ("lead", &["none", "car", "van", "truck", "bike"]),
    ("lead_distance", &["none", "touching", "close", "near", "middle", "far"]),
    ("light", &["none", "red", "yellow", "green"]),
    ("light_distance", &["none", "close", "near", "far"]),
    ("obstacle", &["none", "parked", "works"]),
    ("obstacle_distance", &["none", "close", "near", "far"]),
    ("oncoming", &["none", "seen"]),
    ("own_lane", &["only", "left", "middle", "right"]),
    ("pedestrian", &["none", "beside", "crossing"]),
    ("pedestrian_distance", &["none", "close", "near", "far"]),
    ("pedestrian_side", &["none", "left", "right"]),
    ("sign", &["none", "stop", "yield", "limit"]),
];

/// Metres that the way must lie aside at 20 m to be a bend, and to be a hard one: radii of 330 m and 80 m.
const BENDS: (f32, f32) = (0.6, 2.5);

/// The targets of a moment.
pub fn aux(facts: &Facts) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut put = |name: &str, class: &str| {
        out.insert(name.to_owned(), class.to_owned());
    };
    let side = |s: Option<Side>| s.map_or("none", Side::as_str);
    put(
        "beside",
        match facts.beside {
            [Some(_), Some(_)] => "both",
            [Some(_), None] => "left",
            [None, Some(_)] => "right",
            [None, None] => "none",
        },
    );
    put("brake_lights", facts.lead.map_or("none", |l| if l.braking { "on" } else { "off" }));
    put("crossing_car", side(facts.crossing.map(|c| c.side)));
    // Near a junction the way depends on the route, which the frame does not show.
    let junction = facts.road.junction;
    if junction.is_none_or(|(d, turn)| d > 25.0 || turn == Turn::Straight) {
        put("curvature", curvature(facts.road.aside));
    }
    put("emergency", facts.emergency.map_or("none", |_| "seen"));
    put(
        "junction",
        match junction {
            Some((d, _)) if d <= 0.0 => "inside",
            Some((d, _)) if d < 15.0 => "near",
            Some((d, _)) if d < 40.0 => "far",
            _ => "none",
        },
    );
    if let Some((lanes, own)) = facts.road.lanes {
        put("lane_layout", ["one", "two", "three"][lanes.clamp(1, 3) - 1]);
        put(
            "own_lane",
            match (lanes, own) {
                (1, _) => "only",
                (_, 0) => "left",
                (n, k) if k + 1 == n => "right",
                _ => "middle",
            },
        );
    }
    put("lead", facts.lead.map_or("none", |l| vehicle(l.kind)));
    put(
        "lead_distance",
        distance(facts.lead.map(|l| l.gap), &[5.0, 10.0, 18.0, 30.0], &["touching", "close", "near", "middle", "far"]),
    );
    let thirds = |gap: Option<f32>, borders: [f32; 2]| distance(gap, &borders, &["close", "near", "far"]);
    put(
        "light",
        match facts.light {
            Some((Lamp::Red, _)) => "red",
            Some((Lamp::Yellow, _)) => "yellow",
            Some((Lamp::Green, _)) => "green",
            _ => "none",
        },
    );
    put("light_distance", thirds(facts.light.map(|l| l.1), [10.0, 22.0]));
    put("obstacle", facts.obstacle.map_or("none", |o| if o.vehicle.is_some() { "parked" } else { "works" }));
    put("obstacle_distance", thirds(facts.obstacle.map(|o| o.gap), [10.0, 22.0]));
    put("oncoming", facts.oncoming.map_or("none", |_| "seen"));
    put("pedestrian", facts.person.map_or("none", |p| if p.in_way { "crossing" } else { "beside" }));
    put("pedestrian_distance", thirds(facts.person.map(|p| p.gap), [9.0, 20.0]));
    put("pedestrian_side", side(facts.person.map(|p| p.side)));
    put(
        "sign",
        match (facts.sign, facts.limit_sign) {
            (Some((SignKind::Stop, _)), _) => "stop",
            (Some(_), _) => "yield",
            (None, Some(_)) => "limit",
            (None, None) => "none",
        },
    );
    out
}

fn curvature(aside: f32) -> &'static str {
    let hard = aside.abs() >= BENDS.1;
    match aside {
        a if a >= BENDS.0 => ["left", "hard_left"][usize::from(hard)],
        a if a <= -BENDS.0 => ["right", "hard_right"][usize::from(hard)],
        _ => "straight",
    }
}

fn vehicle(kind: AgentKind) -> &'static str {
    match kind {
        AgentKind::Car => "car",
        AgentKind::Van | AgentKind::Emergency => "van",
        AgentKind::Truck | AgentKind::Bus => "truck",
        AgentKind::Motorcycle | AgentKind::Cyclist | AgentKind::Pedestrian => "bike",
    }
}

fn distance(gap: Option<f32>, borders: &[f32], names: &[&'static str]) -> &'static str {
    gap.map_or("none", |gap| names[borders.iter().filter(|b| gap >= **b).count()])
}
