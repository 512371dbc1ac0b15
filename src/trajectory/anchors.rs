//! K-means over driven trajectories: the anchors of the imitation head (places only, headings are not clustered).
//!
//! Starts as k-means++ (Arthur and Vassilvitskii 2007) from a seeded stream, then Lloyd's iterations until nothing
//! moves. Anchors are ordered by size of their cluster, so that the first is the most usual drive.

use super::geometry::{self, POSES};
use crate::{
    error::{Failure, Result},
    streams::Stream,
};
use scene::Trajectory;

/// x and y of every pose.
pub type Anchor = [[f64; 2]; POSES];

/// Lloyd's iterations at most.
const ITERATIONS: usize = 100;

fn squared(a: &Anchor, b: &Anchor) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)).sum()
}

fn nearest(anchors: &[Anchor], point: &Anchor) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (k, anchor) in anchors.iter().enumerate() {
        let d = squared(anchor, point);
        if d < best.1 {
            best = (k, d);
        }
    }
    best
}

/// x and y of a trajectory.
///
/// # Errors
/// As [`geometry::check`].
pub fn places(trajectory: &Trajectory) -> Result<Anchor> {
    geometry::check(trajectory)?;
    let mut anchor = [[0.0; 2]; POSES];
    for (place, pose) in anchor.iter_mut().zip(&trajectory.poses) {
        *place = [pose.x, pose.y];
    }
    Ok(anchor)
}

/// The anchor with the smallest mean distance to a drive (the first of several).
pub fn winner(anchors: &[Anchor], drive: &Anchor) -> usize {
    let mean = |anchor: &Anchor| anchor.iter().zip(drive).map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1])).sum::<f64>();
    let mut best = (0, f64::INFINITY);
    for (k, anchor) in anchors.iter().enumerate() {
        let d = mean(anchor);
        if d < best.1 {
            best = (k, d);
        }
    }
    best.0
}

/// `k` anchors of a set of drives.
///
/// # Errors
/// Exit 3 with fewer different drives than anchors, or a drive of another shape.
pub fn kmeans(drives: &[Trajectory], k: usize, seed: u64) -> Result<Vec<Anchor>> {
    let points = drives.iter().map(places).collect::<Result<Vec<_>>>()?;
    let mut stream = Stream::new(seed, "il.anchors");
    let mut anchors: Vec<Anchor> = Vec::with_capacity(k);
    while anchors.len() < k {
        let weights: Vec<f64> = match anchors.is_empty() {
            true => vec![1.0; points.len()],
            false => points.iter().map(|p| nearest(&anchors, p).1).collect(),
        };
        let Some(chosen) = stream.weighted(&weights) else {
            let found = anchors.len();
            return Err(Failure::data(format!("{k} anchors need as many different drives, there are {found}"))
                .hint("use more data or fewer modes"));
        };
        anchors.push(points[chosen]);
    }
    let mut sizes = vec![0usize; k];
    for _ in 0..ITERATIONS {
        let mut sums = vec![[[0.0; 2]; POSES]; k];
        sizes.fill(0);
        for point in &points {
            let (at, _) = nearest(&anchors, point);
            sizes[at] += 1;
            for (sum, place) in sums[at].iter_mut().zip(point) {
                *sum = [sum[0] + place[0], sum[1] + place[1]];
            }
        }
        let mut moved = false;
        for ((anchor, sum), size) in anchors.iter_mut().zip(&sums).zip(&sizes).filter(|(_, size)| **size > 0) {
            let mean = sum.map(|s| [s[0] / *size as f64, s[1] / *size as f64]);
            moved |= mean != *anchor;
            *anchor = mean;
        }
        if !moved {
            break;
        }
    }
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by_key(|at| std::cmp::Reverse(sizes[*at]));
    Ok(order.into_iter().map(|at| anchors[at]).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use scene::Pose;

    fn drive(speed: f64, side: f64) -> Trajectory {
        let pose = |t: usize| Pose::new(speed * t as f64 / 2.0, side * t as f64 / 8.0, 0.0);
        Trajectory::half_second((1..=POSES).map(pose).collect())
    }

    #[test]
    fn finds_the_clusters_the_largest_first() {
        let mut stream = Stream::new(1, "drives");
        let near = |stream: &mut Stream, v: f64, y: f64| drive(v + 0.1 * stream.normal(), y + 0.1 * stream.normal());
        let mut drives: Vec<Trajectory> = (0..60).map(|_| near(&mut stream, 10.0, 0.0)).collect();
        drives.extend((0..30).map(|_| near(&mut stream, 5.0, 3.5)));
        drives.extend((0..10).map(|_| near(&mut stream, 0.5, 0.0)));
        for seed in 0..5 {
            let anchors = kmeans(&drives, 3, seed).unwrap();
            let ends: Vec<[f64; 2]> = anchors.iter().map(|a| a[POSES - 1]).collect();
            for (end, want) in ends.iter().zip([[40.0, 0.0], [20.0, 3.5], [2.0, 0.0]]) {
                assert!((end[0] - want[0]).hypot(end[1] - want[1]) < 0.3, "{ends:?}");
            }
            assert_eq!(winner(&anchors, &places(&drive(5.5, 3.0)).unwrap()), 1);
        }
        let mean = kmeans(&drives, 1, 0).unwrap()[0][POSES - 1][0];
        assert!((mean - 30.2).abs() < 0.2, "{mean}");
        assert!(kmeans(&[drive(1.0, 0.0), drive(1.0, 0.0)], 2, 0).unwrap_err().message.contains("2 anchors"));
    }
}
