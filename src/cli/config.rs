//! `reinsman config show`: every setting, its value and where it comes from. The plain output is itself a settings file.

use super::Shared;
use crate::{
    error::Result,
    settings::{Draft, Origins, Settings, shown},
};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  reinsman config show
  reinsman config show --docs                                       # with help and allowed values
  reinsman config show --config run.toml --set sft.max_steps=100 --json";

/// What can be typed after `config`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do with settings.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs of `config`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Print every setting with its origin, as a file that can be used again
    Show(Show),
}

/// What can be typed after `config show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Settings file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Overrides one setting; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Also print what each setting does and which values it may have
    #[arg(long)]
    pub docs: bool,
    /// Print a JSON list
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
///
/// # Errors
/// Exit 2 for unknown names and values that are not allowed, exit 3 for an unreadable file.
pub fn run(args: &Args, _shared: &Shared) -> Result<()> {
    let Verb::Show(show) = &args.verb;
    let mut draft = Draft::new();
    if let Some(path) = &show.config {
        draft.file(path)?;
    }
    for assignment in &show.set {
        draft.set(assignment)?;
    }
    let (settings, origins) = draft.finish()?;
    if show.json {
        super::print_json(&as_json(&settings, &origins))
    } else {
        super::print(&as_toml(&settings, &origins, show.docs))
    }
}

fn as_json(settings: &Settings, origins: &Origins) -> serde_json::Value {
    let defaults = Settings::default();
    let mut list = Vec::new();
    for section in settings.sections() {
        let (path, _, knobs) = section.table();
        for knob in knobs {
            let key = format!("{path}.{}", knob.name);
            list.push(serde_json::json!({
                "key": key,
                "value": section.get(knob.name),
                "origin": origins.of(&key).to_string(),
                "default": defaults.get(&key),
                "help": knob.help,
                "allowed": knob.allowed,
            }));
        }
    }
    serde_json::Value::Array(list)
}

/// Unset settings appear as comments, so that the text reads back to the same tree.
fn as_toml(settings: &Settings, origins: &Origins, docs: bool) -> String {
    let mut text = String::new();
    for section in settings.sections() {
        let (path, about, knobs) = section.table();
        if docs {
            text.push_str(&format!("# {about}\n"));
        }
        text.push_str(&format!("[{path}]\n"));
        for knob in knobs {
            let key = format!("{path}.{}", knob.name);
            let value = section.get(knob.name);
            let unset = value.is_none() && Settings::default().get(&key).is_none();
            let line = format!("{}{} = {}", if unset { "# " } else { "" }, knob.name, shown(value));
            if docs {
                text.push_str(&format!("# {} Allowed: {}.\n", knob.help, knob.allowed));
            }
            text.push_str(&format!("{line:<44} # {}\n", origins.of(&key)));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len() + 1);
    text
}
