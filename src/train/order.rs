//! Which sample comes when: a pure function of the seed and the position, so that resuming needs only the step.

use crate::streams::Stream;
use data::{Sample, balance};

/// The order of samples over all epochs.
#[derive(Debug, Clone)]
pub struct Order {
    weights: Vec<f64>,
    seed: u64,
    shuffle: bool,
    name: &'static str,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    /// An order over `samples`, which must not be empty.
    pub fn new(samples: &[Sample], balance: balance::Balance, shuffle: bool, seed: u64) -> Self {
        Order { weights: balance::weights(samples, balance), seed, shuffle, name: "order", epoch: None }
    }

    /// A shuffled order over `n` things of equal weight; other names give other orders.
    pub fn named(n: usize, seed: u64, name: &'static str) -> Self {
        Order { weights: vec![1.0; n], seed, shuffle: true, name, epoch: None }
    }

    /// The index of the sample at a position counted from the start of the run.
    pub fn at(&mut self, position: u64) -> usize {
        let n = self.weights.len().max(1) as u64;
        let (epoch, place) = (position / n, (position % n) as usize);
        if self.epoch.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let order = if self.shuffle {
                let mut stream = Stream::new(self.seed, &format!("{}/{epoch}", self.name));
                balance::epoch_order(&self.weights, self.weights.len(), &mut || stream.uniform())
            } else {
                (0..self.weights.len()).collect()
            };
            self.epoch = Some((epoch, order));
        }
        self.epoch.as_ref().and_then(|(_, order)| order.get(place).copied()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn every_epoch_is_another_permutation_and_positions_can_be_asked_in_any_order() {
        let order = |shuffle| Order { weights: vec![1.0; 7], seed: 3, shuffle, name: "order", epoch: None };
        let all: Vec<usize> = (0..21).map(|p| order(true).at(p)).collect();
        let mut again = order(true);
        assert_eq!(all, (0..21).map(|p| again.at(p)).collect::<Vec<_>>());
        for epoch in all.chunks(7) {
            let mut sorted = epoch.to_vec();
            sorted.sort();
            assert_eq!(sorted, (0..7).collect::<Vec<_>>());
        }
        assert_ne!(all[..7], all[7..14]);
        assert_eq!((0..7).map(|p| order(false).at(p)).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    }
}
