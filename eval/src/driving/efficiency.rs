//! Driving efficiency (Bench2Drive): the route is cut at 20 checkpoints, and on each piece ego's mean speed is compared
//! with that of the traffic around it.

/// Pieces of a route.
pub const CHECKPOINTS: usize = 20;
/// Values above this are dropped (traffic that stands), percent.
const MOST: f64 = 1000.0;

/// One simulator step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Share of the route done, in `[0, 1]`.
    pub progress: f64,
    /// Ego's speed, m/s.
    pub speed: f64,
    /// Mean speed of the traffic around it, m/s; `None` when there is none.
    pub background: Option<f64>,
}

/// Percent of the traffic's speed on a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Efficiency {
    /// Mean over the checkpoints passed that have a value; `None` without any. This is the published number: a car that
    /// stands has none.
    pub passed: Option<f64>,
    /// The same with 0 for every checkpoint that was not reached; `None` when no checkpoint has a value.
    pub all: Option<f64>,
}

/// Efficiency of a route from its steps in order.
pub fn efficiency(steps: &[Step]) -> Efficiency {
    let mut pieces = [(0.0, 0.0, 0.0, 0.0); CHECKPOINTS];
    let mut furthest = 0.0f64;
    for step in steps {
        furthest = furthest.max(step.progress);
        let piece = &mut pieces[((furthest * CHECKPOINTS as f64) as usize).min(CHECKPOINTS - 1)];
        (piece.0, piece.1) = (piece.0 + step.speed, piece.1 + 1.0);
        if let Some(background) = step.background {
            (piece.2, piece.3) = (piece.2 + background, piece.3 + 1.0);
        }
    }
    let reached = ((furthest + 1e-9) * CHECKPOINTS as f64) as usize;
    let values: Vec<f64> = pieces
        .iter()
        .take(reached)
        .filter(|p| p.1 > 0.0 && p.3 > 0.0)
        .map(|p| 100.0 * (p.0 / p.1) / (p.2 / p.3))
        .filter(|v| v.is_finite() && *v <= MOST)
        .collect();
    let sum: f64 = values.iter().sum();
    let passed = (!values.is_empty()).then(|| sum / values.len() as f64);
    let missed = CHECKPOINTS - reached.min(CHECKPOINTS);
    let all = (values.len() + missed > 0).then(|| sum / (values.len() + missed) as f64);
    Efficiency { passed, all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // The first half at 5 m/s among traffic of 10, then ego stands: 10 of 20 checkpoints with 50 %.
        let half: Vec<Step> = (0..=100)
            .map(|i| Step { progress: f64::from(i) / 200.0, speed: 5.0, background: Some(10.0) })
            .chain((0..50).map(|_| Step { progress: 0.5, speed: 0.0, background: Some(10.0) }))
            .collect();
        let found = efficiency(&half);
        assert_eq!((found.passed, found.all), (Some(50.0), Some(25.0)));
        // No traffic, no value; traffic that stands is dropped.
        let alone = |background| {
            let steps: Vec<Step> =
                (0..=20).map(|i| Step { progress: f64::from(i) / 20.0, speed: 8.0, background }).collect();
            efficiency(&steps)
        };
        assert_eq!(alone(None).passed, None);
        assert_eq!(alone(Some(0.1)).passed, None);
        assert_eq!(alone(Some(6.4)).passed, Some(125.0));
    }
}
