//! Policy losses at the edges: huge ratios, NaN in the padding, rows and batches without tokens, settings that misfit.

use crate::check::{scalar, tensor, var};
use candle_core::{DType, Tensor, Var};
use reinsman::{
    error::{Failure, Kind},
    train::rl::{
        loss::{Completions, Level, LossOptions, LossType, PolicyLoss, Step, policy_loss},
        padded,
    },
};

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
const STEP: Step = Step { gradient_accumulation_steps: 1, num_items: 4., max_completion_length: 3 };

/// Every loss at both levels, with a divergence.
fn every() -> impl Iterator<Item = LossOptions> {
    let of = |loss_type, importance_sampling_level| LossOptions {
        loss_type,
        importance_sampling_level,
        beta: 0.1,
        top_entropy_quantile: 0.8,
        entropy_coef: 0.01,
        ..LossOptions::default()
    };
    TYPES.into_iter().flat_map(move |loss_type| [Level::Token, Level::Sequence].map(|level| of(loss_type, level)))
}

/// Two completions of three tokens at log-probability -1 whose old and reference ones are given.
fn two(
    logps: &Tensor,
    old: &Tensor,
    reference: &Tensor,
    mask: &[[u8; 3]; 2],
    options: &LossOptions,
) -> Result<PolicyLoss, Failure> {
    let mask = Tensor::new(mask, logps.device()).unwrap();
    let entropies = logps.ones_like().unwrap();
    let batch = Completions {
        logps,
        old_logps: Some(old),
        sampling_logps: None,
        ref_logps: Some(reference),
        mask: &mask,
        advantages: &[1., -1.],
        entropies: Some(&entropies),
    };
    policy_loss(&batch, STEP, options)
}

fn flat(x: f64) -> Vec<Vec<f64>> {
    vec![vec![x; 3]; 2]
}

fn finite(out: &PolicyLoss, logps: &Var) -> bool {
    let grads = out.loss.backward().unwrap();
    let grad = grads.get(logps).expect("a graph").flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let same = grad == out.grad_logps.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    same && grad.iter().all(|g| g.is_finite())
        && scalar(&out.loss).is_finite()
        && out.metrics.iter().all(|(_, x)| x.is_finite())
}

#[test]
fn huge_ratios() {
    let logps = var(&flat(-1.));
    let near = tensor(&flat(-1.1));
    for options in every() {
        for far in [50., -50.] {
            let far = tensor(&flat(-1. - far));
            for (old, reference) in [(&far, &near), (&near, &far)] {
                let out = two(&logps, old, reference, &[[1; 3]; 2], &options).unwrap();
                assert!(finite(&out, &logps), "{options:?}: {}", out.value);
            }
        }
    }
    let beyond =
        two(&logps, &near, &tensor(&[vec![-1.; 3], vec![-1., 119., -1.]]), &[[1; 3]; 2], &every().next().unwrap());
    let error = beyond.unwrap_err();
    let told = error.message.contains("overflows: completion 1 token 1") && error.message.contains("-120");
    assert!(error.kind == Kind::Device && told, "{error}");
}

/// Whatever the padding holds, values, gradients and metrics have the same bits.
#[test]
fn padding_has_no_influence() {
    let mask = [[1, 0, 0], [1, 1, 0]];
    let with = |x: f64| vec![vec![-1., x, x], vec![-0.5, -2., x]];
    for options in every() {
        let run = |x: f64, y: f64| {
            let logps = var(&with(x));
            let out = two(&logps, &tensor(&with(y)), &tensor(&with(x)), &mask, &options).unwrap();
            assert!(finite(&out, &logps), "{options:?}");
            (out.value, out.metrics, out.grad_logps.to_vec2::<f32>().unwrap())
        };
        let clean = run(0., 0.);
        assert_eq!(clean, run(f64::NAN, 3.));
        assert_eq!(clean, run(-900., f64::INFINITY));
        assert!(clean.2.iter().flatten().any(|g| *g != 0.), "{options:?}");
    }
}

#[test]
fn no_tokens() {
    for options in every() {
        let logps = var(&flat(-1.));
        let old = tensor(&flat(-1.2));
        let out = two(&logps, &old, &old, &[[0; 3]; 2], &options).unwrap();
        assert!(finite(&out, &logps) && out.value == 0., "{options:?}: {}", out.value);
        assert!(out.grad_logps.to_vec2::<f32>().unwrap().iter().flatten().all(|g| *g == 0.));
        let out = two(&logps, &old, &old, &[[0; 3], [1, 1, 1]], &options).unwrap();
        assert!(finite(&out, &logps), "{options:?}");
        assert_eq!(out.grad_logps.to_vec2::<f32>().unwrap()[0], [0.; 3]);
    }
}

/// One completion of one token, without old log-probabilities: the gradient is minus the advantage, whatever the type.
#[test]
fn one_token() {
    let logps = var(&[vec![-0.7]]);
    let mask = logps.ones_like().unwrap();
    let batch = Completions {
        logps: &logps,
        old_logps: None,
        sampling_logps: None,
        ref_logps: None,
        mask: &mask,
        advantages: &[0.3],
        entropies: None,
    };
    for loss_type in TYPES {
        let step = Step { gradient_accumulation_steps: 1, num_items: 1., max_completion_length: 1 };
        let out = policy_loss(&batch, step, &LossOptions { loss_type, ..LossOptions::default() }).unwrap();
        let grad = scalar(&out.grad_logps.sum_all().unwrap());
        assert!((grad + 0.3).abs() < 1e-6, "{loss_type:?}: {grad}");
        assert!(finite(&out, &logps));
    }
}

/// An entropy with a graph gets the gradient of the bonus, and log-probabilities in f64 keep their digits.
#[test]
fn entropy_bonus_and_f64() {
    let entropies = var(&flat(1.5));
    let logps = Var::from_tensor(&tensor(&flat(-1.)).to_dtype(DType::F64).unwrap()).unwrap();
    let mask = Tensor::new(&[[1u8, 1, 0], [1, 1, 1]], logps.device()).unwrap();
    let batch = Completions {
        logps: &logps,
        old_logps: None,
        sampling_logps: None,
        ref_logps: None,
        mask: &mask,
        advantages: &[1., -1.],
        entropies: Some(&entropies),
    };
    let options = LossOptions { entropy_coef: 0.1, ..LossOptions::default() };
    let step = Step { gradient_accumulation_steps: 2, num_items: 10., max_completion_length: 3 };
    let out = policy_loss(&batch, step, &options).unwrap();
    assert_eq!((out.loss.dtype(), out.grad_logps.dtype()), (DType::F64, DType::F64));
    // Ratios of 1: three tokens of advantage -1 against two of +1 over ten; the bonus is 0.1 x 1.5 / 2.
    assert!((out.value - (0.1 - 0.075)).abs() < 1e-12, "{}", out.value);
    assert_eq!(scalar(&out.loss), out.value);
    let grads = out.loss.backward().unwrap();
    let grad = grads.get(&entropies).expect("a graph").to_vec2::<f32>().unwrap();
    assert!((grad[0][0] + 0.01).abs() < 1e-8 && grad[0][2] == 0., "{grad:?}");
}

#[test]
fn misfits_are_named() {
    let (logps, mask) = (tensor(&flat(-1.)), tensor(&flat(1.)));
    let batch = |advantages: &'static [f64]| Completions {
        logps: &logps,
        old_logps: None,
        sampling_logps: None,
        ref_logps: None,
        mask: &mask,
        advantages,
        entropies: None,
    };
    let (fine, default) = (batch(&[1., -1.]), LossOptions::default());
    let (narrow, half, nan) = (tensor(&[vec![1.; 2], vec![1.; 2]]), tensor(&flat(0.5)), tensor(&flat(f64::NAN)));
    let usage = Kind::Usage;
    for (batch, options, kind, word) in [
        (batch(&[1.]), default.clone(), usage, "2 completions cannot have 1 advantages"),
        (batch(&[1., f64::NAN]), default.clone(), Kind::Device, "advantage of completion 1 is NaN"),
        (Completions { mask: &narrow, ..fine }, default.clone(), usage, "mask: expected the shape (2, 3), got [2, 2]"),
        (Completions { mask: &half, ..fine }, default.clone(), usage, "a mask holds 0.5"),
        (Completions { logps: &nan, ..fine }, default.clone(), Kind::Device, "log-probability of completion 0 token 0"),
        (Completions { old_logps: Some(&nan), ..fine }, default.clone(), Kind::Device, "old log-probability"),
        (fine, LossOptions { beta: 0.1, ..default.clone() }, usage, "beta 0.1 needs reference"),
        (fine, LossOptions { beta: -1., ..default.clone() }, usage, "beta is -1; allowed: 0 or more"),
        (fine, LossOptions { epsilon: 1.5, ..default.clone() }, usage, "epsilon is 1.5; allowed: 0 to 1"),
        (fine, LossOptions { epsilon_high: Some(f64::NAN), ..default.clone() }, usage, "epsilon_high is NaN"),
        (fine, LossOptions { delta: Some(0.), ..default.clone() }, usage, "delta is 0"),
        (fine, LossOptions { entropy_coef: 0.1, ..default.clone() }, usage, "need entropies"),
    ] {
        let error = policy_loss(&batch, STEP, &options).unwrap_err();
        assert!(error.kind == kind && error.message.contains(word), "{word}: {error}");
    }
    let step = Step { gradient_accumulation_steps: 0, ..STEP };
    assert!(policy_loss(&fine, step, &default).unwrap_err().message.contains("gradient_accumulation_steps: 0"));
}

#[test]
fn padding_keeps_the_graph() {
    let flat = Var::from_tensor(&Tensor::new(&[1f32, 2., 3.], &candle_core::Device::Cpu).unwrap()).unwrap();
    let (rows, mask) = padded(&flat, &[1, 0, 2]).unwrap();
    assert_eq!(rows.to_vec2::<f32>().unwrap(), [[1., 0.], [0., 0.], [2., 3.]]);
    assert_eq!(mask.to_vec2::<u8>().unwrap(), [[1, 0], [0, 0], [1, 1]]);
    let grads = (rows.sqr().unwrap() + 1.).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(grads.get(&flat).expect("a graph").to_vec1::<f32>().unwrap(), [2., 4., 6.]);
    for lengths in [&[1usize, 1][..], &[]] {
        assert_eq!(padded(&flat, lengths).unwrap_err().kind, Kind::Usage);
    }
}

/// What the cases of TRL do not reach, by hand: ratios above the cap of `cispo`, the bounds of `vespo`, and the policy's
/// part of a loss with an entropy bonus and accumulated steps.
#[test]
fn bounds_by_hand() {
    let metric = |out: &PolicyLoss, name: &str| out.metrics.iter().find(|(known, _)| *known == name).unwrap().1;
    let of = |loss_type| LossOptions { loss_type, ..LossOptions::default() };
    let logps = var(&flat(-1.));
    let old = tensor(&[vec![-3.; 3], vec![-1.; 3]]);
    // min(e^2, 5) x 3 tokens / 4 items, and -1 x 3 / 4.
    let out = two(&logps, &old, &old, &[[1; 3]; 2], &of(LossType::Cispo)).unwrap();
    assert!((out.value - (15. - 3.) / 4.).abs() < 1e-12, "{}", out.value);
    assert_eq!(metric(&out, "cispo_clip_ratio"), 0.5);
    assert_eq!(out.grad_logps.to_vec2::<f32>().unwrap(), [[-1.25; 3], [0.25; 3]]);

    // Log-ratios of 30 and -25 count as 20 and -20: phi is 1; two of -15 as ln 1e-8 in all.
    let old = tensor(&[vec![-31., 24., -1.], vec![14., 14., -1.]]);
    let out = two(&logps, &old, &old, &[[1; 3]; 2], &of(LossType::Vespo)).unwrap();
    assert!((metric(&out, "vespo/phi_seq_mean") - 0.5).abs() < 1e-12);
    let few = two(&logps, &old, &old, &[[0; 3], [1, 1, 0]], &of(LossType::Vespo)).unwrap();
    let phi = (2. + 3. * 1e-8f64.ln() - 2. * 1e-8).exp();
    let got = 2. * metric(&few, "vespo/phi_seq_mean") - 1.;
    assert!((few.value + 2. * phi / 4.).abs() < 1e-6 * phi && got.abs() < 1e-12, "{} {got}", few.value);

    let mask = logps.ones_like().unwrap();
    let batch = Completions {
        logps: &logps,
        old_logps: None,
        sampling_logps: None,
        ref_logps: None,
        mask: &mask,
        advantages: &[0.5, 0.25],
        entropies: Some(&mask),
    };
    let step = Step { gradient_accumulation_steps: 4, ..STEP };
    let out = policy_loss(&batch, step, &LossOptions { entropy_coef: 0.2, ..of(LossType::Grpo) }).unwrap();
    assert!((metric(&out, "policy_loss") + 0.375).abs() < 1e-12);
    assert!((out.value + (0.375 + 0.2) / 4.).abs() < 1e-12, "{}", out.value);
}
