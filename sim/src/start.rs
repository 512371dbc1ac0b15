//! The state in which an episode begins.

use crate::batch::{NO_PATH, SceneMut, flag};
use crate::math;
use crate::scenario::{Act, Control};

/// Writes the scenario's start into a scene.
pub(crate) fn start(scene: SceneMut<'_>) {
    let world = scene.world;
    for i in 0..scene.x.len() {
        let Some(agent) = world.agents.get(i) else {
            // Padding: far from everything, so that vector code needs no mask.
            (scene.x[i], scene.y[i], scene.cos[i], scene.sin[i]) = (1e7 + 1e3 * i as f32, 1e7, 1.0, 0.0);
            (scene.path[i], scene.flags[i]) = (NO_PATH, 0);
            continue;
        };
        let [x, y, heading] = agent.pose;
        let (sin, cos) = math::sin_cos(heading);
        (scene.x[i], scene.y[i], scene.heading[i], scene.cos[i], scene.sin[i]) = (x, y, heading, cos, sin);
        (scene.v[i], scene.a[i], scene.steer[i], scene.yaw_rate[i]) = (agent.speed, 0.0, 0.0, 0.0);
        let place = agent.path.map(|p| world.paths[p].project_anywhere(x, y));
        (scene.s[i], scene.lat[i]) = place.map_or((0.0, 0.0), |p| (p.s, p.lat));
        scene.lat_goal[i] = scene.lat[i];
        (scene.lat_rate[i], scene.lat_accel[i], scene.lat_left[i]) = (0.0, 0.0, 0.0);
        (scene.desired[i], scene.brake[i], scene.cue_time[i]) = (agent.desired_speed, 0.0, 0.0);
        scene.path[i] = agent.path.map_or(NO_PATH, |p| p as u32);
        (scene.cue[i], scene.lane_since[i], scene.stop_done[i], scene.waiting[i]) = (0, 0, 0, 0);
        // A replayed agent is there when its track has begun.
        let replayed = matches!(agent.control, Control::Replay | Control::ReactiveReplay);
        let here = !replayed || agent.track.first().is_none_or(|t| t[0] <= 0.0);
        // Who is told when to go waits for it, unless it is driving already.
        let told = agent.script.iter().any(|c| c.act == Act::Go);
        let going = match agent.control {
            Control::Static => false,
            Control::Walk => !told,
            _ => !told || agent.speed > 0.0,
        };
        scene.flags[i] = if here { flag::PRESENT } else { 0 } | if going { flag::STARTED } else { 0 };
        if agent.control == Control::Walk {
            // A walker's speed is that of its walk; it stands until it starts.
            scene.desired[i] = if agent.speed > 0.0 { agent.speed } else { agent.desired_speed.max(1.0) };
            scene.v[i] = if going { scene.desired[i] } else { 0.0 };
        }
    }
}
