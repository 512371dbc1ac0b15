//! Red lights of the route at 10 Hz (spec 14.3).

use super::{DeriveError, FRAMES_V2, RoadGraph, route_lanes};
use crate::world::{RedLight, Scene};

/// Steps of 0.1 s that a raw frame holds.
const HOLD: usize = 5;

/// When each connector of the route, as given, shows red: the status of a 2 Hz frame holds until the next one.
/// Ordered by first appearance.
pub fn red_lights(scene: &Scene, graph: &RoadGraph<'_>) -> Result<Vec<RedLight>, DeriveError> {
    let Some(frames) = &scene.traffic_lights_2hz else { return Ok(Vec::new()) };
    let given = graph.blocks(&scene.route_roadblock_ids, "route_roadblock_ids")?;
    let lanes = route_lanes(scene, graph, &given)?;
    let mut lights: Vec<RedLight> = Vec::new();
    for (k, frame) in frames.iter().enumerate() {
        for (connector, _) in frame.iter().filter(|(_, red)| *red) {
            let on_route = graph.lane_index(connector).is_some_and(|l| lanes.contains(&l));
            let token = format!("{}{connector}", RedLight::PREFIX);
            if !on_route || k * HOLD >= FRAMES_V2 {
                continue;
            }
            let index = lights.iter().position(|l| l.token == token).unwrap_or_else(|| {
                lights.push(RedLight { token, frames: "0".repeat(FRAMES_V2) });
                lights.len() - 1
            });
            let end = ((k + 1) * HOLD).min(FRAMES_V2);
            lights[index].frames.replace_range(k * HOLD..end, &"1".repeat(end - k * HOLD));
        }
    }
    Ok(lights)
}
