//! A scene from above, ego driving to the right: road, lanes, centre line, everyone else, and the car's footprint over
//! time with the step marked at which it failed. One SVG element, styled by the page; no script.

use super::{entry::Entry, view::View};
use crate::report::escape;
use scene::{
    dynamics::{INTERVAL, STATES, State},
    geometry::{OrientedBox, Point, quad_intersects_ring, strictly_inside},
    world::{AgentType, DrivableKind, Scene, Track},
};
use std::fmt::Write;

/// Steps between the drawn footprints.
const EVERY: usize = 5;

/// The moment a picture is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// 0..40.
    pub step: usize,
    /// What happens then; empty when nothing does.
    pub what: &'static str,
}

/// The step of the failure that an entry is remembered for; the last step when it has none.
pub fn moment(scene: &Scene, entry: &Entry, states: &[State; STATES]) -> Moment {
    let Some(scores) = &entry.scores else { return Moment { step: 0, what: "" } };
    let at = |step: Option<usize>, what| step.map(|step| Moment { step: step.min(STATES - 1), what });
    let first = |fails: &dyn Fn(usize, &State) -> bool| (0..STATES).find(|k| fails(*k, &states[*k]));
    let found = match entry.reason() {
        "at-fault collision" => at(scores.raw.first_at_fault.map(usize::from), "at-fault collision"),
        "leaves the drivable area" => at(first(&|_, state| off_road(scene, state)), "off the drivable area"),
        "runs a red light" => at(first(&|k, state| on_red(scene, k, state)), "on a red connector"),
        "close to a collision" => at(scores.raw.first_ttc.map(usize::from), "about to collide"),
        _ => None,
    };
    found.unwrap_or(Moment { step: STATES - 1, what: "" })
}

fn off_road(scene: &Scene, state: &State) -> bool {
    let areas = scene.drivable_map.as_deref().unwrap_or_default();
    let road: Vec<&[Point]> = areas
        .iter()
        .filter(|area| area.kind.is_drivable())
        .filter_map(|area| scene.map.polygon(area.kind, &area.id))
        .collect();
    let corners = state.footprint().corners();
    corners.iter().any(|corner| !road.iter().any(|ring| strictly_inside(ring, *corner)))
}

/// Polygons of the connectors that are red at a step.
fn reds(scene: &Scene, step: usize) -> impl Iterator<Item = &[Point]> {
    let lights = scene.red_lights.as_deref().unwrap_or_default();
    let red = lights.iter().filter(move |light| light.is_red(step));
    red.filter_map(|light| scene.map.polygon(DrivableKind::LaneConnector, light.connector()?))
}

fn on_red(scene: &Scene, step: usize, state: &State) -> bool {
    let corners = state.footprint().corners();
    reds(scene, step).any(|ring| quad_intersects_ring(&corners, ring))
}

/// The picture. `tracks` are those that the drive met.
pub fn bev(scene: &Scene, tracks: &[Track], states: &[State; STATES], entry: &Entry) -> String {
    let moment = moment(scene, entry, states);
    let view = View::around(scene.ego.pose, states);
    let mut out = format!(
        "<svg class=\"bev\" viewBox=\"0 0 {:.0} {:.0}\" role=\"img\" aria-label=\"{} from above\">",
        view.width,
        view.height,
        escape(&scene.name)
    );
    road(&mut out, &view, scene, moment.step);
    if let Some(line) = &scene.centerline {
        let points: Vec<Point> = line.iter().map(|p| [p.x, p.y]).collect();
        view.line(&mut out, "centre", &points);
    }
    if let Some(human) = scene.human_poses.as_ref().filter(|poses| !poses.is_empty()) {
        let world = human.iter().map(|p| p.out_of_frame(scene.ego.pose));
        let points: Vec<Point> = [scene.ego.pose].into_iter().chain(world).map(|p| [p.x, p.y]).collect();
        view.line(&mut out, "driven", &points);
    }
    for track in tracks {
        agent(&mut out, &view, track, &moment, &states[moment.step.min(STATES - 1)]);
    }
    ego(&mut out, &view, states, &moment);
    view.scale(&mut out);
    out + "</svg>"
}

fn road(out: &mut String, view: &View, scene: &Scene, step: usize) {
    let areas = scene.drivable_map.as_deref().unwrap_or_default();
    let of = |wanted: fn(DrivableKind) -> bool| {
        areas.iter().filter(move |a| wanted(a.kind)).filter_map(|a| scene.map.polygon(a.kind, &a.id))
    };
    of(DrivableKind::is_drivable).for_each(|ring| view.ring(out, "road", ring, ""));
    of(|kind| kind == DrivableKind::Intersection).for_each(|ring| view.ring(out, "crossing", ring, ""));
    of(|kind| kind == DrivableKind::Lane).for_each(|ring| view.ring(out, "lane", ring, ""));
    reds(scene, step).for_each(|ring| view.ring(out, "red", ring, "red light"));
}

fn class(kind: AgentType) -> &'static str {
    match kind {
        AgentType::Vehicle => "vehicle",
        AgentType::Pedestrian | AgentType::Bicycle => "person",
        _ => "thing",
    }
}

/// Where it goes as a line, where it is at the start as an outline, and where it is at the moment in full.
fn agent(out: &mut String, view: &View, track: &Track, moment: &Moment, ego: &State) {
    let step = moment.step;
    let seen: Vec<Point> = track.frames.iter().take(STATES).flatten().map(|d| [d[0], d[1]]).collect();
    if seen.windows(2).any(|pair| matches!(pair, [a, b] if (a[0] - b[0]).hypot(a[1] - b[1]) > 0.01)) {
        view.line(out, "trail", &seen);
    }
    let place = |step: usize| track.frames.get(step).copied().flatten();
    let shape =
        |d: [f64; 5]| OrientedBox { center: [d[0], d[1]], heading: d[2], length: track.length, width: track.width };
    if let Some(start) = place(0).filter(|_| step > 0) {
        view.ring(out, "before", &shape(start).corners(), "");
    }
    if let Some(now) = place(step) {
        let speed = now[3].hypot(now[4]);
        let words = format!("{} {}, {speed:.1} m/s", class(track.kind), track.token);
        let shape = shape(now);
        let hit = moment.what.contains("collision") && shape.intersects(&ego.footprint());
        let class = if hit { format!("{} hit", class(track.kind)) } else { class(track.kind).to_owned() };
        view.ring(out, &class, &shape.corners(), &words);
        if track.kind.is_agent() && track.length > 1.5 {
            view.nose(out, &shape);
        }
    }
}

fn ego(out: &mut String, view: &View, states: &[State; STATES], moment: &Moment) {
    for state in states.iter().step_by(EVERY) {
        view.ring(out, "ego", &state.footprint().corners(), "");
    }
    let path: Vec<Point> = states.iter().map(State::center).collect();
    view.line(out, "path", &path);
    let [start, at] = [states.first(), states.get(moment.step)].map(|s| s.copied().unwrap_or_default());
    view.ring(out, "start", &start.footprint().corners(), "t = 0 s");
    view.nose(out, &start.footprint());
    let seconds = moment.step as f64 * INTERVAL;
    let mut words = format!("t = {seconds:.1} s");
    if !moment.what.is_empty() {
        let _ = write!(words, ": {}", moment.what);
        view.ring(out, "fault", &at.footprint().corners(), &words);
        view.nose(out, &at.footprint());
        view.label(out, at.center(), &words);
    } else {
        view.ring(out, "end", &at.footprint().corners(), &words);
        view.nose(out, &at.footprint());
    }
}
