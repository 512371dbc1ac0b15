//! PEFT adapter folders in and out: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! The tensors decide which layers are adapted (older and newer module names are accepted); the config gives alpha and
//! the patterns. Features that change what the numbers mean (DoRA, saved modules, PiSSA-like bases, ...) are refused
//! by name. Files written here carry a digest of their base in the safetensors metadata, which PEFT ignores; an adapter
//! whose digest names another base is refused.

use super::{
    build::LinearSite,
    lora::{Adapter, LoraSpec, Targets, parse_peft_name, peft_name},
    model::{Vlm, layout, to_safetensors},
    quant::Kind,
    weights::{Weights, nearest},
};
use crate::{
    error::{Failure, Result, io_at},
    files::{RealFs, write_atomic},
};
use candle_core::{DType, Tensor};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";
const DIGEST: &str = "reinsman_base";
const QUANT: &str = "reinsman_quant";

/// What the frozen weights were quantized to when an adapter was trained, as far as its file says.
///
/// # Errors
/// A file that is missing or damaged.
pub fn trained_on(dir: &Path) -> Result<Option<Kind>> {
    let metadata = read_metadata(&dir.join(TENSORS))?;
    Ok(metadata.get(QUANT).and_then(|name| serde_json::from_value(json!(name)).ok()))
}

/// Reads an `adapter_config.json`, refusing what is not supported.
pub fn read_spec(path: &Path) -> Result<LoraSpec> {
    let bytes = std::fs::read(path).map_err(io_at(path))?;
    parse_spec(&bytes).map_err(|e| e.context(path.display()))
}

fn parse_spec(bytes: &[u8]) -> Result<LoraSpec> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| Failure::data(format!("not valid JSON: {e}")))?;
    let map = value.as_object().ok_or_else(|| Failure::data("not a JSON object"))?;
    refuse_unsupported(map)?;
    let missing = |key: &str| Failure::data(format!("{key} is missing or not a number"));
    let target_modules = match map.get("target_modules") {
        Some(Value::String(pattern)) => Targets::Regex(pattern.clone()),
        Some(Value::Array(list)) => {
            Targets::Suffixes(list.iter().filter_map(Value::as_str).map(str::to_string).collect())
        }
        _ => return Err(Failure::data("target_modules is neither a string nor a list")),
    };
    let pattern = |key: &str| -> Result<Vec<(String, f64)>> {
        let Some(table) = map.get(key).and_then(Value::as_object) else { return Ok(Vec::new()) };
        table.iter().map(|(k, v)| v.as_f64().map(|v| (k.clone(), v)).ok_or_else(|| missing(key))).collect()
    };
    let spec = LoraSpec {
        r: map.get("r").and_then(Value::as_u64).ok_or_else(|| missing("r"))? as usize,
        alpha: map.get("lora_alpha").and_then(Value::as_f64).ok_or_else(|| missing("lora_alpha"))?,
        target_modules,
        use_rslora: map.get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
        dropout: map.get("lora_dropout").and_then(Value::as_f64).unwrap_or(0.),
        rank_pattern: pattern("rank_pattern")?.into_iter().map(|(k, v)| (k, v as usize)).collect(),
        alpha_pattern: pattern("alpha_pattern")?,
        seed: 0,
    };
    spec.check().map_err(|e| Failure::data(e.message))?;
    Ok(spec)
}

/// Keys that must be absent, null, false or empty, and what they would mean.
const REFUSED: [(&str, &str); 12] = [
    ("use_dora", "DoRA"),
    ("modules_to_save", "fully trained modules"),
    ("trainable_token_indices", "trained token rows"),
    ("target_parameters", "adapters on bare parameters"),
    ("layer_replication", "layer replication"),
    ("fan_in_fan_out", "transposed weights"),
    ("lora_bias", "LoRA biases"),
    ("use_qalora", "QA-LoRA"),
    ("use_bdlora", "BD-LoRA"),
    ("alora_invocation_tokens", "activated LoRA"),
    ("arrow_config", "Arrow routing"),
    ("monteclora_config", "MonteCLoRA"),
];

fn refuse_unsupported(map: &Map<String, Value>) -> Result<()> {
    let unsupported = |key: &str, value: &Value, what: &str| {
        Failure::data(format!("{key} is {value}: {what} is not supported"))
            .hint("merge the adapter into its base with PEFT and load the merged checkpoint")
    };
    match map.get("peft_type") {
        Some(Value::String(kind)) if kind == "LORA" => {}
        other => return Err(unsupported("peft_type", other.unwrap_or(&Value::Null), "anything but LORA")),
    }
    for (key, what) in REFUSED {
        let empty = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(table) => table.is_empty(),
            _ => false,
        };
        if let Some(value) = map.get(key).filter(|value| !empty(value)) {
            return Err(unsupported(key, value, what));
        }
    }
    if let Some(bias) = map.get("bias").filter(|bias| **bias != json!("none") && !bias.is_null()) {
        return Err(unsupported("bias", bias, "a trained bias"));
    }
    let changes_base = |kind: &str| ["pissa", "olora", "corda", "loftq", "lora_ga"].iter().any(|k| kind.starts_with(k));
    match map.get("init_lora_weights") {
        Some(Value::String(kind)) if changes_base(kind) => {
            Err(unsupported("init_lora_weights", &json!(kind), "an initialisation that changes the base"))
        }
        _ => Ok(()),
    }
}

impl Vlm {
    /// Attaches the adapter of a PEFT folder, replacing one that is there.
    pub fn load_adapter(&mut self, dir: &Path, trainable: bool) -> Result<()> {
        let spec = read_spec(&dir.join(CONFIG))?;
        let path = dir.join(TENSORS);
        let metadata = read_metadata(&path)?;
        let mine = self.base_digest()?;
        if let Some(theirs) = metadata.get(DIGEST).filter(|theirs| **theirs != mine) {
            return Err(Failure::data(format!(
                "{} was trained on base {}, this model is {}",
                path.display(),
                short(theirs),
                short(&mine)
            ))
            .hint("load the adapter on the checkpoint it was trained on"));
        }
        let tensors = candle_core::safetensors::load(&path, self.device())
            .map_err(|e| Failure::data(format!("{}: {e}", path.display())))?;
        let pairs = pair_up(&path, tensors, &layout(self.config())?.linears, &spec)?;
        let mut adapter = Adapter::from_pairs(spec, pairs)?;
        let vars = if trainable { adapter.make_trainable()? } else { BTreeMap::new() };
        self.set_adapter(Some(adapter), vars)
    }

    /// Detaches the adapter.
    pub fn remove_adapter(&mut self) -> Result<()> {
        self.set_adapter(None, BTreeMap::new())
    }

    /// The attached adapter's specification.
    pub fn adapter_spec(&self) -> Option<&LoraSpec> {
        self.adapter.as_ref().map(|adapter| &adapter.spec)
    }

    /// The files of the adapter's PEFT folder by name. `base` is what `base_model_name_or_path` shall say.
    pub fn adapter_files(&self, base: &str) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let adapter = self.adapter.as_ref().ok_or_else(|| Failure::usage("the model has no adapter to save"))?;
        let mut out = HashMap::new();
        for (module, slot) in &adapter.slots {
            out.insert(peft_name(module, "A"), slot.a.detach());
            out.insert(peft_name(module, "B"), slot.b.detach());
        }
        let mut metadata = HashMap::from([("format".into(), "pt".into()), (DIGEST.into(), self.base_digest()?)]);
        if let Some(kind) = self.quant() {
            metadata.insert(QUANT.into(), kind.name().into());
        }
        let config = serde_json::to_vec_pretty(&spec_json(&adapter.spec, base)).unwrap_or_default();
        Ok(vec![(TENSORS, to_safetensors(&out, metadata)?), (CONFIG, config)])
    }

    /// Writes the adapter as a PEFT folder, each file through a temporary one.
    pub fn save_adapter(&self, dir: &Path, base: &str) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(io_at(dir))?;
        for (name, bytes) in self.adapter_files(base)? {
            write_atomic(&RealFs, &dir.join(name), &bytes)?;
        }
        Ok(())
    }

    /// Short fingerprint of the base: names, shapes and the first 64 numbers of every tensor, rounded to bf16 so that
    /// it does not depend on the dtype it was loaded in, nor on what it was quantized to here.
    pub fn base_digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for (name, weight) in &self.tensors {
            hash.update(format!("{name}{:?}", weight.dims()));
            weight.first(64)?.iter().for_each(|x| hash.update(x.to_bits().to_le_bytes()));
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn read_metadata(path: &Path) -> Result<HashMap<String, String>> {
    Weights::open_file(path)?; // validates the header and explains what is wrong
    let bytes = std::fs::read(path).map_err(io_at(path))?;
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes)
        .map_err(|e| Failure::data(format!("{}: {e}", path.display())))?;
    Ok(metadata.metadata().clone().unwrap_or_default())
}

/// Sorts an adapter file's tensors by module and checks every shape against the base and the spec.
fn pair_up(
    path: &Path,
    tensors: HashMap<String, Tensor>,
    linears: &[LinearSite],
    spec: &LoraSpec,
) -> Result<BTreeMap<String, (Tensor, Tensor)>> {
    let bad = |what: String| Failure::data(format!("{}: {what}", path.display()));
    let mut halves: BTreeMap<String, [Option<Tensor>; 2]> = BTreeMap::new();
    for (name, tensor) in tensors {
        let Some((module, half)) = parse_peft_name(&name) else {
            return Err(bad(format!("{name} is not a LoRA A or B matrix of a linear layer"))
                .hint("DoRA vectors, embeddings and saved modules are not supported"));
        };
        halves.entry(module).or_default()[usize::from(half == "B")] = Some(tensor.to_dtype(DType::F32)?);
    }
    let mut pairs = BTreeMap::new();
    for (module, pair) in halves {
        let [Some(a), Some(b)] = pair else { return Err(bad(format!("{module} has only one of lora_A, lora_B"))) };
        let Some(site) = linears.iter().find(|site| site.module == module) else {
            let near = nearest(&module, linears.iter().map(|site| site.module.as_str()), 3).join(", ");
            return Err(bad(format!("the base has no layer {module}")).hint(format!("nearest are: {near}")));
        };
        let (r, _) = spec.rank_and_scale(&module)?;
        if a.dims() != [r, site.inputs] || b.dims() != [site.outputs, r] {
            return Err(bad(format!(
                "{module}: A {:?} and B {:?} do not fit the base, which needs A [{r}, {}] and B [{}, {r}]",
                a.dims(),
                b.dims(),
                site.inputs,
                site.outputs
            ))
            .hint("the adapter was made for another base or another rank"));
        }
        pairs.insert(module, (a, b));
    }
    if pairs.is_empty() { Err(bad("holds no LoRA matrices".into())) } else { Ok(pairs) }
}

fn spec_json(spec: &LoraSpec, base: &str) -> Value {
    // PEFT wants integers where the value is one.
    let number = |x: f64| if x.fract() == 0. && x.abs() < 1e15 { json!(x as i64) } else { json!(x) };
    let ranks: Map<String, Value> = spec.rank_pattern.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    let alphas: Map<String, Value> = spec.alpha_pattern.iter().map(|(k, v)| (k.clone(), number(*v))).collect();
    let targets = match &spec.target_modules {
        Targets::Regex(pattern) => json!(pattern),
        Targets::Suffixes(list) => json!(list),
    };
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": spec.r,
        "lora_alpha": number(spec.alpha),
        "lora_dropout": spec.dropout,
        "use_rslora": spec.use_rslora,
        "target_modules": targets,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "modules_to_save": null,
        "use_dora": false,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn config_round_trips() {
        let spec = LoraSpec {
            alpha: 12.5,
            use_rslora: true,
            rank_pattern: vec![("q_proj".into(), 2)],
            alpha_pattern: vec![("b".into(), 3.), ("a".into(), 4.)],
            ..Default::default()
        };
        let text = serde_json::to_vec(&spec_json(&spec, "x")).unwrap();
        assert_eq!(parse_spec(&text).unwrap(), spec);
    }

    #[test]
    fn unsupported_features_are_named() {
        for (key, value, word) in [
            ("use_dora", json!(true), "DoRA"),
            ("modules_to_save", json!(["lm_head"]), "modules_to_save"),
            ("bias", json!("all"), "bias"),
            ("peft_type", json!("LOHA"), "peft_type"),
            ("init_lora_weights", json!("pissa_niter_4"), "init_lora_weights"),
            ("r", json!(0), "rank"),
            ("lora_alpha", json!("8"), "lora_alpha"),
            ("target_modules", json!(3), "target_modules"),
        ] {
            let mut config = spec_json(&LoraSpec::default(), "x");
            config[key] = value;
            let error = parse_spec(&serde_json::to_vec(&config).unwrap()).unwrap_err();
            assert!(error.message.contains(word), "{key}: {error}");
        }
    }
}
