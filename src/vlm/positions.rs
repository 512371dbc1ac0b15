//! Three-axis rotary positions (M-RoPE), computed on the host.
//!
//! Text advances all three axes by 1. A picture that starts at p occupies `(p + frame, p + row, p + column)` on its
//! merged grid, and the next text token follows at the largest used position + 1. Qwen2.5-VL counts a video's frames in
//! `tokens_per_second * seconds_per_grid` steps (truncated); Qwen3-VL sees every frame of a video as its own picture
//! because timestamps in the text separate them. The rule for what follows a *video* is that of the training code
//! (maximum over all axes); transformers 5 advances by the spatial size only. For pictures both agree.

use super::config::{Family, VlmConfig};
use crate::error::{Failure, Result};

/// One picture or video of a prompt, in order of appearance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Visual {
    /// Patches along time, height and width, before merging.
    pub grid: [usize; 3],
    /// Seconds between two temporal patches of a video; `None` for a still picture.
    pub seconds_per_grid: Option<f64>,
}

impl Visual {
    /// A still picture.
    pub fn image(grid: [usize; 3]) -> Self {
        Visual { grid, seconds_per_grid: None }
    }
    /// Still pictures of these grids.
    pub fn images(grids: &[[usize; 3]]) -> Vec<Self> {
        grids.iter().copied().map(Self::image).collect()
    }
    /// A video whose temporal patches are `seconds_per_grid` apart.
    pub fn video(grid: [usize; 3], seconds_per_grid: f64) -> Self {
        Visual { grid, seconds_per_grid: Some(seconds_per_grid) }
    }
}

/// Positions of one unpadded row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowPositions {
    /// Time, height, width position of every token.
    pub axes: [Vec<i64>; 3],
    /// What to add to a later token's index to get its position.
    pub delta: i64,
    /// Indices of the tokens that stand for image features, in order.
    pub visual: Vec<usize>,
}

/// Positions of one row of token ids with its pictures; the last `written` ids are text, whatever they are.
pub fn row_positions(config: &VlmConfig, ids: &[u32], visuals: &[Visual], written: usize) -> Result<RowPositions> {
    let merge = config.vision.spatial_merge_size;
    let mut spans: Vec<(Visual, [usize; 3])> = Vec::new();
    for visual in visuals {
        let [t, h, w] = visual.grid;
        if t == 0 || h == 0 || w == 0 || h % merge != 0 || w % merge != 0 {
            return Err(Failure::data(format!(
                "picture grid {:?} is not usable: every size must be positive, height and width multiples of {merge}",
                visual.grid
            )));
        }
        let merged = [t, h / merge, w / merge];
        if visual.seconds_per_grid.is_some() && config.family == Family::Qwen3Vl {
            spans.extend(std::iter::repeat_n((*visual, [1, merged[1], merged[2]]), t));
        } else {
            spans.push((*visual, merged));
        }
    }
    let (ids, written) = ids.split_at(ids.len().saturating_sub(written));
    check_counts(config, ids, &spans)?;

    let mut out = RowPositions::default();
    let mut spans = spans.into_iter();
    let (mut next, mut i) = (0i64, 0);
    while i < ids.len() {
        let token = ids[i];
        if token != config.image_token_id && token != config.video_token_id {
            out.axes.iter_mut().for_each(|axis| axis.push(next));
            (next, i) = (next + 1, i + 1);
            continue;
        }
        let span = spans.next().ok_or_else(|| Failure::data("more image tokens than pictures"))?;
        let (visual, [t, h, w]) = span;
        let count = t * h * w;
        let run = ids[i..].iter().take_while(|id| **id == token).count();
        if run < count || (token == config.video_token_id) != visual.seconds_per_grid.is_some() {
            return Err(Failure::data(format!(
                "picture with grid {:?} needs {count} {} tokens in a row at token {i}, found {run} of id {token}",
                visual.grid,
                if visual.seconds_per_grid.is_some() { "video" } else { "image" },
            )));
        }
        let step = match (config.family, visual.seconds_per_grid) {
            (Family::Qwen25Vl, Some(seconds)) => seconds * config.vision.tokens_per_second,
            _ => 1.,
        };
        for frame in 0..t {
            let time = next + (frame as f64 * step) as i64;
            for (row, column) in (0..h * w).map(|cell| ((cell / w) as i64, (cell % w) as i64)) {
                out.axes[0].push(time);
                out.axes[1].push(next + row);
                out.axes[2].push(next + column);
            }
        }
        out.visual.extend(i..i + count);
        let last_frame = ((t - 1) as f64 * step) as i64;
        next += last_frame.max(h as i64 - 1).max(w as i64 - 1) + 1;
        i += count;
    }
    out.delta = next - ids.len() as i64;
    out.axes.iter_mut().for_each(|axis| axis.extend(next..next + written.len() as i64));
    Ok(out)
}

fn check_counts(config: &VlmConfig, ids: &[u32], spans: &[(Visual, [usize; 3])]) -> Result<()> {
    for (video, token, word) in [(false, config.image_token_id, "image"), (true, config.video_token_id, "video")] {
        let have = ids.iter().filter(|id| **id == token).count();
        let of_kind = spans.iter().filter(|(visual, _)| visual.seconds_per_grid.is_some() == video);
        let need: usize = of_kind.map(|(_, merged)| merged.iter().product::<usize>()).sum();
        if have != need {
            return Err(Failure::data(format!("the prompt has {have} {word} tokens, its {word} grids need {need}"))
                .hint("every picture becomes t*h*w / merge^2 tokens; was the prompt cut or a picture left out?"));
        }
    }
    Ok(())
}

/// Which axis drives each of the D/2 frequencies: chunks (Qwen2/2.5-VL) or interleaved T,H,W,T,H,W.. (Qwen3-VL).
pub fn frequency_axes(config: &VlmConfig) -> Vec<usize> {
    let half = config.text.head_dim / 2;
    let sections = config.text.mrope_section;
    if config.family != Family::Qwen3Vl {
        return (0..3).flat_map(|axis| std::iter::repeat_n(axis, sections[axis])).collect();
    }
    // A section may end early: what is beyond it falls back to time.
    let axis = |i: usize| if i < 3 * sections[i % 3] { i % 3 } else { 0 };
    (0..half).map(axis).collect()
}

/// `1 / theta^(2i/width)` for the `width/2` frequencies, in f32 as the reference computes them.
pub fn inverse_frequencies(width: usize, theta: f64) -> Vec<f32> {
    (0..width / 2).map(|i| 1. / (theta as f32).powf((2 * i) as f32 / width as f32)).collect()
}

/// cos and sin of `(positions, D)` in f32, both halves of D alike. `axes` holds one position per token and axis.
pub fn text_rope(config: &VlmConfig, axes: &[Vec<i64>; 3]) -> (Vec<f32>, Vec<f32>) {
    let width = config.text.head_dim;
    let half = width / 2;
    let frequencies = inverse_frequencies(width, config.text.rope_theta);
    let which = frequency_axes(config);
    let count = axes[0].len();
    let (mut cos, mut sin) = (vec![0f32; count * width], vec![0f32; count * width]);
    for token in 0..count {
        let (cos, sin) = (&mut cos[token * width..][..width], &mut sin[token * width..][..width]);
        for i in 0..half {
            let (s, c) = (axes[which[i]][token] as f32 * frequencies[i]).sin_cos();
            (cos[i], cos[i + half]) = (c, c);
            (sin[i], sin[i + half]) = (s, s);
        }
    }
    (cos, sin)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(family: &str, section: [usize; 3]) -> VlmConfig {
        let sum: usize = section.iter().sum();
        let json = serde_json::json!({
            "model_type": family, "image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92,
            "vision_end_token_id": 93, "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "head_dim": 2 * sum, "vocab_size": 100, "rope_theta": 1e6,
            "rope_scaling": {"mrope_section": section},
            "vision_config": {"depth": 2, "embed_dim": 32, "hidden_size": if family == "qwen2_vl" { 64 } else { 32 },
                "out_hidden_size": 64, "intermediate_size": 16, "num_heads": 2, "patch_size": 14,
                "num_position_embeddings": 16, "tokens_per_second": 2, "fullatt_block_indexes": [1]},
        });
        VlmConfig::from_json(&json).unwrap()
    }

    #[test]
    fn picture_between_texts() {
        let ids = [1, 2, 92, 90, 90, 90, 90, 90, 90, 93, 5];
        let p = row_positions(&config("qwen2_vl", [2, 3, 3]), &ids, &[Visual::image([1, 4, 6])], 0).unwrap();
        assert_eq!(p.axes[0], [0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7]);
        assert_eq!(p.axes[1], [0, 1, 2, 3, 3, 3, 4, 4, 4, 6, 7]);
        assert_eq!(p.axes[2], [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7]);
        assert_eq!(p.delta, 8 - 11);
        assert_eq!(p.visual, [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_written_image_token_is_text() {
        let (config, ids) = (config("qwen2_vl", [2, 3, 3]), [92, 90, 90, 90, 90, 90, 90, 93, 90, 5]);
        let visuals = [Visual::image([1, 4, 6])];
        let p = row_positions(&config, &ids, &visuals, 2).unwrap();
        assert_eq!(p.axes.each_ref().map(|axis| axis[7..].to_vec()), [[4, 5, 6]; 3]);
        assert_eq!((p.visual, p.delta), ((1..7).collect(), -3));
        assert!(row_positions(&config, &ids, &visuals, 1).is_err());
    }

    #[test]
    fn videos_differ_by_family() {
        let video = [Visual::video([2, 2, 2], 1.5)];
        let p2 = row_positions(&config("qwen2_vl", [2, 3, 3]), &[92, 91, 91, 93], &video, 0).unwrap();
        assert_eq!(p2.axes[0], [0, 1, 2, 3]);
        let p25 = row_positions(&config("qwen2_5_vl", [2, 3, 3]), &[92, 91, 91, 93], &video, 0).unwrap();
        assert_eq!(p25.axes[0], [0, 1, 4, 5]); // 1.5 s * 2 per s
        let ids = [7, 92, 91, 93, 8, 92, 91, 93]; // a timestamp before each frame
        let p3 = row_positions(&config("qwen3_vl", [6, 5, 5]), &ids, &video, 0).unwrap();
        assert_eq!(p3.axes[0], [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn wrong_counts_name_the_numbers() {
        let config = config("qwen2_vl", [2, 3, 3]);
        let text = row_positions(&config, &[1, 90, 90], &[Visual::image([1, 4, 6])], 0).unwrap_err().message;
        assert!(text.contains("2 image tokens") && text.contains("need 6"), "{text}");
        assert!(row_positions(&config, &[1, 90], &[], 0).is_err());
        assert!(row_positions(&config, &[90], &[Visual::image([1, 3, 2])], 0).is_err());
        assert!(row_positions(&config, &[90], &[Visual::video([1, 2, 2], 1.)], 0).is_err());
    }

    #[test]
    fn sections_are_chunks_or_interleaved() {
        assert_eq!(frequency_axes(&config("qwen2_vl", [2, 3, 3])), [0, 0, 1, 1, 1, 2, 2, 2]);
        let axes = frequency_axes(&config("qwen3_vl", [6, 5, 5]));
        assert_eq!(axes, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
        let axes = frequency_axes(&config("qwen3_vl", [24, 20, 20]));
        assert_eq!(axes.iter().filter(|a| **a == 0).count(), 24);
        assert!(axes[60..].iter().all(|a| *a == 0));
    }
}
