//! The order in which a sort-tile-recursive tree lists its entries.
//!
//! GEOS answers "which of these do I meet" in tree order, and the reference takes the first of equally near entries.
//! Only ties depend on it: two obstacles that both touch ego, for example.

use super::Aabb;

/// Children per node.
const CAPACITY: usize = 10;

struct Node {
    /// Minimum plus maximum, x and y.
    mid: [f64; 2],
    bounds: Aabb,
    /// Entries below this node in order.
    entries: Vec<usize>,
}

/// Indices of the boxes in the order in which a depth-first visit of the tree meets them.
pub fn str_order(boxes: &[Aabb]) -> Vec<usize> {
    let node = |bounds: Aabb, entries| Node {
        mid: [bounds.min[0] + bounds.max[0], bounds.min[1] + bounds.max[1]],
        bounds,
        entries,
    };
    let mut level: Vec<Node> = boxes.iter().enumerate().map(|(i, &b)| node(b, vec![i])).collect();
    while level.len() > 1 {
        let parents = level.len().div_ceil(CAPACITY);
        let slices = (parents as f64).sqrt().ceil() as usize;
        let per_slice = level.len().div_ceil(slices.max(1)).max(1);
        level.sort_by(|a, b| a.mid[0].total_cmp(&b.mid[0]));
        let mut above = Vec::with_capacity(parents);
        for slice in level.chunks_mut(per_slice) {
            slice.sort_by(|a, b| a.mid[1].total_cmp(&b.mid[1]));
            for children in slice.chunks(CAPACITY) {
                let mut bounds = Aabb::EMPTY;
                children.iter().for_each(|c| {
                    bounds.add(c.bounds.min);
                    bounds.add(c.bounds.max);
                });
                above.push(node(bounds, children.iter().flat_map(|c| c.entries.iter().copied()).collect()));
            }
        }
        level = above;
    }
    level.pop().map(|root| root.entries).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_boxes_come_by_height_many_by_tiles() {
        let at = |x: f64, y: f64| Aabb::of(&[[x, y], [x + 1.0, y + 1.0]]);
        assert_eq!(str_order(&[at(0.0, 5.0), at(9.0, 1.0), at(4.0, 1.0)]), [2, 1, 0]);
        // 20 boxes: 2 parents, 2 slices of 10 by x, each by y.
        let grid: Vec<Aabb> = (0..20).map(|i| at(f64::from(i), f64::from(-i))).collect();
        let expected: Vec<usize> = (10..20).rev().chain((0..10).rev()).collect();
        assert_eq!(str_order(&grid), expected, "the slice on the right lies lower");
        assert!(str_order(&[]).is_empty());
    }
}
