//! Sine, cosine and hashes that are the same on every platform: a picture must not depend on the system's libm.

/// Sine and cosine; the error is below 2e-6 for |x| < 1e3.
pub(crate) fn sin_cos(x: f32) -> (f32, f32) {
    let x = if x.is_finite() { f64::from(x) } else { 0.0 };
    let k = (x * std::f64::consts::FRAC_2_PI).round();
    let r = (x - k * std::f64::consts::FRAC_PI_2) as f32;
    let r2 = r * r;
    let sin = r * (1.0 + r2 * (-1.666_666_5e-1 + r2 * (8.332_161e-3 - r2 * 1.951_529_6e-4)));
    let cos = 1.0 + r2 * (-0.5 + r2 * (4.166_664_6e-2 + r2 * (-1.388_731_6e-3 + r2 * 2.443_315_7e-5)));
    match (k as i64).rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// Tangent for angles inside ±π/2.
pub(crate) fn tan(x: f32) -> f32 {
    let (s, c) = sin_cos(x);
    s / c.max(1e-4)
}

/// A well-mixed function of two numbers (the finaliser of MurmurHash3).
pub(crate) fn hash(a: u32, b: u32) -> u32 {
    let mut h = a.wrapping_mul(0x9E37_79B1) ^ b.wrapping_add(0x7F4A_7C15).wrapping_mul(0x85EB_CA6B);
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// [`hash`] as a number in [0, 1).
pub(crate) fn unit(a: u32, b: u32) -> f32 {
    (hash(a, b) >> 8) as f32 / 16_777_216.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_libm() {
        for i in -4000..4000 {
            let x = i as f32 * 0.025;
            let (s, c) = sin_cos(x);
            assert!((f64::from(s) - f64::from(x).sin()).abs() < 2e-6, "sin {x}");
            assert!((f64::from(c) - f64::from(x).cos()).abs() < 2e-6, "cos {x}");
        }
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
    }
}
