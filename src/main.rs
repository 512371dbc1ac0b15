//! The reinsman binary: parse, run, say what went wrong, exit with the code of its kind.

use reinsman::{cli, error};
use std::process::ExitCode;

fn main() -> ExitCode {
    error::install_panic_hook();
    let outcome = cli::parse(std::env::args_os()).and_then(|cli| match cli {
        Some(cli) => {
            limit_threads(cli.shared.threads);
            cli::run(&cli)
        }
        None => Ok(()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// `--threads N` for the pools of both candle and rayon, which read these variables when first used.
#[allow(unsafe_code)]
fn limit_threads(threads: Option<usize>) {
    let Some(threads) = threads else { return };
    for variable in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        // SAFETY: called once at the start of `main`, before any other thread exists.
        unsafe { std::env::set_var(variable, threads.to_string()) };
    }
}
