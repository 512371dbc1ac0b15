//! The reinsman binary: parse, run, say what went wrong, exit with the code of its kind.

use reinsman::{cli, error, train::signals, vlm::ops};
use std::process::ExitCode;

fn main() -> ExitCode {
    error::install_panic_hook();
    let outcome = cli::parse(std::env::args_os()).and_then(|cli| match cli {
        Some(cli) => {
            limit_threads(cli.shared.threads);
            ops::keep_heap();
            signals::survive_file_limits()?;
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

/// `--threads N` for rayon and gemm, which read the variable when first used. candle's own pool spins while it waits and
/// made a backward pass two to three times slower, so it keeps to one thread unless the user sets it.
#[allow(unsafe_code)]
fn limit_threads(threads: Option<usize>) {
    let set = |variable: &str, value: String| {
        // SAFETY: called once at the start of `main`, before any other thread exists.
        unsafe { std::env::set_var(variable, value) };
    };
    if let Some(threads) = threads {
        set("RAYON_NUM_THREADS", threads.to_string());
    }
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        set("CANDLE_NUM_THREADS", "1".into());
    }
}
