//! One SHA-256 over everything of a planner that decides its answers: weights, adapter, tokenizer, picture settings and
//! card. Two evaluations belong together only when it is the same.

use super::{
    planner::{Planner, embedded_weights},
    source::Source,
};
use crate::error::{Result, io_at};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// What a checkpoint of ours says about itself; it holds the hash of every file.
const MANIFEST: &str = "MANIFEST.json";

impl Planner {
    /// The digest in hex. Weights are read once; checkpoints of ours carry their hashes in a manifest, which is enough.
    ///
    /// # Errors
    /// A file of the model that can no longer be read.
    pub fn digest(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for (name, bytes) in self.companions() {
            part(&mut hash, name, bytes.len() as u64);
            hash.update(bytes);
        }
        source(&mut hash, &self.source)?;
        Ok(hex(&hash.finalize()))
    }
}

/// The first bytes of a SHA-256 in hex, for names that people read.
pub fn short(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes)[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Name and length before the bytes, so that no two sets of files look alike.
fn part(hash: &mut Sha256, name: &str, length: u64) {
    hash.update([name.as_bytes(), b"\0", &length.to_le_bytes()].concat());
}

fn source(hash: &mut Sha256, source_: &Source) -> Result<()> {
    match source_ {
        Source::Embedded => {
            let weights = embedded_weights();
            part(hash, "model.safetensors", weights.len() as u64);
            hash.update(weights);
            Ok(())
        }
        Source::Folder(dir) => weights(hash, dir),
        Source::Gguf { text, mmproj } => [text, mmproj].into_iter().try_for_each(|path| file(hash, path)),
        Source::Adapter { base, adapter } => {
            source(hash, base)?;
            file(hash, &adapter.join("adapter_config.json"))?;
            weights(hash, adapter)
        }
    }
}

fn weights(hash: &mut Sha256, dir: &Path) -> Result<()> {
    if let Some(manifest) = dir.parent().map(|parent| parent.join(MANIFEST)).filter(|path| path.is_file()) {
        return file(hash, &manifest);
    }
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(io_at(dir))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    paths.sort();
    paths.iter().try_for_each(|path| file(hash, path))
}

fn file(hash: &mut Sha256, path: &Path) -> Result<()> {
    let mut file = File::open(path).map_err(io_at(path))?;
    let length = file.metadata().map_err(io_at(path))?.len();
    part(hash, &path.file_name().unwrap_or_default().to_string_lossy(), length);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(io_at(path))? {
            0 => return Ok(()),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn of(dir: &Path) -> String {
        let mut hash = Sha256::new();
        weights(&mut hash, dir).unwrap();
        hex(&hash.finalize())
    }

    #[test]
    fn weights_count_and_a_manifest_speaks_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        std::fs::create_dir(&model).unwrap();
        std::fs::write(model.join("a.safetensors"), b"one").unwrap();
        let first = of(&model);
        std::fs::write(model.join("notes.txt"), b"no weights").unwrap();
        assert_eq!(of(&model), first);
        std::fs::write(model.join("a.safetensors"), b"two").unwrap();
        assert_ne!(of(&model), first);
        std::fs::write(dir.path().join(MANIFEST), b"{}").unwrap();
        let told = of(&model);
        std::fs::write(model.join("a.safetensors"), b"six").unwrap();
        assert_eq!(of(&model), told);
    }
}
