//! Pictures and bars: the plan drawn on the frame it was made from, and its probabilities in the terminal.
//!
//! [`annotate`] makes the PNG of `reinsman plan`, [`contact_sheet`] puts frames with captions side by side,
//! [`terminal`] lays the same plan out as text. Everything here is total: whatever a model wrote or a file
//! claimed (huge text, NaN, one-pixel frames), the result is a picture of bounded size, never a panic.

pub mod camera;
pub mod canvas;
pub mod choice;
pub mod font;
mod panel;
pub mod plan_picture;
mod raster;
pub mod reflow;
mod ribbon;
mod save;
pub mod sheet;
pub mod terminal;
pub mod theme;

pub use camera::Camera;
pub use choice::Choice;
pub use plan_picture::{PlanView, Sample, annotate, overlay};
pub use reflow::Reflow;
pub use save::save_png;
pub use sheet::contact_sheet;
pub use terminal::{Facts, Terminal};
