//! One fixture case as model input: rows, grids, pixels and the expected tensors. Nothing about shapes is assumed.

use crate::support::{self, Tensors};
use candle_core::Tensor;
use reinsman::vlm::{
    Batch, ImageFeatures, Row, Trace, Visual, Vlm, VlmConfig,
    image::{Loading, Rgb},
    processor::{Pixels, Processor},
};
use std::path::Path;

pub struct Case {
    pub tensors: Tensors,
    /// Token ids without padding.
    pub rows: Vec<Vec<u32>>,
    pub visuals: Vec<Vec<Visual>>,
    pub grids: Vec<[usize; 3]>,
    pub left_padded: bool,
    /// Pixel rows of all pictures, unless the case has none.
    pub pixels: Option<Tensor>,
}

impl Case {
    /// Reads `case_<name>.safetensors` or another file of the family; `None` when it is not there.
    pub fn read(family: &Path, file: &str, config: &VlmConfig) -> Option<Case> {
        let tensors = support::tensors(&family.join(file))?;
        let ids = tensors["input_ids"].to_vec2::<i64>().unwrap();
        let mask = tensors["attention_mask"].to_vec2::<i64>().unwrap();
        let left_padded = mask.iter().any(|row| row[0] == 0);
        let real = |(ids, mask): (&Vec<i64>, &Vec<i64>)| {
            ids.iter().zip(mask).filter(|(_, m)| **m == 1).map(|(id, _)| *id as u32).collect::<Vec<u32>>()
        };
        let rows: Vec<Vec<u32>> = ids.iter().zip(&mask).map(real).collect();
        let grids: Vec<[usize; 3]> = match tensors.get("image_grid_thw") {
            None => Vec::new(),
            Some(grids) => {
                grids.to_vec2::<i64>().unwrap().iter().map(|g| [g[0] as usize, g[1] as usize, g[2] as usize]).collect()
            }
        };
        let name = file.trim_end_matches(".safetensors").trim_start_matches("case_").to_string();
        let pixels = pixels(family, &name, &tensors, &grids);
        let visuals = share_out(&rows, &grids, config);
        Some(Case { tensors, rows, visuals, grids, left_padded, pixels })
    }

    pub fn batch(&self, config: &VlmConfig) -> Batch {
        let rows: Vec<Row> = self.rows.iter().zip(&self.visuals).map(|(ids, visuals)| Row::new(ids, visuals)).collect();
        let pad = 0;
        let batch = if self.left_padded {
            Batch::left_padded(config, &rows, pad)
        } else {
            Batch::right_padded(config, &rows, pad)
        };
        batch.unwrap()
    }

    pub fn images(&self, vlm: &Vlm, trace: Option<&mut Trace>) -> Option<ImageFeatures> {
        let pixels = self.pixels.as_ref()?;
        Some(vlm.encode_images_traced(pixels, &self.grids, trace).unwrap())
    }

    /// Flat indices (row-major in the padded batch) of the last `n` columns that are not padding, and the same
    /// counted in a tensor that holds only those `n` columns.
    pub fn real_tail(&self, batch: &Batch, n: usize) -> (Vec<u32>, Vec<u32>) {
        let mut both = (Vec::new(), Vec::new());
        for row in 0..batch.rows {
            for column in batch.width - n..batch.width {
                let token = column.checked_sub(batch.start[row]);
                if token.is_some_and(|token| token < batch.lens[row]) {
                    both.0.push((row * batch.width + column) as u32);
                    both.1.push((row * n + column + n - batch.width) as u32);
                }
            }
        }
        both
    }

    /// Compares `got (B, T, ..)` with `want (B, n, ..)`, the last n positions, padding left out.
    pub fn assert_tail(&self, what: &str, batch: &Batch, got: &Tensor, want: &Tensor, tolerance: f32) {
        let n = want.dim(1).unwrap();
        let (here, there) = self.real_tail(batch, n);
        let pick = |t: &Tensor, at: &[u32]| {
            let index = Tensor::new(at, t.device()).unwrap();
            t.flatten(0, 1).unwrap().index_select(&index, 0).unwrap()
        };
        support::assert_close(what, &pick(got, &here), &pick(want, &there), tolerance);
    }
}

/// Gives each row the grids that its image tokens need, in order.
fn share_out(rows: &[Vec<u32>], grids: &[[usize; 3]], config: &VlmConfig) -> Vec<Vec<Visual>> {
    let merge = config.vision.spatial_merge_size;
    let mut grids = grids.iter();
    let mut shared = Vec::new();
    for row in rows {
        let mut open = row.iter().filter(|id| **id == config.image_token_id).count();
        let mut mine = Vec::new();
        while open > 0 {
            let grid = *grids.next().expect("more image tokens than grids");
            open = open.checked_sub(grid.iter().product::<usize>() / (merge * merge)).expect("grids fit the rows");
            mine.push(Visual::image(grid));
        }
        shared.push(mine);
    }
    assert!(grids.next().is_none(), "grids left over");
    shared
}

/// Pixel rows of a case: from its file, else by our own processor from the pictures in `images/` (scene_a is the
/// picture of `single`, scene_b that of `single_b`, all others show both).
fn pixels(family: &Path, name: &str, tensors: &Tensors, grids: &[[usize; 3]]) -> Option<Tensor> {
    if grids.is_empty() {
        return None;
    }
    if let Some(pixels) = tensors.get("pixel_values") {
        return Some(pixels.clone());
    }
    let processor = Processor::from_dir(&family.join("ckpt")).unwrap();
    let pictures: &[&str] = match name {
        "single" => &["scene_a.png"],
        "single_b" => &["scene_b.png"],
        _ => &["scene_a.png", "scene_b.png"],
    };
    let load = |picture: &&str| {
        let path = family.parent().unwrap().join("images").join(picture);
        processor.image(&Rgb::open(&path, &Loading::default()).unwrap()).unwrap()
    };
    let (pixels, found) = Pixels::concat(&pictures.iter().map(load).collect::<Vec<_>>()).unwrap().unwrap();
    assert_eq!(found, grids, "grids of {name}");
    Some(pixels)
}
