//! What importers share when they put a scenario together: recorded road users, ego's route, traffic for bare maps.

use super::check::check;
use super::geometry::{
    P, along, at, distance, dot, heading, left_of, length, narrow, narrow_all, nearest, sub, thin, unit,
};
use super::route::{Net, ahead, along_track, extend};
use super::{ImportError, geometry};
use crate::scenario::{Agent, AgentKind, Control, Lane, LaneKind, Map, Scenario, StopLine, StopRule, Turn, VERSION};

/// Width of a lane of which nothing is known, metres.
pub(super) const WIDTH: f64 = 3.7;

/// Length, width, height of a road user of which only the kind is known, metres.
pub(super) fn usual_size(kind: AgentKind) -> [f32; 3] {
    match kind {
        AgentKind::Car => [4.6, 1.9, 1.5],
        AgentKind::Van | AgentKind::Emergency => [5.6, 2.1, 2.4],
        AgentKind::Truck => [9.0, 2.5, 3.5],
        AgentKind::Bus => [12.0, 2.6, 3.2],
        AgentKind::Motorcycle => [2.1, 0.8, 1.5],
        AgentKind::Cyclist => [1.8, 0.6, 1.7],
        AgentKind::Pedestrian => [0.6, 0.6, 1.75],
    }
}

/// A row of a track.
pub(super) fn row(t: f64, p: P, heading: f64, speed: f64) -> [f32; 5] {
    [t as f32, p[0] as f32, p[1] as f32, heading as f32, speed as f32]
}

/// A road user that starts where its track does; none where the track is empty.
pub(super) fn recorded(kind: AgentKind, size: [f32; 3], track: Vec<[f32; 5]>, control: Control) -> Option<Agent> {
    let &[_, x, y, heading, speed] = track.first()?;
    // Only drivers of vehicles can react along a recorded line.
    let control = if kind.is_pedestrian() && control == Control::ReactiveReplay { Control::Replay } else { control };
    Some(Agent {
        kind,
        size,
        pose: [x, y, heading],
        speed,
        control,
        route: Vec::new(),
        desired_speed: 0.0,
        track,
        script: Vec::new(),
        driver: None,
    })
}

/// Gives ego the lanes that its track follows and 20 m more, so that a record that ends at a stop line does not end the
/// route there; where there are no lanes, one is laid along the track.
pub(super) fn route_ego(map: &mut Map, ego: &mut Agent) {
    let poses: Vec<(P, P)> = ego.track.iter().map(|r| ([r[1].into(), r[2].into()], unit(f64::from(r[3])))).collect();
    let net = Net::new(&map.lanes);
    if let Some(mut route) = along_track(&map.lanes, &net, &poses) {
        if let (Some(&last), Some(&(p, _))) = (route.last(), poses.last()) {
            let before: f64 = route[..route.len() - 1].iter().map(|&i| length(&net.shapes[i])).sum();
            let metres = before + nearest(&net.shapes[last], p).s + 20.0;
            extend(&map.lanes, &net, &mut route, &[], metres);
        }
        ego.route = route;
        return;
    }
    let mut points = thin(&poses.iter().map(|p| p.0).collect::<Vec<P>>());
    // Ego that hardly moved still needs somewhere to go.
    if let (Some(&(_, d)), Some(&last)) = (poses.last(), points.last())
        && length(&points) < 20.0
    {
        points.push(along(last, d, 20.0));
    }
    if points.len() < 2 {
        return;
    }
    let fastest = ego.track.iter().map(|r| r[4]).fold(0.0, f32::max);
    ego.route = vec![lay_lane(map, &points, fastest.clamp(8.3, 36.0))];
}

/// Appends a lane along points where the map has none; returns its number.
pub(super) fn lay_lane(map: &mut Map, points: &[P], limit: f32) -> usize {
    map.lanes.push(Lane {
        points: narrow_all(points),
        width: WIDTH as f32,
        limit,
        next: Vec::new(),
        left: None,
        right: None,
        turn: Turn::None,
        kind: LaneKind::Road,
    });
    map.lanes.len() - 1
}

/// Puts ego and a few cars with drivers on a map that came without traffic: ego on the longest way straight ahead, a car in
/// the middle of every third lane or so.
pub(super) fn populate(map: &Map) -> Result<Vec<Agent>, ImportError> {
    const CARS: usize = 16;
    let lanes = &map.lanes;
    let net = Net::new(lanes);
    let road: Vec<usize> = (0..lanes.len()).filter(|&i| lanes[i].kind == LaneKind::Road).collect();
    let metres = |route: &[usize]| route.iter().map(|&i| length(&net.shapes[i])).sum::<f64>();
    let mut best: Option<(f64, Vec<usize>)> = None;
    for &i in road.iter().take(400) {
        let route = ahead(lanes, &net, i, 400.0);
        let m = metres(&route);
        // A centimetre of difference is none: the first of equals stays.
        if best.as_ref().is_none_or(|(b, _)| m > b + 0.01) {
            best = Some((m, route));
        }
    }
    let Some((_, route)) = best else { return Err(ImportError::missing("a lane for motor traffic")) };
    let driver = |route: Vec<usize>, s: f64, control: Control| {
        let lane = route[0];
        let (p, d) = at(&net.shapes[lane], s);
        let speed = (0.8 * lanes[lane].limit).min(30.0);
        let [x, y] = narrow(p);
        Agent {
            kind: AgentKind::Car,
            size: usual_size(AgentKind::Car),
            pose: [x, y, heading(d) as f32],
            speed,
            control,
            route,
            desired_speed: 0.0,
            track: Vec::new(),
            script: Vec::new(),
            driver: None,
        }
    };
    let start = (length(&net.shapes[route[0]]) * 0.5).min(5.0);
    let mut agents = vec![driver(route, start, Control::Policy)];
    let stride = road.len().div_ceil(3 * CARS).max(1);
    for &i in road.iter().step_by(stride) {
        let middle = length(&net.shapes[i]) / 2.0;
        let car = driver(ahead(lanes, &net, i, 400.0), middle, Control::Idm);
        let place = |a: &Agent| geometry::wide([a.pose[0], a.pose[1]]);
        if agents.len() <= CARS && middle > 5.0 && agents.iter().all(|a| distance(place(a), place(&car)) > 25.0) {
            agents.push(car);
        }
    }
    Ok(agents)
}

/// A checked scenario of an importer.
pub(super) fn scenario(
    family: &str,
    name: &str,
    licence: &str,
    duration: f32,
    map: Map,
    agents: Vec<Agent>,
) -> Result<Scenario, ImportError> {
    let scenario = Scenario {
        version: VERSION,
        name: name.chars().take(200).collect(),
        family: family.to_owned(),
        seed: 0,
        abilities: Vec::new(),
        licence: licence.chars().take(1000).collect(),
        duration,
        map,
        agents,
        hazard: None,
    };
    check(&scenario)?;
    Ok(scenario)
}

/// A line across lanes at the arc length `s` of the first (clamped to its end), as wide as they are together.
pub(super) fn stop_line(lanes: &[Lane], net: &Net, closes: &[usize], s: f64, rule: StopRule) -> StopLine {
    let (mut left, mut right) = (f64::NEG_INFINITY, f64::INFINITY);
    // A little before the end, so that the line is crossed while still on the lane.
    let (p, d) = at(&net.shapes[closes[0]], s.min(length(&net.shapes[closes[0]]) - 0.3));
    let aside = left_of(d);
    for &i in closes {
        let n = nearest(&net.shapes[i], p);
        let offset = dot(aside, sub(at(&net.shapes[i], n.s).0, p));
        let half = f64::from(lanes[i].width) / 2.0;
        (left, right) = (left.max(offset + half), right.min(offset - half));
    }
    let points = [narrow(along(p, aside, left)), narrow(along(p, aside, right))];
    StopLine { points, lanes: closes.to_vec(), rule }
}
