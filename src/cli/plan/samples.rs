//! `--samples k`: k plans drawn as one batch, and how they differ.

use crate::{
    error::Result,
    picture::reflow::clean,
    policy::{
        Completion, Decoding, Planner, Seen,
        planned::{self, Read},
    },
};
use scene::{MetaAction, parse::ParseFailure};
use serde_json::{Value, json};

/// One drawn answer.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// Seed of its draws.
    pub seed: u64,
    /// What the model wrote.
    pub completion: Completion,
    /// The plan in it.
    pub plan: std::result::Result<Read, ParseFailure>,
}

impl Drawn {
    /// The plan, if there is one.
    pub fn action(&self) -> Option<MetaAction> {
        self.plan.as_ref().ok().map(|plan| plan.action)
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let mut out = json!({
            "seed": self.seed,
            "plan": self.action(),
            "reasoning": planned::reasoning(&self.completion.text),
            "raw": self.completion.text,
            "tokens": self.completion.ids.len(),
        });
        if let Err(reason) = &self.plan {
            out["parse_failure"] = json!(reason.to_string());
        }
        out
    }
}

/// Draws `count` answers as one batch; sample i has the seed `decoding.seed + i`. Nothing for a count of 0.
///
/// # Errors
/// Device trouble.
pub fn draw(
    planner: &Planner,
    seen: &Seen,
    count: usize,
    decoding: &Decoding,
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<Drawn>> {
    let seeds: Vec<u64> = (0..count as u64).map(|i| decoding.seed.wrapping_add(i)).collect();
    if seeds.is_empty() {
        return Ok(Vec::new());
    }
    let completions = planner.draw(seen, &seeds, decoding, &mut |_, _| go_on())?;
    let drawn =
        |(seed, completion): (u64, Completion)| Drawn { seed, plan: planned::read(&completion.text), completion };
    Ok(seeds.into_iter().zip(completions).map(drawn).collect())
}

/// On which axes the plans differ, and one piece of reasoning for each different plan.
pub fn differences(drawn: &[Drawn], width: usize, unicode: bool) -> String {
    let actions: Vec<MetaAction> = drawn.iter().filter_map(Drawn::action).collect();
    let mut different: Vec<MetaAction> = Vec::new();
    for action in &actions {
        if !different.contains(action) {
            different.push(*action);
        }
    }
    let axis = |name: &str, words: Vec<&'static str>| {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for word in words {
            match counts.iter_mut().find(|(known, _)| *known == word) {
                Some((_, n)) => *n += 1,
                None => counts.push((word, 1)),
            }
        }
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let list: Vec<String> = counts.iter().map(|(word, n)| format!("{n}x {word}")).collect();
        (counts.len() > 1).then(|| format!("{name} {}", list.join(", ")))
    };
    let axes: Vec<String> = [
        axis("speed", actions.iter().map(|a| a.speed.as_str()).collect()),
        axis("path", actions.iter().map(|a| a.path.as_str()).collect()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut out = match (actions.len(), axes.is_empty()) {
        (0, _) => "  no sample holds a valid plan\n".to_owned(),
        (1, _) => String::new(),
        (n, true) => format!("  all {n} valid plans agree\n"),
        (_, false) => format!("  they differ in {}\n", axes.join("; ")),
    };
    if different.len() > 1 {
        let name = different.iter().map(|action| action.to_string().len()).max().unwrap_or(0);
        for action in different {
            let said =
                drawn.iter().find(|d| d.action() == Some(action)).map(|d| planned::reasoning(&d.completion.text));
            let said = said.filter(|text| !text.is_empty()).unwrap_or_else(|| "(no reasoning)".into());
            let room = width.saturating_sub(name + 6).max(20);
            out += &format!("  {:name$}  {}\n", action.to_string(), quoted(&said, room, unicode));
        }
    }
    out
}

/// One harmless line in quotes, cut to `room` characters.
pub fn quoted(text: &str, room: usize, unicode: bool) -> String {
    let text = clean(&text.split_whitespace().collect::<Vec<_>>().join(" "), unicode);
    if text.chars().count() + 2 <= room {
        return format!("\"{text}\"");
    }
    let cut: String = text.chars().take(room.saturating_sub(6)).collect();
    format!("\"{} ...\"", cut.trim_end())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn drawn(text: &str) -> Drawn {
        let completion =
            Completion { text: text.into(), ids: vec![1], logps: vec![0.0], cut: false, stopped: false, seconds: 0.0 };
        Drawn { seed: 0, plan: planned::read(text), completion }
    }

    #[test]
    fn names_the_axes_that_differ() {
        let keep = drawn("<think> All clear. </think> <answer> KEEP, LEFT_TURN </answer>");
        let slow = drawn("<think> A bend. </think> <answer> DECELERATE, LEFT_TURN </answer>");
        let text = differences(&[keep.clone(), slow, keep.clone(), drawn("garbage")], 80, false);
        assert!(text.contains("they differ in speed 2x KEEP, 1x DECELERATE\n"), "{text}");
        assert!(text.contains("DECELERATE, LEFT_TURN  \"A bend.\"") && !text.contains("path"), "{text}");
        assert_eq!(differences(&[keep.clone(), keep], 80, false), "  all 2 valid plans agree\n");
        assert!(differences(&[drawn("garbage")], 80, false).contains("no sample"));
    }

    #[test]
    fn quotes_fit() {
        assert_eq!(quoted("a\nb  c", 20, false), "\"a b c\"");
        let long = quoted(&"word ".repeat(50), 30, false);
        assert!(long.chars().count() <= 30 && long.ends_with(" ...\""), "{long}");
    }
}
