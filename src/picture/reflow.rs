//! Text from a model on its way to a terminal: made harmless, then broken at words as it streams in.
//!
//! Control characters (escape sequences among them) and invisible direction marks never reach the terminal. The
//! result does not depend on where the stream was cut into pieces.

/// Columns a character takes: 2 for East Asian wide ones and emoji, 0 for combining marks, else 1.
pub fn columns(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036F | 0x200B..=0x200D | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F => 2,
        0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// Columns of a line without control characters.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// What may be printed in place of `c`: itself, a plain ASCII spelling, a space for a control character, or nothing.
fn harmless(c: char, unicode: bool) -> &'static [char] {
    match c {
        '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' => &[],
        c if c.is_control() => &[' '],
        _ if unicode => &['\0'],
        '\u{0}'..='\u{7F}' => &['\0'],
        '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{3000}' => &[' '],
        '‘' | '’' => &['\''],
        '“' | '”' => &['"'],
        '‐'..='―' | '−' => &['-'],
        '·' | '•' => &['-'],
        '…' => &['.', '.', '.'],
        '×' => &['x'],
        '°' => &['d', 'e', 'g'],
        '→' => &['-', '>'],
        '←' => &['<', '-'],
        c if columns(c) == 0 => &[],
        _ => &['?'],
    }
}

fn put(out: &mut String, c: char, unicode: bool) {
    for &safe in harmless(c, unicode) {
        out.push(if safe == '\0' { c } else { safe });
    }
}

/// One harmless line: control characters and line ends become spaces; without `unicode` only ASCII is left.
pub fn clean(text: &str, unicode: bool) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| put(&mut out, c, unicode));
    out
}

/// Breaks streamed text into lines of `width` columns with an indent.
#[derive(Debug, Clone)]
pub struct Reflow {
    width: usize,
    indent: usize,
    unicode: bool,
    word: String,
    word_columns: usize,
    column: usize,
    breaks: usize,
    started: bool,
}

impl Reflow {
    /// Lines of at most `width` columns (at least 16) of which `indent` are blank.
    pub fn new(width: usize, indent: usize, unicode: bool) -> Self {
        let width = width.max(16);
        Reflow {
            width,
            indent: indent.min(width / 2),
            unicode,
            word: String::new(),
            word_columns: 0,
            column: 0,
            breaks: 0,
            started: false,
        }
    }

    /// Takes the next piece and returns what can be printed now: every word that is complete.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::new();
        for c in piece.chars() {
            if c == '\n' {
                self.flush(&mut out);
                self.breaks += 1;
                continue;
            }
            let before = self.word.len();
            if c.is_whitespace() {
                self.flush(&mut out);
                continue;
            }
            put(&mut self.word, c, self.unicode);
            if self.word[before..].starts_with(' ') {
                self.word.truncate(before);
                self.flush(&mut out);
                continue;
            }
            self.word_columns += width(&self.word[before..]);
            if self.word_columns + 3 > self.width - self.indent {
                self.flush(&mut out);
            }
        }
        out
    }

    /// Returns the last word; the text ends without a line end.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.flush(&mut out);
        out
    }

    fn flush(&mut self, out: &mut String) {
        if self.word.is_empty() {
            return;
        }
        let full = self.column + 1 + self.word_columns > self.width;
        if !self.started {
            self.start_line(out, 0);
        } else if self.breaks > 0 || full {
            self.start_line(out, self.breaks.clamp(1, 2));
        } else {
            out.push(' ');
            self.column += 1;
        }
        self.started = true;
        self.breaks = 0;
        out.push_str(&self.word);
        self.column += self.word_columns;
        self.word.clear();
        self.word_columns = 0;
    }

    fn start_line(&mut self, out: &mut String, line_ends: usize) {
        out.extend(std::iter::repeat_n('\n', line_ends));
        out.extend(std::iter::repeat_n(' ', self.indent));
        self.column = self.indent;
    }
}

/// All of a text at once.
pub fn reflow(text: &str, width: usize, indent: usize, unicode: bool) -> String {
    let mut stream = Reflow::new(width, indent, unicode);
    stream.push(text) + &stream.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn breaks_at_words_and_keeps_paragraphs() {
        let text = "The road bends  to the left.\n\n\nI keep my speed.";
        assert_eq!(reflow(text, 20, 2, true), "  The road bends to\n  the left.\n\n  I keep my speed.");
    }

    #[test]
    fn escape_sequences_lose_their_teeth() {
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c\r\nd", true), "a [31mbc  d");
        assert_eq!(clean("“a” – 3 × 4…", false), "\"a\" - 3 x 4...");
        assert_eq!(clean("é路", false), "??");
        assert_eq!(reflow("a\u{1b}b", 40, 0, true), "a b");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert!(reflow(&"路".repeat(30), 20, 0, true).lines().all(|l| width(l) <= 20));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in any::<String>(), cut in 0usize..40, wide in 0usize..60, unicode: bool) {
            let whole = reflow(&text, wide, 2, unicode);
            let at = text.char_indices().map(|(i, _)| i).nth(cut).unwrap_or(text.len());
            let mut stream = Reflow::new(wide, 2, unicode);
            let pieces = stream.push(&text[..at]) + &stream.push(&text[at..]) + &stream.finish();
            prop_assert_eq!(&whole, &pieces);
            for line in whole.lines() {
                prop_assert!(width(line) <= wide.max(16) + 1, "{:?}", line);
            }
            prop_assert!(unicode || whole.is_ascii());
            prop_assert!(!whole.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
