//! The two axes of a meta-action, and which labels of one an answer names.
//!
//! AlphaDrive (arXiv 2503.07608) scores each axis by the set of valid labels that the answer names, because exact match
//! is unstable early in training: case and stray tokens. So this reader is forgiving where the strict parser is not:
//! whole words inside every closed answer block, case free, all other words passed over. Text outside closed answer
//! blocks names nothing; reasoning that mentions labels must not count.

use crate::Reference;
use scene::{PathAction, SpeedAction, parse::TAGS};

/// One axis of a meta-action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// KEEP, ACCELERATE, DECELERATE, STOP.
    Speed,
    /// STRAIGHT, LEFT_TURN, RIGHT_TURN, LEFT_CHANGE, RIGHT_CHANGE.
    Path,
}

/// A set of labels of one axis, as a bit for each position in the axis's `ALL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Labels(u8);

impl Labels {
    /// Puts a label in.
    pub fn insert(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    /// Whether the label is in.
    pub fn contains(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    /// How many.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Positions, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |i| self.contains(*i))
    }
}

impl Axis {
    /// The words of the axis, in the order of its `ALL`.
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Axis::Speed => SpeedAction::ALL.iter().map(|l| l.as_str()).collect(),
            Axis::Path => PathAction::ALL.iter().map(|l| l.as_str()).collect(),
        }
    }

    /// Position of the driven label, if it is known.
    pub fn driven(self, reference: &Reference) -> Option<usize> {
        match self {
            Axis::Speed => reference.speed.map(|l| l.index()),
            Axis::Path => reference.path.map(|l| l.index()),
        }
    }

    /// The labels that the closed answer blocks of a completion name.
    pub fn named(self, completion: &str) -> Labels {
        let words = self.words();
        let mut labels = Labels::default();
        let all = bodies(completion).flat_map(|b| b.split(|c: char| !(c.is_alphanumeric() || c == '_')));
        for word in all.filter(|w| !w.is_empty()) {
            if let Some(at) = words.iter().position(|label| label.eq_ignore_ascii_case(word)) {
                labels.insert(at);
            }
        }
        labels
    }

    /// The labels as a list for humans.
    pub fn show(self, labels: Labels) -> String {
        let words = self.words();
        let list: Vec<&str> = labels.iter().filter_map(|i| words.get(i).copied()).collect();
        if list.is_empty() { "no label".into() } else { list.join(" and ") }
    }
}

/// Texts between `<answer>` and the next `</answer>`, in order. Linear in the text.
pub fn bodies(completion: &str) -> impl Iterator<Item = &str> {
    let mut rest = completion;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(TAGS[2])?;
        let (body, left) = after.split_once(TAGS[3])?;
        rest = left;
        Some(body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_by_hand() {
        let of = |text: &str| (Axis::Speed.show(Axis::Speed.named(text)), Axis::Path.show(Axis::Path.named(text)));
        let cases = [
            ("<think>STOP</think><answer>KEEP, LEFT_TURN</answer>", "KEEP", "LEFT_TURN"),
            ("<answer>keep,left_turn.</answer>", "KEEP", "LEFT_TURN"),
            ("<answer>KEEP</answer> STOP <answer>STOP</answer>", "KEEP and STOP", "no label"),
            ("<answer>KEEP, STRAIGHT", "no label", "no label"),
            ("</answer><answer>KEEP_STRAIGHT</answer>", "no label", "no label"),
            ("KEEP, STRAIGHT", "no label", "no label"),
            ("<answer><answer>STOP</answer>", "STOP", "no label"),
            ("<answer>\u{212A}EEP STOPé</answer>", "no label", "no label"),
        ];
        for (text, speed, path) in cases {
            assert_eq!(of(text), (speed.to_owned(), path.to_owned()), "{text}");
        }
    }
}
