//! What no input may do: panic, hang, or take unbounded memory. Every reader is fed damaged and random files; whatever is
//! accepted must pass the check and compile into a world.

use crate::{bytes, fixture};
use proptest::prelude::*;
use sim::import::{ImportError, MAX_BYTES, Options, check};
use sim::import::{read_argoverse_map, read_commonroad, read_gpudrive, read_native, read_opendrive};
use sim::{Scenario, World};

type Reader = fn(&[u8]) -> Result<Scenario, ImportError>;

const READERS: [(&str, Reader); 5] = [
    ("USA_US101-3_3_T-1.xml", |b| read_commonroad(b, &Options { reactive: true })),
    ("crossroads.xodr", |b| read_opendrive(b, "x")),
    ("gpudrive.json", |b| read_gpudrive(b, &Options::default())),
    ("argoverse_map.json", |b| read_argoverse_map(b, "x")),
    ("crossroads.json", read_native),
];

/// A real file of each format.
fn real(reader: usize) -> Vec<u8> {
    let (name, _) = READERS[reader];
    if name == "crossroads.json" {
        let scene = sim::import::read(&fixture("crossroads.xodr"), &Options::default()).unwrap();
        return serde_json::to_vec(&scene).unwrap();
    }
    bytes(name)
}

/// Reads; what is accepted must be usable.
fn feed(reader: usize, bytes: &[u8]) -> bool {
    match READERS[reader].1(bytes) {
        Ok(scenario) => {
            check(&scenario).unwrap();
            World::new(scenario);
            true
        }
        Err(error) => {
            assert!(error.to_string().len() < 1_000, "{error}");
            false
        }
    }
}

/// Pieces that have hurt parsers.
const PIECES: &[&str] = &[
    "",
    "0",
    "-1",
    "1e400",
    "-1e38",
    "1e-320",
    "NaN",
    "null",
    "[]",
    "{}",
    "\"",
    "<",
    ">",
    "/>",
    "&lt;",
    "&a;",
    "\u{0}",
    "\u{fffd}",
    "99999999999999999999",
    "[[",
    "<a>",
    "</lanelet>",
    "-10000",
    "0.0000001",
    "180000",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_files(reader in 0..5_usize, edits in prop::collection::vec((any::<prop::sample::Index>(), 0..24_usize, 0..PIECES.len()), 1..4)) {
        let mut bytes = real(reader);
        for (at, cut, piece) in edits {
            let from = at.index(bytes.len());
            let to = (from + cut).min(bytes.len());
            bytes.splice(from..to, PIECES[piece].bytes());
        }
        feed(reader, &bytes);
    }

    #[test]
    fn damaged_numbers(reader in 0..5_usize, at in any::<prop::sample::Index>(), piece in 0..PIECES.len()) {
        // Whole numbers replaced, so that the files still parse and the values go deep.
        let text = String::from_utf8(real(reader)).unwrap();
        let digit = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
        let starts: Vec<usize> = text.char_indices().filter(|&(i, c)| digit(c) && (i == 0 || !digit(text[..i].chars().next_back().unwrap()))).map(|(i, _)| i).collect();
        let from = starts[at.index(starts.len())];
        let len = text[from..].find(|c| !digit(c)).unwrap_or(text.len() - from);
        let damaged = format!("{}{}{}", &text[..from], PIECES[piece], &text[from + len..]);
        feed(reader, damaged.as_bytes());
    }

    #[test]
    fn cut_files(reader in 0..5_usize, at in any::<prop::sample::Index>()) {
        let bytes = real(reader);
        let end = at.index(bytes.len());
        // A whole file less at most the white space after it.
        prop_assert!(!feed(reader, &bytes[..end]) || bytes[end..].iter().all(u8::is_ascii_whitespace));
    }

    #[test]
    fn random_bytes(reader in 0..5_usize, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!feed(reader, &bytes));
    }

    #[test]
    fn random_xml(tags in prop::collection::vec((0..12_usize, any::<bool>(), "[-0-9a-z.]{0,6}"), 0..60)) {
        const NAMES: [&str; 12] = ["lanelet", "leftBound", "rightBound", "point", "x", "y", "road", "planView", "geometry", "lanes", "laneSection", "planningProblem"];
        let mut body = String::new();
        let mut open = Vec::new();
        for (name, close, text) in tags {
            body += &format!("<{} id='{text}' s='0' ref='1'>{text}", NAMES[name]);
            open.push(NAMES[name]);
            if close {
                body += &format!("</{}>", open.pop().unwrap());
            }
        }
        while let Some(name) = open.pop() {
            body += &format!("</{name}>");
        }
        feed(0, format!("<commonRoad commonRoadVersion='2020a' timeStepSize='0.1' benchmarkID='x'>{body}</commonRoad>").as_bytes());
        feed(1, format!("<OpenDRIVE>{body}</OpenDRIVE>").as_bytes());
    }
}

#[test]
fn entities_do_not_expand() {
    let mut text = String::from("<!DOCTYPE x [<!ENTITY a0 \"lol\">");
    for i in 1..30 {
        text += &format!("<!ENTITY a{i} \"&a{};&a{};\">", i - 1, i - 1);
    }
    text += "]><commonRoad>&a29;</commonRoad>";
    let error = read_commonroad(text.as_bytes(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("DTD"), "{error}");
}

#[test]
fn depth_does_not_overflow_the_stack() {
    for (open, close) in [("<a>", "</a>"), ("<lanelet>", "</lanelet>")] {
        let text = format!("<commonRoad>{}{}</commonRoad>", open.repeat(300_000), close.repeat(300_000));
        assert!(read_commonroad(text.as_bytes(), &Options::default()).is_err());
    }
    let deep = "[".repeat(300_000);
    assert!(read_gpudrive(deep.as_bytes(), &Options::default()).is_err());
    let deep = format!("{{\"version\":1,\"map\":{}", "{\"a\":".repeat(300_000));
    assert!(read_native(deep.as_bytes()).is_err());
}

#[test]
fn large_files_are_refused_before_they_are_parsed() {
    let large = vec![b' '; MAX_BYTES as usize + 1];
    for (_, reader) in READERS {
        assert!(matches!(reader(&large), Err(ImportError::TooLarge { .. })));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.json");
    std::fs::write(&path, &large).unwrap();
    assert!(matches!(sim::import::read(&path, &Options::default()), Err(ImportError::TooLarge { .. })));
}

#[test]
fn a_road_of_any_length_is_sampled_only_within_bounds() {
    let text = String::from_utf8(bytes("crossroads.xodr")).unwrap();
    // Many roads of 100 km each, each with hundreds of lanes, in a small file.
    let lanes: String = (1..200).map(|i| format!("<lane id=\"-{i}\" type=\"driving\"/>")).collect();
    let road = |i: usize| {
        format!(
            "<road id=\"r{i}\" length=\"100000\"><planView><geometry s=\"0\" x=\"0\" y=\"0\" hdg=\"0\" length=\"100000\"><line/>\
             </geometry></planView><lanes><laneSection s=\"0\"><right>{lanes}</right></laneSection></lanes></road>"
        )
    };
    let many: String = (0..50).map(road).collect();
    let text = text.replace("</OpenDRIVE>", &format!("{many}</OpenDRIVE>"));
    let error = read_opendrive(text.as_bytes(), "x").unwrap_err().to_string();
    assert!(error.contains("all lanes of all roads"), "{error}");
}
