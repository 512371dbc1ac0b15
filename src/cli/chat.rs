//! `reinsman chat`: question a planner about one frame, at a terminal or over a pipe.
//!
//! Nothing that is typed ends the chat but `/quit` and the end of the input: every mistake is one line on standard
//! error. Answers go to standard output.

pub mod command;
pub mod lines;
pub mod look;
pub mod save;
pub mod session;

use super::{Shared, parse, plan, print};
use crate::{
    device::Choice,
    error::{Failure, Result},
    policy::{
        Decoding, Planner, Source, frames,
        frames::Frame,
        planner::{Options, Quant},
    },
};
use command::Input;
use lines::{Line, Lines};
use scene::Command;
use session::Session;
use signal_hook::{consts::SIGINT, flag};
use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

const EXAMPLES: &str = "Examples:
  reinsman chat --image frame.jpg --speed 7.5 --command \"turn left\"
  reinsman chat --model runs/a --image frame.jpg
  reinsman chat --quiet --image frame.jpg  # works over a pipe, one question per line

/help lists what can be typed.";

/// What can be typed after `chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model folder, run folder or name on the hub, such as Qwen/Qwen2.5-VL-3B-Instruct (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Quantize frozen weights while loading: none, q4_k, q6_k or q8_0 (default: as an adapter was trained)
    #[arg(long, value_name = "KIND", value_parser = parse::quant)]
    pub quant: Option<Quant>,
    /// Where to compute: auto, cpu, cuda or cuda:N; auto takes the first GPU that this binary can use
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = parse::device)]
    pub device: Choice,
    /// The frame (default: a bundled one)
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Ego speed in metres per second
    #[arg(long, value_name = "M/S", value_parser = parse::speed, allow_negative_numbers = true)]
    pub speed: Option<f64>,
    /// What the navigation says
    #[arg(long, value_name = "TEXT", value_parser = parse::line)]
    pub command: Option<String>,
    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value = "512", value_parser = parse::positive)]
    pub max_new_tokens: usize,
    /// Seed of /sample
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Folder of prompt templates that replace the built-in ones
    #[arg(long, value_name = "DIR")]
    pub prompts: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// Unreadable frames and models exit 3.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let source = Source::resolve(args.model.as_deref())?;
    let frame = args.image.as_ref().map(Frame::file).or_else(|| frames::bundled().into_iter().next());
    let frame = frame.ok_or_else(|| Failure::usage("no frame").hint("give --image FILE"))?;
    frame.open()?; // before a large model is loaded
    let mut planner = Planner::load(
        &source,
        &Options {
            prompts: args.prompts.as_deref(),
            quant: args.quant.unwrap_or_default(),
            note: shared.note(),
            ..Options::on(args.device)?
        },
    )?;
    // A conversation that outgrows the model is refused instead of answered badly.
    planner.encoder.max_length = Some(planner.vlm.config().text.max_position_embeddings);
    let mut decoding = Decoding::greedy(args.max_new_tokens);
    decoding.seed = args.seed;
    let assumed = args.speed.or(frame.speed_mps).is_none();
    let mut session = Session::new(planner, plan::view::terminal(), frame, decoding)?;
    session.ego.speed_mps = args.speed.unwrap_or(session.ego.speed_mps);
    session.ego.command = args.command.clone().map_or_else(Command::default, Command);
    let mut lines = Lines::standard()?;
    if lines.interactive() {
        session.stop = stop_on_ctrl_c()?;
    }
    if !shared.quiet {
        let threads = shared.threads.unwrap_or_else(rayon::current_num_threads);
        print(&session.header(concat!("reinsman ", env!("CARGO_PKG_VERSION")), threads))?;
        print(if lines.interactive() { "/help lists what can be typed\n\n" } else { "\n" })?;
        if assumed {
            eprintln!("note: speed not given: assuming {:.1} m/s (/speed X)", plan::ASSUMED_SPEED);
        }
    }
    session.plan()?;
    loop {
        let said = match lines.read()? {
            Line::End => break,
            Line::Interrupted => Err("Ctrl-D or /quit leaves".to_owned()),
            Line::Bad(why) => Err(why),
            Line::Text(text) => command::read(&text),
        };
        let outcome = match said {
            Ok(Input::Quit) => break,
            Ok(input) => answer(&mut session, input).map_err(|failure| one_line(&failure)),
            Err(why) => Err(why),
        };
        if let Err(why) = outcome {
            eprintln!("{why}");
        }
    }
    lines.close();
    Ok(())
}

fn answer(session: &mut Session, input: Input) -> Result<()> {
    match input {
        Input::Nothing | Input::Quit => Ok(()),
        Input::Ask(text) => session.ask(&text),
        Input::Plan => session.plan(),
        Input::Image(path) => session.show(Frame::file(path)),
        Input::Speed(speed) => session.change(|s| s.ego.speed_mps = speed),
        Input::Command(text) => session.change(|s| s.ego.command = Command(text)),
        Input::Think(on) => session.change(|s| s.think = on),
        Input::System(text) => session.change(|s| s.system = text),
        Input::Truth(reference) => {
            let word = |word: Option<&'static str>| word.unwrap_or("unknown");
            let (speed, path) = (reference.speed.map(|l| l.as_str()), reference.path.map(|l| l.as_str()));
            session.reference = reference;
            print(&format!("  driven: {}, {}\n", word(speed), word(path)))
        }
        Input::Sample(count) => print(&session.sample(count)?),
        Input::Probs => print(&session.probs()?),
        Input::Raw => print(&session.raw()?),
        Input::Mask(corners) => print(&session.mask(corners)?),
        Input::Save(path) => print(&session.save(&path)?),
        Input::Help => {
            let line = |(usage, what): &(&str, &str)| format!("  {usage:20} {what}\n");
            print(&format!(
                "  anything else        a question in your own words\n{}",
                command::HELP.iter().map(line).collect::<String>()
            ))
        }
    }
}

fn one_line(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("error: {} ({hint})", failure.message),
        None => format!("error: {}", failure.message),
    }
}

/// A flag that Ctrl-C sets; a second Ctrl-C before it is cleared ends the program.
fn stop_on_ctrl_c() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register_conditional_shutdown(SIGINT, 128 + SIGINT, stop.clone())
        .and_then(|_| flag::register(SIGINT, stop.clone()))
        .map_err(|e| Failure::device(format!("cannot listen for signals: {e}")))?;
    Ok(stop)
}
