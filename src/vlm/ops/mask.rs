//! Which keys a query may see: what both forms of attention are built on. The fused form takes it as [`Tile`]s, runs of
//! queries with the products of queries and keys that they need, so that what is hidden is not computed.

use candle_core::{Result, bail};
use std::ops::Range;

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
    /// A prompt and its continuations one after the other: tokens `0 .. cu[0]` are the prompt and causal, and a token of
    /// the tail `cu[i] .. cu[i + 1]` sees the whole prompt and its own tail up to itself. Batch must be 1.
    Tails {
        /// Where the prompt ends, and each tail after it; the last is T.
        cu: Vec<usize>,
    },
}

/// A run of queries with the keys that any of them sees side by side, as columns of one table of scores.
pub(super) struct Tile {
    /// The queries.
    pub(super) queries: Range<usize>,
    /// Columns of the table.
    pub(super) width: usize,
    /// The products that fill it; the first is of all its queries.
    pub(super) pieces: Vec<Piece>,
    /// The columns that each query sees; never empty after [`Mask::check`].
    pub(super) seen: Vec<Range<usize>>,
}

/// Some queries of a tile and keys that they see all or part of.
pub(super) struct Piece {
    pub(super) queries: Range<usize>,
    pub(super) keys: Range<usize>,
    /// The column of the first key.
    pub(super) column: usize,
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
            Mask::Tails { cu } => {
                if b != 1 {
                    bail!("attention: a prompt and its tails need a batch of 1, got {b}")
                }
                let whole = cu.first().is_some_and(|prompt| *prompt > 0) && cu.last() == Some(&t) && t == s;
                if !whole || cu.windows(2).any(|pair| pair[0] > pair[1]) {
                    bail!(
                        "attention: the ends of the prompt and its tails must rise from 1 or more to {t} (queries) = {s} \
                         (keys), got {cu:?}"
                    )
                }
            }
        }
        Ok(())
    }

    /// Keys `first .. end` that query `t` of row `b` sees; never empty after [`Mask::check`]. Not for the tokens of tails,
    /// which see two runs.
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
            Mask::Tails { .. } => (0, t + 1),
        }
    }

    /// Cuts the queries `0 .. t` of row `b` into tiles of at most `size`; none crosses the boundary of a segment or the end
    /// of a prompt, but one may hold several tails.
    pub(super) fn tiles(&self, b: usize, t: usize, size: usize) -> Vec<Tile> {
        let edges = match self {
            Mask::Causal { .. } => vec![0, t],
            Mask::Segments { cu } => cu.clone(),
            Mask::Tails { cu } => vec![0, cu[0], t],
        };
        let mut tiles = Vec::new();
        for pair in edges.windows(2) {
            for from in (pair[0]..pair[1]).step_by(size) {
                let queries = from..(from + size).min(pair[1]);
                tiles.push(match self {
                    Mask::Tails { cu } if from >= cu[0] => tail_tile(cu, queries),
                    _ => self.plain_tile(b, queries),
                });
            }
        }
        tiles
    }

    /// One product of all queries with the keys from the first to the last that any of them sees.
    fn plain_tile(&self, b: usize, queries: Range<usize>) -> Tile {
        let ranges = || queries.clone().map(|t| self.range(b, t));
        let (lo, hi) = ranges().fold((usize::MAX, 0), |(lo, hi), (first, end)| (lo.min(first), hi.max(end)));
        let seen = ranges().map(|(first, end)| first - lo..end - lo).collect();
        let piece = Piece { queries: queries.clone(), keys: lo..hi, column: 0 };
        Tile { queries, width: hi - lo, pieces: vec![piece], seen }
    }
}

/// One product of all queries with the prompt, and behind its columns one per tail with that tail's own keys.
fn tail_tile(cu: &[usize], queries: Range<usize>) -> Tile {
    let prompt = cu[0];
    let mut pieces = vec![Piece { queries: queries.clone(), keys: 0..prompt, column: 0 }];
    let mut seen = Vec::with_capacity(queries.len());
    for tail in cu.windows(2) {
        let (from, to) = (tail[0].max(queries.start), tail[1].min(queries.end));
        if from < to {
            pieces.push(Piece { queries: from..to, keys: tail[0]..to, column: prompt });
            seen.extend((from..to).map(|t| 0..prompt + t - tail[0] + 1));
        }
    }
    let width = seen.iter().map(|seen| seen.end).max().unwrap_or(prompt);
    Tile { queries, width, pieces, seen }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Products of a query and a key that the tiles compute.
    fn work(mask: &Mask, t: usize, size: usize) -> usize {
        let tiles = mask.tiles(0, t, size);
        tiles.iter().flat_map(|tile| &tile.pieces).map(|piece| piece.queries.len() * piece.keys.len()).sum()
    }

    #[test]
    fn what_is_hidden_is_not_computed() {
        let cu: Vec<usize> = (0..9).map(|i| 427 + 64 * i).collect();
        let t = cu[8];
        let (prompt, tails) = (427 * 428 / 2, 8 * (64 * 427 + 64 * 65 / 2));
        let mask = Mask::Tails { cu };
        assert_eq!(work(&mask, t, 1), prompt + tails, "tiles of one query compute what is seen and nothing else");
        // Larger ones also the rest of their own triangle.
        assert_eq!(work(&mask, t, 64), 7 * 6 / 2 * 64 * 64 + 43 * 427 + 8 * 64 * (427 + 64));
        assert!(work(&mask, t, 64) * 3 < work(&Mask::Causal { offset: 0, start: vec![0] }, t, t) * 2);
        // Short tails share a tile, and still none meets another's keys.
        let mask = Mask::Tails { cu: vec![100, 101, 103, 104] };
        assert_eq!(mask.tiles(0, 104, 64).len(), 3);
        assert_eq!(work(&mask, 104, 64), 64 * 64 + 36 * 100 + 4 * 100 + 1 + 2 * 2 + 1);
    }
}
