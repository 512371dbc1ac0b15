//! Where lines come from: a terminal with editing and history, or a pipe, which shows no prompt.

use crate::error::{Failure, Result};
use rustyline::{Config, DefaultEditor, error::ReadlineError};
use std::{
    io::{BufRead, IsTerminal, Read},
    path::PathBuf,
};

/// Longest line that is read, bytes.
const MAX_LINE: usize = 64 << 10;

/// One step of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its end.
    Text(String),
    /// A line that cannot be used, and why.
    Bad(String),
    /// Ctrl-C at the prompt.
    Interrupted,
    /// The end of the input.
    End,
}

/// A source of lines.
pub enum Lines {
    /// A person at a terminal.
    Terminal(Box<DefaultEditor>, Option<PathBuf>),
    /// A file, a pipe, a test.
    Plain(Box<dyn BufRead>),
}

impl Lines {
    /// Standard input; a terminal only when both ends are one.
    ///
    /// # Errors
    /// Exit 4 when the terminal cannot be used.
    pub fn standard() -> Result<Lines> {
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Ok(Lines::Plain(Box::new(std::io::stdin().lock())));
        }
        let config = Config::builder().auto_add_history(true).build();
        let mut editor =
            DefaultEditor::with_config(config).map_err(|e| Failure::device(format!("cannot use the terminal: {e}")))?;
        let history = history();
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        Ok(Lines::Terminal(Box::new(editor), history))
    }

    /// Whether a person is typing.
    pub fn interactive(&self) -> bool {
        matches!(self, Lines::Terminal(..))
    }

    /// The next line.
    ///
    /// # Errors
    /// Input that cannot be read.
    pub fn read(&mut self) -> Result<Line> {
        match self {
            Lines::Plain(input) => plain(input),
            Lines::Terminal(editor, _) => match editor.readline("> ") {
                Ok(text) => Ok(Line::Text(text)),
                Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(ReadlineError::Io(e)) => Err(unreadable(&e)),
                Err(e) => Err(Failure::device(format!("cannot read from the terminal: {e}"))),
            },
        }
    }

    /// Keeps the history for the next time, where there is a place for it.
    pub fn close(&mut self) {
        if let Lines::Terminal(editor, Some(path)) = self {
            // History is a comfort: nothing is lost that was not already shown.
            let _ = editor.save_history(path);
        }
    }
}

fn unreadable(e: &std::io::Error) -> Failure {
    Failure::data(format!("cannot read standard input: {e}"))
}

fn plain(input: &mut Box<dyn BufRead>) -> Result<Line> {
    let mut bytes = Vec::new();
    input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes).map_err(|e| unreadable(&e))?;
    if bytes.is_empty() {
        return Ok(Line::End);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    } else if bytes.len() > MAX_LINE {
        input.skip_until(b'\n').map_err(|e| unreadable(&e))?;
        return Ok(Line::Bad(format!("a line has more than {MAX_LINE} bytes; it is left out")));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Line::Text(text),
        Err(_) => Line::Bad("a line is not UTF-8 text; it is left out".into()),
    })
}

/// `$XDG_STATE_HOME/reinsman/chat_history`, its folder made; `None` where there is no home or it cannot be written.
fn history() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    let dir = state.join("reinsman");
    std::fs::create_dir_all(&dir).ok()?;
    Some(dir.join("chat_history"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::io::Cursor;

    #[test]
    fn lines_of_a_pipe() {
        let mut input = b"one\n\n\xff\n".to_vec();
        input.extend(vec![b'x'; MAX_LINE + 1]);
        input.extend(b"more\nlast");
        let mut lines = Lines::Plain(Box::new(Cursor::new(input)));
        let mut next = || lines.read().unwrap();
        assert_eq!((next(), next()), (Line::Text("one".into()), Line::Text(String::new())));
        assert!(matches!(next(), Line::Bad(why) if why.contains("UTF-8")));
        assert!(matches!(next(), Line::Bad(why) if why.contains("more than")));
        assert_eq!((next(), next(), next()), (Line::Text("last".into()), Line::End, Line::End));
    }
}
