//! `/save`: the conversation as one of our own records, so that `data show` reads it and training can use it. What else
//! belongs to the session (model, settings, probabilities) lies beside it in further columns.

use super::session::Session;
use crate::{
    error::Result,
    files::{RealFs, write_atomic},
    policy::frames::Bytes,
};
use data::{Content, Image, Labels, Sample, record};
use serde_json::{Map, Value, json};
use std::path::Path;

impl Session {
    /// The session as a record whose picture paths are relative to `folder` where they can be.
    pub fn record(&self, folder: &Path) -> Value {
        let image = match &self.frame.bytes {
            Bytes::File(path) => Image::File(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            Bytes::Bundled(bytes) => Image::Bytes((*bytes).into()),
        };
        let mut extra = Map::new();
        extra.insert("ego".into(), json!({ "speed_mps": self.ego.speed_mps }));
        extra.insert("command".into(), json!(self.ego.command));
        extra.insert("model".into(), json!(self.planner.name()));
        extra.insert("prompt_version".into(), json!(self.planner.prompts.version()));
        if let Some(planned) = &self.planned {
            extra.insert("planned".into(), json!(planned.action()));
            extra.insert("probabilities".into(), planned.probabilities.to_json());
        }
        extra.insert(
            "settings".into(),
            json!({
                "think": self.think,
                "system": self.system,
                "max_new_tokens": self.decoding.max_new_tokens,
                "seed": self.decoding.seed,
            }),
        );
        let sample = Sample {
            id: format!("chat about {}", self.frame.short_name()),
            images: vec![image],
            content: Content::Conversation { turns: self.turns.clone() },
            pair: None,
            labels: Labels { speed: self.reference.speed, path: self.reference.path, future: None },
            aux: Default::default(),
            clip: None,
            split: None,
            extra,
        };
        record::to_value(&sample, folder)
    }

    /// Writes the record; an existing file is replaced once the new one is complete.
    ///
    /// # Errors
    /// A file that cannot be written: exit 3.
    pub fn save(&self, path: &Path) -> Result<String> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut bytes = serde_json::to_vec(&self.record(folder)).unwrap_or_default();
        bytes.push(b'\n');
        write_atomic(&RealFs, path, &bytes)?;
        Ok(format!("  saved {} turns to {}\n", self.turns.len(), path.display()))
    }
}
