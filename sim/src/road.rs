//! Lanes as flat arrays of samples, and where a point is on them.

use crate::math;
use crate::scenario::{self, LaneKind, Point, Turn};

/// Metres between samples of a lane (the last gap is shorter).
pub const SPACING: f32 = 1.0;
/// Metres to the side of a lane's half width at which a point is still found on it.
const REACH: f32 = 1.0;
/// Metres of a cell of the grid.
const CELL: f32 = 8.0;
/// Cells along a side at most; larger maps get larger cells.
const MOST_CELLS: f32 = 512.0;

/// What is known of a lane besides its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneInfo {
    /// First sample.
    pub first: usize,
    /// Number of samples, at least 2.
    pub count: usize,
    /// Metres.
    pub length: f32,
    /// Metres.
    pub width: f32,
    /// m/s.
    pub limit: f32,
    /// What it does in a junction.
    pub turn: Turn,
    /// Who uses it.
    pub kind: LaneKind,
    /// Lane to the left in the same direction.
    pub left: Option<usize>,
    /// Lane to the right in the same direction.
    pub right: Option<usize>,
    /// Lanes that continue it.
    pub next: Vec<usize>,
}

/// Where a point is on a lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OnLane {
    /// Which.
    pub lane: usize,
    /// Metres from its start.
    pub s: f32,
    /// Metres to the left of its centre.
    pub lat: f32,
    /// Direction of the lane there.
    pub cos: f32,
    /// Direction of the lane there.
    pub sin: f32,
}

/// All lanes and drivable areas of a world.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Road {
    /// Lanes, by id.
    pub lanes: Vec<LaneInfo>,
    /// Samples of all lanes.
    pub x: Vec<f32>,
    /// Samples of all lanes.
    pub y: Vec<f32>,
    /// Direction at each sample.
    pub cos: Vec<f32>,
    /// Direction at each sample.
    pub sin: Vec<f32>,
    lane_of: Vec<u32>,
    areas: Vec<Vec<Point>>,
    grid: Grid,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Grid {
    origin: Point,
    cell: f32,
    columns: usize,
    rows: usize,
    starts: Vec<u32>,
    samples: Vec<u32>,
    area_starts: Vec<u32>,
    areas: Vec<u32>,
}

impl Road {
    /// Compiles a map whose lanes have at least 2 points each.
    pub fn new(map: &scenario::Map) -> Road {
        let mut road = Road { areas: map.areas.clone(), ..Road::default() };
        for (id, lane) in map.lanes.iter().enumerate() {
            let line = resample(&lane.points, SPACING);
            let first = road.x.len();
            for (i, p) in line.iter().enumerate() {
                let (cos, sin) = direction(&line, i);
                road.x.push(p[0]);
                road.y.push(p[1]);
                road.cos.push(cos);
                road.sin.push(sin);
                road.lane_of.push(id as u32);
            }
            road.lanes.push(LaneInfo {
                first,
                count: line.len(),
                length: length(&line),
                width: lane.width,
                limit: lane.limit,
                turn: lane.turn,
                kind: lane.kind,
                left: lane.left,
                right: lane.right,
                next: lane.next.clone(),
            });
        }
        road.grid = Grid::new(&road);
        road
    }

    /// Samples of a lane in order.
    pub fn line(&self, lane: usize) -> Vec<Point> {
        self.lanes
            .get(lane)
            .map_or_else(Vec::new, |l| (l.first..l.first + l.count).map(|i| [self.x[i], self.y[i]]).collect())
    }

    /// Calls `f` with every lane that covers a point, widened by `margin` metres (at most 1) on both sides. A lane can
    /// be named twice where its samples meet.
    #[inline]
    pub fn lanes_at(&self, x: f32, y: f32, margin: f32, mut f: impl FnMut(OnLane)) {
        for &i in self.grid.near(x, y) {
            let i = i as usize;
            let lane = self.lane_of[i] as usize;
            let info = &self.lanes[lane];
            let (dx, dy) = (x - self.x[i], y - self.y[i]);
            let (cos, sin) = (self.cos[i], self.sin[i]);
            let along = dx * cos + dy * sin;
            let lat = dy * cos - dx * sin;
            let half = 0.5 * info.width + margin;
            if along.abs() <= 0.55 * SPACING && lat.abs() <= half {
                let s = (i - info.first) as f32 * SPACING + along;
                f(OnLane { lane, s: s.clamp(0.0, info.length), lat, cos, sin });
            }
        }
    }

    /// The lane under a point whose direction agrees best with a heading; nearest centre among equals. Within 60
    /// degrees of the heading, else `None`.
    pub fn lane_along(&self, x: f32, y: f32, (cos, sin): (f32, f32)) -> Option<OnLane> {
        let mut best: Option<(f32, OnLane)> = None;
        self.lanes_at(x, y, 0.3, |hit| {
            let agree = hit.cos * cos + hit.sin * sin;
            let score = agree - 0.15 * hit.lat.abs();
            if agree > 0.5 && best.is_none_or(|(b, _)| score > b) {
                best = Some((score, hit));
            }
        });
        best.map(|(_, hit)| hit)
    }

    /// Whether a point is on a lane or a drivable area, `margin` metres (at most 1) allowed beside lanes.
    pub fn on_road(&self, x: f32, y: f32, margin: f32) -> bool {
        let mut on = false;
        self.lanes_at(x, y, margin, |_| on = true);
        on || self.in_area(x, y)
    }

    /// Whether a point is inside a drivable area.
    pub fn in_area(&self, x: f32, y: f32) -> bool {
        self.grid.areas_near(x, y).iter().any(|&a| inside(&self.areas[a as usize], [x, y]))
    }
}

impl Grid {
    fn new(road: &Road) -> Grid {
        let points = || {
            road.x.iter().copied().zip(road.y.iter().copied()).chain(road.areas.iter().flatten().map(|p| (p[0], p[1])))
        };
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for (x, y) in points() {
            low = [low[0].min(x), low[1].min(y)];
            high = [high[0].max(x), high[1].max(y)];
        }
        if low[0] > high[0] {
            return Grid::default();
        }
        let widest = road.lanes.iter().map(|l| 0.5 * l.width).fold(0.0, f32::max) + REACH + SPACING;
        let span = (high[0] - low[0]).max(high[1] - low[1]) + 2.0 * widest;
        let cell = CELL.max(span / MOST_CELLS);
        let origin = [low[0] - widest, low[1] - widest];
        let columns = ((high[0] - low[0] + 2.0 * widest) / cell) as usize + 1;
        let rows = ((high[1] - low[1] + 2.0 * widest) / cell) as usize + 1;
        let mut grid = Grid { origin, cell, columns, rows, ..Grid::default() };
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); columns * rows];
        for i in 0..road.x.len() {
            let reach = 0.5 * road.lanes[road.lane_of[i] as usize].width + REACH + 0.5 * SPACING;
            let (x, y) = (road.x[i], road.y[i]);
            grid.cover([x - reach, y - reach], [x + reach, y + reach], |c| lists[c].push(i as u32));
        }
        (grid.starts, grid.samples) = flatten(&lists);
        lists.iter_mut().for_each(Vec::clear);
        for (a, ring) in road.areas.iter().enumerate() {
            let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
            for p in ring {
                low = [low[0].min(p[0]), low[1].min(p[1])];
                high = [high[0].max(p[0]), high[1].max(p[1])];
            }
            if low[0] <= high[0] {
                grid.cover(low, high, |c| lists[c].push(a as u32));
            }
        }
        (grid.area_starts, grid.areas) = flatten(&lists);
        grid
    }

    fn cover(&self, low: Point, high: Point, mut f: impl FnMut(usize)) {
        let place = |v: f32, origin: f32, n: usize| (((v - origin) / self.cell).max(0.0) as usize).min(n - 1);
        for row in place(low[1], self.origin[1], self.rows)..=place(high[1], self.origin[1], self.rows) {
            for column in place(low[0], self.origin[0], self.columns)..=place(high[0], self.origin[0], self.columns) {
                f(row * self.columns + column);
            }
        }
    }

    #[inline]
    fn cell_of(&self, x: f32, y: f32) -> Option<usize> {
        let (c, r) = ((x - self.origin[0]) / self.cell, (y - self.origin[1]) / self.cell);
        let inside = c >= 0.0 && r >= 0.0 && c < self.columns as f32 && r < self.rows as f32;
        inside.then(|| r as usize * self.columns + c as usize)
    }

    #[inline]
    fn near(&self, x: f32, y: f32) -> &[u32] {
        self.cell_of(x, y).map_or(&[], |c| &self.samples[self.starts[c] as usize..self.starts[c + 1] as usize])
    }

    fn areas_near(&self, x: f32, y: f32) -> &[u32] {
        self.cell_of(x, y).map_or(&[], |c| &self.areas[self.area_starts[c] as usize..self.area_starts[c + 1] as usize])
    }
}

fn flatten(lists: &[Vec<u32>]) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0];
    let mut all = Vec::new();
    for list in lists {
        all.extend_from_slice(list);
        starts.push(all.len() as u32);
    }
    (starts, all)
}

/// Whether a point is inside a simple polygon (even-odd rule).
pub fn inside(ring: &[Point], p: Point) -> bool {
    let mut odd = false;
    for (i, a) in ring.iter().enumerate() {
        let b = ring[(i + 1) % ring.len()];
        if (a[1] > p[1]) != (b[1] > p[1]) {
            let t = (p[1] - a[1]) / (b[1] - a[1]);
            odd ^= p[0] < a[0] + t * (b[0] - a[0]);
        }
    }
    odd
}

/// Length of a polyline, metres.
pub fn length(line: &[Point]) -> f32 {
    line.windows(2).map(|w| distance(w[0], w[1])).sum()
}

/// Metres between two points.
#[inline]
pub fn distance(a: Point, b: Point) -> f32 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    (dx * dx + dy * dy).sqrt()
}

/// A polyline cut into pieces of `spacing` metres measured along it; its end is kept, so the last piece is shorter
/// (or, within a tenth of the spacing, longer). Repeated points are dropped. At least 2 points for a line of 2.
pub fn resample(line: &[Point], spacing: f32) -> Vec<Point> {
    let mut out: Vec<Point> = line.first().copied().into_iter().collect();
    let mut left = spacing;
    for w in line.windows(2) {
        let piece = distance(w[0], w[1]);
        let mut done = 0.0;
        while piece - done >= left {
            done += left;
            let t = done / piece;
            out.push([w[0][0] + t * (w[1][0] - w[0][0]), w[0][1] + t * (w[1][1] - w[0][1])]);
            left = spacing;
        }
        left -= piece - done;
    }
    if let Some(&end) = line.last() {
        if left < 0.9 * spacing || out.len() < 2 {
            out.push(end);
        } else if let Some(last) = out.last_mut() {
            *last = end;
        }
    }
    out
}

/// Direction of a polyline at a vertex: of the chord between its neighbours.
pub fn direction(line: &[Point], i: usize) -> (f32, f32) {
    let a = line[i.saturating_sub(1)];
    let b = line[(i + 1).min(line.len() - 1)];
    let d = distance(a, b);
    if d > 1e-6 { ((b[0] - a[0]) / d, (b[1] - a[1]) / d) } else { (1.0, 0.0) }
}

/// The heading of a direction, radians.
pub fn heading((cos, sin): (f32, f32)) -> f32 {
    math::atan2(sin, cos)
}
