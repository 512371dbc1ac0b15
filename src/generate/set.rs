//! Driving, choosing, drawing and writing a set: frames in folders by family, records as JSON lines, the data card.
//!
//! Records and card are written last and whole, so a set that was cut short is seen to be none, and making it again
//! gives the same files.

use super::{
    Recipe, Split,
    card::Counts,
    describe::{Buffers, Described, describe, knowable},
    episode::{self, Moment, moments},
};
use crate::{
    error::{Result, io_at},
    files::{RealFs, write_atomic},
};
use data::{Image, Sample, record};
use rayon::prelude::*;
use serde_json::{Value, json};
use sim::{describe::balance, render::Stage};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Records chosen and written together: memory holds the moments of one chunk.
const CHUNK: usize = 500;
/// Episodes driven between two looks at whether there are enough.
const EPISODES: u64 = 32;
/// Episodes without any moment after which nothing more is expected.
const BARREN: u64 = 2_000;

/// Makes one part of a set of `count` records in `folder`; `told` hears how many there are.
///
/// # Errors
/// The disk, with the path.
pub fn write(
    recipe: &Recipe,
    split: Split,
    count: usize,
    folder: &Path,
    told: &mut dyn FnMut(usize),
) -> Result<Counts> {
    let mut lines = String::new();
    let mut frames = serde_json::Map::new();
    let mut counts = Counts::default();
    let (mut episode, mut written) = (0, 0);
    while written < count {
        let wanted = CHUNK.min(count - written);
        let (pool, driven) = drive(recipe, split, wanted * recipe.pool, &mut episode);
        counts.driven += driven;
        if pool.is_empty() {
            break;
        }
        counts.moments += pool.len();
        let cells: Vec<balance::Moment> = pool.iter().map(cell).collect();
        let chosen = balance::pick(&cells, wanted, recipe.seed ^ written as u64);
        let drawn = draw(recipe, split, &pool, &chosen, folder)?;
        written += drawn.len();
        for (drawn, &i) in drawn.into_iter().zip(&chosen) {
            counts.add(&drawn.sample, &cells[i]);
            lines.push_str(&format!("{}\n", record::to_value(&drawn.sample, folder)));
            if let Some(key_frame) = drawn.questions {
                frames.insert(drawn.sample.id, key_frame);
            }
        }
        told(written);
    }
    counts.episodes = episode;
    if recipe.questions {
        let scene = json!({ "simulator": { "scene_description": "", "key_frames": frames } });
        write_atomic(&RealFs, &questions(folder, split), scene.to_string().as_bytes())?;
    }
    write_atomic(&RealFs, &file(folder, split), lines.as_bytes())?;
    Ok(counts)
}

/// The record file of a part.
pub fn file(folder: &Path, split: Split) -> PathBuf {
    folder.join(format!("{}.jsonl", split.as_str()))
}

/// The file of a part's questions, in the DriveLM layout.
pub fn questions(folder: &Path, split: Split) -> PathBuf {
    folder.join(format!("{}.questions.json", split.as_str()))
}

fn cell(moment: &Moment) -> balance::Moment {
    balance::Moment { speed: moment.speed, command: moment.command, action: moment.driven.action }
}

/// At least `wanted` moments of the episodes from `*episode` on whose frames tell what to do, and how many there were.
fn drive(recipe: &Recipe, split: Split, wanted: usize, episode: &mut u64) -> (Vec<Moment>, usize) {
    let mut pool: Vec<Moment> = Vec::new();
    let (mut barren, mut driven) = (0, 0);
    while pool.len() < wanted && barren < BARREN {
        let next: Vec<u64> = (*episode..*episode + EPISODES).collect();
        *episode += EPISODES;
        let drive = |&n: &u64| {
            let (seed, driver) = (split.seed(recipe.seed, n), episode::driver(recipe, n));
            let all = episode::family(recipe, n).map_or_else(Vec::new, |family| moments(family, seed, driver));
            (all.len(), knowable(all, recipe))
        };
        let before = pool.len();
        for (count, moments) in next.par_iter().map(drive).collect::<Vec<_>>() {
            driven += count;
            pool.extend(moments);
        }
        barren = if pool.len() > before { 0 } else { barren + EPISODES };
    }
    (pool, driven)
}

/// A record whose frame is written.
struct Drawn {
    sample: Sample,
    questions: Option<Value>,
}

/// Draws the chosen moments and writes their frames; the records come back in the order of `chosen`.
fn draw(recipe: &Recipe, split: Split, pool: &[Moment], chosen: &[usize], folder: &Path) -> Result<Vec<Drawn>> {
    let mut by_world: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, &i) in chosen.iter().enumerate() {
        by_world.entry(pool[i].seed).or_default().push(at);
    }
    let groups: Vec<Vec<usize>> = by_world.into_values().collect();
    let work = |group: &Vec<usize>| -> Result<Vec<(usize, Drawn)>> {
        let Some(&first) = group.first() else { return Ok(Vec::new()) };
        let stage = Stage::new(&pool[chosen[first]].batch.scene(0).world.scenario.map);
        let mut buffers = Buffers::default();
        let one = |&at: &usize| {
            let described = describe(&pool[chosen[at]], recipe, split, &stage, folder, &mut buffers)?;
            let Described { sample, jpeg, questions } = described;
            if let Some(Image::File(path)) = sample.images.first() {
                let parent = path.parent().unwrap_or(folder);
                std::fs::create_dir_all(parent).map_err(io_at(parent))?;
                std::fs::write(path, jpeg).map_err(io_at(path))?;
            }
            Ok((at, Drawn { sample, questions }))
        };
        group.iter().map(one).collect()
    };
    let drawn: Vec<Result<Vec<(usize, Drawn)>>> = groups.par_iter().map(work).collect();
    let mut all: Vec<(usize, Drawn)> = Vec::new();
    for group in drawn {
        all.extend(group?);
    }
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, drawn)| drawn).collect())
}
