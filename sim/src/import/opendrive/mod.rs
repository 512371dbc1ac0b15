//! A subset of OpenDRIVE: roads in the plane (elevation is left out), lane sections, links, junctions, speeds, simple signals.
//!
//! ASAM OpenDRIVE 1.4 to 1.8. The files hold no traffic: ego gets a route and some cars with drivers are added.

mod lanes;
mod links;
mod plan;
mod road;
mod signals;

use super::build::{populate, scenario};
use super::geometry::{P, mean};
use super::route::Net;
use super::xml::{attribute_number, child, children, parse};
use super::{ImportError, connect};
use crate::scenario::{Map, Scenario};
use roxmltree::Node;

/// Seconds that an episode lasts on a map without a story.
const DURATION: f32 = 60.0;

/// Reads a map; `name` becomes the scenario's.
///
/// # Errors
///
/// When the XML does not parse, a value is missing or out of range, or no lane is for driving.
pub fn read_opendrive(bytes: &[u8], name: &str) -> Result<Scenario, ImportError> {
    let document = parse("OpenDRIVE", bytes, "OpenDRIVE")?;
    let root = document.root_element();
    let roads = road::read(root, origin(root)?)?;
    let mut map = Map::default();
    let table = lanes::build(&roads, &mut map)?;
    links::connect(root, &roads, &table, &mut map)?;
    let net = Net::new(&map.lanes);
    connect::trim_edges(&mut map, &net);
    signals::read(&roads, &table, &net, &mut map)?;
    let agents = populate(&map)?;
    let vendor = child(root, "header").and_then(|h| h.attribute("vendor")).unwrap_or("not given");
    scenario("opendrive", name, &format!("vendor: {vendor}"), DURATION, map, agents)
}

/// The mean of where roads start, when any of it is beyond 5 km of zero.
fn origin(root: Node) -> Result<P, ImportError> {
    let mut points = Vec::new();
    for plan in children(root, "road").filter_map(|r| child(r, "planView")) {
        for g in children(plan, "geometry") {
            points.push([attribute_number(g, "x")?, attribute_number(g, "y")?]);
        }
    }
    let far = points.iter().any(|p| p[0].abs() > 5_000.0 || p[1].abs() > 5_000.0);
    Ok(if far { mean(points) } else { [0.0; 2] })
}
