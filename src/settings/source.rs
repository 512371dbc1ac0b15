//! Settings about what is trained and on what: the model and the data.

use super::knob::{Setting, any, choice, each, or_none, section, switch};
use crate::device::{self, Choice};
use candle_core::{DType, Device};
use std::path::PathBuf;
use toml::Value;

impl Setting for Choice {
    fn read(value: &Value) -> Option<Self> {
        Choice::parse(value.as_str()?)
    }
    fn write(&self) -> Option<Value> {
        Some(Value::String(self.name()))
    }
}

choice! {
    /// Number format of the frozen weights and of the arithmetic.
    pub enum Dtype {
        /// bf16 on a GPU, f32 on the processor.
        Auto = "auto",
        /// 32 bits: exact on every machine.
        F32 = "f32" | "float32",
        /// 16 bits with the exponent range of f32: half the memory.
        Bf16 = "bf16" | "bfloat16",
    }
}

impl Dtype {
    /// The format on a device.
    pub fn on(self, device: &Device) -> DType {
        match self {
            Dtype::Auto => device::arithmetic(device),
            Dtype::F32 => DType::F32,
            Dtype::Bf16 => DType::BF16,
        }
    }
}

choice! {
    /// Block format of frozen weights.
    pub enum Quant {
        /// 4.5 bits a weight.
        Q4K = "q4_k",
        /// 6.56 bits a weight.
        Q6K = "q6_k",
        /// 8.5 bits a weight.
        Q8 = "q8_0",
    }
}

choice! {
    /// Which weights are trained.
    pub enum Train {
        /// Adapters only (section lora); the base stays as it is.
        Lora = "lora",
        /// Every weight.
        Full = "full",
        /// The language model.
        Text = "text",
        /// The vision tower and its merger.
        Vision = "vision",
    }
}

section! {
    /// The model to start from.
    pub struct Model = "model" {
        /// Model folder (Hugging Face layout), run folder or name on the hub; "none" is the embedded planner.
        path: Option<PathBuf> = None, or_none(any("a path"));
        /// PEFT adapter folder or name on the hub to continue from.
        adapter: Option<PathBuf> = None, or_none(any("a path"));
        /// Where to compute: the processor or a GPU (in a binary built for one); "auto" takes the first GPU that opens.
        device: Choice = Choice::Auto, any("auto, cpu, cuda or cuda:N");
        /// Number format of frozen weights and arithmetic; "auto" is bf16 on a GPU and f32 on the processor. What is trained
        /// is kept in f32.
        dtype: Dtype = Dtype::Auto, Dtype::rule();
        /// Block format to quantize frozen weights to while loading (QLoRA); "none" keeps them as dtype.
        quant: Option<Quant> = None, or_none(Quant::rule());
        /// Which weights are trained.
        train: Train = Train::Lora, Train::rule();
    }
}

section! {
    /// Records to train and evaluate on. Paths are relative to where the program is started.
    pub struct Data = "data" {
        /// Training record files.
        train: Vec<PathBuf> = Vec::new(), any("a path or a list of paths");
        /// Held-out record files.
        val: Vec<PathBuf> = Vec::new(), any("a path or a list of paths");
        /// Leave bad records out (counted) instead of stopping.
        skip_bad: bool = false, switch();
        /// Replacements for the beginning of image paths, as "FROM=TO".
        root: Vec<String> = Vec::new(),
            each("a list of \"FROM=TO\"", |r: &String| r.split_once('=').is_some_and(|(from, _)| !from.is_empty()));
    }
}

impl Data {
    /// The replacements of [`Data::root`] as pairs; every item has its `=` by the rule of the setting.
    pub fn roots(&self) -> Vec<(String, String)> {
        self.root.iter().filter_map(|r| r.split_once('=')).map(|(from, to)| (from.into(), to.into())).collect()
    }
}
