//! Pickles for other people: a NAVSIM submission as protocol 4, which `pickle.load` reads beside the NAVSIM classes.
//!
//! Poses are written as float32, as agents emit them, where that loses nothing, and as float64 otherwise. The numpy names
//! are those that numpy 1 and 2 both know.

use super::allowed::{SAMPLING, TRAJECTORY};
use scene::Trajectory;

const EMPTY_TUPLE: u8 = b')';
const BUILD: u8 = b'b';

/// Bytes of a pickle in the making.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    memo: u32,
    globals: Vec<([&'static str; 2], u32)>,
}

impl Writer {
    /// Begins one.
    pub fn new() -> Self {
        Writer { out: vec![0x80, 4], ..Writer::default() }
    }

    /// Ends it.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.push(b'.');
        self.out
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            Ok(n) => self.out.extend([0x8c, n]),
            Err(_) => {
                self.out.push(0x8d);
                self.out.extend((text.len() as u64).to_le_bytes());
            }
        }
        self.out.extend(text.bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.push(0x8e);
        self.out.extend((bytes.len() as u64).to_le_bytes());
        self.out.extend(bytes);
    }

    fn int(&mut self, value: i32) {
        self.out.push(b'J');
        self.out.extend(value.to_le_bytes());
    }

    fn float(&mut self, value: f64) {
        self.out.push(b'G');
        self.out.extend(value.to_be_bytes());
    }

    fn none(&mut self) {
        self.out.push(b'N');
    }

    /// A name: written once, then taken from the memo.
    fn global(&mut self, name: [&'static str; 2]) {
        if let Some((_, index)) = self.globals.iter().find(|(known, _)| *known == name) {
            self.out.push(b'j');
            self.out.extend(index.to_le_bytes());
            return;
        }
        self.text(name[0]);
        self.text(name[1]);
        self.out.extend([0x93, 0x94]);
        self.globals.push((name, self.memo));
        self.memo += 1;
    }

    /// A dict; `fill` writes one key and its value.
    pub fn dict<T>(&mut self, entries: impl IntoIterator<Item = T>, mut fill: impl FnMut(&mut Self, T)) {
        self.out.push(b'}');
        self.out.push(b'(');
        for entry in entries {
            fill(self, entry);
        }
        self.out.push(b'u');
    }

    /// A list; `fill` writes one element.
    pub fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut fill: impl FnMut(&mut Self, T)) {
        self.out.push(b']');
        self.out.push(b'(');
        for item in items {
            fill(self, item);
        }
        self.out.push(b'e');
    }

    /// An array of shape `(n, 3)`.
    fn poses(&mut self, trajectory: &Trajectory) {
        let numbers: Vec<f64> = trajectory.poses.iter().flat_map(|p| [p.x, p.y, p.heading]).collect();
        let single = numbers.iter().all(|v| f64::from(*v as f32).to_bits() == v.to_bits());
        self.global(["numpy.core.multiarray", "_reconstruct"]);
        self.global(["numpy", "ndarray"]);
        self.int(0);
        self.out.push(0x85);
        self.bytes(b"b");
        self.out.extend([0x87, b'R', b'(']);
        self.int(1);
        self.int(i32::try_from(trajectory.poses.len()).unwrap_or(i32::MAX));
        self.int(3);
        self.out.push(0x86);
        self.dtype(if single { "f4" } else { "f8" });
        self.out.push(0x89);
        let bytes: Vec<u8> = match single {
            true => numbers.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
            false => numbers.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        self.bytes(&bytes);
        self.out.extend([b't', BUILD]);
    }

    fn dtype(&mut self, short: &str) {
        self.global(["numpy", "dtype"]);
        self.text(short);
        self.out.extend([0x89, 0x88, 0x87, b'R', b'(']);
        self.int(3);
        self.text("<");
        (0..3).for_each(|_| self.none());
        self.int(-1);
        self.int(-1);
        self.int(0);
        self.out.extend([b't', BUILD]);
    }

    /// A `navsim.common.dataclasses.Trajectory`.
    pub fn trajectory(&mut self, trajectory: &Trajectory) {
        self.global(TRAJECTORY);
        self.out.extend([EMPTY_TUPLE, 0x81]);
        self.dict(["poses", "trajectory_sampling"], |w, key| {
            w.text(key);
            if key == "poses" { w.poses(trajectory) } else { w.sampling(trajectory) }
        });
        self.out.push(BUILD);
    }

    fn sampling(&mut self, trajectory: &Trajectory) {
        self.global(SAMPLING);
        self.out.extend([EMPTY_TUPLE, 0x81]);
        self.dict(["num_poses", "time_horizon", "interval_length"], |w, key| {
            w.text(key);
            match key {
                "num_poses" => w.int(i32::try_from(trajectory.poses.len()).unwrap_or(i32::MAX)),
                "time_horizon" => w.float(trajectory.duration()),
                _ => w.float(trajectory.step),
            }
        });
        self.out.push(BUILD);
    }
}
