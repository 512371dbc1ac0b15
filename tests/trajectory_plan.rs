//! Trajectory branches at work: `plan` and `drive` with what tiny runs of `pair` and `il` left, another imitation head in
//! place of their own, and what is refused. `tests/trajectory` has the branches themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use reinsman::{
    policy::{Planner, Source, TrajectoryPlanner, eyes, planner::Options, trajectory::Named},
    trajectory::{Branches, Context, Ego, Reference, plan},
    vlm::image::Rgb,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use toy::Toy;

const SUBS: [&str; 8] = ["nc", "dac", "ddc", "tlc", "ep", "ttc", "lk", "hc"];

/// A toy planner with a run of `pair`, a run of `il` and the frames that both learned from.
struct Runs {
    toy: Toy,
    frames: Vec<PathBuf>,
}

impl Runs {
    fn new() -> Runs {
        let toy = Toy::new();
        let made = ["--count", "24", "--split", "0.5,0.25,0.25", "--families", "signal,cut_in", "--camera", "tiny"];
        toy.run(&[&["data", "generate", "--out", "boxes"][..], &made].concat()).ok();
        let text = std::fs::read_to_string(toy.path("boxes/train.jsonl")).unwrap();
        let picture = |line: &str| {
            let record: Value = serde_json::from_str(line).unwrap();
            toy.path("boxes").join(record["images"][0].as_str().unwrap())
        };
        let frames = text.lines().map(picture).collect();
        let runs = Runs { toy, frames };
        runs.train("pair", &[]);
        runs.train("il", &["il.seed=7"]);
        runs
    }

    /// Runs a verb into the folder of its name, with branches as small as they go.
    fn train(&self, verb: &str, sets: &[&str]) {
        let small = [
            "trajectory.width=16",
            "trajectory.heads=2",
            "trajectory.layers=1",
            "trajectory.inner=16",
            "trajectory.registers=4",
            "il.modes=3",
            "il.max_steps=3",
            "il.warmup_steps=1",
            "pair.warmup_steps=1",
            "il.per_device_train_batch_size=4",
            "pair.max_steps=2",
            "pair.per_device_train_batch_size=2",
            "pair.selector_steps=2",
            "pair.selector_batch_size=2",
            "pair.threshold=0.0",
        ];
        let mut args = vec![verb, "--model", "model", "--data", "boxes/train.jsonl", "--out", verb];
        small.iter().chain(sets).for_each(|set| args.extend(["--set", *set]));
        self.toy.run(&args).ok();
    }

    /// `plan` of some of the frames, as JSON.
    fn plan(&self, frames: &[usize], more: &[&str]) -> Value {
        self.toy.run(&self.asked(frames, &[&["--json"][..], more].concat())).ok().json()
    }

    fn asked(&self, frames: &[usize], more: &[&str]) -> Vec<String> {
        let frames = frames.iter().map(|at| self.frames[*at].display().to_string());
        let asked = ["--speed", "6", "--no-think", "--max-new-tokens", "4", "--out", "plan.png"];
        let all = std::iter::once("plan".to_owned()).chain(frames);
        all.chain(asked.iter().chain(more).map(|arg| (*arg).to_owned())).collect()
    }

    fn planner(&self) -> Planner {
        let source = Source::resolve(Some(&self.toy.path("model"))).unwrap();
        Planner::load(&source, &Options::default()).unwrap()
    }

    fn branches(&self, run: &str) -> Branches {
        Branches::load(&self.toy.path(run)).unwrap()
    }

    fn pictures(&self) -> Vec<Rgb> {
        let open = |path: &PathBuf| {
            let picture = image::open(path).unwrap().to_rgb8();
            Rgb::new(picture.width() as usize, picture.height() as usize, picture.into_raw()).unwrap()
        };
        self.frames.iter().map(open).collect()
    }
}

#[test]
fn branches_plan_and_drive() {
    let runs = Runs::new();
    json_of_one_frame(&runs);
    page_and_lines(&runs);
    another_imitation_head(&runs);
    the_reference_to_the_bit(&runs);
    behind_the_wheel(&runs);
    refusals(&runs);
}

fn json_of_one_frame(runs: &Runs) {
    let plain = runs.plan(&[0], &["--model", "model"]);
    assert!(plain.get("trajectory").is_none(), "{plain}");
    let height = |record: &Value| image::open(runs.toy.path(record["picture"].as_str().unwrap())).unwrap().height();
    let without = height(&plain);
    let record = runs.plan(&[0], &["--model", "model", "--branches", "pair"]);
    assert!(height(&record) > without + 200, "nothing is drawn from above");
    let drive = &record["trajectory"];
    for which in ["selected", "reference"] {
        let poses = drive[which].as_array().unwrap();
        assert_eq!(poses.len(), 8, "{drive}");
        assert!(poses.iter().flat_map(|pose| pose.as_array().unwrap()).all(Value::is_f64), "{drive}");
    }
    assert_eq!((&drive["candidates"], &drive["step_seconds"]), (&json!(3 + 12), &json!(0.5)));
    assert_eq!(drive["end"]["x"], drive["selected"][7][0]);
    let s = |name: &str| drive["sub_scores"][name].as_f64().unwrap();
    assert_eq!(drive["sub_scores"].as_object().unwrap().keys().collect::<Vec<_>>(), SUBS);
    assert!(SUBS.iter().all(|name| (0.0..=1.0).contains(&s(name))), "{drive}");
    let weighted = (5.0 * s("ep") + 5.0 * s("ttc") + 2.0 * s("lk") + 2.0 * s("hc")) / 14.0;
    let score = drive["score"].as_f64().unwrap();
    assert!((score - s("nc") * s("dac") * s("ddc") * s("tlc") * weighted).abs() < 1e-12, "{drive}");
    let gain = score - drive["reference_score"].as_f64().unwrap();
    assert!((drive["gain"].as_f64().unwrap() - gain).abs() < 1e-12, "{drive}");
    // A run of the branches' own trainer is a model too: the one that they learned with.
    assert_eq!(runs.plan(&[0], &["--model", "pair"])["trajectory"], *drive);

    let all: Vec<usize> = (0..runs.frames.len()).collect();
    let record = runs.plan(&all, &["--model", "model", "--branches", "pair"]);
    let choices: Vec<&Value> = record["frames"].as_array().unwrap().iter().map(|one| &one["trajectory"]).collect();
    for drive in &choices {
        let words = drive["code"].as_str().map(|code| code.split('-').count());
        match drive["choice"].as_str().unwrap() {
            "reference" => {
                assert!(words.is_none() && drive["gain"] == 0.0 && drive["selected"] == drive["reference"], "{drive}");
            }
            // A smoother ride may be worth a little of the score.
            "proposal" => assert!(words.is_none() && drive["gain"].as_f64().unwrap() > -0.3, "{drive}"),
            "leaf" => assert!(words == Some(4) && drive["gain"].as_f64().unwrap() > -0.3, "{drive}"),
            other => panic!("{other}"),
        }
    }
    assert!(choices.iter().any(|drive| drive["choice"] != "reference"), "nothing is ever chosen");
}

fn page_and_lines(runs: &Runs) {
    let page = runs.toy.run(&runs.asked(&[0, 1], &["--model", "model", "--branches", "pair"])).ok().stdout;
    for part in ["  drive  ", "15 candidates", "predicted score ", "NC ", "  HC ", "ends ", " m/s\n"] {
        assert!(page.contains(part), "{part:?} is missing in\n{page}");
    }
    let alone = runs.toy.run(&runs.asked(&[0], &["--model", "model", "--branches", "il"])).ok().stdout;
    assert!(alone.contains("the reference, the first of 3 proposals") && !alone.contains("score"), "{alone}");
    let drive = &runs.plan(&[0], &["--model", "model", "--branches", "il"])["trajectory"];
    assert_eq!((&drive["choice"], &drive["candidates"]), (&json!("reference"), &json!(3)));
    assert!(["score", "gain", "sub_scores", "code"].iter().all(|key| drive[key].is_null()), "{drive}");
}

/// The head of another run proposes, and the tree of this one goes on from what it proposes.
fn another_imitation_head(runs: &Runs) {
    let own = runs.plan(&[0], &["--model", "model", "--branches", "pair"]);
    let same = runs.plan(&[0], &["--model", "model", "--branches", "pair", "--il", "pair"]);
    assert_eq!(own["trajectory"], same["trajectory"]);
    let other = runs.plan(&[0], &["--model", "model", "--branches", "pair", "--il", "il"]);
    let alone = runs.plan(&[0], &["--model", "model", "--branches", "il"]);
    assert_ne!(other["trajectory"]["reference"], own["trajectory"]["reference"]);
    assert_eq!(other["trajectory"]["reference"], alone["trajectory"]["reference"]);

    let (planner, il, pair) = (runs.planner(), runs.branches("il"), runs.branches("pair"));
    let context = context(runs, &planner);
    let (tree, selector) = (pair.tree.as_ref(), pair.selector.as_ref().unwrap());
    let frames = context.frames();
    let wanted = plan::plan(&context, &il.il, tree, selector, &vec![None; frames], 0.0).unwrap();
    let named = Named { branches: runs.branches("pair"), il: Some(runs.branches("il")) };
    let swapped = TrajectoryPlanner::new(&planner, named).unwrap();
    assert!(swapped.decide(&context, &vec![None; frames]).unwrap() == wanted);
    assert_eq!(swapped.branches().files().unwrap(), pair.files().unwrap());
}

fn the_reference_to_the_bit(runs: &Runs) {
    let planner = runs.planner();
    let context = context(runs, &planner);
    let named = Named { branches: runs.branches("pair"), il: None };
    let mut driver = TrajectoryPlanner::new(&planner, named).unwrap();
    let leans = vec![None; context.frames()];
    let left = |driver: &TrajectoryPlanner| driver.decide(&context, &leans).unwrap().iter().any(|d| d.chosen > 0);
    assert!(left(&driver), "nothing is ever chosen");
    driver.threshold = f64::INFINITY;
    let proposals = runs.branches("pair").il.propose(&context).unwrap();
    for (decision, proposals) in driver.decide(&context, &leans).unwrap().iter().zip(&proposals) {
        assert_eq!(decision.trajectory(), &proposals.candidates[proposals.ranked()[0]]);
    }
}

/// What the branches see of the frames, at different speeds.
fn context(runs: &Runs, planner: &Planner) -> Context {
    let pictures = runs.pictures();
    let features = eyes::tokens(planner, &pictures.iter().collect::<Vec<_>>()).unwrap();
    let ego = |i: usize| Ego { velocity: [3.0 + i as f64, 0.0], ..Ego::default() };
    Context::new(&features, (0..pictures.len()).map(ego).collect()).unwrap()
}

fn behind_the_wheel(runs: &Runs) {
    let drive = |policy: &str, out: &str, more: &[&str]| {
        let args = ["drive", "--limit", "2", "--model", "model", "--camera", "tiny", "--alone", "--json"];
        let ran = runs.toy.run(&[&args[..], &["--policy", policy, "--out", out], more].concat()).ok().json();
        assert!(ran["trajectories"]["planned"].as_u64().unwrap() > 10, "{ran}");
        let page = std::fs::read_to_string(runs.toy.path(out).join("index.html")).unwrap();
        assert!(page.contains("\"plans\":[["), "the replay shows no plan");
        ran
    };
    let pair = drive("pair", "by_pair", &["--branches", "pair"]);
    assert!(pair["trajectories"]["left_the_reference"].as_u64().unwrap() > 0, "{pair}");
    assert_eq!(pair["policy"], "PaIR pair");
    let il = drive("il", "by_il", &["--branches", "pair"]);
    assert_eq!(il["trajectories"]["left_the_reference"], 0, "{il}");
    assert_eq!(drive("il", "by_il_again", &["--branches", "pair"])["routes"], il["routes"]);
    let other = drive("pair", "by_other", &["--branches", "pair", "--il", "il"]);
    assert_ne!(other["routes"], pair["routes"]);
}

fn refusals(runs: &Runs) {
    let toy = &runs.toy;
    toy.init("other", toy::SHAPE, &["--seed", "3"]);
    let plan = |more: &[&str]| toy.run(&runs.asked(&[0], more));
    plan(&["--model", "other", "--branches", "pair"]).fails(2, &["learned with the vision tower of", "--model"]);
    plan(&["--model", "model", "--il", "il"]).fails(2, &["--il il", "--branches DIR"]);
    plan(&["--model", "model", "--branches", "nowhere"])
        .fails(3, &["nowhere holds no trajectory branches", "reinsman pair"]);
    let drive = |more: &[&str]| {
        toy.run(&[&["drive", "--limit", "1", "--camera", "tiny", "--alone", "--model", "model"][..], more].concat())
    };
    drive(&["--policy", "pair"]).fails(2, &["there are none", "--branches DIR"]);
    drive(&["--policy", "il"]).fails(2, &["--policy il", "--branches DIR"]);
    drive(&["--policy", "pair", "--branches", "il"]).fails(2, &["needs a tree and a selector", "--policy il"]);

    toy::copy(&toy.path("pair"), &toy.path("damaged"));
    let file = std::fs::read_dir(toy.path("damaged/ckpt")).unwrap().map(|entry| entry.unwrap().path());
    let file =
        file.filter(|path| path.join("MANIFEST.json").is_file()).max().unwrap().join("branches/tree.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let checkpoint = file.parent().unwrap().display().to_string();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    plan(&["--model", "model", "--branches", &checkpoint]).fails(3, &["tree.safetensors", "not fully covered"]);
}
