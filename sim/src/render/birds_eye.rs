//! The world from above, for reports: north up, ego in the middle, its planned trajectory as a line.

use super::Actor;
use super::canvas::Material;
use super::frame::{Class, Frame};
use super::ground::ALL;
use super::lanes::Inks;
use super::pen::{Corners, Ink, Pen};
use super::simd::{self, Fill, Target};
use super::stage::{LAYERS, Solid, Stage};
use super::style::{Rgb, Style, dim, rgb};
use crate::math::sin_cos;
use crate::scenario::{AgentKind, Lamp, Point, PropKind};

/// A camera far above: everything is one metre from a pen whose focal length is the scale.
struct Chart<'a> {
    pen: Pen<'a>,
    centre: Point,
    /// Pixels per metre.
    scale: f32,
}

impl Chart<'_> {
    fn polygon(&mut self, corners: [Point; 4], colour: Rgb, tag: u32) {
        let [cx, cy] = self.centre;
        // Later polygons cover earlier ones.
        let ink = Ink { colour, tag, fill: Fill::Solid };
        self.pen.quad(&Corners::new(corners.map(|p| [p[0] - cx, cy - p[1], 1.0])), ink);
    }

    fn rectangle(&mut self, at: Point, heading: f32, x: [f32; 2], y: [f32; 2], colour: Rgb, tag: u32) {
        let (s, c) = sin_cos(heading);
        let corner = |u: f32, v: f32| [at[0] + u * c - v * s, at[1] + u * s + v * c];
        self.polygon([corner(x[0], y[0]), corner(x[1], y[0]), corner(x[1], y[1]), corner(x[0], y[1])], colour, tag);
    }

    /// A line at least a pixel and a half wide.
    fn line(&mut self, a: Point, b: Point, width: f32, colour: Rgb, tag: u32) {
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let half = 0.5 * width.max(1.5 / self.scale);
        let k = half / (dx * dx + dy * dy).sqrt().max(1e-3);
        let (nx, ny) = (-dy * k, dx * k);
        let q = [[a[0] - nx, a[1] - ny], [b[0] - nx, b[1] - ny], [b[0] + nx, b[1] + ny], [a[0] + nx, a[1] + ny]];
        self.polygon(q, colour, tag);
    }

    fn actor(&mut self, a: &Actor, colour: Rgb, tag: u32) {
        let least = 1.2 / self.scale;
        let (x, y) = ((0.5 * a.length).max(least), (0.5 * a.width).max(least));
        let at = [a.x, a.y];
        self.rectangle(
            at,
            a.heading,
            [-x - least * 0.5, x + least * 0.5],
            [-y - least * 0.5, y + least * 0.5],
            rgb(20, 20, 24),
            tag,
        );
        self.rectangle(at, a.heading, [-x, x], [-y, y], colour, tag);
        let motor = !matches!(a.kind, AgentKind::Pedestrian | AgentKind::Cyclist | AgentKind::Motorcycle);
        if motor {
            self.rectangle(at, a.heading, [0.15 * x, 0.5 * x], [-0.8 * y, 0.8 * y], rgb(24, 30, 40), tag);
        }
        if motor && a.braking {
            self.rectangle(at, a.heading, [-x, -0.8 * x], [-y, y], rgb(255, 20, 20), tag);
        }
        if a.indicator != 0 {
            let v = if a.indicator > 0 { [0.4 * y, y] } else { [-y, -0.4 * y] };
            self.rectangle(at, a.heading, [0.8 * x, x], v, rgb(255, 170, 0), tag);
        }
    }
}

/// Draws the surroundings of `ego` from above, `size` pixels on each side, into `frame`: lamps colour their stop line's
/// light, ego is green, and `plan` (world points, may be empty) is a line in magenta.
#[allow(clippy::too_many_arguments)] // the state of a world, from where it is seen and how
pub fn birds_eye(
    stage: &Stage,
    actors: &[Actor],
    lamps: &[Lamp],
    ego: &Actor,
    plan: &[Point],
    metres_per_pixel: f32,
    size: usize,
    style: &Style,
    frame: &mut Frame,
) {
    frame.resize(size, size);
    frame.colour.fill(Material::Grass.colour(style));
    frame.inverse_depth.fill(0.0);
    frame.tag.fill(Class::Ground as u32);
    let vector = !frame.portable && simd::available();
    let scale = 1.0 / metres_per_pixel.max(1e-3);
    let middle = 0.5 * size as f32;
    let target = Target {
        width: size,
        height: size,
        cx: middle,
        cy: middle,
        colour: &mut frame.colour,
        depth: &mut frame.inverse_depth,
        tag: &mut frame.tag,
        vector,
    };
    let mut chart = Chart { pen: Pen::new(target, &[], scale), centre: [ego.x, ego.y], scale };
    let reach = 1.5 * middle / scale;
    let near = |c: &&super::stage::Cell| super::shapes::distance(c.centre, [ego.x, ego.y]) < reach + c.radius;
    for layer in 1..LAYERS {
        for sheet in stage.cells.iter().filter(near).flat_map(|c| &c.sheets[layer]) {
            for l in 0..sheet.count {
                let corners = [0, 1, 2, 3].map(|i| [sheet.x[i][l], sheet.y[i][l]]);
                chart.polygon(corners, surface(style, &sheet.inks, l), sheet.inks.tag[l]);
            }
        }
    }
    for strips in stage.cells.iter().filter(near).flat_map(|c| c.lines.iter().chain(&c.kerbs)) {
        for l in 0..strips.count {
            let (a, b) = ([strips.from[0][l], strips.from[1][l]], [strips.to[0][l], strips.to[1][l]]);
            chart.line(a, b, 2.0 * strips.half_width[l], surface(style, &strips.inks, l), strips.inks.tag[l]);
        }
    }
    for placed in stage.cells.iter().filter(near).flat_map(|c| &c.solids) {
        solid(&mut chart, placed, lamps);
    }
    for a in actors {
        chart.actor(a, style.body(a.kind, a.id), a.class() as u32 | (u32::from(a.id) + 1) << 16);
    }
    chart.actor(ego, rgb(40, 230, 90), Class::Ego as u32);
    for pair in plan.windows(2) {
        chart.line(pair[0], pair[1], 0.4, rgb(255, 0, 220), Class::Ego as u32);
    }
    chart.pen.finish();
    simd::pack(&frame.colour, &mut frame.rgb, vector);
    if frame.labels {
        frame.write_labels();
    }
}

fn surface(style: &Style, inks: &Inks, lane: usize) -> Rgb {
    ALL.get(inks.colour[lane] as usize).map_or(0, |m| m.colour(style))
}

fn solid(chart: &mut Chart, placed: &super::stage::Placed, lamps: &[Lamp]) {
    let r = 0.8f32.max(2.5 / chart.scale);
    let heading = 0.0;
    match &placed.solid {
        Solid::Prop(p) => {
            let (x, y) = (0.5 * p.size[0], 0.5 * p.size[1]);
            let (colour, class) = match p.kind {
                PropKind::Building => (rgb(150, 120, 104), Class::Building),
                PropKind::Wall | PropKind::Container => (rgb(110, 106, 110), Class::Building),
                PropKind::Hedge | PropKind::Tree => (rgb(30, 90, 40), Class::Vegetation),
                PropKind::Cone | PropKind::Barrier => (rgb(255, 104, 8), Class::Barrier),
            };
            chart.rectangle(p.at, p.heading, [-x, x], [-y, y], dim(colour, 170), class as u32);
            let (x, y) = (x - 0.8 / chart.scale, y - 0.8 / chart.scale);
            chart.rectangle(p.at, p.heading, [-x, x], [-y, y], colour, class as u32);
        }
        Solid::Light(i) => {
            let colour = match lamps.get(*i).copied().unwrap_or(Lamp::Off) {
                Lamp::Red => rgb(255, 20, 20),
                Lamp::Yellow => rgb(255, 200, 0),
                Lamp::Green => rgb(20, 255, 90),
                Lamp::Off => rgb(80, 80, 80),
            };
            chart.rectangle(placed.at, heading, [-r, r], [-r, r], rgb(10, 10, 10), Class::Light as u32);
            chart.rectangle(placed.at, heading, [-0.7 * r, 0.7 * r], [-0.7 * r, 0.7 * r], colour, Class::Light as u32);
        }
        Solid::Sign(_) => {
            chart.rectangle(
                placed.at,
                heading,
                [-0.6 * r, 0.6 * r],
                [-0.6 * r, 0.6 * r],
                rgb(220, 30, 30),
                Class::Sign as u32,
            );
        }
    }
}
