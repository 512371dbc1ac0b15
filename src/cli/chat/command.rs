//! What can be typed at the prompt of `chat`: a question in plain words, or one of the commands below.

use crate::{cli::parse, settings::nearest::nearest};
use rewards::Reference;
use scene::parse::answer;
use std::path::PathBuf;

/// Most plans drawn at once.
const MAX_SAMPLES: usize = 64;

/// Every command with its arguments and what it does, as `/help` shows them.
pub const HELP: [(&str, &str); 14] = [
    ("/plan", "ask for the plan again; the conversation starts anew"),
    ("/image PATH", "another frame"),
    ("/speed X", "another ego speed, metres per second"),
    ("/command TEXT", "another navigation command"),
    ("/think on|off", "plan with or without reasoning"),
    ("/system TEXT", "instructions before the question; without TEXT none"),
    ("/sample N", "N plans drawn at temperature 1, with their rewards"),
    ("/truth SPEED, PATH", "what was driven, for the rewards; without words unknown"),
    ("/probs", "every token of the last answer with its probability, and that of each label"),
    ("/raw", "the exact prompt and answer with their special tokens"),
    ("/mask X0,Y0,X1,Y1", "the same question with that part of the picture grey: what changes"),
    ("/save FILE", "the conversation as a record in JSON"),
    ("/help", "this list"),
    ("/quit", "leave (also Ctrl-D); Ctrl-C stops an answer"),
];

/// A line, understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// An empty line.
    Nothing,
    /// A free question.
    Ask(String),
    /// `/plan`
    Plan,
    /// `/image`
    Image(PathBuf),
    /// `/speed`
    Speed(f64),
    /// `/command`
    Command(String),
    /// `/think`
    Think(bool),
    /// `/system`
    System(Option<String>),
    /// `/sample`
    Sample(usize),
    /// `/truth`
    Truth(Reference),
    /// `/probs`
    Probs,
    /// `/raw`
    Raw,
    /// `/mask`: x0, y0, x1, y1 in pixels of the frame.
    Mask([u32; 4]),
    /// `/save`
    Save(PathBuf),
    /// `/help`
    Help,
    /// `/quit`
    Quit,
}

/// Understands a line.
///
/// # Errors
/// One line that says what is wrong and how to write it.
pub fn read(line: &str) -> Result<Input, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Input::Nothing);
    }
    if !line.starts_with('/') {
        return Ok(Input::Ask(line.to_owned()));
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let usage = |why: &str| {
        let usage = HELP.iter().map(|(usage, _)| *usage).find(|usage| first_word(usage) == name).unwrap_or(name);
        if why.is_empty() { format!("usage: {usage}") } else { format!("{why}; usage: {usage}") }
    };
    let plain = |input: Input| if rest.is_empty() { Ok(input) } else { Err(usage("nothing may follow")) };
    let path = |make: fn(PathBuf) -> Input| match rest {
        "" => Err(usage("")),
        path => Ok(make(path.trim_matches('"').into())),
    };
    match name {
        "/plan" => plain(Input::Plan),
        "/image" => path(Input::Image),
        "/speed" => parse::speed(rest).map(Input::Speed).map_err(|why| usage(&why)),
        "/command" => parse::line(rest).map(Input::Command).map_err(|why| usage(&why)),
        "/think" => match rest {
            "on" => Ok(Input::Think(true)),
            "off" => Ok(Input::Think(false)),
            _ => Err(usage("")),
        },
        "/system" => Ok(Input::System((!rest.is_empty()).then(|| rest.to_owned()))),
        "/sample" => match rest.parse() {
            Ok(n @ 1..=MAX_SAMPLES) => Ok(Input::Sample(n)),
            _ => Err(usage(&format!("a whole number from 1 to {MAX_SAMPLES} is needed"))),
        },
        "/truth" if rest.is_empty() => Ok(Input::Truth(Reference::default())),
        "/truth" => match answer(rest) {
            Ok(driven) => Ok(Input::Truth(Reference::from(driven))),
            Err(why) => Err(usage(&why.to_string())),
        },
        "/probs" => plain(Input::Probs),
        "/raw" => plain(Input::Raw),
        "/mask" => mask(rest).map(Input::Mask).ok_or_else(|| usage("four whole numbers, corners of a rectangle")),
        "/save" => path(Input::Save),
        "/help" => plain(Input::Help),
        "/quit" | "/exit" => plain(Input::Quit),
        unknown => Err(match nearest(unknown, HELP.iter().map(|(usage, _)| first_word(usage))) {
            Some(near) => format!("unknown command {unknown}; did you mean {near}? /help lists all"),
            None => format!("unknown command {unknown}; /help lists all"),
        }),
    }
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or(text)
}

fn mask(text: &str) -> Option<[u32; 4]> {
    let numbers: Vec<u32> = text.split(',').map(|n| n.trim().parse().ok()).collect::<Option<_>>()?;
    let corners: [u32; 4] = numbers.try_into().ok()?;
    (corners[0] < corners[2] && corners[1] < corners[3]).then_some(corners)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use scene::{MetaAction, PathAction, SpeedAction};

    #[test]
    fn lines() {
        assert_eq!(read("  "), Ok(Input::Nothing));
        assert_eq!(read(" why not go? "), Ok(Input::Ask("why not go?".into())));
        assert_eq!(read("/image  a b.jpg "), Ok(Input::Image("a b.jpg".into())));
        assert_eq!(read("/speed 7.5"), Ok(Input::Speed(7.5)));
        assert_eq!(read("/command turn left"), Ok(Input::Command("turn left".into())));
        assert_eq!(read("/system"), Ok(Input::System(None)));
        assert_eq!(read("/mask 1, 2,30,40"), Ok(Input::Mask([1, 2, 30, 40])));
        let truth = Reference::from(MetaAction::new(SpeedAction::Stop, PathAction::Straight));
        assert_eq!(read("/truth STOP, STRAIGHT"), Ok(Input::Truth(truth)));
        assert_eq!(read("/exit"), Ok(Input::Quit));
    }

    #[test]
    fn every_mistake_is_one_line_with_the_usage() {
        for bad in [
            "/speed",
            "/speed NaN",
            "/speed -1",
            "/speed fast",
            "/command",
            "/think maybe",
            "/sample 0",
            "/sample 65",
            "/sample",
            "/truth GO, STRAIGHT",
            "/truth KEEP",
            "/mask 1,2,3",
            "/mask 5,5,1,9",
            "/mask -1,0,2,2",
            "/image",
            "/save",
            "/probs now",
            "/plan x",
        ] {
            let why = read(bad).unwrap_err();
            assert!(why.contains("usage: /") && !why.contains('\n'), "{bad}: {why}");
        }
        assert!(read("/spede 3").unwrap_err().contains("did you mean /speed?"));
        assert!(!read("/zzzzzzz").unwrap_err().contains("did you mean"));
    }

    #[test]
    fn help_lists_what_can_be_typed() {
        for (usage, _) in HELP {
            let unknown = read(first_word(usage)).is_err_and(|why| why.contains("unknown"));
            assert!(!unknown, "{usage}");
        }
    }
}
