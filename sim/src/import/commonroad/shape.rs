//! Values that may be exact or an interval, positions that may be a point or a region, and shapes of obstacles.

use super::Context;
use crate::import::ImportError;
use crate::import::geometry::{P, heading, mean, unit};
use crate::import::xml::{child, children, need, number, place, point};
use roxmltree::Node;

/// `<exact>`, the middle of `<intervalStart>` and `<intervalEnd>`, or the number itself.
pub(super) fn value(node: Node) -> Result<f64, ImportError> {
    if let Some(exact) = child(node, "exact") {
        return number(exact);
    }
    match child(node, "intervalStart") {
        Some(start) => Ok((number(start)? + number(need(node, "intervalEnd")?)?) / 2.0),
        None => number(node),
    }
}

/// The end of an interval, or the exact value.
pub(super) fn latest(node: Node) -> Result<f64, ImportError> {
    match child(node, "intervalEnd") {
        Some(end) => number(end),
        None => value(node),
    }
}

/// A state: where, which way, when and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub p: P,
    pub heading: f64,
    /// Seconds.
    pub time: f64,
    /// m/s; none where the file does not say.
    pub speed: Option<f64>,
}

/// Reads `<initialState>` or `<state>`.
pub(super) fn state(node: Node, context: &Context) -> Result<State, ImportError> {
    let position = need(node, "position")?;
    let Some(p) = centre(position)? else {
        return Err(ImportError::missing(format!("{}.point (or a shape)", place(position))));
    };
    let turned = value(need(node, "orientation")?)?;
    let time = match child(node, "time") {
        Some(time) => value(time)? * context.step,
        None => 0.0,
    };
    let speed = child(node, "velocity").map(value).transpose()?;
    // Into one turn: files with intervals or long roundabouts may count several.
    Ok(State { p: context.local(p), heading: heading(unit(turned)), time, speed })
}

/// The middle of a point, rectangle, circle or polygon; none where there is none of these.
pub(super) fn centre(node: Node) -> Result<Option<P>, ImportError> {
    if let Some(p) = child(node, "point") {
        return point(p).map(Some);
    }
    for name in ["rectangle", "circle"] {
        if let Some(shape) = child(node, name) {
            return child(shape, "center").map_or(Ok(Some([0.0; 2])), |c| point(c).map(Some));
        }
    }
    let Some(polygon) = child(node, "polygon") else { return Ok(None) };
    let points: Result<Vec<P>, ImportError> = children(polygon, "point").map(point).collect();
    Ok(Some(mean(points?)))
}

/// A rectangle around an obstacle's shape, in its own axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rectangle {
    pub length: f64,
    pub width: f64,
    /// Of the middle, from the obstacle's position.
    pub centre: P,
    pub turned: f64,
}

/// Reads `<shape>`: the first rectangle, circle or polygon.
pub(super) fn rectangle(shape: Node) -> Result<Rectangle, ImportError> {
    let middle = |node: Node| child(node, "center").map_or(Ok([0.0; 2]), point);
    if let Some(r) = child(shape, "rectangle") {
        let turned = child(r, "orientation").map_or(Ok(0.0), value)?;
        let (length, width) = (number(need(r, "length")?)?, number(need(r, "width")?)?);
        return Ok(Rectangle { length, width, centre: middle(r)?, turned });
    }
    if let Some(c) = child(shape, "circle") {
        let across = 2.0 * number(need(c, "radius")?)?;
        return Ok(Rectangle { length: across, width: across, centre: middle(c)?, turned: 0.0 });
    }
    let polygon = need(shape, "polygon")?;
    let points: Result<Vec<P>, ImportError> = children(polygon, "point").map(point).collect();
    let points = points?;
    if points.len() < 3 {
        let at = format!("{}.point", place(polygon));
        return Err(ImportError::Count { at, count: points.len(), min: 3, max: crate::import::check::MAX_ENTRIES });
    }
    let bounds = |k: usize| {
        let values = points.iter().map(|p| p[k]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    let ((x0, x1), (y0, y1)) = (bounds(0), bounds(1));
    Ok(Rectangle { length: x1 - x0, width: y1 - y0, centre: [(x0 + x1) / 2.0, (y0 + y1) / 2.0], turned: 0.0 })
}
