//! `doctor --model`: how the weights of a model would be held, and which matrices stay dense because of their width.

use crate::{
    error::{Result, human_bytes},
    policy::{Source, language, planner::Quant},
    vlm::{
        model::layout,
        quant::{Kind, rule::format_of},
    },
};
use candle_core::DType;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Formats with their sizes, then the widths that no block divides. Nothing is loaded.
///
/// # Errors
/// A model that is missing or refused.
pub(super) fn held(model: &Path, quant: Quant) -> Result<String> {
    let source = Source::resolve(Some(model))?;
    let (mut config, weights) = language::open(&source)?;
    config.tie_word_embeddings.get_or_insert(!weights.has("lm_head.weight"));
    let layout = layout(&config)?;
    let wanted = match quant {
        Quant::Kind(kind) => Some(kind),
        Quant::AsTrained | Quant::Dense => None,
    };
    let mut formats: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let (mut left, mut widths) = (0, BTreeSet::new());
    for (name, shape) in &layout.tensors {
        let elements: usize = shape.iter().product();
        let stored = weights.kind(name).filter(|_| quant != Quant::Dense);
        let (format, bytes) = match (layout.matrices.get(name), &shape[..]) {
            (Some(role), &[rows, cols]) => {
                let kind = stored.or_else(|| format_of(wanted?, *role, rows, cols));
                if wanted.is_some() && kind.is_none() {
                    left += 1;
                    widths.insert(cols);
                }
                let small = wanted.is_some() && weights.dtype(name) != Some(DType::F32);
                let dense = if small { ("bf16", 2 * elements) } else { ("f32", 4 * elements) };
                kind.map_or(dense, |kind: Kind| (kind.name(), kind.packed_bytes(rows, cols)))
            }
            _ => ("f32", 4 * elements),
        };
        let entry = formats.entry(format).or_default();
        *entry = (entry.0 + 1, entry.1 + bytes);
    }
    let mut formats: Vec<_> = formats.into_iter().collect();
    formats.sort_by_key(|(_, (_, bytes))| std::cmp::Reverse(*bytes));
    let one = |(format, (count, bytes)): &(&str, (usize, usize))| {
        format!("{count} tensors {format} {}", human_bytes(*bytes as u64))
    };
    let mut text = format!("{}: {}", source.name(), formats.iter().map(one).collect::<Vec<_>>().join(", "));
    if left > 0 {
        let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
        text.push_str(&format!("; {left} matrices stay dense: no block divides their width of {}", widths.join(", ")));
    }
    Ok(text)
}
