//! Preference losses of the DPO family on per-token log-probabilities, with gradients and the metrics that TRL logs.
//!
//! With c and l the sums of `logp - ref` over a chosen completion and over the one rejected for it, and
//! `x = beta (c - l)`, DPO is `-ln sigmoid(x)` (Rafailov et al. 2023); [`DpoLossType`] has the formulas of the others.
//! Rows are the chosen completions and then, in the same order, the rejected ones. The loss is the mean over pairs.
//!
//! Deviations from TRL 1.16:
//! 1. `label_smoothing` without a loss that uses it is refused, not ignored; `exo_pair` needs it above 0.
//! 2. `sft` over chosen completions without any token is 0, not NaN.

use super::rows::{check_finite, host, mask, seeded, shape};
use crate::error::{Failure, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Which loss; a = beta c, b = beta l, |c| and |l| numbers of tokens, e the label smoothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DpoLossType {
    /// `-ln sigmoid(x)`.
    #[default]
    Sigmoid,
    /// `max(0, 1 - x)` (SLiC; Zhao et al. 2023).
    Hinge,
    /// `(c / |c| - l / |l| - 1 / (2 beta))^2` (IPO; Azar et al. 2023).
    Ipo,
    /// `sigmoid(x) ln(sigmoid(x) / (1 - e)) + sigmoid(-x) ln(sigmoid(-x) / e)` (EXO; Ji et al. 2024).
    ExoPair,
    /// `-ln sigmoid(a) - (ln sigmoid(-a) + ln sigmoid(-b)) / 2` (NCA; Chen et al. 2024).
    NcaPair,
    /// `(e ln sigmoid(-x) - (1 - e) ln sigmoid(x)) / (1 - 2 e)` (robust DPO; Chowdhury et al. 2024).
    Robust,
    /// `1 - sigmoid(a) + sigmoid(b)` (APO; D'Oosterlinck et al. 2024).
    ApoZero,
    /// `1 - sigmoid(x) + sigmoid(a)` (APO).
    ApoDown,
    /// `-ln sigmoid(beta (c / |c| - l / |l|))`.
    SigmoidNorm,
    /// Mean of `-logp` over all tokens of the chosen completions.
    Sft,
}

/// Settings of [`dpo_loss`], with TRL's key names and defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpoOptions {
    /// Which losses, added up.
    pub loss_type: Vec<DpoLossType>,
    /// One weight per loss, all 1 when not given (MPO uses `sigmoid` 0.8 and `sft` 1).
    pub loss_weights: Option<Vec<f64>>,
    /// How near to the reference the policy stays: higher is nearer.
    pub beta: f64,
    /// Probability that a pair is the wrong way round, for `robust` and `exo_pair`.
    pub label_smoothing: f64,
}

impl Default for DpoOptions {
    fn default() -> Self {
        let loss_type = vec![DpoLossType::default()];
        DpoOptions { loss_type, loss_weights: None, beta: 0.1, label_smoothing: 0. }
    }
}

impl DpoOptions {
    /// Fails on numbers out of range and on settings that do not fit together.
    ///
    /// # Errors
    /// Usage, naming the key, its value and what is allowed.
    pub fn check(&self) -> Result<()> {
        let fail = |text: String| Err(Failure::usage(text));
        if self.loss_type.is_empty() {
            return fail("loss_type is empty; allowed: one loss or more".into());
        }
        if !(self.beta.is_finite() && self.beta > 0.) {
            return fail(format!("beta is {}; allowed: above 0", self.beta));
        }
        let smoothing = self.label_smoothing;
        if !(0. ..0.5).contains(&smoothing) {
            return fail(format!("label_smoothing is {smoothing}; allowed: 0 to below 0.5"));
        }
        let uses = |loss| self.loss_type.contains(&loss);
        if smoothing > 0. && !uses(DpoLossType::Robust) && !uses(DpoLossType::ExoPair) {
            return fail(format!("label_smoothing {smoothing} means nothing to {:?}", self.loss_type));
        }
        if smoothing == 0. && uses(DpoLossType::ExoPair) {
            return fail("exo_pair needs label_smoothing above 0, for example 0.001".into());
        }
        match &self.loss_weights {
            Some(weights) if weights.len() != self.loss_type.len() || weights.iter().any(|w| !w.is_finite()) => {
                fail(format!("loss_weights are {weights:?}; allowed: {} finite numbers", self.loss_type.len()))
            }
            _ => Ok(()),
        }
    }
}

/// n pairs padded to T tokens: n chosen completions, then n rejected ones; any float dtype, any device.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    /// Log-probabilities of the tokens under the policy, `(2n, T)`, with their graph.
    pub logps: &'a Tensor,
    /// The same under the reference policy, `(2n, T)`.
    pub ref_logps: &'a Tensor,
    /// 1 for tokens of the completion, 0 for all others, `(2n, T)`, any dtype.
    pub mask: &'a Tensor,
}

/// A preference loss with its gradient.
#[derive(Debug, Clone)]
pub struct DpoLoss {
    /// The loss as a scalar with a graph: its backward pass gives [`grad_logps`](Self::grad_logps) to `logps`. f32, or
    /// f64 where `logps` is.
    pub loss: Tensor,
    /// Its value.
    pub value: f64,
    /// `d loss / d logps`, `(2n, T)`, without graph; 0 at masked tokens.
    pub grad_logps: Tensor,
    /// What TRL logs, by its names: `rewards/{chosen,rejected,accuracies,margins}`, `logps/{chosen,rejected}`.
    pub metrics: Vec<(&'static str, f64)>,
}

/// The loss of a batch of pairs.
///
/// # Errors
/// Usage: settings out of range, shapes that do not fit, an odd number of rows. Device (numerics): a number that is not
/// finite at a token that counts, a loss or gradient that overflows.
pub fn dpo_loss(pairs: &Pairs, options: &DpoOptions) -> Result<DpoLoss> {
    options.check()?;
    let (rows, width) = shape(pairs.logps)?;
    if !rows.is_multiple_of(2) {
        return Err(Failure::usage(format!("{rows} rows are not pairs of a chosen and a rejected completion")));
    }
    let mask = mask(pairs.mask, (rows, width))?;
    let logps = host("log-probability", pairs.logps, &mask, (rows, width))?;
    let reference = host("reference log-probability", pairs.ref_logps, &mask, (rows, width))?;
    let texts = Texts { width, logps, reference, mask };
    let (value, grad, metrics) = evaluate(&texts, options);
    let ratio = |at: usize| texts.logps[at] - texts.reference[at];
    check_finite("preference loss", value, &grad, width, ratio)?;
    let (loss, grad_logps) = seeded(pairs.logps, value, &grad)?;
    Ok(DpoLoss { loss, value, grad_logps, metrics })
}

/// Pairs on the host; masked numbers are 0.
struct Texts {
    width: usize,
    logps: Vec<f64>,
    reference: Vec<f64>,
    mask: Vec<bool>,
}

impl Texts {
    fn sum(&self, row: usize, of: impl Fn(usize) -> f64) -> f64 {
        (row * self.width..(row + 1) * self.width).filter(|at| self.mask[*at]).map(of).sum()
    }

    fn length(&self, row: usize) -> f64 {
        self.sum(row, |_| 1.)
    }
}

fn evaluate(texts: &Texts, options: &DpoOptions) -> (f64, Vec<f64>, Vec<(&'static str, f64)>) {
    let pairs = texts.mask.len() / texts.width / 2;
    let ratio = |row: usize| texts.sum(row, |at| texts.logps[at] - texts.reference[at]);
    let ratios: Vec<(f64, f64)> = (0..pairs).map(|pair| (ratio(pair), ratio(pairs + pair))).collect();
    let chosen_tokens = (0..pairs).map(|pair| texts.length(pair)).sum::<f64>().max(1.);
    let (mut value, mut grad) = (0., vec![0.; texts.logps.len()]);
    for (at, loss) in options.loss_type.iter().enumerate() {
        let weight = options.loss_weights.as_ref().map_or(1., |weights| weights[at]);
        for (pair, (c, l)) in ratios.iter().enumerate() {
            let rows = [pair, pairs + pair];
            let (loss, slopes) = match loss {
                DpoLossType::Sft => {
                    let share = pairs as f64 / chosen_tokens;
                    (-texts.sum(pair, |at| texts.logps[at]) * share, [-share, 0.])
                }
                loss => pair_loss(*loss, (*c, *l), rows.map(|row| texts.length(row).max(1.)), options),
            };
            let scale = weight / pairs as f64;
            value += scale * loss;
            for (row, slope) in rows.into_iter().zip(slopes) {
                let cells = row * texts.width..(row + 1) * texts.width;
                cells.filter(|at| texts.mask[*at]).for_each(|at| grad[at] += scale * slope);
            }
        }
    }
    let mean = |of: &dyn Fn(usize) -> f64| (0..pairs).map(of).sum::<f64>() / pairs as f64;
    let metrics = vec![
        ("rewards/chosen", mean(&|pair| options.beta * ratios[pair].0)),
        ("rewards/rejected", mean(&|pair| options.beta * ratios[pair].1)),
        ("rewards/accuracies", mean(&|pair| f64::from(ratios[pair].0 > ratios[pair].1))),
        ("rewards/margins", mean(&|pair| options.beta * (ratios[pair].0 - ratios[pair].1))),
        ("logps/chosen", mean(&|pair| texts.sum(pair, |at| texts.logps[at]))),
        ("logps/rejected", mean(&|pair| texts.sum(pairs + pair, |at| texts.logps[at]))),
    ];
    (value, grad, metrics)
}

/// The loss of a pair and its derivatives by c and by l; `sft`, which knows tokens only, has none here.
fn pair_loss(loss: DpoLossType, (c, l): (f64, f64), lengths: [f64; 2], options: &DpoOptions) -> (f64, [f64; 2]) {
    let (beta, e) = (options.beta, options.label_smoothing);
    let (a, b, x) = (beta * c, beta * l, beta * (c - l));
    let of_x = |value: f64, slope: f64| (value, [beta * slope, -beta * slope]);
    let [chosen, rejected] = lengths;
    let mean = c / chosen - l / rejected;
    match loss {
        DpoLossType::Sigmoid => of_x(-ln_sigmoid(x), -sigmoid(-x)),
        DpoLossType::Hinge => of_x((1. - x).max(0.), if x < 1. { -1. } else { 0. }),
        DpoLossType::Ipo => {
            let off = mean - 1. / (2. * beta);
            (off * off, [2. * off / chosen, -2. * off / rejected])
        }
        DpoLossType::ExoPair => {
            let (right, wrong) = (ln_sigmoid(x) - (-e).ln_1p(), ln_sigmoid(-x) - e.ln());
            let (p, q) = (sigmoid(x), sigmoid(-x));
            of_x(p * right + q * wrong, p * q * (right - wrong))
        }
        DpoLossType::NcaPair => {
            let value = -ln_sigmoid(a) - 0.5 * (ln_sigmoid(-a) + ln_sigmoid(-b));
            (value, [beta * (0.5 * sigmoid(a) - sigmoid(-a)), beta * 0.5 * sigmoid(b)])
        }
        DpoLossType::Robust => {
            let value = e * ln_sigmoid(-x) - (1. - e) * ln_sigmoid(x);
            let slope = -e * sigmoid(x) - (1. - e) * sigmoid(-x);
            of_x(value / (1. - 2. * e), slope / (1. - 2. * e))
        }
        DpoLossType::ApoZero => {
            let value = sigmoid(-a) + sigmoid(b);
            (value, [-beta * sigmoid(a) * sigmoid(-a), beta * sigmoid(b) * sigmoid(-b)])
        }
        DpoLossType::ApoDown => {
            let (by_a, by_x) = (sigmoid(a) * sigmoid(-a), sigmoid(x) * sigmoid(-x));
            (sigmoid(a) + sigmoid(-x), [beta * (by_a - by_x), beta * by_x])
        }
        DpoLossType::SigmoidNorm => {
            let slope = -beta * sigmoid(-beta * mean);
            (-ln_sigmoid(beta * mean), [slope / chosen, -slope / rejected])
        }
        DpoLossType::Sft => (0., [0., 0.]),
    }
}

fn sigmoid(x: f64) -> f64 {
    1. / (1. + (-x).exp())
}

/// `ln sigmoid(x)` without overflow.
fn ln_sigmoid(x: f64) -> f64 {
    x.min(0.) - (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [DpoLossType; 10] = [
        DpoLossType::Sigmoid,
        DpoLossType::Hinge,
        DpoLossType::Ipo,
        DpoLossType::ExoPair,
        DpoLossType::NcaPair,
        DpoLossType::Robust,
        DpoLossType::ApoZero,
        DpoLossType::ApoDown,
        DpoLossType::SigmoidNorm,
        DpoLossType::Sft,
    ];

    /// Three pairs of 0 to 5 tokens whose log-probabilities are `spread` apart from the reference.
    fn texts(seed: u64, spread: f64) -> Texts {
        let (rows, width) = (6, 5);
        let number = |at: usize| ((at as f64 + 1.) * (12.9898 + seed as f64)).sin() * 0.9;
        let logps: Vec<f64> = (0..rows * width).map(|at| -1. + number(at)).collect();
        let reference = (0..rows * width).map(|at| logps[at] - spread * number(at + 97)).collect();
        let lengths = [5, 2, 0, 1, 4, 3];
        Texts { width, logps, reference, mask: (0..rows * width).map(|at| at % width < lengths[at / width]).collect() }
    }

    fn options(loss: DpoLossType, beta: f64) -> DpoOptions {
        let label_smoothing = if matches!(loss, DpoLossType::Robust | DpoLossType::ExoPair) { 0.1 } else { 0. };
        DpoOptions { loss_type: vec![loss], beta, label_smoothing, ..DpoOptions::default() }
    }

    #[test]
    fn gradients_are_difference_quotients() {
        const H: f64 = 1e-6;
        let mixed = DpoOptions {
            loss_type: ALL.to_vec(),
            loss_weights: Some((0..10).map(|i| 0.3 + 0.1 * f64::from(i)).collect()),
            label_smoothing: 0.2,
            ..DpoOptions::default()
        };
        let single = ALL.iter().flat_map(|loss| [0.1, 0.7].map(|beta| options(*loss, beta)));
        for options in single.chain([mixed]) {
            assert!(options.check().is_ok(), "{options:?}");
            for (seed, spread) in (0..4).flat_map(|seed| [(seed, 0.5), (seed, 4.)]) {
                let mut texts = texts(seed, spread);
                let (_, grad, _) = evaluate(&texts, &options);
                // Every pair may be beyond the margin of hinge.
                assert!(spread > 1. || grad.iter().any(|g| *g != 0.), "{options:?}");
                for (at, exact) in grad.iter().enumerate() {
                    let here = texts.logps[at];
                    let mut value = |h: f64| {
                        texts.logps[at] = here + h;
                        evaluate(&texts, &options).0
                    };
                    let quotient = (value(H) - value(-H)) / (2. * H);
                    value(0.);
                    let allowed = 1e-7 + 1e-6 * exact.abs();
                    assert!((quotient - exact).abs() <= allowed, "token {at} of {options:?}: {} {quotient}", exact);
                }
            }
        }
    }

    #[test]
    fn extreme_ratios() {
        for loss in ALL {
            for spread in [50., -50., 1e4] {
                let (value, grad, metrics) = evaluate(&texts(2, spread), &options(loss, 0.5));
                let finite = value.is_finite() && grad.iter().all(|g| g.is_finite());
                assert!(finite && metrics.iter().all(|(_, x)| x.is_finite()), "{loss:?} at {spread}");
            }
        }
    }
}
