//! The nearest known name to a mistyped one.

/// The candidate with the smallest edit distance (Levenshtein, over characters), if at most a third of it differs.
/// Longer input than any sensible name is not compared.
pub(super) fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.len() > 200 {
        return None;
    }
    let scored = candidates.into_iter().map(|c| (distance(typed, c), c));
    scored.filter(|(d, c)| *d <= 1 + c.chars().count() / 3).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let (mut corner, mut left) = (i, i + 1);
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let best = (corner + usize::from(x != y)).min(left + 1).min(*cell + 1);
            corner = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        for (a, b, d) in [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("é", "e", 1)] {
            assert_eq!((distance(a, b), distance(b, a)), (d, d), "{a} {b}");
        }
        assert_eq!(nearest("speed_fl", ["speed", "speed_f1", "path_f1"]), Some("speed_f1"));
        assert_eq!(nearest("zebra", ["speed", "path"]), None);
    }
}
