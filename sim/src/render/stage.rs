//! What never moves, compiled once per world: ground polygons and painted strips in cells of a grid, solids with them.

use super::canvas::Material;
use super::lanes::{Inks, LANES, Lanes};
use super::noise::hash;
use super::shapes::{self, Ribbon};
use crate::math::sin_cos;
use crate::scenario::{LaneKind, Map, Mark, Point, Prop, SignKind, Turn};
use std::collections::BTreeMap;

/// Metres along a cell's side.
const CELL: f32 = 48.0;
/// Layers of ground from below to above.
pub(crate) const LAYERS: usize = 4;

/// Up to sixteen flat convex quadrilaterals side by side, as [`super::lanes`] takes them. `Inks` are their materials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sheet {
    pub count: usize,
    pub x: [Lanes; 4],
    pub y: [Lanes; 4],
    pub inks: Inks,
}

impl Sheet {
    const NONE: Sheet = Sheet { count: 0, x: [[0.0; LANES]; 4], y: [[0.0; LANES]; 4], inks: Inks::NONE };
}

/// Up to sixteen straight painted pieces or kerbs side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Strips {
    pub count: usize,
    pub from: [Lanes; 2],
    pub to: [Lanes; 2],
    /// Half the width times the unit normal.
    pub side: [Lanes; 2],
    pub half_width: Lanes,
    /// Above the ground: kerbs are raised.
    pub height: Lanes,
    /// Most that it is widened in the distance, times its width.
    pub most: Lanes,
    /// Metres from the line that it would merge with, where it would be left out (∞: none).
    pub gap: Lanes,
    pub inks: Inks,
}

impl Strips {
    const NONE: Strips = Strips {
        count: 0,
        from: [[0.0; LANES]; 2],
        to: [[0.0; LANES]; 2],
        side: [[0.0; LANES]; 2],
        half_width: [1.0; LANES],
        height: [0.0; LANES],
        most: [1.0; LANES],
        gap: [f32::INFINITY; LANES],
        inks: Inks::NONE,
    };
}

/// The last block, or a new one where it is full.
fn last<T: Copy>(blocks: &mut Vec<T>, none: T, full: impl Fn(&T) -> bool) -> Option<&mut T> {
    if blocks.last().is_none_or(full) {
        blocks.push(none);
    }
    blocks.last_mut()
}

/// An upright thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Solid {
    Prop(Prop),
    /// A light by its number.
    Light(usize),
    Sign(SignKind),
}

/// A solid with its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placed {
    pub at: Point,
    /// Unit vector of its heading.
    pub forward: [f32; 2],
    pub radius: f32,
    pub solid: Solid,
    /// For variety of looks.
    pub key: u32,
}

/// Things near each other, with a circle around all of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Cell {
    pub centre: Point,
    pub radius: f32,
    pub sheets: [Vec<Sheet>; LAYERS],
    pub lines: Vec<Strips>,
    pub kerbs: Vec<Strips>,
    pub solids: Vec<Placed>,
}

/// The drawing geometry of a map.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stage {
    pub(crate) cells: Vec<Cell>,
}

#[derive(Default)]
struct Builder {
    cells: BTreeMap<(i32, i32), Cell>,
}

impl Builder {
    fn cell(&mut self, x: f32, y: f32, reach: f32) -> &mut Cell {
        let (i, j) = ((x / CELL).floor(), (y / CELL).floor());
        let cell = self.cells.entry((i as i32, j as i32)).or_default();
        cell.centre = [(i + 0.5) * CELL, (j + 0.5) * CELL];
        let (dx, dy) = (x - cell.centre[0], y - cell.centre[1]);
        cell.radius = cell.radius.max((dx * dx + dy * dy).sqrt() + reach);
        cell
    }

    fn patch(&mut self, layer: usize, corners: [Point; 4], material: Material) {
        let (x, y) = (corners.map(|p| p[0]), corners.map(|p| p[1]));
        if !x.iter().chain(&y).all(|v| v.is_finite()) {
            return;
        }
        let (mx, my) = (x.iter().sum::<f32>() / 4.0, y.iter().sum::<f32>() / 4.0);
        let reach = corners.iter().map(|p| shapes::distance(*p, [mx, my])).fold(0.0, f32::max);
        let sheets = &mut self.cell(mx, my, reach).sheets[layer];
        let Some(sheet) = last(sheets, Sheet::NONE, |s| s.count == LANES) else { return };
        let l = sheet.count;
        for i in 0..4 {
            (sheet.x[i][l], sheet.y[i][l]) = (x[i], y[i]);
        }
        sheet.inks.set(l, material);
        sheet.count += 1;
    }

    fn strip(&mut self, from: Point, to: Point, half_width: f32, material: Material, height: f32, second: bool) {
        let length = shapes::distance(from, to);
        if !length.is_finite() || length < 0.01 {
            return;
        }
        let k = half_width / length;
        let side = [-(to[1] - from[1]) * k, (to[0] - from[0]) * k];
        let reach = 0.5 * length + half_width;
        let cell = self.cell(0.5 * (from[0] + to[0]), 0.5 * (from[1] + to[1]), reach);
        let blocks = if height > 0.0 { &mut cell.kerbs } else { &mut cell.lines };
        let Some(strips) = last(blocks, Strips::NONE, |s| s.count == LANES) else { return };
        let l = strips.count;
        for k in 0..2 {
            (strips.from[k][l], strips.to[k][l], strips.side[k][l]) = (from[k], to[k], side[k]);
        }
        strips.half_width[l] = half_width;
        strips.height[l] = height;
        // Kerbs are seen by their height as well, and must not cover the line beside them.
        strips.most[l] = if material == Material::Kerb { 1.5 } else { 6.0 };
        strips.gap[l] = if second { 0.3 } else { f32::INFINITY };
        strips.inks.set(l, material);
        strips.count += 1;
    }

    fn solid(&mut self, at: Point, heading: f32, radius: f32, solid: Solid, key: u32) {
        let (sin, cos) = sin_cos(heading);
        let placed = Placed { at, forward: [cos, sin], radius, solid, key };
        self.cell(at[0], at[1], radius).solids.push(placed);
    }

    fn ribbon(&mut self, layer: usize, points: &[Point], half_width: f32, material: impl Fn(usize) -> Material) {
        let points = shapes::simplify(points, 0.05, 12.0);
        for (i, corners) in Ribbon::new(&points, half_width).enumerate() {
            self.patch(layer, corners, material(i));
        }
    }

    fn line(&mut self, points: &[Point], mark: Mark) {
        let (material, half_width) = match mark {
            Mark::Dashed | Mark::Solid | Mark::Double => (Material::White, 0.075),
            Mark::YellowDashed | Mark::Yellow | Mark::YellowDouble => (Material::Yellow, 0.075),
            Mark::Border => (Material::Kerb, 0.12),
        };
        match mark {
            Mark::Dashed | Mark::YellowDashed => {
                for [a, b] in shapes::dashes(points, 3.0, 9.0) {
                    self.strip(a, b, half_width, material, 0.0, false);
                }
            }
            Mark::Solid | Mark::Yellow | Mark::Border => self.whole(points, half_width, material, 0.0, false),
            Mark::Double | Mark::YellowDouble => {
                self.whole(&shapes::offset(points, 0.15), half_width, material, 0.0, false);
                self.whole(&shapes::offset(points, -0.15), half_width, material, 0.0, true);
            }
        }
    }

    fn whole(&mut self, points: &[Point], half_width: f32, material: Material, height: f32, second: bool) {
        for pair in shapes::simplify(points, 0.04, 15.0).windows(2) {
            self.strip(pair[0], pair[1], half_width, material, height, second);
        }
    }
}

impl Stage {
    /// Compiles what stands still on a map.
    pub fn new(map: &Map) -> Stage {
        let mut b = Builder::default();
        for polygon in &map.pavements {
            for corners in shapes::triangles(polygon) {
                b.patch(1, corners, Material::Pavement);
            }
        }
        for polygon in &map.areas {
            for corners in shapes::triangles(polygon) {
                b.patch(2, corners, Material::Asphalt);
            }
        }
        for (index, lane) in map.lanes.iter().enumerate() {
            let junction = lane.turn != Turn::None;
            let bicycle = lane.kind == LaneKind::Bicycle && !junction;
            let material = |i: usize| match bicycle {
                true => Material::Cycleway,
                false if !junction && hash(index as u32, i as u32).is_multiple_of(5) => Material::AsphaltPatch,
                false => Material::Asphalt,
            };
            // Coloured cycleways lie on the asphalt, but not across junctions.
            b.ribbon(if bicycle { 3 } else { 2 }, &lane.points, 0.5 * lane.width + 0.12, material);
            if lane.turn == Turn::None {
                grass(&mut b, &lane.points, index as u32);
            }
        }
        for crosswalk in &map.crosswalks {
            for corners in shapes::zebra(crosswalk) {
                b.patch(3, corners, Material::White);
            }
        }
        for edge in &map.edges {
            b.whole(edge, 0.13, Material::Kerb, 0.12, false);
        }
        for line in &map.lines {
            b.line(&line.points, line.mark);
        }
        for stop in &map.stop_lines {
            b.strip(stop.points[0], stop.points[1], 0.22, Material::White, 0.0, false);
        }
        for (i, light) in map.lights.iter().enumerate() {
            b.solid(light.at, light.heading, 1.0, Solid::Light(i), i as u32);
        }
        for (i, sign) in map.signs.iter().enumerate() {
            b.solid(sign.at, sign.heading, 1.0, Solid::Sign(sign.kind), i as u32);
        }
        for (i, prop) in map.props.iter().enumerate() {
            let [length, width, _] = prop.size;
            let radius = 0.5 * (length * length + width * width).sqrt() + 0.5;
            b.solid(prop.at, prop.heading, radius, Solid::Prop(*prop), i as u32);
        }
        Stage { cells: b.cells.into_values().filter(|c| c.radius.is_finite()).collect() }
    }
}

/// Darker and lighter patches of grass on both sides of a road: without them nothing moves there.
fn grass(b: &mut Builder, points: &[Point], key: u32) {
    for (i, pair) in shapes::simplify(points, 1.0, 14.0).windows(2).enumerate() {
        let h = hash(key, 0x100 + i as u32);
        let (ux, uy) = (pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]);
        let length = (ux * ux + uy * uy).sqrt().max(0.1);
        let (ux, uy) = (ux / length, uy / length);
        for side in [-1.0f32, 1.0] {
            let out = 7.0 + (h & 15) as f32;
            let (x, y) = (pair[0][0] - uy * side * out, pair[0][1] + ux * side * out);
            let (a, w) = (3.0 + (h >> 4 & 3) as f32, 1.0 + (h >> 6 & 3) as f32);
            let corner = |s: f32, t: f32| [x + ux * s - uy * t, y + uy * s + ux * t];
            b.patch(0, [corner(-a, 0.0), corner(0.0, -w), corner(a, 0.0), corner(0.0, w)], Material::GrassPatch);
        }
    }
}
