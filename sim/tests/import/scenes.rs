//! Real scenes that may not be kept in the repository: `REINSMAN_SCENES=folder cargo test -p reinsman-sim --test import -- --ignored`
//! reads every scene below the folder, checks it, and compiles it into a world.

use sim::World;
use sim::import::{Options, read};
use std::path::{Path, PathBuf};

fn scenes(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let scene = [".json", ".xml", ".xodr"].iter().any(|e| name.ends_with(e)) && !name.starts_with("tracks_");
        let tracks = name.ends_with(".parquet") && cfg!(feature = "argoverse");
        if path.is_dir() {
            scenes(&path, out);
        } else if scene || tracks {
            out.push(path);
        }
    }
}

#[test]
#[ignore = "needs scenes in the folder that REINSMAN_SCENES names"]
fn real_scenes_are_read() {
    let folder = std::env::var("REINSMAN_SCENES").expect("REINSMAN_SCENES names a folder");
    let mut paths = Vec::new();
    scenes(Path::new(&folder), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "no scene in {folder}");
    for path in paths {
        let scenario = read(&path, &Options::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (lanes, agents) = (scenario.map.lanes.len(), scenario.agents.len());
        let world = World::new(scenario);
        let route = world.route().unwrap_or_else(|| panic!("{}: no route", path.display()));
        let ego = &world.agents[0];
        let place = route.project_anywhere(ego.pose[0], ego.pose[1]);
        assert!(place.lat.abs() < 5.0, "{}: ego starts {} m beside its route", path.display(), place.lat);
        // A recorded ego stays on its route.
        for row in &ego.track {
            let place = route.project_anywhere(row[1], row[2]);
            assert!(
                place.lat.abs() < 5.0,
                "{}: ego is {} m beside its route at {} s",
                path.display(),
                place.lat,
                row[0]
            );
        }
        println!("{}: {lanes} lanes, {agents} agents, route of {:.0} m", path.display(), world.goal);
    }
}
