//! Where paths cross or run together, and who goes first there. Found once for each world, so that a driver only has to
//! look up the zones that its path shares with those of the others nearby.

use crate::path::{NO_LANE, Path};
use crate::road::Road;
use crate::scenario::{StopRule, Turn};

/// Centre lines nearer than this share space, metres.
const NEAR: f32 = 2.4;
/// Centre lines nearer than this in the same direction are the same line.
const SAME: f32 = 0.7;
/// Cosine of the angle up to which two lines run the same way.
const ALIGNED: f32 = 0.95;
/// A stop line rules zones that begin within so many metres behind it.
const RULED: f32 = 40.0;
/// Samples from a path's start within which it begins on the other's lane.
const START: usize = 4;
/// Metres of a merge that count as its zone after the lines have become one.
const MERGED: f32 = 3.0;

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The path that the zone was looked up for.
    Mine,
    /// The other path.
    Theirs,
    /// Whoever comes first.
    First,
}

/// A zone that two paths share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zone {
    /// Where it begins and ends along the path it was looked up for, metres.
    pub mine: (f32, f32),
    /// The same along the other path.
    pub theirs: (f32, f32),
    /// Who goes first.
    pub way: Way,
    /// Whether both go on along the same line behind it.
    pub merge: bool,
    /// Where to wait for it on the path it was looked up for, metres: a stop line, or just before the zone.
    pub wait: f32,
}

/// All zones of a world.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conflicts {
    paths: usize,
    starts: Vec<u32>,
    zones: Vec<Zone>,
}

impl Conflicts {
    /// Finds them.
    pub fn new(road: &Road, paths: &[Path]) -> Conflicts {
        let bounds: Vec<[f32; 4]> = paths.iter().map(bounds).collect();
        let mut all = Conflicts { paths: paths.len(), starts: vec![0], zones: Vec::new() };
        for (a, mine) in paths.iter().enumerate() {
            for (b, theirs) in paths.iter().enumerate() {
                let apart = bounds[a][0] > bounds[b][2] + NEAR
                    || bounds[b][0] > bounds[a][2] + NEAR
                    || bounds[a][1] > bounds[b][3] + NEAR
                    || bounds[b][1] > bounds[a][3] + NEAR;
                if a != b && !apart {
                    find(road, mine, theirs, &mut all.zones);
                }
                all.starts.push(all.zones.len() as u32);
            }
        }
        all
    }

    /// The zones that path `mine` shares with path `theirs`, in order along `mine`.
    #[inline]
    pub fn between(&self, mine: usize, theirs: usize) -> &[Zone] {
        let at = mine * self.paths + theirs;
        &self.zones[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

fn bounds(path: &Path) -> [f32; 4] {
    let fold = |v: &[f32], start: f32, f: fn(f32, f32) -> f32| v.iter().copied().fold(start, f);
    [
        fold(&path.x, f32::MAX, f32::min),
        fold(&path.y, f32::MAX, f32::min),
        fold(&path.x, f32::MIN, f32::max),
        fold(&path.y, f32::MIN, f32::max),
    ]
}

/// What a sample of a path shares with another path.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// Distance, metres.
    distance: f32,
    /// Samples of the other path that are near: first, last, nearest.
    others: (usize, usize, usize),
    /// Cosine of the angle between them at the nearest.
    cos: f32,
}

/// What sample `i` of a path shares with another; distances between neighbours are 1 m, so far samples are jumped over.
/// `guess` is a sample of the other that is probably near: the nearer, the longer the jumps. It becomes the nearest.
fn share(mine: &Path, i: usize, theirs: &Path, guess: &mut usize) -> (f32, Option<Share>) {
    let (dx, dy) = (theirs.x[*guess] - mine.x[i], theirs.y[*guess] - mine.y[i]);
    let mut best = ((dx * dx + dy * dy).sqrt(), *guess);
    let mut range: Option<(usize, usize)> = None;
    let mut j = 0;
    while j < theirs.x.len() {
        let (dx, dy) = (theirs.x[j] - mine.x[i], theirs.y[j] - mine.y[i]);
        let d = (dx * dx + dy * dy).sqrt();
        if d < best.0 {
            best = (d, j);
        }
        if d < NEAR {
            range = Some((range.map_or(j, |r| r.0), j));
            j += 1;
        } else {
            j += ((d - best.0.max(NEAR)) as usize).max(1);
        }
    }
    let (distance, j) = best;
    *guess = j;
    let cos = mine.cos[i] * theirs.cos[j] + mine.sin[i] * theirs.sin[j];
    (distance, range.map(|(first, last)| Share { distance, others: (first, last, j), cos }))
}

fn find(road: &Road, mine: &Path, theirs: &Path, zones: &mut Vec<Zone>) {
    let mut open: Option<Open> = None;
    // Whether the lines were one just before: then what follows is a fork.
    let mut fork = false;
    let (mut i, mut guess) = (0, 0);
    while i < mine.x.len() {
        let (distance, found) = share(mine, i, theirs, &mut guess);
        let Some(found) = found else {
            if let Some(zone) = open.take() {
                zone.close(road, mine, theirs, false, zones);
            }
            fork = false;
            i += ((distance - NEAR) as usize).max(1);
            continue;
        };
        if found.distance < SAME && found.cos > ALIGNED {
            if let Some(zone) = open.take() {
                zone.close(road, mine, theirs, true, zones);
            }
            fork = true;
        } else if !fork {
            open.get_or_insert_with(|| Open::new(i, &found)).grow(i, &found);
        }
        i += 1;
    }
    if let Some(zone) = open {
        zone.close(road, mine, theirs, false, zones);
    }
}

struct Open {
    mine: (usize, usize),
    theirs: (usize, usize),
    /// Whether the lines meet at an angle anywhere.
    angle: bool,
    nearest: (f32, usize, usize),
}

impl Open {
    fn new(i: usize, share: &Share) -> Open {
        Open {
            mine: (i, i),
            theirs: (share.others.0, share.others.1),
            angle: false,
            nearest: (f32::MAX, i, share.others.2),
        }
    }

    fn grow(&mut self, i: usize, share: &Share) {
        self.mine.1 = i;
        self.theirs = (self.theirs.0.min(share.others.0), self.theirs.1.max(share.others.1));
        self.angle |= share.cos.abs() < ALIGNED;
        if share.distance < self.nearest.0 {
            self.nearest = (share.distance, i, share.others.2);
        }
    }

    fn close(&self, road: &Road, mine: &Path, theirs: &Path, merge: bool, zones: &mut Vec<Zone>) {
        // Lines side by side, or head on, are for the search of leaders.
        if !merge && !self.angle {
            return;
        }
        // A path that begins on the other's lane joins nothing.
        if !self.angle && (self.mine.0 <= START || self.theirs.0 <= START) {
            return;
        }
        let end = if merge { MERGED } else { 0.0 };
        let (start, other) = (self.mine.0 as f32, self.theirs.0 as f32);
        let last = if merge { (self.nearest.2 as f32).max(other) } else { self.theirs.1 as f32 };
        let way = way(road, (mine, self.mine.0, self.nearest.1), (theirs, self.theirs.0, self.nearest.2));
        let line = ruled(mine, start).filter(|s| !matches!(s.rule, StopRule::Light(_)));
        zones.push(Zone {
            mine: (start, self.mine.1 as f32 + end),
            theirs: (other, last + end),
            way,
            merge,
            wait: line.map_or(start, |l| l.s),
        });
    }
}

/// The last stop line before `s` that has to do with what is there.
fn ruled(path: &Path, s: f32) -> Option<&crate::path::PathStop> {
    path.stops.iter().rev().find(|stop| stop.s <= s + 1.0 && stop.s > s - RULED)
}

/// Who goes first: first who has no sign that says otherwise, then who goes straight, right, left, then who comes from the right.
fn way(road: &Road, mine: (&Path, usize, usize), theirs: (&Path, usize, usize)) -> Way {
    let rank = |path: &Path, start: usize, at: usize| {
        let sign = ruled(path, start as f32).is_some_and(|stop| !matches!(stop.rule, StopRule::Light(_)));
        let lane = path.lane.get(at).copied().unwrap_or(NO_LANE);
        let turn = road.lanes.get(lane as usize).map_or(Turn::None, |l| l.turn);
        let order = match turn {
            Turn::None | Turn::Straight => 0,
            Turn::Right => 1,
            Turn::Left => 2,
        };
        (sign, order)
    };
    let (a, b) = (rank(mine.0, mine.1, mine.2), rank(theirs.0, theirs.1, theirs.2));
    let (i, j) = (mine.2, theirs.2);
    let cross = mine.0.cos[i] * theirs.0.sin[j] - mine.0.sin[i] * theirs.0.cos[j];
    match a.cmp(&b) {
        std::cmp::Ordering::Less => Way::Mine,
        std::cmp::Ordering::Greater => Way::Theirs,
        std::cmp::Ordering::Equal if cross > 0.5 => Way::Theirs,
        std::cmp::Ordering::Equal if cross < -0.5 => Way::Mine,
        std::cmp::Ordering::Equal => Way::First,
    }
}
