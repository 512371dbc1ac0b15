//! Recorded motion to samples: rows of time and position (and speed, heading, frame where they were recorded), as CSV
//! or JSON lines. Each row that names a frame becomes a sample whose future is the driven path of the next 4 s in its
//! own frame, interpolated at 0.5 s.

use crate::{
    error::{DataError, Place, Result, shown},
    fields::{MAX_METRES, MAX_SPEED},
    images::Folder,
    record::command,
    rows::Rows,
    sample::{Content, Ego, Labels, Sample},
};
use scene::{Pose, Trajectory};
use serde_json::{Map, Value};
use std::path::Path;

/// Seconds between future poses.
const STEP: f64 = 0.5;
/// Poses of a future.
const POSES: usize = 8;
/// A gap in time longer than this is not interpolated over (s).
const GAP: f64 = 1.0;
/// Most rows of one file.
const MAX_ROWS: usize = 10_000_000;

/// Column names that are understood.
const COLUMNS: [(&str, &[&str]); 8] = [
    ("clip", &["clip"]),
    ("t", &["t", "t_s", "time"]),
    ("x", &["x", "x_m"]),
    ("y", &["y", "y_m"]),
    ("heading", &["heading", "heading_rad", "yaw"]),
    ("speed", &["speed_mps", "speed", "v"]),
    ("frame", &["frame", "image"]),
    ("command", &["command", "navigation"]),
];

#[derive(Debug, Clone, Default)]
struct Row {
    place: Place,
    clip: String,
    t: f64,
    x: f64,
    y: f64,
    heading: Option<f64>,
    speed: Option<f64>,
    frame: Option<String>,
    command: Option<String>,
    extra: Map<String, Value>,
}

/// Reads a file of poses; positions are metres in any fixed frame, headings radians counter-clockwise from its x axis.
///
/// # Errors
/// A column is missing or no number, time runs backwards within a clip, or no row names a frame.
pub fn read(file: &str, bytes: &[u8]) -> Result<Vec<Sample>> {
    let first = bytes.trim_ascii_start().first();
    let rows = if matches!(first, Some(b'{' | b'[')) { json_rows(file, bytes)? } else { csv_rows(file, bytes)? };
    let folder = Folder { base: Path::new(file).parent().unwrap_or(Path::new("")).into(), roots: Vec::new() };
    let mut samples = Vec::new();
    for clip in rows.chunk_by(|a, b| a.clip == b.clip) {
        if let Some(w) = clip.windows(2).find(|w| w[1].t <= w[0].t) {
            let value = format!("{} after {}", w[1].t, w[0].t);
            let expected = "a time later than the row before it in the same clip".into();
            return Err(DataError::BadNumber { place: w[1].place.clone(), field: "t".into(), value, expected });
        }
        let headings = headings(clip);
        for (i, row) in clip.iter().enumerate() {
            if let Some(frame) = &row.frame {
                samples.push(sample(clip, &headings, i, frame, &folder)?);
            }
        }
    }
    if samples.is_empty() {
        let present = "no row that names one".into();
        return Err(DataError::MissingField { place: Place::file(file), field: "frame".into(), present });
    }
    Ok(samples)
}

fn sample(clip: &[Row], headings: &[f64], now: usize, frame: &str, folder: &Folder) -> Result<Sample> {
    let row = &clip[now];
    let (sin, cos) = headings[now].sin_cos();
    let mut poses = Vec::new();
    let mut at = now;
    for k in 1..=POSES {
        let t = row.t + STEP * k as f64;
        while at + 1 < clip.len() && clip[at + 1].t < t - 1e-9 {
            at += 1;
        }
        let Some(next) = clip.get(at + 1).filter(|next| next.t - clip[at].t <= GAP) else { break };
        let f = ((t - clip[at].t) / (next.t - clip[at].t)).clamp(0.0, 1.0);
        let (dx, dy) = (clip[at].x + f * (next.x - clip[at].x) - row.x, clip[at].y + f * (next.y - clip[at].y) - row.y);
        let heading = wrap(headings[at] + f * wrap(headings[at + 1] - headings[at]) - headings[now]);
        poses.push(Pose { x: cos * dx + sin * dy, y: cos * dy - sin * dx, heading });
    }
    let speed_mps = row.speed.unwrap_or_else(|| {
        let (a, b) = around(clip, now);
        if b.t > a.t { (b.x - a.x).hypot(b.y - a.y) / (b.t - a.t) } else { 0.0 }
    });
    if !(0.0..=MAX_SPEED).contains(&speed_mps) {
        let (place, field) = (row.place.clone(), "speed_mps".into());
        return Err(DataError::BadSpeed { place, field, value: format!("{speed_mps:.2}"), max: MAX_SPEED });
    }
    let image = folder.image(&Value::from(frame), &row.place, "frame")?;
    let ego = Ego { speed_mps, command: command(row.command.clone()) };
    let id = Path::new(frame).file_stem().map_or_else(|| frame.to_owned(), |s| s.to_string_lossy().into_owned());
    let future = (!poses.is_empty()).then(|| Trajectory::half_second(poses));
    Ok(Sample {
        id,
        images: vec![image],
        content: Content::Planning { ego, reasoning: None },
        pair: None,
        labels: Labels { future, ..Labels::default() },
        aux: Default::default(),
        clip: (!row.clip.is_empty()).then(|| row.clip.clone()),
        split: None,
        extra: row.extra.clone(),
    })
}

/// The rows around `now` that are at least 3 m apart, or 1 s to either side: positions from satellites come in steps of
/// a metre, so neighbouring rows alone give no direction.
fn around(clip: &[Row], now: usize) -> (&Row, &Row) {
    let (mut a, mut b) = (now, now);
    let near = |i: usize| (clip[i].t - clip[now].t).abs() <= 1.0;
    loop {
        let (back, on) = (a > 0 && near(a - 1), b + 1 < clip.len() && near(b + 1));
        let far = (clip[b].x - clip[a].x).hypot(clip[b].y - clip[a].y) >= 3.0;
        if far || !(back || on) {
            return (&clip[a], &clip[b]);
        }
        (a, b) = (a - usize::from(back), b + usize::from(on));
    }
}

/// Recorded headings, or the direction of motion where there are none; standing keeps the last one.
fn headings(clip: &[Row]) -> Vec<f64> {
    let mut out: Vec<Option<f64>> = clip.iter().map(|r| r.heading).collect();
    for i in 0..clip.len() {
        if out[i].is_none() {
            let (a, b) = around(clip, i);
            let (dx, dy) = (b.x - a.x, b.y - a.y);
            out[i] = (dx.hypot(dy) > 0.5).then(|| dy.atan2(dx)).or(if i > 0 { out[i - 1] } else { None });
        }
    }
    let first = out.iter().flatten().next().copied().unwrap_or(0.0);
    out.into_iter().map(|h| h.unwrap_or(first)).collect()
}

/// An angle in (-pi, pi].
fn wrap(angle: f64) -> f64 {
    let turn = std::f64::consts::TAU;
    let a = angle.rem_euclid(turn);
    if a > turn / 2.0 { a - turn } else { a }
}

fn row(place: Place, mut columns: Map<String, Value>) -> Result<Row> {
    let mut found: std::collections::HashMap<&str, (String, Value)> = Default::default();
    let present = columns.keys().take(12).cloned().collect::<Vec<_>>().join(", ");
    for (name, aliases) in COLUMNS {
        if let Some(key) = aliases.iter().find(|a| columns.get(**a).is_some_and(|v| !v.is_null() && v != "")) {
            found.insert(name, ((*key).into(), columns.shift_remove(*key).unwrap_or_default()));
        }
    }
    let number = |name: &str| -> Result<Option<f64>> {
        let Some((key, value)) = found.get(name) else { return Ok(None) };
        let n = value.as_f64().or_else(|| value.as_str().and_then(|s| s.trim().parse().ok()));
        let limit = if name == "t" { 1e12 } else { MAX_METRES * 1e4 };
        n.filter(|v| v.abs() <= limit).map(Some).ok_or_else(|| DataError::BadNumber {
            place: place.clone(),
            field: key.clone(),
            value: shown(&value.to_string()),
            expected: "a finite number".into(),
        })
    };
    let need = |name: &str| {
        number(name)?.ok_or_else(|| DataError::MissingField {
            place: place.clone(),
            field: name.into(),
            present: present.clone(),
        })
    };
    let text =
        |name: &str| found.get(name).map(|(_, v)| v.as_str().map_or_else(|| v.to_string(), |s| s.trim().to_owned()));
    Ok(Row {
        clip: text("clip").unwrap_or_default(),
        t: need("t")?,
        x: need("x")?,
        y: need("y")?,
        heading: number("heading")?,
        speed: number("speed")?,
        frame: text("frame"),
        command: text("command"),
        extra: columns,
        place,
    })
}

fn json_rows(file: &str, bytes: &[u8]) -> Result<Vec<Row>> {
    let rows = Rows::new(file, bytes)?.map(|r| {
        let r = r?;
        match r.value {
            Value::Object(map) => row(r.place, map),
            other => Err(DataError::NotAnObject { place: r.place, found: crate::fields::kind(&other) }),
        }
    });
    rows.take(MAX_ROWS).collect()
}

/// Comma-separated values with a header line; no quoting, as poses need none.
fn csv_rows(file: &str, bytes: &[u8]) -> Result<Vec<Row>> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| DataError::NotText { file: file.into(), found: "is not UTF-8".into() })?;
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    let Some((_, header)) = lines.next() else { return Err(DataError::Empty { file: file.into() }) };
    let header: Vec<&str> = header.split(',').map(str::trim).collect();
    let rows = lines.take(MAX_ROWS).map(|(i, line)| {
        let place = Place { file: file.into(), line: i as u64 + 1, ..Place::default() };
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() != header.len() {
            let (value, expected) = (format!("{} cells", cells.len()), format!("{} as in the header", header.len()));
            return Err(DataError::BadNumber { place, field: "row".into(), value, expected });
        }
        let cell = |c: &str| c.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
        let pairs = header.iter().zip(cells);
        let value = |key: &str, c: &str| if key == "clip" { c.into() } else { cell(c).map_or(c.into(), Value::Number) };
        row(place, pairs.map(|(k, c)| ((*k).to_owned(), value(k, c))).collect())
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// A left-hand circle of 50 m at 10 m/s, 10 Hz, starting northwards.
    fn circle(heading: bool) -> String {
        let mut out = String::from(if heading { "t,x,y,heading,frame\n" } else { "t,x,y,frame\n" });
        for i in 0..60 {
            let (t, a) = (f64::from(i) * 0.1, f64::from(i) * 0.02);
            let (x, y) = (50.0 * a.cos() + 3.0, 50.0 * a.sin());
            let frame = if i % 5 == 0 { format!("f{i}.jpg") } else { String::new() };
            let h = a + std::f64::consts::FRAC_PI_2;
            out += &if heading { format!("{t},{x},{y},{h},{frame}\n") } else { format!("{t},{x},{y},{frame}\n") };
        }
        out
    }

    #[test]
    fn a_circle_is_a_circle_in_every_ego_frame() {
        for heading in [true, false] {
            let samples = read("run/p.csv", circle(heading).as_bytes()).unwrap();
            assert_eq!(samples.len(), 12);
            let s = &samples[2];
            assert_eq!((s.id.as_str(), s.images[0].clone()), ("f10", crate::Image::File("run/f10.jpg".into())));
            let speed = s.speed_mps().unwrap();
            assert!((speed - 10.0).abs() < 0.01, "{speed}");
            let poses = &s.labels.future.as_ref().unwrap().poses;
            assert_eq!(poses.len(), 8);
            for (k, p) in poses.iter().enumerate() {
                let a = 0.1 * (k + 1) as f64;
                let (x, y) = (50.0 * a.sin(), 50.0 * (1.0 - a.cos()));
                assert!(
                    (p.x - x).abs() < 0.02 && (p.y - y).abs() < 0.02 && (p.heading - a).abs() < 2e-3,
                    "{p:?} {x} {y}"
                );
            }
            // The last frames have only what was driven.
            assert_eq!(samples[11].labels.future.as_ref().map(|f| f.poses.len()), None);
            assert_eq!(samples[10].labels.future.as_ref().map(|f| f.poses.len()), Some(1));
        }
    }

    #[test]
    fn json_rows_clips_and_refusals() {
        let lines = r#"{"clip":"a","t":0,"x":0,"y":0,"speed_mps":2,"frame":"0.jpg","command":"turn left"}
            {"clip":"a","t":0.5,"x":1,"y":0}
            {"clip":"b","t":0,"x":0,"y":0,"frame":"1.jpg"}"#;
        let samples = read("p.jsonl", lines.as_bytes()).unwrap();
        assert_eq!(samples[0].labels.future.as_ref().unwrap().poses, vec![Pose { x: 1.0, y: 0.0, heading: 0.0 }]);
        assert_eq!((samples[0].clip.as_deref(), samples[1].labels.future.is_none()), (Some("a"), true));
        for (bad, says) in [
            ("t,x,frame\n0,0,a.jpg", "\"y\" is missing"),
            ("t,x,y,frame\n0,0,z,a.jpg", "p.csv line 2: \"y\" holds"),
            ("t,x,y,frame\n0,0,0,a.jpg\n0,1,0,b.jpg", "p.csv line 3: \"t\" holds 0 after 0"),
            ("t,x,y\n0,0,0", "\"frame\" is missing"),
            ("t,x,y,frame\n0,0,a.jpg", "3 cells"),
            ("t,x,y,frame,v\n0,0,0,a.jpg,nan", "holds \"nan\""),
            ("t,x,y,frame,v\n0,0,0,a.jpg,-3", "\"speed_mps\" is -3"),
            ("", "holds no records"),
        ] {
            let e = read("p.csv", bad.as_bytes()).unwrap_err().to_string();
            assert!(e.contains(says), "{bad}\n{e}");
        }
    }
}
