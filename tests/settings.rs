//! Settings: what users type, what they get back, and what they are told when it is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use reinsman::{
    error::Kind,
    settings::{ClassBalance, Draft, LrScheduler, Settings, Train},
};
use std::process::{Command, Stdio};

fn from(file: &str, sets: &[&str]) -> reinsman::error::Result<Settings> {
    let mut draft = Draft::new();
    draft.text(file, "run.toml")?;
    for set in sets {
        draft.set(set)?;
    }
    Ok(draft.finish()?.0)
}

/// Message and hint of what must be refused with exit 2.
fn refused(file: &str, sets: &[&str]) -> (String, String) {
    let failure = from(file, sets).expect_err("accepted");
    assert_eq!(failure.kind, Kind::Usage);
    (failure.message, failure.hint.unwrap_or_default())
}

#[test]
fn a_file_then_set_then_flag_each_wins_and_is_remembered() {
    let mut draft = Draft::new();
    draft.text("[sft]\nlearning_rate = 2e-4\nseed = 7\n\n[sft.augment]\nflip = true\n", "run.toml").unwrap();
    draft.set("sft.seed=8").unwrap();
    draft.flag("--data", "data.train", vec!["a.jsonl".to_string()]).unwrap();
    let (settings, origins) = draft.finish().unwrap();
    assert_eq!((settings.sft.learning_rate, settings.sft.seed, settings.augment.flip), (2e-4, 8, true));
    assert_eq!(settings.data.train, [std::path::PathBuf::from("a.jsonl")]);
    let origin = |key| origins.of(key).to_string();
    assert_eq!(origin("sft.learning_rate"), "run.toml:2");
    assert_eq!(origin("sft.augment.flip"), "run.toml:6");
    assert_eq!(origin("sft.seed"), "--set");
    assert_eq!(origin("data.train"), "--data");
    assert_eq!(origin("sft.max_steps"), "default");
}

#[test]
fn values_are_read_by_type() {
    let sets = [
        "sft.max_steps=100",
        "sft.lr_scheduler_type=constant_with_warmup",
        "sft.class_balance=none",
        "sft.max_grad_norm=1",
        "lora.target_modules=q_proj, v_proj",
        "model.path=7",
        "model.train=full",
        "model.dtype=bfloat16",
        "data.train=[\"a b.jsonl\", \"c.jsonl\"]",
        "sft.save_total_limit=none",
    ];
    let s = from("", &sets).unwrap();
    assert_eq!(s.sft.max_steps, Some(100));
    assert_eq!(s.sft.lr_scheduler_type, LrScheduler::ConstantWithWarmup);
    assert_eq!(s.sft.class_balance, ClassBalance::None);
    assert_eq!(s.lora.target_modules, ["q_proj", "v_proj"]);
    assert_eq!(s.model.path, Some("7".into()));
    assert_eq!(s.model.train, Train::Full);
    assert_eq!(s.model.dtype.name(), "bf16");
    assert_eq!(s.data.train.len(), 2);
    assert_eq!(s.sft.save_total_limit, None);
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    let hint = |key: &str| refused("", &[&format!("{key}=1")]).1;
    assert_eq!(hint("sft.learnin_rate"), "did you mean sft.learning_rate?");
    assert_eq!(hint("sfft.learning_rate"), "did you mean sft.learning_rate?");
    assert_eq!(hint("learning_rate"), "did you mean sft.learning_rate?");
    assert_eq!(hint("sft.weight"), "did you mean sft.auxiliary.weight?");
    assert_eq!(hint("sft.lr"), "did you mean sft.learning_rate?");
    assert_eq!(hint("lora.alpha"), "did you mean lora.lora_alpha?");
    assert!(hint("sft.auxiliary").contains("is a section"));
    assert!(hint("zzzzzz").contains("config show"));
    let (message, _) = refused("[sft]\nseed = 1\nlerning_rate = 1.0\n", &[]);
    assert_eq!(message, "unknown setting sft.lerning_rate (run.toml:3)");
}

#[test]
fn a_bad_value_names_key_value_place_and_what_is_allowed() {
    let says = |file: &str, sets: &[&str]| refused(file, sets).0;
    assert_eq!(
        says("[sft]\nlearning_rate = \"fast\"", &[]),
        "sft.learning_rate is \"fast\" (run.toml:2); allowed: a number above 0, at most 1"
    );
    assert_eq!(
        says("", &["sft.class_balance=sqroot"]),
        "sft.class_balance is \"sqroot\" (--set); allowed: one of none, sqrt, uniform"
    );
    for bad in [
        "sft.learning_rate=nan",
        "sft.learning_rate=0",
        "sft.learning_rate=-1",
        "sft.max_steps=0",
        "sft.max_steps=1.5",
        "sft.max_steps=99999999999999999999",
        "sft.adam_beta2=1",
        "sft.seed=-1",
        "sft.shuffle=yes",
        "sft.num_train_epochs=inf",
        "sft.max_pixels=0",
        "lora.r=0",
        "data.root=nothing",
        "sft.max_steps=",
        "model.path=",
    ] {
        let message = says("", &[bad]);
        let (key, _) = bad.split_once('=').unwrap();
        assert!(message.starts_with(&format!("{key} is ")) && message.contains("allowed: "), "{bad}: {message}");
    }
    assert!(says("[sft\n", &[]).starts_with("run.toml:1: "));
    assert!(says("[sft]\nseed = 1\nseed = 2\n", &[]).starts_with("run.toml:3: "));
    assert!(says("", &["sft.seed"]).contains("KEY=VALUE"));
    assert!(says("", &[&format!("sft.lr_scheduler_type={}", "x".repeat(5000))]).len() < 300, "long values are cut");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    assert!(refused("", &["sft.max_steps=10", "sft.warmup_steps=11"]).0.contains("warmup_steps is 11"));
    assert!(refused("", &["sft.auxiliary.weight=0.3"]).0.contains("no targets"));
    let sets = ["sft.auxiliary.targets=bend_3s", "sft.auxiliary.vision_steps=10"];
    assert!(refused("", &sets).0.contains("freezes"));
    assert!(from("", &[&sets[..], &["model.train=full"]].concat()).is_ok());
    assert!(refused("", &["sft.eval_steps=10"]).0.contains("data.val is empty"));
}

#[test]
fn differences_leave_out_what_a_resumed_run_may_change() {
    let a = from("", &["sft.seed=1", "sft.save_steps=5"]).unwrap();
    let b = from("", &["sft.seed=2", "sft.save_steps=50", "sft.max_steps=9"]).unwrap();
    let differences = a.differences(&b);
    let keys: Vec<_> = differences.iter().map(|d| d.key.as_str()).collect();
    assert_eq!(keys, ["sft.max_steps", "sft.seed"]);
    assert_eq!((differences[0].left.as_str(), differences[0].right.as_str()), ("\"none\"", "9"));
    assert_ne!(a.digest(), b.digest());
    assert_eq!(a.digest(), from("", &["sft.seed=1", "sft.save_steps=6"]).unwrap().digest());
}

#[test]
fn the_shown_configuration_reads_back_equal() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.toml");
    let run = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_reinsman")).args(arguments).output().unwrap();
    let sets = ["--set", "sft.save_total_limit=none", "--set", "sft.adam_epsilon=3e-7", "--set", "data.train=a,b"];
    for docs in [&[][..], &["--docs"]] {
        let first = run(&[&["config", "show"], docs, &sets].concat());
        assert!(first.status.success());
        std::fs::write(&file, &first.stdout).unwrap();
        let mut again = Draft::new();
        again.file(&file).unwrap();
        let (again, origins) = again.finish().unwrap();
        assert_eq!(again, from("", &[sets[1], sets[3], sets[5]]).unwrap());
        assert!(origins.of("sft.seed").to_string().contains("run.toml:"));
    }
    let json = run(&[&["config", "show", "--json"], &sets[..]].concat());
    let list: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let epsilon = list.as_array().unwrap().iter().find(|e| e["key"] == "sft.adam_epsilon").unwrap();
    assert_eq!((epsilon["value"].as_f64(), epsilon["origin"].as_str()), (Some(3e-7), Some("--set")));
    assert!(list.as_array().unwrap().iter().all(|e| e["help"].as_str().is_some_and(|h| h.len() > 3)));
}

#[test]
fn root_replacements_come_as_pairs() {
    let settings = from("[data]\nroot = [\"/mnt/a=/data\", \"x=\"]\n", &[]).unwrap();
    assert_eq!(settings.data.roots(), [("/mnt/a".into(), "/data".into()), ("x".into(), String::new())]);
}

#[test]
fn the_binary_exits_2_for_bad_settings_and_3_for_a_missing_file() {
    let run = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_reinsman")).args(arguments).output().unwrap();
    let bad = run(&["config", "show", "--set", "sft.sed=1"]);
    assert_eq!(bad.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(bad.stderr).unwrap(),
        "error: unknown setting sft.sed (--set)\n  hint: did you mean sft.seed?\n"
    );
    let missing = run(&["config", "show", "--config", "/nowhere/run.toml"]);
    assert_eq!(missing.status.code(), Some(3));
    let stderr = String::from_utf8(missing.stderr).unwrap();
    assert!(stderr.contains("/nowhere/run.toml") && stderr.contains("hint:"), "{stderr}");
}

/// `reinsman config show --docs | head -1`: the reader leaves before everything is written.
#[test]
#[cfg(unix)]
fn a_reader_that_leaves_is_not_a_failure() {
    for arguments in [&["config", "show", "--docs"][..], &["completions", "bash"], &["--help"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_reinsman"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_stdout_is_exit_3() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_reinsman")).args(["config", "show"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_gives_settings_or_a_message(text in ".{0,200}", value in ".{0,40}") {
        let _ = from(&text, &[]);
        let _ = from("", &[&text]);
        for key in Settings::default().keys() {
            let _ = from("", &[&format!("{key}={value}")]);
        }
    }

    #[test]
    fn a_written_configuration_reads_back_equal(
        rate in 1e-12f64..1.0, seed in 0u64..=i64::MAX as u64, jitter in 0.0f64..1.0, steps in proptest::option::of(1usize..1_000_000_000),
        limit in proptest::option::of(1usize..1000), path in "[^\u{0}]{1,30}", flip: bool, dropout in 0.0f64..1e-300,
    ) {
        let mut s = Settings::default();
        (s.sft.learning_rate, s.sft.seed, s.sft.max_steps, s.sft.save_total_limit) = (rate, seed, steps, limit);
        (s.augment.jitter, s.augment.flip, s.lora.lora_dropout) = (jitter, flip, dropout);
        s.data.train = vec![path.into(), "b.jsonl".into()];
        prop_assert_eq!(from(&s.to_toml(), &[]).unwrap(), s);
    }
}

#[test]
fn settings_of_grpo_that_do_not_fit_are_refused_or_warned_about() {
    for (sets, words) in [
        (&["grpo.loss_type=luspo"][..], ["\"luspo\"", "importance_sampling_level=sequence"]),
        (&["grpo.loss_type=vespo"], ["\"sequence_mask\"", "token_truncate"]),
        (&["grpo.importance_sampling_clip_min=4"], ["clip_min is 4", "between them"]),
        (&["grpo.min_new_tokens=300"], ["min_new_tokens is 300 but grpo.max_completion_length is only 256", "raise"]),
        (&["grpo.soft_cache_length=300"], ["soft_cache_length is 300", "raise"]),
        (&["grpo.warmup_steps=300"], ["only 200", "lower warmup_steps"]),
    ] {
        let (message, hint) = refused("", sets);
        assert!(message.contains(words[0]) && hint.contains(words[1]), "{sets:?}: {message} {hint}");
    }
    from("", &["grpo.loss_type=vespo", "grpo.importance_sampling_correction=false"]).unwrap();
    let sequence = "grpo.importance_sampling_level=sequence";
    let warnings = |sets: &[&str]| {
        let settings = from("", sets).unwrap();
        settings.grpo.warnings(settings.lora.lora_dropout)
    };
    assert_eq!(warnings(&[]), [""; 0]);
    for loss_type in ["grpo", "sapo", "luspo"] {
        assert_eq!(warnings(&[sequence, &format!("grpo.loss_type={loss_type}")]), [""; 0]);
    }
    for loss_type in ["bnpo", "dr_grpo", "dapo", "cispo"] {
        let said = warnings(&[sequence, &format!("grpo.loss_type={loss_type}")]);
        assert!(said.len() == 1 && said[0].contains("GSPO is grpo.loss_type=grpo"), "{said:?}");
    }
    let vespo = warnings(&[sequence, "grpo.loss_type=vespo", "grpo.importance_sampling_mode=token_mask"]);
    assert!(vespo.len() == 1 && vespo[0].contains("vespo"), "{vespo:?}");
    let several = warnings(&["grpo.num_answers=2"]);
    assert!(several.len() == 1 && several[0].contains("use alphadrive"), "{several:?}");
    assert_eq!(warnings(&["grpo.num_answers=2", "grpo.reward=alphadrive"]), [""; 0]);
    let dropout = warnings(&["lora.lora_dropout=0.05"]);
    assert!(dropout.len() == 1 && dropout[0].contains("lora.lora_dropout is 0.05"), "{dropout:?}");
}
