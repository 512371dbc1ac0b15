//! Which keys a query may see, as one contiguous range per query: what both forms of attention are built on.

use candle_core::{Result, bail};

/// Which keys a query may see.
#[derive(Debug, Clone)]
pub enum Mask {
    /// Query `t` of row `b` sees keys `start[b] ..= offset + t`. `offset` is the number of cached keys;
    /// `start` skips left padding. Rows whose query is itself padding see only themselves (never NaN).
    Causal {
        /// Keys already in the cache before the first query.
        offset: usize,
        /// First visible key per row.
        start: Vec<usize>,
    },
    /// Full attention inside each `[cu[i], cu[i + 1])`, none across. Batch must be 1.
    Segments {
        /// Cumulative boundaries from 0 to T.
        cu: Vec<usize>,
    },
    /// Every query sees every key, in any batch: attention over sets and from one sequence to another.
    Full {
        /// Number of keys.
        keys: usize,
    },
}

impl Mask {
    /// Checks the mask against `b` rows of `t` queries and `s` keys.
    pub(super) fn check(&self, b: usize, t: usize, s: usize) -> Result<()> {
        match self {
            Mask::Causal { offset, start } => {
                if start.len() != b && !start.is_empty() {
                    bail!("attention: the causal mask has {} row starts for a batch of {b}", start.len())
                }
                if offset + t > s {
                    bail!("attention: {offset} cached and {t} new positions need {} keys, got {s}", offset + t)
                }
            }
            Mask::Segments { cu } => {
                if b != 1 {
                    bail!("attention: segments need a batch of 1, got {b}")
                }
                let whole = cu.first() == Some(&0) && cu.last() == Some(&t) && t == s;
                if !whole || cu.windows(2).any(|pair| pair[0] > pair[1]) {
                    bail!("attention: segment boundaries must rise from 0 to {t} (queries) = {s} (keys), got {cu:?}")
                }
            }
            Mask::Full { keys } => {
                if *keys != s || s == 0 {
                    bail!("attention: a full mask over {keys} keys for {s} keys; at least one is needed")
                }
            }
        }
        Ok(())
    }

    /// Keys `first .. end` that query `t` of row `b` sees; never empty after [`Mask::check`].
    #[inline]
    pub(super) fn range(&self, b: usize, t: usize) -> (usize, usize) {
        match self {
            Mask::Causal { offset, start } => {
                let last = offset + t;
                (start.get(b).copied().unwrap_or(0).min(last), last + 1)
            }
            Mask::Segments { cu } => {
                let i = cu.partition_point(|&edge| edge <= t);
                (cu[i - 1], cu[i])
            }
            Mask::Full { keys } => (0, *keys),
        }
    }

    /// Cuts `0 .. t` into runs of at most `size` queries; no run crosses a segment boundary.
    pub(super) fn tiles(&self, t: usize, size: usize) -> Vec<(usize, usize)> {
        let edges = match self {
            Mask::Causal { .. } | Mask::Full { .. } => vec![0, t],
            Mask::Segments { cu } => cu.clone(),
        };
        let mut tiles = Vec::new();
        for pair in edges.windows(2) {
            let mut from = pair[0];
            while from < pair[1] {
                let to = (from + size).min(pair[1]);
                tiles.push((from, to));
                from = to;
            }
        }
        tiles
    }
}
