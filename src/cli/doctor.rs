//! `reinsman doctor`: what this machine offers, whether arithmetic and disk do what they should, and how to fix what does
//! not. Exit 4 when something would make a run fail. Asked for in every bug report.

mod weights;

use super::{Shared, parse, print, print_json};
use crate::{
    device::{self, Choice},
    error::{Failure, Result, human_bytes},
    memory::Memory,
    policy::{
        Planner, Source,
        frames::BUNDLED,
        planner::{Options, Quant, embedded_weights},
    },
    train::lock::host,
    vlm::image::{Loading, Rgb},
};
use candle_core::{Device, Tensor, Var};
use data::Ego;
use sha2::{Digest, Sha256};
use std::{fs::File, io::Write, path::Path, time::Instant};

const EXAMPLES: &str = "Examples:
  reinsman doctor
  reinsman doctor --out runs/a                # also check the disk of that folder
  reinsman doctor --model models/a --quant q4_k   # also how its weights would be held
  reinsman doctor --json > doctor.json        # for a bug report";

/// What can be typed after `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder whose disk is checked
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: std::path::PathBuf,
    /// Model whose weights are listed by format
    #[arg(long, value_name = "PATH")]
    pub model: Option<std::path::PathBuf>,
    /// List them as quantized to q4_k, q6_k, q8_0 or none
    #[arg(long, value_name = "KIND", requires = "model", value_parser = parse::quant)]
    pub quant: Option<Quant>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    /// Works, but worse than it could.
    Weak,
    /// A run would fail.
    Broken,
}

#[derive(Debug)]
struct Check {
    name: &'static str,
    found: String,
    state: State,
    fix: Option<String>,
}

impl Check {
    fn fine(name: &'static str, found: impl Into<String>) -> Self {
        Check { name, found: found.into(), state: State::Fine, fix: None }
    }
    fn but(mut self, state: State, fix: impl Into<String>) -> Self {
        (self.state, self.fix) = (state, Some(fix.into()));
        self
    }
}

/// Runs the verb.
///
/// # Errors
/// Exit 4 when a check says that runs would fail.
pub fn run(args: &Args, _shared: &Shared) -> Result<()> {
    let mut checks = vec![
        Check::fine("version", format!("reinsman {} on {}", env!("CARGO_PKG_VERSION"), host())),
        device(),
        processor(),
        threads(),
        memory(),
        disk(&args.out),
        hub(),
        embedded_model(),
        arithmetic(),
    ];
    if let Some(model) = &args.model {
        checks.push(Check::fine("weights", weights::held(model, args.quant.unwrap_or_default())?));
    }
    if args.json {
        print_json(&as_json(&checks))?
    } else {
        print(&as_text(&checks))?
    }
    let broken: Vec<_> = checks.iter().filter(|c| c.state == State::Broken).map(|c| c.name).collect();
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::device(format!("not healthy: {}", broken.join(", "))).hint("each has its fix above"))
}

fn as_text(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = match check.state {
            State::Fine => "ok  ",
            State::Weak => "weak",
            State::Broken => "FAIL",
        };
        text.push_str(&format!("{mark}  {:<11} {}\n", check.name, check.found));
        if let Some(fix) = &check.fix {
            text.push_str(&format!("      {:<11} fix: {fix}\n", ""));
        }
    }
    text
}

fn as_json(checks: &[Check]) -> serde_json::Value {
    let list = checks.iter().map(|c| {
        let state = ["fine", "weak", "broken"][c.state as usize];
        serde_json::json!({"name": c.name, "found": c.found, "state": state, "fix": c.fix})
    });
    let healthy = checks.iter().all(|c| c.state != State::Broken);
    serde_json::json!({"healthy": healthy, "checks": list.collect::<Vec<_>>()})
}

/// Which devices this binary can use, and whether a GPU multiplies as the processor does.
fn device() -> Check {
    if !device::built_with_cuda() {
        return Check::fine("device", format!("cpu (built without CUDA; for NVIDIA GPUs: {})", device::BUILD));
    }
    let gpu = match Choice::Cuda(0).open() {
        Ok(gpu) => gpu,
        Err(e) => {
            let check = Check::fine("device", format!("cpu; built with CUDA, but {}", e.message));
            return check.but(State::Weak, e.hint.unwrap_or_default());
        }
    };
    let memory = device::memory(&gpu)
        .map_or_else(String::new, |(free, total)| format!(", {} free of {}", human_bytes(free), human_bytes(total)));
    let check = |found: &str| Check::fine("device", format!("cpu, cuda{memory}: {found}"));
    let broken = "update the driver, or use --device cpu; report this with the output of --json";
    match loss_and_gradient(&gpu) {
        Ok(got) if error_of(got) <= 1e-4 => check(&format!("largest relative error {:.1e}", error_of(got))),
        Ok(got) => check(&format!("relative error {:.1e}", error_of(got))).but(State::Broken, broken),
        Err(e) => check(&e.to_string()).but(State::Broken, broken),
    }
}

fn processor() -> Check {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field =
        |name: &str| info.lines().find(|l| l.starts_with(name)).and_then(|l| l.split_once(':')).map(|(_, v)| v.trim());
    let flags: Vec<&str> = field("flags").or_else(|| field("Features")).unwrap_or_default().split(' ').collect();
    let wanted = ["avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile", "amx_int8", "asimd"];
    let has: Vec<&str> = wanted.into_iter().filter(|f| flags.contains(f)).collect();
    let model = field("model name").unwrap_or(std::env::consts::ARCH);
    let check = Check::fine(
        "processor",
        format!("{model}: {}", if has.is_empty() { "no vector units known".into() } else { has.join(" ") }),
    );
    let slow = cfg!(target_arch = "x86_64") && !info.is_empty() && !has.contains(&"avx2");
    if slow { check.but(State::Weak, "a processor with AVX2 is several times faster") } else { check }
}

fn threads() -> Check {
    let used = candle_core::utils::get_num_threads();
    let offered = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let check = Check::fine("threads", format!("{used} used, {offered} offered"));
    if used > offered {
        check.but(State::Weak, format!("more threads than cores slow each other down: --threads {offered}"))
    } else {
        check
    }
}

fn memory() -> Check {
    let Some(Memory { total, available, limit }) = Memory::now() else {
        return Check::fine("memory", "unknown on this system");
    };
    let within = limit.map_or_else(String::new, |g| format!(", this process may use {}", human_bytes(g)));
    let check =
        Check::fine("memory", format!("{} available of {}{within}", human_bytes(available), human_bytes(total)));
    match available >> 20 {
        0..=511 => check.but(State::Broken, "close other programs: the embedded planner needs about 512 MiB to train"),
        512..=2047 => check.but(State::Weak, "enough for the embedded planner; larger models need more"),
        _ => check,
    }
}

/// Free space and a real write with fsync, because checkpoints depend on both.
fn disk(out: &Path) -> Check {
    let folder = out.ancestors().find(|p| p.is_dir()).unwrap_or(Path::new("."));
    let probe = folder.join(format!(".reinsman-doctor-{}", std::process::id()));
    let started = Instant::now();
    let written = File::create(&probe).and_then(|mut file| {
        file.write_all(&[1; 1 << 20])?;
        file.sync_all()?;
        File::open(folder)?.sync_all()
    });
    let took = started.elapsed().as_millis();
    let _ = std::fs::remove_file(&probe);
    let free = fs4::available_space(folder).unwrap_or(0);
    let found = format!("{} free in {}, 1 MiB synced in {took} ms", human_bytes(free), folder.display());
    match written {
        Err(e) => Check::fine("disk", format!("{}: {e}", folder.display()))
            .but(State::Broken, "make the folder writable or choose another --out"),
        Ok(()) if free < 64 << 20 => Check::fine("disk", found).but(State::Broken, "make room: checkpoints need it"),
        Ok(()) if free < 1 << 30 => Check::fine("disk", found).but(State::Weak, "little room for checkpoints"),
        Ok(()) if took > 2_000 => {
            Check::fine("disk", found).but(State::Weak, "a slow disk makes saving slow: choose another --out")
        }
        Ok(()) => Check::fine("disk", found),
    }
}

/// Where models are downloaded from and kept; the network is not asked.
fn hub() -> Check {
    match crate::hub::about() {
        Ok(about) => Check::fine("hub", about),
        Err(e) => {
            Check::fine("hub", e.message).but(State::Weak, e.hint.unwrap_or_else(|| "correct the variable".into()))
        }
    }
}

/// The checkpoint inside the binary: size, digest of its weights (as `sha256sum model.safetensors` prints it), version of
/// its prompt, and whether it answers a real frame.
fn embedded_model() -> Check {
    let weights = embedded_weights();
    if weights.is_empty() {
        return Check::fine("model", "no checkpoint is embedded in this build").but(
            State::Weak,
            "every verb needs --model; or build from a checkout whose data/models/embedded/ is complete",
        );
    }
    let digest: String = Sha256::digest(weights).iter().map(|byte| format!("{byte:02x}")).collect();
    match asked() {
        Ok((about, fine)) => {
            let check = Check::fine("model", format!("{about}, sha256 {digest}"));
            if fine { check } else { check.but(State::Broken, "the embedded checkpoint is damaged: build anew") }
        }
        Err(e) => Check::fine("model", format!("the embedded checkpoint (sha256 {digest}) fails: {}", e.message))
            .but(State::Broken, "build anew from a clean checkout; report this with the output of --json"),
    }
}

/// What the embedded planner is and says about a bundled frame, and whether that is a distribution over the labels.
fn asked() -> Result<(String, bool)> {
    let planner = Planner::load(&Source::Embedded, &Options::default())?;
    let bundled = &BUNDLED[0];
    let frame = Rgb::decode(bundled.bytes, bundled.file, &Loading::default())?;
    let ego = Ego { speed_mps: bundled.speed_mps, command: scene::Command::default() };
    let found = planner.probabilities(&planner.question(&ego, vec![frame], false)?, "", None)?;
    let sums = |p: &[f64]| p.iter().all(|p| p.is_finite() && *p >= 0.0) && (p.iter().sum::<f64>() - 1.0).abs() < 1e-6;
    let most = |p: &[f64]| p.iter().copied().fold(0.0, f64::max);
    let about = format!(
        "{}, {:.2} M parameters, prompt {}, answers a frame with {} ({:.2}, {:.2})",
        planner.name(),
        planner.vlm.parameter_count() as f64 / 1e6,
        planner.prompts.version(),
        found.best(),
        most(&found.speed),
        most(&found.path),
    );
    Ok((about, sums(&found.speed) && sums(&found.path)))
}

/// A matrix product and its gradient against numbers computed elsewhere (plain f64 loops):
/// `loss = mean(tanh(A B))`, `A[i][k] = ((7 i + 3 k) mod 11 - 4) / 8`, `B[k][j] = ((5 k + 2 j) mod 13 - 5) / 64`.
fn arithmetic() -> Check {
    match loss_and_gradient(&Device::Cpu) {
        Ok(got) => {
            let off = error_of(got);
            let check =
                Check::fine("arithmetic", format!("matrix product and gradient, largest relative error {off:.1e}"));
            if off <= 1e-5 {
                check
            } else {
                check.but(State::Broken, "try --threads 1; if it stays, report it with --json")
            }
        }
        Err(e) => Check::fine("arithmetic", e.to_string()).but(State::Broken, "report this with the output of --json"),
    }
}

/// Loss, sum of the absolute gradient, one gradient element.
const GOLDEN: [f64; 3] = [9.276805511399e-02, 7.382877742325e-01, 2.410724332714e-04];

fn error_of(got: [f64; 3]) -> f64 {
    got.iter().zip(GOLDEN).map(|(g, w)| ((g - w) / w).abs()).fold(0.0, f64::max)
}

fn loss_and_gradient(device: &Device) -> candle_core::Result<[f64; 3]> {
    let (m, k, n) = (64usize, 48usize, 32usize);
    let at = |i: usize, a: usize, j: usize, b: usize, modulus: usize, middle: f32, scale: f32| {
        (((a * i + b * j) % modulus) as f32 - middle) / scale
    };
    let a: Vec<f32> = (0..m * k).map(|x| at(x / k, 7, x % k, 3, 11, 4.0, 8.0)).collect();
    let b: Vec<f32> = (0..k * n).map(|x| at(x / n, 5, x % n, 2, 13, 5.0, 64.0)).collect();
    let a = Var::from_vec(a, (m, k), device)?;
    let b = Tensor::from_vec(b, (k, n), device)?;
    let loss = a.matmul(&b)?.tanh()?.mean_all()?;
    let gradients = loss.backward()?;
    let gradient = gradients.get(&a).ok_or_else(|| candle_core::Error::Msg("no gradient".into()))?;
    let total = gradient.abs()?.sum_all()?.to_scalar::<f32>()?;
    let one = gradient.get(3)?.get(5)?.to_scalar::<f32>()?;
    Ok([loss.to_scalar::<f32>()?, total, one].map(f64::from))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn arithmetic_is_right_here() {
        assert_eq!(arithmetic().state, State::Fine, "{:?} {:?}", arithmetic(), loss_and_gradient(&Device::Cpu));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_broken_with_a_fix() {
        let check = disk(Path::new("/proc/self"));
        assert_eq!(check.state, State::Broken);
        assert!(check.fix.is_some());
        let dir = tempfile::tempdir().unwrap();
        let fine = disk(&dir.path().join("not/yet/there"));
        assert_ne!(fine.state, State::Broken, "{fine:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the probe is removed");
    }

    #[test]
    fn every_problem_is_shown_with_its_fix() {
        let checks = [Check::fine("a", "x"), Check::fine("b", "y").but(State::Broken, "do this")];
        assert!(as_text(&checks).contains("FAIL  b           y\n") && as_text(&checks).contains("fix: do this"));
        let json = as_json(&checks);
        assert_eq!((json["healthy"].as_bool(), json["checks"][1]["fix"].as_str()), (Some(false), Some("do this")));
    }
}
