//! What every scenario must satisfy before a world is made of it.
//!
//! Indices in range, numbers finite and bounded, lists bounded, tracks rising in time. The bounds keep positions exact to
//! 2 mm in f32 and the memory of a compiled world within reason.

use super::ImportError;
use super::geometry::distance32;
use crate::scenario::{Act, Agent, Driver, Lane, Map, Point, Scenario, SignKind, StopRule, VERSION, When};

/// Largest |x| and |y|, metres.
pub const MAX_COORDINATE: f32 = 20_000.0;
/// Most lanes.
pub const MAX_LANES: usize = 20_000;
/// Most road users.
pub const MAX_AGENTS: usize = 4_096;
/// Most entries of any other list.
pub const MAX_ENTRIES: usize = 20_000;
/// Most points of all lists together.
pub const MAX_POINTS: usize = 4_000_000;
/// Longest sum of all lanes, of all lines and edges, and of all routes, metres.
pub const MAX_METRES: f64 = 1_000_000.0;
/// Largest sum of the boxes around drivable areas, square metres.
pub const MAX_AREA: f64 = 1e9;
/// Longest episode, seconds.
pub const MAX_SECONDS: f32 = 3_600.0;

/// Checks a scenario.
///
/// # Errors
///
/// Names the first field that is out of range, its value and what is allowed.
pub fn check(scenario: &Scenario) -> Result<(), ImportError> {
    if scenario.version != VERSION {
        return Err(ImportError::value("version", scenario.version, VERSION.to_string()));
    }
    for (at, text) in [("name", &scenario.name), ("family", &scenario.family), ("licence", &scenario.licence)] {
        length(at, text.len(), 0, 4096)?;
    }
    range("duration", scenario.duration, 0.1, MAX_SECONDS)?;
    length("abilities", scenario.abilities.len(), 0, 5)?;
    map(&scenario.map)?;
    length("agents", scenario.agents.len(), 1, MAX_AGENTS)?;
    let mut driven = 0.0;
    for (i, a) in scenario.agents.iter().enumerate() {
        agent(&format!("agents[{i}]"), a, scenario)?;
        driven += a.route.iter().map(|&l| metres(&scenario.map.lanes[l].points)).sum::<f64>();
        at_most("sum of agents' routes", driven, MAX_METRES, "m")?;
    }
    if let Some(hazard) = scenario.hazard {
        index("hazard", hazard, scenario.agents.len())?;
    }
    Ok(())
}

/// Checks the lanes alone, for importers that go on working with them.
pub(super) fn lanes(map: &Map) -> Result<(), ImportError> {
    length("map.lanes", map.lanes.len(), 0, MAX_LANES)?;
    let mut metres = 0.0;
    for (i, l) in map.lanes.iter().enumerate() {
        metres += lane(&format!("map.lanes[{i}]"), l, map.lanes.len())?;
    }
    at_most("sum of map.lanes' lengths", metres, MAX_METRES, "m")
}

fn map(map: &Map) -> Result<(), ImportError> {
    lanes(map)?;
    let lists = [("areas", &map.areas, 3), ("edges", &map.edges, 2), ("pavements", &map.pavements, 3)];
    for (name, list, least) in lists {
        length(&format!("map.{name}"), list.len(), 0, MAX_ENTRIES)?;
        for (i, p) in list.iter().enumerate() {
            points(&format!("map.{name}[{i}]"), p, least, MAX_ENTRIES)?;
        }
    }
    length("map.crosswalks", map.crosswalks.len(), 0, MAX_ENTRIES)?;
    for (i, p) in map.crosswalks.iter().enumerate() {
        points(&format!("map.crosswalks[{i}]"), p, 4, 4)?;
    }
    length("map.lines", map.lines.len(), 0, MAX_ENTRIES)?;
    for (i, l) in map.lines.iter().enumerate() {
        points(&format!("map.lines[{i}].points"), &l.points, 2, MAX_ENTRIES)?;
    }
    furniture(map)?;
    let painted = map.lines.iter().map(|l| &l.points).chain(&map.edges).map(|p| metres(p)).sum();
    at_most("sum of map.lines' and map.edges' lengths", painted, MAX_METRES, "m")?;
    at_most("sum of the boxes around map.areas", map.areas.iter().map(|a| boxed(a)).sum(), MAX_AREA, "square metres")?;
    let shapes = [&map.areas, &map.edges, &map.pavements].into_iter().flatten().map(Vec::len);
    let total: usize =
        shapes.chain(map.lanes.iter().map(|l| l.points.len())).chain(map.lines.iter().map(|l| l.points.len())).sum();
    length("map (all points)", total, 0, MAX_POINTS)
}

/// Returns the lane's length, metres.
fn lane(at: &str, lane: &Lane, lanes: usize) -> Result<f64, ImportError> {
    points(&format!("{at}.points"), &lane.points, 2, MAX_ENTRIES)?;
    let metres = metres(&lane.points);
    if metres < 1e-3 {
        return Err(ImportError::value(format!("{at}.points"), format!("{metres} m long"), "longer than 1 mm"));
    }
    range(&format!("{at}.width"), lane.width, 0.1, 30.0)?;
    range(&format!("{at}.limit"), lane.limit, 0.1, 150.0)?;
    length(&format!("{at}.next"), lane.next.len(), 0, 64)?;
    for (k, &n) in lane.next.iter().enumerate() {
        index(&format!("{at}.next[{k}]"), n, lanes)?;
    }
    for (side, id) in [("left", lane.left), ("right", lane.right)] {
        if let Some(id) = id {
            index(&format!("{at}.{side}"), id, lanes)?;
        }
    }
    Ok(metres)
}

fn furniture(map: &Map) -> Result<(), ImportError> {
    length("map.lights", map.lights.len(), 0, MAX_ENTRIES)?;
    for (i, l) in map.lights.iter().enumerate() {
        let at = format!("map.lights[{i}]");
        point(&format!("{at}.at"), l.at)?;
        angle(&format!("{at}.heading"), l.heading)?;
        length(&format!("{at}.program"), l.program.len(), 1, 256)?;
        for (k, &(_, seconds)) in l.program.iter().enumerate() {
            range(&format!("{at}.program[{k}][1]"), seconds, 0.0, MAX_SECONDS)?;
        }
        let cycle: f32 = l.program.iter().map(|p| p.1).sum();
        range(&format!("{at}.program (whole cycle)"), cycle, 0.1, MAX_SECONDS)?;
        range(&format!("{at}.offset"), l.offset, -MAX_SECONDS, MAX_SECONDS)?;
    }
    length("map.stop_lines", map.stop_lines.len(), 0, MAX_ENTRIES)?;
    for (i, s) in map.stop_lines.iter().enumerate() {
        let at = format!("map.stop_lines[{i}]");
        points(&format!("{at}.points"), &s.points, 2, 2)?;
        length(&format!("{at}.lanes"), s.lanes.len(), 0, 256)?;
        for (k, &l) in s.lanes.iter().enumerate() {
            index(&format!("{at}.lanes[{k}]"), l, map.lanes.len())?;
        }
        if let StopRule::Light(light) = s.rule {
            index(&format!("{at}.rule.light"), light, map.lights.len())?;
        }
    }
    length("map.signs", map.signs.len(), 0, MAX_ENTRIES)?;
    for (i, s) in map.signs.iter().enumerate() {
        point(&format!("map.signs[{i}].at"), s.at)?;
        angle(&format!("map.signs[{i}].heading"), s.heading)?;
        if s.kind == SignKind::Limit(0) {
            return Err(ImportError::value(format!("map.signs[{i}].kind.limit"), 0, "1 to 255 km/h"));
        }
    }
    length("map.props", map.props.len(), 0, MAX_ENTRIES)?;
    for (i, p) in map.props.iter().enumerate() {
        point(&format!("map.props[{i}].at"), p.at)?;
        angle(&format!("map.props[{i}].heading"), p.heading)?;
        size(&format!("map.props[{i}].size"), p.size, 200.0)?;
    }
    Ok(())
}

fn agent(at: &str, agent: &Agent, scenario: &Scenario) -> Result<(), ImportError> {
    size(&format!("{at}.size"), agent.size, 40.0)?;
    point(&format!("{at}.pose"), [agent.pose[0], agent.pose[1]])?;
    angle(&format!("{at}.pose[2]"), agent.pose[2])?;
    range(&format!("{at}.speed"), agent.speed, -50.0, 100.0)?;
    range(&format!("{at}.desired_speed"), agent.desired_speed, 0.0, 100.0)?;
    length(&format!("{at}.route"), agent.route.len(), 0, MAX_LANES)?;
    for (k, &l) in agent.route.iter().enumerate() {
        index(&format!("{at}.route[{k}]"), l, scenario.map.lanes.len())?;
        if k > 0 && !scenario.map.lanes[agent.route[k - 1]].next.contains(&l) {
            let before = agent.route[k - 1];
            let allowed = format!("one of {:?}, which continue lane {before}", scenario.map.lanes[before].next);
            return Err(ImportError::value(format!("{at}.route[{k}]"), l, allowed));
        }
    }
    length(&format!("{at}.track"), agent.track.len(), 0, 40_000)?;
    let mut before = f32::NEG_INFINITY;
    for (k, row) in agent.track.iter().enumerate() {
        let at = format!("{at}.track[{k}]");
        range(&format!("{at}[0]"), row[0], 0.0, MAX_SECONDS)?;
        if row[0] <= before {
            return Err(ImportError::value(format!("{at}[0]"), row[0], format!("later than the {before} s before it")));
        }
        before = row[0];
        point(&at, [row[1], row[2]])?;
        angle(&format!("{at}[3]"), row[3])?;
        range(&format!("{at}[4]"), row[4], -50.0, 100.0)?;
    }
    length(&format!("{at}.script"), agent.script.len(), 0, 256)?;
    for (k, cue) in agent.script.iter().enumerate() {
        when(&format!("{at}.script[{k}].when"), cue.when)?;
        act(&format!("{at}.script[{k}].act"), cue.act)?;
    }
    match &agent.driver {
        Some(d) => driver(&format!("{at}.driver"), d),
        None => Ok(()),
    }
}

fn when(at: &str, when: When) -> Result<(), ImportError> {
    match when {
        When::Time(s) | When::After(s) => range(at, s, 0.0, MAX_SECONDS),
        When::EgoNear { at: p, within } | When::EgoArrives { at: p, within } => {
            point(&format!("{at}.at"), p)?;
            range(&format!("{at}.within"), within, 0.0, MAX_COORDINATE)
        }
        When::EgoGap(metres) | When::AheadOfEgo(metres) => range(at, metres, -MAX_COORDINATE, MAX_COORDINATE),
    }
}

fn act(at: &str, act: Act) -> Result<(), ImportError> {
    match act {
        Act::Brake { decel, to } => {
            range(&format!("{at}.decel"), decel, 0.01, 20.0)?;
            range(&format!("{at}.to"), to, 0.0, 100.0)
        }
        Act::Speed(speed) => range(at, speed, 0.0, 100.0),
        Act::Change { side, seconds } => {
            if side != 1 && side != -1 {
                return Err(ImportError::value(format!("{at}.side"), side, "1 (left) or -1 (right)"));
            }
            range(&format!("{at}.seconds"), seconds, 0.1, MAX_SECONDS)
        }
        Act::Drift { offset, seconds } => {
            range(&format!("{at}.offset"), offset, -50.0, 50.0)?;
            range(&format!("{at}.seconds"), seconds, 0.1, MAX_SECONDS)
        }
        Act::Go | Act::IgnoreRules | Act::IgnoreEgo => Ok(()),
    }
}

fn driver(at: &str, driver: &Driver) -> Result<(), ImportError> {
    range(&format!("{at}.accel"), driver.accel, 0.01, 20.0)?;
    range(&format!("{at}.decel"), driver.decel, 0.01, 20.0)?;
    range(&format!("{at}.gap"), driver.gap, 0.0, 100.0)?;
    range(&format!("{at}.headway"), driver.headway, 0.0, 60.0)?;
    range(&format!("{at}.politeness"), driver.politeness, 0.0, 1.0)
}

fn length(at: &str, count: usize, min: usize, max: usize) -> Result<(), ImportError> {
    if count < min || count > max {
        return Err(ImportError::Count { at: at.to_owned(), count, min, max });
    }
    Ok(())
}

fn metres(points: &[Point]) -> f64 {
    points.windows(2).map(|w| f64::from(distance32(w[0], w[1]))).sum()
}

fn boxed(points: &[Point]) -> f64 {
    let span = |k: usize| {
        let values = points.iter().map(|p| p[k]);
        let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        f64::from(high - low)
    };
    span(0) * span(1)
}

fn at_most(at: &str, value: f64, max: f64, unit: &str) -> Result<(), ImportError> {
    if value > max {
        return Err(ImportError::value(at, value, format!("at most {max} {unit}")));
    }
    Ok(())
}

fn index(at: &str, index: usize, count: usize) -> Result<(), ImportError> {
    if index >= count {
        return Err(ImportError::value(at, index, format!("an index below {count}")));
    }
    Ok(())
}

fn range(at: &str, value: f32, min: f32, max: f32) -> Result<(), ImportError> {
    // Written so that NaN fails.
    if !(min..=max).contains(&value) {
        return Err(ImportError::value(at, value, format!("{min} to {max}")));
    }
    Ok(())
}

fn angle(at: &str, value: f32) -> Result<(), ImportError> {
    range(at, value, -100.0, 100.0)
}

fn size(at: &str, size: [f32; 3], max: f32) -> Result<(), ImportError> {
    for (k, v) in size.into_iter().enumerate() {
        range(&format!("{at}[{k}]"), v, 0.05, max)?;
    }
    Ok(())
}

fn point(at: &str, p: Point) -> Result<(), ImportError> {
    for (k, v) in p.into_iter().enumerate() {
        if !(-MAX_COORDINATE..=MAX_COORDINATE).contains(&v) {
            let allowed = format!("within {MAX_COORDINATE} m of the origin");
            return Err(ImportError::value(format!("{at} {}", ["x", "y"][k]), v, allowed));
        }
    }
    Ok(())
}

fn points(at: &str, list: &[Point], min: usize, max: usize) -> Result<(), ImportError> {
    length(at, list.len(), min, max)?;
    // The path of a point is only written where it is wrong.
    let inside = |v: f32| (-MAX_COORDINATE..=MAX_COORDINATE).contains(&v);
    match list.iter().position(|p| !p.iter().all(|&v| inside(v))) {
        Some(i) => point(&format!("{at}[{i}]"), list[i]),
        None => Ok(()),
    }
}
