//! The centre line and its parallels.

use scene::Pose;
use scene::geometry::Path;
use std::f64::consts::FRAC_PI_2;

/// Metres to the left of the centre line.
const OFFSETS: [f64; 2] = [-1.0, 1.0];

/// The centre line, then its parallels; each vertex moves across its own heading.
pub(super) fn beside(line: &[Pose]) -> Vec<Path> {
    let shifted = |offset: f64| {
        line.iter()
            .map(|p| {
                let (sin, cos) = (p.heading + FRAC_PI_2).sin_cos();
                Pose { x: p.x + cos * offset, y: p.y + sin * offset, ..*p }
            })
            .collect()
    };
    std::iter::once(line.to_vec()).chain(OFFSETS.map(shifted)).map(Path::new).collect()
}
