//! Lanes and roadblocks by index, with who follows whom.

use super::DeriveError;
use crate::world::{Lane, Roadblock, Scene};
use std::collections::HashMap;

/// The road network of a scene. Roadblocks follow each other where their lanes do.
#[derive(Debug, Clone)]
pub struct RoadGraph<'a> {
    scene: &'a Scene,
    lanes: HashMap<&'a str, usize>,
    blocks: HashMap<&'a str, usize>,
    block_out: Vec<Vec<usize>>,
    block_inc: Vec<Vec<usize>>,
}

impl<'a> RoadGraph<'a> {
    /// Indexes the map. Successors that are not in the map are ignored (the map is a cut-out); a lane whose roadblock
    /// is missing is an error.
    pub fn new(scene: &'a Scene) -> Result<RoadGraph<'a>, DeriveError> {
        let map = &scene.map;
        let lanes: HashMap<&str, usize> = map.lanes.iter().enumerate().map(|(i, l)| (l.id.as_str(), i)).collect();
        let blocks: HashMap<&str, usize> = map.roadblocks.iter().enumerate().map(|(i, r)| (r.id.as_str(), i)).collect();
        let mut graph = RoadGraph {
            scene,
            lanes,
            blocks,
            block_out: vec![Vec::new(); map.roadblocks.len()],
            block_inc: vec![Vec::new(); map.roadblocks.len()],
        };
        for block in 0..map.roadblocks.len() {
            for lane in graph.lanes_of(block)? {
                let of = |ids: &[String]| -> Vec<usize> {
                    let known = ids.iter().filter_map(|id| graph.lane_index(id));
                    known.filter_map(|l| graph.block_of(l)).collect()
                };
                let (out, inc) = (of(&map.lanes[lane].out), of(&map.lanes[lane].inc));
                extend_unique(&mut graph.block_out[block], out);
                extend_unique(&mut graph.block_inc[block], inc);
            }
        }
        Ok(graph)
    }

    /// The lane at an index of the map.
    pub fn lane(&self, index: usize) -> &'a Lane {
        &self.scene.map.lanes[index]
    }

    /// The roadblock at an index of the map.
    pub fn block(&self, index: usize) -> &'a Roadblock {
        &self.scene.map.roadblocks[index]
    }

    /// The index of a lane.
    pub fn lane_index(&self, id: &str) -> Option<usize> {
        self.lanes.get(id).copied()
    }

    /// The index of the roadblock of a lane.
    pub fn block_of(&self, lane: usize) -> Option<usize> {
        self.blocks.get(self.lane(lane).roadblock.as_str()).copied()
    }

    /// Roadblocks by id, without repetitions; `field` names who asks.
    pub fn blocks(&self, ids: &[String], field: &str) -> Result<Vec<usize>, DeriveError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let unknown = || DeriveError::UnknownRoadblock {
                scene: self.scene.name.clone(),
                field: field.to_owned(),
                id: id.clone(),
            };
            extend_unique(&mut found, [self.blocks.get(id.as_str()).copied().ok_or_else(unknown)?]);
        }
        Ok(found)
    }

    /// The lanes of a roadblock in its order.
    pub fn lanes_of(&self, block: usize) -> Result<Vec<usize>, DeriveError> {
        let block = self.block(block);
        let unknown = |id: &String| DeriveError::UnknownLane {
            scene: self.scene.name.clone(),
            roadblock: block.id.clone(),
            id: id.clone(),
        };
        block.lanes.iter().map(|id| self.lane_index(id).ok_or_else(|| unknown(id))).collect()
    }

    /// Successors of a lane in the map.
    pub fn lane_out(&self, lane: usize) -> Vec<usize> {
        self.lane(lane).out.iter().filter_map(|id| self.lane_index(id)).collect()
    }

    /// Roadblocks after (`forward`) or before a roadblock.
    pub fn neighbours(&self, block: usize, forward: bool) -> &[usize] {
        if forward { &self.block_out[block] } else { &self.block_inc[block] }
    }

    /// The shortest chain of roadblocks from `start` to one of `goals`, both included, at most `depth` long, in the
    /// order of the walk. Breadth first; among parents of equal depth the last one to be expanded wins, as in the
    /// reference.
    pub fn search(&self, start: usize, goals: &[usize], forward: bool, depth: usize) -> Option<Vec<usize>> {
        // A layer of the reference's queue repeats blocks that are reached twice. Goals are met in the order of first
        // occurrences, parents are set by last ones: keeping both orders keeps layers small.
        let (mut first, mut last) = (vec![start], vec![start]);
        let mut parents: Vec<HashMap<usize, usize>> = Vec::new();
        for _ in 0..depth {
            if let Some(&goal) = first.iter().find(|b| goals.contains(b)) {
                let mut chain = vec![goal];
                for layer in parents.iter().rev() {
                    let child = chain.last().copied()?;
                    chain.push(*layer.get(&child)?);
                }
                chain.reverse();
                return Some(chain);
            }
            let mut layer: HashMap<usize, usize> = HashMap::new();
            for &b in &last {
                layer.extend(self.neighbours(b, forward).iter().map(|&n| (n, b)));
            }
            parents.push(layer);
            let mut next_first = Vec::new();
            first.iter().for_each(|&b| extend_unique(&mut next_first, self.neighbours(b, forward).iter().copied()));
            let mut next_last = Vec::new();
            last.iter()
                .rev()
                .for_each(|&b| extend_unique(&mut next_last, self.neighbours(b, forward).iter().rev().copied()));
            next_last.reverse();
            (first, last) = (next_first, next_last);
            if first.is_empty() {
                break;
            }
        }
        None
    }
}

fn extend_unique(list: &mut Vec<usize>, more: impl IntoIterator<Item = usize>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}
