//! The progress line of an evaluation: samples done, replies without a plan, speed, time left.

use crate::train::progress::{Progress, duration};
use ::eval::{Entry, Log};
use data::Sample;
use std::{collections::BTreeSet, time::Instant};

/// Counts what was finished before and what is finished now.
pub(super) struct Meter {
    name: &'static str,
    total: usize,
    before: usize,
    now: usize,
    failures: usize,
    begin: Instant,
}

impl Meter {
    /// Starts counting; the log says what was finished before.
    pub fn new(name: &'static str, samples: &[Sample], log: &Log) -> Self {
        let asked: BTreeSet<&str> = samples.iter().map(|sample| sample.id.as_str()).collect();
        let finished = || log.entries.iter().filter(|entry| asked.contains(entry.id.as_str()));
        let failures = finished().filter(|entry| failed(entry)).count();
        Meter { name, total: samples.len(), before: finished().count(), now: 0, failures, begin: Instant::now() }
    }

    /// Counts a finished sample and shows it when that is due.
    pub fn add(&mut self, entry: &Entry, progress: &mut Progress) {
        self.now += 1;
        self.failures += usize::from(failed(entry));
        let done = self.before + self.now;
        progress.line(done == self.total, || self.text(self.begin.elapsed().as_secs_f64()));
    }

    fn text(&self, seconds: f64) -> String {
        let done = self.before + self.now;
        let rate = self.now as f64 / seconds.max(1e-9);
        let left = duration(self.total.saturating_sub(done) as f64 / rate.max(1e-9));
        let digits = if rate < 10.0 { 2 } else { 0 };
        let Meter { name, total, failures, .. } = self;
        format!("{name} {done}/{total}  parse failures {failures}  {rate:.digits$} samples/s  eta {left}")
    }
}

fn failed(entry: &Entry) -> bool {
    entry.replies.first().is_some_and(|reply| reply.plan().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_what_was_there_and_times_what_is_new() {
        let meter = Meter { name: "eval", total: 86, before: 40, now: 6, failures: 3, begin: Instant::now() };
        assert_eq!(meter.text(3.0), "eval 46/86  parse failures 3  2.00 samples/s  eta 20 s");
    }
}
