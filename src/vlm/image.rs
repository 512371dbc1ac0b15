//! Pictures from files or bytes: JPEG and PNG, bounded from the header before anything is decoded.
//!
//! Colour follows the Python reference (Pillow's `convert("RGB")`): alpha is dropped, never composited; grey, bilevel
//! and palette pictures expand; 16-bit samples keep their high byte. One deviation: Pillow clips 16-bit *grey* at 255,
//! which turns nearly all of it white; here it keeps the high byte as colour does.
//! The EXIF orientation is applied, as `transformers.image_utils.load_image` does for anything it opens itself.
//! JPEG is decoded by zune-jpeg, the reference by libjpeg-turbo: values differ by a few levels.

use crate::error::{Failure, Result, io_at};
use image::{DynamicImage, ImageDecoder};
use std::{io::Cursor, io::Read, path::Path};

/// A picture: 8 bits per channel, rows from the top, `R G B` interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` values.
    pub data: Vec<u8>,
}

/// What loading accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loading {
    /// Longest side, pixels.
    pub max_side: usize,
    /// Largest file, bytes.
    pub max_file_bytes: usize,
    /// Largest decoded picture in its own colour mode, bytes.
    pub max_decoded_bytes: usize,
    /// Whether the EXIF orientation is applied.
    pub exif: bool,
}

impl Default for Loading {
    fn default() -> Self {
        Loading { max_side: 4096, max_file_bytes: 64 << 20, max_decoded_bytes: 64 << 20, exif: true }
    }
}

/// What a picture without a file is called.
const INSIDE: &str = "a picture inside the record";
const AGAIN: &str = "the file may be incomplete: copy or download it again";

/// libjpeg-turbo's own fuzzers stop here too: a progressive file of thousands of empty scans is an attack on time.
const MAX_JPEG_SCANS: usize = 500;

impl Rgb {
    /// A picture from its values; fails unless there are `width * height * 3` of them and both sides are positive.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Rgb> {
        let wanted = width.checked_mul(height).and_then(|n| n.checked_mul(3));
        if width == 0 || height == 0 || wanted != Some(data.len()) {
            return Err(Failure::data(format!("a {width}x{height} picture cannot have {} values", data.len())));
        }
        Ok(Rgb { width, height, data })
    }

    /// A picture of one colour, used where a frame is blanked out.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Rgb {
        Rgb { width, height, data: colour.repeat(width * height) }
    }

    /// Reads a JPEG or PNG file.
    pub fn open(path: &Path, loading: &Loading) -> Result<Rgb> {
        Rgb::decode(&read(path, loading)?, &path.display().to_string(), loading)
    }

    /// Width and height as the header says, after every check that needs no decoding: a file that is missing, cut off,
    /// too large or no picture fails here. (A turned picture still has its sides as they are stored.)
    pub fn look(image: &data::Image, loading: &Loading) -> Result<(usize, usize)> {
        let (header, name) = match image {
            data::Image::File(path) => {
                let name = path.display().to_string();
                (Header::checked(&read(path, loading)?, &name, loading)?, name)
            }
            data::Image::Bytes(bytes) => (Header::checked(bytes, INSIDE, loading)?, INSIDE.into()),
        };
        header.whole(&name).map(|()| (header.width, header.height))
    }

    /// Decodes the bytes of a JPEG or PNG file; `name` is what messages call them.
    pub fn decode(bytes: &[u8], name: &str, loading: &Loading) -> Result<Rgb> {
        let header = Header::checked(bytes, name, loading)?;
        let broken = |e: image::ImageError| {
            Failure::data(format!("{name} is a damaged {}: {e}", header.format.name())).hint(AGAIN)
        };
        let mut image = match header.format {
            Format::Jpeg => pixels(
                image::codecs::jpeg::JpegDecoder::new(Cursor::new(bytes)).map_err(broken)?,
                name,
                loading,
                &broken,
            ),
            Format::Png => {
                let mut limits = image::Limits::no_limits();
                limits.max_alloc = Some(2 * loading.max_decoded_bytes as u64);
                pixels(
                    image::codecs::png::PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(broken)?,
                    name,
                    loading,
                    &broken,
                )
            }
        }?;
        header.whole(name)?;
        if let Some(orientation) = image.1.take() {
            image.0.apply_orientation(orientation);
        }
        let (width, height) = (image.0.width() as usize, image.0.height() as usize);
        Rgb::new(width, height, to_rgb(image.0).ok_or_else(|| Failure::data(format!("{name}: unknown colour mode")))?)
            .map_err(|e| e.context(name))
    }

    /// Reads the picture of a record.
    pub fn from_record(image: &data::Image, loading: &Loading) -> Result<Rgb> {
        match image {
            data::Image::File(path) => Rgb::open(path, loading),
            data::Image::Bytes(bytes) => Rgb::decode(bytes, INSIDE, loading),
        }
    }
}

/// Decodes, after a last look at what the decoder itself would allocate.
fn pixels(
    mut decoder: impl ImageDecoder,
    name: &str,
    loading: &Loading,
    broken: &dyn Fn(image::ImageError) -> Failure,
) -> Result<(DynamicImage, Option<image::metadata::Orientation>)> {
    let (w, h) = decoder.dimensions();
    let bytes = decoder.total_bytes();
    if w as usize > loading.max_side || h as usize > loading.max_side || bytes > loading.max_decoded_bytes as u64 {
        let limit = loading.max_decoded_bytes;
        return Err(Failure::data(format!("{name} is {w}x{h} pixels, {bytes} bytes decoded; {limit} are allowed"))
            .hint("save the picture with 8 bits per channel, or smaller"));
    }
    // A damaged EXIF block is no reason to refuse the picture.
    let orientation = if loading.exif { decoder.orientation().ok() } else { None };
    Ok((DynamicImage::from_decoder(decoder).map_err(broken)?, orientation))
}

fn to_rgb(image: DynamicImage) -> Option<Vec<u8>> {
    fn grey<T: Copy>(raw: &[T], channels: usize, byte: impl Fn(T) -> u8) -> Vec<u8> {
        raw.chunks_exact(channels).flat_map(|p| [byte(p[0]); 3]).collect()
    }
    fn colour<T: Copy>(raw: &[T], channels: usize, byte: impl Fn(T) -> u8) -> Vec<u8> {
        raw.chunks_exact(channels).flat_map(|p| [byte(p[0]), byte(p[1]), byte(p[2])]).collect()
    }
    let same = |v: u8| v;
    let high = |v: u16| (v >> 8) as u8;
    Some(match image {
        DynamicImage::ImageRgb8(b) => b.into_raw(),
        DynamicImage::ImageRgba8(b) => colour(b.as_raw(), 4, same),
        DynamicImage::ImageLuma8(b) => grey(b.as_raw(), 1, same),
        DynamicImage::ImageLumaA8(b) => grey(b.as_raw(), 2, same),
        DynamicImage::ImageRgb16(b) => colour(b.as_raw(), 3, high),
        DynamicImage::ImageRgba16(b) => colour(b.as_raw(), 4, high),
        DynamicImage::ImageLuma16(b) => grey(b.as_raw(), 1, high),
        DynamicImage::ImageLumaA16(b) => grey(b.as_raw(), 2, high),
        _ => return None,
    })
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Format {
    Jpeg,
    Png,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
        }
    }
}

/// What the first bytes say.
#[derive(Debug)]
struct Header {
    format: Format,
    width: usize,
    height: usize,
    /// False without an end: of a JPEG, the decoder would fill the rest with grey and say nothing.
    complete: bool,
}

impl Header {
    fn read(bytes: &[u8], name: &str) -> Result<Header> {
        let header = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            png_header(bytes)
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            jpeg_header(bytes)
        } else {
            return Err(Failure::data(format!("{name} is not a JPEG or PNG (it starts with {})", beginning(bytes)))
                .hint("convert it first, for example with ImageMagick"));
        };
        header.map_err(|what| Failure::data(format!("{name}: {what}")).hint(AGAIN))
    }

    /// [`Header::read`] with the limits on bytes and sides.
    fn checked(bytes: &[u8], name: &str, loading: &Loading) -> Result<Header> {
        if bytes.is_empty() {
            return Err(Failure::data(format!("{name} is empty (0 bytes)")).hint(AGAIN));
        }
        if bytes.len() > loading.max_file_bytes {
            let limit = loading.max_file_bytes;
            return Err(Failure::data(format!("{name} is larger than the {limit} bytes allowed"))
                .hint("make the picture smaller first"));
        }
        let header = Header::read(bytes, name)?;
        let side = loading.max_side;
        if header.width > side || header.height > side {
            let (w, h) = (header.width, header.height);
            return Err(Failure::data(format!("{name} is {w}x{h} pixels; the limit is {side} per side"))
                .hint("scale the picture down first; models see far fewer pixels"));
        }
        Ok(header)
    }

    /// Fails for a picture whose end is missing.
    fn whole(&self, name: &str) -> Result<()> {
        if self.complete {
            return Ok(());
        }
        let (kind, end) = match self.format {
            Format::Jpeg => ("JPEG", "end marker"),
            Format::Png => ("PNG", "end chunk"),
        };
        Err(Failure::data(format!("{name} is cut off: the {kind} has no {end}")).hint(AGAIN))
    }
}

/// The bytes of a picture file, at most one more than allowed, so that [`Header::checked`] refuses it.
fn read(path: &Path, loading: &Loading) -> Result<Vec<u8>> {
    let meta = std::fs::metadata(path).map_err(|e| missing(path, e))?;
    if !meta.is_file() {
        let name = path.display();
        return Err(Failure::data(format!("{name} is not a file")).hint("give one picture, or a glob for several"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(loading.max_file_bytes as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| io_at(path)(e))?;
    Ok(bytes)
}

fn png_header(bytes: &[u8]) -> Result<Header, String> {
    let side = |at: usize| bytes.get(at..at + 4).map(|b| b.iter().fold(0, |n, &b| n << 8 | b as usize));
    match (side(16), side(20)) {
        (Some(width), Some(height)) => {
            // The end chunk is the last one; some writers leave a little more behind it.
            let tail = &bytes[bytes.len().saturating_sub(1 << 16)..];
            let complete = tail.windows(4).any(|name| name == b"IEND");
            Ok(Header { format: Format::Png, width, height, complete })
        }
        _ => Err(format!("cut off in the PNG header after {} bytes", bytes.len())),
    }
}

/// Walks the marker segments (ITU T.81 annex B) for the frame's size and the end marker.
fn jpeg_header(bytes: &[u8]) -> Result<Header, String> {
    let mut size = None;
    let (mut at, mut scans) = (2, 0);
    let mut complete = false;
    while let Some(marker) = next_marker(bytes, &mut at) {
        match marker {
            0xd9 => {
                complete = true;
                break;
            }
            0x01 | 0xd0..=0xd8 => continue, // these carry no length
            _ => {}
        }
        let Some(length) = bytes.get(at..at + 2).map(|b| (b[0] as usize) << 8 | b[1] as usize) else { break };
        // SOF0..SOF15 without DHT, JPG and DAC: precision, height, width.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) && size.is_none() {
            size = bytes.get(at + 3..at + 7).map(|b| {
                let pair = |i: usize| (b[i] as usize) << 8 | b[i + 1] as usize;
                (pair(2), pair(0))
            });
        }
        if marker == 0xda {
            scans += 1;
            if scans > MAX_JPEG_SCANS {
                return Err(format!("a JPEG with more than {MAX_JPEG_SCANS} scans is not decoded"));
            }
        }
        at += length.max(2);
    }
    let (width, height) = size.ok_or("a JPEG without a frame header")?;
    Ok(Header { format: Format::Jpeg, width, height, complete })
}

/// The next marker byte at or after `at`; compressed data in between (where `ff` is followed by `00`) is skipped.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let found = *at + bytes.get(*at..)?.iter().position(|&b| b == 0xff)?;
        match *bytes.get(found + 1)? {
            0x00 => *at = found + 2,
            0xff => *at = found + 1,
            marker => {
                *at = found + 2;
                return Some(marker);
            }
        }
    }
}

/// The first bytes as a person would recognise them: text where there is some, else hexadecimal.
fn beginning(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(12)];
    let text: String = head.iter().filter(|b| b.is_ascii_graphic()).map(|&b| b as char).collect();
    if text.len() >= 3 {
        return format!("{text:?}");
    }
    head.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

/// The failure for a path that cannot be opened, with the nearest name in its folder.
fn missing(path: &Path, e: std::io::Error) -> Failure {
    if e.kind() != std::io::ErrorKind::NotFound {
        return io_at(path)(e);
    }
    let failure = Failure::data(format!("{} does not exist", path.display()));
    let folder = match path.parent() {
        Some(p) if p.as_os_str().is_empty() => Path::new("."),
        Some(p) => p,
        None => return failure.hint("check the path"),
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return failure.hint(format!("there is no folder {} either", folder.display()));
    };
    let wanted = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let nearest = entries
        .take(10_000)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .map(|name| (distance(&wanted, &name), name))
        .min();
    match nearest {
        Some((d, name)) if d <= 2.max(wanted.chars().count() / 2) => failure.hint(format!("did you mean {name}?")),
        _ => failure.hint(format!("nothing in {} has a similar name", folder.display())),
    }
}

/// Levenshtein distance in characters of at most 255 each.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(255).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(255).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn encode(width: u32, height: u32, jpeg: bool) -> Vec<u8> {
        let data: Vec<u8> = (0..width * height * 3).map(|i| (i * 37 % 251) as u8).collect();
        let image = image::RgbImage::from_raw(width, height, data).unwrap();
        let mut out = Cursor::new(Vec::new());
        let format = if jpeg { image::ImageFormat::Jpeg } else { image::ImageFormat::Png };
        image.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    fn refused(bytes: &[u8], loading: &Loading, words: &[&str]) {
        let failure = Rgb::decode(bytes, "x.png", loading).unwrap_err();
        for word in words {
            assert!(failure.message.contains(word), "{word:?} not in {:?}", failure.message);
        }
        assert!(failure.hint.is_some(), "{failure:?} has no hint");
        assert_eq!(failure.kind, crate::error::Kind::Data);
    }

    #[test]
    fn bad_files_say_what_is_wrong() {
        let ok = Loading::default();
        refused(b"", &ok, &["empty"]);
        refused(b"\0\0\0\x18ftypheic", &ok, &["not a JPEG or PNG", "ftypheic"]);
        refused(&[1, 2, 3, 4], &ok, &["01 02 03 04"]);
        let (png, jpeg) = (encode(40, 30, false), encode(40, 30, true));
        for cut in [9, 20, 30, png.len() / 2, png.len() - 20] {
            refused(&png[..cut], &ok, &["x.png"]);
        }
        for cut in [4, 100, jpeg.len() / 2, jpeg.len() - 10, jpeg.len() - 2] {
            refused(&jpeg[..cut], &ok, &["x.png"]);
        }
        let small = Loading { max_side: 39, ..Loading::default() };
        refused(&png, &small, &["40x30", "39"]);
        refused(&jpeg, &small, &["40x30", "39"]);
        refused(&png, &Loading { max_decoded_bytes: 3599, ..Loading::default() }, &["3600", "3599"]);
        refused(&png, &Loading { max_file_bytes: 10, ..Loading::default() }, &["10 bytes allowed"]);
        // A header that promises 20 000 pixels is refused although the data behind it is tiny.
        let mut bomb = png.clone();
        bomb[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
        refused(&bomb, &ok, &["20000x20000", "4096"]);
    }

    #[test]
    fn a_missing_file_names_its_neighbour() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("frame_0007.jpg"), encode(8, 8, true)).unwrap();
        let failure = Rgb::open(&dir.path().join("frame_007.jpg"), &Loading::default()).unwrap_err();
        assert!(failure.hint.unwrap().contains("frame_0007.jpg"));
        let failure = Rgb::open(&dir.path().join("none/a.jpg"), &Loading::default()).unwrap_err();
        assert!(failure.hint.unwrap().contains("no folder"));
        assert!(Rgb::open(dir.path(), &Loading::default()).unwrap_err().message.contains("not a file"));
        assert!(Rgb::open(&dir.path().join("frame_0007.jpg"), &Loading::default()).is_ok());
    }

    #[test]
    fn sixteen_bits_keep_the_high_byte() {
        let values = [0u16, 255, 256, 0x1234, 0xffff, 0x8000];
        let image = image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(2, 1, values.to_vec()).unwrap();
        let mut out = Cursor::new(Vec::new());
        DynamicImage::ImageRgb16(image).write_to(&mut out, image::ImageFormat::Png).unwrap();
        let rgb = Rgb::decode(&out.into_inner(), "x", &Loading::default()).unwrap();
        assert_eq!(rgb.data, [0, 0, 1, 0x12, 0xff, 0x80]);
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn mutated_files_never_panic(
            jpeg: bool,
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            cut in any::<prop::sample::Index>(),
            cutting: bool,
        ) {
            let mut bytes = encode(23, 17, jpeg);
            for (at, value) in edits {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if cutting {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(rgb) = Rgb::decode(&bytes, "x", &Loading::default()) {
                prop_assert_eq!(rgb.data.len(), rgb.width * rgb.height * 3);
            }
        }

        #[test]
        fn random_bytes_never_panic(head in 0..3usize, tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let head: &[u8] = [&b"\x89PNG\r\n\x1a\n"[..], &[0xff, 0xd8, 0xff], b""][head];
            let _ = Rgb::decode(&[head, &tail].concat(), "x", &Loading::default());
        }
    }
}
