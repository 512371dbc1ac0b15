//! `reinsman data convert`: records of any known format out in another one, with planning questions in the words of our
//! own prompts.

use super::Records;
use crate::{
    cli::{Shared, print, print_json},
    error::Result,
    vlm::{chat::text_of, prompt::Prompts},
};
use data::{
    DataError, Ego,
    convert::{Format, write},
};
use serde_json::json;
use std::path::PathBuf;

/// What can be typed after `data convert`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The records.
    #[command(flatten)]
    pub records: Records,
    /// Format to write
    #[arg(long, value_name = "NAME", default_value = "record", value_parser = super::written_formats())]
    pub to: String,
    /// Where to write: JSON lines, or one JSON list where the name ends in .json
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Folder of prompt templates that replace the built-in ones
    #[arg(long, value_name = "DIR")]
    pub prompts: Option<PathBuf>,
    /// Leave out what cannot be read or written instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
///
/// # Errors
/// Bad records, records that the format cannot hold, a full disk: exit 3, and nothing is written.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let format = Format::from_name(&args.to)?;
    super::output(&args.out, &args.records.files)?;
    let prompts = match &args.prompts {
        Some(dir) => Prompts::from_dir(dir)?,
        None => Prompts::builtin(),
    };
    let sets = args.records.load(args.skip_bad, shared)?;
    let ask = |ego: &Ego, images: usize, think: bool| question(&prompts, ego, images, think);
    let samples = sets.iter().flat_map(|set| &set.samples);
    let (written, left) = write(samples, format, &args.out, &ask, args.skip_bad)?;
    let bad: usize = sets.iter().map(|set| set.problems.len()).sum();
    if args.json {
        return print_json(&json!({
            "out": args.out.display().to_string(),
            "format": format.name(),
            "written": written,
            "bad": bad,
            "left_out": left.iter().map(DataError::to_string).collect::<Vec<_>>(),
        }));
    }
    let mut text =
        format!("wrote {} to {} ({})\n", super::counted(written, "record"), args.out.display(), format.name());
    if let Some(first) = left.first() {
        text.push_str(&format!("left out {}, the first: {first}\n", left.len()));
    }
    print(&text)
}

/// The text of a planning question; a writer puts its own image marks before it.
pub fn question(prompts: &Prompts, ego: &Ego, images: usize, think: bool) -> Result<String, String> {
    let turns = prompts.plan_turns(ego, images, think).map_err(|e| e.message)?;
    Ok(turns.iter().map(text_of).collect())
}
