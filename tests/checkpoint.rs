//! Checkpoints under attack: every operation of a save made to fail, damaged files, full disks, kill -9.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use reinsman::{
    files::{After, FaultyFs, Fs, Output, RealFs, names},
    streams::Stream,
    train::{
        checkpoint::{Checkpoint, Content, Published, prune, sweep},
        lock::Lock,
        signals::Stop,
    },
};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Three files whose content depends on the step alone.
fn publish(fs: &dyn Fs, dir: &Path, step: u64, size: usize) -> reinsman::error::Result<Published> {
    let weights = content(step, size);
    let stream = |out: &mut dyn Write| weights.chunks(7_000).try_for_each(|part| out.write_all(part));
    let state = format!("{{\"step\":{step}}}");
    let files = [
        ("adapter/adapter_model.safetensors", Content::Stream(&stream)),
        ("adapter/adapter_config.json", Content::Bytes(b"{}")),
        ("trainer/state.json", Content::Bytes(state.as_bytes())),
    ];
    Checkpoint::publish(fs, dir, step, &files, "digest")
}

fn content(step: u64, size: usize) -> Vec<u8> {
    let mut stream = Stream::new(step, "content");
    (0..size / 8).flat_map(|_| stream.u64().to_le_bytes()).collect()
}

/// The newest checkpoint's step, after reading all of it back.
fn newest(dir: &Path, size: usize) -> u64 {
    let found = Checkpoint::newest(dir).unwrap();
    let Some(found) = found.found else { return 0 };
    assert_eq!(found.read("adapter/adapter_model.safetensors").unwrap(), content(found.step, size));
    assert_eq!(found.read("trainer/state.json").unwrap(), format!("{{\"step\":{}}}", found.step).into_bytes());
    assert_eq!((found.manifest.step, found.manifest.config.as_str()), (found.step, "digest"));
    found.step
}

fn in_ckpt(dir: &Path) -> Vec<String> {
    names(&dir.join("ckpt")).unwrap().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn publishing_shows_one_complete_folder_and_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let published = publish(&RealFs, dir.path(), 120, 50_000).unwrap();
    assert!(published.warnings.is_empty());
    assert_eq!(in_ckpt(dir.path()), ["latest", "step-000120"]);
    assert_eq!(fs::read_link(dir.path().join("ckpt/latest")).unwrap(), PathBuf::from("step-000120"));
    assert_eq!(newest(dir.path(), 50_000), 120);
    let failure = published.checkpoint.read("trainer/optim.safetensors").unwrap_err();
    assert!(failure.hint.unwrap().contains("adapter/adapter_config.json"));
}

/// Promise 4: fail the k-th operation of a save, for every k, as a passing error and as a death.
#[test]
fn whatever_operation_fails_the_previous_checkpoint_loads_and_nothing_half_is_seen() {
    const SIZE: usize = 20_000;
    let counting = FaultyFs::new(0, After::Works, io::ErrorKind::Other);
    let dir = tempfile::tempdir().unwrap();
    publish(&counting, dir.path(), 1, SIZE).unwrap();
    let operations = counting.operations();
    assert!(operations >= 20, "{operations}");
    for k in 1..=operations {
        for after in [After::Works, After::Fails] {
            let dir = tempfile::tempdir().unwrap();
            publish(&RealFs, dir.path(), 1, SIZE).unwrap();
            let faulty = FaultyFs::new(k, after, io::ErrorKind::StorageFull);
            let outcome = publish(&faulty, dir.path(), 2, SIZE);
            let seen = newest(dir.path(), SIZE);
            match &outcome {
                Ok(published) => assert!(seen == 2 && !published.warnings.is_empty(), "k = {k}"),
                Err(failure) => {
                    assert!(seen == 1 || seen == 2, "k = {k}");
                    assert_eq!(failure.kind.exit_code(), 3);
                    assert!(failure.message.starts_with("checkpoint of step 2 not saved: "), "{failure}");
                }
            }
            assert!(
                Checkpoint::newest(dir.path()).unwrap().skipped.is_empty(),
                "k = {k}: a half checkpoint is visible"
            );
            if after == After::Works {
                let hidden: Vec<_> = in_ckpt(dir.path()).into_iter().filter(|n| n.starts_with('.')).collect();
                assert!(hidden.is_empty(), "k = {k}: {hidden:?}");
            }
            // The next start cleans up and saves the same step.
            assert!(sweep(&RealFs, dir.path()).unwrap().is_empty());
            publish(&RealFs, dir.path(), 2, SIZE).unwrap();
            assert_eq!(in_ckpt(dir.path()), ["latest", "step-000001", "step-000002"], "k = {k}");
            assert_eq!(newest(dir.path(), SIZE), 2);
        }
    }
}

#[test]
fn pruning_that_fails_loses_nothing_that_is_kept() {
    for k in 1..=6 {
        for after in [After::Works, After::Fails] {
            let dir = tempfile::tempdir().unwrap();
            (1..=5).for_each(|step| drop(publish(&RealFs, dir.path(), step, 800).unwrap()));
            let just = Checkpoint::newest(dir.path()).unwrap().found.unwrap();
            let faulty = FaultyFs::new(k, after, io::ErrorKind::PermissionDenied);
            let warnings = prune(&faulty, dir.path(), 2, &just).unwrap();
            assert!(!warnings.is_empty(), "k = {k}");
            assert_eq!(newest(dir.path(), 800), 5);
            assert!(Checkpoint::newest(dir.path()).unwrap().skipped.is_empty());
            sweep(&RealFs, dir.path()).unwrap();
            prune(&RealFs, dir.path(), 2, &just).unwrap();
            assert_eq!(in_ckpt(dir.path()), ["latest", "step-000004", "step-000005"], "k = {k}");
        }
    }
}

#[test]
fn damaged_folders_are_skipped_with_a_reason() {
    type Damage = fn(&Path);
    let cases: [(Damage, &str); 8] = [
        (|d| fs::remove_file(d.join("MANIFEST.json")).unwrap(), "MANIFEST.json is missing"),
        (|d| fs::write(d.join("MANIFEST.json"), b"{\"version\":1,\"st").unwrap(), "MANIFEST.json is damaged"),
        (|d| fs::write(d.join("MANIFEST.json"), b"\xff\x00").unwrap(), "MANIFEST.json is damaged"),
        (|d| fs::write(d.join("trainer/state.json"), b"").unwrap(), "trainer/state.json has 0 bytes instead of 10"),
        (|d| fs::write(d.join("trainer/state.json"), b"{\"step\":3}").unwrap(), "trainer/state.json is damaged"),
        (|d| fs::remove_file(d.join("adapter/adapter_config.json")).unwrap(), "adapter/adapter_config.json: "),
        (|d| rewrite(d, "trainer/state.json", "../../lock"), "is not a file name inside a checkpoint"),
        (|d| rewrite(d, "\"step\": 2", "\"step\": 7"), "its manifest is of step 7"),
    ];
    for (damage, why) in cases {
        let dir = tempfile::tempdir().unwrap();
        publish(&RealFs, dir.path(), 1, 800).unwrap();
        publish(&RealFs, dir.path(), 2, 800).unwrap();
        damage(&dir.path().join("ckpt/step-000002"));
        let looked = Checkpoint::newest(dir.path()).unwrap();
        assert_eq!(looked.found.map(|c| c.step), Some(1), "{why}");
        assert_eq!(looked.skipped.len(), 1);
        assert!(looked.skipped[0].why.contains(why), "{}", looked.skipped[0].why);
        // The one just published is kept, however good newer folders look.
        let just = Checkpoint::open(&dir.path().join("ckpt/step-000001")).unwrap();
        assert!(prune(&RealFs, dir.path(), 1, &just).unwrap().is_empty());
        assert_eq!(Checkpoint::newest(dir.path()).unwrap().found.map(|c| c.step), Some(1), "{why}");
        damage_again(dir.path(), damage);
        // The run reaches step 2 again: the damaged folder is kept aside, the new one is complete.
        publish(&RealFs, dir.path(), 2, 800).unwrap();
        assert_eq!(newest(dir.path(), 800), 2);
        assert!(in_ckpt(dir.path()).contains(&".bad-step-000002-0".to_string()), "{:?}", in_ckpt(dir.path()));
    }
}

/// Pruning removed the damaged folder with the others; here it comes back, still damaged.
fn damage_again(dir: &Path, damage: fn(&Path)) {
    publish(&RealFs, dir, 2, 800).unwrap();
    damage(&dir.join("ckpt/step-000002"));
}

fn rewrite(dir: &Path, from: &str, to: &str) {
    let path = dir.join("MANIFEST.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).unwrap();
}

#[test]
fn publishing_the_same_twice_is_fine_and_names_cannot_leave_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    publish(&RealFs, dir.path(), 3, 800).unwrap();
    publish(&RealFs, dir.path(), 3, 800).unwrap();
    assert_eq!(in_ckpt(dir.path()), ["latest", "step-000003"]);
    for name in ["../x", "/etc/x", "", "a/../../x", "MANIFEST.json", "a\\b"] {
        let failure = Checkpoint::publish(&RealFs, dir.path(), 4, &[(name, Content::Bytes(b""))], "").unwrap_err();
        assert_eq!(failure.kind.exit_code(), 2, "{name}");
    }
    assert_eq!(in_ckpt(dir.path()), ["latest", "step-000003"]);
}

#[test]
fn leftovers_of_other_hosts_stay() {
    let dir = tempfile::tempdir().unwrap();
    let ckpt = dir.path().join("ckpt");
    let ours = format!(".tmp-step-000009-{}-123", reinsman::train::lock::host());
    for name in [ours.as_str(), ".tmp-step-000009-elsewhere-123"] {
        fs::create_dir_all(ckpt.join(name)).unwrap();
    }
    let warnings = sweep(&RealFs, dir.path()).unwrap();
    assert_eq!(in_ckpt(dir.path()), [".tmp-step-000009-elsewhere-123"]);
    assert!(warnings.len() == 1 && warnings[0].contains("another host"), "{warnings:?}");
}

/// Files that the kernel refuses to fill: a real ENOSPC, not a made-up one.
struct FullDisk;

impl Fs for FullDisk {
    fn mkdir(&self, path: &Path) -> io::Result<()> {
        RealFs.mkdir(path)
    }
    fn create(&self, _path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(fs::OpenOptions::new().write(true).open("/dev/full")?))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.sync_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        RealFs.symlink(target, link)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_exit_3_with_the_bytes_needed_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    publish(&RealFs, dir.path(), 1, 800).unwrap();
    let failure = publish(&FullDisk, dir.path(), 2, 3_000_000).unwrap_err();
    assert_eq!(failure.kind.exit_code(), 3);
    assert!(failure.message.contains("No space left on device"), "{failure}");
    let hint = failure.hint.unwrap();
    assert!(hint.contains("MiB are needed") && hint.contains("free") && hint.contains("earlier"), "{hint}");
    assert_eq!(in_ckpt(dir.path()), ["latest", "step-000001"]);
}

/// What a save of adapter size costs: `cargo test --release --test checkpoint -- --ignored --nocapture`.
#[test]
#[ignore = "measures, does not check"]
fn cost_of_a_40_mb_save() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = content(1, 40_000_000);
    for step in 1..=5 {
        let started = std::time::Instant::now();
        Checkpoint::publish(&RealFs, dir.path(), step, &[("weights", Content::Bytes(&bytes))], "").unwrap();
        let saved = started.elapsed();
        Checkpoint::newest(dir.path()).unwrap();
        println!("save {saved:.0?}, find and verify {:.0?}", started.elapsed() - saved);
    }
}

const SAVER: &str = "REINSMAN_TEST_SAVER";
const KILL_SIZE: usize = 120_000;

/// Not a test of its own: the process that [`kill_loop`] starts and kills. Saves step after step, keeps three, and
/// notes each step once it is published.
#[test]
fn saver() {
    let Some(dir) = std::env::var_os(SAVER).map(PathBuf::from) else { return };
    fs::write(dir.join("ready"), b"").unwrap();
    let _lock = Lock::acquire(&dir).unwrap();
    sweep(&RealFs, &dir).unwrap();
    let mut step = newest(&dir, KILL_SIZE);
    let mut published = fs::OpenOptions::new().append(true).create(true).open(dir.join("published")).unwrap();
    loop {
        step += 1;
        let just = publish(&RealFs, &dir, step, KILL_SIZE).unwrap().checkpoint;
        published.write_all(format!("{step}\n").as_bytes()).unwrap();
        prune(&RealFs, &dir, 3, &just).unwrap();
    }
}

/// Starts a test of this file as a process of its own and waits until it says that it is ready.
fn helper(test: &str, variable: &str, dir: &Path) -> Child {
    let _ = fs::remove_file(dir.join("ready"));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(variable, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..6_000 {
        if dir.join("ready").exists() {
            return child;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill().and_then(|()| child.wait());
    panic!("{test} did not start");
}

/// Promise 1: killed at random times, the newest checkpoint always loads and no published one is lost.
#[test]
fn kill_loop() {
    let dir = tempfile::tempdir().unwrap();
    let kills = std::env::var("REINSMAN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let mut delays = Stream::new(1, "delays");
    let (mut last, mut torn) = (0, 0);
    for kill in 0..kills {
        let mut child = helper("saver", SAVER, dir.path());
        std::thread::sleep(Duration::from_millis(5 + delays.below(150)));
        assert!(child.try_wait().unwrap().is_none(), "kill {kill}: the saver ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let noted = fs::read_to_string(dir.path().join("published")).unwrap_or_default();
        let noted = noted.lines().filter_map(|l| l.parse().ok()).max().unwrap_or(0);
        let looked = Checkpoint::newest(dir.path()).unwrap();
        assert!(looked.skipped.is_empty(), "kill {kill}: {:?}", looked.skipped);
        let now = newest(dir.path(), KILL_SIZE);
        assert!(now >= noted && now >= last, "kill {kill}: step {noted} was published, {now} is the newest");
        torn += usize::from(in_ckpt(dir.path()).iter().any(|n| n.starts_with(".tmp-")));
        last = now;
    }
    assert!(last > 3, "only {last} checkpoints were saved: the delays are too short to test anything");
    assert!(torn > 0, "no kill hit a save in the middle: the delays test nothing");
    println!("{kills} kills, {last} checkpoints, {torn} saves cut in the middle");
}

const STOPPER: &str = "REINSMAN_TEST_STOPPER";

/// Not a test of its own: a "trainer" that stops on request, or is deaf when its folder holds a file `deaf`.
#[test]
fn stopper() {
    let Some(dir) = std::env::var_os(STOPPER).map(PathBuf::from) else { return };
    let stop = Stop::on_signals().unwrap();
    fs::write(dir.join("ready"), b"").unwrap();
    while !stop.requested() || dir.join("deaf").exists() {
        if stop.requested() {
            fs::write(dir.join("heard"), b"").unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    std::process::exit(Stop::resumable("sft", Some(&dir.join("ckpt")), &dir).kind.exit_code().into());
}

/// Promise 3: a request to stop ends with 75 after saving; a second one ends at once.
#[test]
#[cfg(unix)]
fn signals_stop_the_run_and_a_second_one_ends_it() {
    let send = |signal: &str, child: &Child| {
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
        assert!(sent.success());
    };
    for signal in ["INT", "TERM", "USR1"] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = helper("stopper", STOPPER, dir.path());
        send(signal, &child);
        assert_eq!(child.wait().unwrap().code(), Some(75), "{signal}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("deaf"), b"").unwrap();
    let mut child = helper("stopper", STOPPER, dir.path());
    send("USR1", &child);
    while !dir.path().join("heard").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.try_wait().unwrap().is_none(), "the first signal must not end it");
    send("TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
}
