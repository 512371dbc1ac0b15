//! Tracks at 10 Hz and the human's poses (spec 14.2, 14.4).

use crate::Pose;
use crate::geometry::Path;
use crate::pose::wrap_angle;
use crate::world::{Detection, Scene, Track, Track2Hz};

/// Seconds between raw frames.
const RAW_STEP: f64 = 0.5;
/// Seconds between derived frames.
const STEP: f64 = 0.1;
/// Derived frames per raw frame.
const PER_RAW: usize = 5;

/// Interpolates raw tracks to `frames` steps of 0.1 s (41: 4 s, 51: 5 s), in the order in which they appear there:
/// by first derived frame, type, first raw frame. Gaps are bridged; a track seen once is in every frame when `frozen`
/// (pitfall 5), else only in its own. Tracks never seen within the time are left out.
pub fn agents_10hz(raw: &[Track2Hz], frames: usize, frozen: bool) -> Vec<Track> {
    let seen = frames.saturating_sub(1) / PER_RAW + 1;
    let first = |t: &Track2Hz| t.frames.iter().take(seen).position(Option::is_some);
    let mut tracks: Vec<(usize, Track)> =
        raw.iter().filter_map(|t| first(t).map(|k| (k, interpolated(t, seen, frames, frozen)))).collect();
    tracks.sort_by_key(|(first, t)| (t.frames.iter().position(Option::is_some), t.kind, *first));
    tracks.into_iter().map(|(_, t)| t).collect()
}

fn interpolated(raw: &Track2Hz, seen: usize, frames: usize, frozen: bool) -> Track {
    let knots: Vec<(usize, Detection)> = raw
        .frames
        .iter()
        .take(seen)
        .enumerate()
        .filter_map(|(k, d)| d.map(|d| (k, d)))
        .map(|(k, d)| (k, known(raw, d)))
        .collect();
    let frames = match knots.as_slice() {
        &[(only, d)] => (0..frames).map(|k| (frozen || k == only * PER_RAW).then_some(d)).collect(),
        _ => between(&knots, frames),
    };
    Track { token: raw.token.clone(), kind: raw.kind, length: raw.size[0], width: raw.size[1], frames }
}

/// Static things have no velocity; headings are wrapped.
fn known(raw: &Track2Hz, [x, y, heading, vx, vy]: Detection) -> Detection {
    let (vx, vy) = if raw.kind.is_agent() { (vx, vy) } else { (0.0, 0.0) };
    [x, y, wrap_angle(heading), vx, vy]
}

fn between(knots: &[(usize, Detection)], frames: usize) -> Vec<Option<Detection>> {
    let times: Vec<f64> = knots.iter().map(|&(k, _)| k as f64 * RAW_STEP).collect();
    let poses = Path::with_progress(knots.iter().map(|(_, d)| Pose::new(d[0], d[1], d[2])).collect(), times.clone());
    let speeds = Path::with_progress(knots.iter().map(|(_, d)| Pose::new(d[3], d[4], 0.0)).collect(), times.clone());
    let (Some(&start), Some(&end)) = (times.first(), times.last()) else { return vec![None; frames] };
    let at = |k: usize| {
        let time = k as f64 * STEP;
        let (p, v) = if (start..=end).contains(&time) { (poses.at(time)?, speeds.at(time)?) } else { return None };
        Some([p.x, p.y, wrap_angle(p.heading), v.x, v.y])
    };
    (0..frames).map(at).collect()
}

/// The logged poses relative to the present one.
pub fn human_poses(scene: &Scene) -> Vec<Pose> {
    scene.future_poses.iter().map(|p| p.into_frame(scene.ego.pose)).collect()
}
