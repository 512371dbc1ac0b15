//! The backward pass through the decoder, whole or one layer at a time.
//!
//! A plain pass keeps every activation of every layer until its gradient is made. A segmented one (gradient
//! checkpointing, Chen et al. 2016) keeps only what goes into each layer: on the way back a layer is computed again from
//! its input, and its graph lives while its own gradients are made. It costs one more forward pass through the decoder.
//! The adapter's dropout draws the same masks again, and the gradients are those of the plain pass up to rounding.

use super::clip::Gradients;
use crate::{
    error::Result,
    streams::Stream,
    vlm::{Batch, ImageFeatures, Vlm, ops},
};
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, Var, backprop::GradStore};
use std::collections::BTreeMap;

/// What a pass goes through.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// The model; its graph reaches `vars`.
    pub vlm: &'a Vlm,
    /// Rows of tokens.
    pub batch: &'a Batch,
    /// Their pictures, with the graph of the vision tower where that is trained.
    pub images: Option<&'a ImageFeatures>,
    /// Whose gradients are wanted: the model's variables and whatever else the loss depends on.
    pub vars: &'a BTreeMap<String, Var>,
    /// One decoder layer at a time.
    pub checkpointing: bool,
}

impl Pass<'_> {
    /// Value and gradients of `loss`, a scalar made from the hidden states `(B, T, H)` after the final norm and from the
    /// picture features. It must take both from its arguments, which stand for `images` in a segmented pass.
    ///
    /// # Errors
    /// Those of `loss`; device trouble.
    pub fn gradients(
        &self,
        loss: impl FnOnce(&Tensor, Option<&ImageFeatures>) -> Result<Tensor>,
    ) -> Result<(f64, Gradients)> {
        if self.checkpointing {
            return self.segmented(loss);
        }
        let hidden = self.vlm.forward(self.batch, self.images, None, None)?;
        let total = loss(&hidden, self.images)?;
        Ok((scalar(&total)?, Gradients::take(&mut total.backward()?, self.vars)?))
    }

    fn segmented(
        &self,
        loss: impl FnOnce(&Tensor, Option<&ImageFeatures>) -> Result<Tensor>,
    ) -> Result<(f64, Gradients)> {
        let (vlm, decoder) = (self.vlm, self.vlm.decoder());
        let mut pictures = self.images.map(Pictures::new).transpose()?;
        let leaves = pictures.as_ref().map(|pictures| pictures.leaves.clone());
        let images = leaves.as_ref();
        let context = vlm.context(self.batch, images, None, &mut None)?;
        let embedded = vlm.embed(self.batch, images)?;
        let mut x = embedded.detach();
        let mut layers = Vec::with_capacity(decoder.depth());
        // Whether anything below this place wants a gradient: below the lowest such layer nothing is computed.
        let mut below = embedded.track_op();
        for index in 0..decoder.depth() {
            let dropout = vlm.dropout();
            let y = decoder.layer(index, &x, &context, &mut None)?;
            let wanted = below || y.track_op();
            layers.push(Kept { x, dropout, below, wanted });
            below = wanted;
            x = y.detach();
        }
        let drawn = vlm.dropout();

        let leaf = if below { Var::from_tensor(&x)?.into_inner() } else { x.clone() };
        drop(x);
        let total = loss(&decoder.last(&leaf)?, images)?;
        let value = scalar(&total)?;
        let mut store = total.backward()?;
        drop(total);
        let mut gradients = Gradients::take(&mut store, self.vars)?;
        pictures.iter_mut().try_for_each(|pictures| pictures.take(&mut store))?;
        let mut dy = store.remove(&leaf);
        drop((store, leaf));
        for (index, kept) in layers.into_iter().enumerate().rev() {
            let Some(g) = dy.take().filter(|_| kept.wanted) else { break };
            let Kept { x, dropout, below, .. } = kept;
            let x = if below { Var::from_tensor(&x)?.into_inner() } else { x };
            vlm.set_dropout(dropout);
            let y = decoder.layer(index, &x, &context, &mut None)?;
            let mut store = seeded(&y, g)?.backward()?;
            drop(y);
            gradients.add(Gradients::take(&mut store, self.vars)?)?;
            pictures.iter_mut().try_for_each(|pictures| pictures.take(&mut store))?;
            dy = store.remove(&x);
        }
        vlm.set_dropout(drawn);
        if let (Some(g), true) = (dy, embedded.track_op()) {
            let mut store = seeded(&embedded, g)?.backward()?;
            gradients.add(Gradients::take(&mut store, self.vars)?)?;
            pictures.iter_mut().try_for_each(|pictures| pictures.take(&mut store))?;
        }
        let root = match (&pictures, self.images) {
            (Some(pictures), Some(images)) => pictures.root(images)?,
            _ => None,
        };
        if let Some(root) = root {
            gradients.add(Gradients::take(&mut root.backward()?, self.vars)?)?;
        }
        Ok((value, gradients))
    }
}

/// What is kept of a layer on the way up.
struct Kept {
    /// What went in, without graph.
    x: Tensor,
    /// The dropout stream before it.
    dropout: Option<Stream>,
    /// Whether the gradient of `x` is wanted.
    below: bool,
    /// Whether any gradient is wanted here or below.
    wanted: bool,
}

/// Picture features cut off from the tower that made them, and the gradients that reached them so far.
struct Pictures {
    leaves: ImageFeatures,
    gradients: Vec<Option<Tensor>>,
}

/// All tensors of some features.
fn tensors(images: &ImageFeatures) -> impl Iterator<Item = &Tensor> {
    std::iter::once(&images.embeds).chain(&images.deepstack)
}

impl Pictures {
    fn new(images: &ImageFeatures) -> Result<Self> {
        let leaf = |x: &Tensor| -> candle_core::Result<Tensor> {
            if x.track_op() { Var::from_tensor(x).map(Var::into_inner) } else { Ok(x.clone()) }
        };
        let deepstack = images.deepstack.iter().map(leaf).collect::<candle_core::Result<_>>()?;
        let leaves = ImageFeatures { embeds: leaf(&images.embeds)?, deepstack };
        Ok(Pictures { gradients: vec![None; 1 + images.deepstack.len()], leaves })
    }

    fn take(&mut self, store: &mut GradStore) -> Result<()> {
        for (leaf, sum) in tensors(&self.leaves).zip(&mut self.gradients).filter(|(leaf, _)| leaf.is_variable()) {
            if let Some(g) = store.remove(leaf) {
                *sum = Some(match sum.take() {
                    Some(sum) => (sum + g)?,
                    None => g,
                });
            }
        }
        Ok(())
    }

    /// A scalar whose backward pass sends the gradients on into the tower.
    fn root(&self, images: &ImageFeatures) -> Result<Option<Tensor>> {
        let mut root: Option<Tensor> = None;
        for (x, g) in tensors(images).zip(&self.gradients) {
            if let Some(g) = g {
                let part = seeded(x, g.clone())?;
                root = Some(match root {
                    Some(root) => (root + part)?,
                    None => part,
                });
            }
        }
        Ok(root)
    }
}

/// A scalar whose backward pass gives `y` the gradient `g`.
fn seeded(y: &Tensor, g: Tensor) -> Result<Tensor> {
    Ok(match y.device().is_cpu() && !ops::composed::only() {
        true => y.apply_op1(Seed(g))?,
        false => (y * g)?.sum_all()?,
    })
}

/// Saves the product and the sum, whose value nobody wants.
struct Seed(Tensor);

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

/// The value of a scalar loss.
///
/// # Errors
/// Another shape or dtype than an f32 scalar.
pub fn scalar(loss: &Tensor) -> Result<f64> {
    Ok(f64::from(loss.to_scalar::<f32>()?))
}
