//! The fused CPU operations: against f64 formulas with central differences on small shapes, against the composed
//! form on random ones (1e-5 of the largest value, 1e-4 of the largest gradient), determinism, bad shapes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "ops/adapted.rs"]
mod adapted;
#[path = "ops/oracle.rs"]
mod oracle;
#[path = "ops/speed.rs"]
mod speed;

use candle_core::{DType, Device, Result, Tensor, Var};
use rand_core::Rng;
use rand_pcg::Pcg64;
use reinsman::vlm::{
    Weight,
    ops::{self, Mask, composed},
    quant::{Kind, Quantized},
};
use std::sync::Arc;

struct Random(Pcg64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(Pcg64::new(seed as u128, 1))
    }
    fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
    /// Roughly normal.
    fn normal(&mut self) -> f32 {
        (0..6).map(|_| (self.0.next_u64() >> 40) as f32 / (1u64 << 24) as f32 - 0.5).sum::<f32>() * 1.4
    }
    fn var(&mut self, dims: &[usize]) -> Var {
        let n = dims.iter().product();
        let data: Vec<f32> = (0..n).map(|_| self.normal()).collect();
        Var::from_tensor(&Tensor::from_vec(data, dims, &Device::Cpu).unwrap()).unwrap()
    }
}

fn flat(t: &Tensor) -> Vec<f32> {
    t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn wide(t: &Tensor) -> Vec<f64> {
    flat(t).into_iter().map(f64::from).collect()
}

/// Within `tolerance` of the largest expected element (inputs are of order 1, so nothing below 0.01 counts as a scale:
/// gradients that cancel to zero are left with rounding).
#[track_caller]
fn close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths differ");
    let scale = want.iter().fold(1e-2f64, |m, x| m.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((*g as f64 - w).abs() <= tolerance * scale, "{what}[{i}]: {g} instead of {w} (scale {scale:e})");
    }
}

type Logps = fn(&Tensor, &Tensor, &[u32], f64) -> Result<(Tensor, Tensor)>;
type Op<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

/// Value and gradients of `sum(r * op(vars))` with fixed weights r.
fn run(op: Op, vars: &[Var]) -> (Tensor, Vec<f64>, Vec<Tensor>) {
    let y = op(&vars.iter().map(|v| v.as_tensor().clone()).collect::<Vec<_>>()).unwrap();
    let r = Random::new(99).var(y.dims()).as_tensor().detach();
    let grads = (&y * &r).unwrap().sum_all().unwrap().backward().unwrap();
    let of = |v: &Var| grads.get(v).unwrap_or_else(|| panic!("no gradient for {:?}", v.dims())).clone();
    (y, wide(&r), vars.iter().map(of).collect())
}

/// Fused against composed.
#[track_caller]
fn same(what: &str, vars: &[Var], fused: Op, composed: Op) {
    let ((y, _, grads), (want, _, want_grads)) = (run(fused, vars), run(composed, vars));
    assert_eq!(y.dims(), want.dims(), "{what}");
    close(what, &flat(&y), &wide(&want), 1e-5);
    for (i, (g, w)) in grads.iter().zip(&want_grads).enumerate() {
        assert_eq!(g.dims(), w.dims(), "{what}");
        close(&format!("{what}, gradient {i}"), &flat(g), &wide(w), 1e-4);
    }
}

/// Fused and composed against the f64 formula and its central differences.
#[track_caller]
fn true_to(what: &str, vars: &[Var], ops: [Op; 2], formula: oracle::Formula) {
    let inputs: Vec<Vec<f64>> = vars.iter().map(|v| wide(v)).collect();
    for (op, form) in ops.into_iter().zip(["fused", "composed"]) {
        let (y, r, grads) = run(op, vars);
        close(&format!("{what} {form}"), &flat(&y), &formula(&inputs), 1e-5);
        for (i, g) in grads.iter().enumerate() {
            let want = oracle::gradient(formula, &inputs, &r, i);
            close(&format!("{what} {form}, gradient {i}"), &flat(g), &want, 1e-4);
        }
    }
}

const WIDTHS: [usize; 9] = [1, 2, 3, 7, 16, 33, 64, 100, 257];

#[test]
fn norms_match() {
    let mut random = Random::new(1);
    for case in 0..20 {
        let d = random.pick(&WIDTHS).max(2);
        let dims = [1 + random.below(5), 1 + random.below(70), d];
        let (x, w, b) = (random.var(&dims), random.var(&[d]), random.var(&[d]));
        let vars = [x, w, b];
        let what = format!("case {case} {dims:?}");
        let rms: [Op; 2] = [&|v| ops::rms_norm(&v[0], &v[1], 1e-6), &|v| composed::rms_norm(&v[0], &v[1], 1e-6)];
        same(&format!("rms_norm {what}"), &vars[..2], rms[0], rms[1]);
        let layer: [Op; 2] =
            [&|v| ops::layer_norm(&v[0], &v[1], &v[2], 1e-5), &|v| composed::layer_norm(&v[0], &v[1], &v[2], 1e-5)];
        if d > 4 {
            same(&format!("layer_norm {what}"), &vars, layer[0], layer[1]);
        }
        if vars[0].elem_count() < 300 {
            true_to(&format!("rms_norm {what}"), &vars[..2], rms, &|x| oracle::rms_norm(&x[0], &x[1], 1e-6));
        }
        if vars[0].elem_count() < 300 && d > 4 {
            true_to(&format!("layer_norm {what}"), &vars, layer, &|x| oracle::layer_norm(&x[0], &x[1], &x[2], 1e-5));
        }
    }
    // The small shapes that the loop may miss.
    let vars = [random.var(&[3, 17]), random.var(&[17]), random.var(&[17])];
    true_to(
        "layer_norm",
        &vars,
        [&|v| ops::layer_norm(&v[0], &v[1], &v[2], 1e-5), &|v| composed::layer_norm(&v[0], &v[1], &v[2], 1e-5)],
        &|x| oracle::layer_norm(&x[0], &x[1], &x[2], 1e-5),
    );
    true_to(
        "rms_norm",
        &vars[..2],
        [&|v| ops::rms_norm(&v[0], &v[1], 1e-6), &|v| composed::rms_norm(&v[0], &v[1], 1e-6)],
        &|x| oracle::rms_norm(&x[0], &x[1], 1e-6),
    );
}

#[test]
fn activations_match() {
    let mut random = Random::new(2);
    for case in 0..8 {
        let dims = [1 + random.below(9), random.pick(&[1, 5, 16, 100, 5000])];
        let x = random.var(&dims);
        x.set(&(x.as_tensor() * 2.5).unwrap()).unwrap(); // into the tails
        let vars = [x, random.var(&dims)];
        let what = |name: &str| format!("{name} case {case} {dims:?}");
        let small = dims[0] * dims[1] < 200;
        let check = |name: &str, pair: [Op; 2], f: fn(f64) -> f64| {
            same(&what(name), &vars[..1], pair[0], pair[1]);
            if small {
                true_to(&what(name), &vars[..1], pair, &|x| x[0].iter().map(|x| f(*x)).collect());
            }
        };
        check("quick", [&|v| ops::quick_gelu(&v[0]), &|v| composed::quick_gelu(&v[0])], oracle::quick_gelu);
        check("tanh", [&|v| ops::gelu_tanh(&v[0]), &|v| composed::gelu_tanh(&v[0])], oracle::gelu_tanh);
        check("erf", [&|v| ops::gelu_erf(&v[0]), &|v| composed::gelu_erf(&v[0])], oracle::gelu_erf);
        let pair: [Op; 2] = [&|v| ops::swiglu(&v[0], &v[1]), &|v| composed::swiglu(&v[0], &v[1])];
        same(&what("swiglu"), &vars, pair[0], pair[1]);
        if small {
            true_to(&what("swiglu"), &vars, pair, &|x| {
                x[0].iter().zip(&x[1]).map(|(g, u)| oracle::silu(*g) * u).collect()
            });
        }
    }
}

#[test]
fn rope_matches() {
    let mut random = Random::new(3);
    for (b, t, n, d, shared) in
        [(1, 1, 1, 2, false), (2, 5, 3, 6, false), (3, 4, 2, 64, true), (4, 100, 4, 64, false), (2, 3, 1, 10, true)]
    {
        let x = random.var(&[b, t, n, d]);
        let tables = [random.var(&[if shared { 1 } else { b }, t, d]), random.var(&[if shared { 1 } else { b }, t, d])];
        let pair: [Op; 2] =
            [&|v| ops::rope(&v[0], &tables[0], &tables[1]), &|v| composed::rope(&v[0], &tables[0], &tables[1])];
        same(&format!("rope {b} {t} {n} {d}"), std::slice::from_ref(&x), pair[0], pair[1]);
        if x.elem_count() < 500 && !shared {
            let (cos, sin) = (wide(&tables[0]), wide(&tables[1]));
            true_to("rope", &[x], pair, &|x| oracle::rope(&x[0], &cos, &sin, n, d));
        }
    }
}

/// Random shapes of attention: cached keys, left padding, segments, sets, odd widths, head ratios 1 to 7.
#[test]
fn attention_matches() {
    let mut random = Random::new(4);
    for case in 0..60 {
        let (ratio, kv) = (random.pick(&[1, 2, 3, 4, 7]), 1 + random.below(2));
        let (n, d) = (ratio * kv, random.pick(&[1, 3, 8, 16, 20, 64]));
        let t = random.pick(&[1, 1, 2, 5, 9, 31, 130, 200]);
        let segments = case % 4 == 3;
        let b = if segments { 1 } else { 1 + random.below(3) };
        let (mask, s) = if segments {
            let mut cu: Vec<usize> = (0..random.below(4)).map(|_| random.below(t + 1)).collect();
            cu.extend([0, t]);
            cu.sort_unstable();
            (Mask::Segments { cu }, t)
        } else if case % 4 == 1 {
            // Not one key: its gradient is 0 and nothing but rounding of larger sums.
            let keys = random.pick(&[2, 6, 65, 140]);
            (Mask::Full { keys }, keys)
        } else {
            let offset = random.pick(&[0, 0, 1, 6, 50]);
            let start = (0..b).map(|_| random.below(offset + t + 1) / (1 + random.below(3))).collect();
            (Mask::Causal { offset, start }, offset + t)
        };
        let vars = [random.var(&[b, t, n, d]), random.var(&[b, s, kv, d]), random.var(&[b, s, kv, d])];
        let scale = 1. / (d as f64).sqrt();
        let pair: [Op; 2] = [&|v| ops::attention(&v[0], &v[1], &v[2], &mask, scale), &|v| {
            composed::attention(&v[0], &v[1], &v[2], &mask, scale)
        }];
        let what = format!("attention case {case}: b {b} t {t} s {s} n {n} kv {kv} d {d} {mask:?}");
        same(&what, &vars, pair[0], pair[1]);
        if vars.iter().map(|v| v.elem_count()).sum::<usize>() < 150 {
            let visible = |row: usize, query: usize| match &mask {
                Mask::Causal { offset, start } => (start[row].min(offset + query), offset + query + 1),
                Mask::Segments { cu } => {
                    let end = cu.iter().position(|&edge| edge > query).unwrap();
                    (cu[end - 1], cu[end])
                }
                Mask::Full { keys } => (0, *keys),
                Mask::Tails { .. } => unreachable!("has a test of its own"),
            };
            let dims = [b, t, n, d, s, kv];
            true_to(&what, &vars, pair, &|x| oracle::attention(&x[0], &x[1], &x[2], dims, scale, &visible));
        }
    }
}

/// A prompt and its tails in one row: both forms against plain causal attention of each tail behind its prompt.
#[test]
fn attention_of_tails_matches() {
    let mut random = Random::new(14);
    for case in 0..30 {
        let (ratio, kv) = (random.pick(&[1, 2, 3, 7]), 1 + random.below(2));
        let (n, d) = (ratio * kv, random.pick(&[1, 3, 16, 20]));
        let mut cu = vec![random.pick(&[1, 2, 30, 64, 65, 130])];
        for _ in 0..random.below(6) {
            cu.push(cu[cu.len() - 1] + random.pick(&[0, 1, 1, 2, 30, 64, 100]));
        }
        let t = cu[cu.len() - 1];
        let vars = [random.var(&[1, t, n, d]), random.var(&[1, t, kv, d]), random.var(&[1, t, kv, d])];
        let mask = Mask::Tails { cu: cu.clone() };
        let apart = |v: &[Tensor]| {
            let prompt = cu[0];
            let part = |x: &Tensor, from: usize, to: usize| x.narrow(1, from, to - from);
            let behind =
                |x: &Tensor, from: usize, to: usize| Tensor::cat(&[part(x, 0, prompt)?, part(x, from, to)?], 1);
            let causal = |offset: usize| Mask::Causal { offset, start: vec![0] };
            let first = |x: &Tensor| part(x, 0, prompt);
            let mut all = vec![composed::attention(&first(&v[0])?, &first(&v[1])?, &first(&v[2])?, &causal(0), 0.3)?];
            for edge in cu.windows(2).filter(|edge| edge[0] < edge[1]) {
                let (q, k) = (part(&v[0], edge[0], edge[1])?, behind(&v[1], edge[0], edge[1])?);
                all.push(composed::attention(&q, &k, &behind(&v[2], edge[0], edge[1])?, &causal(prompt), 0.3)?);
            }
            Tensor::cat(&all, 1)
        };
        let what = format!("case {case}: n {n} kv {kv} d {d} {cu:?}");
        same(&what, &vars, &|v| ops::attention(&v[0], &v[1], &v[2], &mask, 0.3), &apart);
        same(&what, &vars, &|v| composed::attention(&v[0], &v[1], &v[2], &mask, 0.3), &apart);
    }
}

/// Rows that share prompts: against the composed form, and every row with the bits it has alone.
#[test]
fn shared_attention_matches() {
    let mut random = Random::new(13);
    let cpu = |random: &mut Random, dims: &[usize]| random.var(dims).as_tensor().detach();
    for case in 0..40 {
        let (group, kv) = (random.pick(&[1, 2, 3, 4, 7]), 1 + random.below(3));
        let (n, d, t) = (group * kv, random.pick(&[1, 6, 16, 32, 72, 128]), random.pick(&[1, 1, 1, 3]));
        let (len, spare) = (t + random.below(70), random.below(3));
        let counts: Vec<usize> = (0..1 + random.below(3)).map(|_| 1 + random.below(9)).collect();
        let rows: usize = counts.iter().sum();
        let slots = rows + random.below(4);
        let mut free: Vec<usize> = (0..slots).collect();
        let mut slot = || free.remove(random.below(free.len()));
        let listed: Vec<Vec<usize>> = counts.iter().map(|count| (0..*count).map(|_| slot()).collect()).collect();
        let prompts: Vec<ops::Shared> = listed
            .into_iter()
            .map(|slots| {
                let dims = [random.pick(&[1, 5, 64, 65, 200]), kv, d];
                ops::Shared { keys: cpu(&mut random, &dims), values: cpu(&mut random, &dims), slots }
            })
            .collect();
        let dims = [slots, len + spare, kv, d];
        let (k, v) = (cpu(&mut random, &dims), cpu(&mut random, &dims));
        let q = cpu(&mut random, &[rows, t, n, d]);
        let what = format!("case {case}: rows {counts:?} t {t} n {n} kv {kv} d {d} len {len}");
        let got = ops::shared_attention(&q, &k, &v, &prompts, len, 0.3).unwrap();
        let want = composed::shared_attention(&q, &k, &v, &prompts, len, 0.3).unwrap();
        assert_eq!(got.dims(), want.dims(), "{what}");
        close(&what, &flat(&got), &wide(&want), 1e-5);
        let mut row = 0;
        for prompt in &prompts {
            for slot in &prompt.slots {
                let alone = [ops::Shared { slots: vec![*slot], ..prompt.clone() }];
                let one = |x: &Tensor| x.narrow(0, row, 1).unwrap();
                let alone = ops::shared_attention(&one(&q), &k, &v, &alone, len, 0.3).unwrap();
                assert_eq!(flat(&alone), flat(&one(&got)), "{what}: row {row} alone");
                row += 1;
            }
        }
    }
}

/// A view into a larger key/value cache gives the same bits as its copy, and the copy is not needed.
#[test]
fn attention_reads_cache_views() {
    let mut random = Random::new(5);
    for t in [1, 3] {
        let (q, cache) = (random.var(&[2, t, 4, 16]), random.var(&[2, 40, 2, 16]));
        let view = cache.narrow(1, 0, 20 + t).unwrap();
        assert!(!view.is_contiguous());
        let mask = Mask::Causal { offset: 20, start: vec![0, 7] };
        let of = |k: &Tensor| flat(&ops::attention(&q, k, k, &mask, 0.25).unwrap());
        assert_eq!(of(&view), of(&view.contiguous().unwrap()));
        same(
            "cache view",
            &[q.clone(), cache.clone()],
            &|v| ops::attention(&v[0], &v[1].narrow(1, 0, 20 + t)?, &v[1].narrow(1, 3, 20 + t)?, &mask, 0.25),
            &|v| composed::attention(&v[0], &v[1].narrow(1, 0, 20 + t)?, &v[1].narrow(1, 3, 20 + t)?, &mask, 0.25),
        );
    }
}

#[test]
fn linears_match() {
    let mut random = Random::new(6);
    for case in 0..30 {
        let (inner, outer) = (random.pick(&WIDTHS), random.pick(&WIDTHS));
        let dims = [1 + random.below(3), random.pick(&[1, 2, 4, 5, 30, 100]), inner];
        let vars = [random.var(&dims), random.var(&[outer, inner]), random.var(&[outer])];
        let what = format!("case {case} {dims:?} -> {outer}");
        let plain: [Op; 2] = [&|v| ops::linear(&v[0], &v[1]), &|v| composed::linear(&v[0], &v[1])];
        same(&format!("linear {what}"), &vars[..2], plain[0], plain[1]);
        let bias: [Op; 2] =
            [&|v| ops::linear_bias(&v[0], &v[1], &v[2]), &|v| composed::linear_bias(&v[0], &v[1], &v[2])];
        same(&format!("linear_bias {what}"), &vars, bias[0], bias[1]);
        if vars[0].elem_count() * outer < 3000 {
            true_to(&what, &vars, bias, &|x| oracle::linear(&x[0], &x[1], Some(&x[2]), inner));
        }
    }
    // Decoding shapes large enough for the parallel path.
    let vars = [random.var(&[3, 1, 300]), random.var(&[701, 300]), random.var(&[701])];
    same("decode", &vars, &|v| ops::linear_bias(&v[0], &v[1], &v[2]), &|v| composed::linear_bias(&v[0], &v[1], &v[2]));
    same("transposed", &vars[1..2], &|v| ops::linear(&v[0].t()?, &v[0].t()?), &|v| {
        composed::linear(&v[0].t()?.contiguous()?, &v[0].t()?.contiguous()?)
    });
}

#[test]
fn frozen_arguments_get_no_gradient() {
    let mut random = Random::new(7);
    let (x, w) = (random.var(&[6, 8]), random.var(&[5, 8]));
    let grads = ops::frozen_linear(&x, &w).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_some() && grads.get(&w).is_none());
    let frozen = w.as_tensor().detach();
    let (logps, entropy) = ops::token_logps(&x, &frozen, &[0, 1, 2, 3, 4, 0], 1.).unwrap();
    for number in [logps, entropy] {
        let grads = number.sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&x).is_some() && grads.get(&frozen).is_none());
    }
    let grads = ops::linear(&x.as_tensor().detach(), &w).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_none() && grads.get(&w).is_some());
}

#[test]
fn embedding_matches() {
    let mut random = Random::new(8);
    for (v, h, n) in [(1, 1, 1), (10, 7, 30), (300, 64, 5)] {
        let ids: Vec<u32> = (0..n).map(|_| random.below(v) as u32).collect();
        let table = random.var(&[v, h]);
        same("embedding", &[table], &|t| ops::embedding(&ids, &t[0]), &|t| composed::embedding(&ids, &t[0]));
    }
}

#[test]
fn token_logps_match() {
    let mut random = Random::new(9);
    for (rows, h, v, temperature) in
        [(1, 3, 2, 1.), (4, 5, 7, 0.7), (129, 16, 40, 1.), (300, 33, 1030, 0.9), (70, 8, 40_000, 1.3)]
    {
        let targets: Vec<u32> = (0..rows).map(|_| random.below(v) as u32).collect();
        let vars = [random.var(&[rows, h]), random.var(&[v, h])];
        // Log-probabilities, entropies, and both at once with weights of their own.
        let all = |f: Logps, x: &[Tensor]| -> Result<[Tensor; 3]> {
            let (logps, entropy) = f(&x[0], &x[1], &targets, temperature)?;
            let both = ((&logps * 0.6)? + (&entropy * -1.7)?)?;
            Ok([logps, entropy, both])
        };
        for (which, name) in ["logps", "entropy", "both"].into_iter().enumerate() {
            let pick = |f: Logps, x: &[Tensor]| Ok(all(f, x)?[which].clone());
            let pair: [Op; 2] = [&|x| pick(ops::token_logps, x), &|x| pick(composed::token_logps, x)];
            let what = format!("token_logps {rows} {h} {v}, {name}");
            same(&what, &vars, pair[0], pair[1]);
            if rows * v < 100 {
                true_to(&what, &vars, pair, &|x| {
                    let logits = oracle::linear(&x[0], &x[1], None, h);
                    let (logps, entropy) = oracle::token_logps(&logits, v, &targets, temperature);
                    let both = logps.iter().zip(&entropy).map(|(l, e)| 0.6 * l - 1.7 * e).collect();
                    [logps, entropy, both][which].clone()
                });
            }
        }
    }
}

/// Heads without gradient: the operation in pieces, as on a GPU, and the one over quantized blocks.
#[test]
fn entropies_of_frozen_heads_have_gradients() {
    let mut random = Random::new(14);
    let (x, w) = (random.var(&[150, 32]), random.var(&[60, 32]).as_tensor().detach());
    let targets: Vec<u32> = (0..150).map(|i| i * 7 % 60).collect();
    let blocks = Weight::Quant(Arc::new(Quantized::quantize(Kind::Q8_0, 60, 32, &flat(&w)).unwrap()));
    let unpacked = blocks.to_dense().unwrap();
    let both = |(logps, entropy): (Tensor, Tensor)| (logps * 0.6)? + (entropy * 1.7)?;
    let pieces: Op = &|v| {
        let _only = composed::Only::here();
        both(ops::token_logps(&v[0], &w, &targets, 0.8)?)
    };
    same("pieces", std::slice::from_ref(&x), pieces, &|v| both(composed::token_logps(&v[0], &w, &targets, 0.8)?));
    let vars = [x];
    let (_, _, packed) = run(&|v| both(ops::head_logps(&v[0], &blocks, &targets, 0.8)?), &vars);
    let (_, _, want) = run(&|v| both(composed::token_logps(&v[0], &unpacked, &targets, 0.8)?), &vars);
    // Blocks round the activations to eight bits on the way.
    close("blocks", &flat(&packed[0]), &wide(&want[0]), 2e-2);
}

/// Masked tokens (zero gradient) are skipped backward; the rest must not notice.
#[test]
fn token_logps_with_masked_rows() {
    let mut random = Random::new(10);
    let (x, w) = (random.var(&[200, 12]), random.var(&[50, 12]));
    let targets: Vec<u32> = (0..200).map(|i| i % 50).collect();
    let mask: Vec<f32> = (0..200).map(|i| if i % 3 == 0 { 0.5 } else { 0. }).collect();
    let mask = Tensor::new(mask, &Device::Cpu).unwrap();
    same("masked", &[x, w], &|v| ops::token_logps(&v[0], &v[1], &targets, 1.)?.0 * &mask, &|v| {
        composed::token_logps(&v[0], &v[1], &targets, 1.)?.0 * &mask
    });
}

/// Same input, same bits; and rows that do not depend on their neighbours where the documentation says so.
#[test]
fn bits_repeat() {
    let mut random = Random::new(11);
    let vars = [random.var(&[4, 60, 6, 32]), random.var(&[4, 60, 2, 32]), random.var(&[4, 60, 2, 32])];
    let mask = Mask::Causal { offset: 0, start: vec![0, 3, 0, 59] };
    let op: Op = &|v| ops::attention(&v[0], &v[1], &v[2], &mask, 0.2);
    let bits = |r: (Tensor, Vec<f64>, Vec<Tensor>)| [&[r.0], &r.2[..]].concat().iter().map(flat).collect::<Vec<_>>();
    assert_eq!(bits(run(op, &vars)), bits(run(op, &vars)));
    let (x, w) = (random.var(&[300, 128]), random.var(&[200, 128]));
    let linear = |rows: usize, from: usize| flat(&ops::linear(&x.narrow(0, from, rows).unwrap(), &w).unwrap());
    assert_eq!(linear(300, 0), linear(300, 0));
    for rows in 1..=16 {
        assert_eq!(linear(rows, 10)[(rows - 1) * 200..], linear(1, 9 + rows)[..], "{rows} rows");
    }
    // Decoding rows have the same bits in a batch of any size.
    let step = |rows: usize, from: usize| {
        let x = x.narrow(0, from, rows).unwrap().unsqueeze(1).unwrap();
        flat(&ops::linear(&x, &w).unwrap())
    };
    for rows in [1, 2, 5, 16, 17, 40, 131] {
        for row in [0, rows / 2, rows - 1] {
            assert_eq!(step(rows, 7)[row * 200..][..200], linear(1, 7 + row)[..], "{rows} decoding rows");
        }
    }
    // Neither do rows of larger products with the version of `gemm` that is pinned, whatever their number.
    let bias = random.var(&[200]);
    let biased = |rows: usize| flat(&ops::linear_bias(&x.narrow(0, 1, rows).unwrap(), &w, &bias).unwrap());
    for rows in [17, 40, 64, 65, 100, 299] {
        assert_eq!(linear(rows, 1)[..], linear(299, 1)[..rows * 200], "{rows} rows");
        assert_eq!(biased(rows)[..], biased(299)[..rows * 200], "{rows} rows with a bias");
    }
    // A decoding step of attention does not see the other rows of its batch.
    let one = |b: usize, n: usize| {
        let part = |v: &Var, t: usize| v.narrow(0, b, n).unwrap().narrow(1, 60 - t, t).unwrap();
        let mask = Mask::Causal { offset: 59, start: vec![5; n] };
        flat(&ops::attention(&part(&vars[0], 1), &part(&vars[1], 60), &part(&vars[2], 60), &mask, 0.2).unwrap())
    };
    assert_eq!(one(0, 4)[2 * 192..3 * 192], one(2, 1)[..]);
}

/// Not a number goes in, not a number comes out: a broken step must be noticed.
#[test]
fn nan_is_not_swallowed() {
    let nan = Tensor::new(&[[f32::NAN, 1.], [1., 2.]], &Device::Cpu).unwrap();
    let ones = Tensor::ones(2, DType::F32, &Device::Cpu).unwrap();
    let first = |t: Tensor| flat(&t)[0];
    assert!(first(ops::rms_norm(&nan, &ones, 1e-6).unwrap()).is_nan());
    assert!(first(ops::layer_norm(&nan, &ones, &ones, 1e-6).unwrap()).is_nan());
    for f in [ops::quick_gelu, ops::gelu_tanh, ops::gelu_erf] {
        assert!(first(f(&nan).unwrap()).is_nan());
    }
    assert!(first(ops::swiglu(&nan, &nan).unwrap()).is_nan());
    assert!(first(ops::token_logps(&nan, &nan, &[0, 1], 1.).unwrap().0).is_nan());
    for t in [1, 2] {
        let q = nan.narrow(0, 0, t).unwrap().reshape((1, t, 1, 2)).unwrap();
        let mask = Mask::Causal { offset: 0, start: vec![0] };
        assert!(first(ops::attention(&q, &q, &q, &mask, 1.).unwrap()).is_nan());
    }
}

#[test]
fn wrong_shapes_are_errors_that_name_them() {
    let t = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let says = |r: Result<Tensor>, part: &str| {
        let text = r.unwrap_err().to_string();
        assert!(text.contains(part), "{text:?} does not mention {part:?}");
    };
    says(ops::rms_norm(&t(&[2, 3]), &t(&[4]), 1e-6), "[4]");
    says(ops::layer_norm(&t(&[2, 3]), &t(&[3]), &t(&[2]), 1e-6), "[2]");
    says(ops::linear(&t(&[2, 3]), &t(&[5, 4])), "[5, 4]");
    says(ops::linear_bias(&t(&[2, 3]), &t(&[5, 3]), &t(&[3])), "[3]");
    says(ops::rope(&t(&[1, 2, 1, 3]), &t(&[1, 2, 3]), &t(&[1, 2, 3])), "even");
    says(ops::swiglu(&t(&[2]), &t(&[3])), "[3]");
    says(ops::embedding(&[0, 9], &t(&[5, 2])), "token id 9 at position 1");
    says(ops::token_logps(&t(&[1, 2]), &t(&[5, 2]), &[5], 1.).map(|r| r.0), "token id 5");
    says(ops::token_logps(&t(&[1, 2]), &t(&[5, 2]), &[0], 0.).map(|r| r.0), "temperature");
    let (q, k) = (t(&[1, 2, 3, 4]), t(&[1, 2, 2, 4]));
    says(ops::attention(&q, &k, &k, &Mask::Causal { offset: 0, start: vec![0] }, 1.), "[1, 2, 2, 4]");
    let k = t(&[1, 2, 1, 4]);
    says(ops::attention(&q, &k, &k, &Mask::Causal { offset: 1, start: vec![0] }, 1.), "3 keys");
    says(ops::attention(&q, &k, &k, &Mask::Segments { cu: vec![0, 1] }, 1.), "[0, 1]");
    says(ops::attention(&q, &k, &k, &Mask::Full { keys: 3 }, 1.), "3 keys for 2");
    for cu in [vec![], vec![0, 2], vec![1, 3], vec![2, 1, 2]] {
        says(ops::attention(&q, &k, &k, &Mask::Tails { cu: cu.clone() }, 1.), &format!("{cu:?}"));
    }
    let prompt =
        |slots: &[usize], d| [ops::Shared { keys: t(&[7, 1, d]), values: t(&[7, 1, d]), slots: slots.to_vec() }];
    let shared = |slots: &[usize], d, len| ops::shared_attention(&q, &k, &k, &prompt(slots, d), len, 1.);
    assert!(shared(&[0], 4, 2).is_ok());
    says(shared(&[0], 5, 2), "[7, 1, 5]");
    says(shared(&[1], 4, 2), "Some(1)");
    says(shared(&[0, 0], 4, 2), "2 tails");
    says(shared(&[0], 4, 3), "tails of 2");
}
