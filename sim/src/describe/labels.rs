//! Meta-actions of a driven future. Speed and turns follow [`scene::LabelRule::sim`]; lane changes are read off the
//! lanes, which the simulator knows: a road that shifts, a swerve within the lane or a gentle bend is no lane change.

use crate::batch::Scene;
use crate::path::Path;
use crate::scenario::{LaneKind, Turn};
use crate::world::World;
use scene::{LabelError, LabelRule, MetaAction, PathAction, Pose, Trajectory};

/// Poses of a future.
pub const POSES: usize = 8;
/// Seconds between them.
pub const STEP: f64 = 0.5;
/// The pose at the horizon of the labels, 3 s.
const HORIZON: usize = 5;
/// Metres aside by the horizon from which a change that ends later is on its way.
const UNDER_WAY: f32 = 0.8;
/// Metres from the lane's centre now, and metres toward it by the horizon, of a change that is being finished.
const FINISHING: (f32, f32) = (1.3, 1.0);

/// A driven future with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Driven {
    /// Ego frame of now.
    pub future: Trajectory,
    /// What ego does in the next 3 s.
    pub action: MetaAction,
}

/// Labels of the drive from `now` (x, y, heading) at `speed` (m/s) through `future`: 8 poses in the world, one every
/// half second.
///
/// # Errors
/// Fewer poses than the horizon needs, or numbers that are not finite.
pub fn driven(world: &World, now: [f32; 3], speed: f32, future: &[[f32; 3]]) -> Result<Driven, LabelError> {
    let pose = |p: [f32; 3]| Pose::new(f64::from(p[0]), f64::from(p[1]), f64::from(p[2]));
    let frame = pose(now);
    let ego = future.iter().map(|&p| pose(p).into_frame(frame)).collect();
    let future_ego = Trajectory { step: STEP, poses: ego };
    let rule = LabelRule::sim();
    let mut action = rule.label(&future_ego, Some(f64::from(speed)))?;
    if !matches!(action.path, PathAction::LeftTurn | PathAction::RightTurn) {
        action.path = match lane_change(world, now, future) {
            1 => PathAction::LeftChange,
            -1 => PathAction::RightChange,
            _ => PathAction::Straight,
        };
    }
    Ok(Driven { future: future_ego, action })
}

/// Labels of a plan made now, seen from ego: what a driver intends. Where they differ from those of the driven future,
/// something happened meanwhile that nobody could know.
///
/// # Errors
/// As for [`driven`].
pub fn planned(scene: &Scene, plan: &Trajectory) -> Result<Driven, LabelError> {
    let now = [scene.x[0], scene.y[0], scene.heading[0]];
    let frame = Pose::new(f64::from(now[0]), f64::from(now[1]), f64::from(now[2]));
    let world: Vec<[f32; 3]> =
        plan.poses.iter().map(|p| p.out_of_frame(frame)).map(|p| [p.x as f32, p.y as f32, p.heading as f32]).collect();
    driven(scene.world, now, scene.v[0], &world)
}

/// +1 when the drive goes over to the lane on the left, -1 to the right, 0 when it keeps its lane.
pub fn lane_change(world: &World, now: [f32; 3], future: &[[f32; 3]]) -> i8 {
    let Some((path, width)) = reference(world, now, future) else { return 0 };
    let start = path.project_anywhere(now[0], now[1]);
    let mut lats = vec![start.lat];
    let mut s = start.s;
    for p in future {
        let at = path.project(p[0], p[1], s + 10.0, 25.0);
        s = at.s;
        lats.push(at.lat);
    }
    let at = |i: usize| lats.get(i + 1).or(lats.last()).copied().unwrap_or(0.0);
    let place = |lat: f32| crate::math::round(lat / width);
    let (before, then, later) = (place(start.lat), place(at(HORIZON)), place(at(POSES - 1)));
    let shift = at(HORIZON) - start.lat;
    let off_centre = before * width - start.lat;
    let side = |d: f32| if d > 0.0 { 1 } else { -1 };
    if then != before {
        return side(then - before);
    }
    let under_way = later != before && shift.abs() >= UNDER_WAY && side(shift) == side(later - before);
    let finishing = off_centre.abs() >= FINISHING.0 && shift * off_centre.signum() >= FINISHING.1;
    if under_way || finishing { side(shift) } else { 0 }
}

/// The centre line of the lane that ego is in, and of the lanes that continue it where ego goes. Lanes that slide
/// sideways are left out of it: going along one is a lane change.
fn reference(world: &World, now: [f32; 3], future: &[[f32; 3]]) -> Option<(Path, f32)> {
    let (sin, cos) = crate::math::sin_cos(now[2]);
    let road = &world.road;
    let start = road.lane_along(now[0], now[1], (cos, sin)).map(|l| l.lane);
    let route = world.route()?;
    let on_route = route.project_anywhere(now[0], now[1]).s;
    let on_route = route.lane.get(route.index(on_route)).map(|&l| l as usize).filter(|&l| l < road.lanes.len());
    let first = start.filter(|&l| road.lanes[l].kind == LaneKind::Road).or(on_route)?;
    let end = future.last()?;
    let mut chain = vec![first];
    let mut length = 0.0;
    while length < 160.0 && chain.len() < 24 {
        let last = *chain.last()?;
        length += road.lanes[last].length;
        // Where the way parts, the branch that ends nearest to where ego goes.
        let far = |lane: usize| {
            let info = &road.lanes[lane];
            let near = (info.first..info.first + info.count)
                .map(|i| crate::road::distance([road.x[i], road.y[i]], [end[0], end[1]]))
                .fold(f32::MAX, f32::min);
            (near, lane)
        };
        let choices = road.lanes[last].next.iter().copied().filter(|l| !chain.contains(l));
        let Some((_, next)) = choices.map(far).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) else { break };
        chain.push(next);
    }
    let width = road.lanes[first].width;
    // A connector bends by itself; its neighbours are no lanes to change to, and turns are told by heading.
    let straightened = chain.iter().all(|&l| road.lanes[l].turn == Turn::None);
    let path = Path::along(road, &chain, &[]);
    let reached = path.project_anywhere(end[0], end[1]).s;
    if straightened && let Some(s) = slides(world, &chain).filter(|&s| s < reached) {
        let place = path.at(s);
        let from = [place.x - 200.0 * place.cos, place.y - 200.0 * place.sin];
        let to = [place.x + 200.0 * place.cos, place.y + 200.0 * place.sin];
        return Some((Path::through(&[from, to], 0.0), width));
    }
    Some((path, width))
}

/// Metres along a chain of lanes at which one begins that slides by a lane's width.
fn slides(world: &World, chain: &[usize]) -> Option<f32> {
    let mut s = 0.0;
    for &lane in chain {
        if super::corridor::slide(&world.road, lane) != 0 {
            return Some(s);
        }
        s += world.road.lanes[lane].length;
    }
    None
}
