//! Numbers that are not finite: the step is left out with the names of its samples, five in a row end the run, and no
//! such number is ever written.

use super::{
    WAYS, seen, settings, toy,
    toy::{assert_finite, tree},
};
use candle_core::{Device, Tensor};
use reinsman::{
    policy::eyes::eyes,
    settings::Settings,
    train::{
        branches::{Frame, Frames, Trainer, Verb},
        progress::Progress,
        run::{Run, Start},
        signals::Stop,
    },
};
use std::path::Path;

fn verb(name: &str) -> Verb {
    if name == "il" { Verb::Il } else { Verb::Pair }
}

/// The frames with a NaN among the features of some.
fn poisoned(frames: &Frames, which: impl Fn(usize) -> bool) -> Frames {
    let poison = |(at, frame): (usize, &Frame)| {
        let mut frame = frame.clone();
        if which(at) {
            let mut numbers: Vec<f32> = frame.features.flatten_all().unwrap().to_vec1().unwrap();
            numbers[3] = f32::NAN;
            frame.features = Tensor::from_vec(numbers, frame.features.dims(), &Device::Cpu).unwrap();
        }
        frame
    };
    Frames::new(frames.all().iter().enumerate().map(poison).collect()).unwrap()
}

fn run(dir: &Path, verb: &'static str, settings: &Settings) -> Run {
    Run::create(dir, settings, &Start::here(verb, 1, "cpu", 1)).unwrap()
}

/// Every tensor and every number of a run is finite.
fn all_finite(run: &Path) {
    let files = tree(run);
    for name in files.keys().filter(|name| name.ends_with(".safetensors")) {
        assert_finite(&run.join(name));
    }
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".json") || name.ends_with(".jsonl")) {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        assert!(!text.contains(": nan") && !text.contains(": inf") && !text.contains(":nan"), "{name}: {text}");
    }
}

#[test]
fn steps_with_a_broken_frame_are_left_out_by_name() {
    let toy = toy();
    let (planner, frames) = seen(&toy);
    let frames = poisoned(&frames, |at| at == 5);
    let bad = frames.all()[5].id.clone();
    for (way, (name, sets)) in WAYS.into_iter().enumerate() {
        // Once through all frames and a little more.
        let long =
            ["il.max_steps=7", "pair.max_steps=9", "pair.selector_steps=9", "pair.save_steps=1", "il.save_steps=1"];
        let settings = settings(&[&long[..], sets].concat());
        let mut trainer = Trainer::new(verb(name), &settings, &frames, None, eyes(&planner).unwrap(), None).unwrap();
        let dir = toy.path(&format!("run{way}"));
        trainer.run(&run(&dir, name, &settings), &mut Progress::new(true), &Stop::default()).unwrap();
        let lines = toy::metrics(&dir);
        let skipped: Vec<_> = lines.iter().filter(|line| line.get("skipped").is_some()).collect();
        assert!(!skipped.is_empty() && skipped.len() < lines.len(), "{name} {sets:?}: {lines:?}");
        for line in skipped {
            let ids = line["samples"].as_array().unwrap();
            assert!(ids.iter().any(|id| *id == *bad), "{line}");
        }
        all_finite(&dir);
    }
}

#[test]
fn five_broken_steps_in_a_row_end_a_run() {
    let toy = toy();
    let (planner, frames) = seen(&toy);
    let all = poisoned(&frames, |_| true);
    for (way, (name, sets)) in WAYS.into_iter().enumerate() {
        let settings = settings(&[&["pair.save_steps=2", "il.save_steps=2"][..], sets].concat());
        let mut trainer = Trainer::new(verb(name), &settings, &all, None, eyes(&planner).unwrap(), None).unwrap();
        let before = trainer.branches.files().unwrap();
        let dir = toy.path(&format!("run{way}"));
        let ended = trainer.run(&run(&dir, name, &settings), &mut Progress::new(true), &Stop::default()).unwrap_err();
        assert_eq!(ended.kind.exit_code(), 4, "{ended:?}");
        let named = all.all().iter().any(|frame| ended.message.contains(&frame.id));
        assert!(ended.message.contains("5 steps in a row") && named, "{ended:?}");
        assert!(ended.hint.is_some());
        assert!(trainer.branches.files().unwrap() == before, "{name} {sets:?}: something was learned");
        assert_eq!(toy::metrics(&dir).len(), 5);
        all_finite(&dir);
    }
}

/// A head that broke in memory breaks what looks at it too, and none of it is saved.
#[test]
fn a_broken_head_is_never_saved() {
    let toy = toy();
    let (planner, frames) = seen(&toy);
    for (way, (name, sets)) in WAYS.into_iter().enumerate() {
        let settings = settings(&[&["pair.save_steps=2", "il.save_steps=2"][..], sets].concat());
        let mut trainer = Trainer::new(verb(name), &settings, &frames, None, eyes(&planner).unwrap(), None).unwrap();
        let bias = &trainer.branches.il.vars()["il.query.up.bias"];
        bias.set(&Tensor::full(f32::NAN, bias.dims(), &Device::Cpu).unwrap()).unwrap();
        let dir = toy.path(&format!("run{way}"));
        let ended = trainer.run(&run(&dir, name, &settings), &mut Progress::new(true), &Stop::default()).unwrap_err();
        assert_eq!(ended.kind.exit_code(), 4, "{name} {sets:?}: {ended:?}");
        assert!(!dir.join("ckpt/latest").exists());
        all_finite(&dir);
    }
}

#[test]
fn broken_files_are_refused() {
    let toy = toy();
    toy.run(&toy.branches("il", "il", &[])).ok();
    let file = toy.path("il/ckpt/step-000006/branches/il.safetensors");
    let mut tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let bias = &tensors["il.query.up.bias"];
    tensors.insert("il.query.up.bias".into(), Tensor::full(f32::NAN, bias.dims(), &Device::Cpu).unwrap());
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let mut args = toy.branches("pair", "pair", &["il.max_steps=0"]);
    args.extend(["--il".into(), toy.text("il/ckpt/step-000006")]);
    toy.run(&args).fails(3, &["il.query.up.bias", "not finite"]);
    // A vision tower that gives no numbers.
    let model = toy.path("model/model.safetensors");
    let mut tensors = candle_core::safetensors::load(&model, &Device::Cpu).unwrap();
    let (name, weight) = tensors.iter().find(|(name, _)| name.contains("visual.") && name.contains("merger")).unwrap();
    let (name, broken) = (name.clone(), Tensor::full(f32::NAN, weight.dims(), &Device::Cpu).unwrap());
    tensors.insert(name, broken);
    candle_core::safetensors::save(&tensors, &model).unwrap();
    let said = toy.run(&toy.branches("il", "blind", &[]));
    assert!([Some(3), Some(4)].contains(&said.code), "{said:?}");
    assert!(said.stderr.contains("finite") || said.stderr.contains("NaN"), "{said:?}");
    assert!(!toy.path("blind/ckpt/latest").exists());
}
