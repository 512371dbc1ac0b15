#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Against candle's own blocks and dequantisation.

use super::*;

fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2654435761).wrapping_add(12345);
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 2.
        })
        .collect()
}

const KINDS: [Kind; 3] = [Kind::Q4K, Kind::Q6K, Kind::Q8_0];

fn made(kind: Kind, rows: usize, cols: usize) -> (Vec<u8>, Quantized, Vec<f32>) {
    let blocks = blocks_of(kind, rows, cols, &noise(rows * cols, 7)).unwrap();
    let w = Quantized::from_blocks(kind, rows, cols, &blocks).unwrap();
    let tensor = Tensor::from_vec(noise(rows * cols, 7), (rows, cols), &Device::Cpu).unwrap();
    let theirs = QTensor::quantize(&tensor, kind.ggml()).unwrap().dequantize(&Device::Cpu).unwrap();
    (blocks, w, theirs.flatten_all().unwrap().to_vec1().unwrap())
}

#[test]
fn blocks_come_back_and_rows_are_candles() {
    for kind in KINDS {
        for (rows, cols) in [(1, 256), (16, 512), (37, 768)] {
            let (blocks, w, dense) = made(kind, rows, cols);
            assert_eq!(w.to_blocks(), blocks, "{kind:?}");
            assert_eq!(w.dequantize().unwrap(), dense, "{kind:?}");
            let ids = [rows as u32 - 1, 0];
            let some = w.gather(&ids).unwrap();
            assert_eq!(some[..cols], dense[(rows - 1) * cols..]);
            assert_eq!(some[cols..], dense[..cols]);
            assert!(w.gather(&[rows as u32]).is_err());
            let again = Quantized::from_packed(kind, rows, cols, w.packed().to_vec().into()).unwrap();
            assert_eq!(again.to_blocks(), blocks);
        }
    }
}

#[test]
fn random_blocks_come_back_bit_for_bit() {
    for kind in KINDS {
        let n = 3 * 2 * 256 / kind.block() * kind.block_bytes();
        let blocks: Vec<u8> = noise(n, 3).iter().map(|x| (x.to_bits() >> 3) as u8).collect();
        let w = Quantized::from_blocks(kind, 3, 512, &blocks).unwrap();
        assert_eq!(w.to_blocks(), blocks, "{kind:?}");
    }
}

/// Products by plain loops in f64.
fn plain(x: &[f32], w: &[f32], cols: usize) -> Vec<f64> {
    x.chunks(cols)
        .flat_map(|x| w.chunks(cols).map(move |w| x.iter().zip(w).map(|(x, w)| *x as f64 * *w as f64).sum()))
        .collect()
}

#[test]
fn products_are_those_of_the_dequantized_weights() {
    for kind in KINDS {
        let (rows, cols) = (53, 768);
        let (_, w, dense) = made(kind, rows, cols);
        for m in [1, 2, 3, 7, 8, 9, 31] {
            let x = noise(m * cols, m as u64);
            let want = plain(&x, &dense, cols);
            let mut got = vec![0f32; m * rows];
            w.forward(&x, &mut got);
            let mut acc = Vec::new();
            let mut slow = vec![0f32; m * rows];
            for s in 0..rows.div_ceil(STRIP) {
                portable::products(w.strip(s), &x, cols, &mut acc, |i, v| {
                    let n = v.len().min(rows - s * STRIP);
                    slow[i * rows + s * STRIP..][..n].copy_from_slice(&v[..n]);
                });
            }
            for (i, want) in want.iter().enumerate() {
                assert!(
                    (got[i] as f64 - want).abs() < 2.5e-3 + 1e-5 * want.abs(),
                    "{kind:?} {m} {i}: {} {want}",
                    got[i]
                );
                assert!(
                    (slow[i] as f64 - want).abs() < 1e-4 + 1e-6 * want.abs(),
                    "{kind:?} {m} {i}: {} {want}",
                    slow[i]
                );
            }
            // A row alone has the bits it has among others.
            for r in 0..m {
                let mut alone = vec![0f32; rows];
                w.forward(&x[r * cols..(r + 1) * cols], &mut alone);
                assert_eq!(alone, got[r * rows..(r + 1) * rows]);
            }
        }
    }
}

#[test]
fn gradients_are_those_of_the_dequantized_weights() {
    for kind in KINDS {
        let (rows, cols, m) = (300, 512, 5);
        let (_, w, dense) = made(kind, rows, cols);
        let g = noise(m * rows, 9);
        let mut dx = vec![1f32; m * cols];
        w.backward(&g, &mut dx).unwrap();
        for r in 0..m {
            for c in 0..cols {
                let want: f64 = (0..rows).map(|n| g[r * rows + n] as f64 * dense[n * cols + c] as f64).sum();
                assert!((dx[r * cols + c] as f64 - 1. - want).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn a_broken_input_breaks_its_own_row_only() {
    let (_, w, _) = made(Kind::Q4K, 20, 256);
    let mut x = noise(2 * 256, 1);
    x[300] = f32::NAN;
    let mut out = vec![0f32; 40];
    w.forward(&x, &mut out);
    assert!(out[..20].iter().all(|x| x.is_finite()) && out[20..].iter().all(|x| x.is_nan()));
}

#[test]
fn widths_and_sizes_are_checked() {
    assert!(Quantized::quantize(Kind::Q4K, 2, 96, &[0.; 192]).unwrap_err().message.contains("multiple of 256"));
    assert!(Quantized::from_blocks(Kind::Q8_0, 2, 32, &[0; 67]).unwrap_err().message.contains("expected 68"));
    assert!(Quantized::from_packed(Kind::Q8_0, 2, 32, vec![0; 1].into()).is_err());
}
