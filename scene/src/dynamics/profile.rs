//! The speed and curvature profiles that the tracker feeds forward (spec 3.1, 3.2).
//!
//! Both are regularised least-squares fits whose unknowns the reference takes as an initial value and 39 increments,
//! which makes dense 40 x 40 systems. Written in the profile values themselves each data row touches one unknown and
//! each regulariser row two or three, so the normal equations are banded and take O(n).

use super::{INTERVAL, STEPS};

/// Penalty on the accelerations ("jerk penalty"), spec 3.
const JERK_PENALTY: f64 = 1e-4;
/// Penalty on the initial curvature.
const INITIAL_CURVATURE_PENALTY: f64 = 1e-10;
/// Penalty on the change of curvature, per 1 / (m s).
const CURVATURE_RATE_PENALTY: f64 = 1e-2;

/// The velocity fit's matrix depends on nothing but the step, so it is factored once: `L D L'` with two subdiagonals.
#[derive(Debug, Clone)]
pub(super) struct VelocityFit {
    inverse_pivot: [f64; STEPS],
    /// `L[i, i-1]`.
    below: [f64; STEPS],
    /// `L[i, i-2]`.
    below2: [f64; STEPS],
}

impl VelocityFit {
    /// `overwritten`: the reference's regulariser, which is the identity on the accelerations 1..37 and a difference
    /// only of the last two (pitfall 1); otherwise differences of accelerations throughout.
    pub(super) fn new(overwritten: bool) -> VelocityFit {
        let (h, n) = (INTERVAL, STEPS);
        let mut band = [[0.0; 3]; STEPS]; // band[i][k] = M[i, i-k]
        for row in &mut band {
            row[0] = h * h;
        }
        let mut penalise = |end: usize, weights: &[f64]| {
            let scale = JERK_PENALTY / (h * h);
            for (i, wi) in weights.iter().enumerate() {
                for (j, wj) in weights[..=i].iter().enumerate() {
                    band[end + 1 + i - weights.len()][i - j] += scale * wi * wj;
                }
            }
        };
        if overwritten {
            (1..n - 2).for_each(|k| penalise(k, &[-1.0, 1.0]));
            penalise(n - 1, &[1.0, -2.0, 1.0]);
        } else {
            (2..n).for_each(|k| penalise(k, &[1.0, -2.0, 1.0]));
        }
        let (mut pivot, mut below, mut below2) = ([0.0; STEPS], [0.0; STEPS], [0.0; STEPS]);
        for i in 0..n {
            if i >= 2 {
                below2[i] = band[i][2] / pivot[i - 2];
            }
            if i >= 1 {
                let shared = if i >= 2 { below2[i] * below[i - 1] * pivot[i - 2] } else { 0.0 };
                below[i] = (band[i][1] - shared) / pivot[i - 1];
            }
            pivot[i] = band[i][0];
            if i >= 1 {
                pivot[i] -= below[i] * below[i] * pivot[i - 1];
            }
            if i >= 2 {
                pivot[i] -= below2[i] * below2[i] * pivot[i - 2];
            }
        }
        VelocityFit { inverse_pivot: pivot.map(|p| 1.0 / p), below, below2 }
    }

    /// `along[i]` = displacement i projected on its start heading, metres; replaced by the profile in m/s.
    pub(super) fn solve(&self, along: &mut [f64; STEPS]) {
        let (mut one, mut two) = (0.0, 0.0);
        for (along, (below, below2)) in along.iter_mut().zip(self.below.iter().zip(&self.below2)) {
            let v = *along * INTERVAL - below * one - below2 * two;
            *along = v;
            (two, one) = (one, v);
        }
        let (mut one, mut two) = (0.0, 0.0);
        for i in (0..STEPS).rev() {
            let next = if i + 1 < STEPS { self.below[i + 1] * one } else { 0.0 };
            let after = if i + 2 < STEPS { self.below2[i + 2] * two } else { 0.0 };
            let v = along[i] * self.inverse_pivot[i] - next - after;
            along[i] = v;
            (two, one) = (one, v);
        }
    }
}

/// Speeds in m/s at steps 0..39 that explain the displacements `along[i]` (metres along the start heading of step i).
/// `overwritten`: with the reference's regulariser (pitfall 1).
pub fn velocity_profile(along: &[f64; STEPS], overwritten: bool) -> [f64; STEPS] {
    let mut profile = *along;
    VelocityFit::new(overwritten).solve(&mut profile);
    profile
}

/// Curvatures in 1/m at steps 0..39 that explain the heading changes `turns[i]` (radians) at the given speeds (m/s).
///
/// The matrix is `diag((v_i dt)^2)` plus a chain of springs of stiffness `g` plus a tiny anchor at 0. Elimination from
/// the far end is series connection of springs: only sums and quotients of positive numbers, so nothing cancels even
/// for a car that stands still, where the condition number is 1e13.
pub fn curvature_profile(turns: &[f64; STEPS], speeds: &[f64; STEPS]) -> [f64; STEPS] {
    let g = CURVATURE_RATE_PENALTY / (INTERVAL * INTERVAL);
    let (mut inverse, mut pull) = ([0.0; STEPS], [0.0; STEPS]);
    let (mut stiffness, mut force) = (0.0, 0.0); // of everything beyond step i, seen through its spring
    for i in (0..STEPS).rev() {
        let reach = speeds[i] * INTERVAL;
        let own_stiffness = reach * reach + stiffness;
        let own_force = reach * turns[i] + force;
        if i == 0 {
            stiffness = own_stiffness;
            force = own_force;
            break;
        }
        let share = 1.0 / (own_stiffness + g);
        (inverse[i], pull[i]) = (share, own_force);
        stiffness = g * own_stiffness * share;
        force = g * own_force * share;
    }
    let mut profile = [0.0; STEPS];
    profile[0] = force / (stiffness + INITIAL_CURVATURE_PENALTY);
    for i in 1..STEPS {
        profile[i] = (pull[i] + g * profile[i - 1]) * inverse[i];
    }
    profile
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Solves `M x = y` by Gaussian elimination with pivoting.
    #[allow(clippy::needless_range_loop)]
    fn solve(mut m: Vec<Vec<f64>>, mut y: Vec<f64>) -> Vec<f64> {
        let n = y.len();
        for k in 0..n {
            let p = (k..n).max_by(|&a, &b| m[a][k].abs().total_cmp(&m[b][k].abs())).unwrap_or(k);
            m.swap(k, p);
            y.swap(k, p);
            for i in k + 1..n {
                let f = m[i][k] / m[k][k];
                for j in k..n {
                    m[i][j] -= f * m[k][j];
                }
                y[i] -= f * y[k];
            }
        }
        for k in (0..n).rev() {
            y[k] = (y[k] - (k + 1..n).map(|j| m[k][j] * y[j]).sum::<f64>()) / m[k][k];
        }
        y
    }

    /// The reference's form: unknowns are the initial value and 39 increments, `rows` weights the data.
    fn dense(weights: &[f64], data: &[f64], regulariser: &dyn Fn(usize, usize) -> f64) -> Vec<f64> {
        let n = STEPS;
        let a = |i: usize, j: usize| match j {
            0 => weights[i],
            j if j <= i => weights[i] * INTERVAL,
            _ => 0.0,
        };
        let entry = |j: usize, k: usize| (0..n).map(|i| a(i, j) * a(i, k)).sum::<f64>() + regulariser(j, k);
        let m = (0..n).map(|j| (0..n).map(|k| entry(j, k)).collect()).collect();
        let x = solve(m, (0..n).map(|j| (0..n).map(|i| a(i, j) * data[i]).sum()).collect());
        let mut value = x[0];
        (0..n)
            .map(|k| {
                if k == 0 {
                    value
                } else {
                    value += x[k] * INTERVAL;
                    value
                }
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_banded_velocity_fit_is_the_dense_one(d in prop::collection::vec(-1.0..3.0f64, STEPS), quirk in any::<bool>()) {
            let mut r = vec![vec![0.0; STEPS]; STEPS - 2];
            for (i, row) in r.iter_mut().enumerate() {
                row[i + 1] = -1.0;
                if !quirk || i == STEPS - 3 {
                    row[i + 2] = 1.0;
                }
            }
            let penalty = |j: usize, k: usize| JERK_PENALTY * r.iter().map(|row| row[j] * row[k]).sum::<f64>();
            let truth = dense(&[INTERVAL; STEPS], &d, &penalty);
            let along: [f64; STEPS] = std::array::from_fn(|i| d[i]);
            for (a, b) in velocity_profile(&along, quirk).iter().zip(truth) {
                prop_assert!((a - b).abs() < 1e-9, "{a} {b}");
            }
        }

        #[test]
        fn the_banded_curvature_fit_is_the_dense_one(
            v in prop::collection::vec(-0.5..15.0f64, STEPS),
            turn in prop::collection::vec(-0.1..0.1f64, STEPS),
        ) {
            let penalty = |j: usize, k: usize| match (j == k, j) {
                (true, 0) => INITIAL_CURVATURE_PENALTY,
                (true, _) => CURVATURE_RATE_PENALTY,
                _ => 0.0,
            };
            let weights: Vec<f64> = v.iter().map(|v| v * INTERVAL).collect();
            let truth = dense(&weights, &turn, &penalty);
            let (v, turn) = (std::array::from_fn(|i| v[i]), std::array::from_fn(|i| turn[i]));
            for (a, b) in curvature_profile(&turn, &v).iter().zip(truth) {
                prop_assert!((a - b).abs() < 1e-8, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_car_that_stands_keeps_its_wheels_straight() {
        assert_eq!(curvature_profile(&[0.0; STEPS], &[0.0; STEPS]), [0.0; STEPS]);
        assert!(curvature_profile(&[0.1; STEPS], &[0.0; STEPS]).iter().all(|k| k.is_finite()));
    }
}
