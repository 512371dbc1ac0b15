//! Importers: recorded and drawn scenes of other tools become a [`Scenario`].
//!
//! Every reader is a pure function of bytes whose work and memory are bounded by limits that are checked first, and
//! every result has passed [`check`]. Coordinates are read as f64 and moved near the origin before they become f32.

mod argoverse;
mod build;
mod check;
mod commonroad;
mod connect;
mod error;
mod geometry;
mod gpudrive;
mod native;
mod opendrive;
mod route;
mod xml;

#[cfg(feature = "argoverse")]
pub use argoverse::read_argoverse;
pub use argoverse::read_argoverse_map;
pub use check::check;
pub use commonroad::read_commonroad;
pub use error::ImportError;
pub use gpudrive::read_gpudrive;
pub use native::read_native;
pub use opendrive::read_opendrive;

use crate::scenario::{Control, Scenario};
use std::io::Read;
use std::path::Path;

/// Largest file that is read, bytes.
pub const MAX_BYTES: u64 = 64 << 20;

/// What the caller may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Recorded vehicles yield to ego ([`Control::ReactiveReplay`]) instead of following their record blindly.
    pub reactive: bool,
}

impl Options {
    /// Who moves a recorded vehicle.
    fn vehicle(&self) -> Control {
        if self.reactive { Control::ReactiveReplay } else { Control::Replay }
    }
}

/// Reads a scene in any of the formats, chosen by extension and, for JSON, by content.
///
/// # Errors
///
/// When the file cannot be read, is larger than [`MAX_BYTES`], is of no known format, or breaks a rule of its format.
pub fn read(path: &Path, options: &Options) -> Result<Scenario, ImportError> {
    let bytes = load(path)?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "json" => match native::json_kind(&bytes)? {
            native::JsonKind::Native => read_native(&bytes),
            native::JsonKind::GpuDrive => read_gpudrive(&bytes, options),
            native::JsonKind::Argoverse => argoverse::read_map_file(path, &bytes, options),
        },
        "parquet" => argoverse::read_tracks_file(path, &bytes, options),
        "xml" => read_commonroad(&bytes, options),
        "xodr" => read_opendrive(&bytes, &stem(path)),
        _ => Err(ImportError::UnknownFormat { path: path.display().to_string() }),
    }
}

/// The file's name without extension, as the name of scenes that have none inside.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned())
}

fn load(path: &Path) -> Result<Vec<u8>, ImportError> {
    let failed = |source| ImportError::Io { path: path.display().to_string(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    cap(&bytes)?;
    Ok(bytes)
}

fn cap(bytes: &[u8]) -> Result<(), ImportError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ImportError::TooLarge { bytes: bytes.len() as u64, max: MAX_BYTES });
    }
    Ok(())
}
