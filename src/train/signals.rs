//! Stopping on request: SIGINT, SIGTERM and SIGUSR1 (what Slurm sends before a time limit) set a flag; the trainer
//! finishes its step, saves and exits 75. A second signal ends the process at once, which checkpoints survive.

use crate::error::{Failure, Kind, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ},
    flag,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// Whether someone asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on. Call once, when there is something to save.
    ///
    /// # Errors
    /// Exit 4 when the operating system refuses.
    pub fn on_signals() -> Result<Stop> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            // In this order: a handler that finds the flag already set ends the process, then the flag is set.
            flag::register_conditional_shutdown(signal, 128 + signal, stop.0.clone())
                .and_then(|_| flag::register(signal, stop.0.clone()))
                .map_err(|e| Failure::device(format!("cannot listen for signals: {e}")))?;
        }
        Ok(stop)
    }

    /// Asks to stop, as a signal would.
    pub fn request(&self) {
        self.0.store(true, SeqCst);
    }

    /// Whether to finish the step and save.
    pub fn requested(&self) -> bool {
        self.0.load(SeqCst)
    }

    /// How a trainer ends after it has saved (`None`: before there was anything to save): exit 75 with the command that
    /// continues.
    pub fn resumable(verb: &str, saved: Option<&Path>, run_dir: &Path) -> Failure {
        let message = match saved {
            Some(saved) => format!("stopped on request; everything is saved in {}", saved.display()),
            None => "stopped on request before the first step".into(),
        };
        let hint = format!("resume with: reinsman {verb} --resume {}", run_dir.display());
        Failure::new(Kind::Resumable, message).hint(hint)
    }
}

/// Makes a file over the size limit (`ulimit -f`, quotas) an error of that write instead of the end of the process.
///
/// # Errors
/// Exit 4 when the operating system refuses.
pub fn survive_file_limits() -> Result<()> {
    let ignored = flag::register(SIGXFSZ, Arc::default());
    ignored.map(|_| ()).map_err(|e| Failure::device(format!("cannot listen for signals: {e}")))
}
