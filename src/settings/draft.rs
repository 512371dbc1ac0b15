//! From what was typed to checked settings: defaults, then a TOML file, then `--set`, then flags; later wins and every
//! value remembers where it came from. Names, types and ranges are checked when a value arrives, rules across settings
//! once at the end ([`Draft::finish`]); nothing below re-validates.

use super::{Settings, nearest::nearest};
use crate::error::{Failure, Result, io_at};
use std::{collections::BTreeMap, fmt, path::Path};
use toml::Value;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of a file.
    File {
        /// The file as it was named.
        path: String,
        /// Counted from 1.
        line: usize,
    },
    /// `--set`.
    Set,
    /// A flag such as `--data`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{path}:{line}"),
            Origin::Set => f.write_str("--set"),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Settings being put together.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    settings: Settings,
    origins: BTreeMap<String, Origin>,
}

/// Names people know from elsewhere, and ours.
const KNOWN_ELSEWHERE: &[(&str, &str)] = &[
    ("lr", "sft.learning_rate"),
    ("epochs", "sft.num_train_epochs"),
    ("steps", "sft.max_steps"),
    ("batch_size", "sft.per_device_train_batch_size"),
    ("max_seq_length", "sft.max_length"),
    ("rank", "lora.r"),
    ("alpha", "lora.lora_alpha"),
    ("dropout", "lora.lora_dropout"),
    ("enabled", "model.train"),
    ("torch_dtype", "model.dtype"),
    ("model_name_or_path", "model.path"),
    ("dataset_name", "data.train"),
];

impl Draft {
    /// All defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a TOML file over what is there.
    ///
    /// # Errors
    /// Exit 3 when it cannot be read; exit 2 with `file:line` for a syntax error, an unknown name or a value that is
    /// not allowed.
    pub fn file(&mut self, path: &Path) -> Result<()> {
        const LIMIT: u64 = 1 << 20;
        let length = std::fs::metadata(path).map_err(io_at(path))?.len();
        if length > LIMIT {
            return Err(Failure::usage(format!(
                "{} has {length} bytes; a settings file has at most {LIMIT}",
                path.display()
            )));
        }
        let text = std::fs::read(path).map_err(io_at(path))?;
        let text = String::from_utf8(text).map_err(|e| {
            let line = line_of(e.as_bytes(), e.utf8_error().valid_up_to());
            Failure::usage(format!("{}:{line} is not UTF-8 text", path.display()))
        })?;
        self.text(&text, &path.display().to_string())
    }

    /// As [`Draft::file`], from text; `name` is used in messages.
    ///
    /// # Errors
    /// As [`Draft::file`].
    pub fn text(&mut self, text: &str, name: &str) -> Result<()> {
        let at = |offset: usize| Origin::File { path: name.into(), line: line_of(text.as_bytes(), offset) };
        let table = toml::de::DeTable::parse(text).map_err(|e| {
            let place = e.span().map_or_else(|| Origin::File { path: name.into(), line: 1 }, |span| at(span.start));
            Failure::usage(format!("{place}: {}", e.message())).hint("settings are TOML: name = value under [section]")
        })?;
        let mut flat = Vec::new();
        flatten("", table.get_ref(), &mut flat)?;
        for (key, offset, value) in flat {
            self.assign(&key, &value, at(offset))?;
        }
        Ok(())
    }

    /// Applies one `--set key=value`. The value is TOML where it can be, else plain text.
    ///
    /// # Errors
    /// Exit 2 for an unknown name or a value that is not allowed.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(Failure::usage(format!("--set {assignment}: KEY=VALUE is needed"))
                .hint("for example --set sft.learning_rate=2e-4"));
        };
        let (key, text) = (key.trim(), text.trim());
        let plain = Value::String(text.into());
        let parsed = format!("v = {text}").parse::<toml::Table>().ok().filter(|t| t.len() == 1);
        let parsed = parsed.and_then(|mut t| t.remove("v")).unwrap_or_else(|| plain.clone());
        // A path called 7 is still a path: the text as typed is the second try.
        self.assign(key, &parsed, Origin::Set).or_else(|e| self.assign(key, &plain, Origin::Set).map_err(|_| e))
    }

    /// Applies a flag that stands for a setting, such as `--data` for `data.train`.
    ///
    /// # Errors
    /// As [`Draft::set`].
    pub fn flag(&mut self, flag: &'static str, key: &str, value: impl Into<Value>) -> Result<()> {
        self.assign(key, &value.into(), Origin::Flag(flag))
    }

    /// Checks the rules across settings and hands everything out.
    ///
    /// # Errors
    /// Exit 2, naming the settings that do not go together.
    pub fn finish(self) -> Result<(Settings, Origins)> {
        self.settings.check()?;
        Ok((self.settings, Origins(self.origins)))
    }

    fn assign(&mut self, key: &str, value: &Value, origin: Origin) -> Result<()> {
        let Some((section, name)) = self.settings.locate(key) else {
            return Err(self.unknown(key, &origin));
        };
        let section = &mut self.settings.sections_mut()[section];
        if !section.set(name, value) {
            let allowed = section.table().2.into_iter().find(|k| k.name == name).map(|k| k.allowed).unwrap_or_default();
            let message = format!("{key} is {} ({origin}); allowed: {allowed}", shown(value));
            return Err(Failure::usage(message).hint("`reinsman config show --docs` explains every setting"));
        }
        self.origins.insert(key.into(), origin);
        Ok(())
    }

    fn unknown(&self, key: &str, origin: &Origin) -> Failure {
        let keys = self.settings.keys();
        let sections: Vec<&str> = self.settings.sections().iter().map(|s| s.table().0).collect();
        let failure = Failure::usage(format!("unknown setting {} ({origin})", clipped(key)));
        if let Some(section) = sections.iter().find(|s| **s == key) {
            return failure.hint(format!("{section} is a section: write [{section}] and the settings below it"));
        }
        let last = key.rsplit('.').next().unwrap_or(key);
        let elsewhere = KNOWN_ELSEWHERE.iter().find(|(theirs, _)| *theirs == last).map(|(_, ours)| *ours);
        // The right name in the wrong section is nearer than any spelling.
        let moved = keys.iter().map(String::as_str).find(|k| k.rsplit('.').next() == Some(last));
        match moved.or(elsewhere).or_else(|| nearest(key, keys.iter().map(String::as_str))) {
            Some(meant) => failure.hint(format!("did you mean {meant}?")),
            None => failure.hint("`reinsman config show` lists every setting"),
        }
    }
}

/// Where each value that is not a default comes from.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// The origin of a setting by its dotted name.
    pub fn of(&self, key: &str) -> Origin {
        self.0.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// A value in a message: as TOML, cut when long.
fn shown(value: &Value) -> String {
    clipped(&super::shown(Some(value.clone())))
}

fn clipped(text: &str) -> String {
    if text.chars().count() <= 80 { text.into() } else { text.chars().take(77).chain("...".chars()).collect() }
}

fn line_of(text: &[u8], offset: usize) -> usize {
    1 + text.iter().take(offset).filter(|b| **b == b'\n').count()
}

type Flat = Vec<(String, usize, Value)>;

fn flatten(prefix: &str, table: &toml::de::DeTable<'_>, out: &mut Flat) -> Result<()> {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        match value.get_ref().as_table() {
            Some(inner) => flatten(&path, inner, out)?,
            None => out.push((path, key.span().start, plain(value.get_ref()))),
        }
    }
    Ok(())
}

/// Numbers too large for their type become text, which no numeric setting allows, so the message shows them as written.
fn plain(value: &toml::de::DeValue<'_>) -> Value {
    use toml::de::DeValue;
    match value {
        DeValue::String(s) => Value::String(s.to_string()),
        DeValue::Integer(i) => {
            i64::from_str_radix(i.as_str(), i.radix()).map_or_else(|_| Value::String(i.as_str().into()), Value::Integer)
        }
        DeValue::Float(x) => x.as_str().parse().map_or_else(|_| Value::String(x.as_str().into()), Value::Float),
        DeValue::Boolean(b) => Value::Boolean(*b),
        DeValue::Datetime(d) => Value::Datetime(*d),
        DeValue::Array(items) => Value::Array(items.iter().map(|v| plain(v.get_ref())).collect()),
        DeValue::Table(t) => {
            Value::Table(t.iter().map(|(k, v)| (k.get_ref().to_string(), plain(v.get_ref()))).collect())
        }
    }
}
