//! Reading a tokenizer from a model folder: `tokenizer.json`, or the `vocab.json` + `merges.txt` of older Qwen folders,
//! with `tokenizer_config.json`, `generation_config.json` and `config.json` beside it.

use super::{Tokenizer, train};
use crate::error::{Failure, Result, io_at};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use std::{collections::BTreeMap, io::Read, path::Path};
use tokenizers::AddedToken;

/// Largest vocabulary file read; the public ones have 7 to 11 MB.
const MAX_TOKENIZER: usize = 64 << 20;
/// Largest settings file read.
const MAX_SETTINGS: usize = 8 << 20;

impl Tokenizer {
    /// Reads the tokenizer of a model folder.
    pub fn from_dir(dir: &Path) -> Result<Tokenizer> {
        let settings = |name: &str| read(&dir.join(name), MAX_SETTINGS);
        let config = settings("tokenizer_config.json")?;
        let stops = [settings("generation_config.json")?, settings("config.json")?];
        let json = match read(&dir.join("tokenizer.json"), MAX_TOKENIZER)? {
            Some(json) => json,
            None => {
                match (read(&dir.join("vocab.json"), MAX_TOKENIZER)?, read(&dir.join("merges.txt"), MAX_TOKENIZER)?) {
                    (Some(vocab), Some(merges)) => {
                        old_layout(&vocab, &merges).map_err(|e| e.context(dir.join("vocab.json").display()))?
                    }
                    _ => {
                        return Err(Failure::data(format!("{} has no tokenizer.json", dir.display()))
                            .hint("copy it from the model's page, or vocab.json and merges.txt"));
                    }
                }
            }
        };
        Self::build(&json, config.as_deref(), &stops).map_err(|e| e.context(dir.display()))
    }

    /// Builds a tokenizer from the bytes of `tokenizer.json`, `tokenizer_config.json` and `generation_config.json`.
    pub fn from_bytes(json: &[u8], config: Option<&[u8]>, generation: Option<&[u8]>) -> Result<Tokenizer> {
        Self::build(json, config, &[generation.map(<[u8]>::to_vec)])
    }

    fn build(json: &[u8], config: Option<&[u8]>, stops: &[Option<Vec<u8>>]) -> Result<Tokenizer> {
        if json.len() > MAX_TOKENIZER {
            return Err(Failure::data(format!("tokenizer.json has more than {MAX_TOKENIZER} bytes")));
        }
        Shape::check(json)?;
        let mut inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|e| Failure::data(format!("tokenizer.json: {e}")).hint("copy the file again"))?;
        // Nothing here may cut, fill, or move offsets; special tokens are handled outside.
        inner.with_padding(None);
        inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        inner.with_truncation(None).map_err(super::failed)?;
        inner.set_encode_special_tokens(true);

        let config: Config = parse("tokenizer_config.json", config)?;
        add_missing(&mut inner, &config.added_tokens_decoder)?;
        let added = inner.get_added_tokens_decoder();
        if let Some(odd) = added.values().find(|t| t.special && (t.lstrip || t.rstrip || t.single_word || t.normalized))
        {
            return Err(Failure::data(format!(
                "the special token {} strips, normalises or matches whole words only; that is not supported",
                odd.content
            )));
        }
        let mut special: Vec<(String, u32)> =
            added.iter().filter(|(_, t)| t.special).map(|(id, t)| (t.content.clone(), *id)).collect();
        special.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        let mut starts = [false; 256];
        special.iter().filter_map(|(t, _)| t.bytes().next()).for_each(|b| starts[b as usize] = true);

        let names = config.names();
        let mut eos = Vec::new();
        for file in stops {
            let stop: Stop = parse("generation_config.json or config.json", file.as_deref())?;
            eos.extend(ids(stop.eos_token_id));
            eos.extend(ids(stop.text_config.unwrap_or_default().eos_token_id));
        }
        if eos.is_empty() {
            let end = names.iter().find(|(name, _)| name == "eos_token").map(|(_, token)| token.as_str());
            eos.extend([end, Some("<|im_end|>")].into_iter().flatten().filter_map(|token| inner.token_to_id(token)));
        }
        let mut seen = Vec::new();
        eos.retain(|id| {
            !seen.contains(id) && {
                seen.push(*id);
                true
            }
        });
        Ok(Tokenizer { inner, special, starts, eos, names, chat_template: config.template() })
    }
}

/// Reads a file that may be missing.
pub(super) fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_at(path)(e)),
        Ok(file) => file,
    };
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|e| io_at(path)(e))?;
    if bytes.len() > limit {
        return Err(Failure::data(format!("{} has more than {limit} bytes", path.display())));
    }
    Ok(Some(bytes))
}

fn parse<T: Default + for<'a> Deserialize<'a>>(name: &str, bytes: Option<&[u8]>) -> Result<T> {
    let Some(bytes) = bytes else { return Ok(T::default()) };
    serde_json::from_slice(bytes)
        .map_err(|e| Failure::data(format!("{name}: {e}")).hint("the file is damaged: copy it again"))
}

/// The parts of `tokenizer.json` that decide whether this is a byte-level BPE, read before anything is built.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    normalizer: Option<Value>,
    #[serde(default)]
    pre_tokenizer: Option<Value>,
    #[serde(default)]
    decoder: Option<Value>,
    model: ModelShape,
}

#[derive(Deserialize)]
struct ModelShape {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    dropout: Option<f32>,
    #[serde(default, rename = "vocab")]
    _vocab: IgnoredAny,
}

impl Shape {
    fn check(json: &[u8]) -> Result<()> {
        let shape: Shape = serde_json::from_slice(json)
            .map_err(|e| Failure::data(format!("tokenizer.json: {e}")).hint("copy the file again"))?;
        let kind = |v: &Value| v["type"].as_str().unwrap_or("nothing").to_string();
        let listed = |v: &Option<Value>, list: &str| match v {
            Some(v) if kind(v) == "Sequence" => v[list].as_array().into_iter().flatten().map(kind).collect(),
            Some(v) if !v.is_null() => vec![kind(v)],
            _ => Vec::new(),
        };
        let normal = listed(&shape.normalizer, "normalizers");
        let splits = listed(&shape.pre_tokenizer, "pretokenizers");
        let fine = shape.model.kind.as_deref().unwrap_or("BPE") == "BPE"
            && shape.model.dropout.unwrap_or(0.0) == 0.0
            && normal.iter().all(|n| matches!(n.as_str(), "NFC" | "NFD" | "NFKC" | "NFKD"))
            && splits.iter().all(|s| matches!(s.as_str(), "Split" | "ByteLevel"))
            && splits.iter().any(|s| s == "ByteLevel")
            && listed(&shape.decoder, "decoders") == ["ByteLevel"];
        if fine {
            return Ok(());
        }
        Err(Failure::data(format!(
            "tokenizer.json is no byte-level BPE (model {}, normalizer {normal:?}, pre-tokenizer {splits:?})",
            shape.model.kind.as_deref().unwrap_or("unnamed"),
        ))
        .hint("the Qwen2-VL, Qwen2.5-VL and Qwen3-VL tokenizers are supported"))
    }
}

/// Token text: a string or an object with `content`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Plain(String),
    Object { content: String },
}

/// A chat template: one text, or several by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Many(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

#[derive(Deserialize)]
struct Added {
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    normalized: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    added_tokens_decoder: BTreeMap<u32, Added>,
    bos_token: Option<Named>,
    eos_token: Option<Named>,
    pad_token: Option<Named>,
    unk_token: Option<Named>,
    chat_template: Option<Templates>,
}

impl Config {
    fn names(&self) -> Vec<(String, String)> {
        let all = [
            ("bos_token", &self.bos_token),
            ("eos_token", &self.eos_token),
            ("pad_token", &self.pad_token),
            ("unk_token", &self.unk_token),
        ];
        all.into_iter()
            .filter_map(|(name, token)| match token.as_ref()? {
                Named::Plain(text) | Named::Object { content: text } => Some((name.to_string(), text.clone())),
            })
            .collect()
    }

    fn template(self) -> Option<String> {
        match self.chat_template? {
            Templates::One(text) => Some(text),
            Templates::Many(all) => all.into_iter().find(|t| t.name == "default").map(|t| t.template),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stop {
    eos_token_id: Option<Value>,
    text_config: Option<TextStop>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TextStop {
    eos_token_id: Option<Value>,
}

/// An id or a list of ids.
fn ids(value: Option<Value>) -> Vec<u32> {
    let one = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
    match value {
        Some(Value::Array(all)) => all.iter().filter_map(one).collect(),
        Some(v) => one(&v).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Adds the tokens that only `tokenizer_config.json` lists and checks that both files agree on the ids.
fn add_missing(inner: &mut tokenizers::Tokenizer, listed: &BTreeMap<u32, Added>) -> Result<()> {
    for (&id, t) in listed {
        if inner.token_to_id(&t.content).is_none() {
            let token = AddedToken::from(t.content.clone(), t.special)
                .lstrip(t.lstrip)
                .rstrip(t.rstrip)
                .single_word(t.single_word)
                .normalized(t.normalized);
            inner.add_tokens([token]).map_err(super::failed)?;
        }
        let got = inner.token_to_id(&t.content);
        if got != Some(id) {
            return Err(Failure::data(format!(
                "tokenizer_config.json gives {:?} the id {id}, the vocabulary {}",
                t.content,
                got.map_or("none".into(), |id| id.to_string())
            ))
            .hint("both files must come from the same model"));
        }
    }
    Ok(())
}

/// `vocab.json` and `merges.txt` as a `tokenizer.json`.
fn old_layout(vocab: &[u8], merges: &[u8]) -> Result<Vec<u8>> {
    let vocab: Value = serde_json::from_slice(vocab).map_err(|e| Failure::data(e.to_string()))?;
    let merges = std::str::from_utf8(merges).map_err(|_| Failure::data("merges.txt is not UTF-8"))?;
    let lines = merges.lines().filter(|line| !line.starts_with("#version") && !line.trim().is_empty());
    let merges: Vec<Value> = lines.map(Value::from).collect();
    Ok(train::pipeline(serde_json::json!({"type": "BPE", "vocab": vocab, "merges": merges})).to_string().into_bytes())
}
