//! A frozen weight, dense or quantized, and its adapter in one operation.

use super::*;
use reinsman::vlm::quant::{Kind, Quantized};
use std::sync::Arc;

#[test]
fn adapted_linears_match() {
    let mut random = Random::new(12);
    for case in 0..30 {
        let (inner, outer, r) = (random.pick(&WIDTHS), random.pick(&WIDTHS), random.pick(&[1, 2, 5, 16]));
        let dims = [1 + random.below(3), random.pick(&[1, 2, 5, 30, 100]), inner];
        let (w, bias) = (random.var(&[outer, inner]).detach(), random.var(&[outer]).detach());
        let vars = [random.var(&dims), random.var(&[r, inner]), random.var(&[outer, r])];
        let bias = [Some(&bias), None][case % 2];
        let fused: Op = &|v| ops::lora_linear(&v[0], &w, bias, &v[1], &v[2], 0.7);
        let composed: Op = &|v| composed::lora_linear(&v[0], &w, bias, &v[1], &v[2], 0.7);
        same(&format!("case {case} {dims:?} -> {outer}, rank {r}"), &vars, fused, composed);
    }
    for (case, kind) in Kind::ALL.into_iter().cycle().take(9).enumerate() {
        let (inner, outer, r) = (512, random.pick(&[33, 64, 257]), random.pick(&[1, 5, 16]));
        let weights = random.var(&[outer, inner]).flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let packed = Arc::new(Quantized::quantize(kind, outer, inner, &weights).unwrap());
        let dense = Tensor::from_vec(packed.dequantize().unwrap(), (outer, inner), &Device::Cpu).unwrap();
        let vars = [random.var(&[3, 7, inner]), random.var(&[r, inner]), random.var(&[outer, r])];
        let bias = random.var(&[outer]).detach();
        let bias = [Some(&bias), None][case % 2];
        let fused: Op = &|v| ops::quantized_lora_linear(&v[0], &packed, bias, &v[1], &v[2], 0.7);
        let composed: Op = &|v| composed::lora_linear(&v[0], &dense, bias, &v[1], &v[2], 0.7);
        let ((y, _, grads), (want, _, want_grads)) = (run(fused, &vars), run(composed, &vars));
        close(&format!("{kind:?} {outer}, rank {r}"), &flat(&y), &wide(&want), 1e-4);
        for (i, (g, w)) in grads.iter().zip(&want_grads).enumerate() {
            close(&format!("{kind:?} {outer}, rank {r}, gradient {i}"), &flat(g), &wide(w), 1e-4);
        }
    }
    // What is frozen gets no gradient, and a row of a small batch has the bits it has alone.
    let (x, w) = (random.var(&[9, 64]), random.var(&[40, 64]).detach());
    let (a, b) = (random.var(&[3, 64]), random.var(&[40, 3]));
    let grads = ops::lora_linear(&x.detach(), &w, None, &a, &b.detach(), 1.).unwrap().sum_all().unwrap();
    let grads = grads.backward().unwrap();
    assert!(grads.get(&a).is_some() && grads.get(&x).is_none() && grads.get(&b).is_none());
    let rows = |from, n| flat(&ops::lora_linear(&x.narrow(0, from, n).unwrap(), &w, None, &a, &b, 1.).unwrap());
    assert_eq!(rows(0, 9)[5 * 40..6 * 40], rows(5, 1)[..]);
}
