//! Speed-ups over the composed form, printed: `cargo test --release --test ops -- --ignored --nocapture speed`;
//! `OPS_SPEED=attention` in the environment keeps the lines that contain the word.

use super::{Op, Random};
use candle_core::{Result, Tensor, Var};
use reinsman::vlm::ops::{self, Mask, composed};

#[test]
#[ignore = "a measurement"]
fn speed() {
    ops::keep_heap();
    let crossover = [1, 2, 4, 6, 8, 12, 16, 24, 32];
    for (inner, outer) in [(256, 640), (1536, 8960)].into_iter().filter(|_| std::env::var("OPS_SPEED").is_err()) {
        let w = Random::new(1).var(&[outer, inner]);
        for rows in crossover {
            let x = Random::new(2).var(&[rows, inner]);
            let time = |f: fn(&Tensor, &Tensor) -> Result<Tensor>| {
                let (x, w) = (x.as_tensor().detach(), w.as_tensor().detach());
                let one = || {
                    let start = std::time::Instant::now();
                    f(&x, &w).unwrap();
                    start.elapsed().as_secs_f64() * 1e3
                };
                (0..if inner > 1000 { 5 } else { 40 }).map(|_| one()).fold(f64::MAX, f64::min)
            };
            println!(
                "{rows} x {inner} -> {outer}: {:.3} ms, composed {:.3}",
                time(ops::linear),
                time(composed::linear)
            );
        }
    }
    let mut random = Random::new(12);
    let (b, t, h, n, kv, d, inner, v) = (16, 100, 256, 4, 2, 64, 640, 2048);
    let only = std::env::var("OPS_SPEED").unwrap_or_default();
    let race = |name: &str, vars: &[Var], pair: [Op; 2]| {
        if !name.contains(&only) {
            return;
        }
        let time = |op: Op, train: bool| {
            let vars: Vec<Tensor> =
                vars.iter().map(|v| if train { v.as_tensor().clone() } else { v.as_tensor().detach() }).collect();
            let mut best = f64::MAX;
            for _ in 0..15 {
                let start = std::time::Instant::now();
                let y = op(&vars).unwrap();
                if train {
                    y.sum_all().unwrap().backward().unwrap();
                }
                best = best.min(start.elapsed().as_secs_f64());
            }
            best * 1e3
        };
        let ms: Vec<f64> = [true, false].iter().flat_map(|&train| pair.map(|op| time(op, train))).collect();
        println!(
            "{name:<28} fwd+bwd {:8.3} ms, composed {:8.3} ({:4.1}x)   fwd {:8.3} ms, composed {:8.3} ({:4.1}x)",
            ms[0],
            ms[1],
            ms[1] / ms[0],
            ms[2],
            ms[3],
            ms[3] / ms[2]
        );
    };
    for (b, t, s, what) in [(b, t, t, "train"), (1, 1, 150, "decode"), (8, 1, 150, "decode x8")] {
        let name = |op: &str| format!("{what} {op}");
        let x = random.var(&[b, t, h]);
        let w = random.var(&[h]);
        let vars = [x.clone(), w.clone(), random.var(&[h])];
        race(
            &name("rms_norm"),
            &vars[..2],
            [&|v| ops::rms_norm(&v[0], &v[1], 1e-6), &|v| composed::rms_norm(&v[0], &v[1], 1e-6)],
        );
        race(
            &name("layer_norm"),
            &vars,
            [&|v| ops::layer_norm(&v[0], &v[1], &v[2], 1e-6), &|v| composed::layer_norm(&v[0], &v[1], &v[2], 1e-6)],
        );
        let q = random.var(&[b, t, n, d]);
        let (cos, sin) = (random.var(&[b, t, d]), random.var(&[b, t, d]));
        let (cos, sin) = (cos.as_tensor().detach(), sin.as_tensor().detach());
        race(
            &name("rope"),
            std::slice::from_ref(&q),
            [&|v| ops::rope(&v[0], &cos, &sin), &|v| composed::rope(&v[0], &cos, &sin)],
        );
        let vars = [q, random.var(&[b, s, kv, d]), random.var(&[b, s, kv, d])];
        let mask = Mask::Causal { offset: s - t, start: vec![0; b] };
        race(
            &name("attention"),
            &vars,
            [&|v| ops::attention(&v[0], &v[1], &v[2], &mask, 0.125), &|v| {
                composed::attention(&v[0], &v[1], &v[2], &mask, 0.125)
            }],
        );
        let vars = [random.var(&[b, t, inner]), random.var(&[b, t, inner])];
        race(&name("swiglu"), &vars, [&|v| ops::swiglu(&v[0], &v[1]), &|v| composed::swiglu(&v[0], &v[1])]);
        race(&name("gelu_tanh"), &vars[..1], [&|v| ops::gelu_tanh(&v[0]), &|v| composed::gelu_tanh(&v[0])]);
        race(&name("gelu_erf"), &vars[..1], [&|v| ops::gelu_erf(&v[0]), &|v| composed::gelu_erf(&v[0])]);
        let vars = [x.clone(), random.var(&[inner, h]), random.var(&[inner])];
        race(
            &name("linear 256->640"),
            &vars[..2],
            [&|v| ops::linear(&v[0], &v[1]), &|v| composed::linear(&v[0], &v[1])],
        );
        race(
            &name("linear_bias 256->640"),
            &vars,
            [&|v| ops::linear_bias(&v[0], &v[1], &v[2]), &|v| composed::linear_bias(&v[0], &v[1], &v[2])],
        );
        let vars = [x.reshape((b * t, h)).unwrap(), random.var(&[v, h]).as_tensor().clone()];
        let vars: Vec<Var> = vars.iter().map(|v| Var::from_tensor(v).unwrap()).collect();
        let targets: Vec<u32> = (0..b * t).map(|i| (i % v) as u32).collect();
        race(
            &name("token_logps V=2048"),
            &vars,
            [&|x| Ok(ops::token_logps(&x[0], &x[1], &targets, 1.)?.0), &|x| {
                Ok(composed::token_logps(&x[0], &x[1], &targets, 1.)?.0)
            }],
        );
    }
    let vars = [random.var(&[1, 512, 3, 64]), random.var(&[1, 512, 3, 64]), random.var(&[1, 512, 3, 64])];
    let mask = Mask::Segments { cu: vec![0, 128, 256, 384, 512] };
    race(
        "vision attention 4x128",
        &vars,
        [&|v| ops::attention(&v[0], &v[1], &v[2], &mask, 0.125), &|v| {
            composed::attention(&v[0], &v[1], &v[2], &mask, 0.125)
        }],
    );
}
