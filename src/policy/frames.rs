//! Which pictures were meant: one file, a folder of frames (a clip), a pattern with `*` and `?` in its last part, or
//! nothing at all, which means the four real frames inside the binary. Frames of a folder or pattern come in name
//! order, numbers by value (`frame_2` before `frame_10`). Nothing is decoded here.

use crate::{
    error::{Failure, Result, io_at},
    vlm::image::{Loading, Rgb},
};
use scene::{PathAction, SpeedAction};
use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
};

/// File endings that count as frames in a folder.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];

/// A picture to plan for.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The name shown to people.
    pub name: String,
    /// Where its bytes are.
    pub bytes: Bytes,
    /// Ego speed in m/s where it is known.
    pub speed_mps: Option<f64>,
    /// What the driver did, where it is known.
    pub driven: Option<String>,
}

/// Where a frame's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// A file.
    File(PathBuf),
    /// Inside the binary.
    Bundled(&'static [u8]),
}

impl Frame {
    /// The frame of a file.
    pub fn file(path: impl Into<PathBuf>) -> Frame {
        let path = path.into();
        Frame { name: path.display().to_string(), bytes: Bytes::File(path), speed_mps: None, driven: None }
    }

    /// The file name without its folders.
    pub fn short_name(&self) -> &str {
        self.name.rsplit(['/', '\\']).next().unwrap_or(&self.name)
    }

    /// Reads the picture.
    ///
    /// # Errors
    /// A missing (with the nearest name), damaged or too large picture: exit 3.
    pub fn open(&self) -> Result<Rgb> {
        match &self.bytes {
            Bytes::File(path) => Rgb::open(path, &Loading::default()),
            Bytes::Bundled(bytes) => Rgb::decode(bytes, &self.name, &Loading::default()),
        }
    }
}

/// A frame inside the binary and what is known about it.
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    /// File name in `data/samples/real_drive/frames`.
    pub file: &'static str,
    /// JPEG.
    pub bytes: &'static [u8],
    /// Ego speed in m/s.
    pub speed_mps: f64,
    /// The driven speed action; the data do not know every one.
    pub speed: Option<SpeedAction>,
    /// The driven path action.
    pub path: PathAction,
}

macro_rules! bundled {
    ($file:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/samples/real_drive/frames/", $file))
    };
}

/// Held-out frames of the bundled drive: a bend to the left, one to the right, a piece without either, speeding up.
pub const BUNDLED: [Bundled; 4] = [
    Bundled {
        file: "udacity_07_000.jpg",
        bytes: bundled!("udacity_07_000.jpg"),
        speed_mps: 15.66,
        speed: None,
        path: PathAction::LeftTurn,
    },
    Bundled {
        file: "udacity_07_009.jpg",
        bytes: bundled!("udacity_07_009.jpg"),
        speed_mps: 14.82,
        speed: Some(SpeedAction::Accelerate),
        path: PathAction::RightTurn,
    },
    Bundled {
        file: "udacity_07_036.jpg",
        bytes: bundled!("udacity_07_036.jpg"),
        speed_mps: 13.0,
        speed: Some(SpeedAction::Keep),
        path: PathAction::Straight,
    },
    Bundled {
        file: "udacity_10_019.jpg",
        bytes: bundled!("udacity_10_019.jpg"),
        speed_mps: 14.72,
        speed: Some(SpeedAction::Accelerate),
        path: PathAction::Straight,
    },
];

/// The bundled frames as frames.
pub fn bundled() -> Vec<Frame> {
    let frame = |b: &Bundled| Frame {
        name: format!("{} (bundled)", b.file),
        bytes: Bytes::Bundled(b.bytes),
        speed_mps: Some(b.speed_mps),
        driven: Some(b.speed.map_or_else(|| b.path.to_string(), |speed| format!("{speed}, {}", b.path))),
    };
    BUNDLED.iter().map(frame).collect()
}

/// The frames that arguments name, in the order of the arguments. Without arguments the bundled ones.
///
/// # Errors
/// A folder without frames, a pattern that matches nothing. A missing file is found out when it is opened.
pub fn find(args: &[String]) -> Result<Vec<Frame>> {
    if args.is_empty() {
        return Ok(bundled());
    }
    let mut frames = Vec::new();
    for arg in args {
        let path = Path::new(arg);
        if path.is_dir() {
            frames.extend(folder(path)?);
        } else if path.exists() || !is_pattern(path) {
            frames.push(Frame::file(path)); // a file may have a star in its name
        } else {
            frames.extend(pattern(path)?);
        }
    }
    Ok(frames)
}

fn is_pattern(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(['*', '?']))
}

fn folder(dir: &Path) -> Result<Vec<Frame>> {
    let names = names(dir)?;
    let is_frame = |name: &&String| {
        let ending = Path::new(name).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        !name.starts_with('.') && ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
    };
    let frames: Vec<Frame> = names.iter().filter(is_frame).map(|name| Frame::file(dir.join(name))).collect();
    if frames.is_empty() {
        return Err(Failure::data(format!("{} holds no JPEG or PNG: it has {}", dir.display(), some_of(&names)))
            .hint("give the folder that holds the frames themselves, or a pattern such as \"clip/*.jpg\""));
    }
    Ok(frames)
}

fn pattern(path: &Path) -> Result<Vec<Frame>> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    if is_pattern(dir) && !dir.exists() {
        return Err(Failure::data(format!("{}: * and ? work in the file name only", path.display()))
            .hint("leave the quotes away, so that the shell expands the folders"));
    }
    let names = names(dir)?;
    let frames: Vec<Frame> = names
        .iter()
        .filter(|name| (!name.starts_with('.') || wanted.starts_with('.')) && matches(&wanted, name))
        .map(|name| path.with_file_name(name))
        .filter(|path| path.is_file())
        .map(Frame::file)
        .collect();
    if frames.is_empty() {
        return Err(Failure::data(format!("no file matches {}", path.display())).hint(format!(
            "{} has {}",
            dir.display(),
            some_of(&names)
        )));
    }
    Ok(frames)
}

/// Names in a folder, in name order.
fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).map_err(io_at(dir))?;
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_by(|a, b| natural(a, b));
    Ok(names)
}

fn some_of(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        few if few.len() <= 5 => few.join(", "),
        many => format!("{} and {} more", many[..4].join(", "), many.len() - 4),
    }
}

/// Whether a name matches a pattern in which `*` is any text and `?` any character. Linear space, no recursion.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                // The last star takes one character more.
                let Some((at, taken)) = star else { return false };
                (p, n) = (at + 1, taken + 1);
                star = Some((at, taken + 1));
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Name order with runs of digits compared by value.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    loop {
        let (Some(c), Some(d)) = (x.chars().next(), y.chars().next()) else {
            return x.len().cmp(&y.len()).then_with(|| a.cmp(b));
        };
        let order = if c.is_ascii_digit() && d.is_ascii_digit() {
            let (m, rest_x) = number(x);
            let (n, rest_y) = number(y);
            (x, y) = (rest_x, rest_y);
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (x, y) = (&x[c.len_utf8()..], &y[d.len_utf8()..]);
            c.cmp(&d)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The digits a text starts with, without leading zeros, and what follows them.
fn number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use data::{Content, ReadOptions};

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "a.png", false),
            ("f_??.jpg", "f_07.jpg", true),
            ("f_??.jpg", "f_007.jpg", false),
            ("*", "", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("é?", "éà", true),
            ("a[b", "a[b", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)), "many stars stay fast");
    }

    #[test]
    fn numbers_count_by_value() {
        let mut names = ["f10", "f2", "f02", "f1", "f", "g1a", "f2b", "é"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["f", "f1", "f02", "f2", "f2b", "f10", "g1a", "é"]);
    }

    #[test]
    fn folders_and_patterns() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for name in ["f_2.jpg", "f_10.JPG", "x.png", ".hidden.jpg", "notes.txt", "odd*.jpg"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let find = |arg: String| -> Vec<String> {
            let short = |f: Frame| Path::new(&f.name).file_name().unwrap().to_string_lossy().into_owned();
            super::find(&[arg]).unwrap().into_iter().map(short).collect()
        };
        assert_eq!(find(at("")), ["f_2.jpg", "f_10.JPG", "odd*.jpg", "x.png"]);
        assert_eq!(find(at("f_*")), ["f_2.jpg", "f_10.JPG"]);
        assert_eq!(find(at("odd*.jpg")), ["odd*.jpg"], "a file of that very name comes first");
        assert_eq!(find(at("gone.jpg")), ["gone.jpg"], "found out when opened");
        let none = super::find(&[at("*.bmp")]).unwrap_err();
        assert!(none.message.contains("*.bmp") && none.hint.unwrap().contains("f_2.jpg"));
        assert!(super::find(&[at("c*/f.*")]).unwrap_err().message.contains("file name only"));
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        assert_eq!(super::find(&[at("empty")]).unwrap_err().kind.exit_code(), 3);
    }

    /// What is said about the bundled frames is what their records say.
    #[test]
    fn bundled_frames_are_those_of_the_test_split() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/samples/real_drive/test.jsonl");
        let set = data::load(&file, &ReadOptions::default()).unwrap();
        for frame in BUNDLED {
            let sample = set.samples.iter().find(|s| format!("{}.jpg", s.id) == frame.file).unwrap();
            let Content::Planning { ego, .. } = &sample.content else { panic!("{} asks nothing", sample.id) };
            assert_eq!((ego.speed_mps, ego.command.as_str()), (frame.speed_mps, "follow the road"));
            assert_eq!((sample.labels.speed, sample.labels.path), (frame.speed, Some(frame.path)));
        }
        assert!(bundled().iter().all(|frame| frame.open().unwrap().width > 0));
    }
}
