//! Trigonometry that gives the same bits on every machine: only additions, multiplications, divisions and square
//! roots, all of them exactly rounded by IEEE 754. Polynomials after Cephes (Moshier), single precision.

#![allow(clippy::excessive_precision)] // published coefficients

/// Pi.
pub const PI: f32 = std::f32::consts::PI;
/// Added and subtracted, it rounds to the nearest whole number (for magnitudes under 2^22).
const ROUND: f32 = 12_582_912.0;

/// The nearest whole number, halves to even; for magnitudes under 2^22.
#[inline]
pub fn round(x: f32) -> f32 {
    (x + ROUND) - ROUND
}

/// Sine and cosine of an angle under 10^4 radians; absolute error under 2e-7 near zero and 1e-5 at the far end.
#[inline]
pub fn sin_cos(x: f32) -> (f32, f32) {
    let k = round(x * std::f32::consts::FRAC_2_PI);
    let r = ((x - k * 1.5703125) - k * 4.837_512_97e-4) - k * 7.549_789_95e-8;
    let z = r * r;
    let sin = r + r * z * (-1.666_665_46e-1 + z * (8.332_160_87e-3 - z * 1.951_529_59e-4));
    let cos = 1.0 - 0.5 * z + z * z * (4.166_664_57e-2 + z * (-1.388_731_63e-3 + z * 2.443_315_71e-5));
    // Which quarter: k is whole and small, so the cast is exact.
    let quarter = (k as i32) & 3;
    let (s, c) = if quarter & 1 == 0 { (sin, cos) } else { (cos, sin) };
    (if quarter & 2 == 0 { s } else { -s }, if quarter == 1 || quarter == 2 { -c } else { c })
}

/// Sine.
#[inline]
pub fn sin(x: f32) -> f32 {
    sin_cos(x).0
}

/// Cosine.
#[inline]
pub fn cos(x: f32) -> f32 {
    sin_cos(x).1
}

/// Tangent.
#[inline]
pub fn tan(x: f32) -> f32 {
    let (s, c) = sin_cos(x);
    s / c
}

/// Arc tangent.
#[inline]
pub fn atan(x: f32) -> f32 {
    let a = x.abs();
    let (base, r) = if a > 2.414_213_56 {
        (0.5 * PI, -1.0 / a)
    } else if a > 0.414_213_56 {
        (0.25 * PI, (a - 1.0) / (a + 1.0))
    } else {
        (0.0, a)
    };
    let z = r * r;
    let poly = (((8.053_744_5e-2 * z - 1.387_768_56e-1) * z + 1.997_771_06e-1) * z - 3.333_294_9e-1) * z * r + r;
    let y = base + poly;
    if x < 0.0 { -y } else { y }
}

/// Angle of the vector `(x, y)` in `[-pi, pi]`; 0 for the zero vector.
#[inline]
pub fn atan2(y: f32, x: f32) -> f32 {
    if x == 0.0 {
        return if y > 0.0 {
            0.5 * PI
        } else if y < 0.0 {
            -0.5 * PI
        } else {
            0.0
        };
    }
    let a = atan(y / x);
    if x > 0.0 {
        a
    } else if y >= 0.0 {
        a + PI
    } else {
        a - PI
    }
}

/// The same angle in `[-pi, pi]`.
#[inline]
pub fn wrap(angle: f32) -> f32 {
    angle - 2.0 * PI * round(angle * (0.5 / PI))
}

/// e to the power of x; 0 under -87, held at 88.
#[inline]
pub fn exp(x: f32) -> f32 {
    if x < -87.0 {
        return 0.0;
    }
    let x = x.min(88.0);
    let k = round(x * std::f32::consts::LOG2_E);
    let r = (x - k * 0.693_359_375) - k * -2.121_944_4e-4;
    let p =
        ((((1.987_569_1e-4 * r + 1.398_2e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 1.666_666_5e-1) * r + 0.5;
    let y = p * r * r + r + 1.0;
    y * f32::from_bits((((k as i32) + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        for i in -20_000..20_000 {
            let x = i as f32 * 0.013;
            let (s, c) = sin_cos(x);
            let exact = f64::from(x);
            assert!((f64::from(s) - exact.sin()).abs() < 2e-6, "sin {x}");
            assert!((f64::from(c) - exact.cos()).abs() < 2e-6, "cos {x}");
            assert!((f64::from(atan(x)) - exact.atan()).abs() < 3e-7, "atan {x}");
            assert!((wrap(x) - exact.sin().atan2(exact.cos()) as f32).abs() < 5e-5, "wrap {x}");
            let small = x * 0.3;
            let e = f64::from(small).exp();
            assert!((f64::from(exp(small)) - e).abs() <= 3e-7 * e, "exp {small}");
        }
        for (y, x) in [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0), (0.0, -1.0), (2.0, 0.0), (-2.0, 0.0)] {
            assert!((atan2(y, x) - y.atan2(x)).abs() < 1e-6, "atan2 {y} {x}");
        }
        assert_eq!(atan2(0.0, 0.0), 0.0);
        assert_eq!(exp(-100.0), 0.0);
    }
}
