//! Keeping what others wrote apart from the template's own marks, down to the byte.

use super::Unscored;
use crate::error::{Failure, Result};
use crate::vlm::{chat::text_of, tokenizer::Tokenizer};
use data::{Part, Turn};
use std::ops::Range;

/// First of the characters that stand for special tokens: the last plane is for private use.
const PRIVATE: u32 = 0x10_0000;
/// How many there are.
const PRIVATE_SIZE: u32 = 0xfffe;

/// Turns whose special tokens are replaced by private characters, with the way back.
///
/// Positions called *shielded* count bytes of text with such characters in it.
pub(super) struct Shield {
    turns: Vec<Turn>,
    originals: Vec<String>,
    /// Special token number n is the character `base + n`.
    base: u32,
    special: Vec<String>,
}

impl Shield {
    pub(super) fn new(turns: &[Turn], tokenizer: &Tokenizer) -> Result<Shield> {
        let special: Vec<String> = tokenizer.special().iter().map(|(token, _)| token.clone()).collect();
        let count = special.len() as u32;
        let originals: Vec<String> = turns.iter().map(text_of).collect();
        // A range of characters that no turn uses.
        let used = |base: u32| originals.iter().any(|t| t.chars().any(|c| (base..base + count).contains(&(c as u32))));
        let base = (0..PRIVATE_SIZE / count.max(1))
            .map(|n| PRIVATE + n * count.max(1))
            .find(|&base| !used(base))
            .ok_or_else(|| Failure::data("the text uses too many private characters (U+100000 and up)"))?;
        let mut shield = Shield { turns: Vec::new(), originals, base, special };
        shield.turns = turns
            .iter()
            .map(|turn| Turn {
                role: turn.role,
                parts: turn
                    .parts
                    .iter()
                    .map(|part| match part {
                        Part::Image => Part::Image,
                        Part::Text(text) => Part::Text(shield.hide(text, tokenizer)),
                    })
                    .collect(),
            })
            .collect();
        Ok(shield)
    }

    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    fn hide(&self, text: &str, tokenizer: &Tokenizer) -> String {
        let mut out = String::new();
        let mut at = 0;
        while let Some((found, _)) = tokenizer.find_special(text, at) {
            out.push_str(&text[at..found.start]);
            let number = self.special.iter().position(|token| *token == text[found.clone()]).unwrap_or_default();
            out.extend(char::from_u32(self.base + number as u32));
            at = found.end;
        }
        out.push_str(&text[at..]);
        out
    }

    /// The special token that a private character stands for.
    fn hidden(&self, c: char) -> Option<&str> {
        let number = (c as u32).checked_sub(self.base)?;
        self.special.get(number as usize).map(String::as_str)
    }

    /// The bytes of an [`Unscored`] span in the rendered text.
    pub(super) fn locate(&self, u: &Unscored, spans: &[(usize, Range<usize>)], rendered: &str) -> Result<Range<usize>> {
        let what = format!("bytes {}..{} of turn {}", u.bytes.start, u.bytes.end, u.turn);
        let wrong = |why: &str| Failure::data(format!("{what} cannot be left unscored: {why}"));
        let Some((_, span)) = spans.iter().find(|(turn, _)| *turn == u.turn) else {
            return Err(wrong("only assistant turns carry loss"));
        };
        let (original, shielded) = (&self.originals[u.turn], text_of(&self.turns[u.turn]));
        if u.bytes.start > u.bytes.end || u.bytes.end > original.len() {
            return Err(wrong(&format!("its text has {} bytes", original.len())));
        }
        let at = rendered[span.clone()].find(&shielded).ok_or_else(|| wrong("the chat template changed its text"))?;
        if u.bytes.is_empty() {
            return Ok(span.start..span.start);
        }
        let first = self.shielded_char(&shielded, u.bytes.start);
        let last = self.shielded_char(&shielded, u.bytes.end - 1);
        Ok(span.start + at + first.start..span.start + at + last.end)
    }

    /// The shielded bytes of the character, or of the hidden token, that a byte of the original belongs to.
    fn shielded_char(&self, shielded: &str, original: usize) -> Range<usize> {
        let mut seen = 0;
        for (at, c) in shielded.char_indices() {
            seen += self.hidden(c).map_or(c.len_utf8(), str::len);
            if original < seen {
                return at..at + c.len_utf8();
            }
        }
        shielded.len()..shielded.len()
    }

    /// Tokens of the rendered text with their shielded bytes. No token crosses a cut (ascending positions).
    pub(super) fn pieces(
        &self,
        tokenizer: &Tokenizer,
        rendered: &str,
        cuts: &[usize],
    ) -> Result<Vec<(u32, Range<usize>)>> {
        let mut pieces = Vec::new();
        let ends = cuts.iter().copied().chain([rendered.len()]);
        let mut from = 0;
        for end in ends {
            let part = rendered.get(from..end).ok_or_else(|| Failure::data("the chat template cut a character"))?;
            let mut at = 0;
            while let Some((found, id)) = tokenizer.find_special(part, at) {
                self.plain(tokenizer, &part[at..found.start], from + at, &mut pieces)?;
                pieces.push((id, from + found.start..from + found.end));
                at = found.end;
            }
            self.plain(tokenizer, &part[at..], from + at, &mut pieces)?;
            from = end;
        }
        Ok(pieces)
    }

    /// Tokens of a text between the template's special tokens, spelled as it was written.
    fn plain(
        &self,
        tokenizer: &Tokenizer,
        shielded: &str,
        start: usize,
        out: &mut Vec<(u32, Range<usize>)>,
    ) -> Result<()> {
        if !shielded.chars().any(|c| self.hidden(c).is_some()) {
            let pieces = tokenizer.encode_pieces(shielded)?;
            out.extend(pieces.into_iter().map(|(id, at)| (id, start + at.start..start + at.end)));
            return Ok(());
        }
        let mut text = String::new();
        let mut places = Vec::new(); // shielded position of every byte of `text`
        for (at, c) in shielded.char_indices() {
            match self.hidden(c) {
                Some(token) => text.push_str(token),
                None => text.push(c),
            }
            places.resize(text.len(), start + at);
        }
        let end = start + shielded.len();
        let place = |byte: usize| places.get(byte).copied().unwrap_or(end);
        // The end of a token is the place of the first character after it, so a hidden token's pieces all cover it.
        for (id, at) in tokenizer.encode_pieces(&text)? {
            let last = place(at.end.saturating_sub(1));
            let after = shielded[last - start..].chars().next().map_or(end, |c| last + c.len_utf8());
            out.push((id, place(at.start)..after));
        }
        Ok(())
    }
}
