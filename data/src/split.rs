//! Splits that never cut through a recording: the clip's name, hashed, decides. The same clip always falls into the
//! same split, whatever else is in the set.

use crate::sample::{Image, Sample};

/// FNV-1a with a final mix, so that near-equal names land far apart. Stable across versions and machines.
pub fn stable_hash(text: &str, seed: u64) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for b in text.bytes() {
        h = (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    h = (h ^ h >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ h >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ h >> 31
}

/// What must stay together: the clip, else the first image, else the sample itself.
pub fn group(sample: &Sample) -> String {
    match (&sample.clip, sample.images.first()) {
        (Some(clip), _) => clip.clone(),
        (None, Some(Image::File(path))) => path.to_string_lossy().into_owned(),
        _ => sample.id.clone(),
    }
}

/// Puts each sample into one of the named parts with these shares (any positive numbers) by its clip.
///
/// Returns the part's index per sample. With few clips the shares hold only roughly.
pub fn by_clip(samples: &[Sample], shares: &[f64], seed: u64) -> Vec<usize> {
    let total: f64 = shares.iter().sum();
    let part = |s: &Sample| {
        let mut at = (stable_hash(&group(s), seed) >> 11) as f64 / (1u64 << 53) as f64 * total;
        for (i, share) in shares.iter().enumerate() {
            if at < *share {
                return i;
            }
            at -= share;
        }
        shares.len().saturating_sub(1)
    };
    samples.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn clips_stay_whole_and_shares_hold() {
        let row = |i: usize| format!(r#"{{"images":["{i}.jpg"],"clip":"clip_{}"}}"#, i / 5) + "\n";
        let text: String = (0..20_000).map(row).collect();
        let samples = crate::read_bytes("s.jsonl", text.as_bytes(), &Default::default()).unwrap().samples;
        let parts = by_clip(&samples, &[8.0, 1.0, 1.0], 7);
        assert!(parts.chunks(5).all(|c| c.iter().all(|p| *p == c[0])));
        let share = |p| parts.iter().filter(|x| **x == p).count() as f64 / 20_000.0;
        assert!((share(0) - 0.8).abs() < 0.02 && (share(1) - 0.1).abs() < 0.02, "{} {}", share(0), share(1));
        assert_eq!(by_clip(&samples[..10], &[8.0, 1.0, 1.0], 7), parts[..10]);
        assert_ne!(by_clip(&samples, &[8.0, 1.0, 1.0], 8), parts);
    }
}
