//! Oriented boxes, and the solids of a world in a grid.

use crate::math;
use crate::scenario::Prop;

/// A box on the ground.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Obb {
    /// Centre, metres.
    pub x: f32,
    /// Centre, metres.
    pub y: f32,
    /// Direction of the length.
    pub cos: f32,
    /// Direction of the length.
    pub sin: f32,
    /// Metres.
    pub half_length: f32,
    /// Metres.
    pub half_width: f32,
}

impl Obb {
    /// Whether two boxes overlap: no axis of either separates them.
    #[inline]
    pub fn overlaps(&self, other: &Obb) -> bool {
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        let c = (self.cos * other.cos + self.sin * other.sin).abs();
        let s = (self.cos * other.sin - self.sin * other.cos).abs();
        let along = |b: &Obb| ((dx * b.cos + dy * b.sin).abs(), (dy * b.cos - dx * b.sin).abs());
        let ((ax, ay), (bx, by)) = (along(self), along(other));
        ax < self.half_length + other.half_length * c + other.half_width * s
            && ay < self.half_width + other.half_length * s + other.half_width * c
            && bx < other.half_length + self.half_length * c + self.half_width * s
            && by < other.half_width + self.half_length * s + self.half_width * c
    }

    /// Whether the other's centre, or the nearest part of its length, lies in front of this one's centre.
    #[inline]
    pub fn faces(&self, other: &Obb) -> bool {
        let ahead = (other.x - self.x) * self.cos + (other.y - self.y) * self.sin;
        let extent = other.half_length * (self.cos * other.cos + self.sin * other.sin).abs();
        ahead + extent > 0.3 * self.half_length && ahead > -extent
    }

    /// Front left, front right, rear right, rear left.
    pub fn corners(&self) -> [[f32; 2]; 4] {
        let at = |l: f32, w: f32| [self.x + l * self.cos - w * self.sin, self.y + l * self.sin + w * self.cos];
        let (l, w) = (self.half_length, self.half_width);
        [at(l, w), at(l, -w), at(-l, -w), at(-l, w)]
    }
}

/// Metres of a cell.
const CELL: f32 = 16.0;

/// The solids of a world.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Props {
    /// In the order of the map.
    pub boxes: Vec<Obb>,
    origin: [f32; 2],
    columns: usize,
    rows: usize,
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Props {
    /// Sorts solids into cells.
    pub fn new(props: &[Prop]) -> Props {
        let boxes: Vec<Obb> = props
            .iter()
            .map(|p| {
                let (sin, cos) = math::sin_cos(p.heading);
                Obb { x: p.at[0], y: p.at[1], cos, sin, half_length: 0.5 * p.size[0], half_width: 0.5 * p.size[1] }
            })
            .collect();
        let (mut low, mut high) = ([f32::MAX; 2], [f32::MIN; 2]);
        for c in boxes.iter().flat_map(Obb::corners) {
            low = [low[0].min(c[0]), low[1].min(c[1])];
            high = [high[0].max(c[0]), high[1].max(c[1])];
        }
        if boxes.is_empty() {
            return Props::default();
        }
        let cells = |axis: usize| (((high[axis] - low[axis]) / CELL) as usize + 1).min(1024);
        let mut all = Props { origin: low, columns: cells(0), rows: cells(1), ..Props::default() };
        let mut lists = vec![Vec::new(); all.columns * all.rows];
        for (i, b) in boxes.iter().enumerate() {
            let r = (b.half_length * b.half_length + b.half_width * b.half_width).sqrt();
            all.cells([b.x - r, b.y - r], [b.x + r, b.y + r], |c| lists[c].push(i as u32));
        }
        all.starts.push(0);
        for list in &lists {
            all.list.extend_from_slice(list);
            all.starts.push(all.list.len() as u32);
        }
        all.boxes = boxes;
        all
    }

    /// Calls `f` with each solid of the cells within so many metres of a point; some more than once.
    pub fn near(&self, x: f32, y: f32, reach: f32, mut f: impl FnMut(usize, &Obb)) {
        if self.boxes.is_empty() {
            return;
        }
        self.cells([x - reach, y - reach], [x + reach, y + reach], |c| {
            for &i in &self.list[self.starts[c] as usize..self.starts[c + 1] as usize] {
                f(i as usize, &self.boxes[i as usize]);
            }
        });
    }

    fn cells(&self, low: [f32; 2], high: [f32; 2], mut f: impl FnMut(usize)) {
        let place = |v: f32, axis: usize, n: usize| {
            (((v - self.origin[axis]) / CELL).max(0.0) as usize).min(n.saturating_sub(1))
        };
        for row in place(low[1], 1, self.rows)..=place(high[1], 1, self.rows) {
            for column in place(low[0], 0, self.columns)..=place(high[0], 0, self.columns) {
                f(row * self.columns + column);
            }
        }
    }
}
