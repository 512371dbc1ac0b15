//! Smoothness (Bench2Drive): the share of pieces of 20 samples in which six signals stay within the bounds of nuPlan's
//! comfort metric. Signals are smoothed by a Savitzky-Golay filter of window 7 and order 2 within each piece.

use rewards::pdm::savgol::SavGol;

/// Samples of a piece, 0.1 s apart.
pub const PIECE: usize = 20;
const WINDOW: usize = 7;
const ORDER: usize = 2;

/// Ego at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Felt {
    /// Longitudinal acceleration, m/s².
    pub lon: f64,
    /// Lateral acceleration, m/s².
    pub lat: f64,
    /// Yaw rate, rad/s.
    pub yaw_rate: f64,
}

/// How yaw acceleration is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As the published script: yaw rate smoothed twice and held against the bound of yaw acceleration.
    Compat,
    /// The derivative of the yaw rate.
    Fixed,
}

/// Share of whole pieces in which every bound holds; `None` for drives shorter than a piece.
pub fn comfort(felt: &[Felt], mode: Mode) -> Option<f64> {
    let value = SavGol::new(WINDOW, ORDER, 0);
    let slope = SavGol::new(WINDOW, ORDER, 1);
    let pieces = felt.chunks_exact(PIECE);
    let count = pieces.len();
    let good = pieces.filter(|piece| passes(piece, mode, &value, &slope)).count();
    (count > 0).then(|| good as f64 / count as f64)
}

fn passes(piece: &[Felt], mode: Mode, value: &SavGol, slope: &SavGol) -> bool {
    let filtered = |filter: &SavGol, signal: &[f64]| {
        let mut out = vec![0.0; signal.len()];
        filter.apply(signal, &mut out);
        out
    };
    let signal = |f: fn(&Felt) -> f64| -> Vec<f64> { piece.iter().map(f).collect() };
    let (lon, lat, yaw) = (signal(|f| f.lon), signal(|f| f.lat), signal(|f| f.yaw_rate));
    let size: Vec<f64> = piece.iter().map(|f| f.lon.hypot(f.lat)).collect();
    let yaw_rate = filtered(value, &yaw);
    let yaw_acceleration = match mode {
        Mode::Compat => filtered(value, &yaw_rate),
        Mode::Fixed => filtered(slope, &yaw),
    };
    let within = |signal: &[f64], low: f64, high: f64| signal.iter().all(|&v| v > low && v < high);
    within(&filtered(value, &lon), -4.05, 2.40)
        && within(&filtered(value, &lat), -4.89, 4.89)
        && within(&filtered(slope, &size), -8.37, 8.37)
        && within(&filtered(slope, &lon), -4.13, 4.13)
        && within(&yaw_acceleration, -1.93, 1.93)
        && within(&yaw_rate, -0.95, 0.95)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(pieces: usize, f: impl Fn(f64) -> Felt) -> Vec<Felt> {
        (0..pieces * PIECE).map(|i| f(i as f64 * 0.1)).collect()
    }

    #[test]
    fn each_bound_by_hand() {
        let both = |felt: &[Felt]| (comfort(felt, Mode::Compat), comfort(felt, Mode::Fixed));
        assert_eq!(both(&drive(3, |_| Felt::default())), (Some(1.0), Some(1.0)));
        assert_eq!(both(&[Felt::default(); PIECE - 1]), (None, None));
        let lon = |a: f64| drive(1, move |_| Felt { lon: a, ..Felt::default() });
        assert_eq!(both(&lon(2.3)).0, Some(1.0));
        assert_eq!(both(&lon(2.5)).0, Some(0.0));
        assert_eq!(both(&lon(-4.0)).0, Some(1.0));
        assert_eq!(both(&lon(-4.1)).0, Some(0.0));
        assert_eq!(both(&drive(1, |_| Felt { lat: 5.0, ..Felt::default() })).0, Some(0.0));
        // A ramp of 4.5 m/s³ over 1.9 s from -4: longitudinal jerk alone; half of it passes.
        let ramp = |j: f64| drive(1, move |t| Felt { lon: -1.9 + j * (t - 0.95), ..Felt::default() });
        assert_eq!(both(&ramp(1.9)).0, Some(1.0));
        assert_eq!(both(&drive(1, |t| Felt { lon: -4.0 + 4.5 * t.min(1.3), ..Felt::default() })).0, Some(0.0));
        assert_eq!(both(&drive(1, |_| Felt { yaw_rate: 1.0, ..Felt::default() })).0, Some(0.0));
        // One bad piece of four.
        let mut mixed = drive(4, |_| Felt::default());
        mixed[45].lon = 20.0;
        assert_eq!(both(&mixed).0, Some(0.75));
    }

    #[test]
    fn only_the_fixed_mode_sees_yaw_acceleration() {
        // 0.7 rad/s to and fro within a second: the rate stays under 0.95, its derivative reaches 4.4 rad/s².
        let felt = drive(2, |t| Felt { yaw_rate: 0.7 * (6.3 * t).sin(), ..Felt::default() });
        assert_eq!(comfort(&felt, Mode::Compat), Some(1.0));
        assert_eq!(comfort(&felt, Mode::Fixed), Some(0.0));
    }
}
