//! The trajectory branches as work items: planning a frame and a step of reinforcement learning, each with its parts,
//! and how many multiply-adds their matrix products need.
//!
//! Default shapes at 36 picture tokens of 256 numbers, drawn weights and features. Time of a part is its own best, so that
//! parts need not add up to the whole.

use super::{
    Measured, Unit, best,
    clock::{Lap, Watch},
};
use crate::{
    error::{Failure, Result},
    streams::Stream,
    trajectory::{
        Context, Ego, IlHead, IlOptions, ObjectiveOptions, Reference, Route, Selector, Shape, TreeOptions, TreePolicy,
        blocks::SINES, features::STATUS, geometry::POSES, intention::INTENTIONS, objective, plan::MODES,
        selector::ENCODED, tree::STATE,
    },
};
use candle_core::{Device, Tensor};
use scene::{Pose, Trajectory};
use std::hint::black_box;

/// Picture tokens of a frame.
const TOKENS: usize = 36;
/// Width of the picture features.
const WIDTH: usize = 256;
/// Scenes of a step of reinforcement learning.
const SCENES: usize = 16;
/// Frames planned in a measured run, of which the best counts.
const FRAMES: usize = 20;

/// Work items: name, and what is done.
pub const ITEMS: [(&str, Work); 2] = [("plan", Work::Plan), ("rl_step_16x16", Work::RlStep)];

/// What an item does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// One frame through the imitation head, the tree and the selector, one after the other.
    Plan,
    /// Trees of 16 leaves over 16 scenes: sampled, evaluated with gradients, backward. Rewards are drawn.
    RlStep,
}

fn shape() -> Shape {
    Shape { feature_width: WIDTH, ..Shape::default() }
}

/// Measures an item: the whole and its parts.
///
/// # Errors
/// Device trouble.
pub fn run(name: &str, work: Work, repeats: usize) -> Result<Vec<Measured>> {
    let (parts, laps): (&[&str], Vec<Lap>) = match work {
        Work::Plan => (&["il", "tree", "selector"], plan(repeats)?),
        Work::RlStep => (&["sample", "evaluate", "backward"], rl_step(repeats)?),
    };
    let names = std::iter::once(name.to_owned()).chain(parts.iter().map(|part| format!("{name}.{part}")));
    Ok(names.zip(laps).map(|(name, took)| Measured::new(name, took, Unit::Milliseconds)).collect())
}

/// Each the best of `repeats` for itself, after an unmeasured one.
fn least<const N: usize>(repeats: usize, mut once: impl FnMut(usize) -> Result<[Lap; N]>) -> Result<Vec<Lap>> {
    once(0)?;
    let mut best = once(1)?;
    for repeat in 1..repeats {
        let laps = once(repeat + 1)?;
        best = std::array::from_fn(|i| best[i].least(laps[i]));
    }
    Ok(best.to_vec())
}

fn context(frames: usize) -> Result<Context> {
    let features = Stream::new(1, "features").normals(frames * TOKENS * WIDTH, 1.0);
    let features = Tensor::from_vec(features, (frames, TOKENS, WIDTH), &Device::Cpu)?;
    let ego = Ego { route: Route::Straight, velocity: [8.0, 0.0], acceleration: [0.0; 2] };
    Context::new(&features, vec![ego; frames])
}

/// So many metres ahead and to the left after each half second.
fn steady(ahead: f64, left: f64) -> [[f64; 2]; POSES] {
    std::array::from_fn(|i| [ahead * (i + 1) as f64, left * (i + 1) as f64])
}

/// The whole, then the branches.
fn plan(repeats: usize) -> Result<Vec<Lap>> {
    let options = IlOptions { shape: shape(), ..IlOptions::default() };
    let anchors = (0..options.modes).map(|k| steady(0.5 + 0.3 * k as f64, 0.2 * (k % 5) as f64 - 0.4)).collect();
    let il = IlHead::new(&options, anchors, 1)?;
    let tree = TreePolicy::new(&TreeOptions { shape: shape(), ..TreeOptions::default() }, 1)?;
    let selector = Selector::new(&shape(), 1)?;
    let context = context(1)?;
    least(repeats * FRAMES, |_| {
        let whole = Watch::start();
        let Some(mut proposals) = il.propose(&context)?.pop() else {
            return Err(Failure::device("the imitation head proposes nothing"));
        };
        let ranked = proposals.ranked();
        let mut candidates: Vec<Trajectory> =
            ranked.into_iter().take(MODES).map(|k| proposals.candidates[k].clone()).collect();
        proposals.candidates.clear();
        let proposed = whole.lap();
        let watch = Watch::start();
        let grown = tree.expand(&context, &candidates[..1], &[None])?;
        candidates.extend(grown.iter().flat_map(|tree| tree.trajectories()));
        let expanded = watch.lap();
        let watch = Watch::start();
        black_box(selector.judge(&context, &[candidates])?);
        Ok([whole.lap(), proposed, expanded, watch.lap()])
    })
}

/// The whole, then its parts.
fn rl_step(repeats: usize) -> Result<Vec<Lap>> {
    let policy = TreePolicy::new(&TreeOptions { shape: shape(), ..TreeOptions::default() }, 1)?;
    let context = context(SCENES)?;
    let ahead = steady(4.0, 0.0).map(|[x, y]| Pose::new(x, y, 0.0));
    let references = vec![Trajectory::half_second(ahead.to_vec()); SCENES];
    let options = ObjectiveOptions::default();
    least(repeats, |repeat| {
        let mut streams: Vec<Stream> =
            (0..SCENES).map(|scene| Stream::new(1, &format!("trees {repeat} {scene}"))).collect();
        let whole = Watch::start();
        let trees = policy.sample(&context, &references, &[None; SCENES], &mut streams)?;
        let sampled = whole.lap();
        let reward = |stream: &mut Stream, leaves: usize| (0..leaves).map(|_| stream.uniform()).collect();
        let rewards: Vec<Vec<f64>> =
            trees.iter().zip(&mut streams).map(|(tree, stream)| reward(stream, tree.leaves().len())).collect();
        let watch = Watch::start();
        let evaluated = policy.evaluate(&context, &trees)?;
        let Some(loss) = objective::tree_loss(&evaluated, &trees, &rewards, &options)? else {
            return Err(Failure::device("no tree teaches anything"));
        };
        let known = watch.lap();
        let watch = Watch::start();
        black_box(loss.total.backward()?);
        Ok([whole.lap(), sampled, known, watch.lap()])
    })
}

/// Multiply-adds of the matrix products of a line of [`run`], all frames together; `None` for another name.
pub fn multiply_adds(line: &str) -> Option<f64> {
    let (s, modes) = (shape(), IlOptions::default().modes);
    let options = TreeOptions::default();
    let points = |branching: [usize; 4]| 1 + branching[0] * (1 + branching[1] * (1 + branching[2]));
    let (h, leaves) = (s.width, options.plan_branching.iter().product::<usize>());
    let encoded = |rows: usize, inputs: usize| rows * (inputs * h + h * h);
    let tree = |points: usize| {
        memory(&s) + encoded(points, STATE) + decoder(&s, points * INTENTIONS, INTENTIONS) + points * INTENTIONS * h * 3
    };
    let il = memory(&s) + encoded(modes, 2 * SINES * POSES) + decoder(&s, modes, modes);
    let il = il + s.layers * modes * (h + h * h + h * 3 * POSES);
    let m = MODES.min(modes) + leaves;
    let selector = memory(&s) + encoded(m, ENCODED) + decoder(&s, m, m) + m * h * 6;
    let (planned, sampled) = (tree(points(options.plan_branching)), SCENES * tree(points(options.branching)));
    let count = match line {
        "plan" => il + planned + selector,
        "plan.il" => il,
        "plan.tree" => planned,
        "plan.selector" => selector,
        // Backward there are two products for each of the way there.
        "rl_step_16x16" => 4 * sampled,
        "rl_step_16x16.sample" | "rl_step_16x16.evaluate" => sampled,
        "rl_step_16x16.backward" => 2 * sampled,
        _ => return None,
    };
    Some(count as f64)
}

/// The compressor, and keys and values of every layer.
fn memory(s: &Shape) -> usize {
    let (h, seen) = (s.width, s.registers + 1);
    let compressor = TOKENS * (s.feature_width * h + 2 * h * h) + s.registers * (2 * h * h + 2 * TOKENS * h);
    compressor + STATUS * h + h * h + s.layers * seen * 2 * h * h
}

/// All layers over so many tokens in sets.
fn decoder(s: &Shape, tokens: usize, set: usize) -> usize {
    let h = s.width;
    let (among, across) = (4 * h * h + 2 * set * h, 2 * h * h + 2 * (s.registers + 1) * h);
    s.layers * tokens * (among + across + 2 * h * s.inner)
}

/// Floating-point operations (two a multiply-add) of one large f32 product in a processor second.
///
/// # Errors
/// Device trouble.
pub fn product_rate() -> Result<f64> {
    const SIDE: usize = 768;
    let drawn = Stream::new(1, "product").normals(SIDE * SIDE, 1.0);
    let matrix = Tensor::from_vec(drawn, (SIDE, SIDE), &Device::Cpu)?;
    let took = best(1, 5, || {
        black_box(matrix.matmul(&matrix)?);
        Ok(())
    })?;
    Ok(2.0 * (SIDE as f64).powi(3) / took.cpu.max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_whole() {
        let count = |name: &str| multiply_adds(name).unwrap_or(f64::NAN);
        assert_eq!(count("plan"), count("plan.il") + count("plan.tree") + count("plan.selector"));
        let parts = ["sample", "evaluate", "backward"].map(|part| count(&format!("rl_step_16x16.{part}")));
        assert_eq!(count("rl_step_16x16"), parts.iter().sum::<f64>());
        // 21 points of 6 intentions through 3 layers of 0.95 M a token, and a memory of 42 M.
        assert!((count("plan.tree") / 1e6 - 126.0 * 2.86 - 42.0).abs() < 6.0, "{}", count("plan.tree"));
        assert_eq!(multiply_adds("rl_step"), None);
    }
}
