//! GRPO on a toy model: cut and resumed runs end in the same bytes, the sampler and the trainer agree on every
//! log-probability, a reward that can be learned is learned, every loss and option moves the policy as it should, and
//! broken numbers are skipped and named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod toy;

use eval::outcome::roll::record;
use reinsman::{
    generate::episode::moments,
    policy::{
        Planner, Source,
        planner::{Options, Quant},
    },
    settings::{Draft, Settings},
    train::{
        checkpoint::Checkpoint,
        grpo::{
            Trainer,
            judge::{self, Judge},
            rollout::Answer,
        },
        order::Order,
        progress::Progress,
        reference::Reference,
        run::{Run, Start},
        signals::Stop,
    },
    vlm::{
        LoadOptions, LoraSpec, Trainable, Vlm,
        quant::{Kind, store},
    },
};
use rewards::Score;
use scene::{MetaAction, Plan};
use sim::{driver::Driver, moment::Drive};
use std::{cell::Cell, path::Path};
use toy::{Toy, assert_same, copy, events::assert_events, metrics, signal, tree, wait_until};

const FOUR: [&str; 4] =
    ["grpo.max_steps=4", "grpo.save_steps=1", "grpo.save_total_limit=none", "grpo.log_completions_steps=1"];
const SMALL: [&str; 3] = ["grpo.max_completion_length=12", "grpo.num_generations=4", "grpo.prompts_per_step=3"];

/// Runs four steps, then for every k goes back to what a kill right after the k-th save leaves on the disk (later
/// checkpoints gone, lines of later steps still there) and resumes.
fn cut_everywhere(sets: &[&str]) -> Vec<serde_json::Value> {
    let toy = Toy::new();
    let all = toy.path("all");
    // Zero or one: groups often have equal rewards.
    let coarse = "[[reward]]\nterms = [\"length_chars\"]\nsettings.length_chars = { soft = 14, hard = 14 }\n";
    std::fs::write(toy.path("coarse.toml"), coarse).unwrap();
    toy.run(&toy.grpo("all", &[&FOUR, sets].concat())).ok();
    assert_events(&all);
    let lines = metrics(&all);
    let trained = lines.iter().filter(|line| line["grad_norm"].as_f64().is_some_and(|norm| norm > 0.0));
    assert_eq!(trained.count(), 4, "{lines:?}");
    for k in 0..4 {
        let name = format!("cut{k}");
        let cut = toy.path(&name);
        copy(&all, &cut);
        for later in k + 1..=4 {
            std::fs::remove_dir_all(cut.join(format!("ckpt/step-{later:06}"))).unwrap();
        }
        toy.run(&["grpo", "--resume", &toy.text(&name)]).ok();
        assert_same(&format!("cut after step {k}"), &all.join("ckpt"), &cut.join("ckpt"));
        for file in ["metrics.jsonl", "completions.jsonl"] {
            let read = |run: &Path| std::fs::read(run.join(file)).unwrap();
            assert!(read(&all) == read(&cut), "{file} of the run cut after step {k}");
        }
        assert_events(&cut);
    }
    lines
}

/// The place in the order of the data depends on how many groups were thrown away, and is part of the state.
#[test]
fn dynamic_sampling_resumes_to_the_same_bytes() {
    let draws = ["grpo.reward=coarse.toml", "grpo.dynamic_sample=true", "grpo.max_resample_times=4"];
    let more = ["grpo.learning_rate=1e-3", "grpo.entropy_coef=0.01", "grpo.soft_cache_length=8", "lora.r=4"];
    let lines = cut_everywhere(&[&draws[..], &more].concat());
    let of = |name: &str| -> Vec<f64> { lines.iter().filter_map(|line| line[name].as_f64()).collect() };
    assert!(of("resample/discarded_groups").iter().sum::<f64>() > 0.0, "{lines:?}");
    let (drawn, epochs) = (of("resample/drawn_groups"), of("epoch"));
    for (step, epoch) in epochs.iter().enumerate() {
        assert!((epoch * 12.0 - drawn[..=step].iter().sum::<f64>()).abs() < 1e-9, "{epochs:?} {drawn:?}");
    }
    assert!(of("rewards/soft_overlong/mean").iter().all(|x| (-1.0..=0.0).contains(x)), "{lines:?}");
}

#[test]
fn an_adapter_with_a_kl_penalty_resumes_to_the_same_bytes() {
    let more = ["lora.r=4", "grpo.learning_rate=1e-2", "grpo.beta=0.1", "grpo.class_balance=uniform"];
    cut_everywhere(&more);
}

#[test]
fn full_training_with_two_updates_and_a_reference_copy_resumes_to_the_same_bytes() {
    let updates = ["model.train=full", "grpo.learning_rate=1e-3", "grpo.num_iterations=2", "grpo.beta=0.1"];
    let rest =
        ["grpo.per_device_train_batch_size=3", "grpo.weight_decay=0.1", "data.val=train.jsonl", "grpo.eval_steps=2"];
    cut_everywhere(&[&updates[..], &rest].concat());
}

#[test]
fn a_signal_saves_exits_75_and_loses_nothing() {
    let toy = Toy::new();
    let sets = ["grpo.max_steps=60", "grpo.save_steps=100", "grpo.save_total_limit=1", "grpo.learning_rate=1e-3"];
    toy.run(&toy.grpo("straight", &sets)).ok();
    let run = toy.path("stopped");
    let mut child = toy.spawn(&toy.grpo("stopped", &sets));
    let lines = run.join("metrics.jsonl");
    let running = wait_until(&mut child, || std::fs::metadata(&lines).is_ok_and(|m| m.len() > 300));
    assert!(running, "the run was over before it could be stopped: make it longer");
    signal(&child, "TERM");
    let stopped = toy::Ran::of(&["TERM".into()], child.wait_with_output().unwrap());
    let command = format!("reinsman grpo --resume {}", toy.text("stopped"));
    stopped.fails(75, &["stopped on request; everything is saved in", &command]);
    let saved = Checkpoint::newest(&run).unwrap().found.unwrap();
    assert!((1..60).contains(&saved.step), "{}", saved.step);
    toy.run(&["grpo", "--resume", &toy.text("stopped")]).ok();
    assert_same("stopped", &toy.path("straight/ckpt"), &run.join("ckpt"));
    assert_eq!(tree(&toy.path("straight"))["metrics.jsonl"], tree(&run)["metrics.jsonl"]);
    // Another recipe behind the run's back.
    std::fs::write(toy.path("short.toml"), "[[reward]]\nterms = [\"format\"]\n").unwrap();
    let again = ["grpo", "--resume", &toy.text("stopped")];
    toy.run(&again).fails(2, &["the reward recipe is not the one in", "reward.toml", "--resume-anyway"]);
    toy.run(&[&again[..], &["--resume-anyway"]].concat()).ok();
}

fn planner(toy: &Toy, trainable: Trainable) -> Planner {
    let options = Options { trainable, quant: Quant::AsTrained, ..Options::default() };
    Planner::load(&Source::resolve(Some(&toy.path("model"))).unwrap(), &options).unwrap()
}

/// An adapter over a base in blocks of eight bits.
fn quantized(toy: &Toy) -> Planner {
    let trainable = Trainable::Lora(LoraSpec::default());
    let blocks = store::Options { cache: None, ..store::Options::new(Kind::Q8_0) };
    let options = LoadOptions { trainable: trainable.clone(), quant: Some(blocks), ..LoadOptions::default() };
    let mut planner = planner(toy, trainable);
    planner.vlm = Vlm::load(&toy.path("model"), &options).unwrap();
    planner
}

fn settings(sets: &[&str]) -> Settings {
    let mut draft = Draft::new();
    SMALL.iter().chain(sets).for_each(|set| draft.set(set).unwrap());
    draft.finish().unwrap().0
}

fn samples(toy: &Toy) -> Vec<data::Sample> {
    data::load(&toy.path("train.jsonl"), &data::ReadOptions::default()).unwrap().samples
}

/// Rewards every answer by a number made from its text.
fn judge(of: impl Fn(&str) -> f64 + 'static) -> Judge {
    let score = move |text: &&str| vec![Some(Score::new(of(text), "a test"))];
    let scoring = Box::new(move |_: &data::Sample, texts: &[&str], _: &[usize]| texts.iter().map(&score).collect());
    Judge { names: vec!["test".into()], weights: vec![1.0], scoring, drives: None, utility: None }
}

/// The part of the letters that are an e.
fn share_of_e(text: &str) -> f64 {
    text.chars().filter(|c| *c == 'e').count() as f64 / text.chars().count().max(1) as f64
}

fn weights(planner: &Planner) -> Vec<Vec<f32>> {
    planner.vlm.vars().values().map(|var| var.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

/// What was recorded while sampling, one token at a time behind a shared prompt, is what the update computes from whole
/// padded rows.
#[test]
fn sampled_and_trained_log_probabilities_agree() {
    let toy = Toy::new();
    let samples = samples(&toy);
    for (temperature, trainable) in [("1", Trainable::All), ("0.7", Trainable::Lora(LoraSpec::default()))] {
        let planner = planner(&toy, trainable);
        let temperature = format!("grpo.temperature={temperature}");
        let sets = ["grpo.num_iterations=2", "grpo.per_device_train_batch_size=3", &temperature];
        let settings = settings(&sets);
        let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
        let (report, groups) = trainer.step().unwrap();
        assert_eq!(report.skipped, None);
        let answers: Vec<&Answer> = groups.iter().flat_map(|group| &group.answers).collect();
        assert_eq!(answers.len(), 12);
        let mut most = 0f32;
        for answer in answers {
            let trained = answer.old.as_ref().unwrap();
            assert_eq!((answer.ids.len(), answer.logps.len()), (trained.len(), trained.len()));
            assert!(answer.logps.iter().all(|logp| *logp < 0.0));
            most = answer.logps.iter().zip(trained).map(|(a, b)| (a - b).abs()).fold(most, f32::max);
        }
        assert!(most < 1e-4, "{temperature}: {most}");
        let told = report.get("sampling/sampling_logp_difference/max").unwrap();
        assert!((told - f64::from(most)).abs() < 1e-9, "{told} {most}");
        assert!(report.get("entropy").unwrap() > 0.0 && report.grad_norm > 0.0);
    }
}

/// How a step is cut into passes, and whether activations are kept, changes its gradient by rounding only.
#[test]
fn passes_of_any_size_give_the_same_step() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let mut norms = Vec::new();
    for more in [&[][..], &["grpo.per_device_train_batch_size=1"], &["grpo.gradient_checkpointing=true"]] {
        let planner = planner(&toy, Trainable::All);
        let settings = settings(more);
        let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
        let (report, groups) = trainer.step().unwrap();
        let lens: Vec<usize> = groups.iter().flat_map(|group| &group.answers).map(|answer| answer.ids.len()).collect();
        norms.push((report.grad_norm, report.loss, lens));
    }
    let (norm, loss, lens) = &norms[0];
    assert!(*norm > 0.01, "{norms:?}");
    for (other, its, its_lens) in &norms[1..] {
        assert!((other / norm - 1.0).abs() < 1e-3 && (its - loss).abs() < 1e-5 && lens == its_lens, "{norms:?}");
    }
}

#[test]
fn a_reward_that_can_be_learned_rises() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::All);
    let sets = ["grpo.max_steps=30", "grpo.learning_rate=1e-2", "grpo.num_generations=8", "grpo.prompts_per_step=2"];
    let settings = settings(&sets);
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
    let run = Run::create(&toy.path("run"), &settings, &Start::here("grpo", 1, "cpu", 1)).unwrap();
    trainer.run(&run, &mut Progress::new(true), &Stop::default()).unwrap();
    let rewards: Vec<f64> = metrics(&toy.path("run")).iter().map(|line| line["reward"].as_f64().unwrap()).collect();
    assert_eq!(rewards.len(), 30);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&rewards[..5]), mean(&rewards[25..]));
    assert!(last > first + 0.1 && last > 2.0 * first, "{first} to {last}: {rewards:?}");
}

#[test]
fn the_reference_is_the_start() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let settings = settings(&["grpo.beta=0.1", "grpo.learning_rate=1e-2"]);
    for trainable in [Trainable::Lora(LoraSpec::default()), Trainable::All] {
        let reference = match trainable {
            Trainable::All => Reference::Copy(Box::new(planner(&toy, Trainable::None))),
            _ => Reference::AdapterOff,
        };
        let planner = planner(&toy, trainable);
        let missing = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).err().unwrap();
        assert!(missing.message.contains("no reference"), "{missing}");
        let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), Some(reference)).unwrap();
        let kl: Vec<f64> = (0..3).map(|_| trainer.step().unwrap().0.get("kl").unwrap()).collect();
        assert!(kl[0].abs() < 1e-8 && kl[2] > 1e-4, "{kl:?}");
    }
}

#[test]
fn a_reward_that_is_no_number_skips_the_step() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::All);
    let settings = settings(&["grpo.learning_rate=1e-3"]);
    let calls = Cell::new(0);
    let sometimes = judge(move |text| {
        calls.set(calls.get() + 1);
        if calls.get() == 7 { f64::NAN } else { share_of_e(text) }
    });
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], sometimes, None).unwrap();
    let before = weights(&planner);
    let (report, groups) = trainer.step().unwrap();
    let culprit = &groups[1].prompt.sample.id; // the seventh answer belongs to the second group
    assert_eq!(report.skipped, Some(format!("the reward test is NaN of sample {culprit}")));
    assert!(before == weights(&planner), "a skipped step changed weights");
    assert_eq!(trainer.step().unwrap().0.skipped, None);
    assert!(before != weights(&planner));
}

#[test]
fn five_broken_steps_end_the_run_with_the_samples_named() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::Lora(LoraSpec::default()));
    let settings = settings(&["grpo.max_steps=20", "grpo.save_steps=1"]);
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(|_| f64::INFINITY), None).unwrap();
    let run = Run::create(&toy.path("run"), &settings, &Start::here("grpo", 1, "cpu", 1)).unwrap();
    let failure = trainer.run(&run, &mut Progress::new(true), &Stop::default()).unwrap_err();
    assert_eq!(failure.kind.exit_code(), 4);
    let lines = metrics(&toy.path("run"));
    assert_eq!(lines.len(), 5, "{lines:?}");
    let named = lines[4]["samples"].as_array().unwrap();
    assert!(named.iter().all(|id| failure.message.contains(id.as_str().unwrap())), "{failure}");
    assert!(failure.message.contains("5 steps in a row") && failure.message.contains("the reward test is inf"));
    assert_eq!(Checkpoint::newest(&toy.path("run")).unwrap().found.unwrap().step, 4);
}

/// Nothing but cut-off answers, which carry no loss: there is no update, and that is no failure.
#[test]
fn masked_answers_move_nothing() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::All);
    let settings = settings(&["grpo.max_completion_length=2", "grpo.mask_truncated_completions=true"]);
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
    let before = weights(&planner);
    let (report, groups) = trainer.step().unwrap();
    assert!(groups.iter().flat_map(|group| &group.answers).all(|answer| answer.cut), "an answer ended by chance");
    assert_eq!((report.skipped.clone(), report.get("completions/clipped_ratio")), (None, Some(1.0)));
    assert!(before == weights(&planner));
}

/// Every loss at every level that goes with it takes a step.
#[test]
fn every_loss_moves_the_policy() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let mut seen = Vec::new();
    for (loss_type, level) in [
        ("grpo", "token"),
        ("grpo", "sequence"),
        ("bnpo", "token"),
        ("dr_grpo", "token"),
        ("dapo", "token"),
        ("cispo", "token"),
        ("sapo", "token"),
        ("sapo", "sequence"),
        ("vespo", "token"),
        ("luspo", "sequence"),
    ] {
        let (kind, level) = (format!("grpo.loss_type={loss_type}"), format!("grpo.importance_sampling_level={level}"));
        let sets = [
            &*kind,
            &level,
            "grpo.importance_sampling_mode=token_mask",
            "grpo.num_iterations=2",
            "grpo.learning_rate=1e-3",
            "grpo.delta=1.5",
            "grpo.top_entropy_quantile=0.8",
            "grpo.off_policy_mask_threshold=0.5",
            "grpo.min_new_tokens=4",
            "grpo.min_p=0.01",
            "grpo.repetition_penalty=1.1",
        ];
        let planner = planner(&toy, Trainable::Lora(LoraSpec::default()));
        let settings = settings(&sets);
        let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
        let before = weights(&planner);
        let (report, groups) = trainer.step().unwrap();
        assert!(report.skipped.is_none() && report.grad_norm > 0.0, "{sets:?}: {report:?}");
        assert!(before != weights(&planner), "{sets:?}");
        assert!(groups.iter().flat_map(|group| &group.answers).all(|answer| answer.ids.len() >= 4));
        seen.push(report.loss);
    }
    // Answers of one length, the longest, for which the means of grpo, bnpo, dr_grpo and dapo are the same.
    seen.sort_by(f64::total_cmp);
    seen.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    assert_eq!(seen.len(), 7, "{seen:?}");
}

/// With nothing to choose between, the entropy bonus alone makes the answers of a policy that narrowed varied again.
#[test]
fn the_entropy_bonus_raises_entropy() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::All);
    let entropies = |steps: usize, judge: Judge, sets: &[&str]| -> Vec<f64> {
        let settings = settings(sets);
        let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge, None).unwrap();
        (0..steps).map(|_| trainer.step().unwrap().0.get("entropy").unwrap()).collect()
    };
    let narrow = entropies(20, judge(share_of_e), &["grpo.learning_rate=1e-2"]);
    let before = weights(&planner);
    let still = entropies(2, judge(|_| 1.0), &["grpo.learning_rate=1e-2"]);
    assert!(before == weights(&planner) && still[0] < 0.95 * narrow[0], "{narrow:?} {still:?}");
    let raised = entropies(8, judge(|_| 1.0), &["grpo.learning_rate=3e-3", "grpo.entropy_coef=0.5"]);
    assert!((raised[0] - still[0]).abs() < 1e-9 && raised[7] > 1.02 * raised[0], "{narrow:?} {raised:?}");
}

/// The order of the data goes on where the last step ended, groups that teach nothing are left out, and only so many
/// rounds are tried.
#[test]
fn groups_with_equal_rewards_are_replaced() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let planner = planner(&toy, Trainable::Lora(LoraSpec::default()));
    let odd = |id: &str| id.trim_start_matches("toy").parse::<u32>().unwrap() % 2 == 1;
    let of = |all: bool| {
        let scoring = Box::new(move |sample: &data::Sample, texts: &[&str], _: &[usize]| {
            let value = |at: usize| if all && odd(&sample.id) { at as f64 } else { 0.5 };
            (0..texts.len()).map(|at| vec![Some(Score::new(value(at), "a test"))]).collect()
        });
        Judge { names: vec!["test".into()], weights: vec![1.0], scoring, drives: None, utility: None }
    };
    let settings = settings(&["grpo.dynamic_sample=true", "grpo.max_resample_times=8"]);
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], of(true), None).unwrap();
    let mut order = Order::new(&samples, data::balance::Balance::None, true, settings.grpo.seed);
    let mut place = 0;
    for _ in 0..3 {
        let (report, groups) = trainer.step().unwrap();
        let drawn = report.get("resample/drawn_groups").unwrap() as u64;
        let ids: Vec<&str> = (place..place + drawn).map(|at| samples[order.at(at)].id.as_str()).collect();
        let kept: Vec<&str> = ids.iter().copied().filter(|id| odd(id)).collect();
        assert!(kept.len() >= 3 && kept[..3] == report.ids, "{ids:?} {:?}", report.ids);
        let trained: Vec<&str> = groups.iter().map(|group| group.prompt.sample.id.as_str()).collect();
        assert_eq!((trained, report.get("resample/capped")), (kept[..3].to_vec(), Some(0.0)));
        assert_eq!(report.get("resample/discarded_groups"), Some((drawn - 3) as f64));
        // Told of all that was drawn.
        assert_eq!(report.get("frac_reward_zero_std"), Some((drawn - 3) as f64 / drawn as f64));
        place += drawn;
    }
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], of(false), None).unwrap();
    let (report, groups) = trainer.step().unwrap();
    assert_eq!((groups.len(), report.get("resample/drawn_groups")), (3, Some(27.0)));
    assert_eq!((report.get("resample/discarded_groups"), report.get("resample/capped")), (Some(24.0), Some(1.0)));
}

/// An adapter over a quantized base, whose sampler and trainer round differently: the importance ratio is the one of the
/// recorded log-probabilities, and the gradient is multiplied by it.
#[test]
fn corrections_multiply_the_gradient() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let step = |more: &[&str]| {
        let planner = quantized(&toy);
        let settings = settings(&[&["grpo.num_iterations=2", "grpo.learning_rate=1e-9"], more].concat());
        let mut trainer = Trainer::new(&planner, &settings, &samples, &[], judge(share_of_e), None).unwrap();
        let (report, groups) = trainer.step().unwrap();
        assert_eq!(report.skipped, None);
        let apart = |answer: &Answer| -> Vec<f64> {
            let old = answer.old.as_ref().unwrap();
            old.iter().zip(&answer.logps).map(|(old, sampled)| f64::from(*old) - f64::from(*sampled)).collect()
        };
        let apart: Vec<Vec<f64>> = groups.iter().flat_map(|group| &group.answers).map(apart).collect();
        (report, apart)
    };
    let bounds = |low: &str, high: &str| {
        [format!("grpo.importance_sampling_clip_min={low}"), format!("grpo.importance_sampling_clip_max={high}")]
    };
    let (off, _) = step(&["grpo.importance_sampling_correction=false"]);
    assert!(off.grad_norm > 0.0 && off.get("sampling/importance_sampling_ratio/mean").is_none());
    for mode in ["token_truncate", "sequence_truncate", "token_mask", "sequence_mask"] {
        let set = format!("grpo.importance_sampling_mode={mode}");
        let (free, apart) = step(&[&set]);
        assert!((free.grad_norm / off.grad_norm - 1.0).abs() < 0.1, "{mode}: {} {}", free.grad_norm, off.grad_norm);
        let ratios: Vec<f64> = match mode.starts_with("token") {
            true => apart.iter().flatten().map(|d| d.exp()).collect(),
            false => apart.iter().map(|d| d.iter().sum::<f64>().exp()).collect(),
        };
        let told = |part: &str| free.get(&format!("sampling/importance_sampling_ratio/{part}")).unwrap();
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        assert!((told("mean") - mean).abs() < 1e-6 && (told("min") - least).abs() < 1e-6, "{mode}");
        assert!((told("max") - most).abs() < 1e-6 && most < 3.0 && least != most, "{mode}: {least} {most}");
        // Moved to 0.5 or 2, all ratios are the same, and all beyond a bound are masked.
        for (low, high) in [("0", "0.5"), ("2", "4")] {
            let [low_set, high_set] = bounds(low, high);
            let (bound, _) = step(&[&set, &low_set, &high_set]);
            let bounded: f64 = if low == "0" { high } else { low }.parse().unwrap();
            let want = if mode.ends_with("mask") { 0.0 } else { bounded };
            assert!((bound.grad_norm / off.grad_norm - want).abs() < 1e-4, "{mode} {low} {high}: {}", bound.grad_norm);
        }
    }
}

/// Prompts, format reward and accuracy all know how many plans are wanted.
#[test]
fn several_plans_are_asked_for_and_read() {
    let toy = Toy::new();
    let samples = samples(&toy);
    let mut planner = planner(&toy, Trainable::Lora(LoraSpec::default()));
    let settings = settings(&["grpo.num_answers=2", "grpo.reward=alphadrive"]);
    let recipe = |plans| Judge::named("alphadrive", rewards::Recipe::text("alphadrive").unwrap(), plans).unwrap();
    let one = Trainer::new(&planner, &settings, &samples, &[], recipe(2), None).err().unwrap();
    assert!(one.message.contains("num_answers is 2, but the prompts ask for 1"), "{one}");
    planner.prompts = planner.prompts.with_answers(2);
    let mut trainer = Trainer::new(&planner, &settings, &samples, &[], recipe(2), None).unwrap();
    let (report, groups) = trainer.step().unwrap();
    assert_eq!((report.get("plans/parsed_ratio"), report.skipped), (Some(0.0), None));
    let asked = planner.encoder.tokenizer.decode(&groups[0].prompt.ids, true);
    assert!(asked.contains("2 plans") || asked.contains("2 different"), "{asked}");
    let judge = recipe(2);
    let speed = samples[0].labels.speed.unwrap();
    let texts = [
        "<think>x</think><answer>KEEP, STRAIGHT; STOP, STRAIGHT</answer>",
        "<think>x</think><answer>KEEP, STRAIGHT</answer>",
    ];
    let scores = (judge.scoring)(&samples[0], &texts, &[9, 9]);
    let of = |answer: usize, name: &str| {
        let at = judge.names.iter().position(|known| known == name).unwrap();
        scores[answer][at].as_ref().unwrap().value
    };
    assert_eq!((of(0, "format"), of(1, "format"), speed.as_str()), (1.0, 0.0, "KEEP"));
    assert!(of(0, "speed") > 0.0 && of(0, "speed") < of(1, "speed"), "the set of two has an F1 of two thirds");
}

/// Every moment that a generated set is made of is found again from family, seed and step.
#[test]
fn moments_of_generated_frames_are_restored_to_the_bit() {
    let mut restored = 0;
    for family in sim::families::ALL {
        let all = moments(family, (1 << 56) | 7, Driver::Expert);
        for moment in all.iter().step_by(all.len().div_ceil(3).max(1)) {
            let drive = Drive::at(family, moment.seed, Driver::Expert, moment.step).unwrap();
            let (then, now) = (moment.batch.scene(0), drive.batch.scene(0));
            let fields =
                [(then.x, now.x), (then.y, now.y), (then.heading, now.heading), (then.v, now.v), (then.s, now.s)];
            for (a, b) in fields {
                assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()), "{} {}", family.name, moment.step);
            }
            assert_eq!(moment.batch.hash(0), drive.batch.hash(0));
            assert_eq!(sim::describe::command(&now), moment.command);
            let driven = record(&drive).unwrap().rolled;
            assert_eq!((&driven.future, driven.action), (&moment.driven.future, moment.driven.action));
            restored += 1;
        }
    }
    assert!(restored > 45, "{restored}");
}

#[test]
fn plans_are_rewarded_by_what_comes_of_them() {
    let toy = Toy::new();
    let set = toy.text("set");
    let families = "lead_hard_brake,signal,two_way_bypass";
    let made = ["data", "generate", "--count", "24", "--families", families, "--camera", "tiny", "--pool", "1"];
    toy.run(&[&made[..], &["--split", "0.75,0.25,0", "--out", &set]].concat()).ok();
    let samples = |part: &str| data::load(&toy.path(part), &data::ReadOptions::default()).unwrap().samples;
    let train = samples("set/train.jsonl");
    let judge = Judge::named("driving", &judge::text("driving").unwrap(), 1).unwrap();
    judge.fits(&train).unwrap();
    let texts: Vec<String> = MetaAction::all().map(|plan| Plan::new("why", plan).unwrap().render(true)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).chain([""]).collect();
    let mut worse = 0;
    for sample in &train {
        let scores = (judge.scoring)(sample, &texts, &vec![1; texts.len()]);
        let driving: Vec<f64> = scores.iter().map(|score| score[1].as_ref().unwrap().value).collect();
        let label = MetaAction::all().position(|plan| Some(plan) == sample.action()).unwrap();
        assert!(driving[label] > 0.9, "{}: {}", sample.id, driving[label]);
        assert_eq!(driving[20], 0.0);
        worse += driving[..20].iter().filter(|value| **value < 0.5 * driving[label]).count();
    }
    assert!(worse > 4 * train.len(), "{worse} plans are much worse than the label");

    let args = |data: &str, out: &str| {
        let mut args = toy.grpo(out, &["grpo.reward=driving", "grpo.max_steps=2", "grpo.log_completions_steps=1"]);
        let at = args.iter().position(|arg| arg == "--data").unwrap();
        args[at + 1] = data.to_owned();
        args
    };
    let val = format!("data.val={set}/val.jsonl");
    let mut run = args(&format!("{set}/train.jsonl"), "driven");
    run.extend(["--set".into(), val]);
    toy.run(&run).ok();
    let lines = metrics(&toy.path("driven"));
    assert!(
        lines[..2].iter().all(|line| line["rewards/driving/mean"].is_f64() && line["skipped"].is_null()),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line["eval_rewards/driving/mean"].is_f64()), "{lines:?}");

    // Other data, and a set that the simulator no longer makes.
    let words = ["data.train", "clip is", "drives plans out", "data generate", "meta-action"];
    toy.run(&args(&toy.text("train.jsonl"), "other")).fails(3, &words);
    let mut old = train.clone();
    if let Some(future) = &mut old[0].labels.future {
        future.poses[0].x += 0.5;
    }
    let refused =
        judge::text("driving").and_then(|text| Judge::named("driving", &text, 1)).unwrap().fits(&old).unwrap_err();
    assert!(refused.kind.exit_code() == 3 && refused.message.contains("the future is ["), "{refused}");
}
