//! A small synthetic run for the tests of this crate.

use eval::metrics::Truth;
use eval::metrics::bootstrap::draw_index;
use eval::{Entry, Log, Probabilities, Reply, Writer};
use scene::{MetaAction, PathAction, Plan, SpeedAction};
use std::path::Path;

pub const DIGEST: &str = "d1";

/// Sample `i`: mostly KEEP, STRAIGHT; a planner that is right about two times in three and sometimes writes nonsense.
pub fn entry(i: usize) -> Entry {
    let roll = |stream: u64, n: usize| draw_index(stream, i as u64 + 1, n);
    let truth = MetaAction::new(
        SpeedAction::ALL[roll(1, 8).min(7) % 8 / 2 * usize::from(roll(2, 2) == 0)],
        PathAction::ALL[roll(3, 3) * usize::from(roll(4, 2) == 0)],
    );
    let said = match roll(5, 3) {
        0 => MetaAction::new(SpeedAction::ALL[roll(6, 4)], PathAction::ALL[roll(7, 5)]),
        _ => truth,
    };
    let why = ["The road ahead is clear.", "A bend comes, I follow it.", "A car brakes in front of me."][roll(8, 3)];
    let text = match roll(9, 12) {
        0 => "I would rather not say".to_owned(),
        _ => Plan { reasoning: why.into(), action: said }.render(true),
    };
    Entry {
        id: format!("clip{}/{i:04}", i % 7),
        digest: DIGEST.into(),
        prompt: "p".into(),
        clip: Some(format!("clip{}", i % 7)),
        frame: None,
        speed_mps: Some(if truth.speed == SpeedAction::Stop { 1.5 } else { 12.0 }),
        command: Some("follow the road".into()),
        truth: Truth { speed: (roll(10, 4) > 0).then_some(truth.speed), path: Some(truth.path) },
        reasoning: (roll(11, 2) == 0).then(|| "The road ahead is clear, so I keep my speed.".into()),
        replies: vec![Reply::read(text)],
        probabilities: Some(Probabilities {
            speed: SpeedAction::ALL.iter().map(|l| (l.to_string(), if *l == said.speed { 0.7 } else { 0.1 })).collect(),
            path: PathAction::ALL.iter().map(|l| (l.to_string(), if *l == said.path { 0.6 } else { 0.1 })).collect(),
        }),
        scores: [("format".to_owned(), 1.0)].into(),
        tokens: Some(12),
        cut: 0,
        seconds: 0.25,
    }
}

/// Writes a log of samples `0..n`.
#[allow(dead_code)]
pub fn write(path: &Path, n: usize) -> Log {
    let (mut writer, _) = Writer::open(path, DIGEST).unwrap();
    for i in 0..n {
        writer.append(&entry(i)).unwrap();
    }
    writer.sync().unwrap();
    Log::read(path, Some(DIGEST)).unwrap()
}

/// A log in memory with every entry passed through `change`.
#[allow(dead_code)]
pub fn log(n: usize, change: impl Fn(&mut Entry)) -> Log {
    let entries = (0..n).map(|i| {
        let mut e = entry(i);
        change(&mut e);
        e
    });
    Log::of(DIGEST, entries)
}
