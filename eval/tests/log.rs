//! The per-sample log: killed at any byte it loses nothing finished and counts nothing twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use eval::metrics::bootstrap::Bootstrap;
use eval::{Entry, Log, LogError, Options, Summary, Writer};
use proptest::prelude::*;
use std::path::Path;
use support::{DIGEST, entry, write};

fn quick(log: &Log) -> String {
    let options = Options { bootstrap: Bootstrap { seed: 1, resamples: 20 }, ..Options::default() };
    serde_json::to_string(&Summary::of(log, options)).unwrap()
}

/// Continues a log until samples `0..n` are finished, as the evaluation does.
fn finish(path: &Path, n: usize) -> Log {
    let entries: Vec<Entry> = (0..n).map(entry).collect();
    let (mut writer, before) = Writer::open(path, DIGEST).unwrap();
    for id in before.pending(entries.iter().map(|e| e.id.as_str())) {
        writer.append(entries.iter().find(|e| e.id == id).unwrap()).unwrap();
    }
    Log::read(path, Some(DIGEST)).unwrap()
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = write(&folder.path().join("samples.jsonl"), 30);
    assert_eq!(log.entries, (0..30).map(entry).collect::<Vec<_>>());
    assert_eq!((log.torn, log.damaged.len(), log.duplicates, log.digest.as_deref()), (false, 0, 0, Some(DIGEST)));
    assert!(log.pending(log.entries.iter().map(|e| e.id.as_str())).is_empty());
    assert_eq!(log.pending(["clip0/0000", "new"]), ["new"]);
}

#[test]
fn a_missing_log_is_empty() {
    let log = Log::read(Path::new("/nonexistent/samples.jsonl"), None).unwrap();
    assert_eq!(log, Log::default());
    assert_eq!(Summary::of(&log, Options::default()).samples, 0);
}

#[test]
fn cut_at_every_byte_and_resumed_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.jsonl");
    let n = 4;
    let whole = write(&path, n);
    let (bytes, want) = (std::fs::read(&path).unwrap(), quick(&whole));
    for at in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..at]).unwrap();
        // Reading alone: only complete lines, never more than there are.
        let part = Log::read(&path, Some(DIGEST)).unwrap();
        let lines = bytes[..at].iter().filter(|b| **b == b'\n').count();
        assert_eq!((part.entries.len(), part.damaged.len()), (lines, 0), "cut at {at}");
        assert_eq!(part.torn, at > 0 && bytes[at - 1] != b'\n');
        // Resuming: the file itself is as if nothing had happened.
        let log = finish(&path, n);
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "cut at {at}");
        assert_eq!((log.torn, log.duplicates), (false, 0), "cut at {at}");
        if at % 16 == 0 {
            assert_eq!(quick(&log), want, "cut at {at}");
        }
    }
}

#[test]
fn order_and_repetition_do_not_change_the_summary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.jsonl");
    let want = quick(&write(&path, 20));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().rev().collect();
    lines.extend_from_within(3..9);
    let log = Log::from_bytes(&path, (lines.join("\n") + "\n").as_bytes(), None).unwrap();
    assert_eq!((log.duplicates, log.entries.len()), (6, 20));
    assert_eq!(quick(&log), want);
}

#[test]
fn another_run_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.jsonl");
    write(&path, 3);
    let before = std::fs::read(&path).unwrap();
    let e = Writer::open(&path, "d2").unwrap_err();
    assert!(matches!(e, LogError::OtherDigest { line: 1, .. }), "{e}");
    assert!(e.to_string().contains("d1") && e.to_string().contains("d2"), "{e}");
    // Mixed lines are refused also when no digest is asked for.
    let mut mixed = before.clone();
    mixed.extend(String::from_utf8(before.clone()).unwrap().replace("\"d1\"", "\"d2\"").bytes());
    assert!(matches!(Log::from_bytes(&path, &mixed, None).unwrap_err(), LogError::OtherDigest { line: 4, .. }));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn other_files_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.jsonl");
    for text in ["# my notes\nkeep", "{\"image\": \"a.jpg\"}\n", "{\"id\":\"a\",\"image\":\"a.jpg\"}\n", "\n"] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(Writer::open(&path, DIGEST).unwrap_err(), LogError::NotALog { .. }), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    // Neither a folder nor a device that never ends.
    for path in [folder.path(), Path::new("/dev/zero")] {
        assert!(matches!(Writer::open(path, DIGEST).unwrap_err(), LogError::NotALog { .. }));
    }
}

#[test]
fn damaged_lines_are_counted_and_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.jsonl");
    let want = quick(&write(&path, 6));
    let mut bytes = std::fs::read(&path).unwrap();
    let second = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
    bytes[second..second + 40].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let log = finish(&path, 6);
    assert_eq!(log.damaged, [2]);
    assert_eq!(quick(&log), want);
}

#[test]
fn entries_that_would_not_read_back_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(&folder.path().join("samples.jsonl"), DIGEST).unwrap();
    let mut say = |change: fn(&mut Entry)| {
        let mut e = entry(0);
        change(&mut e);
        writer.append(&e).unwrap_err().to_string()
    };
    assert!(say(|e| e.seconds = f64::NAN).contains("seconds is NaN"));
    assert!(say(|e| e.speed_mps = Some(f64::INFINITY)).contains("speed_mps"));
    assert!(say(|e| _ = e.scores.insert("format".into(), f64::NAN)).contains("format"));
    assert!(
        say(|e| _ = e.probabilities.as_mut().unwrap().path.insert("STRAIGHT".into(), f64::NAN)).contains("STRAIGHT")
    );
    assert!(say(|e| e.replies.clear()).contains("replies"));
    assert!(say(|e| e.id.clear()).contains("id"));
    assert!(say(|e| e.digest = "other".into()).contains("digest"));
}

#[test]
fn any_reply_survives_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.jsonl");
    write(&path, 2);
    let (mut writer, _) = Writer::open(&path, DIGEST).unwrap();
    let mut huge = entry(2);
    huge.replies = vec![eval::Reply::read("\"\\\n\r\u{1}<\u{2028}".repeat(1000)), eval::Reply::read("")];
    writer.append(&huge).unwrap();
    assert_eq!(Log::read(&path, None).unwrap().entries[2], huge);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400), logish in any::<bool>()) {
        let start: &[u8] = if logish { b"{\"id\":" } else { b"" };
        let _ = Log::from_bytes(Path::new("x"), &[start, &bytes].concat(), None);
    }

    #[test]
    fn flipped_bytes_never_add_a_sample(at in 0usize..4000, value in any::<u8>()) {
        let mut bytes = Vec::new();
        for i in 0..5 {
            bytes.extend(serde_json::to_vec(&entry(i)).unwrap());
            bytes.push(b'\n');
        }
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(log) = Log::from_bytes(Path::new("x"), &bytes, None) {
            // A flip can break a line in two pieces, but no piece of a line is an entry.
            prop_assert!(log.entries.len() <= 5);
            prop_assert!(log.entries.len() + log.damaged.len() + usize::from(log.torn) + log.duplicates >= 4);
        }
    }
}
