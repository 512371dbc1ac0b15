//! What a person sees while training: one line that rewrites itself on a terminal, a plain line every so often
//! elsewhere, nothing with `--quiet`. It goes to stderr, so results can be piped; a closed stderr is no reason to stop.

pub use crate::memory::{peak_bytes, resident_bytes};

use crate::error::human_bytes;
use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

/// What one step reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Steps done, counting this one.
    pub step: u64,
    /// Steps in all.
    pub total: u64,
    /// Mean loss of the step.
    pub loss: f64,
    /// Learning rate in force.
    pub lr: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Line,
    Plain,
    Quiet,
}

/// The line.
#[derive(Debug)]
pub struct Progress {
    mode: Mode,
    drawn: Option<Instant>,
    last_step: Instant,
    seconds: Option<f64>,
    losses: Vec<f64>,
    saved: Option<String>,
    showing: bool,
}

/// Between plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(20);
/// Between redraws: faster only flickers.
const LINE_EVERY: Duration = Duration::from_millis(100);

impl Progress {
    /// Chooses the mode by `--quiet` and by what stderr is.
    pub fn new(quiet: bool) -> Self {
        let mode = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Line,
            (false, false) => Mode::Plain,
        };
        let (last_step, losses) = (Instant::now(), Vec::new());
        Progress { mode, drawn: None, last_step, seconds: None, losses, saved: None, showing: false }
    }

    /// Reports a finished step.
    pub fn step(&mut self, step: &Step) {
        let now = Instant::now();
        self.record(step, now.duration_since(self.last_step).as_secs_f64());
        self.last_step = now;
        let every = if self.mode == Mode::Line { LINE_EVERY } else { PLAIN_EVERY };
        let due = self.drawn.is_none_or(|drawn| now.duration_since(drawn) >= every) || step.step >= step.total;
        if self.mode != Mode::Quiet && due {
            self.drawn = Some(now);
            let line = self.render(step, resident_bytes());
            self.draw(&line);
        }
    }

    /// Shows a line of the caller's own when one is due; `last` makes it due.
    pub fn line(&mut self, last: bool, text: impl FnOnce() -> String) {
        let now = Instant::now();
        let every = if self.mode == Mode::Line { LINE_EVERY } else { PLAIN_EVERY };
        let due = last || self.drawn.is_none_or(|drawn| now.duration_since(drawn) >= every);
        if self.mode != Mode::Quiet && due {
            self.drawn = Some(now);
            self.draw(&text());
        }
    }

    /// Names the newest checkpoint in the line from now on. Time spent saving is not counted as step time.
    pub fn saved(&mut self, checkpoint: &std::path::Path) {
        self.saved = Some(checkpoint.display().to_string());
        self.last_step = Instant::now();
    }

    /// Prints a message of its own, such as a warning, above the line. Shown unless quiet.
    pub fn note(&mut self, message: &str) {
        if self.mode != Mode::Quiet {
            self.write(&format!("{}{message}\n", if self.showing { "\r\x1b[K" } else { "" }));
            self.showing = false;
            self.drawn = None;
        }
    }

    /// Leaves the last line standing.
    pub fn finish(&mut self) {
        if self.showing {
            self.write("\n");
            self.showing = false;
        }
    }

    fn record(&mut self, step: &Step, seconds: f64) {
        // The first step pays for page faults and pools: it only counts until there is a second.
        self.seconds = Some(match self.seconds {
            Some(mean) if self.losses.len() > 1 => 0.9 * mean + 0.1 * seconds,
            _ => seconds,
        });
        self.losses.push(step.loss);
    }

    fn render(&self, step: &Step, memory: Option<u64>) -> String {
        let Step { step, total, loss, lr, grad_norm } = *step;
        let seconds = self.seconds.unwrap_or(0.0);
        let mut parts = vec![
            format!("step {step}/{total}"),
            format!("loss {loss:.3} {}", sparkline(&self.losses, 8)),
            format!("lr {lr:.1e}"),
            format!("grad {grad_norm:.2}"),
            format!("{seconds:.*} s/step", if seconds < 1.0 { 3 } else { 1 }),
        ];
        parts.extend(memory.map(human_bytes));
        parts.push(format!("eta {}", duration(seconds * total.saturating_sub(step) as f64)));
        parts.extend(self.saved.clone());
        parts.join("  ")
    }

    fn draw(&mut self, line: &str) {
        if self.mode == Mode::Line {
            // Wrapping is switched off while drawing, so a narrow terminal cuts the line instead of scrolling.
            self.write(&format!("\r\x1b[?7l{line}\x1b[K\x1b[?7h"));
            self.showing = true;
        } else {
            self.write(&format!("{line}\n"));
        }
    }

    fn write(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The course of a series in at most `width` bars: means of equal parts, scaled to their own range. Empty without finite
/// values; flat at the bottom when all are equal.
pub fn sparkline(values: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let bars = width.min(finite.len());
    let part = |i: usize| &finite[i * finite.len() / bars..(i + 1) * finite.len() / bars];
    let means: Vec<f64> = (0..bars).map(|i| part(i).iter().sum::<f64>() / part(i).len() as f64).collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let level = |m: f64| if high > low { ((m - low) / (high - low) * 7.0).round() as usize } else { 0 };
    means.into_iter().map(|m| BARS[level(m).min(7)]).collect()
}

/// Seconds for people: `45 s`, `51 min`, `2 h 15 min`, `3 d 4 h`.
pub fn duration(seconds: f64) -> String {
    let s = if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { 0 };
    match s {
        0..=99 => format!("{s} s"),
        100..=5_999 => format!("{} min", (s + 30) / 60),
        6_000..=172_799 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_reads_as_promised() {
        let mut progress = Progress::new(true);
        let mut step = Step { step: 0, total: 198, loss: 0.0, lr: 7.1e-5, grad_norm: 0.8 };
        for (i, loss) in [2.0, 1.5, 1.0, 0.412].into_iter().enumerate() {
            (step.step, step.loss) = (117 + i as u64, loss);
            progress.record(&step, 39.1);
        }
        progress.saved(std::path::Path::new("runs/a/ckpt/step-000100"));
        assert_eq!(
            progress.render(&step, Some(7_200_000_000)),
            "step 120/198  loss 0.412 █▆▄▁  lr 7.1e-5  grad 0.80  39.1 s/step  6.7 GiB  eta 51 min  runs/a/ckpt/step-000100"
        );
    }

    #[test]
    fn sparklines_of_odd_series() {
        assert_eq!(sparkline(&[], 5), "");
        assert_eq!(sparkline(&[f64::NAN, f64::INFINITY], 5), "");
        assert_eq!(sparkline(&[3.0, 3.0, 3.0], 5), "▁▁▁");
        assert_eq!(sparkline(&(0..1000).map(f64::from).collect::<Vec<_>>(), 8), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[1.0, 2.0], 0), "");
    }

    #[test]
    fn durations_read_naturally() {
        let cases = [
            (0.2, "0 s"),
            (45.0, "45 s"),
            (3060.0, "51 min"),
            (8100.0, "2 h 15 min"),
            (273_600.0, "3 d 4 h"),
            (f64::NAN, "0 s"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
        assert!(resident_bytes().is_none_or(|b| b > 1 << 20));
    }
}
