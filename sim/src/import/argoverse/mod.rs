//! Argoverse 2 motion forecasting: a lane map as JSON and, behind the feature `argoverse`, tracks as Parquet.
//!
//! Wilson et al., *Argoverse 2*, 2021. 110 steps at 10 Hz; the recording car (`AV`) becomes ego. Objects come without sizes
//! and get the usual one of their kind. Positions become relative to the mean of the lanes.

mod map;
#[cfg(feature = "argoverse")]
mod tracks;

#[cfg(feature = "argoverse")]
use super::build::route_ego;
use super::build::{populate, scenario};
use super::geometry::P;
use super::{ImportError, Options, cap};
use crate::scenario::{Map, Scenario};
use std::path::Path;
#[cfg(feature = "argoverse")]
use std::path::PathBuf;

const LICENCE: &str = "CC BY-NC-SA 4.0 (Argoverse 2)";

/// Reads a map alone (`log_map_archive_*.json`): ego on a route through it, with a few cars that have drivers.
///
/// # Errors
///
/// When the JSON does not parse, a value is out of range, or no lane is for vehicles.
pub fn read_argoverse_map(bytes: &[u8], name: &str) -> Result<Scenario, ImportError> {
    let (map, _) = map_of(bytes)?;
    let agents = populate(&map)?;
    scenario("argoverse", name, LICENCE, 30.0, map, agents)
}

/// Reads a map and the tracks of a scenario on it (`scenario_*.parquet`).
///
/// # Errors
///
/// When a file does not parse, a column is missing, a value is out of range, or the recording car is not in it.
#[cfg(feature = "argoverse")]
pub fn read_argoverse(map: &[u8], tracks: &[u8], options: &Options) -> Result<Scenario, ImportError> {
    cap(tracks)?;
    let (mut map, origin) = map_of(map)?;
    let mut scene = tracks::read(tracks, origin, options)?;
    map.props = scene.props;
    route_ego(&mut map, &mut scene.agents[0]);
    scenario("argoverse", &scene.id, LICENCE, scene.duration, map, scene.agents)
}

fn map_of(bytes: &[u8]) -> Result<(Map, P), ImportError> {
    cap(bytes)?;
    map::read(bytes)
}

/// A map file, with the tracks that lie beside it where there are some.
pub(super) fn read_map_file(path: &Path, bytes: &[u8], options: &Options) -> Result<Scenario, ImportError> {
    #[cfg(feature = "argoverse")]
    if let Some(tracks) = beside(path, "scenario_", ".parquet") {
        return read_argoverse(bytes, &super::load(&tracks)?, options);
    }
    let _ = options;
    read_argoverse_map(bytes, &super::stem(path))
}

/// A tracks file, with the map that lies beside it.
#[cfg(feature = "argoverse")]
pub(super) fn read_tracks_file(path: &Path, bytes: &[u8], options: &Options) -> Result<Scenario, ImportError> {
    let map = beside(path, "log_map_archive_", ".json")
        .ok_or_else(|| ImportError::missing(format!("log_map_archive_*.json beside {}", path.display())))?;
    read_argoverse(&super::load(&map)?, bytes, options)
}

/// Tracks need the feature.
#[cfg(not(feature = "argoverse"))]
pub(super) fn read_tracks_file(path: &Path, _: &[u8], _: &Options) -> Result<Scenario, ImportError> {
    let what = format!("{} needs a build with the feature `argoverse`", path.display());
    Err(ImportError::Parquet { what })
}

#[cfg(feature = "argoverse")]
fn beside(path: &Path, start: &str, end: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let named = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(start) && name.ends_with(end)
    });
    // The first by name, whatever the order of the folder.
    named.min()
}
