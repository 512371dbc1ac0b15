//! Stop lines: lights and stop signs. Yield lines close only while somebody comes, see `yielding`.

use super::idm::Ahead;
use crate::batch::SceneMut;
use crate::path::Path;
use crate::scenario::{DT, Lamp, StopRule};

/// Metres before a line at which to stand.
const SHORT: f32 = 1.0;
/// A red light is passed only by who would have to brake harder than this, m/s².
const EMERGENCY: f32 = 6.0;
/// Who stands within so many metres of a stop sign's line has stopped for it.
const AT_LINE: f32 = 3.0;

/// Shows a driver the closed lines ahead.
#[inline]
pub(super) fn stops(scene: &mut SceneMut<'_>, i: usize, path: &Path, ahead: &mut Ahead) {
    let front = scene.s[i] + scene.world.half_length[i];
    let far = super::leader::reach(ahead.v);
    for stop in &path.stops {
        let gap = stop.s - front;
        if gap < -0.5 {
            continue;
        }
        if gap > far {
            break;
        }
        match stop.rule {
            StopRule::Light(light) => {
                let (lamp, _) = scene.world.lamp(light, scene.head.step as f32 * DT);
                let closed = match lamp {
                    Lamp::Red => ahead.v * ahead.v <= 2.0 * EMERGENCY * gap.max(0.3),
                    Lamp::Yellow => ahead.can_stop(gap),
                    Lamp::Green | Lamp::Off => false,
                };
                if closed {
                    ahead.stop(gap, SHORT);
                }
            }
            StopRule::Stop => {
                let number = stop.line as u32 + 1;
                if scene.stop_done[i] != number {
                    if ahead.v < 0.1 && gap < AT_LINE {
                        scene.stop_done[i] = number;
                    } else {
                        ahead.stop(gap, SHORT);
                    }
                }
            }
            StopRule::Yield => {}
        }
    }
}

/// Whether the light before `s` on a path holds back an agent at `front` with speed `v` that keeps the rules.
#[inline]
pub(super) fn held(scene: &SceneMut<'_>, path: &Path, front: f32, s: f32, v: f32) -> bool {
    path.stops.iter().any(|stop| {
        let gap = stop.s - front;
        let StopRule::Light(light) = stop.rule else { return false };
        gap > -0.3
            && stop.s < s + 1.0
            && v * v <= 2.0 * EMERGENCY * gap.max(0.3)
            && matches!(scene.world.lamp(light, scene.head.step as f32 * DT).0, Lamp::Red)
    })
}
