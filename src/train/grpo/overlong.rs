//! Soft overlong punishment (Yu et al. 2025, DAPO, equation 13) as a reward beside those of the recipe, so that it is seen
//! on its own in the logs: 0 up to `longest - cache` tokens, then falling to -1 at `longest`.

use super::judge::Judge;
use data::Sample;
use rewards::{
    Asked, Reference, Term,
    length::{Length, Unit},
};

/// Adds the reward `soft_overlong` of weight 1.
pub(super) fn with_soft_overlong(mut judge: Judge, longest: usize, cache: usize) -> Judge {
    judge.names.push("soft_overlong".into());
    judge.weights.push(1.0);
    let limits = [longest.saturating_sub(cache) as f64, longest as f64];
    let rest = judge.scoring;
    judge.scoring = Box::new(move |sample: &Sample, texts: &[&str], tokens: &[usize]| {
        let reference = Reference::default();
        let mut scores = rest(sample, texts, tokens);
        for ((scores, text), tokens) in scores.iter_mut().zip(texts).zip(tokens) {
            let asked = Asked { tokens: Some(*tokens), values: &limits, ..Asked::new(text, &reference, texts) };
            scores.push(Length(Unit::Tokens).judge(&asked));
        }
        scores
    });
    judge
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn falls_over_the_last_tokens() {
        let scoring = Box::new(|_: &Sample, texts: &[&str], _: &[usize]| vec![vec![None]; texts.len()]);
        let plain = Judge { names: vec!["none".into()], weights: vec![2.0], scoring, drives: None, utility: None };
        let judge = with_soft_overlong(plain, 100, 20);
        assert_eq!((judge.names[1].as_str(), judge.weights[1]), ("soft_overlong", 1.0));
        let sample = Sample {
            id: "a".into(),
            images: Vec::new(),
            content: data::Content::Conversation { turns: Vec::new() },
            labels: data::Labels::default(),
            aux: Default::default(),
            clip: None,
            split: None,
            pair: None,
            extra: Default::default(),
        };
        let tokens = [1, 80, 81, 90, 99, 100];
        let scores = (judge.scoring)(&sample, &["text"; 6], &tokens);
        let found: Vec<f64> = scores.iter().map(|scores| scores[1].as_ref().unwrap().value).collect();
        assert_eq!(found, [0.0, 0.0, -0.05, -0.5, -0.95, -1.0]);
        assert!(scores.iter().all(|scores| scores[0].is_none()));
    }
}
