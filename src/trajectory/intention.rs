//! What a branch of the tree means: six intentions that share their vocabulary with the planner's meta-actions.
//!
//! PaIR-Drive has left, centre, right and behind. Ours name what a driver does, `keep` among them, so that doing
//! nothing is an action, and `settle`, which ends a sideways move. A continuous intention squashes two normal numbers
//! `z` into its own box: `u = lo + (hi - lo) sigmoid(z)`; the Jacobian depends on `z` alone, cancels in every ratio and
//! is left out of log-probabilities.

use super::geometry::{Action, Drift};
use scene::{MetaAction, PathAction, SpeedAction};

/// Number of intentions.
pub const INTENTIONS: usize = 6;

/// What the car does differently from the reference for one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Intention {
    /// Nothing; no continuous part.
    Keep,
    /// Go faster.
    Accelerate,
    /// Go slower.
    Brake,
    /// Push to the left.
    Left,
    /// Push to the right.
    Right,
    /// Lose all sideways speed by the end of the level; no continuous part.
    Settle,
}

impl Intention {
    /// Every intention in the order of logits.
    pub const ALL: [Intention; INTENTIONS] = [
        Intention::Keep,
        Intention::Accelerate,
        Intention::Brake,
        Intention::Left,
        Intention::Right,
        Intention::Settle,
    ];

    /// Position in [`Intention::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The word used in path codes.
    pub fn name(self) -> &'static str {
        match self {
            Intention::Keep => "keep",
            Intention::Accelerate => "accelerate",
            Intention::Brake => "brake",
            Intention::Left => "left",
            Intention::Right => "right",
            Intention::Settle => "settle",
        }
    }

    /// Bounds `[lo, hi]` of the accelerations along and to the left, m/s2; `None` without a continuous part.
    pub fn bounds(self) -> Option<[[f64; 2]; 2]> {
        let any = [-0.5, 0.5];
        match self {
            Intention::Keep | Intention::Settle => None,
            Intention::Accelerate => Some([[0.2, 2.0], any]),
            Intention::Brake => Some([[-4.0, -0.2], any]),
            Intention::Left => Some([any, [0.2, 2.0]]),
            Intention::Right => Some([any, [-2.0, -0.2]]),
        }
    }

    /// Where the normals of an intention lie before anything is learned: at gentle accelerations, about 0.7 m/s2 to the
    /// sides and faster, 1.2 slower. In the middle of their boxes most would be too rough a ride.
    pub fn gentle(self) -> [f32; 2] {
        match self {
            Intention::Keep | Intention::Settle => [0.0, 0.0],
            Intention::Accelerate => [-1.0, 0.0],
            Intention::Brake => [1.0, 0.0],
            Intention::Left => [0.0, -1.0],
            Intention::Right => [0.0, 1.0],
        }
    }

    /// Accelerations for the stored normals `z`, from where the car is.
    pub fn action(self, z: [f64; 2], from: &Drift) -> Action {
        match (self, self.bounds()) {
            (_, Some(bounds)) => [0, 1].map(|c| bounds[c][0] + (bounds[c][1] - bounds[c][0]) / (1.0 + (-z[c]).exp())),
            (Intention::Settle, None) => [0.0, -from.sideways],
            (_, None) => [0.0, 0.0],
        }
    }

    /// What a meta-action leans towards. Slowing down comes first, then a lane change, then speeding up; turns lean
    /// nowhere, because the reference turns already.
    pub fn of(action: MetaAction) -> Intention {
        match (action.speed, action.path) {
            (SpeedAction::Decelerate | SpeedAction::Stop, _) => Intention::Brake,
            (_, PathAction::LeftChange) => Intention::Left,
            (_, PathAction::RightChange) => Intention::Right,
            (SpeedAction::Accelerate, _) => Intention::Accelerate,
            (SpeedAction::Keep, _) => Intention::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_boxes() {
        let drift = Drift { sideways: 0.7, ..Default::default() };
        for (i, intention) in Intention::ALL.iter().enumerate() {
            assert_eq!(intention.index(), i);
            if let Some(bounds) = intention.bounds() {
                for z in [-50.0, 0.0, 50.0] {
                    let u = intention.action([z, -z], &drift);
                    assert!((0..2).all(|c| u[c] >= bounds[c][0] - 1e-12 && u[c] <= bounds[c][1] + 1e-12), "{u:?}");
                }
            }
        }
        assert_eq!(Intention::Keep.action([3.0, 3.0], &drift), [0.0, 0.0]);
        assert_eq!(Intention::Settle.action([3.0, 3.0], &drift), [0.0, -0.7]);
        assert_eq!(Intention::Brake.action([0.0, 0.0], &drift), [-2.1, 0.0]);
    }

    #[test]
    fn meta_actions_lean_to_one_intention_and_mirror() {
        for action in MetaAction::all() {
            let swapped = match Intention::of(action) {
                Intention::Left => Intention::Right,
                Intention::Right => Intention::Left,
                same => same,
            };
            assert_eq!(Intention::of(action.mirrored()), swapped, "{action}");
        }
        assert_eq!(Intention::of(MetaAction::KEEP_STRAIGHT), Intention::Keep);
        let stop = MetaAction::new(SpeedAction::Stop, PathAction::LeftChange);
        assert_eq!(Intention::of(stop), Intention::Brake);
    }
}
