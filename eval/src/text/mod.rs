//! Text similarity between a planner's reasoning and annotated reasoning: BLEU-4, ROUGE-L, CIDEr, METEOR.
//!
//! Values follow the COCO caption evaluation where it defines one. METEOR is the exact + stem version (no WordNet
//! synonyms, no paraphrase table), hence its column name `METEOR (exact+stem)`; it is lower than the full one.
//! Tokens: [`tokenize`]. Sums run in a fixed order, so the same texts give the same bits.

mod bleu;
mod cider;
mod meteor;
mod porter;
mod rouge;

pub use bleu::{Counts, bleu, bleu4};
pub use cider::{cider, cider_d};
pub use meteor::{meteor, meteor_one};
pub use porter::stem;
pub use rouge::{rouge_l, rouge_l_one};

use serde::{Deserialize, Serialize};

/// A candidate and what it is compared with, tokenised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What the model wrote.
    pub candidate: Vec<String>,
    /// At least one reference.
    pub references: Vec<Vec<String>>,
}

impl Pair {
    /// Tokenises a candidate and its references.
    pub fn new(candidate: &str, references: &[&str]) -> Self {
        Pair { candidate: tokenize(candidate), references: references.iter().map(|r| tokenize(r)).collect() }
    }
}

/// All scores of a set. BLEU-4, ROUGE-L and METEOR lie in 0..1, CIDEr and CIDEr-D in 0..10.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextScores {
    /// Samples with a reference text.
    pub samples: usize,
    /// Corpus BLEU-4.
    pub bleu4: f64,
    /// Mean ROUGE-L (F with beta 1.2).
    pub rouge_l: f64,
    /// CIDEr, the original without length penalty.
    pub cider: f64,
    /// CIDEr-D (clipped, sigma 6): what the COCO scripts print as "CIDEr".
    pub cider_d: f64,
    /// Mean METEOR, exact and stem matches only.
    #[serde(rename = "meteor_exact_stem")]
    pub meteor: f64,
}

/// Scores a set; `None` when it is empty.
pub fn scores(pairs: &[Pair]) -> Option<TextScores> {
    (!pairs.is_empty()).then(|| TextScores {
        samples: pairs.len(),
        bleu4: bleu4(pairs),
        rouge_l: rouge_l(pairs),
        cider: cider(pairs),
        cider_d: cider_d(pairs),
        meteor: meteor(pairs),
    })
}

/// Words as in the Penn Treebank convention of the COCO scripts, without their Java: lower-cased; clitics split off
/// (`car 's`, `do n't`, `can not`); `- / & _` inside a word and `. , :` between digits kept (`two-lane`, `m/s`,
/// `12.4`); punctuation, quotes and brackets dropped; any other symbol is a token of its own (`%`).
pub fn tokenize(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().flat_map(char::to_lowercase).map(plain).collect();
    let (mut tokens, mut word) = (Vec::new(), String::new());
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|j| chars.get(j)).copied().unwrap_or(' ');
        let after = chars.get(i + 1).copied().unwrap_or(' ');
        let inside = match c {
            '-' | '/' | '&' | '\'' => before.is_alphanumeric() && after.is_alphanumeric(),
            '.' | ',' | ':' => before.is_ascii_digit() && after.is_ascii_digit(),
            _ => c.is_alphanumeric() || c == '_',
        };
        if inside {
            word.push(c);
            continue;
        }
        split_clitics(&mut tokens, &mut word);
        if !(c.is_whitespace() || c.is_control() || DROPPED.contains(&c)) {
            tokens.push(c.to_string());
        }
    }
    split_clitics(&mut tokens, &mut word);
    tokens
}

const DROPPED: &[char] =
    &['.', ',', ':', ';', '?', '!', '-', '\'', '"', '`', '(', ')', '[', ']', '{', '}', '<', '>', '…', '«', '»'];

/// Typographic quotes and dashes as their plain forms.
fn plain(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        '\u{2010}'..='\u{2015}' => '-',
        _ => c,
    }
}

fn split_clitics(tokens: &mut Vec<String>, word: &mut String) {
    let text = std::mem::take(word);
    if text.is_empty() {
        return;
    }
    if text == "cannot" {
        tokens.extend(["can".to_owned(), "not".to_owned()]);
        return;
    }
    for ending in ["n't", "'s", "'re", "'ve", "'ll", "'d", "'m"] {
        if let Some(stem) = text.strip_suffix(ending).filter(|s| !s.is_empty()) {
            tokens.extend([stem.to_owned(), ending.to_owned()]);
            return;
        }
    }
    tokens.push(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_by_hand() {
        let t = |s: &str| tokenize(s).join(" ");
        assert_eq!(
            t("The two-lane road bends; I keep 12.4 m/s (45 km/h)."),
            "the two-lane road bends i keep 12.4 m/s 45 km/h"
        );
        assert_eq!(t("It's the car’s lane -- don't stop!"), "it 's the car 's lane do n't stop");
        assert_eq!(t("I cannot see, 100% sure: “no”"), "i can not see 100 % sure no");
        assert_eq!(t("  \n"), "");
        assert_eq!(t("LEFT_TURN, 1,000 at 10:30"), "left_turn 1,000 at 10:30");
    }

    #[test]
    fn a_perfect_copy_scores_full_marks() {
        let texts =
            ["the road bends to the left and i follow", "a car brakes ahead so i slow down", "clear road ahead"];
        let pairs: Vec<Pair> = texts.iter().map(|t| Pair::new(t, &[t])).collect();
        let s = scores(&pairs);
        assert!(s.is_some());
        if let Some(s) = s {
            assert!((s.bleu4 - 1.0).abs() < 1e-6 && (s.rouge_l - 1.0).abs() < 1e-12, "{s:?}");
            // "clear road ahead" has no 4-gram, so its fourth term is 0: (10 + 10 + 7.5) / 3.
            assert!((s.cider - 27.5 / 3.0).abs() < 1e-9 && (s.cider_d - 27.5 / 3.0).abs() < 1e-9, "{s:?}");
        }
        assert_eq!(scores(&[]), None);
    }

    #[test]
    fn empty_candidates_score_nothing() {
        let pairs = vec![Pair::new("", &["the road is clear"]), Pair::new("...", &["the road is clear ahead"])];
        assert!(scores(&pairs).is_some_and(|s| {
            [s.bleu4, s.rouge_l, s.cider, s.cider_d, s.meteor].iter().all(|v| v.is_finite() && v.abs() < 1e-3)
        }));
    }
}
