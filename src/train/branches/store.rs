//! Picture features kept on disk from one start to the next, one file a picture.
//!
//! ```text
//! ~/.cache/reinsman/features/TOWER/PICTURE    two u32: tokens N, width F; N F f32; SHA-256 of key and numbers
//! ```
//! TOWER is a digest of everything that decides features beside the picture: what the tower makes of a fixed picture, to
//! the bit ([`Eyes`]), how pictures are prepared, and the number of threads. PICTURE is a digest of the picture's bytes. A
//! file that does not match its digest is made anew, one that cannot be written is done without. Files may be deleted at
//! any time.

use crate::{policy::Planner, trajectory::branches::Eyes, vlm::quant::store::cache_folder};
use candle_core::{Device, Tensor};
use data::Image;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Changes when the layout does, or what features are made of.
const VERSION: &str = "reinsman-features-1";
/// Bytes of a SHA-256.
const DIGEST: usize = 32;
/// Largest file that is read, bytes.
const LIMIT: u64 = 1 << 30;

/// Features on disk.
#[derive(Debug, Clone)]
pub struct Store {
    /// Of one tower; `None` once something could not be written.
    folder: Option<PathBuf>,
    /// Pictures whose features were found.
    pub found: usize,
    /// Why nothing is kept any more.
    pub trouble: Option<String>,
}

impl Store {
    /// The features that `planner` makes, in the user's cache folder.
    pub fn of(planner: &Planner, eyes: &Eyes) -> Store {
        let mut hash = Sha256::new();
        let threads = rayon::current_num_threads();
        hash.update(format!("{VERSION}\0{}\0{threads}\0{:?}\0", eyes.name, planner.encoder.processor));
        eyes.probe.iter().for_each(|x| hash.update(x.to_bits().to_le_bytes()));
        let tower = hex(&hash.finalize()[..8]);
        Store { folder: cache_folder("features").map(|dir| dir.join(tower)), found: 0, trouble: None }
    }

    /// Keeps nothing.
    pub fn none() -> Store {
        Store { folder: None, found: 0, trouble: None }
    }

    /// A picture's place; `None` where nothing is kept or the picture cannot be read.
    pub(super) fn place(&self, image: &Image) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        let digest = match image {
            Image::File(path) => Sha256::digest(std::fs::read(path).ok()?),
            Image::Bytes(bytes) => Sha256::digest(bytes),
        };
        Some(folder.join(hex(&digest[..16])))
    }

    /// The tokens `(N, F)` at a place, if they are there and whole.
    pub(super) fn get(&mut self, place: &Path) -> Option<Tensor> {
        if std::fs::metadata(place).ok()?.len() > LIMIT {
            return None;
        }
        let tokens = parse(&std::fs::read(place).ok()?, &key(place))?;
        self.found += 1;
        Some(tokens)
    }

    /// Keeps tokens `(N, F)`, f32 on the host, if they are finite.
    pub(super) fn put(&mut self, place: &Path, tokens: &Tensor) {
        let Some(bytes) = bytes(tokens, &key(place)) else { return };
        let Some(folder) = &self.folder else { return };
        let temporary = folder.join(format!(".{}-{}", key(place), std::process::id()));
        // Not synchronised: what a crash cuts short does not match its digest.
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&temporary, bytes))
            .and_then(|()| std::fs::rename(&temporary, place));
        if let Err(e) = written {
            let _ = std::fs::remove_file(&temporary);
            self.trouble = Some(format!("{}: {e}; picture features are not kept", folder.display()));
            self.folder = None;
        }
    }
}

/// Tower and picture, so that a file in the wrong place is noticed.
fn key(place: &Path) -> String {
    let names = place.components().rev().take(2).map(|name| name.as_os_str().to_string_lossy().into_owned());
    names.collect::<Vec<_>>().join("-")
}

fn bytes(tokens: &Tensor, key: &str) -> Option<Vec<u8>> {
    let (n, f) = tokens.dims2().ok()?;
    let values: Vec<f32> = tokens.flatten_all().ok()?.to_vec1().ok()?;
    if values.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let mut bytes = Vec::with_capacity(8 + 4 * values.len() + DIGEST);
    bytes.extend(u32::try_from(n).ok()?.to_le_bytes());
    bytes.extend(u32::try_from(f).ok()?.to_le_bytes());
    values.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    let digest = digest(key, &bytes);
    bytes.extend(digest);
    Some(bytes)
}

fn parse(bytes: &[u8], key: &str) -> Option<Tensor> {
    let (rest, told) = bytes.split_last_chunk::<DIGEST>()?;
    if digest(key, rest) != *told {
        return None;
    }
    let (n, rest) = rest.split_first_chunk::<4>()?;
    let (f, rest) = rest.split_first_chunk::<4>()?;
    let shape = [*n, *f].map(|count| u32::from_le_bytes(count) as usize);
    let (numbers, left) = rest.as_chunks::<4>();
    let values: Vec<f32> = numbers.iter().map(|x| f32::from_le_bytes(*x)).collect();
    let fits = left.is_empty() && shape[0].checked_mul(shape[1]) == Some(values.len()) && !values.is_empty();
    let fits = fits && values.iter().all(|x| x.is_finite());
    fits.then(|| Tensor::from_vec(values, &shape, &Device::Cpu).ok())?
}

fn digest(key: &str, bytes: &[u8]) -> [u8; DIGEST] {
    Sha256::new().chain_update(key).chain_update(bytes).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::streams::Stream;

    fn tokens() -> Tensor {
        Tensor::from_vec(vec![1.5f32, -0.0, f32::MIN_POSITIVE, 3e38, 0.1, -7.0], (2, 3), &Device::Cpu).unwrap()
    }

    fn bits(tokens: &Tensor) -> Vec<u32> {
        let values: Vec<f32> = tokens.flatten_all().unwrap().to_vec1().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn what_is_kept_comes_back_to_the_bit() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store { folder: Some(dir.path().join("a/b")), ..Store::none() };
        let place = store.place(&Image::Bytes(b"picture".as_slice().into())).unwrap();
        assert!(store.get(&place).is_none());
        store.put(&place, &tokens());
        let again = store.get(&place).unwrap();
        assert_eq!((again.dims(), bits(&again)), (&[2, 3][..], bits(&tokens())));
        assert_eq!((store.found, std::fs::read_dir(dir.path().join("a/b")).unwrap().count()), (1, 1));
        let other = store.place(&Image::Bytes(b"another".as_slice().into())).unwrap();
        std::fs::copy(&place, &other).unwrap();
        assert!(store.get(&other).is_none(), "features of another picture");
        store.put(&other, &(tokens() * f64::INFINITY).unwrap());
        assert!(store.get(&other).is_none() && store.trouble.is_none(), "not finite, not kept");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_done_without() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), b"").unwrap();
        let mut store = Store { folder: Some(dir.path().join("file/b")), ..Store::none() };
        let image = Image::Bytes(b"picture".as_slice().into());
        let place = store.place(&image).unwrap();
        store.put(&place, &tokens());
        assert!(store.trouble.as_ref().is_some_and(|why| why.contains("are not kept")), "{store:?}");
        assert!(store.place(&image).is_none(), "tried once");
    }

    #[test]
    fn damaged_files_are_none() {
        let (whole, mut stream) = (bytes(&tokens(), "key").unwrap(), Stream::new(1, "damage"));
        assert!(parse(&whole, "key").is_some() && parse(&whole, "kez").is_none() && parse(&[], "key").is_none());
        for _ in 0..2000 {
            let mut damaged = whole.clone();
            let at = stream.below(whole.len() as u64) as usize;
            match stream.below(3) {
                0 => damaged.truncate(at),
                1 => damaged[at] ^= 1 << stream.below(8),
                _ => damaged.insert(at, stream.below(256) as u8),
            }
            assert!(parse(&damaged, "key").is_none());
        }
        // A right digest does not make numbers fit.
        for rest in [&[1u32, 2, 0][..], &[0, 0], &[2, 1, f32::NAN.to_bits(), 0], &[u32::MAX, u32::MAX, 0]] {
            let mut made: Vec<u8> = rest.iter().flat_map(|x| x.to_le_bytes()).collect();
            made.extend(digest("key", &made));
            assert!(parse(&made, "key").is_none(), "{rest:?}");
        }
    }
}
