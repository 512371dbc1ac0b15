//! Scene files: one JSON object a line, schema `navsim-fixture/1`, plain or gzipped ([`scene::world`] has every field).

use super::{
    input::{Lines, bad_json, is_pickle, open, over},
    log::Log,
    plans::{Plan, PlanLine},
};
use crate::error::{DataError, Place, Result};
use scene::world::{Map, Scene, SceneError, check};
use serde::Deserialize;
use std::{io::Read, path::Path};

/// Largest map file.
const MAX_MAP: u64 = 1 << 30;

/// A scene, where it came from, and the proposals that its line carries.
#[derive(Debug, Clone)]
pub struct LoadedScene {
    /// Its line.
    pub place: Place,
    /// Checked.
    pub scene: Scene,
    /// Plans that stand beside the scene in the file; usually none.
    pub proposals: Vec<Plan>,
}

/// The scenes of one file, one by one. After an error the next line is read on.
pub struct SceneFile(Source);

enum Source {
    Lines(Lines),
    Log(Box<Log>),
}

#[derive(Deserialize)]
struct Beside {
    #[serde(default)]
    proposals: Vec<PlanLine>,
}

impl SceneFile {
    /// Opens JSON lines, or a log pickle together with its map.
    ///
    /// # Errors
    /// The file cannot be read, or it is a pickle and there is no map, or it is not a log.
    pub fn open(path: &Path, map: Option<&Map>) -> Result<SceneFile> {
        let name = path.display().to_string();
        if !is_pickle(path)? {
            return Ok(SceneFile(Source::Lines(Lines::new(name, open(path)?))));
        }
        let Some(map) = map else {
            let problem = "is a log pickle, which has no map".to_owned();
            return Err(DataError::BadField { place: Place::file(&name), field: "the file".into(), problem });
        };
        Ok(SceneFile(Source::Log(Box::new(Log::read(path, map)?))))
    }

    /// Scenes in memory.
    pub fn embedded(name: &str, bytes: &'static [u8]) -> SceneFile {
        SceneFile(Source::Lines(Lines::new(name.into(), over(bytes))))
    }
}

/// A scene that was taken from its file but not looked at: parsing is most of the work and can be shared among threads.
#[derive(Debug, Clone)]
pub enum Unread {
    /// A line of JSON.
    Line(Place, String),
    /// A scene of a log.
    Scene(Box<LoadedScene>),
}

impl Unread {
    /// Parses and checks it.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn read(self) -> Result<LoadedScene> {
        match self {
            Unread::Line(place, text) => scene(place, &text),
            Unread::Scene(scene) => Ok(*scene),
        }
    }
}

impl SceneFile {
    /// The next scene, unread; `None` at the end.
    pub fn next_unread(&mut self) -> Option<Result<Unread>> {
        match &mut self.0 {
            Source::Lines(lines) => Some(lines.next()?.map(|(place, text)| Unread::Line(place, text))),
            Source::Log(log) => Some(log.next()?.map(|scene| Unread::Scene(Box::new(scene)))),
        }
    }
}

impl Iterator for SceneFile {
    type Item = Result<LoadedScene>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_unread()?.and_then(Unread::read))
    }
}

/// One line as a scene.
fn scene(place: Place, text: &str) -> Result<LoadedScene> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let scene: Scene = serde_path_to_error::deserialize(&mut parser).map_err(|e| bad_json(&place, e))?;
    parser.end().map_err(|e| DataError::BadJson {
        place: place.clone(),
        column: Some(e.column()),
        message: "something follows the scene".into(),
    })?;
    checked(&place, &scene)?;
    let mut proposals = Vec::new();
    if text.contains("\"proposals\"") {
        let mut parser = serde_json::Deserializer::from_str(text);
        let beside: Beside = serde_path_to_error::deserialize(&mut parser).map_err(|e| bad_json(&place, e))?;
        for (i, line) in beside.proposals.into_iter().enumerate() {
            let place = place.within(format!("scene {} proposals[{i}]", scene.name));
            let unnamed = line.kind.is_none();
            let mut plan = line.plan(&place)?;
            if unnamed {
                plan.kind = Some(i.to_string());
            }
            proposals.push(plan);
        }
    }
    Ok(LoadedScene { place, scene, proposals })
}

/// The rules of the format.
pub(super) fn checked(place: &Place, scene: &Scene) -> Result<()> {
    if scene.name.is_empty() {
        let problem = "must be a text that no other scene has".to_owned();
        return Err(DataError::BadField { place: place.clone(), field: "name".into(), problem });
    }
    check(scene).map_err(|error: SceneError| DataError::Scene { place: place.clone(), error })
}

#[derive(Deserialize)]
struct MapFile {
    map: Option<Map>,
}

/// A map in our format: the `map` object of a scene, alone or under the key `map`.
///
/// # Errors
/// The file cannot be read or is no map.
pub fn read_map(path: &Path) -> Result<Map> {
    let name = path.display().to_string();
    let place = Place::file(&name);
    let mut text = String::new();
    let read = open(path)?.take(MAX_MAP + 1).read_to_string(&mut text);
    read.map_err(|e| DataError::Io { file: name, message: e.to_string() })?;
    if text.len() as u64 > MAX_MAP {
        return Err(DataError::TooLong { place, limit: MAX_MAP as usize });
    }
    let mut parser = serde_json::Deserializer::from_str(&text);
    let outer: MapFile = serde_path_to_error::deserialize(&mut parser).map_err(|e| bad_json(&place, e))?;
    let map = match outer.map {
        Some(map) => map,
        None => {
            let mut parser = serde_json::Deserializer::from_str(&text);
            serde_path_to_error::deserialize(&mut parser).map_err(|e| bad_json(&place, e))?
        }
    };
    if map.lanes.is_empty() {
        let problem = "is missing or empty: a map needs lanes".to_owned();
        return Err(DataError::BadField { place, field: "lanes".into(), problem });
    }
    Ok(map)
}
