//! The branches that were trained together, and how they lie on disk.
//!
//! ```text
//! branches/  branches.json  il.safetensors  tree.safetensors  selector.safetensors
//! ```
//! Tree and selector may be missing: then the imitation head drives alone. Features of one tower mean nothing to branches
//! that learned with another, so what the tower makes of a fixed picture is kept and compared ([`Eyes`]).

use super::{IlHead, IlOptions, Selector, Shape, TreeOptions, TreePolicy};
use crate::{
    error::{Failure, Result, io_at},
    vlm::weights::Weights,
};
use candle_core::Var;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Folder of the branches inside a checkpoint.
pub const FOLDER: &str = "branches";
/// The file that tells of them.
const ABOUT: &str = "branches.json";
const IL: &str = "il.safetensors";
const TREE: &str = "tree.safetensors";
const SELECTOR: &str = "selector.safetensors";
/// Largest file that tells of branches, bytes.
const LIMIT: u64 = 1 << 20;
/// Part of the size of features by which they may differ: other devices and number formats round differently.
const TOLERANCE: f32 = 0.05;

/// What made the features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eyes {
    /// Name of the model, for people.
    pub name: String,
    /// Some numbers of what its tower makes of a fixed picture.
    pub probe: Vec<f32>,
}

impl Eyes {
    /// Fails when these are not the eyes that `learned` learned with.
    ///
    /// # Errors
    /// Exit 2 with both names.
    pub fn expect(&self, learned: &Eyes) -> Result<()> {
        let size = learned.probe.iter().fold(0f32, |most, x| most.max(x.abs()));
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE * size;
        if self.probe.len() == learned.probe.len() && self.probe.iter().zip(&learned.probe).all(near) {
            return Ok(());
        }
        let (mine, theirs) = (&self.name, &learned.name);
        Err(Failure::usage(format!(
            "the trajectory branches learned with the vision tower of {theirs}, and {mine} sees differently"
        ))
        .hint(format!(
            "give the model that they learned with, --model {theirs}, or train others: reinsman pair --model MODEL"
        )))
    }
}

/// What is known of trained branches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Version of this file, 1.
    pub format: u32,
    /// Sizes of the imitation head.
    pub il: IlOptions,
    /// Settings of the tree.
    #[serde(default)]
    pub tree: Option<TreeOptions>,
    /// Sizes of the selector.
    #[serde(default)]
    pub selector: Option<Shape>,
    /// Predicted gain below which the imitation head's choice is driven.
    pub threshold: f64,
    /// What made the features.
    pub eyes: Eyes,
    /// Whether they were kept from the features, as a baseline.
    #[serde(default)]
    pub blind: bool,
}

/// Trained branches.
pub struct Branches {
    /// What is known of them.
    pub about: About,
    /// Imitation.
    pub il: IlHead,
    /// Offsets from any reference.
    pub tree: Option<TreePolicy>,
    /// The choice among candidates.
    pub selector: Option<Selector>,
}

impl Branches {
    /// Trainable tensors of all branches by name; names of two branches never meet.
    pub fn vars(&self) -> BTreeMap<String, Var> {
        let mut vars = self.il.vars().clone();
        vars.extend(self.tree.iter().flat_map(|tree| tree.vars().clone()));
        vars.extend(self.selector.iter().flat_map(|selector| selector.vars().clone()));
        vars
    }

    /// Files by their path inside a checkpoint.
    ///
    /// # Errors
    /// Device trouble.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let about = serde_json::to_vec_pretty(&self.about).map_err(|e| Failure::data(e.to_string()))?;
        let mut files = vec![(ABOUT, about), (IL, self.il.bytes()?)];
        if let Some(tree) = &self.tree {
            files.push((TREE, tree.bytes()?));
        }
        if let Some(selector) = &self.selector {
            files.push((SELECTOR, selector.bytes()?));
        }
        Ok(files.into_iter().map(|(name, bytes)| (format!("{FOLDER}/{name}"), bytes)).collect())
    }

    /// Reads the branches of a run folder (its newest complete checkpoint), of a checkpoint, or of a folder of their own.
    ///
    /// # Errors
    /// Exit 3 for a folder without branches, and for files that do not fit together.
    pub fn load(path: &Path) -> Result<Branches> {
        Branches::inside(path)?.ok_or_else(|| {
            Failure::data(format!("{} holds no trajectory branches", path.display()))
                .hint("name the run folder of `reinsman pair` or `reinsman il`, or a folder with branches.json")
        })
    }

    /// [`Branches::load`] where there are branches.
    ///
    /// # Errors
    /// Files that do not fit together.
    pub fn inside(path: &Path) -> Result<Option<Branches>> {
        let Some(dir) = folder(path)? else { return Ok(None) };
        Branches::read(about(&dir)?, |name| Weights::open_file(&dir.join(name))).map(Some)
    }

    /// Reads branches from files in memory, by name.
    ///
    /// # Errors
    /// As [`Branches::load`].
    pub fn from_files(files: &BTreeMap<&str, &[u8]>) -> Result<Branches> {
        let file = |name: &str| {
            let bytes = files.get(name).copied();
            bytes.ok_or_else(|| Failure::data(format!("no {name} among the files of trajectory branches")))
        };
        let text = std::str::from_utf8(file(ABOUT)?).map_err(|e| Failure::data(format!("{ABOUT}: {e}")))?;
        let about = parse(text).map_err(|failure| failure.context(ABOUT))?;
        Branches::read(about, |name| Weights::from_bytes(name, file(name)?))
    }

    fn read(about: About, open: impl Fn(&str) -> Result<Weights>) -> Result<Branches> {
        let il = IlHead::read(&about.il, &open(IL)?)?;
        let tree = about.tree.as_ref().map(|options| TreePolicy::read(options, &open(TREE)?)).transpose()?;
        let selector = about.selector.as_ref().map(|shape| Selector::read(shape, &open(SELECTOR)?)).transpose()?;
        Ok(Branches { about, il, tree, selector })
    }
}

/// The folder that holds `branches.json`, if one does.
fn folder(path: &Path) -> Result<Option<PathBuf>> {
    let here = |dir: &Path| dir.join(ABOUT).is_file().then(|| dir.to_path_buf());
    if let Some(dir) = here(path).or_else(|| here(&path.join(FOLDER))) {
        return Ok(Some(dir));
    }
    // Verifying a checkpoint reads all of it, which takes time where it is a whole model.
    let checkpoints = std::fs::read_dir(path.join("ckpt")).into_iter().flatten().flatten();
    if !checkpoints.into_iter().any(|checkpoint| checkpoint.path().join(FOLDER).is_dir()) {
        return Ok(None);
    }
    let newest = crate::train::checkpoint::Checkpoint::newest(path)?.found;
    Ok(newest.and_then(|checkpoint| here(&checkpoint.dir.join(FOLDER))))
}

fn about(dir: &Path) -> Result<About> {
    let path = dir.join(ABOUT);
    let size = std::fs::metadata(&path).map_err(io_at(&path))?.len();
    if size > LIMIT {
        return Err(Failure::data(format!("{} has {size} bytes; at most {LIMIT} are allowed", path.display())));
    }
    let text = std::fs::read_to_string(&path).map_err(io_at(&path))?;
    parse(&text)
        .map_err(|failure| failure.context(path.display()).or_hint("take an earlier checkpoint, or train it again"))
}

/// Reads `branches.json`.
///
/// # Errors
/// Exit 3 for other text, exit 2 for sizes that make no sense.
pub fn parse(text: &str) -> Result<About> {
    let about: About = serde_json::from_str(text).map_err(|e| Failure::data(e.to_string()))?;
    if about.format != 1 {
        return Err(Failure::data(format!("format is {}; this program knows 1", about.format)));
    }
    // Infinite keeps to the imitation head, but JSON cannot say so.
    if !(about.threshold.is_finite() && about.threshold >= 0.0) {
        return Err(Failure::data(format!("threshold is {}; allowed: 0 and above", about.threshold)));
    }
    about.il.shape.check()?;
    if about.il.modes == 0 || about.il.modes > 1 << 12 {
        return Err(Failure::data(format!("il.modes is {}; allowed: 1 to {}", about.il.modes, 1 << 12)));
    }
    about.tree.iter().try_for_each(TreeOptions::check)?;
    about.selector.iter().try_for_each(Shape::check)?;
    Ok(about)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::trajectory::{anchors::Anchor, geometry::POSES};

    fn small() -> Branches {
        let shape = Shape { feature_width: 6, width: 8, heads: 2, layers: 1, inner: 8, registers: 2 };
        let il = IlOptions { shape: shape.clone(), modes: 2 };
        let tree = TreeOptions { shape: shape.clone(), ..TreeOptions::default() };
        let anchors: Vec<Anchor> = vec![[[1.0, 0.0]; POSES], [[2.0, 0.5]; POSES]];
        Branches {
            il: IlHead::new(&il, anchors, 1).unwrap(),
            tree: Some(TreePolicy::new(&tree, 2).unwrap()),
            selector: Some(Selector::new(&shape, 3).unwrap()),
            about: About {
                format: 1,
                il,
                tree: Some(tree),
                selector: Some(shape),
                threshold: 0.02,
                eyes: Eyes { name: "tiny".into(), probe: vec![1.0, -2.0] },
                blind: false,
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let (branches, dir) = (small(), tempfile::tempdir().unwrap());
        for (name, bytes) in branches.files().unwrap() {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let read = Branches::load(dir.path()).unwrap();
        assert_eq!(read.about, branches.about);
        assert_eq!(read.files().unwrap(), branches.files().unwrap());
        let missing = Branches::load(&dir.path().join("elsewhere")).err().unwrap();
        assert!(missing.message.contains("no trajectory branches"), "{missing}");
    }

    #[test]
    fn damaged_descriptions_are_refused() {
        let text = serde_json::to_string(&small().about).unwrap();
        assert!(parse(&text).is_ok());
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("\"threshold\":0.02", "\"threshold\":-1"),
            ("\"modes\":2", "\"modes\":0"),
            ("\"heads\":2", "\"heads\":3"),
            ("\"eyes\"", "\"ears\""),
        ] {
            assert!(text.contains(from), "{text}");
            assert!(parse(&text.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn other_eyes_are_noticed() {
        let eyes = |probe: [f32; 2]| Eyes { name: "a".into(), probe: probe.into() };
        assert!(eyes([1.0, -2.01]).expect(&eyes([1.0, -2.0])).is_ok());
        assert!(eyes([1.0, -1.0]).expect(&eyes([1.0, -2.0])).is_err());
        assert!(eyes([f32::NAN, -2.0]).expect(&eyes([1.0, -2.0])).is_err());
    }
}
