//! Ids to text as they arrive: nothing is written before its last byte is there.
//!
//! A byte-level token may end in the middle of a character. What was pushed so far, plus [`Detokenizer::finish`], is
//! always the text that decoding all ids at once gives.

use super::tokenizer::Tokenizer;

/// Turns one stream of ids into text.
#[derive(Clone)]
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    skip_special: bool,
    pending: Vec<u8>,
}

impl<'a> Detokenizer<'a> {
    /// Starts a stream; with `skip_special`, special tokens leave no text.
    pub fn new(tokenizer: &'a Tokenizer, skip_special: bool) -> Self {
        Detokenizer { tokenizer, skip_special, pending: Vec::new() }
    }

    /// Takes the next id and gives the characters that are now complete, often none.
    pub fn push(&mut self, id: u32) -> String {
        if !(self.skip_special && self.tokenizer.is_special(id)) {
            self.pending.extend(self.tokenizer.token_bytes(id));
        }
        let mut out = String::new();
        let mut done = 0;
        // Bytes that can never become a character are one U+FFFD per maximal part, as in `from_utf8_lossy`.
        for chunk in self.pending.utf8_chunks() {
            let last = done + chunk.valid().len() + chunk.invalid().len() == self.pending.len();
            out.push_str(chunk.valid());
            done += chunk.valid().len();
            if !chunk.invalid().is_empty() {
                if last && may_continue(chunk.invalid()) {
                    break;
                }
                out.push(char::REPLACEMENT_CHARACTER);
                done += chunk.invalid().len();
            }
        }
        self.pending.drain(..done);
        out
    }

    /// The text of bytes that no further id will complete.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// Whether more bytes could make this a character.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static TOY: LazyLock<Tokenizer> = LazyLock::new(|| {
        crate::vlm::tokenizer::train(["the road bends to the left 🚗🚗 直行"; 3], 330).unwrap().tokenizer().unwrap()
    });

    #[test]
    fn characters_come_whole() {
        let toy = &*TOY;
        let bytes: Vec<u32> = "🚦é".bytes().map(|b| (0..256).find(|&id| toy.token_bytes(id) == [b]).unwrap()).collect();
        let mut stream = Detokenizer::new(toy, false);
        let parts: Vec<String> = bytes.iter().map(|&id| stream.push(id)).collect();
        assert_eq!(parts, ["", "", "", "🚦", "", "é"]);
        assert_eq!(stream.finish(), "");
        stream.push(bytes[0]);
        assert_eq!(stream.finish(), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn equals_decoding_at_once(ids in proptest::collection::vec(0u32..345, 0..60), skip: bool) {
            let mut stream = Detokenizer::new(&TOY, skip);
            let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
            text.push_str(&stream.finish());
            prop_assert_eq!(text, TOY.decode(&ids, skip));
        }

        #[test]
        fn valid_text_never_shows_a_replacement(text in "\\PC{0,40}") {
            let mut stream = Detokenizer::new(&TOY, true);
            for id in TOY.encode_text(&text).unwrap() {
                prop_assert!(!stream.push(id).contains(char::REPLACEMENT_CHARACTER) || text.contains(char::REPLACEMENT_CHARACTER));
            }
        }
    }
}
