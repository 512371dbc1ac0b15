//! Where models compute: the processor, or a GPU in a binary that was built for one (`--features cuda`).

use crate::error::{Failure, Result};
use candle_core::{DType, Device};

/// The command that builds a binary for NVIDIA GPUs.
pub const BUILD: &str = "cargo build --release --features cuda";

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// The first GPU where there is one and this binary can use it, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A GPU, by its number.
    Cuda(usize),
}

/// Which names [`Choice::parse`] knows.
pub const ALLOWED: &str = "auto, cpu, cuda or cuda:N";

impl Choice {
    /// Reads `auto`, `cpu`, `cuda` (which is `cuda:0`) or `cuda:N`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Choice::Auto),
            "cpu" => Some(Choice::Cpu),
            "cuda" => Some(Choice::Cuda(0)),
            _ => text.strip_prefix("cuda:")?.parse().ok().filter(|n| *n < 1024).map(Choice::Cuda),
        }
    }

    /// Its name, which [`Choice::parse`] reads.
    pub fn name(self) -> String {
        match self {
            Choice::Auto => "auto".into(),
            Choice::Cpu => "cpu".into(),
            Choice::Cuda(0) => "cuda".into(),
            Choice::Cuda(n) => format!("cuda:{n}"),
        }
    }

    /// Opens the device.
    ///
    /// # Errors
    /// Exit 4 when a GPU is asked for and this binary was built without CUDA, or the GPU does not open.
    pub fn open(self) -> Result<Device> {
        match self {
            Choice::Cpu => Ok(Device::Cpu),
            Choice::Auto if !built_with_cuda() => Ok(Device::Cpu),
            Choice::Auto => Ok(Device::new_cuda(0).unwrap_or(Device::Cpu)),
            Choice::Cuda(_) if !built_with_cuda() => {
                Err(Failure::device(format!("{} was asked for, but this reinsman was built without CUDA", self.name()))
                    .hint(format!("build one with `{BUILD}` (README, CUDA), or use --device cpu")))
            }
            Choice::Cuda(n) => Device::new_cuda(n).map_err(|e| {
                Failure::device(format!("{} does not open: {}", self.name(), first_line(&e)))
                    .hint("`nvidia-smi` lists the GPUs of this machine; --device cpu does without")
            }),
        }
    }
}

/// Whether this binary can use NVIDIA GPUs at all.
pub fn built_with_cuda() -> bool {
    candle_core::utils::cuda_is_available()
}

/// Number format of arithmetic where nobody chose one: 16 bits on a GPU, 32 on the processor. What is trained is kept in
/// 32 bits everywhere.
pub fn arithmetic(device: &Device) -> DType {
    if device.is_cpu() { DType::F32 } else { DType::BF16 }
}

/// The device in words: `cpu`, `cuda:0`.
pub fn name(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// Bytes of a GPU's memory: (free, all of it). `None` for the processor.
pub fn memory(device: &Device) -> Option<(u64, u64)> {
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        // The context of the device is that of this thread since it was opened.
        let (free, total) = candle_core::cuda_backend::cudarc::driver::result::mem_get_info().ok()?;
        return Some((free as u64, total as u64));
    }
    let _ = device;
    None
}

/// A message without the backtrace that may follow it.
fn first_line(e: &candle_core::Error) -> String {
    e.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_read_back() {
        for choice in [Choice::Auto, Choice::Cpu, Choice::Cuda(0), Choice::Cuda(3)] {
            assert_eq!(Choice::parse(&choice.name()), Some(choice));
        }
        for bad in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1024", "CPU"] {
            assert_eq!(Choice::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_processor_always_opens() {
        assert!(Choice::Cpu.open().unwrap().is_cpu());
        assert_eq!((name(&Device::Cpu), arithmetic(&Device::Cpu)), ("cpu".to_owned(), DType::F32));
        assert_eq!(memory(&Device::Cpu), None);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_in_a_binary_for_the_processor_names_the_build_command() {
        assert!(Choice::Auto.open().unwrap().is_cpu());
        let failure = Choice::Cuda(1).open().unwrap_err();
        assert_eq!(failure.kind.exit_code(), 4);
        assert!(failure.message.contains("cuda:1") && failure.hint.unwrap().contains(BUILD));
    }
}
