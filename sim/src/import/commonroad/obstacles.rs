//! Obstacles: replayed road users, standing ones, and solids.

use super::Context;
use super::shape::{Rectangle, State, rectangle, state};
use crate::import::build::{recorded, row, usual_size};
use crate::import::check::MAX_AGENTS;
use crate::import::geometry::{along, distance, left_of, narrow, unit};
use crate::import::xml::{child, children, need, place, text};
use crate::import::{ImportError, Options};
use crate::scenario::{Agent, AgentKind, Control, Map, Prop, PropKind};
use roxmltree::Node;

/// What an obstacle becomes.
enum Kind {
    User(AgentKind),
    Solid(PropKind, f32),
}

/// Appends road users and props; `start` is the time that becomes 0. Returns the last recorded time.
pub(super) fn read(
    root: Node,
    map: &mut Map,
    agents: &mut Vec<Agent>,
    context: &Context,
    start: f64,
    options: &Options,
) -> Result<f64, ImportError> {
    let mut last = 0.0_f64;
    for node in root.children().filter(|n| n.is_element()) {
        let moving = match node.tag_name().name() {
            "obstacle" => match text(need(node, "role")?) {
                "static" => false,
                "dynamic" => true,
                other => {
                    let other: String = other.chars().take(40).collect();
                    return Err(ImportError::value(format!("{}.role", place(node)), other, "static or dynamic"));
                }
            },
            "staticObstacle" => false,
            "dynamicObstacle" => true,
            _ => continue,
        };
        if agents.len() >= MAX_AGENTS {
            return Err(ImportError::Count {
                at: "obstacles".into(),
                count: agents.len(),
                min: 0,
                max: MAX_AGENTS - 1,
            });
        }
        let kind = kind(text(need(node, "type")?));
        let shape = rectangle(need(node, "shape")?)?;
        let states = states(node, context)?;
        let rows = rows(&states, &shape, start);
        let Some(first) = rows.first() else { continue };
        match kind {
            Kind::Solid(kind, height) => {
                let at = narrow([first[1].into(), first[2].into()]);
                let size = [(shape.length as f32).max(0.1), (shape.width as f32).max(0.1), height];
                map.props.push(Prop { kind, at, heading: first[3], size });
            }
            Kind::User(kind) => {
                let size = [shape.length as f32, shape.width as f32, usual_size(kind)[2]];
                last = last.max(rows.last().map_or(0.0, |r| r[0].into()));
                let control = if moving && rows.len() > 1 { options.vehicle() } else { Control::Static };
                if let Some(mut agent) = recorded(kind, size, rows, control) {
                    if control == Control::Static {
                        agent.track.clear();
                    }
                    agents.push(agent);
                }
            }
        }
    }
    Ok(last)
}

fn states(node: Node, context: &Context) -> Result<Vec<State>, ImportError> {
    let mut states = vec![state(need(node, "initialState")?, context)?];
    if let Some(trajectory) = child(node, "trajectory") {
        for s in children(trajectory, "state") {
            states.push(state(s, context)?);
        }
    }
    Ok(states)
}

/// Poses of the middle of the shape, from `start` on.
fn rows(states: &[State], shape: &Rectangle, start: f64) -> Vec<[f32; 5]> {
    let rows = states.iter().enumerate().filter(|(_, s)| s.time >= start - 1e-6).map(|(k, s)| {
        let ahead = unit(s.heading);
        let p = along(along(s.p, ahead, shape.centre[0]), left_of(ahead), shape.centre[1]);
        let speed = s.speed.unwrap_or_else(|| {
            // Files without speeds: from the positions around.
            let (a, b) = (&states[k.saturating_sub(1)], &states[(k + 1).min(states.len() - 1)]);
            if b.time > a.time { distance(a.p, b.p) / (b.time - a.time) } else { 0.0 }
        });
        row((s.time - start).max(0.0), p, s.heading + shape.turned, speed)
    });
    rows.collect()
}

fn kind(name: &str) -> Kind {
    match name {
        "truck" | "train" => Kind::User(AgentKind::Truck),
        "bus" => Kind::User(AgentKind::Bus),
        "bicycle" => Kind::User(AgentKind::Cyclist),
        "motorcycle" => Kind::User(AgentKind::Motorcycle),
        "pedestrian" => Kind::User(AgentKind::Pedestrian),
        "priorityVehicle" => Kind::User(AgentKind::Emergency),
        "constructionZone" => Kind::Solid(PropKind::Barrier, 1.0),
        "roadBoundary" | "medianStrip" | "median_strip" => Kind::Solid(PropKind::Wall, 0.8),
        "pillar" => Kind::Solid(PropKind::Wall, 4.0),
        "building" => Kind::Solid(PropKind::Building, 8.0),
        // car, taxi, parkedVehicle, unknown
        _ => Kind::User(AgentKind::Car),
    }
}
