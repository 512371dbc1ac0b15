//! Pictures: the smart-resize table, resized pictures against torchvision, pixel values, colour modes, EXIF, JPEG.

use crate::support::{json, root};
use reinsman::vlm::{
    image::{Loading, Rgb},
    processor::{Processor, smart_resize},
    resize::resize,
};
use serde_json::Value;
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    let dir = root().join("preproc");
    dir.is_dir().then_some(dir)
}

fn open(path: PathBuf) -> Rgb {
    Rgb::open(&path, &Loading::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// Largest difference and share of values that differ.
fn compare(got: &Rgb, want: &Rgb, what: &str) -> (u8, f64) {
    assert_eq!((got.width, got.height), (want.width, want.height), "{what}: size");
    let differences = got.data.iter().zip(&want.data).map(|(a, b)| a.abs_diff(*b));
    let count = differences.clone().filter(|&d| d > 0).count();
    (differences.max().unwrap_or(0), count as f64 / got.data.len() as f64)
}

fn int(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number")) as usize
}

#[test]
fn smart_resize_table() {
    let Some(table) = folder().and_then(|dir| json(&dir.join("smart_resize.json"))) else { return };
    let rows = table["rows"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let row = row.as_array().unwrap();
        let n: Vec<usize> = row[..5].iter().map(int).collect();
        let got = smart_resize(n[0], n[1], n[2], n[3] as u64, n[4] as u64);
        let what = format!("height, width, factor, min, max = {n:?}");
        if row[5].is_string() {
            assert!(got.is_err(), "{what}: the reference refuses, here {got:?}");
        } else {
            assert_eq!(got.unwrap_or_else(|e| panic!("{what}: {e}")), (int(&row[5]), int(&row[6])), "{what}");
        }
    }
    println!("smart_resize: {} rows", rows.len());
}

#[test]
fn resized_pictures_and_pixel_values() {
    let Some(dir) = folder() else { return };
    let cases = json(&dir.join("preproc.json")).expect("preproc.json");
    let cases = cases["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let name = case["input"].as_str().unwrap();
        let reference = &case["torchvision"];
        let (factor, grid) = (int(&case["factor"]), case["grid_thw"].as_array().unwrap());
        // The table was made with CLIP's statistics throughout, which are also the default here.
        let settings = format!(
            r#"{{"patch_size": {}, "min_pixels": {}, "max_pixels": {}}}"#,
            factor / 2,
            case["min_pixels"],
            case["max_pixels"]
        );
        let processor = Processor::from_json(settings.as_bytes()).unwrap();
        let source = open(dir.join(name));
        let pixels = processor.image(&source).unwrap();
        assert_eq!(pixels.grid.to_vec(), grid.iter().map(int).collect::<Vec<_>>(), "{name}: grid");

        let want = open(dir.join(reference["output"].as_str().unwrap()));
        let (most, share) = compare(&resize(&source, want.width, want.height), &want, name);
        println!(
            "{name}: {}x{} -> {}x{}: max {most}, {share:.5} differ",
            source.width, source.height, want.width, want.height
        );
        assert!(most <= 1 && share < 0.01, "{name}: max {most} levels, {share} of the values");

        // From the reference's own resized picture (resizing it again changes nothing).
        let exact = processor.clone().with_max_pixels(1 << 30).unwrap().image(&want).unwrap();
        assert_eq!(exact.grid, pixels.grid, "{name}: grid of the resized picture");
        let shape: Vec<usize> = reference["pixel_values_shape"].as_array().unwrap().iter().map(int).collect();
        assert_eq!(exact.values.len(), shape[0] * shape[1], "{name}: shape");
        let sum: f64 = exact.values.iter().map(|&v| f64::from(v)).sum();
        let abs_sum: f64 = exact.values.iter().map(|&v| f64::from(v.abs())).sum();
        for (got, key) in [(sum, "sum"), (abs_sum, "abs_sum")] {
            let want = reference[key].as_f64().unwrap();
            assert!((got - want).abs() <= 1e-5 * abs_sum, "{name}: {key} {got}, expected {want}");
        }
        // Rows are sampled with some stride that divides into the stored number of values.
        for (row, sample) in reference["sample_rows"].as_object().unwrap() {
            let row: usize = row.parse().unwrap();
            let sample: Vec<f32> = sample.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
            let values = &exact.values[row * shape[1]..][..shape[1]];
            let stride = (1..=shape[1])
                .find(|&s| {
                    shape[1].div_ceil(s) == sample.len()
                        && sample.iter().zip(values.iter().step_by(s)).all(|(a, b)| (a - b).abs() <= 1e-5)
                })
                .unwrap_or_else(|| panic!("{name}: row {row} does not match its sample"));
            assert!(stride > 0);
        }
    }
}

#[test]
fn colour_modes() {
    let Some(dir) = folder() else { return };
    let all = json(&dir.join("preproc.json")).expect("preproc.json");
    let modes = all["modes"]["files"].as_object().unwrap();
    assert!(!modes.is_empty());
    for (mode, files) in modes {
        let file = |i: usize| open(dir.join(files[i].as_str().unwrap()));
        assert_eq!(compare(&file(0), &file(1), mode), (0, 0.0), "mode {mode}");
    }
}

#[test]
fn jpeg_and_exif() {
    let Some(dir) = folder() else { return };
    let all = json(&dir.join("preproc.json")).expect("preproc.json");
    let jpeg = &all["jpeg"];
    let (got, want) =
        (open(dir.join(jpeg["file"].as_str().unwrap())), open(dir.join(jpeg["pil_decoded"].as_str().unwrap())));
    let (most, share) = compare(&got, &want, "jpeg");
    let mean =
        got.data.iter().zip(&want.data).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / got.data.len() as f64;
    println!("jpeg: max {most}, mean {mean:.3}, {share:.3} differ");
    // zune-jpeg against libjpeg-turbo: other chroma up-sampling and inverse transform.
    assert!(most <= 16 && mean <= 1.0, "jpeg: max {most}, mean {mean}");

    let exif = &all["exif"];
    let path = dir.join(exif["file"].as_str().unwrap());
    let processor = Processor::from_json(br#"{"max_pixels": 200704}"#).unwrap();
    for (apply, key) in [(true, "grid_when_loaded_by_path"), (false, "grid_when_PIL_image_passed")] {
        let loading = Loading { exif: apply, ..Loading::default() };
        let picture = Rgb::open(&path, &loading).unwrap();
        let want: Vec<usize> = exif[key][0].as_array().unwrap().iter().map(int).collect();
        assert_eq!(processor.grid(picture.width, picture.height).unwrap().to_vec(), want, "{key}");
    }
}
