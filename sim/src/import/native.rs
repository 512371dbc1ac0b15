//! The native format itself: JSON of a [`Scenario`], checked.

use super::{ImportError, cap, check};
use crate::scenario::{Scenario, VERSION};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Reads a native scenario.
///
/// # Errors
///
/// When the JSON does not parse, is of another version, or a value is out of range.
pub fn read_native(bytes: &[u8]) -> Result<Scenario, ImportError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    cap(bytes)?;
    // The version goes first: a file of a later version may well have fields that this one does not know.
    let Versioned { version } = parse("native", bytes)?;
    if version != VERSION {
        return Err(ImportError::value("version", version, VERSION.to_string()));
    }
    let scenario = parse("native", bytes)?;
    check(&scenario)?;
    Ok(scenario)
}

/// Formats that come as JSON.
pub(super) enum JsonKind {
    Native,
    GpuDrive,
    Argoverse,
}

/// Tells JSON formats apart by their top-level keys.
pub(super) fn json_kind(bytes: &[u8]) -> Result<JsonKind, ImportError> {
    #[derive(Deserialize)]
    struct Probe {
        version: Option<IgnoredAny>,
        objects: Option<IgnoredAny>,
        lane_segments: Option<IgnoredAny>,
    }
    let probe: Probe = parse("scene", bytes)?;
    match probe {
        Probe { version: Some(_), .. } => Ok(JsonKind::Native),
        Probe { objects: Some(_), .. } => Ok(JsonKind::GpuDrive),
        Probe { lane_segments: Some(_), .. } => Ok(JsonKind::Argoverse),
        _ => Err(ImportError::missing("`version` (native), `objects` (GPUDrive) or `lane_segments` (Argoverse 2)")),
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(format: &'static str, bytes: &'a [u8]) -> Result<T, ImportError> {
    serde_json::from_slice(bytes).map_err(|source| ImportError::Json { format, source })
}
