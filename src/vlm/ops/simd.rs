//! Vector arithmetic for the fused CPU operations: plain loops, compiled three times and chosen at run time.
//!
//! The default build targets the oldest x86-64 (SSE2, no FMA). `multiversion!` compiles a body again for AVX2 and
//! AVX-512 and picks one by CPUID, which gives 2-4x on the loops around the matrix products. Results are identical for
//! the same machine and input; between instruction sets they differ by rounding.

/// Instruction sets that a body is compiled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::vlm) enum Level {
    /// What the build targets.
    Base,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    V3,
    /// AVX-512 F, BW, DQ, VL.
    #[cfg(target_arch = "x86_64")]
    V4,
}

/// The best level of this machine.
#[inline]
pub(in crate::vlm) fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            return Level::V4;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Level::V3;
        }
    }
    Level::Base
}

/// Defines a function whose body is compiled for every [`Level`] and dispatched at run time. Inside the body the
/// constant `FMA` says whether a fused multiply-add is one instruction; pass it on to the helpers of this module.
macro_rules! multiversion {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        pub(in crate::vlm) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters)]
            fn body<const FMA: bool>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn v4($($arg: $ty),*) $(-> $ret)? { body::<true>($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn v3($($arg: $ty),*) $(-> $ret)? { body::<true>($($arg),*) }

            match $crate::vlm::ops::simd::level() {
                // SAFETY: `level` returned V4 or V3 only after finding each of these features on this machine.
                #[cfg(target_arch = "x86_64")]
                $crate::vlm::ops::simd::Level::V4 => unsafe { v4($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::vlm::ops::simd::Level::V3 => unsafe { v3($($arg),*) },
                $crate::vlm::ops::simd::Level::Base => body::<{ cfg!(target_feature = "fma") || cfg!(target_arch = "aarch64") }>($($arg),*),
            }
        }
    };
}
pub(in crate::vlm) use multiversion;

/// Lanes of the accumulators: one AVX-512 register, two of AVX2, four of SSE or NEON.
pub(in crate::vlm) const LANES: usize = 16;

/// `a * b + c`, fused where that is one instruction.
#[inline(always)]
pub(in crate::vlm) fn madd<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Sum of the lanes in a fixed order.
#[inline(always)]
pub(in crate::vlm) fn lane_sum(lanes: [f32; LANES]) -> f32 {
    let mut half = [0f32; LANES / 2];
    for i in 0..LANES / 2 {
        half[i] = lanes[i] + lanes[i + LANES / 2];
    }
    let quarter = [half[0] + half[4], half[1] + half[5], half[2] + half[6], half[3] + half[7]];
    (quarter[0] + quarter[2]) + (quarter[1] + quarter[3])
}

/// Folds `f` over slices of equal length in parallel lanes: the order of the sum depends on the length only.
#[inline(always)]
pub(in crate::vlm) fn sum_of<const N: usize>(xs: [&[f32]; N], f: impl Fn([f32; N], f32) -> f32) -> f32 {
    let n = xs[0].len();
    let mut lanes = [0f32; LANES];
    let whole = n - n % LANES;
    let mut i = 0;
    while i < whole {
        let parts = xs.map(|x| &x[i..i + LANES]);
        for lane in 0..LANES {
            lanes[lane] = f(parts.map(|part| part[lane]), lanes[lane]);
        }
        i += LANES;
    }
    let total = lane_sum(lanes);
    (whole..n).fold(total, |total, i| f(xs.map(|x| x[i]), total))
}

/// Inner product; the order of the sum depends on the length only.
#[inline(always)]
pub(in crate::vlm) fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut lanes = [[0f32; LANES]; 4];
    let (a4, b4) = (a.chunks_exact(4 * LANES), b.chunks_exact(4 * LANES));
    let (a_rest, b_rest) = (a4.remainder(), b4.remainder());
    for (a, b) in a4.zip(b4) {
        for (k, lanes) in lanes.iter_mut().enumerate() {
            for lane in 0..LANES {
                lanes[lane] = madd::<FMA>(a[k * LANES + lane], b[k * LANES + lane], lanes[lane]);
            }
        }
    }
    let (a1, b1) = (a_rest.chunks_exact(LANES), b_rest.chunks_exact(LANES));
    let (a_tail, b_tail) = (a1.remainder(), b1.remainder());
    for (a, b) in a1.zip(b1) {
        for lane in 0..LANES {
            lanes[0][lane] = madd::<FMA>(a[lane], b[lane], lanes[0][lane]);
        }
    }
    let mut sum = [0f32; LANES];
    for lane in 0..LANES {
        sum[lane] = (lanes[0][lane] + lanes[1][lane]) + (lanes[2][lane] + lanes[3][lane]);
    }
    let mut total = lane_sum(sum);
    for (a, b) in a_tail.iter().zip(b_tail) {
        total = madd::<FMA>(*a, *b, total);
    }
    total
}

/// Inner products of one row with four, each summed in an order that depends on the length alone, the same as in
/// [`dot1`]. The accumulators have names: as an array of arrays they would live in memory.
#[inline(always)]
pub(in crate::vlm) fn dot4<const FMA: bool>(x: [&[f32]; 4], w: &[f32]) -> [f32; 4] {
    let n = w.len();
    let [x0, x1, x2, x3] = x.map(|x| &x[..n]);
    let (mut s0, mut s1, mut s2, mut s3) = ([0f32; LANES], [0f32; LANES], [0f32; LANES], [0f32; LANES]);
    let whole = n - n % LANES;
    let mut i = 0;
    while i < whole {
        let w = &w[i..i + LANES];
        let (x0, x1, x2, x3) = (&x0[i..i + LANES], &x1[i..i + LANES], &x2[i..i + LANES], &x3[i..i + LANES]);
        for lane in 0..LANES {
            s0[lane] = madd::<FMA>(x0[lane], w[lane], s0[lane]);
            s1[lane] = madd::<FMA>(x1[lane], w[lane], s1[lane]);
            s2[lane] = madd::<FMA>(x2[lane], w[lane], s2[lane]);
            s3[lane] = madd::<FMA>(x3[lane], w[lane], s3[lane]);
        }
        i += LANES;
    }
    let tail = |s: [f32; LANES], x: &[f32]| (whole..n).fold(lane_sum(s), |sum, i| madd::<FMA>(x[i], w[i], sum));
    [tail(s0, x0), tail(s1, x1), tail(s2, x2), tail(s3, x3)]
}

/// One inner product with the bits of [`dot4`].
#[inline(always)]
pub(in crate::vlm) fn dot1<const FMA: bool>(x: &[f32], w: &[f32]) -> f32 {
    sum_of([x, w], |[x, w], sum| madd::<FMA>(x, w, sum))
}

/// `y += a * x`.
#[inline(always)]
pub(in crate::vlm) fn axpy<const FMA: bool>(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = madd::<FMA>(a, *x, *y);
    }
}

/// Largest element, ignoring NaN; negative infinity when there is none.
#[inline(always)]
pub(in crate::vlm) fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    let most = lanes.iter().fold(f32::NEG_INFINITY, |m, x| larger(m, *x));
    rest.iter().fold(most, |m, x| larger(m, *x))
}

/// `e^x` to 2 ulp: 0 below -87.3, about 2.4e38 above 88.3, NaN stays NaN.
///
/// Range reduction by ln 2 in two parts and the degree-6 polynomial of the Cephes library.
#[inline(always)]
pub(in crate::vlm) fn exp<const FMA: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.; // 1.5 * 2^23: adding it rounds to the nearest integer
    let clamped = if x > 88.3 { 88.3 } else { x }; // comparisons are false for NaN, which therefore passes through
    let clamped = if clamped < -87.3 { -87.3 } else { clamped };
    let shifted = madd::<FMA>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = madd::<FMA>(n, -0.693_359_4, clamped);
    let r = madd::<FMA>(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    p = madd::<FMA>(p, r, 1.398_2e-3);
    p = madd::<FMA>(p, r, 8.333_452e-3);
    p = madd::<FMA>(p, r, 4.166_579_6e-2);
    p = madd::<FMA>(p, r, 1.666_666_5e-1);
    p = madd::<FMA>(p, r, 0.5);
    let p = madd::<FMA>(p, r * r, r) + 1.;
    let scale = f32::from_bits((shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
    if x < -87.3 { 0. } else { p * scale }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(in crate::vlm) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1. / (1. + exp::<FMA>(-x))
}

/// The error function to about 1 ulp (two-piece minimax fit published by N. Juffa, 2016).
#[inline(always)]
pub(in crate::vlm) fn erf<const FMA: bool>(a: f32) -> f32 {
    let (t, s) = (a.abs(), a * a);
    let big = {
        let r = madd::<FMA>(-1.728_534_7e-5, t, 3.831_971_3e-4);
        let u = madd::<FMA>(-3.883_964_4e-3, t, 2.425_462_2e-2);
        let r = madd::<FMA>(r, s, u);
        let r = madd::<FMA>(r, t, -1.067_778_8e-1);
        let r = madd::<FMA>(r, t, -6.348_468_7e-1);
        let r = madd::<FMA>(r, t, -1.287_175_1e-1);
        let r = madd::<FMA>(r, t, -t);
        (1. - exp::<FMA>(r)).copysign(a)
    };
    let small = {
        let r = -5.967_617e-4;
        let r = madd::<FMA>(r, s, 4.991_194_2e-3);
        let r = madd::<FMA>(r, s, -2.676_813_5e-2);
        let r = madd::<FMA>(r, s, 1.128_199_3e-1);
        let r = madd::<FMA>(r, s, -3.761_253_4e-1);
        let r = madd::<FMA>(r, s, 1.283_791_7e-1);
        madd::<FMA>(r, a, a)
    };
    if t > 0.927_734_4 { big } else { small }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    multiversion! {
        fn exps(x: &[f32], out: &mut [f32]) {
            for (o, x) in out.iter_mut().zip(x) { *o = exp::<FMA>(*x); }
        }
    }
    multiversion! {
        fn erfs(x: &[f32], out: &mut [f32]) {
            for (o, x) in out.iter_mut().zip(x) { *o = erf::<FMA>(*x); }
        }
    }

    /// erf by its Maclaurin series in f64 (good to 1e-13 for |x| < 3) and 1 beyond 6.
    fn erf_series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        sum * 2. / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn exp_is_accurate_and_keeps_nan() {
        let x: Vec<f32> = (0..200_001).map(|i| -87. + i as f32 * 175e-5 * 0.5).collect();
        let mut y = vec![0.; x.len()];
        exps(&x, &mut y);
        for (x, y) in x.iter().zip(&y) {
            let want = (*x as f64).exp();
            assert!(((*y as f64 - want) / want).abs() < 2.5e-7, "{x}: {y} {want}");
        }
        let mut y = [1.; 5];
        exps(&[f32::NAN, -1e9, f32::NEG_INFINITY, 0., f32::INFINITY], &mut y);
        assert!(y[0].is_nan() && y[1] == 0. && y[2] == 0. && y[3] == 1. && y[4] > 1e38);
    }

    #[test]
    fn erf_is_accurate() {
        let x: Vec<f32> = (-30_000..=30_000).map(|i| i as f32 * 1e-4).collect();
        let mut y = vec![0.; x.len()];
        erfs(&x, &mut y);
        for (x, y) in x.iter().zip(&y) {
            let want = erf_series(*x as f64);
            assert!((*y as f64 - want).abs() <= 2e-7 * want.abs(), "{x}: {y} {want}");
        }
        let mut y = [0.; 3];
        erfs(&[7., -20., f32::NAN], &mut y);
        assert!(y[0] == 1. && y[1] == -1. && y[2].is_nan());
    }

    #[test]
    fn dot_and_max_match_the_plain_loops() {
        for n in [0, 1, 15, 16, 17, 63, 64, 65, 200] {
            let a: Vec<f32> = (0..n).map(|i| ((i * 37 % 101) as f32 - 50.) / 50.).collect();
            let b: Vec<f32> = (0..n).map(|i| ((i * 53 % 97) as f32 - 48.) / 50.).collect();
            let want: f64 = a.iter().zip(&b).map(|(a, b)| *a as f64 * *b as f64).sum();
            assert!((dot::<false>(&a, &b) as f64 - want).abs() < 1e-5);
            assert_eq!(max(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
