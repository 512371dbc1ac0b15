//! The state of a chat: one frame, what the planner is told about it, and the conversation so far.
//!
//! A conversation begins with the planning question and its answer; free questions follow as further turns. Whatever
//! changes the planning question (frame, speed, command, thinking, instructions) asks it again and starts anew.

use crate::{
    cli::{
        plan::{ASSUMED_SPEED, said::Live, view},
        print,
    },
    error::Result,
    picture::{Terminal, reflow::clean},
    policy::{Completion, Decoding, Planned, Planner, Question, frames::Frame},
    vlm::image::Rgb,
};
use data::{Ego, Part, Role, Turn};
use rewards::Reference;
use scene::{Command, MetaAction};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

/// The last thing that was asked and answered.
pub struct Last {
    /// The question with all turns before it.
    pub question: Question,
    /// The answer.
    pub completion: Completion,
}

/// One chat.
pub struct Session {
    /// Who is asked.
    pub planner: Planner,
    /// Where answers go.
    pub terminal: Terminal,
    /// The frame.
    pub frame: Frame,
    /// Its picture.
    pub image: Rgb,
    /// What the planner is told about its car.
    pub ego: Ego,
    /// Plan with reasoning.
    pub think: bool,
    /// Instructions before the question.
    pub system: Option<String>,
    /// What was driven, as far as known.
    pub reference: Reference,
    /// How answers are drawn.
    pub decoding: Decoding,
    /// The conversation, answers included.
    pub turns: Vec<Turn>,
    /// The last question and answer.
    pub last: Option<Last>,
    /// The last plan.
    pub planned: Option<Planned>,
    /// Set by Ctrl-C while an answer is generated.
    pub stop: Arc<AtomicBool>,
}

impl Session {
    /// A chat about a frame, nothing asked yet.
    ///
    /// # Errors
    /// A frame that cannot be read: exit 3.
    pub fn new(planner: Planner, terminal: Terminal, frame: Frame, decoding: Decoding) -> Result<Session> {
        let image = frame.open()?;
        let ego = Ego { speed_mps: frame.speed_mps.unwrap_or(ASSUMED_SPEED), command: Command::default() };
        Ok(Session {
            planner,
            terminal,
            frame,
            image,
            ego,
            think: true,
            system: None,
            reference: Reference::default(),
            decoding,
            turns: Vec::new(),
            last: None,
            planned: None,
            stop: Arc::default(),
        })
    }

    /// The plan in force.
    pub fn action(&self) -> Option<MetaAction> {
        self.planned.as_ref().map(Planned::action)
    }

    /// The planning question about a picture as things stand.
    ///
    /// # Errors
    /// A command with special tokens in it.
    pub fn question(&self, image: Rgb) -> Result<Question> {
        let mut question = self.planner.question(&self.ego, vec![image], self.think)?;
        if let Some(system) = &self.system {
            question.turns.insert(0, said(Role::System, system));
        }
        Ok(question)
    }

    /// Asks for the plan, which starts the conversation anew; shows reasoning and plan, and what it was before.
    ///
    /// # Errors
    /// A question that cannot be asked; then nothing has changed.
    pub fn plan(&mut self) -> Result<()> {
        let was = self.action();
        let question = self.question(self.image.clone())?;
        let seen = self.planner.see(&question)?;
        let mut live = Live::new(&self.terminal, true);
        self.stop.store(false, SeqCst);
        let go_on = || !self.stop.load(SeqCst);
        let planned = self.planner.plan(&seen, &self.decoding, &mut |piece| live.push(piece) && go_on())?;
        live.finish()?;
        let was = was.map_or_else(String::new, |was| format!(" (was {was})"));
        let text = match planned.trouble() {
            _ if planned.completion.stopped => format!("  stopped; likeliest {}{was}\n", planned.action()),
            None => format!("  {}{was}\n", planned.action()),
            Some(why) => {
                format!(
                    "  no valid plan: {}; likeliest {}{was}\n",
                    clean(&why, self.terminal.unicode),
                    planned.action()
                )
            }
        };
        self.turns = question.turns.clone();
        self.turns.push(said(Role::Assistant, &planned.completion.text));
        self.last = Some(Last { question, completion: planned.completion.clone() });
        self.planned = Some(planned);
        print(&text)
    }

    /// Asks a free question in the conversation and shows the answer.
    ///
    /// # Errors
    /// A conversation that has become too long; then the question was not asked.
    pub fn ask(&mut self, text: &str) -> Result<()> {
        let mut turns = self.turns.clone();
        turns.push(said(Role::User, text));
        let question = Question { turns, images: vec![self.image.clone()] };
        let seen = self.planner.see(&question).map_err(|e| e.hint("/plan starts the conversation anew"))?;
        let mut live = Live::verbatim(&self.terminal);
        self.stop.store(false, SeqCst);
        let go_on = || !self.stop.load(SeqCst);
        let completion = self.planner.ask_seen(&seen, &self.decoding, &mut |piece| live.push(piece) && go_on())?;
        live.finish()?;
        let note = match (&completion, completion.text.trim()) {
            (Completion { stopped: true, .. }, _) => "  (stopped)\n".to_owned(),
            (Completion { cut: true, .. }, _) => format!("  (cut off after {} tokens)\n", completion.ids.len()),
            (_, "") => "  (an empty answer)\n".to_owned(),
            _ => String::new(),
        };
        self.turns = question.turns.clone();
        self.turns.push(said(Role::Assistant, &completion.text));
        self.last = Some(Last { question, completion });
        print(&note)
    }

    /// Another frame. Its speed counts where it is known; what was driven is no longer known.
    ///
    /// # Errors
    /// A frame that cannot be read; then nothing has changed.
    pub fn show(&mut self, frame: Frame) -> Result<()> {
        self.image = frame.open()?;
        self.ego.speed_mps = frame.speed_mps.unwrap_or(self.ego.speed_mps);
        self.frame = frame;
        self.reference = Reference::default();
        self.plan()
    }

    /// Changes something about the planning question and asks it again; changes it back when it cannot be asked.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn change(&mut self, change: impl FnOnce(&mut Session)) -> Result<()> {
        let before = (self.ego.clone(), self.think, self.system.clone());
        change(self);
        let outcome = self.plan();
        if outcome.is_err() {
            (self.ego, self.think, self.system) = before;
        }
        outcome
    }

    /// The head of the chat.
    pub fn header(&self, program: &str, threads: usize) -> String {
        let facts = crate::picture::Facts {
            program: program.into(),
            threads,
            frame: self.frame.name.clone(),
            ..crate::picture::Facts::default()
        };
        crate::picture::terminal::header(&view::asked(&self.planner, &self.ego), &facts, &self.terminal)
    }
}

/// A turn of text.
pub fn said(role: Role, text: &str) -> Turn {
    Turn { role, parts: vec![Part::Text(text.to_owned())] }
}
