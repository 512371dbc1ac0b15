//! What of a streamed answer is shown while it is written: everything before the answer tag, without the tags.

use crate::{
    cli::print,
    error::{Failure, Result},
    picture::{Reflow, Terminal},
};
use scene::parse::TAGS;
use std::io::IsTerminal;

/// Blank columns before each line of reasoning, as on the rest of the page.
const INDENT: usize = 2;

/// Shows an answer on standard output while it is written.
pub struct Live {
    said: Option<Said>,
    reflow: Reflow,
    on: bool,
    shown: bool,
    failure: Option<Failure>,
}

impl Live {
    /// Shows the reasoning of a plan; nothing at all unless `on`.
    pub fn new(terminal: &Terminal, on: bool) -> Live {
        // A pipe gets the model's words as they are; only a terminal that cannot show them gets ASCII.
        let unicode = terminal.unicode || !std::io::stdout().is_terminal();
        let reflow = Reflow::new(terminal.width, INDENT, unicode);
        Live { said: Some(Said::default()), reflow, on, shown: false, failure: None }
    }

    /// Shows every word.
    pub fn verbatim(terminal: &Terminal) -> Live {
        Live { said: None, ..Live::new(terminal, true) }
    }

    /// Takes the next piece; false when standard output cannot be written.
    pub fn push(&mut self, piece: &str) -> bool {
        let words = match &mut self.said {
            Some(said) => said.push(piece),
            None => piece.to_owned(),
        };
        let text = self.reflow.push(&words);
        self.show(&text);
        self.failure.is_none()
    }

    /// Shows the rest, then an empty line if there was anything.
    ///
    /// # Errors
    /// Standard output could not be written.
    pub fn finish(mut self) -> Result<()> {
        let held = self.said.as_mut().map(Said::finish).unwrap_or_default();
        let text = self.reflow.push(&held) + &self.reflow.finish();
        self.show(&text);
        if self.shown {
            self.show("\n\n");
        }
        self.failure.map_or(Ok(()), Err)
    }

    fn show(&mut self, text: &str) {
        if !self.on || self.failure.is_some() || text.is_empty() {
            return;
        }
        self.shown = true;
        self.failure = print(text).err();
    }
}

/// Filters one answer. Pieces may cut tags anywhere.
#[derive(Debug, Default)]
pub struct Said {
    pending: String,
    answered: bool,
}

impl Said {
    /// Takes the next piece and gives what can be shown now.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::new();
        if self.answered {
            return out;
        }
        self.pending.push_str(piece);
        while let Some(at) = self.pending.find('<') {
            out.push_str(&self.pending[..at]);
            self.pending.drain(..at);
            if let Some(tag) = TAGS.iter().find(|tag| self.pending.starts_with(**tag)) {
                if *tag == "<answer>" {
                    self.answered = true;
                    self.pending.clear();
                    return out;
                }
                out.push(' ');
                self.pending.drain(..tag.len());
            } else if TAGS.iter().any(|tag| tag.starts_with(&self.pending)) {
                return out; // perhaps the beginning of a tag
            } else {
                out.push('<');
                self.pending.drain(..1);
            }
        }
        out.push_str(&std::mem::take(&mut self.pending));
        out
    }

    /// What was held back.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn said(pieces: impl IntoIterator<Item = String>) -> String {
        let mut said = Said::default();
        let mut out: String = pieces.into_iter().map(|piece| said.push(&piece)).collect();
        out.push_str(&said.finish());
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn shows_the_reasoning_wherever_it_is_cut() {
        for (text, shown) in [
            ("<think> The road bends. </think> <answer> KEEP, LEFT_TURN </answer>", "The road bends."),
            ("<answer> KEEP, STRAIGHT </answer> and more", ""),
            ("a < b <thin> </think>c<answer>", "a < b <thin> c"),
            ("no tags, ends with <thi", "no tags, ends with <thi"),
            ("", ""),
        ] {
            assert_eq!(said([text.to_owned()]), shown);
            assert_eq!(said(text.chars().map(String::from)), shown, "letter by letter");
        }
    }
}
