//! Changes made to a training sample and its labels together: mirroring, and brightness and contrast.

use crate::{streams::Stream, vlm::image::Rgb};
use data::{Content, Sample};
use scene::{Command, MetaAction};

/// The sample as seen in a mirror: left and right exchanged in labels, auxiliary classes, command and reasoning. The
/// caller mirrors the pictures. `None` for literal conversations and answers, whose text cannot be mirrored safely.
pub fn mirrored(sample: &Sample) -> Option<Sample> {
    let (Content::Planning { ego, reasoning }, None) = (&sample.content, &sample.pair) else { return None };
    let mut out = sample.clone();
    let mut ego = ego.clone();
    ego.command = Command(swap_sides(&ego.command.0));
    out.content = Content::Planning { ego, reasoning: reasoning.as_deref().map(swap_sides) };
    out.labels.path = sample.labels.path.map(|path| {
        let speed = scene::SpeedAction::Keep;
        MetaAction { speed, path }.mirrored().path
    });
    out.labels.future = sample.labels.future.as_ref().map(scene::Trajectory::mirrored);
    out.aux = sample.aux.iter().map(|(name, class)| (name.clone(), swap_sides(class))).collect();
    Some(out)
}

/// Exchanges `left` and `right` wherever they are words of their own (also `leftmost`, `rightward`, ...), in any case,
/// between other signs such as the `_` of class names.
pub fn swap_sides(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    for piece in text.split_inclusive(|c: char| !c.is_alphabetic()) {
        let end = piece.find(|c: char| !c.is_alphabetic()).unwrap_or(piece.len());
        let (word, rest) = piece.split_at(end);
        match swapped(word) {
            Some(other) => out.push_str(&other),
            None => out.push_str(word),
        }
        out.push_str(rest);
    }
    out
}

fn swapped(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let (side, other) = [("left", "right"), ("right", "left")].into_iter().find(|(side, _)| lower.starts_with(side))?;
    if !["", "most", "ward", "wards"].contains(&&lower[side.len()..]) {
        return None;
    }
    let (head, tail) = word.split_at(side.len());
    let other = match head {
        _ if head.chars().all(char::is_uppercase) => other.to_uppercase(),
        _ if head.starts_with(char::is_uppercase) => other[..1].to_uppercase() + &other[1..],
        _ => other.to_owned(),
    };
    Some(other + tail)
}

/// Mirrors a picture in place.
pub fn mirror(picture: &mut Rgb) {
    let width = picture.width;
    for row in picture.data.chunks_exact_mut(width * 3) {
        for x in 0..width / 2 {
            for c in 0..3 {
                row.swap(x * 3 + c, (width - 1 - x) * 3 + c);
            }
        }
    }
}

/// Random brightness and contrast, each by at most `amount` of the full range, and a random shift of the picture by at
/// most `amount / 8` of each side (edges repeat).
pub fn jitter(picture: &mut Rgb, amount: f64, stream: &mut Stream) {
    let mut signed = || stream.uniform() * 2.0 - 1.0;
    let contrast = 1.0 + signed() * amount;
    let brightness = signed() * amount * 255.0;
    let (dx, dy) = (signed() * amount / 8.0, signed() * amount / 8.0);
    let table: Vec<u8> = (0..256)
        .map(|v| ((f64::from(v) - 127.5) * contrast + 127.5 + brightness).round().clamp(0.0, 255.0) as u8)
        .collect();
    let (width, height) = (picture.width as isize, picture.height as isize);
    let (dx, dy) = ((dx * width as f64).round() as isize, (dy * height as f64).round() as isize);
    let source = picture.data.clone();
    for y in 0..height {
        let from_y = (y + dy).clamp(0, height - 1);
        for x in 0..width {
            let from = ((from_y * width + (x + dx).clamp(0, width - 1)) * 3) as usize;
            let to = ((y * width + x) * 3) as usize;
            for c in 0..3 {
                picture.data[to + c] = table[source[from + c] as usize];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn sides_are_exchanged_as_whole_words() {
        assert_eq!(
            swap_sides("bends to the left, LEFT_TURN; bright rights"),
            "bends to the right, RIGHT_TURN; bright rights"
        );
        assert_eq!(swap_sides("sharp_left"), "sharp_right");
        assert_eq!(swap_sides("Leftmost lane, LEFTWARD, rightly\0right"), "Rightmost lane, RIGHTWARD, rightly\0left");
        let text = "Left of the right lane";
        assert_eq!(swap_sides(&swap_sides(text)), text);
    }

    #[test]
    fn mirroring_twice_changes_nothing_and_jitter_is_seeded() {
        let data: Vec<u8> = (0..5 * 4 * 3).map(|i| i as u8).collect();
        let original = Rgb::new(5, 4, data).unwrap();
        let mut picture = original.clone();
        mirror(&mut picture);
        assert_eq!(picture.data[..3], original.data[12..15]);
        mirror(&mut picture);
        assert_eq!(picture, original);
        let (mut a, mut b) = (original.clone(), original.clone());
        jitter(&mut a, 0.3, &mut Stream::new(1, "x"));
        jitter(&mut b, 0.3, &mut Stream::new(1, "x"));
        assert_eq!(a, b);
        jitter(&mut b, 0.0, &mut Stream::new(2, "x"));
        assert_eq!(a, b, "no jitter is no change");
    }
}
