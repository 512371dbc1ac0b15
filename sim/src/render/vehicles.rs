//! Motor vehicles as boxes with glass, wheels and lamps, the fewer parts the smaller they appear.
//!
//! Lamps are drawn no smaller than about two pixels, since a planner must see a leader brake at 25 m.

use super::canvas::Canvas;
use super::solid::{Local, Side};
use super::style::{Rgb, dim, mix, rgb};
use super::{Actor, noise};
use crate::scenario::AgentKind;

const GLASS: Rgb = rgb(26, 32, 42);
const TYRE: Rgb = rgb(22, 22, 24);
const TAIL: Rgb = rgb(120, 8, 12);
const BRAKE: Rgb = rgb(255, 34, 24);
const HEAD: Rgb = rgb(255, 252, 226);
const AMBER: Rgb = rgb(255, 158, 0);

/// Draws a motor vehicle.
pub(crate) fn draw(canvas: &mut Canvas, actor: &Actor, l: &Local, time: f32) {
    let body = canvas.style.body(actor.kind, actor.id);
    let (x, y, h) = (0.5 * actor.length, 0.5 * actor.width, actor.height);
    // Height of the body's upper edge, where lamps sit below.
    let deck = match actor.kind {
        AgentKind::Truck => truck(canvas, l, x, y, h, body),
        AgentKind::Bus => bus(canvas, l, x, y, h, body),
        AgentKind::Van | AgentKind::Emergency => van(canvas, l, x, y, h, body),
        _ => car(canvas, l, x, y, h, body, actor.id),
    };
    if h * l.scale > 5.0 {
        wheels(canvas, l, x, y, h, deck);
    }
    if actor.kind == AgentKind::Emergency {
        flashers(canvas, l, x, y, h, time);
    }
    lamps(canvas, actor, l, deck, time);
}

fn car(canvas: &mut Canvas, l: &Local, x: f32, y: f32, h: f32, body: Rgb, id: u16) -> f32 {
    let deck = 0.6 * h;
    l.cuboid(canvas, [-x, x], [-y, y], [0.13 * h, deck], body);
    // A hatchback's cabin ends at its tail, a saloon's before it.
    let tail = if noise::hash(u32::from(id), 7).is_multiple_of(2) { -0.98 } else { -0.72 };
    let base = [tail * x, 0.42 * x, 0.94 * y];
    let top = [(tail + 0.16) * x, 0.1 * x, 0.76 * y];
    let rim = [top[0] - 0.02 * x, top[1] + 0.03 * x, 0.79 * y];
    l.frustum(canvas, base, rim, [deck, 0.92 * h], GLASS, GLASS);
    l.frustum(canvas, rim, top, [0.92 * h, h], body, body);
    if h * l.scale > 22.0 {
        // Pillars between the side windows and the line of the bumper.
        for side in [Side::Left, Side::Right] {
            let at = if side == Side::Left { 0.97 * y } else { -0.97 * y };
            l.mark(canvas, side, at, [-0.22 * x, -0.16 * x], [deck, 0.92 * h], body);
        }
        l.mark(canvas, Side::Back, -x - 0.02, [-y, y], [0.13 * h, 0.26 * h], dim(body, 120));
        l.mark(canvas, Side::Back, -x - 0.03, [-0.26, 0.26], [0.3 * h, 0.38 * h], rgb(232, 232, 220));
        l.mark(canvas, Side::Front, x + 0.02, [-0.5 * y, 0.5 * y], [0.2 * h, 0.36 * h], dim(body, 80));
    }
    deck
}

fn van(canvas: &mut Canvas, l: &Local, x: f32, y: f32, h: f32, body: Rgb) -> f32 {
    l.cuboid(canvas, [-x, 0.66 * x], [-y, y], [0.12 * h, h], body);
    l.cuboid(canvas, [0.66 * x, x], [-y, y], [0.12 * h, 0.52 * h], body);
    l.mark(canvas, Side::Front, 0.66 * x + 0.04, [-0.88 * y, 0.88 * y], [0.54 * h, 0.92 * h], GLASS);
    l.mark(canvas, Side::Back, -x - 0.03, [-0.8 * y, 0.8 * y], [0.6 * h, 0.88 * h], GLASS);
    for (side, at) in [(Side::Left, y + 0.03), (Side::Right, -y - 0.03)] {
        l.mark(canvas, side, at, [0.3 * x, 0.62 * x], [0.56 * h, 0.88 * h], GLASS);
    }
    0.5 * h
}

fn truck(canvas: &mut Canvas, l: &Local, x: f32, y: f32, h: f32, body: Rgb) -> f32 {
    let cab = x - 2.2f32.min(0.6 * x);
    let load = mix(body, rgb(255, 255, 255), 150);
    l.cuboid(canvas, [-x, cab - 0.3], [-y, y], [0.3 * h, h], load);
    l.cuboid(canvas, [-x, cab], [-0.8 * y, 0.8 * y], [0.14 * h, 0.3 * h], rgb(50, 50, 54));
    l.cuboid(canvas, [cab, x], [-0.96 * y, 0.96 * y], [0.14 * h, 0.86 * h], body);
    l.mark(canvas, Side::Front, x + 0.04, [-0.85 * y, 0.85 * y], [0.5 * h, 0.78 * h], GLASS);
    for (side, at) in [(Side::Left, 0.96 * y + 0.04), (Side::Right, -0.96 * y - 0.04)] {
        l.mark(canvas, side, at, [cab + 0.4, x - 0.3], [0.5 * h, 0.76 * h], GLASS);
    }
    if h * l.scale > 14.0 {
        l.mark(canvas, Side::Back, -x - 0.03, [-0.05, 0.05], [0.32 * h, 0.97 * h], dim(load, 120));
        for (side, at) in [(Side::Left, y + 0.04), (Side::Right, -y - 0.04)] {
            l.mark(canvas, side, at, [-x + 0.3, cab - 0.6], [0.62 * h, 0.72 * h], body);
        }
    }
    0.3 * h
}

fn bus(canvas: &mut Canvas, l: &Local, x: f32, y: f32, h: f32, body: Rgb) -> f32 {
    l.cuboid_with_top(canvas, [-x, x], [-y, y], [0.1 * h, h], body, mix(body, rgb(255, 255, 255), 110));
    l.mark(canvas, Side::Front, x + 0.04, [-0.9 * y, 0.9 * y], [0.36 * h, 0.82 * h], GLASS);
    l.mark(canvas, Side::Front, x + 0.05, [-0.6 * y, 0.6 * y], [0.86 * h, 0.95 * h], AMBER);
    l.mark(canvas, Side::Back, -x - 0.04, [-0.8 * y, 0.8 * y], [0.55 * h, 0.85 * h], GLASS);
    for (side, at) in [(Side::Left, y + 0.04), (Side::Right, -y - 0.04)] {
        l.mark(canvas, side, at, [-0.94 * x, 0.94 * x], [0.46 * h, 0.82 * h], GLASS);
        if h * l.scale > 16.0 && l.sees(side, at) {
            let out = if side == Side::Left { 0.03 } else { -0.03 };
            for k in 1..6 {
                let p = (-0.94 + 1.88 * k as f32 / 6.0) * x;
                l.mark(canvas, side, at + out, [p - 0.07, p + 0.07], [0.46 * h, 0.82 * h], body);
            }
        }
    }
    0.4 * h
}

fn wheels(canvas: &mut Canvas, l: &Local, x: f32, y: f32, h: f32, deck: f32) {
    let r = (0.46f32).min(0.62 * deck).max(0.3);
    // Dark gap under the body, seen from behind and from the front, then four wheels.
    for (side, at) in [(Side::Back, -x - 0.01), (Side::Front, x + 0.01)] {
        for s in [-1.0f32, 1.0] {
            let (a, b) = (s * 0.92 * y, s * 0.66 * y);
            l.mark(canvas, side, at, [a.min(b), a.max(b)], [0.0, 0.15 * h], TYRE);
        }
    }
    for (side, at) in [(Side::Left, y + 0.03), (Side::Right, -y - 0.03)] {
        if !l.sees(side, at) {
            continue;
        }
        for centre in [-0.62 * x, 0.62 * x] {
            let c = 0.7 * r;
            l.mark(canvas, side, at, [centre - r, centre + r], [r - 0.41 * r, r + 0.41 * r], TYRE);
            l.mark(canvas, side, at, [centre - c, centre + c], [0.0, 2.0 * r - 0.3 * r], TYRE);
            if l.scale > 18.0 {
                let out = if side == Side::Left { 0.03 } else { -0.03 };
                l.mark(
                    canvas,
                    side,
                    at + out,
                    [centre - 0.4 * r, centre + 0.4 * r],
                    [0.6 * r, 1.4 * r],
                    rgb(150, 152, 158),
                );
            }
        }
    }
}

fn flashers(canvas: &mut Canvas, l: &Local, x: f32, y: f32, h: f32, time: f32) {
    let stripe = rgb(214, 40, 30);
    for (side, at) in [(Side::Left, y + 0.04), (Side::Right, -y - 0.04)] {
        l.mark(canvas, side, at, [-0.96 * x, 0.64 * x], [0.36 * h, 0.48 * h], stripe);
    }
    l.mark(canvas, Side::Back, -x - 0.04, [-y, y], [0.5 * h, 0.58 * h], stripe);
    let on = phase(time, 2.0) < 0.5;
    let (blue, red) = (rgb(40, 80, 255), rgb(255, 30, 40));
    let (left, right) = if on { (blue, dim(red, 90)) } else { (dim(blue, 90), red) };
    let up = (2.5 / l.scale).clamp(0.22, 0.8);
    for (side, at) in [(Side::Back, 0.05 * x), (Side::Front, 0.25 * x)] {
        if l.sees(side, at) {
            l.face(canvas, side, at, [0.06, 0.85 * y], [h, h + up], l.glow(left));
            l.face(canvas, side, at, [-0.85 * y, -0.06], [h, h + up], l.glow(right));
        }
    }
    for (side, at, colour) in [(Side::Left, 0.85 * y, left), (Side::Right, -0.85 * y, right)] {
        if l.sees(side, at) {
            l.face(canvas, side, at, [0.05 * x, 0.25 * x], [h, h + up], l.glow(colour));
        }
    }
}

/// Where in its period something with this frequency is, 0 to 1.
pub(crate) fn phase(time: f32, frequency: f32) -> f32 {
    let t = time * frequency;
    t - t.floor()
}

/// Tail, brake and head lamps and indicators.
pub(crate) fn lamps(canvas: &mut Canvas, actor: &Actor, l: &Local, deck: f32, time: f32) {
    let (x, y) = (0.5 * actor.length, 0.5 * actor.width);
    if actor.height * l.scale < 1.2 {
        return;
    }
    let back = -x - 0.06;
    if l.sees(Side::Back, back) {
        let (wide, high, colour) = if actor.braking {
            (sized(l, 0.46, 2.3, 0.9 * y), sized(l, 0.26, 2.2, 0.8 * deck), BRAKE)
        } else {
            (sized(l, 0.3, 1.0, 0.5 * y), sized(l, 0.15, 0.8, 0.5 * deck), TAIL)
        };
        let top = (0.94 * deck).max(high);
        let ink = if actor.braking { l.glow(colour) } else { l.lit(colour, Side::Top) };
        if actor.kind == AgentKind::Motorcycle {
            let half = 0.5 * high;
            l.face(canvas, Side::Back, back, [-half, half], [top - high, top], ink);
            return indicators(canvas, actor, l, deck, time);
        }
        l.face(canvas, Side::Back, back, [y - wide, y], [top - high, top], ink);
        l.face(canvas, Side::Back, back, [-y, wide - y], [top - high, top], ink);
        if actor.braking {
            let z = if actor.kind == AgentKind::Car { 0.78 * actor.height } else { 0.95 * actor.height };
            let (half, tall) = (sized(l, 0.25, 1.2, 0.5 * y), sized(l, 0.1, 1.1, 0.25));
            l.face(canvas, Side::Back, back, [-half, half], [z, z + tall], ink);
        }
    }
    let front = x + 0.06;
    if l.sees(Side::Front, front) {
        let (wide, high) = (sized(l, 0.36, 1.2, 0.6 * y), sized(l, 0.18, 1.0, 0.5 * deck));
        let top = (0.86 * deck).max(high);
        for u in [[y - wide, y], [-y, wide - y]] {
            l.face(canvas, Side::Front, front, u, [top - high, top], l.glow(HEAD));
        }
    }
    indicators(canvas, actor, l, deck, time);
}

/// What smallest size and largest share a lamp has: so many metres, but at least so many pixels, at most `most` metres.
fn sized(l: &Local, metres: f32, pixels: f32, most: f32) -> f32 {
    metres.max(pixels / l.scale).min(most)
}

/// Amber at both ends and on the side, blinking at 1.5 Hz.
fn indicators(canvas: &mut Canvas, actor: &Actor, l: &Local, deck: f32, time: f32) {
    let (x, y) = (0.5 * actor.length, 0.5 * actor.width);
    let (back, front) = (-x - 0.06, x + 0.06);
    if actor.indicator != 0 && phase(time, 1.5) < 0.5 {
        let (wide, high) = (sized(l, 0.26, 2.2, 0.7 * y), sized(l, 0.24, 2.2, 0.8 * deck));
        let u = if actor.indicator > 0 { [y - wide, y + 0.04] } else { [-y - 0.04, wide - y] };
        let z = [(0.5 * deck - 0.5 * high).max(0.0), 0.5 * deck + 0.5 * high];
        for (side, at) in [(Side::Back, back - 0.04), (Side::Front, front + 0.04)] {
            if l.sees(side, at) {
                l.face(canvas, side, at, u, z, l.glow(AMBER));
            }
        }
        let (side, at) = if actor.indicator > 0 { (Side::Left, y + 0.06) } else { (Side::Right, -y - 0.06) };
        if l.sees(side, at) {
            for u in [[-x, wide - x], [x - wide, x]] {
                l.face(canvas, side, at, u, z, l.glow(AMBER));
            }
        }
    }
}
