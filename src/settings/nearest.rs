//! The nearest known name to a mistyped one.

/// Levenshtein distance with a swap of neighbours counted once (optimal string alignment), over characters.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// The candidate with the smallest distance, if it is near enough to be what was meant (a third of its length). Input
/// longer than any sensible name is not compared.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.len() > 200 {
        return None;
    }
    candidates
        .into_iter()
        .map(|c| (distance(typed, c), c))
        .filter(|(d, c)| *d <= 1 + c.chars().count() / 3)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        let cases = [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("modle", "model", 1),
            ("é", "e", 1),
        ];
        for (a, b, d) in cases {
            assert_eq!((distance(a, b), distance(b, a)), (d, d), "{a} {b}");
        }
    }

    #[test]
    fn far_names_are_not_offered() {
        assert_eq!(nearest("learnin_rate", ["learning_rate", "seed"]), Some("learning_rate"));
        assert_eq!(nearest("zebra", ["learning_rate", "seed"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["seed"]), None);
    }
}
