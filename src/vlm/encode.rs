//! A conversation with its pictures as the model's input: ids, labels, grids and patches.
//!
//! The template renders, the marks are counted against the pictures, each `<|image_pad|>` grows to its grid's tokens.
//! *What others wrote stays text*: before rendering, every special token inside a turn is replaced by a private
//! character, and the original spelling is put back after the template's own special tokens have been found. For texts
//! without special tokens this is exactly the reference's tokenisation of the rendered string.
//! Labels: loss falls on each assistant turn from the end of its generation prompt to the end of the turn, `<|im_end|>`
//! and line end included. Text is cut there before tokenising, so that the ids of a prompt always begin the ids of the
//! whole; the reference, which tokenises in one piece, differs only when an answer starts with a line end.

mod text;

use super::{
    chat::ChatTemplate,
    image::Rgb,
    processor::{Pixels, Processor},
    tokenizer::Tokenizer,
};
use crate::error::{Failure, Result};
use data::{Part, Role, Turn};
use std::{ops::Range, path::Path};

/// The label of a token that carries no loss.
pub const IGNORED: i64 = -100;

/// Everything between conversations and model input.
#[derive(Clone)]
pub struct Encoder {
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Turns to text.
    pub chat: ChatTemplate,
    /// Pictures to patches.
    pub processor: Processor,
    /// Longest input in tokens, if there is a limit. Nothing is ever cut to fit.
    pub max_length: Option<usize>,
}

/// Bytes of an assistant turn's text (its text parts joined) that carry no loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unscored {
    /// Index of the turn.
    pub turn: usize,
    /// Bytes within [`super::chat::text_of`] that turn. A token that overlaps them gets no loss.
    pub bytes: Range<usize>,
}

/// Ids, labels and the places of the pictures, without any pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// T token ids.
    pub ids: Vec<u32>,
    /// T labels: the id itself, or [`IGNORED`]. Not shifted: the token before predicts it.
    pub labels: Vec<i64>,
    /// Where each picture's tokens are, in order.
    pub images: Vec<Range<usize>>,
}

/// One row of model input.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// T token ids.
    pub ids: Vec<u32>,
    /// T labels, see [`Layout::labels`].
    pub labels: Vec<i64>,
    /// Grid of each picture.
    pub grids: Vec<[usize; 3]>,
    /// Patches of each picture; [`Pixels::concat`] makes a tensor of those of a batch.
    pub pixels: Vec<Pixels>,
    /// Where each picture's tokens are.
    pub images: Vec<Range<usize>>,
}

/// Why an input does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// Tokens of the input.
    pub tokens: usize,
    /// Tokens allowed.
    pub limit: usize,
    /// Of the tokens, those that stand for pictures.
    pub image_tokens: usize,
}

impl From<TooLong> for Failure {
    fn from(TooLong { tokens, limit, image_tokens }: TooLong) -> Failure {
        let over = tokens - limit;
        Failure::data(format!(
            "the input has {tokens} tokens, {image_tokens} of them for pictures; {limit} are allowed, {over} fewer"
        ))
        .hint(if image_tokens > limit / 2 {
            "lower max_pixels, or raise the length limit"
        } else {
            "shorten the text, or raise the length limit"
        })
    }
}

impl Layout {
    /// Fails when there are more tokens than `limit`.
    pub fn fits(&self, limit: usize) -> Result<(), TooLong> {
        let image_tokens = self.images.iter().map(|span| span.len()).sum();
        match self.ids.len() {
            tokens if tokens > limit => Err(TooLong { tokens, limit, image_tokens }),
            _ => Ok(()),
        }
    }
}

impl Encoder {
    /// Reads tokenizer, template and picture settings of a model folder.
    pub fn from_dir(dir: &Path) -> Result<Encoder> {
        let tokenizer = Tokenizer::from_dir(dir)?;
        let chat = ChatTemplate::from_dir(dir, &tokenizer)?;
        Ok(Encoder { tokenizer, chat, processor: Processor::from_dir(dir)?, max_length: None })
    }

    /// A training row: the whole conversation with labels on what the assistant says, except `unscored` bytes.
    pub fn encode(&self, turns: &[Turn], images: &[Rgb], unscored: &[Unscored]) -> Result<Encoded> {
        self.count(turns, images.len())?; // before any picture is looked at
        let layout = self.layout(turns, &self.grids(images)?, unscored)?;
        self.pixels(layout, images)
    }

    /// A prompt for generation: the conversation up to where the assistant begins. No label is set.
    pub fn prompt(&self, turns: &[Turn], images: &[Rgb]) -> Result<Encoded> {
        self.count(turns, images.len())?;
        let layout = self.prompt_layout(turns, &self.grids(images)?)?;
        self.pixels(layout, images)
    }

    /// The grids that pictures will have.
    pub fn grids(&self, images: &[Rgb]) -> Result<Vec<[usize; 3]>> {
        images.iter().map(|image| self.processor.grid(image.width, image.height)).collect()
    }

    /// [`Self::encode`] without pixels, from the pictures' grids: cheap enough for a whole data set.
    pub fn layout(&self, turns: &[Turn], grids: &[[usize; 3]], unscored: &[Unscored]) -> Result<Layout> {
        self.count(turns, grids.len())?;
        let shield = text::Shield::new(turns, &self.tokenizer)?;
        let turns = shield.turns();
        let rendered = self.chat.render(turns, false)?;
        let spans = self.spans(turns, &rendered)?;
        let silent: Vec<Range<usize>> =
            unscored.iter().map(|u| shield.locate(u, &spans, &rendered)).collect::<Result<_>>()?;
        let cuts: Vec<usize> = spans.iter().flat_map(|(_, span)| [span.start, span.end]).collect();
        let pieces = shield.pieces(&self.tokenizer, &rendered, &cuts)?;
        let label = |(id, at): &(u32, Range<usize>)| {
            let scored = spans.iter().any(|(_, span)| span.start <= at.start && at.end <= span.end);
            let muted = silent.iter().any(|span| !span.is_empty() && at.start < span.end && span.start < at.end);
            if scored && !muted { i64::from(*id) } else { IGNORED }
        };
        self.expand(pieces.iter().map(|piece| (piece.0, label(piece))), grids)
    }

    /// [`Self::prompt`] without pixels.
    pub fn prompt_layout(&self, turns: &[Turn], grids: &[[usize; 3]]) -> Result<Layout> {
        self.count(turns, grids.len())?;
        let shield = text::Shield::new(turns, &self.tokenizer)?;
        let rendered = self.chat.render(shield.turns(), true)?;
        // The same cuts as in training, so that earlier answers get the same ids.
        let spans = match shield.turns().iter().any(|turn| turn.role == Role::Assistant) {
            true => self.spans(shield.turns(), &rendered)?,
            false => Vec::new(),
        };
        let cuts: Vec<usize> = spans.iter().flat_map(|(_, span)| [span.start, span.end]).collect();
        let pieces = shield.pieces(&self.tokenizer, &rendered, &cuts)?;
        self.expand(pieces.iter().map(|(id, _)| (*id, IGNORED)), grids)
    }

    fn pixels(&self, layout: Layout, images: &[Rgb]) -> Result<Encoded> {
        let pixels: Vec<Pixels> = images.iter().map(|image| self.processor.image(image)).collect::<Result<_>>()?;
        let grids = pixels.iter().map(|p| p.grid).collect();
        Ok(Encoded { ids: layout.ids, labels: layout.labels, grids, pixels, images: layout.images })
    }

    /// Compares the image marks of the turns with the pictures there are.
    fn count(&self, turns: &[Turn], pictures: usize) -> Result<()> {
        let marks = turns.iter().flat_map(|turn| &turn.parts).filter(|part| matches!(part, Part::Image)).count();
        if marks == pictures {
            return Ok(());
        }
        Err(Failure::data(format!("the conversation has {marks} image marks but {pictures} pictures were given"))
            .hint("put one image mark in the text for each picture, in order"))
    }

    /// The assistant turns with their bytes in `rendered` that carry loss, found by rendering prefixes.
    fn spans(&self, turns: &[Turn], rendered: &str) -> Result<Vec<(usize, Range<usize>)>> {
        let mut spans = Vec::new();
        for (i, _) in turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::Assistant) {
            if i == 0 {
                return Err(Failure::data("the first turn is the assistant's; there is nothing to answer")
                    .hint("put a user turn before it"));
            }
            let before = self.chat.render(&turns[..i], true)?;
            let until = self.chat.render(&turns[..=i], false)?;
            if !until.starts_with(&before) || !rendered.starts_with(&until) {
                return Err(Failure::data(format!(
                    "the chat template writes turn {i} differently when other turns follow, so the span that carries loss is not known"
                ))
                .hint("train on conversations with one answer, or use a template that leaves earlier turns alone"));
            }
            spans.push((i, before.len()..until.len()));
        }
        Ok(spans)
    }

    /// Grows every image mark to its grid's tokens.
    fn expand(&self, pieces: impl Iterator<Item = (u32, i64)>, grids: &[[usize; 3]]) -> Result<Layout> {
        let pad = if grids.is_empty() {
            self.tokenizer.id("<|image_pad|>")
        } else {
            Some(self.tokenizer.required("<|image_pad|>")?)
        };
        let mut layout = Layout { ids: Vec::new(), labels: Vec::new(), images: Vec::new() };
        let mut marks = 0;
        for (id, label) in pieces {
            if Some(id) != pad {
                layout.ids.push(id);
                layout.labels.push(label);
                continue;
            }
            if let Some(&grid) = grids.get(marks) {
                let (from, tokens) = (layout.ids.len(), self.processor.tokens(grid));
                layout.ids.resize(from + tokens, id);
                layout.labels.resize(from + tokens, IGNORED);
                layout.images.push(from..from + tokens);
            }
            marks += 1;
        }
        if marks != grids.len() {
            let pictures = grids.len();
            return Err(Failure::data(format!("the chat template wrote {marks} image marks for {pictures} pictures"))
                .hint("the template may not support pictures in these turns"));
        }
        match self.max_length {
            Some(limit) => layout.fits(limit).map(|()| layout).map_err(Failure::from),
            None => Ok(layout),
        }
    }
}

#[cfg(test)]
mod tests;
