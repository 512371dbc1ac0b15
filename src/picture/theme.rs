//! Colours of the pictures, the page's dark panel and one colour per speed action.

use scene::SpeedAction;

/// An sRGB colour.
pub type Colour = [u8; 3];

/// Behind everything.
pub const GROUND: Colour = [17, 21, 28];
/// Lines and empty bars.
pub const TRACK: Colour = [38, 45, 57];
/// Raised boxes.
pub const RAISED: Colour = [26, 32, 42];
/// Running text.
pub const TEXT: Colour = [232, 236, 242];
/// Titles, captions and values of lesser weight.
pub const MUTED: Colour = [141, 152, 168];
/// Bars of alternatives that were not chosen.
pub const QUIET: Colour = [92, 104, 122];
/// The chosen path action.
pub const PATH: Colour = [167, 139, 250];
/// The trajectory that a chosen one is measured against.
pub const REFERENCE: Colour = [240, 110, 220];
/// Something is wrong.
pub const ALARM: Colour = [255, 99, 104];
/// Text on coloured ground.
pub const WHITE: Colour = [255, 255, 255];
/// Shadows.
pub const BLACK: Colour = [0, 0, 0];

/// The colour of a speed action: blue keeps, green accelerates, amber decelerates, red stops.
pub fn speed_colour(speed: SpeedAction) -> Colour {
    match speed {
        SpeedAction::Keep => [64, 156, 255],
        SpeedAction::Accelerate => [46, 204, 128],
        SpeedAction::Decelerate => [255, 176, 32],
        SpeedAction::Stop => [255, 77, 84],
    }
}
