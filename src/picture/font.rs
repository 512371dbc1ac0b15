//! Text on pictures: two embedded weights of Inter, measured, wrapped and drawn.
//!
//! Sizes are pixels per em. The fonts are Latin only (see `assets/README.md`): a character without a glyph is
//! drawn as `?`, control characters as a space. Input of any length is cut to [`MAX_CHARS`] before work is done.

use super::canvas::{Canvas, Ink};
use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, point};
use std::sync::LazyLock;

/// Characters of a text that are looked at; the rest is cut.
pub const MAX_CHARS: usize = 20_000;

static REGULAR: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(include_bytes!("assets/Inter-Regular.otf")).ok());
static BOLD: LazyLock<Option<FontRef<'static>>> =
    LazyLock::new(|| FontRef::try_from_slice(include_bytes!("assets/Inter-SemiBold.otf")).ok());

/// A weight at a size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    bold: bool,
    px: f32,
}

/// Running text of so many pixels per em.
pub const fn regular(px: f32) -> Style {
    Style { bold: false, px }
}

/// Semi-bold text of so many pixels per em.
pub const fn bold(px: f32) -> Style {
    Style { bold: true, px }
}

impl Style {
    /// Pixels per em.
    pub fn px(self) -> f64 {
        f64::from(self.px)
    }

    fn font(self) -> Option<&'static FontRef<'static>> {
        if self.bold { BOLD.as_ref() } else { REGULAR.as_ref() }
    }
}

/// Width of a line in pixels.
pub fn width(text: &str, style: Style) -> f64 {
    text.chars().take(MAX_CHARS).map(|c| advance(c, style)).sum()
}

/// Cuts a line that is wider than `max_width` pixels and ends it with `…`.
pub fn ellipsize(text: &str, style: Style, max_width: f64) -> String {
    let line: String = text.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() == text.len() && width(&line, style) <= max_width {
        return line;
    }
    with_ellipsis(&line, style, max_width)
}

/// Breaks text into lines of at most `max_width` pixels, at spaces where possible and inside a word that is wider
/// than a line. At most `max_lines` come back; the last ends with `…` when something was left out.
pub fn wrap(text: &str, style: Style, max_width: f64, max_lines: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut cut = text.chars().nth(MAX_CHARS).is_some();
    let text: String = text.chars().take(MAX_CHARS).collect();
    let space = advance(' ', style);
    'text: for paragraph in text.lines() {
        let (mut line, mut used) = (String::new(), 0.0);
        for word in paragraph.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()) {
            let wide = width(word, style);
            if !line.is_empty() && used + space + wide > max_width {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            if !line.is_empty() {
                line.push(' ');
                used += space;
            }
            for c in word.chars() {
                let step = advance(c, style);
                if !line.is_empty() && used + step > max_width {
                    lines.push(std::mem::take(&mut line));
                    used = 0.0;
                }
                line.push(c);
                used += step;
            }
            if lines.len() > max_lines {
                break 'text;
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    cut |= lines.len() > max_lines;
    lines.truncate(max_lines);
    if cut && let Some(last) = lines.last_mut() {
        *last = with_ellipsis(last, style, max_width);
    }
    lines
}

/// Draws one line; (x, y) is where its baseline starts. Returns the width.
pub fn draw(canvas: &mut Canvas, x: f64, y: f64, text: &str, style: Style, ink: impl Into<Ink>) -> f64 {
    let (ink, Some(font)) = (ink.into(), style.font()) else { return 0.0 };
    let scale = scale(font, style);
    let mut pen = x;
    for c in text.chars().take(MAX_CHARS) {
        let visible = pen > -100.0 && pen < f64::from(canvas.width()) + 100.0;
        if visible && !c.is_whitespace() && !c.is_control() {
            let glyph = Glyph { id: glyph(font, c), scale, position: point(pen as f32, y as f32) };
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|gx, gy, coverage| {
                    let at = (corner.x as i64 + i64::from(gx), corner.y as i64 + i64::from(gy));
                    canvas.blend(at.0, at.1, Ink { alpha: ink.alpha * coverage, ..ink });
                });
            }
        }
        pen += advance(c, style);
    }
    pen - x
}

fn with_ellipsis(line: &str, style: Style, max_width: f64) -> String {
    let mut used = advance('…', style);
    let mut kept = String::new();
    for c in line.chars() {
        used += advance(c, style);
        if used > max_width {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

fn glyph(font: &FontRef<'_>, c: char) -> GlyphId {
    let c = if c.is_whitespace() || c.is_control() { ' ' } else { c };
    match font.glyph_id(c) {
        GlyphId(0) => font.glyph_id('?'),
        id => id,
    }
}

/// ab_glyph's scale is the height of a line, ours the size of the em square.
fn scale(font: &FontRef<'_>, style: Style) -> PxScale {
    let em = font.units_per_em().unwrap_or(2048.0);
    PxScale::from(style.px * font.height_unscaled() / em)
}

fn advance(c: char, style: Style) -> f64 {
    let Some(font) = style.font() else { return style.px() * 0.6 };
    let em = font.units_per_em().unwrap_or(2048.0);
    f64::from(font.h_advance_unscaled(glyph(font, c)) / em * style.px)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_fonts_are_there_with_the_symbols_we_use() {
        for style in [regular(16.0), bold(16.0)] {
            let font = style.font().unwrap();
            let missing: String = "AZaz09_äßé°·…“”–—→←↑↓↖↗•●×≈".chars().filter(|&c| font.glyph_id(c).0 == 0).collect();
            assert_eq!(missing, "");
        }
    }

    #[test]
    fn unknown_glyphs_become_question_marks() {
        let painted = |text: &str| {
            let mut canvas = Canvas::new(60, 30, [0, 0, 0]);
            draw(&mut canvas, 4.0, 20.0, text, regular(18.0), [255, 255, 255]);
            canvas.into_image().into_raw()
        };
        assert_eq!(painted("路\u{1F600}"), painted("??"));
        assert_ne!(painted("路"), painted("a"));
    }

    #[test]
    fn size_is_the_em_square() {
        // Inter's capitals are 0.727 em high.
        let mut canvas = Canvas::new(100, 120, [0, 0, 0]);
        draw(&mut canvas, 10.0, 100.0, "H", regular(100.0), [255, 255, 255]);
        let image = canvas.into_image();
        let rows = (0..120).filter(|&y| (0..100).any(|x| image.get_pixel(x, y).0[0] > 128)).count();
        assert!((71..=75).contains(&rows), "{rows}");
    }

    #[test]
    fn lines_fit_and_lose_no_word() {
        let text = "The road bends to the left and the lane is clear.\nA car comes towards me.";
        let lines = wrap(text, regular(16.0), 160.0, 50);
        assert!(lines.len() > 3);
        assert!(lines.iter().all(|l| width(l, regular(16.0)) <= 160.0));
        assert_eq!(lines.join(" ").split(' ').collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn long_words_break_and_the_rest_is_marked() {
        let lines = wrap(&"x".repeat(100_000), regular(16.0), 100.0, 3);
        assert_eq!(lines.len(), 3);
        assert!(lines[2].ends_with('…'));
        assert!(lines.iter().all(|l| width(l, regular(16.0)) <= 100.0));
        assert_eq!(wrap("a b", regular(16.0), f64::NAN, 9).len(), 1);
        assert_eq!(wrap("ab", regular(16.0), 0.0, 9), ["a", "b"]);
        assert!(ellipsize(&"long ".repeat(50), bold(12.0), 80.0).ends_with('…'));
    }
}
