//! What is ahead on a driver's own path: others, ego, solids.

use super::idm::Ahead;
use crate::batch::{SceneMut, flag};
use crate::path::{Path, STRAY};
use crate::world::LANES;

/// Metres beside the own box that should stay free.
const MARGIN: f32 = 0.25;
/// Others at most.
const MOST: usize = 64;

/// The agents around a driver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near {
    list: [u16; MOST],
    /// Metres ahead along the driver's heading.
    forward: [f32; MOST],
    /// Metres to the left.
    left: [f32; MOST],
    count: usize,
}

impl Near {
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.list[..self.count].iter().map(|&j| j as usize)
    }
}

/// How far a driver looks, metres.
#[inline]
pub(super) fn reach(v: f32) -> f32 {
    (5.0 * v).clamp(20.0, 80.0)
}

/// Those present within a driver's sight who are not well behind.
#[inline]
pub(super) fn near(scene: &SceneMut<'_>, i: usize) -> Near {
    let (x, y, cos, sin) = (scene.x[i], scene.y[i], scene.cos[i], scene.sin[i]);
    let far = reach(scene.v[i]) + scene.world.half_length[i] + 15.0;
    let mut near = Near { list: [0; MOST], forward: [0.0; MOST], left: [0.0; MOST], count: 0 };
    let padded = scene.world.half_length.len();
    for block in (0..padded).step_by(LANES) {
        let (xs, ys) = (&scene.x[block..block + LANES], &scene.y[block..block + LANES]);
        let flags = &scene.flags[block..block + LANES];
        let (mut forward, mut left, mut hits) = ([0.0_f32; LANES], [0.0_f32; LANES], [0_u32; LANES]);
        for k in 0..LANES {
            let (dx, dy) = (xs[k] - x, ys[k] - y);
            forward[k] = dx * cos + dy * sin;
            left[k] = dy * cos - dx * sin;
            let seen = (dx * dx + dy * dy < far * far) & (forward[k] > -25.0);
            hits[k] = u32::from(seen) & flags[k] & flag::PRESENT;
        }
        for (k, &hit) in hits.iter().enumerate() {
            if hit != 0 && near.count < MOST && block + k != i {
                near.list[near.count] = (block + k) as u16;
                (near.forward[near.count], near.left[near.count]) = (forward[k], left[k]);
                near.count += 1;
            }
        }
    }
    near
}

/// Where another is on a path, and how much of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct On {
    /// Of its centre, metres.
    pub s: f32,
    /// Of its centre, metres to the left.
    pub lat: f32,
    /// Half of what it covers along the path.
    pub along: f32,
    /// Half of what it covers across the path.
    pub across: f32,
    /// m/s along the path.
    pub speed: f32,
}

/// Where agent `j` is on a path that is followed by one at `s`, `x`, `y`.
#[inline]
pub(super) fn place(scene: &SceneMut<'_>, j: usize, number: usize, from: (f32, f32, f32, f32, f32)) -> On {
    let world = scene.world;
    let path = &world.paths[number];
    let (x, y) = (scene.x[j], scene.y[j]);
    let (s, lat) = if scene.path[j] as usize == number {
        (scene.s[j], scene.lat[j])
    } else {
        let (s, px, py, cos, sin) = from;
        let at = path.slide(x, y, s + (x - px) * cos + (y - py) * sin);
        (at.s, at.lat)
    };
    let k = path.index(s);
    let c = path.cos[k] * scene.cos[j] + path.sin[k] * scene.sin[j];
    let d = path.cos[k] * scene.sin[j] - path.sin[k] * scene.cos[j];
    let (l, w) = (world.half_length[j], world.half_width[j]);
    let (c_abs, d_abs) = (c.abs(), d.abs());
    On { s, lat, along: l * c_abs + w * d_abs, across: l * d_abs + w * c_abs, speed: scene.v[j] * c }
}

/// What [`place`] starts from for a follower.
#[inline]
pub(super) fn origin(scene: &SceneMut<'_>, i: usize) -> (f32, f32, f32, f32, f32) {
    (scene.s[i], scene.x[i], scene.y[i], scene.cos[i], scene.sin[i])
}

/// Shows a driver all others in its corridor, which spans from where it is to where it is moving sideways.
#[inline]
pub(super) fn along(scene: &SceneMut<'_>, i: usize, path: &Path, near: &Near, ahead: &mut Ahead) {
    let number = scene.path[i] as usize;
    let (s, half) = (scene.s[i], scene.world.half_length[i]);
    let (low, high) = corridor(scene, i);
    let far = reach(scene.v[i]);
    let from = origin(scene, i);
    // While the path is straight, who is far enough to the side need not be measured along it.
    let straight = if scene.lat_left[i] > 0.0 { 0.0 } else { path.straight[path.index(s)] };
    let aside = (low - scene.lat[i] - STRAY, high - scene.lat[i] + STRAY);
    for (n, &j) in near.list[..near.count].iter().enumerate() {
        let j = j as usize;
        let (forward, left, radius) = (near.forward[n], near.left[n], scene.world.radius[j]);
        let off = left - radius > aside.1 || left + radius < aside.0;
        if forward < -10.0 || (off && forward + radius < straight) {
            continue;
        }
        if j == 0 && scene.flags[i] & flag::IGNORES_EGO != 0 {
            continue;
        }
        let on = place(scene, j, number, from);
        let gap = on.s - on.along - s - half;
        if on.s <= s || gap > far || on.lat - on.across > high || on.lat + on.across < low {
            continue;
        }
        ahead.see(gap, on.speed.max(-5.0));
    }
}

/// The strip across its path that a driver needs, metres to the left: from, to.
#[inline]
pub(super) fn corridor(scene: &SceneMut<'_>, i: usize) -> (f32, f32) {
    let half = scene.world.half_width[i] + MARGIN;
    let (lat, goal) = (scene.lat[i], scene.lat_goal[i]);
    (lat.min(goal) - half, lat.max(goal) + half)
}

/// Shows a driver the solids in its corridor.
#[inline]
pub(super) fn blocks(scene: &SceneMut<'_>, i: usize, path: &Path, ahead: &mut Ahead) {
    let (s, half) = (scene.s[i], scene.world.half_length[i]);
    let (low, high) = corridor(scene, i);
    for block in &path.blocks {
        if block.s.0 > s + half + reach(scene.v[i]) {
            break;
        }
        if block.s.1 > s && block.lat.0 < high && block.lat.1 > low {
            ahead.see(block.s.0 - s - half, 0.0);
        }
    }
}

/// Whether ego is in a replayed agent's way: within its standstill gap and headway.
pub(super) fn ego_intrudes(scene: &SceneMut<'_>, i: usize) -> bool {
    if scene.flags[i] & flag::PRESENT == 0 || scene.flags[0] & flag::PRESENT == 0 {
        return false;
    }
    let driver = &scene.world.agents[i].driver;
    let on = place(scene, 0, scene.path[i] as usize, origin(scene, i));
    let gap = on.s - on.along - scene.s[i] - scene.world.half_length[i];
    let (low, high) = corridor(scene, i);
    on.s > scene.s[i]
        && gap < driver.gap + scene.v[i] * driver.headway
        && scene.v[i] > on.speed - 0.5
        && on.lat - on.across < high
        && on.lat + on.across > low
}
