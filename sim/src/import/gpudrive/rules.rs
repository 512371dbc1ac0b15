//! Stop signs and traffic lights of a GPUDrive scene.

use super::scene::element;
use super::{File, LightStates, STEP, local};
use crate::import::ImportError;
use crate::import::build::stop_line;
use crate::import::connect::lanes_before;
use crate::import::geometry::{P, at, heading, narrow, nearest};
use crate::import::route::Net;
use crate::scenario::{Lamp, Light, Map, Sign, SignKind, StopRule};
use std::collections::BTreeMap;

/// A sign at every stop sign's point, and a line at the end of every lane that it holds.
pub(super) fn stop_signs(map: &mut Map, net: &Net, file: &File, origin: P) {
    for road in file.roads.iter().filter(|r| element(r) == 17) {
        let Some(p) = road.geometry.first().map(|p| local(p, origin)) else { continue };
        let lanes = lanes_before(&map.lanes, net, p, 12.0);
        let Some(&first) = lanes.first() else { continue };
        let (_, d) = at(&net.shapes[first], f64::INFINITY);
        map.signs.push(Sign { at: narrow(p), heading: heading([-d[0], -d[1]]) as f32, kind: SignKind::Stop });
        // Each at its own lane's end: they need not end abreast.
        for lane in lanes {
            map.stop_lines.push(stop_line(&map.lanes, net, &[lane], f64::INFINITY, StopRule::Stop));
        }
    }
}

/// A light for every controlled lane, whose programme is what was recorded.
pub(super) fn lights(
    map: &mut Map,
    net: &Net,
    file: &File,
    lanes: &BTreeMap<i64, usize>,
    origin: P,
) -> Result<(), ImportError> {
    for (id, states) in &file.tl_states {
        let place = format!("tl_states.{id}");
        let n = states.state.len();
        for (name, len) in [("x", states.x.len()), ("y", states.y.len()), ("time_index", states.time_index.len())] {
            if len != n {
                return Err(ImportError::Count { at: format!("{place}.{name}"), count: len, min: n, max: n });
            }
        }
        let lane = id.parse::<i64>().ok().and_then(|id| lanes.get(&id).copied());
        let (Some(lane), Some(&x), Some(&y)) = (lane, states.x.first(), states.y.first()) else { continue };
        let p = [x - origin[0], y - origin[1]];
        let stop = nearest(&net.shapes[lane], p);
        let d = stop.direction;
        map.stop_lines.push(stop_line(&map.lanes, net, &[lane], stop.s, StopRule::Light(map.lights.len())));
        map.lights.push(Light {
            at: narrow(p),
            heading: heading([-d[0], -d[1]]) as f32,
            program: program(&place, states)?,
            offset: 0.0,
        });
    }
    Ok(())
}

fn program(place: &str, states: &LightStates) -> Result<Vec<(Lamp, f32)>, ImportError> {
    let mut program: Vec<(Lamp, f32)> = Vec::new();
    for (k, name) in states.state.iter().enumerate() {
        let lamp = match name.as_str() {
            "stop" | "arrow_stop" | "flashing_stop" => Lamp::Red,
            "caution" | "arrow_caution" | "flashing_caution" => Lamp::Yellow,
            "go" | "arrow_go" => Lamp::Green,
            "unknown" => Lamp::Off,
            _ => {
                let allowed = "unknown, stop, caution, go, arrow_stop, arrow_caution, arrow_go, flashing_stop or flashing_caution";
                return Err(ImportError::value(format!("{place}.state[{k}]"), name, allowed));
            }
        };
        let until = states.time_index.get(k + 1).copied().unwrap_or(states.time_index[k].saturating_add(1));
        let Some(steps) = until.checked_sub(states.time_index[k]).filter(|&s| s > 0) else {
            return Err(ImportError::value(format!("{place}.time_index[{}]", k + 1), until, "rising numbers"));
        };
        let seconds = (f64::from(steps) * STEP) as f32;
        match program.last_mut() {
            Some(last) if last.0 == lamp => last.1 += seconds,
            _ => program.push((lamp, seconds)),
        }
    }
    Ok(program)
}
