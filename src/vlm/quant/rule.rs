//! Which format each matrix gets.

use super::Kind;

/// What a matrix is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A linear layer of the language model.
    Text,
    /// The token table or the output head.
    Vocabulary,
    /// A linear layer of the vision tower.
    Vision,
}

/// Smallest number of weights worth quantizing.
const SMALLEST: usize = 256;

/// The format of a matrix of a model quantized to `kind`, or `None` where its width allows none and it stays dense.
///
/// As llama.cpp mixes them: the vocabulary keeps 6 bits under `Q4_K`. The vision tower keeps 8: it runs once a picture.
pub fn format_of(kind: Kind, role: Role, rows: usize, cols: usize) -> Option<Kind> {
    let wanted = match (kind, role) {
        (Kind::Q8_0, _) | (_, Role::Vision) => Kind::Q8_0,
        (Kind::Q4K, Role::Vocabulary) => Kind::Q6K,
        (kind, _) => kind,
    };
    let fits = |kind: Kind| cols > 0 && cols.is_multiple_of(kind.block());
    if rows * cols < SMALLEST {
        None
    } else if fits(wanted) {
        Some(wanted)
    } else {
        fits(Kind::Q8_0).then_some(Kind::Q8_0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_decides() {
        assert_eq!(format_of(Kind::Q4K, Role::Text, 2048, 2048), Some(Kind::Q4K));
        assert_eq!(format_of(Kind::Q4K, Role::Text, 2048, 96), Some(Kind::Q8_0));
        assert_eq!(format_of(Kind::Q4K, Role::Vision, 1280, 3420), None);
        assert_eq!(format_of(Kind::Q4K, Role::Vision, 3840, 1280), Some(Kind::Q8_0));
        assert_eq!(format_of(Kind::Q4K, Role::Vocabulary, 151_936, 2048), Some(Kind::Q6K));
        assert_eq!(format_of(Kind::Q8_0, Role::Vocabulary, 151_936, 2048), Some(Kind::Q8_0));
        assert_eq!(format_of(Kind::Q6K, Role::Text, 8, 16), None);
    }
}
