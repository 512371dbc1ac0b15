//! Writing a picture so that a reader sees the old file or the whole new one, never half of it.

use crate::error::{Failure, Result, io_at};
use image::{ImageEncoder, RgbImage, codecs::png::PngEncoder};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

static TEMPORARIES: AtomicU64 = AtomicU64::new(0);

/// Writes a PNG: into a temporary file in the same folder, which is made when missing, then renamed.
/// Failures are data failures (exit 3) that name the path.
pub fn save_png(path: &Path, picture: &RgbImage) -> Result<()> {
    if path.file_name().is_none() || path.is_dir() {
        return Err(Failure::data(format!("cannot write a picture to {}: it names a folder", path.display()))
            .hint("give a file name, for example out/plan.png"));
    }
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(picture, picture.width(), picture.height(), image::ExtendedColorType::Rgb8)
        .map_err(|e| Failure::data(format!("{}: cannot encode the picture: {e}", path.display())))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(io_at(folder))?;
    let number = TEMPORARIES.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".picture-{}-{number}.tmp", std::process::id()));
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(&png).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|e| {
        // The write already failed; a leftover temporary is the lesser trouble.
        let _ = std::fs::remove_file(&temporary);
        io_at(path)(e)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::Kind;

    #[test]
    fn makes_the_folder_replaces_the_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/plan.png");
        save_png(&path, &RgbImage::new(3, 2)).unwrap();
        save_png(&path, &RgbImage::from_pixel(5, 4, image::Rgb([1, 2, 3]))).unwrap();
        let back = image::open(&path).unwrap().to_rgb8();
        assert_eq!((back.dimensions(), back.get_pixel(4, 3).0), ((5, 4), [1, 2, 3]));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn says_what_is_wrong_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        for bad in [folder.path().to_path_buf(), file.join("plan.png"), "/".into(), "".into()] {
            let failure = save_png(&bad, &RgbImage::new(1, 1)).unwrap_err();
            assert_eq!(failure.kind, Kind::Data);
        }
        assert!(save_png(&file.join("plan.png"), &RgbImage::new(1, 1)).unwrap_err().message.contains("file"));
        assert!(save_png(&folder.path().join("zero.png"), &RgbImage::new(0, 0)).is_err());
    }
}
