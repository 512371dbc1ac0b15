//! Looking at an answer: its tokens, the exact prompt, other draws, and what changes when part of the frame is hidden.

use super::session::Session;
use crate::{
    cli::plan::{
        samples::{self, Drawn, quoted},
        view,
    },
    error::{Failure, Result},
    picture::{
        reflow::{clean, width},
        terminal,
    },
    policy::{Decoding, Planned},
    vlm::{Batch, Row, Visual, sampling::SamplingParams},
};
use scene::{PathAction, SpeedAction};
use std::sync::atomic::Ordering::SeqCst;

/// A token below this probability, or not the first choice, is marked.
const UNLIKELY: f32 = 0.5;
/// Alternatives shown for a marked token.
const ALTERNATIVES: usize = 3;
/// Changes of a label's probability below this are not worth a line.
const SMALL: f64 = 0.005;
/// What `/mask` paints.
const GREY: u8 = 128;

impl Session {
    /// Every token of the last answer with its probability, the unlikely ones marked and with what was likelier; then
    /// the labels.
    ///
    /// # Errors
    /// Nothing answered yet; device trouble.
    pub fn probs(&self) -> Result<String> {
        let last = self.last.as_ref().ok_or_else(nothing)?;
        let seen = self.planner.see(&last.question)?;
        let prompt = seen.encoded.ids.len();
        let ids: Vec<u32> = seen.encoded.ids.iter().chain(&last.completion.ids).copied().collect();
        let visuals: Vec<Visual> = seen.encoded.grids.iter().map(|grid| Visual::image(*grid)).collect();
        let vlm = self.planner.vlm.frozen()?;
        let tokenizer = &self.planner.encoder.tokenizer;
        let batch = Batch::left_padded(vlm.config(), &[Row::new(&ids, &visuals)], tokenizer.pad())?;
        let hidden = vlm.forward(&batch, seen.images.as_ref(), None, None)?;
        let rows: Vec<u32> = (prompt - 1..ids.len() - 1).map(|row| row as u32).collect(); // each scores the next token
        let tops = vlm.top_tokens(&hidden, &rows, ALTERNATIVES + 1)?;
        let name = |id: u32| token_name(&tokenizer.decode(&[id], false), self.terminal.unicode);
        let (mut cells, mut marked, mut sum) = (Vec::new(), 0, 0.0);
        for ((id, logp), top) in last.completion.ids.iter().zip(&last.completion.logps).zip(&tops) {
            let p = logp.exp();
            sum += f64::from(*logp);
            let first = top.first().is_some_and(|(best, _)| best == id);
            if p >= UNLIKELY && first {
                cells.push(format!("{} {p:.2}", name(*id)));
                continue;
            }
            marked += 1;
            let others = top.iter().filter(|(other, _)| other != id).take(ALTERNATIVES);
            let others: Vec<String> =
                others.map(|(other, logp)| format!("{} {:.2}", name(*other), logp.exp())).collect();
            cells.push(format!("*{} {p:.2} ({})", name(*id), others.join(", ")));
        }
        let n = cells.len();
        let mut out = wrapped(&cells, self.terminal.width);
        out += &format!(
            "  {n} tokens, log-probability {sum:.2}, {:.2} a token; {marked} marked * (below {UNLIKELY} or not the first \
             choice; likelier or next ones in brackets)\n",
            sum / n.max(1) as f64
        );
        if let Some(planned) = &self.planned {
            let view = view::answered(view::asked(&self.planner, &self.ego), planned, &[]);
            out += "\n";
            out += &terminal::verdict(&view, &self.terminal);
        }
        Ok(out)
    }

    /// The prompt as the model saw it and its answer, special tokens and all; runs of image tokens are counted.
    ///
    /// # Errors
    /// Nothing answered yet.
    pub fn raw(&self) -> Result<String> {
        let last = self.last.as_ref().ok_or_else(nothing)?;
        let tokenizer = &self.planner.encoder.tokenizer;
        let prompt = self.planner.encode(&last.question)?;
        let pad = tokenizer.id("<|image_pad|>");
        let mut text = String::new();
        for run in prompt.ids.chunk_by(|a, b| (Some(*a) == pad) == (Some(*b) == pad)) {
            match run.first() {
                Some(id) if Some(*id) == pad => text += &format!("<|image_pad|> x {} ", run.len()),
                _ => text += &tokenizer.decode(run, false),
            }
        }
        let answer = tokenizer.decode(&last.completion.ids, false);
        let show = |text: &str| text.lines().map(|line| format!("  {}\n", clean(line, true))).collect::<String>();
        let (asked, written) = (prompt.ids.len(), last.completion.ids.len());
        Ok(format!("prompt, {asked} tokens:\n{}answer, {written} tokens:\n{}", show(&text), show(&answer)))
    }

    /// Plans drawn at temperature 1, with their rewards.
    ///
    /// # Errors
    /// Device trouble.
    pub fn sample(&mut self, count: usize) -> Result<String> {
        let seen = self.planner.see(&self.question(self.image.clone())?)?;
        let sampling = SamplingParams { do_sample: true, ..SamplingParams::default() };
        let decoding = Decoding { sampling, ..self.decoding.clone() };
        self.stop.store(false, SeqCst);
        let drawn = samples::draw(&self.planner, &seen, count, &decoding, &|| !self.stop.load(SeqCst))?;
        // The next draws are others.
        self.decoding.seed = self.decoding.seed.wrapping_add(count as u64);
        let group: Vec<&str> = drawn.iter().map(|d| d.completion.text.as_str()).collect();
        let mut out: String = drawn.iter().enumerate().map(|(i, d)| self.sample_line(i + 1, d, &group)).collect();
        if self.reference.speed.is_none() {
            out += "  (rewards of speed and path need what was driven: /truth SPEED, PATH)\n";
        }
        Ok(out)
    }

    fn sample_line(&self, number: usize, drawn: &Drawn, group: &[&str]) -> String {
        let text = &drawn.completion.text;
        let score =
            |name: &str| Some((name.to_owned(), rewards::term(name)?.score(text, &self.reference, group)?.value));
        let parts: Vec<(String, f64)> = ["format", "speed", "path"].iter().filter_map(|name| score(name)).collect();
        let total: f64 = parts.iter().map(|(_, value)| value).sum();
        let parts: Vec<String> = parts.iter().map(|(name, value)| format!("{name} {value:.0}")).collect();
        let plan = drawn.action().map_or_else(|| "no valid plan".into(), |action| action.to_string());
        let head = format!("  {number:2}  {plan:24}  reward {total:.0}  {}  ", parts.join("  "));
        let said = crate::policy::planned::reasoning(text);
        let room = self.terminal.width.saturating_sub(head.len()).max(24);
        format!("{head}{}\n", quoted(&said, room, self.terminal.unicode))
    }

    /// The planning question with a rectangle of the frame painted grey, against the same with the whole frame.
    ///
    /// # Errors
    /// A rectangle outside the frame.
    pub fn mask(&mut self, corners: [u32; 4]) -> Result<String> {
        let (wide, high) = (self.image.width, self.image.height);
        let [x0, y0, x1, y1] = corners.map(|n| n as usize);
        let (x1, y1) = (x1.min(wide), y1.min(high));
        if x0 >= x1 || y0 >= y1 {
            return Err(Failure::usage(format!("that rectangle lies outside the frame of {wide} x {high} pixels")));
        }
        let mut image = self.image.clone();
        for row in image.data.chunks_exact_mut(wide * 3).take(y1).skip(y0) {
            row[x0 * 3..x1 * 3].fill(GREY);
        }
        self.stop.store(false, SeqCst);
        let go_on = || !self.stop.load(SeqCst);
        let ask = |image| {
            let seen = self.planner.see(&self.question(image)?)?;
            self.planner.plan(&seen, &self.decoding, &mut |_| go_on())
        };
        let whole = ask(self.image.clone())?;
        let masked = ask(image)?;
        let share = 100.0 * ((x1 - x0) * (y1 - y0)) as f64 / (wide * high) as f64;
        let mut out = format!("  grey {x0},{y0} to {x1},{y1}: {share:.0} % of the frame\n");
        if !go_on() {
            out += "  (stopped)\n";
        }
        let (was, now) = (whole.action(), masked.action());
        out += &if was == now { format!("  still {now}\n") } else { format!("  {now} (was {was})\n") };
        if whole.completion.text == masked.completion.text {
            out += "  the answer is word for word the same\n";
        } else {
            let room = self.terminal.width.saturating_sub(8);
            out += &format!("  now  {}\n", quoted(&masked.reasoning(), room, self.terminal.unicode));
            out += &format!("  was  {}\n", quoted(&whole.reasoning(), room, self.terminal.unicode));
        }
        Ok(out + &moved(&whole, &masked))
    }
}

/// The labels whose probability changed, the largest change first.
fn moved(before: &Planned, after: &Planned) -> String {
    let labels = SpeedAction::ALL.iter().map(|l| l.as_str()).chain(PathAction::ALL.iter().map(|l| l.as_str()));
    let all = |planned: &Planned| [planned.probabilities.speed.as_slice(), &planned.probabilities.path].concat();
    let mut changes: Vec<(&str, f64, f64)> =
        labels.zip(all(before)).zip(all(after)).map(|((label, a), b)| (label, a, b)).collect();
    changes.retain(|(_, a, b)| (a - b).abs() >= SMALL);
    changes.sort_by(|x, y| (y.2 - y.1).abs().total_cmp(&(x.2 - x.1).abs()));
    if changes.is_empty() {
        return format!("  no label's probability moved by {SMALL} or more\n");
    }
    changes.iter().map(|(label, a, b)| format!("  {label:12}  {a:.2} -> {b:.2}  ({:+.2})\n", b - a)).collect()
}

fn nothing() -> Failure {
    Failure::usage("nothing was answered yet").hint("ask something, or /plan")
}

/// A token that can be told from its neighbours: spaces and line ends are visible, empty pieces too.
fn token_name(text: &str, unicode: bool) -> String {
    let visible: String = text
        .chars()
        .map(|c| match c {
            ' ' => '_',
            '\n' => '|',
            c => c,
        })
        .collect();
    let name = clean(&visible, unicode);
    if name.trim().is_empty() { "(nothing)".into() } else { name }
}

/// Cells in lines of at most `wide` columns.
fn wrapped(cells: &[String], wide: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for cell in cells {
        let needs = width(cell) + 3;
        if column > 0 && column + needs > wide {
            out.push('\n');
            column = 0;
        }
        out += if column == 0 { "  " } else { "   " };
        out += cell;
        column += needs;
    }
    if column > 0 {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn tokens_are_visible_and_harmless() {
        assert_eq!(token_name(" road", true), "_road");
        assert_eq!(token_name("\n", true), "|");
        assert_eq!(token_name("\u{1b}[0m", true), " [0m");
        assert_eq!(token_name("", true), "(nothing)");
    }

    #[test]
    fn cells_wrap() {
        let cells = ["aaaa 0.10", "bbbb 0.20", "cccc 0.30"].map(String::from);
        assert_eq!(wrapped(&cells, 26), "  aaaa 0.10   bbbb 0.20\n  cccc 0.30\n");
        assert_eq!(wrapped(&[], 26), "");
    }
}
