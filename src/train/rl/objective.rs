//! Value, gradient and metrics of the policy losses on the host; the formulas are at the top of [`super::loss`].
//!
//! A token's loss is a function of its (or its completion's) log-ratio w and of its log-probability; both derivatives
//! are carried along, because at the sequence level every token of a completion moves w by `1 / |o|`.

use super::{
    loss::{Correction, Level, LossOptions, LossType, Step},
    rows::Rows,
};

/// A loss on the host; gradients `(B, T)`, row after row.
pub(super) struct Evaluated {
    pub(super) value: f64,
    pub(super) grad: Vec<f64>,
    pub(super) entropy_grad: Vec<f64>,
    pub(super) metrics: Vec<(&'static str, f64)>,
    pub(super) corrections: Vec<f64>,
}

/// A term of the loss with its derivatives.
#[derive(Clone, Copy, Default)]
struct Term {
    value: f64,
    /// By the log-ratio.
    by_ratio: f64,
    /// By the log-probability, the log-ratio held.
    by_logp: f64,
}

/// What a completion contributes to all of its tokens.
struct Completion {
    advantage: f64,
    /// Mean log-ratio and the same without gradient, at the sequence level.
    mean: Option<(f64, f64)>,
    /// Weight of a token's loss in the total.
    weight: f64,
    /// Whether it moves the policy (the off-policy mask).
    kept: bool,
    /// The gradient scale of `vespo`.
    phi: f64,
}

pub(super) fn evaluate(rows: &Rows, step: Step, options: &LossOptions) -> Evaluated {
    let lowest = entropy_threshold(rows, options.top_entropy_quantile);
    let moves = |at: usize| match (lowest, &rows.entropies) {
        (Some(lowest), Some(entropies)) => entropies[at] >= lowest,
        _ => true,
    };
    let ratios = corrections(rows, options);
    let completions: Vec<Completion> =
        (0..rows.advantages.len()).map(|row| completion(rows, row, ratios.as_deref(), step, options)).collect();
    // In vespo the ratio has its place in phi.
    let scales = ratios.as_ref().filter(|_| options.loss_type != LossType::Vespo);
    let mut grad = vec![0.; rows.logps.len()];
    let (mut policy, mut kls) = (0., 0.);
    for (row, completion) in completions.iter().enumerate() {
        let mut by_mean = 0.;
        for at in rows.tokens(row) {
            let w = completion.mean.unwrap_or_else(|| log_ratios(rows, at));
            let moves = completion.kept && moves(at);
            let term = if moves { surrogate(rows, at, w, completion, options) } else { Term::default() };
            let term = scales.map_or(term, |scales| term.times(scales[at]));
            let kl = divergence(rows, at, w.0, options);
            kls += kl.value;
            policy += completion.weight * (term.value + options.beta * kl.value);
            grad[at] = completion.weight * (term.by_logp + options.beta * kl.by_logp);
            let by_ratio = completion.weight * (term.by_ratio + options.beta * kl.by_ratio);
            match completion.mean {
                Some(_) => by_mean += by_ratio,
                None => grad[at] += by_ratio,
            }
        }
        if completion.mean.is_some() {
            let tokens = rows.tokens(row).count() as f64;
            rows.tokens(row).for_each(|at| grad[at] += by_mean / tokens);
        }
    }
    let accumulation = step.gradient_accumulation_steps as f64;
    let mut value = policy;
    let mut entropy_grad = vec![0.; rows.logps.len()];
    let mut metrics = Vec::new();
    if let (Some(entropies), true) = (&rows.entropies, options.entropy_coef != 0.) {
        let tokens: Vec<usize> = (0..entropies.len()).filter(|at| rows.mask[*at] && moves(*at)).collect();
        let share = options.entropy_coef / (tokens.len().max(1) as f64 * accumulation);
        value -= tokens.iter().map(|at| entropies[*at]).sum::<f64>() * share;
        tokens.iter().for_each(|at| entropy_grad[*at] = -share);
        let logged = if over_items(options.loss_type) { policy } else { policy * accumulation };
        metrics.extend([("policy_loss", logged), ("entropy_coef", options.entropy_coef)]);
    }
    let count = rows.counted().max(1) as f64;
    if options.needs_reference() {
        metrics.push(("kl", kls / count));
    }
    if let Some(entropies) = &rows.entropies {
        metrics.push(("entropy", entropies.iter().sum::<f64>() / count));
    }
    clip_metrics(rows, &completions, options, &mut metrics);
    let count = |ratios: Vec<f64>| -> Vec<f64> {
        let each = if options.importance_sampling_mode.of_sequences() { 1 } else { usize::MAX };
        (0..rows.advantages.len()).flat_map(|row| rows.tokens(row).take(each)).map(|at| ratios[at]).collect()
    };
    Evaluated { value, grad, entropy_grad, metrics, corrections: ratios.map(count).unwrap_or_default() }
}

impl Term {
    /// With a constant weight.
    fn times(self, weight: f64) -> Self {
        let Term { value, by_ratio, by_logp } = self;
        Term { value: value * weight, by_ratio: by_ratio * weight, by_logp: by_logp * weight }
    }
}

/// The importance ratio between trainer and sampler at each token, `(B, T)`; None without that correction.
fn corrections(rows: &Rows, options: &LossOptions) -> Option<Vec<f64>> {
    let sampling = rows.sampling.as_ref().filter(|_| options.importance_sampling_correction)?;
    let old = rows.old.as_ref().unwrap_or(&rows.stopped);
    let low = options.importance_sampling_clip_min.unwrap_or(f64::NEG_INFINITY);
    let high = options.importance_sampling_clip_max.unwrap_or(f64::INFINITY);
    let bounded = |log: f64| match (log.exp(), options.importance_sampling_mode) {
        (ratio, Correction::TokenTruncate | Correction::SequenceTruncate) => ratio.max(low).min(high),
        (ratio, Correction::TokenMask | Correction::SequenceMask) if ratio < low || ratio > high => 0.,
        (ratio, _) => ratio,
    };
    let mut ratios = vec![1.; rows.mask.len()];
    for row in 0..rows.advantages.len() {
        let apart = |at: usize| old[at] - sampling[at];
        let whole = options.importance_sampling_mode.of_sequences().then(|| bounded(rows.tokens(row).map(apart).sum()));
        rows.tokens(row).for_each(|at| ratios[at] = whole.unwrap_or_else(|| bounded(apart(at))));
    }
    Some(ratios)
}

/// How much was clipped: parts of the tokens, or of the completions at the sequence level.
fn clip_metrics(
    rows: &Rows,
    completions: &[Completion],
    options: &LossOptions,
    metrics: &mut Vec<(&'static str, f64)>,
) {
    use LossType::*;
    // Per completion: (how many, of them too low, of them too high).
    let mut counts = Vec::with_capacity(completions.len());
    let (high, most) = match options.loss_type {
        Sapo => return,
        Vespo => {
            let mean = completions.iter().map(|completion| completion.phi).sum::<f64>() / completions.len() as f64;
            return metrics.push(("vespo/phi_seq_mean", mean));
        }
        Cispo => (options.high(), f64::INFINITY),
        Grpo | Bnpo | DrGrpo | Dapo | Luspo => (1. + options.high(), options.delta.unwrap_or(f64::INFINITY)),
    };
    for (row, completion) in completions.iter().enumerate() {
        let ratios: Vec<f64> = match completion.mean {
            Some((w, _)) => vec![w],
            None => rows.tokens(row).map(|at| log_ratios(rows, at).0).collect(),
        };
        let a = completion.advantage;
        let outside = |test: &dyn Fn(f64) -> bool| ratios.iter().filter(|w| test(w.exp().min(most))).count() as f64;
        let low = if a < 0. { outside(&|r| r < 1. - options.epsilon) } else { 0. };
        let high = if a > 0. { outside(&|r| r > high) } else { 0. };
        counts.push((ratios.len() as f64, low, high));
    }
    let total = counts.iter().map(|count| count.0).sum::<f64>().max(1.);
    let low = counts.iter().map(|count| count.1).sum::<f64>() / total;
    let high = counts.iter().map(|count| count.2).sum::<f64>() / total;
    if options.loss_type == Cispo {
        return metrics.push(("cispo_clip_ratio", high));
    }
    let some = || counts.iter().filter(|count| count.0 > 0.);
    let least = some().map(|count| count.1 / count.0).reduce(f64::min).unwrap_or(0.);
    let most = some().map(|count| count.2 / count.0).reduce(f64::max).unwrap_or(0.);
    metrics.extend([
        ("clip_ratio/low_mean", low),
        ("clip_ratio/high_mean", high),
        ("clip_ratio/region_mean", low + high),
        ("clip_ratio/low_min", least),
        ("clip_ratio/high_max", most),
    ]);
}

/// Whether the loss is divided by the items of the optimizer step, not by the accumulation steps.
fn over_items(loss: LossType) -> bool {
    matches!(loss, LossType::Dapo | LossType::Cispo | LossType::Vespo)
}

fn completion(rows: &Rows, row: usize, corrections: Option<&[f64]>, step: Step, options: &LossOptions) -> Completion {
    let tokens = rows.tokens(row).count() as f64;
    let (b, n) = (rows.advantages.len() as f64, tokens.max(1.));
    let advantage = rows.advantages[row];
    let divisor = match options.loss_type {
        LossType::Grpo | LossType::Sapo => b * n,
        LossType::Bnpo => rows.counted().max(1) as f64,
        LossType::DrGrpo => b * step.max_completion_length as f64,
        LossType::Luspo => b,
        LossType::Dapo | LossType::Cispo | LossType::Vespo => step.num_items.max(1.),
    };
    let accumulation = if over_items(options.loss_type) { 1. } else { step.gradient_accumulation_steps as f64 };
    let sums = rows.tokens(row).map(|at| log_ratios(rows, at)).fold((0., 0.), |sum, w| (sum.0 + w.0, sum.1 + w.1));
    let drift = match &rows.sampling {
        Some(sampling) => rows.tokens(row).map(|at| sampling[at] - rows.stopped[at]).sum::<f64>() / n,
        None => -sums.1 / n,
    };
    Completion {
        advantage,
        mean: (options.importance_sampling_level == Level::Sequence).then_some((sums.0 / n, sums.1 / n)),
        weight: 1. / (divisor * accumulation),
        kept: advantage >= 0. || options.off_policy_mask_threshold.is_none_or(|most| drift <= most),
        phi: if options.loss_type == LossType::Vespo { phi(rows, row, corrections, options) } else { 0. },
    }
}

/// Log-ratio of a token, and the same without gradient.
fn log_ratios(rows: &Rows, at: usize) -> (f64, f64) {
    let old = rows.old.as_ref().unwrap_or(&rows.stopped)[at];
    (rows.logps[at] - old, rows.stopped[at] - old)
}

/// Gamma weight of a completion: `ln phi = lambda + k W - lambda e^W`, every log-ratio within 20 and W above `ln 1e-8`.
fn phi(rows: &Rows, row: usize, corrections: Option<&[f64]>, options: &LossOptions) -> f64 {
    let lowest = 1e-8f64.ln();
    let sum: f64 = rows.tokens(row).map(|at| log_ratios(rows, at).1.clamp(-20., 20.)).sum();
    let sampled = |ratios: &[f64]| rows.tokens(row).map(|at| ratios[at].ln().clamp(lowest, 20.)).sum::<f64>();
    let w = (sum + corrections.map_or(0., sampled)).clamp(lowest, 20.);
    let (k, lambda) = match rows.advantages[row] >= 0. {
        true => (options.vespo_k_pos, options.vespo_lambda_pos),
        false => (options.vespo_k_neg, options.vespo_lambda_neg),
    };
    let lambda = lambda.max(1e-4);
    let phi = (lambda + k * w - lambda * w.exp()).exp();
    if phi.is_finite() { phi } else { 0. }
}

/// The policy's part of a token's loss.
fn surrogate(rows: &Rows, at: usize, w: (f64, f64), completion: &Completion, options: &LossOptions) -> Term {
    let (a, r) = (completion.advantage, w.0.exp());
    if a == 0. {
        return Term::default();
    }
    let scaled = |factor: f64| Term { value: factor * rows.logps[at], by_logp: factor, by_ratio: 0. };
    match options.loss_type {
        LossType::Cispo => scaled(-w.1.exp().min(options.high()) * a),
        LossType::Vespo => scaled(-completion.phi * a),
        LossType::Sapo => {
            let tau = if a > 0. { options.sapo_temperature_pos } else { options.sapo_temperature_neg };
            let s = 1. / (1. + (-tau * (r - 1.)).exp());
            let slope = s * (1. - s);
            // Where the gate is shut the ratio may be infinite.
            let by_ratio = if slope == 0. { 0. } else { -4. * a * slope * r };
            Term { value: -4. / tau * s * a, by_ratio, by_logp: 0. }
        }
        LossType::Grpo | LossType::Bnpo | LossType::DrGrpo | LossType::Dapo | LossType::Luspo => {
            let (low, high) = (1. - options.epsilon, 1. + options.high());
            let most = options.delta.unwrap_or(f64::INFINITY);
            let (free, clipped) = (r.min(most) * a, r.clamp(low, high) * a);
            let (value, moves) =
                if free <= clipped { (-free, r <= most) } else { (-clipped, (low..=high).contains(&r)) };
            Term { value, by_ratio: if moves { -a * r } else { 0. }, by_logp: 0. }
        }
    }
}

/// The k3 estimate of the divergence from the reference at a token, times the ratio where that is asked for.
fn divergence(rows: &Rows, at: usize, w: f64, options: &LossOptions) -> Term {
    let Some(reference) = rows.reference.as_ref().filter(|_| options.needs_reference()) else {
        return Term::default();
    };
    let d = reference[at] - rows.logps[at];
    let (k, slope) = (d.exp_m1() - d, -d.exp_m1());
    match options.use_bias_correction_kl {
        false => Term { value: k, by_logp: slope, by_ratio: 0. },
        true => Term { value: k * w.exp(), by_logp: slope * w.exp(), by_ratio: k * w.exp() },
    }
}

/// The lowest entropy among the part of the tokens with the highest ones (linear quantile); None when all count.
fn entropy_threshold(rows: &Rows, part: f64) -> Option<f64> {
    let entropies = rows.entropies.as_ref().filter(|_| part < 1.)?;
    let mut known: Vec<f64> =
        entropies.iter().zip(&rows.mask).filter(|(_, counts)| **counts).map(|(e, _)| *e).collect();
    known.sort_by(f64::total_cmp);
    let place = (1. - part) * known.len().checked_sub(1)? as f64;
    let (below, above) = (known[place.floor() as usize], known[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TYPES: [LossType; 8] = [
        LossType::Grpo,
        LossType::Bnpo,
        LossType::DrGrpo,
        LossType::Dapo,
        LossType::Cispo,
        LossType::Sapo,
        LossType::Vespo,
        LossType::Luspo,
    ];
    const STEP: Step = Step { gradient_accumulation_steps: 3, num_items: 50., max_completion_length: 11 };

    /// Numbers between -1 and 1 that depend on the seed alone.
    fn random(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.
        }
    }

    /// Five completions of 0 to 7 tokens, one of them with advantage 0.
    fn rows(seed: u64, old: bool) -> Rows {
        let mut next = random(seed);
        let (b, width) = (5, 7);
        let mut numbers =
            |middle: f64, spread: f64| -> Vec<f64> { (0..b * width).map(|_| middle + spread * next()).collect() };
        let logps = numbers(-1.5, 1.);
        let near = |noise: Vec<f64>| -> Vec<f64> { logps.iter().zip(noise).map(|(x, noise)| x + noise).collect() };
        let (old, reference) = (old.then(|| near(numbers(0., 0.6))), Some(near(numbers(0., 0.8))));
        let sampling = (seed % 2 == 1).then(|| near(numbers(0., 0.5)));
        let entropies = Some(numbers(1., 1.));
        let lengths = [7, 0, 1, 4, 6];
        let mask = (0..b * width).map(|at| at % width < lengths[at / width]).collect();
        let advantages = vec![1.2, -0.7, -1.1, 0., next()];
        Rows { width, stopped: logps.clone(), logps, old, sampling, reference, entropies, mask, advantages }
    }

    /// Whether a clip boundary is so near that the difference quotient sees both sides of it.
    fn at_a_kink(rows: &Rows, options: &LossOptions) -> bool {
        let mut ratios: Vec<f64> = (0..rows.mask.len()).map(|at| log_ratios(rows, at).0.exp()).collect();
        ratios.extend(
            (0..rows.advantages.len()).filter_map(|row| Some(completion(rows, row, None, STEP, options).mean?.0.exp())),
        );
        let edges = [Some(1. - options.epsilon), Some(1. + options.high()), options.delta];
        ratios.iter().any(|r| edges.iter().flatten().any(|edge| (r - edge).abs() < 1e-4))
    }

    fn variants() -> Vec<LossOptions> {
        let plain = LossOptions::default;
        let mut all = vec![
            plain(),
            LossOptions { epsilon: 0.1, epsilon_high: Some(0.28), delta: Some(1.35), ..plain() },
            LossOptions { beta: 0.3, ..plain() },
            LossOptions { beta: 0.3, use_bias_correction_kl: true, entropy_coef: 0.02, ..plain() },
            LossOptions { top_entropy_quantile: 0.4, entropy_coef: 0.5, beta: 0.1, ..plain() },
            LossOptions { off_policy_mask_threshold: Some(0.05), ..plain() },
            LossOptions {
                importance_sampling_mode: Correction::TokenTruncate,
                importance_sampling_clip_max: Some(1.2),
                beta: 0.2,
                ..plain()
            },
            LossOptions {
                importance_sampling_mode: Correction::TokenMask,
                importance_sampling_clip_min: Some(0.8),
                ..plain()
            },
            LossOptions { importance_sampling_mode: Correction::SequenceTruncate, ..plain() },
        ];
        let sequence =
            |options: &LossOptions| LossOptions { importance_sampling_level: Level::Sequence, ..options.clone() };
        all.extend(all.iter().map(sequence).collect::<Vec<_>>());
        TYPES
            .iter()
            .flat_map(|loss_type| all.iter().map(|o| LossOptions { loss_type: *loss_type, ..o.clone() }))
            .collect()
    }

    /// Every derivative against a central difference, stop-gradient terms held.
    #[test]
    fn gradients_are_difference_quotients() {
        const H: f64 = 1e-6;
        let mut moved = 0;
        for options in variants() {
            for (seed, old) in (0..6).flat_map(|seed| [(seed, true), (seed, false)]) {
                let mut rows = rows(seed, old);
                if at_a_kink(&rows, &options) {
                    continue;
                }
                let exact = evaluate(&rows, STEP, &options);
                for at in 0..rows.mask.len() {
                    let (here, mut around) = (rows.logps[at], [0.; 2]);
                    for (value, h) in around.iter_mut().zip([H, -H]) {
                        rows.logps[at] = here + h;
                        *value = evaluate(&rows, STEP, &options).value;
                    }
                    rows.logps[at] = here;
                    let quotient = (around[0] - around[1]) / (2. * H);
                    let allowed = 1e-8 + 1e-6 * exact.grad[at].abs();
                    let what = format!("seed {seed} token {at} of {options:?}");
                    assert!((quotient - exact.grad[at]).abs() <= allowed, "{what}: {} or {quotient}", exact.grad[at]);
                    assert!(rows.mask[at] || exact.grad[at] == 0., "{what} is masked");
                    moved += usize::from(exact.grad[at] != 0.);
                }
            }
        }
        assert!(moved > 5000, "only {moved} derivatives were not 0");
    }

    /// The same for entropies, whose order decides which tokens count and must not change.
    #[test]
    fn entropy_gradients_are_difference_quotients() {
        const H: f64 = 1e-7;
        for options in variants().into_iter().filter(|options| options.entropy_coef != 0.) {
            let mut rows = rows(3, true);
            let exact = evaluate(&rows, STEP, &options);
            assert!(exact.entropy_grad.iter().any(|g| *g != 0.));
            let lowest = entropy_threshold(&rows, options.top_entropy_quantile).unwrap_or(-1.);
            for at in 0..rows.mask.len() {
                let here = rows.entropies.as_ref().unwrap()[at];
                // Tokens that set the threshold move it.
                if (here - lowest).abs() < 0.2 {
                    continue;
                }
                let mut value = |h: f64| {
                    rows.entropies.as_mut().unwrap()[at] = here + h;
                    evaluate(&rows, STEP, &options).value
                };
                let quotient = (value(H) - value(-H)) / (2. * H);
                value(0.);
                assert!((quotient - exact.entropy_grad[at]).abs() < 1e-7, "token {at} of {options:?}: {quotient}");
            }
        }
    }

    /// On-policy the loss of a token is -A and its gradient -A, times the bounded ratio to the sampler; by hand for two
    /// completions whose ratios are e^0.5, e^0.7 and e^-0.5, e^-1.
    #[test]
    fn corrections_by_hand() {
        let e = f64::exp;
        let logps = vec![-1., -2., -1.5, -0.5];
        let sampling = Some(vec![-1.5, -2.7, -1., 0.5]);
        let rows = Rows {
            width: 2,
            stopped: logps.clone(),
            logps,
            old: None,
            sampling,
            reference: None,
            entropies: None,
            mask: vec![true; 4],
            advantages: vec![1., -2.],
        };
        let step = Step { num_items: 4., ..STEP };
        let of = |mode, min, max| LossOptions {
            importance_sampling_mode: mode,
            importance_sampling_clip_min: min,
            importance_sampling_clip_max: max,
            ..LossOptions::default()
        };
        let cases = [
            (of(Correction::TokenTruncate, None, Some(1.8)), [e(0.5), 1.8, e(-0.5), e(-1.)]),
            (of(Correction::TokenTruncate, Some(0.5), None), [e(0.5), e(0.7), e(-0.5), 0.5]),
            (of(Correction::TokenMask, Some(0.5), Some(1.8)), [e(0.5), 0., e(-0.5), 0.]),
            (of(Correction::SequenceTruncate, None, Some(3.)), [3., 3., e(-1.5), e(-1.5)]),
            (of(Correction::SequenceMask, None, Some(3.)), [0., 0., e(-1.5), e(-1.5)]),
            (of(Correction::SequenceMask, Some(0.3), Some(4.)), [e(1.2), e(1.2), 0., 0.]),
            (LossOptions { importance_sampling_correction: false, ..LossOptions::default() }, [1.; 4]),
        ];
        for (options, ratios) in cases {
            let out = evaluate(&rows, step, &options);
            let want = [-1., -1., 2., 2.].iter().zip(ratios).map(|(loss, ratio)| loss * ratio / 4.).collect::<Vec<_>>();
            let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
            assert!(out.grad.iter().zip(&want).all(|(a, b)| near(*a, *b)), "{:?} {want:?} {options:?}", out.grad);
            assert!(near(out.value, want.iter().sum()), "{} {options:?}", out.value);
            let told = match (options.importance_sampling_correction, options.importance_sampling_mode.of_sequences()) {
                (false, _) => vec![],
                (true, true) => vec![ratios[0], ratios[2]],
                (true, false) => ratios.to_vec(),
            };
            assert!(out.corrections.len() == told.len() && out.corrections.iter().zip(told).all(|(a, b)| near(*a, b)));
            // W of vespo is the sum of the bounded logarithms.
            let vespo = LossOptions { loss_type: LossType::Vespo, ..options };
            let w = |row: usize| [2 * row, 2 * row + 1].map(|at| ratios[at].ln().max(1e-8f64.ln())).iter().sum::<f64>();
            let (a, b) = (w(0).clamp(1e-8f64.ln(), 20.), w(1).clamp(1e-8f64.ln(), 20.));
            let phi = [e(3. + 2. * a - 3. * e(a)), e(2. + 3. * b - 2. * e(b))];
            let got = evaluate(&rows, step, &vespo).grad;
            assert!(near(got[0], -phi[0] / 4.) && near(got[3], 2. * phi[1] / 4.), "{got:?} {phi:?}");
        }
    }

    /// The off-policy mask looks at the sampler where it is known.
    #[test]
    fn drift_counts_from_the_sampler() {
        let mut rows = rows(2, false);
        assert!(rows.sampling.is_none());
        let options = LossOptions {
            off_policy_mask_threshold: Some(0.1),
            importance_sampling_correction: false,
            ..LossOptions::default()
        };
        let plain = evaluate(&rows, STEP, &options).grad;
        assert!(plain[2 * rows.width] != 0.);
        rows.sampling = Some(rows.logps.iter().map(|x| x + 0.2).collect());
        let masked = evaluate(&rows, STEP, &options).grad;
        assert_eq!((masked[0], masked[2 * rows.width]), (plain[0], 0.), "only the negative advantage is masked");
    }

    /// At log-ratios of 50 either way, from the old policy or from the reference, everything is finite.
    #[test]
    fn extreme_ratios() {
        for options in variants() {
            for (far, old) in [(50., true), (-50., true), (50., false), (-50., false)] {
                let mut rows = rows(1, true);
                let shifted = Some(rows.logps.iter().map(|x| x - far).collect());
                *(if old { &mut rows.old } else { &mut rows.reference }) = shifted;
                let out = evaluate(&rows, STEP, &options);
                let finite = out.value.is_finite() && out.grad.iter().all(|g| g.is_finite());
                assert!(finite && out.metrics.iter().all(|(_, x)| x.is_finite()), "{far} {options:?}");
            }
        }
    }
}
