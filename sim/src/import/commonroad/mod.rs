//! CommonRoad XML, versions 2018b and 2020a.
//!
//! Althoff, Koschi and Manzinger, *CommonRoad: composable benchmarks for motion planning on roads*, IV 2017. Lanelets become
//! lanes (middle of their bounds), obstacles replayed road users, the first planning problem ego. A file near the origin
//! keeps its coordinates; one in map coordinates (beyond 5 km) becomes relative to the mean of its lanelets.

mod lanelets;
mod obstacles;
mod problem;
mod rules;
mod shape;

use super::build::scenario;
use super::geometry::{P, mean, sub};
use super::route::Net;
use super::xml::{attribute, attribute_number, children, parse, place, point};
use super::{ImportError, Options, connect};
use crate::scenario::Scenario;
use roxmltree::Node;

/// What every part of a file needs to read its values.
struct Context {
    /// Seconds between time steps.
    step: f64,
    /// Subtracted from every position.
    origin: P,
    /// Whether lines between directions are yellow.
    american: bool,
}

impl Context {
    fn local(&self, p: P) -> P {
        sub(p, self.origin)
    }
}

/// Reads a CommonRoad scenario.
///
/// # Errors
///
/// When the XML does not parse, the version is another, or a value is missing or out of range.
pub fn read_commonroad(bytes: &[u8], options: &Options) -> Result<Scenario, ImportError> {
    let document = parse("CommonRoad", bytes, "commonRoad")?;
    let root = document.root_element();
    let version = attribute(root, "commonRoadVersion")?;
    if !matches!(version, "2018b" | "2020a") {
        let shown: String = version.chars().take(40).collect();
        return Err(ImportError::value("commonRoad.commonRoadVersion", shown, "2018b or 2020a"));
    }
    let step = attribute_number(root, "timeStepSize")?;
    if !(0.001..=10.0).contains(&step) {
        return Err(ImportError::value("commonRoad.timeStepSize", step, "0.001 to 10 s"));
    }
    let name = attribute(root, "benchmarkID")?;
    let american = name.trim_start_matches("C-").starts_with("USA");
    let context = Context { step, origin: origin(root)?, american };

    let (mut map, lanelets) = lanelets::read(root, &context)?;
    let net = Net::new(&map.lanes);
    lanelets::junctions(root, &mut map, &lanelets)?;
    match children(root, "intersection").next() {
        Some(_) => connect::crossings(&mut map.lanes, &net),
        None => connect::turns(&mut map.lanes, &net),
    }
    lanelets::paint(&mut map, &lanelets, &context);
    connect::trim_edges(&mut map, &net);
    rules::read(root, &mut map, &net, &lanelets, &context)?;
    let problem = problem::read(root, &mut map, &net, &lanelets, &context)?;
    let mut agents = vec![problem.ego];
    let last = obstacles::read(root, &mut map, &mut agents, &context, problem.start, options)?;
    let duration = problem.end.max(last).max(0.1) as f32;
    let licence = format!("source: {}", root.attribute("source").unwrap_or("not given"));
    scenario("commonroad", name, &licence, duration, map, agents)
}

/// The mean of all points of lanelets where any of them is beyond 5 km of zero.
fn origin(root: Node) -> Result<P, ImportError> {
    let mut points = Vec::new();
    for lanelet in children(root, "lanelet") {
        for bound in lanelet.children().filter(|c| c.is_element() && c.tag_name().name().ends_with("Bound")) {
            for p in children(bound, "point") {
                points.push(point(p)?);
            }
        }
    }
    let far = points.iter().any(|p| p[0].abs() > 5_000.0 || p[1].abs() > 5_000.0);
    Ok(if far { mean(points) } else { [0.0; 2] })
}

/// An integer attribute: ids and references.
fn id(node: Node, name: &str) -> Result<i64, ImportError> {
    let text = attribute(node, name)?;
    text.trim().parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        ImportError::value(format!("{}.{name}", place(node)), format!("`{shown}`"), "an integer")
    })
}
