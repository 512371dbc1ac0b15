//! Which map polygons contain a point, answered in nanoseconds and exactly.
//!
//! Around ego the plane is cut into square cells. A polygon that contains a cell or misses it is settled when the grid
//! is built. For the others the cell keeps the few edges that can decide, each once even when neighbouring polygons
//! share it, with the set of polygons that crossing it enters or leaves; crossings of all other edges are folded into
//! the set at the start. A point starts from the cell's set and toggles per crossed edge. Signs are those of the exact
//! orientation test: a point too close to an edge for plain arithmetic, like one outside the grid, asks all polygons.

use scene::geometry::{Aabb, Point, Ring, orient};
use std::collections::HashMap;

/// Edge length of a cell in metres.
const CELL: f64 = 2.0;
/// Cells on either side of ego at most: the grid spans 150 m each way.
const REACH: f64 = 150.0;
/// Cells are treated as this much larger, metres, so that rounding in the cell index cannot matter.
const PAD: f64 = 1e-5;
/// Metres beyond a cell where edges are put of which only the beginning matters.
const FAR: f64 = 1000.0;
/// Relative rounding error of the plain orientation test (Shewchuk).
const ROUNDING: f64 = 3.330_669_073_875_471_6e-16;
/// Most lanes of a map: [`Sets`] has sizes up to here.
pub(super) const MOST_LANES: usize = 4096;

/// What being inside a polygon means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A lane or lane connector with its number among them.
    Lane(u32),
    /// Drivable ground.
    Drivable,
    /// Drivable ground of a junction.
    Intersection,
}

/// The polygons around a point: a set of lanes and what else is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Located<const W: usize> {
    /// One bit per lane.
    pub lanes: [u64; W],
    /// On drivable ground.
    pub drivable: bool,
    /// In a junction.
    pub intersection: bool,
}

/// Bits of a cell's other polygons: one each from bit 0 for those that pass through, and two for all that contain it.
const PASSING: usize = 30;
const ALL_DRIVABLE: u32 = 1 << 30;
const ALL_INTERSECTION: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    first: u32,
    count: u32,
    /// Other polygons at the start, before any edge is crossed.
    others: u32,
    /// Which of them are drivable, and which are junctions.
    drivable: u32,
    intersection: u32,
}

/// An edge from its lower end `a` to its upper end `b`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Edge {
    a: Point,
    b: Point,
    /// Other polygons that it borders.
    others: u32,
}

/// The index.
#[derive(Debug, Clone, Default)]
pub(super) struct Grid {
    origin: Point,
    columns: usize,
    rows: usize,
    /// Per place a cell description; most cells share one.
    cell_of: Vec<u32>,
    cells: Vec<Cell>,
    /// `words` per cell description: lanes at the start.
    cell_lanes: Vec<u64>,
    edges: Vec<Edge>,
    /// `words` per edge: lanes that it borders.
    edge_lanes: Vec<u64>,
    words: usize,
    polygons: Vec<(Class, Ring)>,
}

impl Grid {
    /// Indexes polygons; lanes are numbered `0..lanes` by their [`Class::Lane`], at most [`MOST_LANES`].
    pub fn new(polygons: Vec<(Class, Ring)>, lanes: usize, ego: Point) -> Grid {
        let words = lanes.div_ceil(64).max(1).next_power_of_two();
        let mut grid = Grid { words, polygons, ..Grid::default() };
        grid.place(ego);
        let mut found: Vec<Found> = vec![Found::default(); grid.columns * grid.rows];
        for (class, ring) in &grid.polygons {
            grid.rasterise(*class, ring, &mut found);
        }
        grid.compress(found);
        grid
    }

    /// 64-bit words in a set of lanes: a power of two.
    pub fn words(&self) -> usize {
        self.words
    }

    fn place(&mut self, ego: Point) {
        let mut all = Aabb::EMPTY;
        for (_, ring) in &self.polygons {
            all.add(ring.bounds.min);
            all.add(ring.bounds.max);
        }
        let low = |i: usize| (all.min[i] - CELL).max(ego[i] - REACH);
        let cells = |i: usize| (((all.max[i] + CELL).min(ego[i] + REACH) - low(i)) / CELL).ceil();
        if cells(0) > 0.0 && cells(1) > 0.0 {
            self.origin = [low(0), low(1)];
            (self.columns, self.rows) = (cells(0) as usize, cells(1) as usize);
        }
    }

    fn cell_bounds(&self, column: usize, row: usize) -> Aabb {
        let min = [self.origin[0] + column as f64 * CELL, self.origin[1] + row as f64 * CELL];
        Aabb { min, max: [min[0] + CELL, min[1] + CELL] }.grown(PAD)
    }

    /// Columns or rows that a padded interval can touch; empty when it misses the grid.
    fn span(&self, axis: usize, low: f64, high: f64) -> std::ops::Range<usize> {
        let count = if axis == 0 { self.columns } else { self.rows };
        let cell = |v: f64| ((v - self.origin[axis]) / CELL).floor();
        let (first, last) = (cell(low - PAD).max(0.0), cell(high + PAD).min(count as f64 - 1.0));
        if last < first { 0..0 } else { first as usize..last as usize + 1 }
    }

    fn rasterise(&self, class: Class, ring: &Ring, found: &mut [Found]) {
        let bounds = ring.bounds;
        let (rows, columns) = (self.span(1, bounds.min[1], bounds.max[1]), self.span(0, bounds.min[0], bounds.max[0]));
        let edges: Vec<[Point; 2]> = edges(&ring.points).collect();
        let mut near = vec![false; rows.len() * columns.len()];
        let at = |row: usize, column: usize| (row - rows.start) * columns.len() + (column - columns.start);
        for &[a, b] in &edges {
            for row in self.span(1, a[1], b[1]) {
                for column in self.span(0, a[0].min(b[0]), a[0].max(b[0])) {
                    near[at(row, column)] |= side(a, b, &self.cell_bounds(column, row)) == 0;
                }
            }
        }
        let mut here = Vec::new();
        for row in rows.clone() {
            let mut inside = None;
            let height = self.cell_bounds(columns.start, row);
            here.clear();
            here.extend(edges.iter().filter(|[a, b]| a[1] <= height.max[1] && b[1] >= height.min[1]));
            for column in columns.clone() {
                let cell = &mut found[row * self.columns + column];
                if near[at(row, column)] {
                    let (parity, kept) = decisive(&here, &self.cell_bounds(column, row));
                    cell.passing.push((class, parity, kept));
                    inside = None;
                    continue;
                }
                let is_inside = *inside.get_or_insert_with(|| {
                    let b = self.cell_bounds(column, row);
                    ring.contains([0.5 * (b.min[0] + b.max[0]), 0.5 * (b.min[1] + b.max[1])])
                });
                if is_inside {
                    cell.contain(class);
                }
            }
        }
    }

    fn compress(&mut self, found: Vec<Found>) {
        let mut shared: HashMap<(u32, Vec<u32>), u32> = HashMap::new();
        for found in found {
            let next = self.cells.len() as u32;
            if found.passing.is_empty() {
                let id = *shared.entry((found.others, found.lanes.clone())).or_insert(next);
                self.cell_of.push(id);
                if id != next {
                    continue;
                }
            } else {
                self.cell_of.push(next);
            }
            self.describe(found);
        }
    }

    fn describe(&mut self, found: Found) {
        let first = self.edges.len();
        let (drivable, intersection) = (ALL_DRIVABLE | ALL_INTERSECTION, ALL_INTERSECTION);
        let mut cell = Cell { first: first as u32, count: 0, others: found.others, drivable, intersection };
        let mut lanes = vec![0u64; self.words];
        found.lanes.iter().for_each(|&lane| insert(&mut lanes, lane));
        let mut passing = 0;
        for (class, inside, edges) in found.passing {
            let mut bit = 0;
            if !matches!(class, Class::Lane(_)) {
                if settled(found.others, class) {
                    continue;
                }
                // More polygons than bits do not happen on roads; the last bit then stands for an answer of "maybe",
                // which is avoided by leaving the cell to the slow path below.
                if passing == PASSING {
                    cell.count = u32::MAX;
                    break;
                }
                bit = 1 << passing;
                passing += 1;
                cell.drivable |= bit;
                cell.intersection |= if class == Class::Intersection { bit } else { 0 };
            }
            if inside {
                cell.others |= bit;
            }
            if let (Class::Lane(lane), true) = (class, inside) {
                insert(&mut lanes, lane);
            }
            for [a, b] in edges {
                let known = self.edges[first..].iter().position(|e| e.a == a && e.b == b);
                let at = first + known.unwrap_or(self.edges.len() - first);
                if known.is_none() {
                    self.edges.push(Edge { a, b, others: 0 });
                    self.edge_lanes.resize(self.edges.len() * self.words, 0);
                }
                // Twice along one edge of one polygon cancels out, hence "toggle".
                self.edges[at].others ^= bit;
                if let Class::Lane(lane) = class {
                    toggle(&mut self.edge_lanes[at * self.words..], lane);
                }
            }
        }
        if cell.count != u32::MAX {
            cell.count = (self.edges.len() - first) as u32;
        }
        self.cells.push(cell);
        self.cell_lanes.extend(lanes);
    }

    /// The polygons that strictly contain `p`. `W` must be [`Grid::words`].
    #[inline]
    pub fn locate<const W: usize>(&self, p: Point) -> Located<W> {
        let (x, y) = ((p[0] - self.origin[0]) * (1.0 / CELL), (p[1] - self.origin[1]) * (1.0 / CELL));
        if !(x >= 0.0 && y >= 0.0 && x < self.columns as f64 && y < self.rows as f64) {
            return self.ask_all(p);
        }
        let id = self.cell_of[y as usize * self.columns + x as usize] as usize;
        let cell = self.cells[id];
        let mut lanes = [0; W];
        lanes.copy_from_slice(&self.cell_lanes[id * W..(id + 1) * W]);
        let mut others = cell.others;
        if cell.count > 0 {
            if cell.count == u32::MAX {
                return self.ask_all(p);
            }
            let range = cell.first as usize..(cell.first + cell.count) as usize;
            let toggles = self.edge_lanes[range.start * W..range.end * W].chunks_exact(W);
            let mut unsure = false;
            for (e, toggle) in self.edges[range].iter().zip(toggles) {
                let left = (e.a[0] - p[0]) * (e.b[1] - p[1]);
                let right = (e.a[1] - p[1]) * (e.b[0] - p[0]);
                let side = left - right;
                unsure |= e.a[1] <= p[1] && p[1] <= e.b[1] && side.abs() <= ROUNDING * (left.abs() + right.abs());
                let crossed = e.a[1] <= p[1] && p[1] < e.b[1] && side > 0.0;
                let mask = u64::from(crossed).wrapping_neg();
                for (lane, t) in lanes.iter_mut().zip(toggle) {
                    *lane ^= t & mask;
                }
                others ^= e.others & mask as u32;
            }
            if unsure {
                return self.ask_all(p);
            }
        }
        Located { lanes, drivable: others & cell.drivable != 0, intersection: others & cell.intersection != 0 }
    }

    #[cold]
    fn ask_all<const W: usize>(&self, p: Point) -> Located<W> {
        let mut found = Located { lanes: [0; W], drivable: false, intersection: false };
        for (class, ring) in &self.polygons {
            if ring.contains(p) {
                match *class {
                    Class::Lane(lane) => insert(&mut found.lanes, lane),
                    Class::Drivable => found.drivable = true,
                    Class::Intersection => (found.drivable, found.intersection) = (true, true),
                }
            }
        }
        found
    }
}

fn insert(lanes: &mut [u64], lane: u32) {
    lanes[lane as usize / 64] |= 1 << (lane % 64);
}

fn toggle(lanes: &mut [u64], lane: u32) {
    lanes[lane as usize / 64] ^= 1 << (lane % 64);
}

/// Whether knowing more about a polygon of this class would change nothing.
fn settled(others: u32, class: Class) -> bool {
    match class {
        Class::Lane(_) => false,
        Class::Drivable => others != 0,
        Class::Intersection => others & ALL_INTERSECTION != 0,
    }
}

/// Edges of a ring, each from its lower to its upper end; horizontal ones from left to right.
fn edges(ring: &[Point]) -> impl Iterator<Item = [Point; 2]> + '_ {
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    pairs.map(|(&a, &b)| if (a[1], a[0]) <= (b[1], b[0]) { [a, b] } else { [b, a] })
}

/// 1 when the whole cell lies strictly left of the line `a -> b`, -1 strictly right, 0 when the line may touch it.
fn side(a: Point, b: Point, cell: &Aabb) -> i8 {
    let corners = [cell.min, [cell.max[0], cell.min[1]], cell.max, [cell.min[0], cell.max[1]]];
    let signs = corners.map(|c| orient(a, b, c));
    if signs.iter().all(|&s| s > 0.0) {
        1
    } else if signs.iter().all(|&s| s < 0.0) {
        -1
    } else {
        0
    }
}

/// The edges that decide inside a cell, and whether a point of it that crosses none of them is inside.
///
/// An edge wholly to the right is crossed by the ray towards +x when `a.y <= y < b.y`, that is when exactly one of
/// `y >= a.y` and `y >= b.y` holds. Along a chain of such edges these conditions cancel except at its ends, and ends
/// outside the cell's rows are constant. What is left is put as an edge far to the right that begins there.
fn decisive(edges: &[[Point; 2]], cell: &Aabb) -> (bool, Vec<[Point; 2]>) {
    let (mut parity, mut kept, mut ends) = (false, Vec::new(), Vec::new());
    for &[a, b] in edges {
        if a[1] > cell.max[1] || b[1] < cell.min[1] || a[0].max(b[0]) < cell.min[0] {
            continue;
        }
        let side = if a[0].min(b[0]) > cell.max[0] { 1 } else { side(a, b, cell) };
        if side == 0 {
            kept.push([a, b]);
        } else if side > 0 {
            for y in [a[1], b[1]] {
                if y <= cell.min[1] {
                    parity = !parity;
                } else if y <= cell.max[1] {
                    match ends.iter().position(|&e| e == y) {
                        Some(same) => _ = ends.swap_remove(same),
                        None => ends.push(y),
                    }
                }
            }
        }
    }
    let far = [cell.max[0] + FAR, cell.max[1] + FAR];
    kept.extend(ends.into_iter().map(|y| [[far[0], y], far]));
    (parity, kept)
}

/// What is known of a cell while the grid is built.
#[derive(Debug, Clone, Default)]
struct Found {
    /// [`ALL_DRIVABLE`], [`ALL_INTERSECTION`].
    others: u32,
    lanes: Vec<u32>,
    /// Polygons whose border passes through: inside before any kept edge is crossed, and the kept edges.
    passing: Vec<(Class, bool, Vec<[Point; 2]>)>,
}

impl Found {
    fn contain(&mut self, class: Class) {
        match class {
            Class::Lane(lane) => self.lanes.push(lane),
            Class::Drivable => self.others |= ALL_DRIVABLE,
            Class::Intersection => self.others |= ALL_INTERSECTION,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// A star-shaped, usually non-convex polygon.
    fn star() -> impl Strategy<Value = Vec<Point>> {
        ((-20.0..20.0f64, -20.0..20.0f64), prop::collection::vec(1.0..40.0f64, 3..20)).prop_map(|((x, y), radii)| {
            let n = radii.len() as f64;
            let angle = |i: usize| i as f64 / n * std::f64::consts::TAU;
            radii.iter().enumerate().map(|(i, r)| [x + r * angle(i).cos(), y + r * angle(i).sin()]).collect()
        })
    }

    proptest! {
        #[test]
        fn the_grid_agrees_with_the_polygons(
            rings in prop::collection::vec(star(), 1..5),
            snap in any::<bool>(),
            points in prop::collection::vec((-70.0..70.0f64, -70.0..70.0f64), 200),
        ) {
            // Snapped to whole metres, vertices, edges and cell borders coincide with points.
            let round = |p: Point| if snap { [p[0].round(), p[1].round()] } else { p };
            let rings: Vec<Ring> = rings.into_iter().map(|r| Ring::new(r.into_iter().map(round).collect())).collect();
            let class = |i: usize| [Class::Lane(i as u32), Class::Drivable, Class::Intersection][i % 3];
            let polygons: Vec<_> = rings.iter().cloned().enumerate().map(|(i, r)| (class(i), r)).collect();
            let grid = Grid::new(polygons.clone(), 5, [0.0, 0.0]);
            for p in points.into_iter().map(|(x, y)| round([x, y])).chain(rings.iter().flat_map(|r| r.points.clone())) {
                prop_assert_eq!(grid.locate::<1>(p), grid.ask_all::<1>(p));
            }
        }
    }
}
