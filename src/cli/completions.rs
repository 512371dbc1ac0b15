//! `reinsman completions`: the completion script of a shell, generated from the same definition as the help.

use super::{Cli, Shared};
use crate::error::Result;
use clap::CommandFactory;

const EXAMPLES: &str = "Examples:
  reinsman completions bash > ~/.local/share/bash-completion/completions/reinsman
  reinsman completions zsh > ~/.zfunc/_reinsman
  reinsman completions fish > ~/.config/fish/completions/reinsman.fish";

/// What can be typed after `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Prints the script.
///
/// # Errors
/// Only when stdout cannot be written.
pub fn run(args: &Args, _shared: &Shared) -> Result<()> {
    super::print(&script(args.shell))
}

fn script(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "reinsman", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    #[test]
    fn every_shell_learns_every_verb() {
        for shell in clap_complete::Shell::value_variants() {
            let script = super::script(*shell);
            assert!(
                ["plan", "sft", "eval", "doctor", "--fail-under"]
                    .iter()
                    .all(|w| script.contains(w.trim_start_matches('-')))
            );
        }
    }
}
