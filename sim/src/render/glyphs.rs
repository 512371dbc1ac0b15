//! A 5 × 7 bitmap font of what signs say: digits and the letters of STOP.

use super::canvas::Canvas;
use super::pen::Ink;
use super::solid::{Local, Side};

/// Rows from the top, five bits each, the highest bit leftmost.
fn rows(glyph: u8) -> [u8; 7] {
    match glyph {
        b'0' | b'O' => [14, 17, 17, 17, 17, 17, 14],
        b'1' => [4, 12, 4, 4, 4, 4, 14],
        b'2' => [14, 17, 1, 6, 8, 16, 31],
        b'3' => [30, 1, 1, 14, 1, 1, 30],
        b'4' => [2, 6, 10, 18, 31, 2, 2],
        b'5' => [31, 16, 30, 1, 1, 17, 14],
        b'6' => [14, 16, 16, 30, 17, 17, 14],
        b'7' => [31, 1, 2, 4, 4, 8, 8],
        b'8' => [14, 17, 17, 14, 17, 17, 14],
        b'9' => [14, 17, 17, 15, 1, 1, 14],
        b'S' => [15, 16, 16, 14, 1, 1, 30],
        b'T' => [31, 4, 4, 4, 4, 4, 4],
        b'P' => [30, 17, 17, 30, 16, 16, 16],
        _ => [0; 7],
    }
}

/// Writes on the front at `x`, centred at height `z`, within `width` and `height` metres; one rectangle per run of dots.
#[allow(clippy::too_many_arguments)] // a place, a size, a text and its colour
pub(crate) fn text(canvas: &mut Canvas, l: &Local, x: f32, z: f32, width: f32, height: f32, text: &[u8], ink: Ink) {
    let columns = 6 * text.len() - 1;
    let dot = (width / columns as f32).min(1.3 * height / 7.0);
    let (left, top, tall) = (0.5 * dot * columns as f32, z + 0.5 * height, height / 7.0);
    for (k, &glyph) in text.iter().enumerate() {
        for (j, bits) in rows(glyph).into_iter().enumerate() {
            let mut i = 0;
            while i < 5 {
                let run = (i..5).take_while(|b| bits >> (4 - b) & 1 == 1).count();
                if run > 0 {
                    // Who reads the sign has its left on his right.
                    let from = dot * (6 * k + i) as f32 - left;
                    let up = top - tall * j as f32;
                    l.face(canvas, Side::Front, x, [from, from + dot * run as f32], [up - tall, up], ink);
                }
                i += run.max(1);
            }
        }
    }
}
