//! Importers: one module for each format, one for what no input may do, one for real scenes kept outside the repository.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod argoverse;
mod commonroad;
mod gpudrive;
mod hostile;
mod native;
mod opendrive;
mod scenes;

use sim::Scenario;
use sim::scenario::Point;
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

/// The fixture with one piece of text replaced by another; the piece must be there.
fn edited(name: &str, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes(name)).unwrap();
    assert!(text.contains(from), "{name} has no `{from}`");
    text.replacen(from, to, 1).into_bytes()
}

fn near(a: Point, b: Point, metres: f32) -> bool {
    (a[0] - b[0]).hypot(a[1] - b[1]) <= metres
}

/// Longest gap between a lane's end and the start of one that continues it.
fn widest_gap(scenario: &Scenario) -> f32 {
    let lanes = &scenario.map.lanes;
    let gaps = lanes.iter().flat_map(|l| {
        let end = *l.points.last().unwrap();
        l.next.iter().map(move |&n| {
            let start = lanes[n].points[0];
            (end[0] - start[0]).hypot(end[1] - start[1])
        })
    });
    gaps.fold(0.0, f32::max)
}
