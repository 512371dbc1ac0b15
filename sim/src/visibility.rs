//! What ego's camera can see: rays from the camera to the corners and the centre of a box, against every other box. The
//! occlusion families use it to promise that a hazard stays hidden and then appears in time to brake, as DriveOcclusionSim
//! (ReasonNet, Shao et al. 2023) asks of its cases.

use crate::drive::{Options, drive};
use crate::event::EventKind;
use crate::families::place::corners;
use crate::math::sin_cos;
use crate::policy::ConstantSpeed;
use crate::scenario::{DT, Prop, PropKind, Scenario};
use crate::world::World;
use std::sync::Arc;

/// Camera ahead of ego's centre and above the road, metres.
pub const CAMERA: [f32; 2] = [1.5, 1.5];
/// A hazard has been hidden at least so long, seconds.
pub const HIDDEN: f32 = 1.0;
/// Time to collision when it appears, seconds.
pub const APPEARS: [f32; 2] = [1.0, 2.5];
/// Simulator steps that are looked at.
const HORIZON: u32 = 120;

/// A box that stands on the road.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solid {
    /// Centre x, y, heading.
    pub pose: [f32; 3],
    /// Length, width, height.
    pub size: [f32; 3],
}

impl From<&Prop> for Solid {
    fn from(prop: &Prop) -> Solid {
        // One looks through below the crown of a tree.
        let size = if prop.kind == PropKind::Tree { [0.4, 0.4, prop.size[2]] } else { prop.size };
        Solid { pose: [prop.at[0], prop.at[1], prop.heading], size }
    }
}

/// What became of a hazard while ego drove on at its start speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    /// Seconds in a row that it was hidden before it appeared for the last time.
    pub hidden: f32,
    /// Seconds from then to the collision.
    pub time_to_collision: f32,
}

/// Whether the line from `eye` to `to` passes through a solid.
pub fn blocks(solid: &Solid, eye: [f32; 3], to: [f32; 3]) -> bool {
    let (sin, cos) = sin_cos(solid.pose[2]);
    let local = |p: [f32; 3]| {
        let (dx, dy) = (p[0] - solid.pose[0], p[1] - solid.pose[1]);
        [dx * cos + dy * sin, dy * cos - dx * sin, p[2]]
    };
    let (a, b) = (local(eye), local(to));
    let low = [-0.5 * solid.size[0], -0.5 * solid.size[1], 0.0];
    let high = [0.5 * solid.size[0], 0.5 * solid.size[1], solid.size[2]];
    // The share of the line that lies between the box's pairs of faces.
    let (mut enter, mut leave) = (0.0_f32, 1.0_f32);
    for k in 0..3 {
        let d = b[k] - a[k];
        if d.abs() < 1e-9 {
            if a[k] < low[k] || a[k] > high[k] {
                return false;
            }
            continue;
        }
        let (t0, t1) = ((low[k] - a[k]) / d, (high[k] - a[k]) / d);
        enter = enter.max(t0.min(t1));
        leave = leave.min(t0.max(t1));
    }
    enter < leave
}

/// Whether any corner, or the centre, of `target` can be seen from `eye` past the solids.
pub fn is_visible(eye: [f32; 3], target: &Solid, solids: &[Solid]) -> bool {
    let [_, _, height] = target.size;
    let base = corners(target.pose, [target.size[0], target.size[1]], 0.0);
    let centre = [target.pose[0], target.pose[1], 0.5 * height];
    let top = base.iter().map(|p| [p[0], p[1], height]);
    let bottom = base.iter().map(|p| [p[0], p[1], 0.05]);
    top.chain(bottom).chain([centre]).any(|p| !solids.iter().any(|s| blocks(s, eye, p)))
}

/// What becomes of the scenario's hazard while ego follows its route at its start speed; nothing without a hazard, without
/// a collision with it, or where it never comes out of hiding.
pub fn sight(scenario: &Scenario) -> Option<Sight> {
    let hazard = scenario.hazard?;
    let world = Arc::new(World::new(scenario.clone()));
    let options = Options { record: true, steps: HORIZON };
    let episode = drive(vec![world], &mut ConstantSpeed, options, |_, _| {}).pop()?;
    let first = episode.events.iter().find(|e| {
        matches!(e.kind, EventKind::CollisionPedestrian | EventKind::CollisionVehicle | EventKind::CollisionStatic)
    })?;
    if usize::from(first.other) != hazard || first.kind == EventKind::CollisionStatic {
        return None;
    }
    let hit = (first.step as usize).min(episode.boxes.len().saturating_sub(1));
    let props: Vec<Solid> = scenario.map.props.iter().map(Solid::from).collect();
    let seen: Vec<bool> = episode.boxes[..=hit].iter().map(|boxes| sees(scenario, boxes, hazard, &props)).collect();
    // The last time that it came out of hiding, and how long it had been there.
    let appears = (1..=hit).rev().find(|&i| seen[i] && !seen[i - 1])?;
    let before = (0..appears).rev().take_while(|&i| !seen[i]).count();
    Some(Sight { hidden: before as f32 * DT, time_to_collision: (hit - appears) as f32 * DT })
}

/// Whether ego sees the hazard past all others and past the props; `boxes` has `[x, y, heading, speed]` of every agent.
fn sees(scenario: &Scenario, boxes: &[[f32; 4]], hazard: usize, props: &[Solid]) -> bool {
    let solid = |i: usize| {
        let [x, y, heading, _] = boxes[i];
        Solid { pose: [x, y, heading], size: scenario.agents[i].size }
    };
    let ego = solid(0).pose;
    let (sin, cos) = sin_cos(ego[2]);
    let eye = [ego[0] + CAMERA[0] * cos, ego[1] + CAMERA[0] * sin, CAMERA[1]];
    let others = (1..boxes.len()).filter(|&i| i != hazard && !boxes[i][0].is_nan()).map(solid);
    let solids: Vec<Solid> = others.chain(props.iter().copied()).collect();
    is_visible(eye, &solid(hazard), &solids)
}

/// Whether the hazard stays hidden long enough and appears neither too late nor too early, and late braking with 5 m/s²
/// after a third of a second avoids it.
pub fn accepts(scenario: &Scenario) -> bool {
    let Some(sight) = sight(scenario) else { return false };
    let speed = scenario.agents[0].speed;
    let earliest = APPEARS[0].max(speed / 10.0 + 0.35);
    sight.hidden >= HIDDEN && (earliest..=APPEARS[1]).contains(&sight.time_to_collision)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EYE: [f32; 3] = [0.0, 0.0, 1.5];

    fn solid(x: f32, y: f32, size: [f32; 3]) -> Solid {
        Solid { pose: [x, y, 0.0], size }
    }

    #[test]
    fn a_wall_hides_what_stands_behind_it_and_not_what_looks_over_or_past_it() {
        let person = solid(20.0, 0.0, [0.5, 0.5, 1.7]);
        assert!(is_visible(EYE, &person, &[]));
        assert!(!is_visible(EYE, &person, &[solid(10.0, 0.0, [1.0, 4.0, 2.5])]));
        // At 10 m the line to the head, 1.7 m high at 20 m, is 1.6 m high.
        assert!(is_visible(EYE, &person, &[solid(10.0, 0.0, [1.0, 4.0, 1.55])]));
        assert!(!is_visible(EYE, &person, &[solid(10.0, 0.0, [1.0, 4.0, 1.65])]));
        // The left side of the person, at 0.25 m, passes a wall that ends at 0.1 m.
        assert!(is_visible(EYE, &person, &[solid(10.0, -1.9, [1.0, 4.0, 2.5])]));
        // What stands further away hides nothing.
        assert!(is_visible(EYE, &person, &[solid(25.0, 0.0, [1.0, 9.0, 2.5])]));
    }

    #[test]
    fn a_turned_box_blocks_along_its_diagonal() {
        let lorry = Solid { pose: [10.0, 2.5, std::f32::consts::FRAC_PI_4], size: [8.0, 2.0, 3.0] };
        assert!(blocks(&lorry, EYE, [20.0, 0.0, 1.0]));
        let straight = Solid { pose: [10.0, 2.5, 0.0], ..lorry };
        assert!(!blocks(&straight, EYE, [20.0, 0.0, 1.0]));
    }
}
