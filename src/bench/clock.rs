//! Wall time and the processor time of this process.

use crate::error::Result;
use std::time::Instant;

/// What a piece of work took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lap {
    /// On the wall.
    pub wall: f64,
    /// On processors, all threads together.
    pub cpu: f64,
}

impl Lap {
    /// The smaller of both, each for itself.
    pub fn least(self, other: Lap) -> Lap {
        Lap { wall: self.wall.min(other.wall), cpu: self.cpu.min(other.cpu) }
    }
}

/// A running stopwatch.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    wall: Instant,
    cpu: f64,
}

impl Watch {
    /// Starts one.
    pub fn start() -> Self {
        Watch { wall: Instant::now(), cpu: cpu_seconds() }
    }

    /// Since the start.
    pub fn lap(&self) -> Lap {
        Lap { wall: self.wall.elapsed().as_secs_f64(), cpu: cpu_seconds() - self.cpu }
    }
}

/// Times one piece of work.
///
/// # Errors
/// Those of the work.
pub fn lap(work: impl FnOnce() -> Result<()>) -> Result<Lap> {
    let watch = Watch::start();
    work()?;
    Ok(watch.lap())
}

/// Processor seconds (user and system, all threads) of this process since it began; 0 where the system does not tell.
/// `/proc/self/stat` has them too, but only in hundredths, as long as a whole preprocessing takes.
#[allow(unsafe_code)]
pub fn cpu_seconds() -> f64 {
    #[cfg(all(any(target_os = "linux", target_os = "macos"), target_pointer_width = "64"))]
    {
        #[repr(C)]
        struct TimeSpec {
            seconds: i64,
            nanoseconds: i64,
        }
        unsafe extern "C" {
            fn clock_gettime(clock: std::ffi::c_int, time: *mut TimeSpec) -> std::ffi::c_int;
        }
        const PROCESS_CPUTIME: std::ffi::c_int = if cfg!(target_os = "macos") { 12 } else { 2 };
        let mut time = TimeSpec { seconds: 0, nanoseconds: 0 };
        // SAFETY: POSIX; on 64-bit Linux and macOS `timespec` is two 64-bit integers, and the call writes nothing else.
        if unsafe { clock_gettime(PROCESS_CPUTIME, &mut time) } == 0 {
            return time.seconds as f64 + time.nanoseconds as f64 * 1e-9;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn work_takes_processor_time() {
        let took = lap(|| {
            let until = Instant::now();
            while until.elapsed().as_millis() < 20 {}
            Ok(())
        })
        .unwrap();
        assert!(took.wall >= 0.02 && took.cpu > 0.0 && took.cpu.is_finite(), "{took:?}");
    }
}
