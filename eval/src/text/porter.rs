//! Porter's stemmer ("An algorithm for suffix stripping", 1980), the original algorithm, for METEOR's stem matches.
//! Words with anything but `a..z`, and words over 64 letters, come back unchanged: the letter y is judged by
//! the one before it, so an endless word would recurse as deep as it is long.

/// The stem of a lower-case word.
pub fn stem(word: &str) -> String {
    if !(3..=64).contains(&word.len()) || !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let mut w = Word(word.to_owned());
    w.step1();
    w.longest(STEP2, 0);
    w.longest(STEP3, 0);
    w.step4();
    w.step5();
    w.0
}

struct Word(String);

const STEP2: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("abli", "able"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
];

const STEP3: &[(&str, &str)] =
    &[("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

const STEP4: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// Whether letter `i` is a consonant: not a vowel, and y only after a vowel or at the start.
fn consonant(w: &[u8], i: usize) -> bool {
    match w.get(i) {
        Some(b'a' | b'e' | b'i' | b'o' | b'u') => false,
        Some(b'y') => i == 0 || !consonant(w, i - 1),
        _ => true,
    }
}

/// Porter's m: how often a vowel group is followed by a consonant group.
fn measure(stem: &str) -> usize {
    let mut vowel_before = false;
    // `y` depends on the letter before only, so one running flag avoids asking again from the start.
    let mut m = 0;
    let mut consonant_before = false;
    for (i, b) in stem.bytes().enumerate() {
        let is_consonant = match b {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => i == 0 || !consonant_before,
            _ => true,
        };
        m += usize::from(is_consonant && vowel_before);
        vowel_before = !is_consonant;
        consonant_before = is_consonant;
    }
    m
}

fn has_vowel(stem: &str) -> bool {
    (0..stem.len()).any(|i| !consonant(stem.as_bytes(), i))
}

/// Ends in two equal consonants.
fn double_consonant(stem: &str) -> bool {
    let w = stem.as_bytes();
    w.len() >= 2 && w[w.len() - 1] == w[w.len() - 2] && consonant(w, w.len() - 1)
}

/// Ends consonant, vowel, consonant, the last not w, x or y.
fn cvc(stem: &str) -> bool {
    let w = stem.as_bytes();
    let n = w.len();
    n >= 3
        && consonant(w, n - 3)
        && !consonant(w, n - 2)
        && consonant(w, n - 1)
        && !matches!(w[n - 1], b'w' | b'x' | b'y')
}

impl Word {
    fn without(&self, ending: &str) -> Option<&str> {
        self.0.strip_suffix(ending)
    }

    fn replace(&mut self, ending: &str, by: &str) {
        self.0.truncate(self.0.len() - ending.len());
        self.0.push_str(by);
    }

    /// Plurals, -ed, -ing, and -y.
    fn step1(&mut self) {
        if self.0.ends_with("sses") {
            self.replace("sses", "ss");
        } else if self.0.ends_with("ies") {
            self.replace("ies", "i");
        } else if self.0.ends_with('s') && !self.0.ends_with("ss") {
            self.replace("s", "");
        }
        let mut tidy = false;
        if let Some(stem) = self.without("eed") {
            if measure(stem) > 0 {
                self.replace("eed", "ee");
            }
        } else {
            for ending in ["ed", "ing"] {
                if self.without(ending).is_some_and(has_vowel) {
                    self.replace(ending, "");
                    tidy = true;
                    break;
                }
            }
        }
        if tidy {
            if ["at", "bl", "iz"].iter().any(|e| self.0.ends_with(e)) {
                self.0.push('e');
            } else if double_consonant(&self.0) && !self.0.ends_with(['l', 's', 'z']) {
                self.0.pop();
            } else if measure(&self.0) == 1 && cvc(&self.0) {
                self.0.push('e');
            }
        }
        if self.without("y").is_some_and(has_vowel) {
            self.replace("y", "i");
        }
    }

    /// The longest ending of a table decides; it is replaced when the rest has a measure above `m`.
    fn longest(&mut self, table: &[(&str, &str)], m: usize) {
        let found = table.iter().filter(|(e, _)| self.0.ends_with(e)).max_by_key(|(e, _)| e.len());
        if let Some((ending, by)) = found
            && self.without(ending).is_some_and(|s| measure(s) > m)
        {
            self.replace(ending, by);
        }
    }

    /// Endings that go when the rest is long enough.
    fn step4(&mut self) {
        let found = STEP4.iter().filter(|e| self.0.ends_with(**e)).max_by_key(|e| e.len());
        if let Some(ending) = found {
            let goes =
                self.without(ending).is_some_and(|s| measure(s) > 1 && (*ending != "ion" || s.ends_with(['s', 't'])));
            if goes {
                self.replace(ending, "");
            }
        }
    }

    /// A final e, and ll.
    fn step5(&mut self) {
        if let Some(stem) = self.without("e") {
            let m = measure(stem);
            if m > 1 || (m == 1 && !cvc(stem)) {
                self.replace("e", "");
            }
        }
        if self.0.ends_with("ll") && measure(&self.0) > 1 {
            self.0.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the paper, step by step.
    #[test]
    fn examples_of_the_paper() {
        for (word, want) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("cats", "cat"),
            ("agreed", "agre"),
            ("feed", "feed"),
            ("plastered", "plaster"),
            ("bled", "bled"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("troubled", "troubl"),
            ("sized", "size"),
            ("hopping", "hop"),
            ("tanned", "tan"),
            ("falling", "fall"),
            ("hissing", "hiss"),
            ("fizzed", "fizz"),
            ("failing", "fail"),
            ("filing", "file"),
            ("happy", "happi"),
            ("sky", "sky"),
            ("relational", "relat"),
            ("conditional", "condit"),
            ("vietnamization", "vietnam"),
            ("generalization", "gener"),
            ("oscillators", "oscil"),
            ("hopefulness", "hope"),
            ("electricity", "electr"),
            ("adoption", "adopt"),
            ("replacement", "replac"),
            ("probate", "probat"),
            ("rate", "rate"),
            ("cease", "ceas"),
            ("controll", "control"),
            ("roll", "roll"),
            ("slowing", "slow"),
            ("pedestrians", "pedestrian"),
        ] {
            assert_eq!(stem(word), want, "{word}");
        }
    }

    #[test]
    fn other_tokens_stay() {
        for word in ["", "is", "12.4", "two-lane", "über", "left_turn", &"y".repeat(1_000_000)] {
            assert_eq!(stem(word), word);
        }
    }
}
