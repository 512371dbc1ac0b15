//! What is wrong with a set although it could be read: missing or broken image files, duplicate ids, label problems,
//! and leakage: the same clip, image or id on both sides of a split.

use crate::{
    error::{shown, thousands},
    read::Dataset,
    sample::{Content, Image, Role, Sample},
};
use scene::{PathAction, SpeedAction};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    io::Read,
    path::Path,
};

/// What kind of problem was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// A record that could not be read.
    BadRecord,
    /// Two samples of a set with one id.
    DuplicateId,
    /// An image file that is not there or cannot be opened.
    MissingImage,
    /// An image that is empty, cut off, too large, or neither JPEG nor PNG.
    BrokenImage,
    /// One id in two splits.
    LeakedId,
    /// One clip in two splits.
    LeakedClip,
    /// One image file in two splits.
    LeakedImage,
    /// A label that the driven future contradicts.
    Contradiction,
    /// `<think>` or `<answer>` inside reasoning.
    TagInReasoning,
    /// An upper-case label word inside reasoning: scorers that search the whole reply count it as an answer.
    LabelInReasoning,
    /// A planning sample without both labels.
    HalfLabelled,
    /// A conversation that asks but has no answer.
    NoAnswer,
    /// A frame without any question.
    BareFrame,
}

impl Problem {
    /// Whether training on the set would be wrong; the others are worth knowing.
    pub fn is_error(self) -> bool {
        !matches!(self, Problem::HalfLabelled | Problem::NoAnswer | Problem::BareFrame | Problem::LabelInReasoning)
    }

    fn title(self) -> &'static str {
        match self {
            Problem::BadRecord => "records that cannot be read",
            Problem::DuplicateId => "ids used twice",
            Problem::MissingImage => "image files missing",
            Problem::BrokenImage => "images that cannot be used",
            Problem::LeakedId => "ids in two splits",
            Problem::LeakedClip => "clips in two splits",
            Problem::LeakedImage => "images in two splits",
            Problem::Contradiction => "labels that the driven future contradicts",
            Problem::TagInReasoning => "reasonings with tags inside",
            Problem::LabelInReasoning => "reasonings with label words inside",
            Problem::HalfLabelled => "planning samples without both labels",
            Problem::NoAnswer => "conversations without an answer",
            Problem::BareFrame => "frames without a question",
        }
    }
}

/// One problem.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Kind.
    pub problem: Problem,
    /// Sample id, or the place for records that could not be read.
    pub at: String,
    /// What exactly.
    pub what: String,
    /// What to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What was looked at and found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Files checked.
    pub files: usize,
    /// Samples checked.
    pub samples: usize,
    /// Different image files opened.
    pub images: usize,
    /// Problems, in order of finding.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Number of findings that make the set unfit.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.problem.is_error()).count()
    }

    fn add(&mut self, problem: Problem, at: &str, what: impl Into<String>) {
        self.findings.push(Finding { problem, at: at.into(), what: what.into(), hint: None });
    }
}

/// What is wrong with an image, if something is; [`Finding::at`] is filled in by [`check`].
pub type Look<'a> = &'a dyn Fn(&Image) -> Option<Finding>;

/// Checks one or more sets together; a sample's split is its own, or else the file it came from.
///
/// `look` is asked once about every image file, such as [`first_bytes`]; `None` leaves images alone.
pub fn check(sets: &[Dataset], look: Option<Look>) -> Report {
    let mut report = Report { files: sets.len(), ..Report::default() };
    let mut opened: HashMap<&Path, Option<Finding>> = HashMap::new();
    for set in sets {
        for problem in &set.problems {
            let (at, what) = (set.file.clone(), problem.to_string());
            report.findings.push(Finding { problem: Problem::BadRecord, at, what, hint: problem.hint() });
        }
        let mut ids: HashMap<&str, usize> = HashMap::new();
        for (i, sample) in set.samples.iter().enumerate() {
            report.samples += 1;
            if let Some(first) = ids.insert(&sample.id, i) {
                let what = format!("samples {first} and {i} of {}", set.file);
                report.add(Problem::DuplicateId, &sample.id, what);
            }
            labels(sample, &mut report);
            for (image, look) in sample.images.iter().filter_map(|image| Some((image, look?))) {
                let found = match image {
                    Image::Bytes(_) => look(image),
                    Image::File(path) => opened.entry(path).or_insert_with(|| look(image)).clone(),
                };
                report.findings.extend(found.map(|found| Finding { at: sample.id.clone(), ..found }));
            }
        }
    }
    report.images = opened.len();
    leakage(sets, &mut report);
    report
}

/// Why an image is unfit, by its first bytes: a [`Look`] that decodes nothing.
pub fn first_bytes(image: &Image) -> Option<Finding> {
    let found = |problem, what| Some(Finding { problem, at: String::new(), what, hint: None });
    let path = match image {
        Image::Bytes(bytes) => return broken(bytes).and_then(|what| found(Problem::BrokenImage, what)),
        Image::File(path) => path,
    };
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(16).read_to_end(&mut head));
    match read {
        Err(e) => found(Problem::MissingImage, format!("{}: {e}", path.display())),
        Ok(_) => broken(&head).and_then(|what| found(Problem::BrokenImage, format!("{} {what}", path.display()))),
    }
}

fn broken(bytes: &[u8]) -> Option<String> {
    match bytes {
        [] => Some("is empty".into()),
        [0xff, 0xd8, 0xff, ..] | [0x89, b'P', b'N', b'G', ..] => None,
        _ => Some(format!("starts with {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(12)]))),
    }
}

fn labels(sample: &Sample, report: &mut Report) {
    let id = &sample.id;
    match &sample.content {
        _ if sample.pair.is_some() => {}
        Content::Conversation { turns } if turns.is_empty() => report.add(Problem::BareFrame, id, "nothing is asked"),
        Content::Conversation { turns } => {
            if !turns.iter().any(|t| t.role == Role::Assistant) {
                report.add(Problem::NoAnswer, id, "no assistant turn");
            }
        }
        Content::Planning { reasoning, .. } => {
            let missing = [("speed", sample.labels.speed.is_none()), ("path", sample.labels.path.is_none())];
            let missing: Vec<&str> = missing.iter().filter(|(_, m)| *m).map(|(axis, _)| *axis).collect();
            if !missing.is_empty() {
                report.add(Problem::HalfLabelled, id, format!("no {} label", missing.join(" and no ")));
            }
            let text = reasoning.as_deref().unwrap_or("");
            if let Some(tag) = ["<think", "</think", "<answer", "</answer"].iter().find(|t| text.contains(*t)) {
                report.add(Problem::TagInReasoning, id, format!("{tag}> in {:?}", shown(text)));
            }
            let words = SpeedAction::ALL.iter().map(|l| l.as_str()).chain(PathAction::ALL.iter().map(|l| l.as_str()));
            if let Some(word) = words.into_iter().find(|w| text.contains(w)) {
                report.add(Problem::LabelInReasoning, id, format!("{word} in {:?}", shown(text)));
            }
        }
    }
    if let Some(what) = contradiction(sample) {
        report.add(Problem::Contradiction, id, what);
    }
}

/// Labels that no labelling rule could give for this future. Margins are wide: this finds swapped axes and shifted
/// rows, not borderline cases.
fn contradiction(sample: &Sample) -> Option<String> {
    let future = sample.labels.future.as_ref()?;
    let at = (3.0 / future.step).round() as usize;
    let end = future.poses.get(at.checked_sub(1)?)?;
    let before = at.checked_sub(2).and_then(|i| future.poses.get(i)).copied().unwrap_or_default();
    let speed = (end.x - before.x).hypot(end.y - before.y) / future.step;
    use PathAction::{LeftChange, LeftTurn, RightChange, RightTurn};
    // Who changes to the left lane of a road that bends right may end on the right of where he came from.
    let told = !matches!(sample.labels.path, Some(LeftChange | RightChange)) || end.heading.abs() <= 0.1;
    match sample.labels.path {
        Some(path @ (LeftTurn | LeftChange)) if told && end.y < -2.0 => Some((path.as_str(), end.y)),
        Some(path @ (RightTurn | RightChange)) if told && end.y > 2.0 => Some((path.as_str(), end.y)),
        _ => None,
    }
    .map(|(label, y)| format!("{label} but {y:.1} m to the left in 3 s"))
    .or_else(|| {
        let stop = sample.labels.speed == Some(SpeedAction::Stop) && speed > 5.0;
        stop.then(|| format!("STOP but {speed:.1} m/s in 3 s"))
    })
}

fn leakage(sets: &[Dataset], report: &mut Report) {
    let mut seen: HashMap<(Problem, String), (String, String)> = HashMap::new();
    let mut told: std::collections::HashSet<(Problem, String)> = std::collections::HashSet::new();
    for (set, sample) in sets.iter().flat_map(|set| set.samples.iter().map(move |s| (set, s))) {
        let split = sample.split.as_deref().unwrap_or(&set.file);
        let mut keys = vec![(Problem::LeakedId, sample.id.clone())];
        keys.extend(sample.clip.iter().map(|c| (Problem::LeakedClip, c.clone())));
        for image in &sample.images {
            if let Image::File(path) = image {
                keys.push((Problem::LeakedImage, path.to_string_lossy().into_owned()));
            }
        }
        for key in keys {
            let (first, at) = seen.entry(key.clone()).or_insert_with(|| (split.into(), sample.id.clone()));
            if first != split && told.insert(key.clone()) {
                let what = format!("{} is in {first} (sample {at}) and in {split}", key.1);
                report.add(key.0, &sample.id, what);
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |n: usize| thousands(n as u64);
        let (files, samples, images) = (n(self.files), n(self.samples), n(self.images));
        writeln!(f, "checked {samples} samples in {files} files, {images} image files opened")?;
        let mut kinds: BTreeMap<Problem, Vec<&Finding>> = BTreeMap::new();
        self.findings.iter().for_each(|x| kinds.entry(x.problem).or_default().push(x));
        for (problem, found) in kinds {
            let level = if problem.is_error() { "error" } else { "note" };
            writeln!(f, "{level}: {} {}", n(found.len()), problem.title())?;
            let mut hints = std::collections::BTreeSet::new();
            for x in found.iter().take(5) {
                // What is wrong with a file begins with its name.
                let at = if x.what.starts_with(&x.at) { String::new() } else { format!("{}: ", x.at) };
                writeln!(f, "    {at}{}", x.what)?;
                if let Some(hint) = x.hint.as_ref().filter(|hint| hints.insert(hint.as_str())) {
                    writeln!(f, "      hint: {hint}")?;
                }
            }
            if found.len() > 5 {
                writeln!(f, "    and {} more", n(found.len() - 5))?;
            }
        }
        if self.findings.is_empty() {
            writeln!(f, "nothing wrong")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::{ReadOptions, read_bytes};

    fn set(file: &str, text: &str) -> Dataset {
        let options = ReadOptions { skip_bad: true, ..Default::default() };
        read_bytes(file, text.as_bytes(), &options).unwrap()
    }

    fn kinds(report: &Report) -> Vec<Problem> {
        let mut kinds: Vec<Problem> = report.findings.iter().map(|f| f.problem).collect();
        kinds.sort();
        kinds
    }

    #[test]
    fn each_problem_is_found_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("ok.jpg"), b"\xff\xd8\xff\xe0").unwrap();
        std::fs::write(at("heic.jpg"), b"\0\0\0\x18ftypheic").unwrap();
        std::fs::write(at("empty.jpg"), b"").unwrap();
        let train = r#"{"id":"a","images":["ok.jpg"],"ego":{"speed_mps":9},"plan":{"speed":"KEEP","path":"STRAIGHT"},"clip":"c1"}
            {"id":"a","images":["heic.jpg"],"ego":{"speed_mps":9},"plan":{"speed":"KEEP","path":"STRAIGHT"}}
            {"id":"b","images":["none.jpg"],"ego":{"speed_mps":9},"plan":{"path":"STRAIGHT"},"reasoning":"I KEEP it."}
            {"id":"c","images":["empty.jpg"],"ego":{"speed_mps":9},"plan":{"speed":"STOP","path":"RIGHT_TURN"},"future":[[5,0,0],[10,1,0],[15,2,0],[20,3,0],[25,5,0],[30,8,0]]}
            {oops"#;
        let val = r#"{"id":"v","images":["ok.jpg"],"clip":"c1"}
            {"id":"b","images":["ok.jpg"],"clip":"c1","messages":[{"role":"user","content":"<image>?"}]}"#;
        let report = check(&[set(&at("train.jsonl"), train), set(&at("val.jsonl"), val)], Some(&first_bytes));
        use Problem::*;
        let expect = [
            BadRecord,
            DuplicateId,
            MissingImage,
            BrokenImage,
            BrokenImage,
            LeakedId,
            LeakedClip,
            LeakedImage,
            Contradiction,
            LabelInReasoning,
            HalfLabelled,
            NoAnswer,
            BareFrame,
        ];
        assert_eq!(kinds(&report), expect);
        assert_eq!((report.samples, report.images, report.errors()), (6, 4, 9));
        let text = report.to_string();
        assert!(text.contains("ftypheic") && text.contains("RIGHT_TURN but 8.0 m to the left"), "{text}");
        assert_eq!(kinds(&check(&[set(&at("train.jsonl"), train)], None)).len(), 5);
    }

    #[test]
    fn splits_inside_one_file() {
        let text = r#"{"id":"a","images":["1"],"ego":{"speed_mps":1},"clip":"c","split":"train","plan":{"speed":"KEEP","path":"STRAIGHT"}}
            {"id":"b","images":["2"],"ego":{"speed_mps":1},"clip":"c","split":"val","plan":{"speed":"KEEP","path":"STRAIGHT"}}"#;
        assert_eq!(kinds(&check(&[set("s.jsonl", text)], None)), [Problem::LeakedClip]);
        let clean = text.replace("\"val\"", "\"train\"");
        assert!(check(&[set("s.jsonl", &clean)], None).to_string().contains("nothing wrong"));
    }
}
