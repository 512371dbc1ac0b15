//! A contact sheet: frames side by side with a caption under each, for clip folders and the README.

use super::canvas::Canvas;
use super::{font, theme};
use image::{RgbImage, imageops};

/// Most cells on one sheet; further frames are counted in the last cell's caption.
pub const MAX_CELLS: usize = 120;
const GAP: u32 = 12;
const CAPTION: u32 = 34;

/// Puts frames with captions on a sheet, row by row, `columns` per row (1 to 12; 0 picks a number that gives a roughly
/// 4:3 sheet). A cell is `cell_width` pixels wide (96 to 960) and as high as the median frame at that width.
pub fn contact_sheet(frames: &[(&RgbImage, &str)], columns: usize, cell_width: u32) -> RgbImage {
    let shown = &frames[..frames.len().min(MAX_CELLS)];
    let wide = cell_width.clamp(96, 960);
    let high = cell_height(shown, wide);
    let columns = match columns {
        0 => (shown.len() as f64 * 4.0 / 3.0 * f64::from(high + CAPTION) / f64::from(wide)).sqrt().round() as usize,
        n => n,
    };
    let columns = columns.clamp(1, 12).min(shown.len().max(1)) as u32;
    let rows = (shown.len() as u32).div_ceil(columns).max(1);
    let mut sheet = Canvas::new(columns * (wide + GAP) + GAP, rows * (high + CAPTION + GAP) + GAP, theme::GROUND);
    for (i, (frame, caption)) in shown.iter().enumerate() {
        let (column, row) = (i as u32 % columns, i as u32 / columns);
        let (x, y) = (GAP + column * (wide + GAP), GAP + row * (high + CAPTION + GAP));
        let left = frames.len() - shown.len();
        let last = left > 0 && i + 1 == shown.len();
        let caption = if last { format!("{caption} (and {left} more)") } else { (*caption).to_string() };
        cell(&mut sheet, frame, &caption, (x, y), (wide, high));
    }
    sheet.into_image()
}

fn cell(sheet: &mut Canvas, frame: &RgbImage, caption: &str, (x, y): (u32, u32), (wide, high): (u32, u32)) {
    let (fx, fy) = (f64::from(x), f64::from(y));
    sheet.rectangle(fx, fy, f64::from(wide), f64::from(high), theme::BLACK);
    if frame.width() > 0 && frame.height() > 0 {
        let ratio = (f64::from(wide) / f64::from(frame.width())).min(f64::from(high) / f64::from(frame.height()));
        let side = |s: u32, most: u32| ((f64::from(s) * ratio).round() as u32).clamp(1, most);
        let (w, h) = (side(frame.width(), wide), side(frame.height(), high));
        let small = if ratio < 1.0 {
            imageops::thumbnail(frame, w, h)
        } else {
            imageops::resize(frame, w, h, imageops::FilterType::CatmullRom)
        };
        sheet.paste(&small, i64::from(x + (wide - w) / 2), i64::from(y + (high - h) / 2));
    }
    let style = font::regular(16.0);
    let line = font::ellipsize(caption, style, f64::from(wide));
    font::draw(sheet, fx, fy + f64::from(high) + 22.0, &line, style, theme::TEXT);
}

fn cell_height(frames: &[(&RgbImage, &str)], wide: u32) -> u32 {
    let mut heights: Vec<f64> =
        frames.iter().map(|(f, _)| f64::from(wide) * f64::from(f.height()) / f64::from(f.width().max(1))).collect();
    heights.sort_by(f64::total_cmp);
    let median = heights.get(heights.len() / 2).copied().unwrap_or(f64::from(wide) * 0.75);
    (median.round() as u32).clamp(wide / 8, wide * 2)
}
