//! What a set contains: counts, label distributions, images, speeds. Prints as a table, serialises for machines.

use crate::{
    error::thousands,
    sample::{Content, Role, Sample},
};
use scene::{PathAction, SpeedAction};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// Counts by name.
pub type Counts = BTreeMap<String, usize>;

/// Contents of a set.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stats {
    /// Samples.
    pub samples: usize,
    /// By kind: `planning`, `conversation`, `preference pair`, `bare frame`.
    pub kinds: Counts,
    /// Samples that carry reasoning to teach.
    pub with_reasoning: usize,
    /// Distinct reasoning texts.
    pub distinct_reasoning: usize,
    /// Samples with an answer to learn: an assistant turn, a pair, or both labels.
    pub with_answer: usize,
    /// Samples with a driven future.
    pub with_future: usize,
    /// Samples by number of images.
    pub images_per_sample: BTreeMap<usize, usize>,
    /// Distinct image files.
    pub image_files: usize,
    /// Speed labels; `unknown` where there is none.
    pub speed: Counts,
    /// Path labels; `unknown` where there is none.
    pub path: Counts,
    /// Joint labels of samples that have both.
    pub joint: Counts,
    /// Ego speed, m/s.
    pub ego_speed: Option<Quantiles>,
    /// Samples by clip.
    pub clips: Counts,
    /// Samples by split, where records name one.
    pub splits: Counts,
    /// Auxiliary classes by target.
    pub aux: BTreeMap<String, Counts>,
    /// Samples by the text columns `category`, `license` and `source`, where there are such.
    pub columns: BTreeMap<String, Counts>,
}

/// Order statistics of a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Values.
    pub n: usize,
    /// Smallest.
    pub min: f64,
    /// 25 %.
    pub q25: f64,
    /// 50 %.
    pub median: f64,
    /// 75 %.
    pub q75: f64,
    /// Largest.
    pub max: f64,
}

impl Quantiles {
    /// Of finite values, interpolated linearly; `None` for none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|v| v.is_finite());
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |q: f64| {
            let x = q * last as f64;
            let (low, high) = (values[x.floor() as usize], values[x.ceil() as usize]);
            low + (high - low) * x.fract()
        };
        Some(Quantiles { n: values.len(), min: at(0.0), q25: at(0.25), median: at(0.5), q75: at(0.75), max: at(1.0) })
    }
}

impl Stats {
    /// Counts a set.
    pub fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut s = Stats::default();
        let (mut speeds, mut files, mut texts) = (Vec::new(), std::collections::HashSet::new(), Vec::new());
        for sample in samples {
            s.samples += 1;
            let (kind, reasoning) = match &sample.content {
                _ if sample.pair.is_some() => {
                    s.with_answer += 1;
                    let chosen = sample.pair.iter().flat_map(|pair| &pair.chosen).flat_map(|turn| &turn.parts);
                    ("preference pair", chosen.filter_map(crate::answer::thinking_of).next())
                }
                Content::Planning { reasoning, .. } => ("planning", reasoning.as_deref()),
                Content::Conversation { turns } if turns.is_empty() => ("bare frame", None),
                Content::Conversation { turns } => {
                    let last = turns.iter().rev().find(|t| t.role == Role::Assistant);
                    s.with_answer += usize::from(last.is_some());
                    let text = last.and_then(|t| t.parts.iter().find_map(crate::answer::thinking_of));
                    ("conversation", text)
                }
            };
            *s.kinds.entry(kind.into()).or_default() += 1;
            texts.extend(reasoning);
            s.with_answer += usize::from(kind == "planning" && sample.action().is_some());
            s.with_future += usize::from(sample.labels.future.is_some());
            *s.images_per_sample.entry(sample.images.len()).or_default() += 1;
            files.extend(&sample.images);
            let unknown = || "unknown".to_owned();
            *s.speed.entry(sample.labels.speed.map_or_else(unknown, |l| l.to_string())).or_default() += 1;
            *s.path.entry(sample.labels.path.map_or_else(unknown, |l| l.to_string())).or_default() += 1;
            if let Some(action) = sample.action() {
                *s.joint.entry(action.to_string()).or_default() += 1;
            }
            speeds.extend(sample.speed_mps());
            sample.clip.iter().for_each(|c| *s.clips.entry(c.clone()).or_default() += 1);
            sample.split.iter().for_each(|c| *s.splits.entry(c.clone()).or_default() += 1);
            for (target, class) in &sample.aux {
                *s.aux.entry(target.clone()).or_default().entry(class.clone()).or_default() += 1;
            }
            for column in ["category", "license", "source"] {
                if let Some(value) = sample.extra.get(column).and_then(serde_json::Value::as_str) {
                    *s.columns.entry(column.into()).or_default().entry(value.into()).or_default() += 1;
                }
            }
        }
        s.with_reasoning = texts.len();
        s.distinct_reasoning = texts.into_iter().collect::<std::collections::HashSet<_>>().len();
        s.image_files = files.len();
        s.ego_speed = Quantiles::of(speeds);
        s
    }

    /// The most frequent joint label and its share of the samples that have both labels.
    pub fn majority(&self) -> Option<(&str, f64)> {
        let total: usize = self.joint.values().sum();
        let (label, n) = self.joint.iter().max_by_key(|(_, n)| **n)?;
        Some((label, *n as f64 / total as f64))
    }
}

/// `name count` pairs on one line, the largest first, at most twelve.
fn line(f: &mut fmt::Formatter<'_>, name: &str, counts: &Counts) -> fmt::Result {
    let mut items: Vec<_> = counts.iter().collect();
    items.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let rest = items.len().saturating_sub(12);
    let text: Vec<String> = items.iter().take(12).map(|(k, n)| format!("{k} {}", thousands(**n as u64))).collect();
    let more = if rest > 0 { format!(" · {rest} more") } else { String::new() };
    writeln!(f, "{name:<14}{}{more}", text.join(" · "))
}

fn table<'a>(f: &mut fmt::Formatter<'_>, name: &str, rows: impl Iterator<Item = (&'a str, usize)>) -> fmt::Result {
    let rows: Vec<_> = rows.filter(|(_, n)| *n > 0).collect();
    let total: usize = rows.iter().map(|(_, n)| n).sum();
    for (i, (label, n)) in rows.into_iter().enumerate() {
        let share = n as f64 / total.max(1) as f64;
        let bar = "█".repeat((share * 24.0).round() as usize);
        let head = if i == 0 { name } else { "" };
        writeln!(f, "{head:<14}{label:<26}{:>8} {:>6.1} %  {bar}", thousands(n as u64), share * 100.0)?;
    }
    Ok(())
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |n: usize| thousands(n as u64);
        let kinds: Vec<String> = self.kinds.iter().map(|(k, c)| format!("{} {k}", n(*c))).collect();
        writeln!(f, "{:<14}{} ({})", "samples", n(self.samples), kinds.join(", "))?;
        let counts: Vec<String> = self.images_per_sample.iter().map(|(k, c)| format!("{k} in {}", n(*c))).collect();
        writeln!(f, "{:<14}{} different (per sample: {})", "images", n(self.image_files), counts.join(", "))?;
        writeln!(
            f,
            "{:<14}answer {} · reasoning {} ({} different) · future {}",
            "with",
            n(self.with_answer),
            n(self.with_reasoning),
            n(self.distinct_reasoning),
            n(self.with_future)
        )?;
        if let Some(q) = self.ego_speed {
            let Quantiles { min, q25, median, q75, max, .. } = q;
            let (name, n) = ("ego speed", n(q.n));
            writeln!(
                f,
                "{name:<14}{min:.1} .. {q25:.1} .. {median:.1} .. {q75:.1} .. {max:.1} m/s (quartiles of {n})"
            )?;
        }
        let of = |counts: &Counts, label: &str| counts.get(label).copied().unwrap_or(0);
        let known = self.speed.len() + self.path.len() > 2 || !self.joint.is_empty();
        if known {
            let words = SpeedAction::ALL.iter().map(|l| l.as_str()).chain(["unknown"]);
            table(f, "speed", words.map(|w| (w, of(&self.speed, w))))?;
            let words = PathAction::ALL.iter().map(|l| l.as_str()).chain(["unknown"]);
            table(f, "path", words.map(|w| (w, of(&self.path, w))))?;
            let mut joint: Vec<(&str, usize)> = self.joint.iter().map(|(k, n)| (k.as_str(), *n)).collect();
            joint.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            table(f, "both", joint.into_iter())?;
        }
        for (name, counts) in &self.columns {
            line(f, name, counts)?;
        }
        for (name, counts) in &self.aux {
            line(f, name, counts)?;
        }
        if !self.splits.is_empty() {
            line(f, "split", &self.splits)?;
        }
        if !self.clips.is_empty() {
            line(f, &format!("{} clips", n(self.clips.len())), &self.clips)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn counts_by_hand() {
        let text = r#"{"images":["a"],"ego":{"speed_mps":1},"plan":{"speed":"KEEP","path":"STRAIGHT"},"clip":"c"}
            {"images":["a"],"ego":{"speed_mps":3},"reasoning":"r","plan":{"speed":"KEEP","path":"STRAIGHT"},"clip":"d"}
            {"images":["b","c"],"ego":{"speed_mps":4},"plan":{"path":"LEFT_TURN"},"aux":{"bend_3s":"left"}}
            {"images":["d"],"clip":"d"}"#;
        let set = crate::read_bytes("s.jsonl", text.as_bytes(), &Default::default()).unwrap();
        let s = Stats::of(&set.samples);
        assert_eq!((s.samples, s.image_files, s.with_reasoning, s.with_answer), (4, 4, 1, 2));
        assert_eq!((s.speed["KEEP"], s.speed["unknown"], s.path["LEFT_TURN"]), (2, 2, 1));
        assert_eq!(s.joint, Counts::from([("KEEP, STRAIGHT".into(), 2)]));
        assert_eq!(s.majority(), Some(("KEEP, STRAIGHT", 1.0)));
        assert_eq!(s.images_per_sample, BTreeMap::from([(1, 3), (2, 1)]));
        let q = s.ego_speed.unwrap();
        assert_eq!((q.min, q.q25, q.median, q.q75, q.max), (1.0, 2.0, 3.0, 3.5, 4.0));
        assert_eq!((s.clips["c"], s.clips["d"], s.kinds["bare frame"]), (1, 2, 1));
        let text = s.to_string();
        assert!(text.contains("LEFT_TURN") && text.contains("25.0 %") && text.contains("bend_3s"), "{text}");
        assert_eq!(serde_json::to_value(&s).unwrap()["joint"]["KEEP, STRAIGHT"], 2);
    }

    #[test]
    fn nothing_and_not_finite() {
        assert_eq!(Quantiles::of(vec![f64::NAN]), None);
        assert!(Stats::of(&[]).to_string().contains("samples"));
    }
}
