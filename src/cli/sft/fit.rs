//! Whether training fits this machine: the estimate from shapes and data, made before weights are loaded, and what to
//! change where it does not.

use super::{quant_of, samples_per_step, trainable};
use crate::{
    cli::millions,
    device,
    error::{Failure, Result, human_bytes},
    memory::{self, Memory},
    policy::{Source, language, planner::Quant},
    settings::{self, Augment, Settings, Train},
    train::{
        auxiliary,
        estimate::{self, Adapters, Rows, Setup, Stored},
        features,
        survey::{Length, Survey},
    },
    vlm::{
        LoraSpec, Trainable, lora,
        model::layout,
        peft,
        quant::{Kind, rule::format_of},
    },
};
use candle_core::{DType, Device};
use data::Sample;
use serde_json::{Value, json};

/// What is trained and on what.
pub(super) struct Inputs<'a> {
    pub(super) source: &'a Source,
    pub(super) device: &'a Device,
    pub(super) samples: &'a [Sample],
    pub(super) survey: &'a Survey,
}

/// What training will take, by arithmetic.
pub(super) struct Estimate {
    setup: Setup,
    memory: estimate::Memory,
    /// Seconds of a step, and of one while pictures are seen for the first time.
    seconds: [f64; 2],
}

impl Estimate {
    /// Computes it for a model that is not loaded yet.
    pub(super) fn new(settings: &Settings, data: &Inputs) -> Result<Self> {
        let setup = setup(settings, data)?;
        let (text, seen) = setup.operations();
        let rate = estimate::rate(data.device, settings.model.dtype.on(data.device))?;
        let kept = setup.features > 0;
        let step = (text + if kept { 0.0 } else { seen }) / rate;
        Ok(Estimate { memory: setup.memory(), seconds: [step, (text + seen) / rate], setup })
    }

    /// Fails when memory will not suffice, unless `anyway` turns that into a warning.
    pub(super) fn check(&self, settings: &Settings, data: &Inputs, anyway: bool) -> Result<Option<String>> {
        let (free, of) = match (device::memory(data.device), Memory::now()) {
            (Some((free, _)), _) => (free, device::name(data.device)),
            (None, Some(Memory { available, .. })) if data.device.is_cpu() => {
                (available.saturating_add(memory::resident_bytes().unwrap_or(0)), "memory".into())
            }
            _ => return Ok(None),
        };
        if self.memory.peak <= free {
            return Ok(None);
        }
        let (peak, free_text) = (human_bytes(self.memory.peak), human_bytes(free));
        let message = format!("training will need about {peak} of {of}, {free_text} are free");
        // The estimate was fitted to measurements on processors.
        let anyway = anyway || !data.device.is_cpu();
        match anyway {
            true => Ok(Some(message)),
            false => Err(Failure::device(message).hint(self.way_out(settings, data, free))),
        }
    }

    /// What fits, from the change that costs least.
    fn way_out(&self, settings: &Settings, data: &Inputs, free: u64) -> String {
        let mut ways: Vec<(String, Setup)> = Vec::new();
        let lora = settings.model.train == Train::Lora;
        // Each of these as it is, then with checkpointing, then with ever fewer rows.
        let bases = [
            ("", Some(self.setup.clone())),
            (" --quant q4_k", lora.then(|| self.changed(settings, data, true)).flatten()),
            (" --set model.train=lora", (!lora).then(|| self.changed(settings, data, false)).flatten()),
            (" --set model.train=lora --quant q4_k", (!lora).then(|| self.changed(settings, data, true)).flatten()),
        ];
        for (way, base) in bases.into_iter().filter_map(|(way, base)| Some((way, base?))) {
            for count in std::iter::successors(Some(base.rows.count), |n| (*n > 1).then(|| n.div_ceil(2))) {
                for checkpointing in if base.checkpointing { &[true][..] } else { &[false, true] } {
                    let part = |n: u64| n * count / base.rows.count.max(1);
                    let (image_tokens, scored) = (part(base.rows.image_tokens), part(base.rows.scored));
                    let rows = Rows { count, image_tokens, scored, ..base.rows };
                    let mut said = way.to_owned();
                    if *checkpointing && !base.checkpointing {
                        said.push_str(" --set sft.gradient_checkpointing=true");
                    }
                    if count < base.rows.count {
                        said.push_str(&format!(" --set sft.per_device_train_batch_size={count}"));
                    }
                    ways.push((said, Setup { rows, checkpointing: *checkpointing, ..base.clone() }));
                }
            }
        }
        let fits = ways.iter().map(|(way, changed)| (way, changed.memory().peak)).find(|(_, peak)| *peak <= free);
        let rest =
            "a smaller sft.max_pixels or sft.max_length, or a smaller model; --memory-anyway starts all the same";
        match fits {
            Some((way, peak)) => format!("with{way} it needs about {}; or {rest}", human_bytes(peak)),
            None => format!("even one sample at a time with checkpointing and quantized does not fit: {rest}"),
        }
    }

    /// The same with adapters on a frozen, perhaps quantized base.
    fn changed(&self, settings: &Settings, data: &Inputs, quantized: bool) -> Option<Setup> {
        let mut settings = settings.clone();
        settings.model.train = Train::Lora;
        if quantized {
            settings.model.quant = Some(settings::Quant::Q4K);
        }
        setup(&settings, data).ok()
    }

    /// The line of a dry run.
    pub(super) fn line(&self) -> String {
        let memory = &self.memory;
        let parts = [
            ("weights", memory.weights),
            ("optimizer", memory.optimizer),
            ("gradients", memory.gradients),
            ("activations", memory.activations),
            ("pictures", memory.pictures),
        ];
        let parts: Vec<_> = parts.iter().map(|(what, bytes)| format!("{what} {}", human_bytes(*bytes))).collect();
        let checkpointed = if self.setup.checkpointing { ", activations computed again" } else { "" };
        format!(
            "estimated  {} parameters, {} trainable: peak memory {} ({}), {:.2} s a step{checkpointed}\n",
            millions(self.setup.parameters() as usize),
            millions(self.setup.trainable() as usize),
            human_bytes(memory.peak),
            parts.join(", "),
            self.seconds[0],
        )
    }

    /// The same for machines.
    pub(super) fn json(&self) -> Value {
        json!({
            "parameters": self.setup.parameters(),
            "trainable": self.setup.trainable(),
            "gradient_checkpointing": self.setup.checkpointing,
            "peak_bytes": self.memory.peak,
            "memory": self.memory,
            "step_seconds": self.seconds[0],
            "first_epoch_step_seconds": self.seconds[1],
        })
    }
}

fn setup(settings: &Settings, data: &Inputs) -> Result<Setup> {
    let Inputs { source, samples, survey, .. } = *data;
    let (mut config, weights) = language::open(source)?;
    config.tie_word_embeddings.get_or_insert(!weights.has("lm_head.weight"));
    let layout = layout(&config)?;
    let (sft, augment) = (&settings.sft, &settings.augment);
    let half = settings.model.dtype.on(data.device) == DType::BF16;
    let trainable = trainable(settings, sft.seed);
    let pattern = match &trainable {
        Trainable::Matching(pattern) => Some(lora::compile(pattern, pattern)?),
        _ => None,
    };
    let numbers: u64 = layout.tensors.iter().map(|(_, shape)| count(shape)).sum();
    let kind = quant(settings, source)?;
    let mut tensors = Vec::with_capacity(layout.tensors.len());
    for (name, shape) in &layout.tensors {
        let trained = match &trainable {
            Trainable::All => true,
            _ => pattern.as_ref().is_some_and(|pattern| pattern.is_match(name)),
        };
        // As the loader decides it.
        let packed = match (layout.matrices.get(name), &shape[..]) {
            (Some(role), &[rows, cols]) if !trained => {
                let kind = weights.kind(name).or_else(|| format_of(kind?, *role, rows, cols));
                kind.map(|kind| kind.packed_bytes(rows, cols) as u64)
            }
            _ => None,
        };
        let small = kind.is_some() && layout.matrices.contains_key(name) && weights.dtype(name) != Some(DType::F32);
        let elements = count(shape);
        let bytes = packed.unwrap_or(elements * if !trained && (half || small) { 2 } else { 4 });
        tensors.push(Stored { name: name.clone(), elements, bytes, packed: packed.is_some(), trained });
    }
    let adapters = match (&trainable, source) {
        (Trainable::Lora(_), Source::Adapter { adapter, .. }) => {
            Some(adapters(&peft::read_spec(&adapter.join("adapter_config.json"))?, &layout.linears)?)
        }
        (Trainable::Lora(spec), _) => Some(adapters(spec, &layout.linears)?),
        _ => None,
    };
    let parameters = numbers as usize;
    let checkpointing = sft.gradient_checkpointing.on(parameters);
    let mut setup = Setup {
        rows: rows(survey, sft.per_device_train_batch_size.min(samples_per_step(settings))),
        tensors,
        adapters,
        half,
        checkpointing,
        micro_batches: sft.gradient_accumulation_steps as u64,
        beside: beside(settings, samples, survey, config.text.hidden_size as u64),
        features: 0,
        config,
    };
    let tower = setup.tensors.iter().any(|t| t.trained && t.name.contains("visual."));
    if tower || *augment != Augment::default() {
        setup.rows.picture = setup.rows.image_tokens;
    } else {
        let (text, vision) = (&setup.config.text, &setup.config.vision);
        let width = text.hidden_size * (1 + vision.deepstack_visual_indexes.len()) * if half { 2 } else { 4 };
        let tokens: usize = survey.lengths.iter().map(|l| l.image_tokens).sum();
        setup.features = tokens.saturating_mul(width).min(features::BUDGET) as u64;
    }
    Ok(setup)
}

/// What frozen matrices will be quantized to.
fn quant(settings: &Settings, source: &Source) -> Result<Option<Kind>> {
    match (quant_of(settings), source) {
        (Quant::Kind(kind), _) => Ok(Some(kind)),
        (Quant::AsTrained, Source::Adapter { adapter, .. }) => peft::trained_on(adapter),
        _ => Ok(None),
    }
}

fn count(shape: &[usize]) -> u64 {
    shape.iter().fold(1u64, |n, d| n.saturating_mul(*d as u64))
}

fn adapters(spec: &LoraSpec, linears: &[crate::vlm::build::LinearSite]) -> Result<Adapters> {
    let mut out = Adapters { dropout: spec.dropout > 0.0, ..Adapters::default() };
    for site in spec.sites(linears)? {
        let (r, inputs, outputs) =
            (spec.rank_and_scale(&site.module)?.0 as u64, site.inputs as u64, site.outputs as u64);
        out.parameters += r * (inputs + outputs);
        if site.module.contains("language_model") {
            out.ranks += r;
            out.widths = [out.widths[0] + inputs, out.widths[1] + outputs];
        }
    }
    Ok(out)
}

/// The micro-batch of the longest samples.
fn rows(survey: &Survey, count: usize) -> Rows {
    let order = survey.by_length();
    let longest: Vec<Length> =
        order.iter().rev().cycle().take(if order.is_empty() { 0 } else { count }).map(|i| survey.lengths[*i]).collect();
    let sum = |pick: fn(&Length) -> usize| longest.iter().map(|l| pick(l) as u64).sum();
    Rows {
        count: count as u64,
        width: longest.iter().map(|l| l.tokens as u64).max().unwrap_or(0),
        image_tokens: sum(|l| l.image_tokens),
        picture: survey.lengths.iter().map(|l| l.image_tokens.div_ceil(l.images.max(1)) as u64).max().unwrap_or(0),
        scored: sum(|l| l.answer_tokens),
    }
}

/// Numbers in the auxiliary head.
fn beside(settings: &Settings, samples: &[Sample], survey: &Survey, hidden: u64) -> u64 {
    let aux = &settings.auxiliary;
    if aux.weight <= 0.0 && aux.vision_steps == 0 {
        return 0;
    }
    let classes = auxiliary::targets(samples, &aux.targets, settings.augment.flip)
        .map_or(0, |targets| targets.iter().map(|t| t.classes.len()).sum());
    auxiliary::parameters(hidden, survey.frame_tokens().unwrap_or(0) as u64, classes as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{policy::Language, train::survey::Aim};

    /// Whatever is free, the hint names a change that fits, and less memory asks for more.
    #[test]
    fn the_way_out_fits() {
        let source = Source::Embedded;
        let Ok(language) = Language::load(&source, None, None) else { return };
        let records = concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/real_drive/train.jsonl");
        let set = data::load(records.as_ref(), &data::ReadOptions::default()).unwrap();
        let samples = &set.samples[..20];
        let survey =
            Survey::of(&language.encoder, &language.prompts, samples, Aim::Answer { think: true }, 4096, true).unwrap();
        let inputs = Inputs { source: &source, device: &Device::Cpu, samples, survey: &survey };
        let mut settings = Settings::default();
        (settings.model.train, settings.sft.per_device_train_batch_size) = (Train::Full, 16);
        let estimate = Estimate::new(&settings, &inputs).unwrap();
        let peak = estimate.memory.peak;
        let say = |free: u64| estimate.way_out(&settings, &inputs, free);
        assert!(
            say(peak - 1).starts_with("with --set sft.gradient_checkpointing=true it needs about"),
            "{}",
            say(peak - 1)
        );
        assert!(say(peak / 2).contains("sft.per_device_train_batch_size="), "{}", say(peak / 2));
        assert!(say(1000).starts_with("even one sample at a time"), "{}", say(1000));
        assert!(say(peak / 2).contains("--memory-anyway"));
    }
}
