//! What arms score on held-out frames. Every arm's scores are kept, so that a report can be made again at any time:
//! `OUT/SET/rows/seed-N.json`, an arm's name to its columns, one number a frame.

use super::{
    frames::Sets,
    recipe::{Arm, Over, Part, Recipe, Set},
    runs::folder,
};
use crate::{
    error::{Failure, Result, io_at},
    files::{RealFs, write_atomic},
    train::{
        branches::{
            Frames,
            measure::{self, Row},
            selection::Listed,
        },
        progress::Progress,
    },
    trajectory::{Branches, ConstantVelocity, Reference, SubScores},
};
use eval::reproduction::Measure;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

/// The branches of another run, of the next seed if so.
type Other<'a> = dyn Fn(&str, bool) -> Result<Branches> + 'a;

/// Columns of an arm, one number a frame.
pub type Columns = BTreeMap<Measure, Vec<f64>>;

/// The file of a set under a seed.
pub fn file(out: &Path, set: &Set, seed: u64) -> PathBuf {
    out.join(&set.name).join("rows").join(format!("seed-{seed}.json"))
}

/// Measures every arm of a set under a seed whose branches are there.
///
/// # Errors
/// Branches that cannot be read, the disk.
pub fn measure(
    recipe: &Recipe,
    sets: &Sets,
    (set, seed): (&Set, u64),
    out: &Path,
    progress: &mut Progress,
) -> Result<BTreeMap<String, Columns>> {
    let path = file(out, set, seed);
    if let Ok(text) = std::fs::read_to_string(&path) {
        return serde_json::from_str(&text).map_err(|e| Failure::data(format!("{}: {e}", path.display())));
    }
    let frames = sets.frames(set, "test", progress)?;
    let next = recipe.next(seed);
    // Rows of a run over a reference belong to several arms.
    let mut planned: HashMap<(String, String), Vec<Row>> = HashMap::new();
    let mut all = BTreeMap::new();
    for arm in recipe.arms.iter().filter(|arm| arm.at(set, seed, recipe)) {
        let key = (arm.run.clone().unwrap_or_default(), arm.over.clone());
        if !planned.contains_key(&key) {
            let other =
                |id: &str, of_next: bool| Branches::load(&folder(out, set, id, if of_next { next } else { seed }));
            let branches = arm.run.as_deref().map(|run| Branches::load(&folder(out, set, run, seed))).transpose()?;
            planned.insert(key.clone(), rows(arm, branches.as_ref(), &frames, &other)?);
        }
        let wanted = match arm.part {
            Part::Reference => measure::REFERENCE,
            Part::Selector => measure::SELECTOR,
            Part::Tree => measure::TREE,
            Part::Whole => measure::WHOLE,
            Part::Best => measure::BEST,
        };
        let row = planned.get(&key).and_then(|rows| rows.iter().find(|row| row.name == wanted)).ok_or_else(|| {
            Failure::usage(format!("arm {}: its run has no such part ({wanted})", arm.id))
                .hint("pair.selector_steps=0 trains no selector, sequential mode and `il` no tree")
        })?;
        all.insert(arm.id.clone(), columns(row, arm.below, &frames)?);
    }
    let text = serde_json::to_string(&all).map_err(|e| Failure::data(e.to_string()))?;
    let parent = path.parent().unwrap_or(out);
    std::fs::create_dir_all(parent).map_err(io_at(parent))?;
    write_atomic(&RealFs, &path, text.as_bytes())?;
    Ok(all)
}

/// All rows of branches over the reference of an arm.
fn rows(arm: &Arm, branches: Option<&Branches>, frames: &Frames, other: &Other) -> Result<Vec<Row>> {
    let all: Vec<usize> = (0..frames.len()).collect();
    let head;
    let drives: Vec<scene::Trajectory>;
    let reference: &dyn Reference = match arm.over() {
        Over::Own => match branches {
            Some(branches) => &branches.il,
            None => return Err(Failure::usage(format!("arm {} has no run", arm.id))),
        },
        Over::Constant => &ConstantVelocity,
        Over::Demonstrated => {
            drives = frames.demonstrated(&all);
            return over_listed(branches, drives, frames);
        }
        Over::Other(run, next) => {
            let Branches { about, il, .. } = other(run, next)?;
            if about.blind {
                // What it proposes without seeing, as given drives to branches that see.
                let blind = frames.blind()?;
                let choose = |picks: &[usize]| measure::first_choices(&il, &blind.context(picks)?);
                let drives = all.chunks(measure::BATCH).map(choose).collect::<Result<Vec<_>>>()?.concat();
                return over_listed(branches, drives, frames);
            }
            head = il;
            &head
        }
    };
    match branches {
        Some(branches) => measure::parts(branches, reference, frames),
        None => Ok(vec![measure::alone(measure::REFERENCE, reference, frames)?]),
    }
}

fn over_listed(branches: Option<&Branches>, drives: Vec<scene::Trajectory>, frames: &Frames) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    let all: Vec<usize> = (0..frames.len()).collect();
    for picks in all.chunks(measure::BATCH) {
        let listed = Listed(picks.iter().map(|at| drives[*at].clone()).collect());
        let part = frames.part(picks);
        let more = match branches {
            Some(branches) => measure::parts(branches, &listed, &part)?,
            None => vec![measure::alone(measure::REFERENCE, &listed, &part)?],
        };
        match rows.is_empty() {
            true => rows = more,
            false => rows.iter_mut().zip(more).for_each(|(row, more)| row.scores.extend(more.scores)),
        }
    }
    Ok(rows)
}

/// A row's columns; with `below` only those of frames whose demonstration scores less.
fn columns(row: &Row, below: Option<f64>, frames: &Frames) -> Result<Columns> {
    let all: Vec<usize> = (0..frames.len()).collect();
    let kept: Vec<usize> = match below {
        None => all,
        Some(below) => {
            let sets: Vec<Vec<scene::Trajectory>> =
                frames.demonstrated(&all).into_iter().map(|drive| vec![drive]).collect();
            let scores = frames.score(&all, &sets)?;
            let low = |at: &usize| scores[*at].first().is_some_and(|score| score.total() < below);
            all.iter().copied().filter(low).collect()
        }
    };
    let column = |of: &dyn Fn(&SubScores) -> f64| kept.iter().map(|at| of(&row.scores[*at])).collect::<Vec<f64>>();
    let mut columns = BTreeMap::from([(Measure::Epdms, column(&SubScores::total))]);
    for (i, measure) in Measure::DRIVEN.iter().skip(1).enumerate() {
        columns.insert(*measure, column(&|score| score.row()[i]));
    }
    Ok(columns)
}
