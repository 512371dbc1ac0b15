//! The prompts of the work items: random ids around one picture of 32x32 patches, and random patches.

use crate::{
    error::Result,
    streams::Stream,
    vlm::{Batch, Row, Visual, VlmConfig, vision::Grid},
};
use candle_core::{Device, Tensor};

/// Patches along the sides of the picture.
pub const SIDE: usize = 32;
/// Ids before the picture.
const BEFORE: usize = 16;

/// Rows of one length with a picture each.
pub struct Prompts {
    /// B rows of ids.
    pub ids: Vec<Vec<u32>>,
    /// `(B * 1024, C*t*p*p)`
    pub pixels: Tensor,
    /// B grids.
    pub grids: Vec<Grid>,
}

impl Prompts {
    /// `rows` prompts of a picture (its tokens and the marks around them) and `text` more ids, marks included.
    ///
    /// # Errors
    /// None that depends on the input.
    pub fn new(config: &VlmConfig, rows: usize, text: usize) -> Result<Self> {
        let mut stream = Stream::new(1, "prompts");
        let vision = &config.vision;
        let tokens = (SIDE / vision.spatial_merge_size).pow(2);
        let ids = (0..rows).map(|_| {
            let mut row = plain(config, BEFORE, &mut stream);
            row.push(config.vision_start_token_id);
            row.extend(std::iter::repeat_n(config.image_token_id, tokens));
            row.push(config.vision_end_token_id);
            row.extend(plain(config, text.saturating_sub(BEFORE + 2), &mut stream));
            row
        });
        let ids = ids.collect();
        let patches = rows * SIDE * SIDE;
        let values = stream.normals(patches * vision.patch_len(), 1.);
        let pixels = Tensor::from_vec(values, (patches, vision.patch_len()), &Device::Cpu)?;
        Ok(Prompts { ids, pixels, grids: vec![[1, SIDE, SIDE]; rows] })
    }

    /// The rows as a batch; all have one length, so nothing is padded.
    ///
    /// # Errors
    /// Ids that the model does not know.
    pub fn batch(&self, config: &VlmConfig) -> Result<Batch> {
        let visuals = Visual::images(&self.grids);
        let rows: Vec<Row> =
            self.ids.iter().zip(&visuals).map(|(ids, v)| Row::new(ids, std::slice::from_ref(v))).collect();
        Batch::left_padded(config, &rows, 0)
    }

    /// Tokens of a row.
    pub fn width(&self) -> usize {
        self.ids.first().map_or(0, Vec::len)
    }
}

/// Random ids below 1000 that mark no picture.
pub fn plain(config: &VlmConfig, count: usize, stream: &mut Stream) -> Vec<u32> {
    let marks =
        [config.image_token_id, config.video_token_id, config.vision_start_token_id, config.vision_end_token_id];
    let below = config.text.vocab_size.min(1000) as u64;
    let draw = || stream.below(below) as u32;
    std::iter::repeat_with(draw).filter(|id| !marks.contains(id)).take(count).collect()
}
