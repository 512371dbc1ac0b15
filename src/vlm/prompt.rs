//! The planning question and its answer, rendered from `prompts/*.jinja`.
//!
//! The templates are part of the binary; a folder given by the user replaces those of them that it holds. Each starts
//! with a version line, and [`Prompts::version`] adds a hash of all the text, so that a result names the wording that
//! made it. The form of the answer (reasoning in `<think>`, SPEED and PATH in `<answer>`) is AlphaDrive's
//! (arXiv 2503.07608); the wording is our own.

use super::chat::environment;
use crate::error::{Failure, Result, io_at};
use data::{Ego, Part, Role, Turn};
use minijinja::{Environment, Value, context};
use scene::{MetaAction, PathAction, SpeedAction};
use sha2::{Digest, Sha256};
use std::{ops::Range, path::Path};

/// The templates in the binary, by name.
const BUILTIN: [(&str, &str); 4] = [
    ("plan", include_str!("../../prompts/plan.jinja")),
    ("plan_no_think", include_str!("../../prompts/plan_no_think.jinja")),
    ("plan_short", include_str!("../../prompts/plan_short.jinja")),
    ("answer", include_str!("../../prompts/answer.jinja")),
];
/// What asks for several plans instead of one, after the question. Not one of the templates that folders replace, and not a
/// part of the version of questions about one plan.
const SEVERAL: &str = include_str!("../../prompts/several.jinja");
/// Largest template and largest command, bytes.
const MAX_TEMPLATE: u64 = 64 << 10;
const MAX_COMMAND: usize = 400;

/// How much the question says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Explains the task and lists the words: for pretrained models.
    #[default]
    Full,
    /// One line: for small models trained on nothing else.
    Short,
}

/// The prompt templates in use.
#[derive(Clone)]
pub struct Prompts {
    env: Environment<'static>,
    style: Style,
    version: String,
    answers: usize,
}

/// An answer's text with the bytes of its two words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the assistant says.
    pub text: String,
    /// Bytes of the SPEED word.
    pub speed: Range<usize>,
    /// Bytes of the PATH word.
    pub path: Range<usize>,
}

impl Prompts {
    /// The templates in the binary, full style.
    pub fn builtin() -> Prompts {
        // The templates are constants and a test renders every one, so there is nothing that could fail here.
        Self::new(BUILTIN.map(|(name, text)| (name, text.to_string())), Style::Full).unwrap_or_else(|_| Prompts {
            env: Environment::new(),
            style: Style::Full,
            version: "none".into(),
            answers: 1,
        })
    }

    /// The templates in the binary, except those that the folder replaces.
    pub fn from_dir(dir: &Path) -> Result<Prompts> {
        let mut found = 0;
        let mut all = BUILTIN.map(|(name, text)| (name, text.to_string()));
        for (name, text) in &mut all {
            let path = dir.join(format!("{name}.jinja"));
            match std::fs::metadata(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(io_at(&path)(e)),
                Ok(meta) if meta.len() > MAX_TEMPLATE => {
                    return Err(Failure::data(format!("{} has more than {MAX_TEMPLATE} bytes", path.display())));
                }
                Ok(_) => *text = std::fs::read_to_string(&path).map_err(|e| io_at(&path)(e))?,
            }
            found += 1;
        }
        if found == 0 {
            let names = BUILTIN.map(|(name, _)| format!("{name}.jinja")).join(", ");
            return Err(Failure::usage(format!("{} holds none of {names}", dir.display()))
                .hint("copy one from prompts/ and change it"));
        }
        Self::new(all, Style::Full).map_err(|e| e.context(dir.display()))
    }

    fn new(all: [(&'static str, String); 4], style: Style) -> Result<Prompts> {
        let mut env = environment()?;
        let mut hash = Sha256::new();
        let mut version = String::new();
        for (name, text) in all {
            let Some(line) = version_line(&text) else {
                return Err(Failure::data(format!("{name}.jinja does not start with a version line"))
                    .hint(format!("make the first line {{#- version: {name} 1 -#}}")));
            };
            if name == "plan" {
                version = line.replace(' ', "-");
            }
            hash.update([name, "\0", &text, "\0"].concat());
            env.add_template_owned(name, text).map_err(|e| Failure::data(format!("{name}.jinja: {e}")))?;
        }
        let digest: String = hash.finalize().iter().take(4).map(|b| format!("{b:02x}")).collect();
        env.add_template("several", SEVERAL).map_err(|e| Failure::data(format!("several.jinja: {e}")))?;
        Ok(Prompts { env, style, version: format!("{version}-{digest}"), answers: 1 })
    }

    /// The same templates in another style.
    pub fn with_style(mut self, style: Style) -> Prompts {
        self.style = style;
        self
    }

    /// The same, asking for so many different plans at once, at least 1.
    pub fn with_answers(mut self, answers: usize) -> Prompts {
        self.answers = answers.max(1);
        self
    }

    /// Different plans that a question asks for.
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// The wording's name, version and hash, such as `plan-1-3f2a91c0`; short style and several plans are said too.
    pub fn version(&self) -> String {
        let style = if self.style == Style::Short { "-short" } else { "" };
        let several = match self.answers {
            1 => String::new(),
            n => format!("-{}-{n}", version_line(SEVERAL).unwrap_or_default().replace(' ', "-")),
        };
        format!("{}{style}{several}", self.version)
    }

    /// The question to the planner: one user turn with `images` image marks, then the text. Without `think`, it asks for
    /// the answer alone. Fails on a speed that is not a number or is negative, and on a command of several lines.
    pub fn plan_turns(&self, ego: &Ego, images: usize, think: bool) -> Result<Vec<Turn>> {
        let speed = ego.speed_mps;
        if !speed.is_finite() || speed < 0.0 {
            return Err(Failure::data(format!("the speed is {speed} m/s; allowed are finite numbers from 0"))
                .hint("speeds are in metres per second; reversing is not planned"));
        }
        let command = ego.command.0.trim();
        if command.is_empty() || command.len() > MAX_COMMAND || command.contains(|c: char| c.is_control()) {
            return Err(Failure::data(format!(
                "the command {command:.40?} is empty, longer than {MAX_COMMAND} bytes or not one line of text"
            ))
            .hint("write it like \"follow the road\" or \"turn left\""));
        }
        let name = match (self.style, think) {
            (Style::Short, _) => "plan_short",
            (Style::Full, true) => "plan",
            (Style::Full, false) => "plan_no_think",
        };
        let words = |all: Vec<&'static str>| Value::from(all);
        let text = self.render(
            name,
            context! {
                images, think, command,
                speed => format!("{speed:.1}"),
                speeds => words(SpeedAction::ALL.iter().map(|a| a.as_str()).collect()),
                paths => words(PathAction::ALL.iter().map(|a| a.as_str()).collect()),
                example => MetaAction { speed: SpeedAction::Decelerate, path: PathAction::Straight }.to_string(),
            },
        )?;
        let several = if self.answers > 1 { self.several()? } else { String::new() };
        let parts = (0..images).map(|_| Part::Image).chain([Part::Text(text + &several)]).collect();
        Ok(vec![Turn { role: Role::User, parts }])
    }

    fn several(&self) -> Result<String> {
        let plans = PathAction::ALL.iter().flat_map(|path| SpeedAction::ALL.iter().rev().map(move |s| (*s, *path)));
        let plans = plans.map(|(speed, path)| MetaAction { speed, path }.to_string()).take(self.answers);
        let example = plans.collect::<Vec<_>>().join("; ");
        let short = self.style == Style::Short;
        self.render("several", context! { answers => self.answers, short, example })
    }

    /// What the planner should say. Without reasoning, the answer alone.
    pub fn answer_text(&self, reasoning: Option<&str>, action: MetaAction) -> Result<String> {
        Ok(self.answer(reasoning, action)?.text)
    }

    /// [`Self::answer_text`] with the places of the two words, to score or to mute them.
    pub fn answer(&self, reasoning: Option<&str>, action: MetaAction) -> Result<Answer> {
        let reasoning = reasoning.map(str::trim).filter(|text| !text.is_empty());
        if let Some(tag) =
            ["<think>", "</think>", "<answer>", "</answer>"].iter().find(|t| reasoning.is_some_and(|r| r.contains(**t)))
        {
            return Err(Failure::data(format!("the reasoning holds {tag}, which would end it early"))
                .hint("give the text between the tags only"));
        }
        // The words are put in afterwards, so that their places are known whatever the template looks like.
        const MARKS: [char; 2] = ['\u{10fff0}', '\u{10fff1}'];
        let (speed, path) = (MARKS[0].to_string(), MARKS[1].to_string());
        let mut text = self.render("answer", context! { reasoning, speed => speed, path => path })?;
        let mut put = |mark: char, word: &str| {
            let mut found = text.match_indices(mark).map(|(at, _)| at);
            let (Some(at), None) = (found.next(), found.next()) else {
                return Err(Failure::data("answer.jinja must write speed and path exactly once"));
            };
            text.replace_range(at..at + mark.len_utf8(), word);
            Ok(at..at + word.len())
        };
        let mut speed = put(MARKS[0], action.speed.as_str())?;
        let path = put(MARKS[1], action.path.as_str())?;
        if path.start < speed.start {
            // The path came first: its word moved the speed's.
            let moved = |at: usize| at + path.len() - MARKS[1].len_utf8();
            speed = moved(speed.start)..moved(speed.end);
        }
        Ok(Answer { text, speed, path })
    }

    /// An answer of which an axis may be unknown: the unknown word is written as KEEP or STRAIGHT, and its bytes are
    /// given so that it carries no loss.
    pub fn answer_known(
        &self,
        reasoning: Option<&str>,
        speed: Option<SpeedAction>,
        path: Option<PathAction>,
    ) -> Result<(String, Vec<Range<usize>>)> {
        let action =
            MetaAction { speed: speed.unwrap_or(SpeedAction::Keep), path: path.unwrap_or(PathAction::Straight) };
        let answer = self.answer(reasoning, action)?;
        let unknown = [(speed.is_none(), answer.speed), (path.is_none(), answer.path)];
        Ok((answer.text, unknown.into_iter().filter(|(unknown, _)| *unknown).map(|(_, bytes)| bytes).collect()))
    }

    fn render(&self, name: &str, values: Value) -> Result<String> {
        let failed = |e: minijinja::Error| Failure::data(format!("{name}.jinja: {e}"));
        self.env.get_template(name).and_then(|t| t.render(values)).map_err(failed)
    }
}

/// What a template's first line says about its version.
fn version_line(text: &str) -> Option<&str> {
    let line = text.lines().next()?.strip_prefix("{#- version:")?.strip_suffix("-#}")?;
    Some(line.trim()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use scene::Command;

    fn ego(speed_mps: f64, command: &str) -> Ego {
        Ego { speed_mps, command: Command(command.into()) }
    }

    #[test]
    fn bad_values_are_refused() {
        let prompts = Prompts::builtin();
        for speed in [f64::NAN, f64::INFINITY, -0.1] {
            assert!(prompts.plan_turns(&ego(speed, "go"), 1, true).unwrap_err().message.contains("m/s"));
        }
        for command in ["", " ", "a\nb", &"x".repeat(401)] {
            assert!(prompts.plan_turns(&ego(1.0, command), 1, true).unwrap_err().message.contains("command"));
        }
        let action = MetaAction { speed: SpeedAction::Stop, path: PathAction::Straight };
        assert!(prompts.answer_text(Some("a </think> b"), action).unwrap_err().message.contains("</think>"));
    }

    #[test]
    fn words_are_found_in_the_answer() {
        let prompts = Prompts::builtin();
        let action = MetaAction { speed: SpeedAction::Keep, path: PathAction::LeftTurn };
        let answer = prompts.answer(Some("I KEEP going."), action).unwrap();
        assert_eq!(answer.text, "<think> I KEEP going. </think> <answer> KEEP, LEFT_TURN </answer>");
        assert_eq!((&answer.text[answer.speed], &answer.text[answer.path]), ("KEEP", "LEFT_TURN"));
        assert_eq!(prompts.answer_text(None, action).unwrap(), "<answer> KEEP, LEFT_TURN </answer>");
        let (text, muted) = prompts.answer_known(None, None, Some(PathAction::LeftTurn)).unwrap();
        assert_eq!(muted.iter().map(|b| &text[b.clone()]).collect::<Vec<_>>(), ["KEEP"]);
        assert_eq!(prompts.answer_known(None, None, None).unwrap().1.len(), 2);
        assert!(prompts.answer_known(None, Some(SpeedAction::Stop), Some(PathAction::Straight)).unwrap().1.is_empty());
    }

    #[test]
    fn a_folder_replaces_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Prompts::from_dir(dir.path()).err().unwrap().message.contains("plan.jinja"));
        let write = |text: &str| std::fs::write(dir.path().join("answer.jinja"), text).unwrap();
        write("{{ path }} then {{ speed }}");
        assert!(Prompts::from_dir(dir.path()).err().unwrap().message.contains("version line"));
        write("{#- version: mine 2 -#}\n{{ path }} then {{ speed }}");
        let prompts = Prompts::from_dir(dir.path()).unwrap();
        assert_ne!(prompts.version(), Prompts::builtin().version());
        let answer =
            prompts.answer(None, MetaAction { speed: SpeedAction::Stop, path: PathAction::RightChange }).unwrap();
        assert_eq!(answer.text, "RIGHT_CHANGE then STOP");
        assert_eq!((&answer.text[answer.speed], &answer.text[answer.path]), ("STOP", "RIGHT_CHANGE"));
        write("{#- version: mine 2 -#}\n{{ path }}");
        let action = MetaAction { speed: SpeedAction::Stop, path: PathAction::RightChange };
        assert!(Prompts::from_dir(dir.path()).unwrap().answer(None, action).is_err());
        write("{#- version: mine 2 -#}\n{% if %}");
        assert!(Prompts::from_dir(dir.path()).is_err());
    }
}
