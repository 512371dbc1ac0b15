//! Which map polygons contain a point, answered in nanoseconds and exactly.
//!
//! Around ego the plane is cut into square cells. A polygon that contains a cell or misses it is settled when the grid
//! is built; for the others the cell keeps the few edges that can decide, and the crossings of all other edges as one
//! parity bit. The remaining edges go through the same exact tests as the whole polygon would, so the answer is that of
//! [`scene::geometry::locate`] for every point. Outside the grid all polygons are asked.

use scene::geometry::{Aabb, Point, Ring, orient};
use std::collections::HashMap;

/// Edge length of a cell in metres.
const CELL: f64 = 2.0;
/// Cells on either side of ego at most: the grid spans 150 m each way.
const REACH: f64 = 150.0;
/// Cells are treated as this much larger, metres, so that rounding in the cell index cannot matter.
const PAD: f64 = 1e-5;

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

/// Bits of [`Place::flags`].
pub(super) const DRIVABLE: u8 = 1;
/// Inside a junction (then also drivable).
pub(super) const INTERSECTION: u8 = 2;

#[derive(Debug, Clone, Copy)]
struct Cell {
    flags: u8,
    first: u32,
    count: u32,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    class: Class,
    /// Parity of the crossings of edges that are not kept.
    inside: bool,
    first: u32,
    count: u32,
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
    /// `words` per cell description: the lanes that contain the whole cell.
    lanes: Vec<u64>,
    words: usize,
    candidates: Vec<Candidate>,
    edges: Vec<[Point; 2]>,
    polygons: Vec<(Class, Ring)>,
}

impl Grid {
    /// Indexes polygons; lanes are numbered `0..lanes` by their [`Class::Lane`].
    pub fn new(polygons: Vec<(Class, Ring)>, lanes: usize, ego: Point) -> Grid {
        let mut grid = Grid { words: lanes.div_ceil(64).max(1), polygons, ..Grid::default() };
        grid.place(ego);
        let mut found: Vec<Found> = vec![Found::default(); grid.columns * grid.rows];
        for i in 0..grid.polygons.len() {
            grid.rasterise(i, &mut found);
        }
        grid.compress(found);
        grid
    }

    /// 64-bit words in a set of lanes.
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

    fn rasterise(&self, index: usize, found: &mut [Found]) {
        let (class, ring) = &self.polygons[index];
        let bounds = ring.bounds;
        let (rows, columns) = (self.span(1, bounds.min[1], bounds.max[1]), self.span(0, bounds.min[0], bounds.max[0]));
        let edges: Vec<[Point; 2]> = edges(&ring.points).collect();
        let mut near = vec![false; rows.len() * columns.len()];
        let at = |row: usize, column: usize| (row - rows.start) * columns.len() + (column - columns.start);
        for &[a, b] in &edges {
            for row in self.span(1, a[1].min(b[1]), a[1].max(b[1])) {
                for column in self.span(0, a[0].min(b[0]), a[0].max(b[0])) {
                    near[at(row, column)] |= side(a, b, &self.cell_bounds(column, row)) == 0;
                }
            }
        }
        for row in rows.clone() {
            let mut inside = None;
            for column in columns.clone() {
                let cell = &mut found[row * self.columns + column];
                if near[at(row, column)] {
                    let (parity, kept) = decisive(&edges, &self.cell_bounds(column, row));
                    cell.candidates.push((*class, parity, kept));
                    inside = None;
                    continue;
                }
                let is_inside = *inside.get_or_insert_with(|| {
                    let b = self.cell_bounds(column, row);
                    ring.contains([0.5 * (b.min[0] + b.max[0]), 0.5 * (b.min[1] + b.max[1])])
                });
                if is_inside {
                    cell.add(*class);
                }
            }
        }
    }

    fn compress(&mut self, found: Vec<Found>) {
        let mut shared: HashMap<(u8, Vec<u32>), u32> = HashMap::new();
        for cell in found {
            let flags = cell.flags;
            let kept: Vec<_> = cell.candidates.into_iter().filter(|(class, ..)| !settled(flags, *class)).collect();
            if kept.is_empty() {
                let next = self.cells.len() as u32;
                let id = *shared.entry((flags, cell.lanes.clone())).or_insert(next);
                self.cell_of.push(id);
                if id != next {
                    continue;
                }
            } else {
                self.cell_of.push(self.cells.len() as u32);
            }
            self.cells.push(Cell { flags, first: self.candidates.len() as u32, count: kept.len() as u32 });
            let start = self.lanes.len();
            self.lanes.resize(start + self.words, 0);
            for lane in cell.lanes {
                self.lanes[start + lane as usize / 64] |= 1 << (lane % 64);
            }
            for (class, inside, edges) in kept {
                let (first, count) = (self.edges.len() as u32, edges.len() as u32);
                self.candidates.push(Candidate { class, inside, first, count });
                self.edges.extend(edges);
            }
        }
    }

    /// Adds to `lanes` (`words` long, cleared first) the lanes that strictly contain `p`; returns the flags.
    #[inline]
    pub fn locate(&self, p: Point, lanes: &mut [u64]) -> u8 {
        let (x, y) = ((p[0] - self.origin[0]) * (1.0 / CELL), (p[1] - self.origin[1]) * (1.0 / CELL));
        if !(x >= 0.0 && y >= 0.0 && x < self.columns as f64 && y < self.rows as f64) {
            return self.locate_outside(p, lanes);
        }
        let id = self.cell_of[y as usize * self.columns + x as usize] as usize;
        let cell = self.cells[id];
        lanes.copy_from_slice(&self.lanes[id * self.words..(id + 1) * self.words]);
        let mut flags = cell.flags;
        let first = cell.first as usize;
        for c in &self.candidates[first..first + cell.count as usize] {
            if settled(flags, c.class) {
                continue;
            }
            let first = c.first as usize;
            if crossings(&self.edges[first..first + c.count as usize], p, c.inside) {
                flags |= mark(c.class, lanes);
            }
        }
        flags
    }

    #[cold]
    fn locate_outside(&self, p: Point, lanes: &mut [u64]) -> u8 {
        lanes.fill(0);
        let inside = self.polygons.iter().filter(|(_, ring)| ring.contains(p));
        inside.fold(0, |flags, (class, _)| flags | mark(*class, lanes))
    }
}

/// Whether knowing more about a polygon of this class would change nothing.
#[inline]
fn settled(flags: u8, class: Class) -> bool {
    match class {
        Class::Lane(_) => false,
        Class::Drivable => flags & DRIVABLE != 0,
        Class::Intersection => flags & INTERSECTION != 0,
    }
}

#[inline]
fn mark(class: Class, lanes: &mut [u64]) -> u8 {
    match class {
        Class::Lane(i) => {
            lanes[i as usize / 64] |= 1 << (i % 64);
            0
        }
        Class::Drivable => DRIVABLE,
        Class::Intersection => DRIVABLE | INTERSECTION,
    }
}

/// Whether `p` lies strictly inside, given the parity of all edges that are not in the list.
#[inline]
fn crossings(edges: &[[Point; 2]], p: Point, mut inside: bool) -> bool {
    for &[a, b] in edges {
        if (a[1] > p[1]) != (b[1] > p[1]) {
            let side = orient(a, b, p);
            if side == 0.0 {
                return false;
            }
            inside ^= (side > 0.0) == (b[1] > a[1]);
        } else if (b[0] == p[0] && b[1] == p[1])
            || (a[1] == p[1] && b[1] == p[1] && p[0] >= a[0].min(b[0]) && p[0] <= a[0].max(b[0]))
        {
            return false;
        }
    }
    inside
}

fn edges(ring: &[Point]) -> impl Iterator<Item = [Point; 2]> + '_ {
    ring.iter().zip(ring.iter().cycle().skip(1)).map(|(&a, &b)| [a, b])
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

/// The edges that decide inside a cell, and the parity of those that are crossed by the ray from every point of it.
fn decisive(edges: &[[Point; 2]], cell: &Aabb) -> (bool, Vec<[Point; 2]>) {
    let (mut parity, mut kept) = (false, Vec::new());
    for &[a, b] in edges {
        let (low, high) = (a[1].min(b[1]), a[1].max(b[1]));
        if low > cell.max[1] || high < cell.min[1] || a[0].max(b[0]) < cell.min[0] {
            continue;
        }
        let side = side(a, b, cell);
        let crossed = (side > 0) == (b[1] > a[1]);
        if side == 0 || (crossed && !(low <= cell.min[1] && high > cell.max[1])) {
            kept.push([a, b]);
        } else if crossed {
            parity = !parity;
        }
    }
    (parity, kept)
}

/// What is known of a cell while the grid is built.
#[derive(Debug, Clone, Default)]
struct Found {
    flags: u8,
    lanes: Vec<u32>,
    candidates: Vec<(Class, bool, Vec<[Point; 2]>)>,
}

impl Found {
    fn add(&mut self, class: Class) {
        match class {
            Class::Lane(i) => self.lanes.push(i),
            Class::Drivable => self.flags |= DRIVABLE,
            Class::Intersection => self.flags |= DRIVABLE | INTERSECTION,
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
            let (mut fast, mut slow) = ([0u64], [0u64]);
            for p in points.into_iter().map(|(x, y)| round([x, y])).chain(rings.iter().flat_map(|r| r.points.clone())) {
                let flags = grid.locate(p, &mut fast);
                prop_assert_eq!(flags, grid.locate_outside(p, &mut slow));
                prop_assert_eq!(fast, slow);
            }
        }
    }
}
