//! From a preference pair to two rows of training input that share their prompt. `data show` and the trainer both go
//! through here, so what is shown is what is trained.

use super::examples::pair_lessons;
use crate::{
    error::{Failure, Result},
    vlm::{
        encode::{Encoder, IGNORED, Layout},
        prompt::Prompts,
    },
};
use data::{Sample, Turn};

/// Both rows. Labels are set on the answers only: not on what the assistant said earlier, within the prompt.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Tokens of the prompt, with which both rows begin.
    pub prompt: usize,
    /// The prompt and the better answer.
    pub chosen: Layout,
    /// The prompt and the worse answer.
    pub rejected: Layout,
}

/// The rows of a pair whose pictures have these grids; `None` when the sample is no pair.
///
/// # Errors
/// Text that cannot be rendered, pictures that do not fit the text, a row over the encoder's length limit.
pub fn rows(encoder: &Encoder, prompts: &Prompts, sample: &Sample, grids: &[[usize; 3]]) -> Result<Option<Rows>> {
    let (Some([chosen, rejected]), Some(pair)) = (pair_lessons(prompts, sample)?, &sample.pair) else {
        return Ok(None);
    };
    let asked = &chosen[..chosen.len() - pair.chosen.len()];
    let prompt = encoder.prompt_layout(asked, grids)?.ids;
    let row = |turns: &[Turn]| {
        let mut row = encoder.layout(turns, grids, &[])?;
        if !row.ids.starts_with(&prompt) {
            return Err(Failure::data("the chat template writes the prompt differently when an answer follows")
                .hint("use a template that leaves earlier turns alone"));
        }
        row.labels[..prompt.len()].fill(IGNORED);
        Ok(row)
    };
    Ok(Some(Rows { prompt: prompt.len(), chosen: row(&chosen)?, rejected: row(&rejected)? }))
}

/// Tokens of a row that carry loss.
pub fn scored(row: &Layout) -> usize {
    row.labels.iter().skip(1).filter(|label| **label != IGNORED).count()
}
