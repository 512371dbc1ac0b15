//! Models by name, against a server on this machine that speaks the hub's protocol (`server.rs`): downloads, the shared
//! cache, breaks, kills, damage, refusals, and that the token stays where it belongs. No other network is used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod case;
mod server;

use case::{Case, Ran, WEIGHTS, files, sharded};
use server::{COMMIT, REPO, git_hash, is_large, sha256};
use std::{fs, path::Path, process::Stdio, time::Duration};

#[test]
fn a_name_is_downloaded_once_and_then_needs_nobody() {
    let case = Case::new(files());
    let first = case.run(&mut case.plan(REPO)).ok();
    let answer = |out: &str| {
        let mut json: serde_json::Value = serde_json::from_str(out).unwrap();
        json["seconds"] = 0.into();
        json
    };
    assert_eq!(answer(&first.out)["model"], REPO, "people see the name, not a path of the cache");
    assert!(first.err.contains("downloading 2.9 MiB of org/tiny (commit 66285546d2b8)"), "{}", first.err);
    assert!(first.err.contains("download model.safetensors  2.9 MiB/2.9 MiB"), "{}", first.err);

    // The layout is Python's.
    assert_eq!(fs::read_to_string(case.shelf().join("refs/main")).unwrap(), COMMIT);
    let needed = [
        "chat_template.json",
        "config.json",
        "generation_config.json",
        WEIGHTS,
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(case.names(&format!("snapshots/{COMMIT}")), needed);
    for (name, bytes) in files().iter().filter(|(name, _)| needed.contains(&name.as_str())) {
        let etag = if is_large(name) { sha256(bytes) } else { git_hash(bytes) };
        let link = case.snapshot().join(name);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("../../blobs").join(&etag), "{name}");
        assert_eq!(&fs::read(&link).unwrap(), bytes, "{name}");
        assert!(case.dir.path().join(format!("hf/hub/.locks/models--org--tiny/{etag}.lock")).is_file());
    }
    assert_eq!(case.names("blobs").len(), needed.len(), "nothing incomplete is left");

    let asked = case.server.asked();
    assert!(asked.iter().all(|a| a.token.is_none()));
    assert_eq!(asked.iter().filter(|a| a.storage).count(), 1, "{asked:?}");
    for pinned in [REPO, &format!("{REPO}@{COMMIT}")] {
        let again = case.run(&mut case.plan(pinned)).ok();
        assert_eq!((answer(&again.out), again.err), (answer(&first.out), String::new()));
    }
    let offline = case.run(case.plan(REPO).env("HF_HUB_OFFLINE", "1")).ok();
    assert_eq!(answer(&offline.out), answer(&first.out));
    assert_eq!(case.server.asked(), []);
}

#[test]
fn shards_revisions_and_quiet() {
    let case = Case::new(sharded());
    let ran = case.run(case.plan(&format!("{REPO}@v1")).arg("--quiet")).ok();
    assert_eq!(ran.err, "");
    assert_eq!(fs::read_to_string(case.shelf().join("refs/v1")).unwrap(), COMMIT);
    assert!(case.snapshot().join("model-00002-of-00002.safetensors").is_file());
    assert_eq!(case.transfers().len(), 2);
    // Another name of the same commit needs the list and nothing else.
    case.run(&mut case.plan(&format!("{REPO}@refs/pr/7"))).ok();
    let asked = case.server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(fs::read_to_string(case.shelf().join("refs/refs/pr/7")).unwrap(), COMMIT);
    case.run(&mut case.plan(&format!("{REPO}@v9"))).fails(3, &["no revision \"v9\"", "/tree/main"]);
}

#[test]
fn offline_is_offline() {
    let case = Case::new(files());
    let offline = |model: &str| case.run(case.plan(model).env("HF_HUB_OFFLINE", "1"));
    offline(REPO).fails(3, &[REPO, "not in the cache", "HF_HUB_OFFLINE"]);
    case.fill(&[WEIGHTS]);
    offline(REPO).fails(3, &["only without model.safetensors", "HF_HUB_OFFLINE"]);
    assert_eq!(case.server.asked(), []);
}

#[test]
fn a_cache_that_python_filled_is_used_and_completed() {
    let case = Case::new(files());
    case.fill(&[]);
    case.run(&mut case.plan(REPO)).ok();
    assert_eq!(case.server.asked(), []);
    // Only the model was loaded there, not its processor: nothing but that is asked for.
    let case = Case::new(files());
    case.fill(&["tokenizer.json", "preprocessor_config.json"]);
    case.run(&mut case.plan(REPO)).ok();
    let paths: Vec<String> = case.server.asked().into_iter().map(|a| format!("{} {}", a.method, a.path)).collect();
    assert_eq!(paths.len(), 5, "{paths:?}");
    assert!(!paths.iter().any(|path| path.contains(WEIGHTS)), "{paths:?}");
    // HF_HUB_CACHE goes before HF_HOME.
    let elsewhere = case.dir.path().join("elsewhere");
    fs::rename(case.dir.path().join("hf/hub"), &elsewhere).unwrap();
    case.run(case.plan(REPO).env("HF_HUB_CACHE", &elsewhere).env("HF_HUB_OFFLINE", "1")).ok();
}

#[test]
fn looking_at_data_needs_no_weights() {
    let case = Case::new(files());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/samples/real_drive/test.jsonl").display().to_string();
    let mut command = case.command(&["data", "show", &data, "--n", "1", "--model", REPO]);
    case.run(&mut command).ok();
    assert!(!case.server.asked().iter().any(|asked| asked.path.contains(WEIGHTS)));
    case.run(case.plan(REPO).env("HF_HUB_OFFLINE", "1")).fails(3, &["only without model.safetensors"]);
    case.run(&mut case.plan(REPO)).ok();
}

#[test]
fn a_broken_transfer_continues_where_it_broke() {
    let case = Case::new(files());
    case.server.state().cut = Some((1_000_000, 2));
    case.run(&mut case.plan(REPO)).ok();
    let ranges: Vec<Option<String>> = case.transfers().into_iter().map(|asked| asked.range).collect();
    assert_eq!(ranges, [None, Some("bytes=1000000-".into()), Some("bytes=2000000-".into())]);

    // Also when no length was announced, so that an early end looks like the end.
    let case = Case::new(files());
    (case.server.state().cut, case.server.state().no_length) = (Some((1_000_000, 1)), true);
    case.run(&mut case.plan(REPO)).ok();
    assert_eq!(case.transfers()[1].range.as_deref(), Some("bytes=1000000-"));
}

#[test]
fn what_never_gets_through_is_kept_for_the_next_time() {
    let case = Case::new(files());
    case.server.state().cut = Some((300_000, 5));
    case.run(&mut case.plan(REPO))
        .fails(3, &["model.safetensors of org/tiny", "1.4 MiB of 2.9 MiB", "continues where"]);
    assert_eq!(fs::metadata(case.incomplete()).unwrap().len(), 1_500_000);
    assert!(!case.shelf().join("refs").exists() && !case.snapshot().join(WEIGHTS).exists());
    drop(case.server.asked());
    case.run(&mut case.plan(REPO)).ok();
    let transfers = case.transfers();
    assert_eq!((transfers.len(), transfers[0].range.as_deref()), (1, Some("bytes=1500000-")));
}

#[test]
fn a_server_without_ranges_begins_again() {
    let case = Case::new(files());
    (case.server.state().cut, case.server.state().no_ranges) = (Some((1_000_000, 1)), true);
    case.run(&mut case.plan(REPO)).ok();
    assert_eq!(case.transfers().len(), 2);
    assert_eq!(fs::read(case.snapshot().join(WEIGHTS)).unwrap(), files()[WEIGHTS]);
}

#[test]
fn leftovers_that_are_wrong_or_too_long_are_replaced() {
    for leftover in [vec![7_u8; 500_000], vec![7; 9_000_000], vec![7; files()[WEIGHTS].len()]] {
        let case = Case::new(files());
        fs::create_dir_all(case.shelf().join("blobs")).unwrap();
        fs::write(case.incomplete(), &leftover).unwrap();
        case.run(&mut case.plan(REPO)).ok();
        assert_eq!(fs::read(case.snapshot().join(WEIGHTS)).unwrap(), files()[WEIGHTS]);
    }
}

#[test]
fn damage_is_refused_and_removed() {
    let whole = files()[WEIGHTS].clone();
    let flipped: Vec<u8> = whole.iter().enumerate().map(|(i, b)| b ^ u8::from(i == 99)).collect();
    let longer = [whole.as_slice(), b"x"].concat();
    for (file, content, no_length, words) in [
        (WEIGHTS, flipped, false, ["is damaged", "sha256"]),
        (WEIGHTS, whole[..1000].to_vec(), false, ["1000 bytes instead of", "removed"]),
        (WEIGHTS, longer.clone(), false, ["bytes instead of", "removed"]),
        (WEIGHTS, longer, true, ["more bytes instead of", "removed"]),
        ("config.json", vec![b' '; files()["config.json"].len()], false, ["config.json", "git hash"]),
    ] {
        let case = Case::new(files());
        case.server.state().instead.insert(file.into(), content);
        case.server.state().no_length = no_length;
        case.run(&mut case.plan(REPO)).fails(3, &words);
        let blobs = case.names("blobs");
        assert!(!blobs.iter().any(|name| name.ends_with(".incomplete")), "{blobs:?}");
        assert!(!case.shelf().join("refs").exists() && !case.snapshot().join(file).exists());
        case.server.state().instead.clear();
        case.run(&mut case.plan(REPO)).ok();
    }
}

#[test]
fn refusals_say_what_to_do() {
    let case = Case::new(files());
    let says = |status, code, token: &str, words: &[&str]| {
        case.server.state().status = Some((status, code));
        case.run(case.plan(REPO).env("HF_TOKEN", token)).fails(3, words);
    };
    says(401, "", "", &["without a token (401)", "HF_TOKEN", "/settings/tokens", "no folder here"]);
    says(401, "GatedRepo", "", &["gated", "HF_TOKEN", "accept the conditions on http://127.0.0.1", "/org/tiny"]);
    says(403, "GatedRepo", "hf_secret", &["the token may not read it (403)", "accept the conditions"]);
    says(401, "", "hf_secret", &["does not give it to this token (401)"]);
    says(404, "RepoNotFound", "", &["org/tiny is no folder here and no model on 127.0.0.1", "spelling"]);
    says(503, "", "", &["answers 503"]);
    assert_eq!(case.server.asked().iter().filter(|asked| asked.token.is_none()).count(), 3 + 5, "503 is tried again");
    case.server.state().status = None;
    case.run(&mut case.plan("org/other")).fails(3, &["org/other", "404"]);
    for name in ["org/..", "org/a b", "org/a@../../b", "https://huggingface.co/org/tiny"] {
        case.run(&mut case.plan(name)).fails(2, &["neither a folder nor a name", "org/name"]);
    }
    case.run(case.plan(REPO).env("HF_ENDPOINT", "nonsense")).fails(2, &["HF_ENDPOINT", "nonsense"]);
    case.run(case.plan(REPO).env("HF_ENDPOINT", "http://127.0.0.1:1")).fails(3, &["cannot be reached", "HF_ENDPOINT"]);
    case.run(case.plan(REPO).env("HF_TOKEN", "hf_secret\nX: y")).fails(2, &["HF_TOKEN"]);
}

#[test]
fn the_token_goes_to_the_hub_and_not_to_its_storage() {
    let case = Case::new(files());
    case.server.state().needs = Some("hf_secret".into());
    fs::create_dir_all(case.dir.path().join("hf")).unwrap();
    fs::write(case.dir.path().join("hf/token"), "hf_secret\n").unwrap();
    case.run(&mut case.plan(REPO)).ok();
    let asked = case.server.asked();
    for one in &asked {
        assert_eq!(one.token.as_deref(), (!one.storage).then_some("Bearer hf_secret"), "{one:?}");
    }
    assert!(asked.iter().any(|one| one.storage));
    let doctor = case.run(&mut case.command(&["doctor"]));
    let line = doctor.out.lines().find(|line| line.contains("hub")).unwrap();
    for word in [case.server.url.as_str(), "hf/hub", "a token", "downloads allowed"] {
        assert!(line.contains(word), "{line}");
    }
    assert!(!doctor.out.contains("hf_secret"));
    assert_eq!(case.server.asked(), [], "doctor asks nobody");
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    for about in ["/api/", "config.json", "/stored/"] {
        let case = Case::new(files());
        case.server.state().silent_about = Some(about.into());
        let mut command = case.plan(REPO);
        command.env("HF_HUB_DOWNLOAD_TIMEOUT", "0.2").env("HF_HUB_ETAG_TIMEOUT", "0.2");
        case.run(&mut command).fails(3, &["did not answer in time", "HF_HUB_DOWNLOAD_TIMEOUT"]);
    }
    // A transfer that stands still.
    let case = Case::new(files());
    case.server.state().slowly = Some((2_000_000, Duration::from_secs(20)));
    let mut command = case.plan(REPO);
    command.env("HF_HUB_DOWNLOAD_TIMEOUT", "0.5");
    // The next request brings the rest.
    case.run(&mut command).ok();
    assert_eq!(case.transfers().last().unwrap().range.as_deref(), Some("bytes=2000000-"));
}

#[test]
fn names_that_leave_their_folder_are_refused() {
    for name in ["../../evil.json", "/etc/evil", "a/../../b", "a\\b", "a\nb"] {
        let case = Case::new(files());
        case.server.state().listed = vec![name.into()];
        case.run(&mut case.plan(REPO)).fails(3, &["leaves its folder"]);
        assert!(!case.dir.path().join("hf").exists());
    }
    let mut files = sharded();
    files.insert(
        "model.safetensors.index.json".into(),
        br#"{"weight_map":{"a":"../../../../evil.safetensors"}}"#.to_vec(),
    );
    let case = Case::new(files);
    case.run(&mut case.plan(REPO)).fails(3, &["names no files beside it"]);
}

#[test]
fn what_is_no_planner_is_refused_before_anything_is_downloaded() {
    let only = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), b"x".to_vec())).collect();
    for (names, words) in [
        (&["README.md", "model-q4_k_m.gguf"][..], ["only GGUF files", "--local-dir"]),
        (&["config.json", "pytorch_model.bin"], ["pickle", "safetensors"]),
        (&["README.md"], ["no config.json", "Qwen2.5-VL"]),
    ] {
        let case = Case::new(only(names));
        case.run(&mut case.plan(REPO)).fails(3, &words);
        assert_eq!(case.server.asked().len(), 1);
    }
    let case = Case::new(files());
    case.server.state().commit = "../../x".into();
    case.run(&mut case.plan(&format!("{REPO}@main"))).fails(3, &["no commit", "HF_ENDPOINT"]);
}

#[test]
fn a_killed_download_leaves_nothing_visible_and_continues() {
    let case = Case::new(files());
    case.server.state().slowly = Some((100_000, Duration::from_millis(200)));
    let mut child = case.plan(REPO).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = || fs::metadata(case.incomplete()).is_ok_and(|m| m.len() > 300_000);
    for _ in 0..600 {
        if begun() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(begun());
    child.kill().unwrap();
    child.wait().unwrap();
    let have = fs::metadata(case.incomplete()).unwrap().len();
    assert!(!case.snapshot().join(WEIGHTS).exists() && !case.shelf().join("refs").exists());
    case.run(case.plan(REPO).env("HF_HUB_OFFLINE", "1")).fails(3, &["not in the cache"]);
    case.server.state().slowly = None;
    drop(case.server.asked());
    case.run(&mut case.plan(REPO)).ok();
    assert_eq!(case.transfers()[0].range, Some(format!("bytes={have}-")));
}

#[test]
fn processes_that_want_the_same_download_it_once() {
    let case = Case::new(files());
    case.server.state().slowly = Some((500_000, Duration::from_millis(100)));
    let children: Vec<_> =
        (0..3).map(|_| case.plan(REPO).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()).collect();
    let outputs: Vec<Ran> = children.into_iter().map(|c| Ran::of(&c.wait_with_output().unwrap())).collect();
    for ran in outputs {
        ran.ok();
    }
    assert_eq!(case.transfers().len(), 1);
}

#[test]
fn adapters_name_their_base_on_the_hub_both_ways() {
    let case = Case::new(files());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/samples/real_drive/test.jsonl").display().to_string();
    let sets = ["sft.max_steps=1", "sft.save_steps=1", "sft.max_pixels=3136", "lora.r=2", "sft.warmup_steps=0"];
    let mut sft = case.command(&["sft", "--model", REPO, "--data", &data, "--out", "run"]);
    for set in sets {
        sft.args(["--set", set]);
    }
    case.run(&mut sft).ok();
    let mut found = Vec::new();
    for entry in fs::read_dir(case.dir.path().join("run/ckpt")).unwrap() {
        let path = entry.unwrap().path().join("adapter/adapter_config.json");
        found.extend(fs::read(path).ok());
    }
    let config: serde_json::Value = serde_json::from_slice(&found[0]).unwrap();
    assert_eq!((&config["base_model_name_or_path"], &config["revision"]), (&REPO.into(), &COMMIT.into()));
    // On another machine the base is fetched by that name.
    fs::remove_dir_all(case.dir.path().join("hf")).unwrap();
    case.run(&mut case.plan("run")).ok();
    assert!(case.shelf().join("blobs").is_dir());
    case.run(case.plan("run").env("HF_HOME", case.dir.path().join("x")).env("HF_HUB_OFFLINE", "1"))
        .fails(3, &["base model of", "org/tiny", "HF_HUB_OFFLINE"]);
}
