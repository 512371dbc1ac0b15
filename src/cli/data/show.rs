//! `reinsman data show`: what a planner is taught, token by token. Samples go through the trainer's own
//! [`Recipe::example`], pairs of answers through its [`pair::rows`], so what is shown is what is trained: loss falls on
//! the marked text and nowhere else. Of the rejected answer of a pair only what differs is shown.

use super::{Records, note};
use crate::{
    cli::{Shared, parse, print, print_json},
    error::{Failure, Result},
    picture::{Terminal, contact_sheet, save_png},
    policy::{Language, Source},
    settings::nearest::nearest,
    streams::Stream,
    train::{
        examples::{Recipe, pictures},
        pair,
    },
    vlm::{
        encode::{Encoded, Encoder, IGNORED, Layout},
        image::Rgb,
        tokenizer::Tokenizer,
    },
};
use data::{Content, Image, Sample};
use image::RgbImage;
use serde_json::{Value, json};
use std::{io::IsTerminal, path::PathBuf};

/// What can be typed after `data show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The records.
    #[command(flatten)]
    pub records: Records,
    /// How many samples of each file
    #[arg(long, value_name = "N", default_value = "3", value_parser = parse::positive)]
    pub n: usize,
    /// The sample with this id instead of the first ones; may be given several times
    #[arg(long, value_name = "ID")]
    pub id: Vec<String>,
    /// Planner whose prompt and tokens are shown (default: the embedded one)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Folder of prompt templates that replace the built-in ones
    #[arg(long, value_name = "DIR")]
    pub prompts: Option<PathBuf>,
    /// Without the reasoning, as with sft.think=false
    #[arg(long)]
    pub no_think: bool,
    /// Print token ids too
    #[arg(long)]
    pub ids: bool,
    /// Also write the pictures side by side
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Leave bad records out instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
    /// Print a JSON list
    #[arg(long)]
    pub json: bool,
}

/// Most columns of a line of ids.
const COLUMNS: usize = 100;

/// Runs the verb.
///
/// # Errors
/// Bad records, missing pictures, an id that no sample has: exit 3.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let language = Language::load(&Source::resolve_language(args.model.as_deref())?, args.prompts.as_deref(), None)?;
    let samples = choose(args, shared)?;
    let mut shown = Vec::new();
    for sample in &samples {
        match show(&language, sample, !args.no_think) {
            Ok(one) => shown.push(one),
            Err(e) if args.skip_bad => note(shared, &format!("left out: {}", e.message)),
            Err(e) => return Err(e),
        }
    }
    if let Some(path) = &args.picture {
        sheet(&shown, path)?;
        note(shared, &format!("pictures: {}", path.display()));
    }
    if args.json {
        return print_json(&shown.iter().map(|one| one.to_json(&language.encoder)).collect());
    }
    let terminal = Terminal::from_env(std::io::stdout().is_terminal(), None, |name| std::env::var(name).ok());
    let ink = if terminal.colour { Ink::Colour } else { Ink::Marks };
    let loss = ink.loss("loss falls here");
    let mut text = format!("{} · prompt {} · {loss}\n", language.name, language.prompts.version());
    shown.iter().for_each(|one| text.push_str(&one.text(&language.encoder, ink, args.ids)));
    print(&text)
}

/// The samples that were asked for, in the order of the files.
fn choose(args: &Args, shared: &Shared) -> Result<Vec<Sample>> {
    let mut options = args.records.options(args.skip_bad)?;
    options.limit = args.id.is_empty().then_some(args.n);
    let mut samples = Vec::new();
    for path in &args.records.files {
        let set = data::load(path, &options)?;
        super::tell_bad(&set, shared);
        samples.extend(set.samples);
    }
    if args.id.is_empty() {
        return Ok(samples);
    }
    if let Some(id) = args.id.iter().find(|id| !samples.iter().any(|sample| sample.id == **id)) {
        let failure = Failure::data(format!("no sample has the id {id}"));
        let known = || samples.iter().map(|sample| sample.id.as_str());
        return Err(failure.hint(match nearest(id, known()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("ids look like {}", known().take(3).collect::<Vec<_>>().join(", ")),
        }));
    }
    samples.retain(|sample| args.id.contains(&sample.id));
    Ok(samples)
}

/// A sample as the trainer sees it.
struct Shown<'a> {
    sample: &'a Sample,
    images: Vec<Rgb>,
    encoded: Encoded,
    /// Tokens of the rejected answer of a pair, and whether each carries loss.
    rejected: Option<Vec<(u32, bool)>>,
    taught: bool,
}

fn show<'a>(language: &Language, sample: &'a Sample, think: bool) -> Result<Shown<'a>> {
    let Language { encoder, prompts, .. } = language;
    if sample.pair.is_some() {
        return show_pair(language, sample);
    }
    // A plain recipe draws nothing.
    let example = Recipe::plain(think).example(encoder, prompts, sample, &mut Stream::new(0, "show"))?;
    let images = pictures(sample)?;
    let taught = example.is_some();
    let encoded = match example {
        Some(example) => example.encoded,
        // Nothing is taught, but the question can be shown.
        None => {
            let turns = match &sample.content {
                Content::Planning { ego, .. } => prompts.plan_turns(ego, images.len(), think)?,
                Content::Conversation { turns } if turns.is_empty() => {
                    return Err(Failure::data(format!(
                        "sample {}: a frame without a question; nothing to show",
                        sample.id
                    ))
                    .hint("`reinsman data label` makes records of frames with ego motion; --skip-bad goes on"));
                }
                Content::Conversation { turns } => turns.clone(),
            };
            encoder.prompt(&turns, &images).map_err(|e| e.context(format!("sample {}", sample.id)))?
        }
    };
    Ok(Shown { sample, images, encoded, rejected: None, taught })
}

fn show_pair<'a>(language: &Language, sample: &'a Sample) -> Result<Shown<'a>> {
    let (encoder, named) = (&language.encoder, |e: Failure| e.context(format!("sample {}", sample.id)));
    let images = pictures(sample)?;
    let grids = encoder.grids(&images).map_err(named)?;
    let rows = pair::rows(encoder, &language.prompts, sample, &grids).map_err(named)?;
    let rows = rows.ok_or_else(|| named(Failure::data("no chosen and rejected answer")))?;
    let Layout { ids, labels, .. } = rows.rejected;
    let rejected = ids.into_iter().zip(labels.iter().map(|label| *label != IGNORED)).skip(rows.prompt).collect();
    let Layout { ids, labels, images: places } = rows.chosen;
    let encoded = Encoded { ids, labels, grids, pixels: Vec::new(), images: places };
    Ok(Shown { sample, images, encoded, rejected: Some(rejected), taught: true })
}

/// A run of tokens that look alike.
struct Span {
    tokens: std::ops::Range<usize>,
    loss: bool,
    image: Option<usize>,
}

/// Pictures, text with loss and text without, in order. The first token is never predicted.
fn spans(encoded: &Encoded) -> Vec<Span> {
    let loss = |at: usize| at > 0 && encoded.labels[at] != IGNORED;
    let (mut out, mut at) = (Vec::new(), 0);
    while at < encoded.ids.len() {
        if let Some(image) = encoded.images.iter().position(|span| span.start == at && !span.is_empty()) {
            let tokens = encoded.images[image].clone();
            at = tokens.end;
            out.push(Span { tokens, loss: false, image: Some(image) });
            continue;
        }
        let next_image = encoded.images.iter().map(|span| span.start).find(|start| *start > at);
        let limit = next_image.unwrap_or(encoded.ids.len());
        let end = (at..limit).find(|i| loss(*i) != loss(at)).unwrap_or(limit);
        out.push(Span { tokens: at..end, loss: loss(at), image: None });
        at = end;
    }
    out
}

/// How loss is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Colour,
    Marks,
}

impl Ink {
    fn loss(self, text: &str) -> String {
        match self {
            // Colour does not go on over a line end in every pager.
            Ink::Colour => text.split('\n').map(|line| paint(line, "1;32")).collect::<Vec<_>>().join("\n"),
            Ink::Marks => format!("«{text}»"),
        }
    }

    fn image(self, text: &str) -> String {
        if self == Ink::Colour { paint(text, "36") } else { text.into() }
    }
}

fn paint(text: &str, code: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\x1b[{code}m{text}\x1b[0m") }
}

fn decoded(encoder: &Encoder, tokens: &[(u32, bool)]) -> String {
    encoder.tokenizer.decode(&tokens.iter().map(|(id, _)| *id).collect::<Vec<_>>(), false)
}

/// Text that cannot move the cursor or turn itself around.
fn harmless(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.into() }).collect()
}

impl Shown<'_> {
    fn picture_mark(&self, encoder: &Encoder, image: usize) -> String {
        let [frames, rows, columns] = self.encoded.grids[image];
        let tokens = encoder.processor.tokens(self.encoded.grids[image]);
        let frames = if frames > 1 { format!("{frames}x") } else { String::new() };
        format!("[image {frames}{rows}x{columns} = {tokens} tokens]")
    }

    fn name(&self, image: usize) -> String {
        match self.sample.images.get(image) {
            Some(Image::File(path)) => path.display().to_string(),
            Some(Image::Bytes(bytes)) => format!("inside the record, {} bytes", bytes.len()),
            None => "none".into(),
        }
    }

    fn scored(&self) -> usize {
        self.encoded.labels.iter().skip(1).filter(|label| **label != IGNORED).count()
    }

    fn text(&self, encoder: &Encoder, ink: Ink, with_ids: bool) -> String {
        let Shown { sample, encoded, .. } = self;
        let tokens = super::counted(encoded.ids.len(), "token");
        let mut out = format!("\nsample {} · {tokens}, {} with loss", harmless(&sample.id), self.scored());
        let labels =
            [("speed", sample.labels.speed.map(|l| l.as_str())), ("path", sample.labels.path.map(|l| l.as_str()))];
        let labels: Vec<String> =
            labels.iter().map(|(axis, label)| format!("{axis} {}", label.unwrap_or("unknown"))).collect();
        out.push_str(&format!(" · {}\n", labels.join(", ")));
        for (i, image) in self.images.iter().enumerate() {
            let (name, mark) = (harmless(&self.name(i)), self.picture_mark(encoder, i));
            out.push_str(&format!("  {name}  {}x{} pixels  {mark}\n", image.width, image.height));
        }
        if !self.taught {
            out.push_str("  no answer: this sample teaches nothing\n");
        }
        out.push('\n');
        for span in spans(encoded) {
            match span.image {
                Some(image) => out.push_str(&ink.image(&self.picture_mark(encoder, image))),
                None => {
                    let text = harmless(&encoder.tokenizer.decode(&encoded.ids[span.tokens], false));
                    out.push_str(&if span.loss { ink.loss(&text) } else { text });
                }
            }
        }
        if let Some(tokens) = &self.rejected {
            out.push_str(&format!("\nrejected ({}):\n", super::counted(tokens.len(), "token")));
            for run in tokens.chunk_by(|a, b| a.1 == b.1) {
                let text = harmless(&decoded(encoder, run));
                out.push_str(&if run[0].1 { ink.loss(&text) } else { text });
            }
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
        if with_ids {
            out.push_str(&self.ids(ink));
        }
        out
    }

    /// Ids in lines, those with loss marked, those of a picture as `id x count`.
    fn ids(&self, ink: Ink) -> String {
        let (mut out, mut width) = (String::from("ids"), 3);
        let mut word = |text: &str, shown: &str| {
            if width + 1 + text.len() > COLUMNS {
                out.push_str("\n   ");
                width = 3;
            }
            out.push_str(&format!(" {shown}"));
            width += 1 + text.len();
        };
        for span in spans(&self.encoded) {
            let ids = &self.encoded.ids[span.tokens];
            if let (Some(_), Some(id)) = (span.image, ids.first()) {
                let text = format!("{id}x{}", ids.len());
                word(&text, &ink.image(&text));
                continue;
            }
            for (i, id) in ids.iter().enumerate() {
                let text = match (span.loss, ink) {
                    // One pair of marks around the whole run.
                    (true, Ink::Marks) => {
                        let (open, close) = (if i == 0 { "«" } else { "" }, if i + 1 == ids.len() { "»" } else { "" });
                        format!("{open}{id}{close}")
                    }
                    _ => id.to_string(),
                };
                word(&text, &if span.loss && ink == Ink::Colour { ink.loss(&text) } else { text.clone() });
            }
        }
        out + "\n"
    }

    fn to_json(&self, encoder: &Encoder) -> Value {
        let Shown { sample, encoded, .. } = self;
        let images = self.images.iter().enumerate().map(|(i, image)| {
            json!({
                "image": self.name(i), "width": image.width, "height": image.height, "grid": encoded.grids[i],
                "tokens": encoder.processor.tokens(encoded.grids[i]),
            })
        });
        let text = |tokenizer: &Tokenizer, span: &Span| match span.image {
            Some(image) => self.picture_mark(encoder, image),
            None => tokenizer.decode(&encoded.ids[span.tokens.clone()], false),
        };
        let spans = spans(encoded).into_iter().map(|span| {
            json!({"text": text(&encoder.tokenizer, &span), "loss": span.loss, "image": span.image.is_some(),
                "tokens": span.tokens.len()})
        });
        let rejected = self.rejected.as_ref();
        json!({
            "id": sample.id,
            "rejected": rejected.map(|tokens| decoded(encoder, tokens)),
            "taught": self.taught,
            "tokens": encoded.ids.len(),
            "tokens_with_loss": self.scored(),
            "images": images.collect::<Vec<_>>(),
            "spans": spans.collect::<Vec<_>>(),
            "ids": encoded.ids,
            "labels": encoded.labels,
        })
    }
}

/// Writes the pictures of the shown samples with what is known about each under it.
fn sheet(shown: &[Shown], path: &std::path::Path) -> Result<()> {
    let mut cells: Vec<(RgbImage, String)> = Vec::new();
    for one in shown {
        for (i, image) in one.images.iter().enumerate() {
            let frame = RgbImage::from_raw(image.width as u32, image.height as u32, image.data.clone());
            let Some(frame) = frame else { continue };
            let which = if one.images.len() > 1 { format!(" {}/{}", i + 1, one.images.len()) } else { String::new() };
            let label = one.sample.action().map(|action| format!(" · {action}"));
            let path = one.sample.labels.path.map(|path| format!(" · {path}"));
            cells.push((frame, format!("{}{which}{}", one.sample.id, label.or(path).unwrap_or_default())));
        }
    }
    if cells.is_empty() {
        return Err(Failure::data("none of the samples has a picture").hint("leave --picture out"));
    }
    let frames: Vec<(&RgbImage, &str)> = cells.iter().map(|(frame, caption)| (frame, caption.as_str())).collect();
    save_png(path, &contact_sheet(&frames, 0, 480))
}
