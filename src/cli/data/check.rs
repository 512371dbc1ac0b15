//! `reinsman data check`: everything wrong with some files at once. Nothing stops it: bad records, missing pictures and
//! whole files that cannot be read are findings like any other.

use super::Records;
use crate::{
    cli::{print, print_json},
    error::{Failure, Result},
    vlm::image::{Loading, Rgb},
};
use data::{
    Dataset, Image,
    check::{Finding, Problem, check},
};
use rayon::prelude::*;
use serde_json::json;
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

/// What can be typed after `data check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The records.
    #[command(flatten)]
    pub records: Records,
    /// Also decode every picture; finds damage in the middle of a file, and takes longer
    #[arg(long)]
    pub decode: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
///
/// # Errors
/// Exit 3 when something is found that would make training wrong.
pub fn run(args: &Args) -> Result<()> {
    let options = args.records.options(true)?;
    let sets: Vec<Dataset> = args
        .records
        .files
        .iter()
        .map(|path| {
            data::load(path, &options).unwrap_or_else(|problem| Dataset {
                file: path.display().to_string(),
                format: "none",
                samples: Vec::new(),
                problems: vec![problem],
            })
        })
        .collect();
    let faults = faults(&sets, args.decode);
    let look = |image: &Image| match image {
        Image::File(path) => faults.get(path.as_path()).cloned(),
        Image::Bytes(_) => fault(image, args.decode),
    };
    let report = check(&sets, Some(&look));
    let errors = report.errors();
    if args.json {
        let files = sets.iter().map(|set| {
            json!({"file": set.file, "format": set.format, "samples": set.samples.len(), "bad": set.problems.len()})
        });
        print_json(&json!({
            "errors": errors,
            "notes": report.findings.len() - errors,
            "samples": report.samples,
            "images": report.images,
            "files": files.collect::<Vec<_>>(),
            "findings": report.findings,
        }))?;
    } else {
        print(&report.to_string())?;
    }
    if errors == 0 {
        return Ok(());
    }
    let hint = report.findings.iter().filter(|f| f.problem.is_error()).find_map(|f| f.hint.clone());
    let failure = Failure::data(super::counted(errors, "error"));
    Err(failure
        .hint(hint.unwrap_or_else(|| "each is named above; training would fail or learn something wrong".into())))
}

/// What is wrong with the image files of some sets, each opened once, several at a time.
fn faults(sets: &[Dataset], decode: bool) -> HashMap<&Path, Finding> {
    let images: BTreeSet<&Path> = sets
        .iter()
        .flat_map(|set| &set.samples)
        .flat_map(|sample| &sample.images)
        .filter_map(|image| if let Image::File(path) = image { Some(path.as_path()) } else { None })
        .collect();
    images.into_par_iter().filter_map(|path| Some((path, fault(&Image::File(path.into()), decode)?))).collect()
}

fn fault(image: &Image, decode: bool) -> Option<Finding> {
    let loading = Loading::default();
    let looked = match decode {
        true => Rgb::from_record(image, &loading).map(|_| ()),
        false => Rgb::look(image, &loading).map(|_| ()),
    };
    let failure = looked.err()?;
    let missing = matches!(image, Image::File(path) if std::fs::File::open(path).is_err());
    let problem = if missing { Problem::MissingImage } else { Problem::BrokenImage };
    Some(Finding { problem, at: String::new(), what: failure.message, hint: failure.hint })
}
