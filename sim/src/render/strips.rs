//! Painted lines and kerbs, sixteen at a time as in [`super::lanes`]: what is too small is left out, what is far is
//! widened so that it stays about a pixel wide.

#![allow(clippy::needless_range_loop)] // lanes of many arrays at once

use super::camera::View;
use super::lanes::{LANES, Quads, Seen, in_view, max, min};
use super::stage::Strips;

/// Farthest strip and patch of grass that is drawn, metres.
pub(crate) const FAR: f32 = 110.0;

/// Kerbs nearer than this show their side, metres.
const UPRIGHT: f32 = 40.0;

/// Camera space of strips as `top` and, of kerbs that are near, of the `side` that looks at the camera.
#[inline(always)]
pub(crate) fn strips<const KERBS: bool>(view: &View, s: &Strips, top: &mut Quads, side: &mut Quads) -> [Seen; 2] {
    let lens = view.lens();
    let per_pixel = 1.0 / view.focal;
    let flat = 1.0 / view.eye[2].max(0.5);
    let (mut seen, mut upright) = (Seen::default(), Seen::default());
    for l in 0..LANES {
        let ([x0, y0], [x1, y1]) = ([s.from[0][l], s.from[1][l]], [s.to[0][l], s.to[1][l]]);
        let (forward0, left0) = view.plan(x0, y0);
        let (forward1, left1) = view.plan(x1, y1);
        let (near, far) = (min(forward0, forward1), if forward0 < forward1 { forward1 } else { forward0 });
        let away = (far < 0.0) | (near > FAR);
        let near = max(near, 1.0);
        // Left out: pieces less than a third of a row, and the second of two lines nearer than a pixel and a half.
        let rows = view.eye[2] * view.focal * (1.0 / near - 1.0 / max(far, 1.0));
        let across = (left1 - left0).abs() / near * view.focal;
        let small = (rows < 0.3) & (across < 2.0);
        let merged = s.gap[l] < 1.5 * near * per_pixel;
        let most = s.most[l];
        // A line beside the camera lies flat in the picture: it needs its pixel in rows, not in columns.
        let grow = |forward: f32, left: f32| {
            let least = 0.5 * forward * per_pixel * min(max(left.abs() * flat, 0.9), 6.0);
            min(max(least / s.half_width[l], 1.0), most)
        };
        // Lines across the view are long in columns and thin in rows: widening them by columns would make bars of them.
        let along = (forward1 - forward0).abs() > (left1 - left0).abs();
        let (k0, k1) = (grow(forward0, left0), grow(forward1, left1));
        let (k0, k1) = if along { (k0, k1) } else { (1.0, 1.0) };
        let [nx, ny] = [s.side[0][l], s.side[1][l]];
        let x = [x0 - nx * k0, x1 - nx * k1, x1 + nx * k1, x0 + nx * k0];
        let y = [y0 - ny * k0, y1 - ny * k1, y1 + ny * k1, y0 + ny * k0];
        let raised = KERBS & (near < UPRIGHT);
        let height = if raised { s.height[l] } else { 0.0 };
        let drawn = !(away | small | merged);
        let mut p = [[0.0f32; 3]; 4];
        for i in 0..4 {
            p[i] = view.point(x[i], y[i], height);
            [top.x[i][l], top.y[i][l], top.z[i][l]] = p[i];
        }
        if KERBS {
            // The side that looks at the camera hides nothing but what lies behind it, so no depth is needed.
            let toward = (view.eye[0] - x0) * nx + (view.eye[1] - y0) * ny > 0.0;
            let (ax, bx) = if toward { (x[3], x[2]) } else { (x[0], x[1]) };
            let (ay, by) = if toward { (y[3], y[2]) } else { (y[0], y[1]) };
            let low = [view.point(ax, ay, 0.0), view.point(bx, by, 0.0)];
            let q: [[f32; 3]; 4] = [low[0], low[1], view.point(bx, by, height), view.point(ax, ay, height)];
            for i in 0..4 {
                [side.x[i][l], side.y[i][l], side.z[i][l]] = q[i];
            }
            let (alive, cut) = in_view(&lens, &q);
            upright.alive |= u32::from(alive & raised & drawn) << l;
            upright.cut |= u32::from(cut) << l;
        }
        let (alive, cut) = in_view(&lens, &p);
        seen.alive |= u32::from(alive & drawn) << l;
        seen.cut |= u32::from(cut) << l;
    }
    let there = (1u32 << s.count) - 1;
    seen.alive &= there;
    upright.alive &= there;
    [seen, upright]
}
