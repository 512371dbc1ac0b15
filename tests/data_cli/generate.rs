//! `data generate` with several drivers: who drove is told, and every record leads back to its moment.

use super::{read, says};
use eval::outcome::restore;
use std::{collections::BTreeMap, fs, path::Path};

const DRIVERS: &str = "expert,late_braking,corner_cutting,too_close";

fn generate(folder: &Path, more: &[&str]) -> String {
    let out = folder.display().to_string();
    let families = "right_turn,lead_hard_brake,stop_sign";
    let set = ["data", "generate", "--out", &out, "--count", "48", "--families", families, "--split", "1,0,0"];
    says(0, &[&set[..], &["--camera", "tiny", "--pool", "2"], more].concat());
    fs::read_to_string(folder.join("train.jsonl")).unwrap()
}

#[test]
fn several_drivers_take_turns_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name);
    let lines = generate(&folder("mixed"), &["--drivers", DRIVERS]);
    assert_eq!(lines, generate(&folder("again"), &["--drivers", DRIVERS, "--threads", "1"]));

    let mut drove = BTreeMap::<String, usize>::new();
    let mut parted = 0;
    for sample in read(folder("mixed/train.jsonl")) {
        let (drive, recorded) = restore(&sample).unwrap();
        let driver = drive.driver().name();
        assert_eq!(sample.extra.get("driver").map(|d| d.as_str().unwrap()), Some(driver).filter(|d| *d != "expert"));
        let action = recorded.demonstrated.action;
        assert_eq!((sample.labels.speed, sample.labels.path), (Some(action.speed), Some(action.path)));
        assert!(!recorded.demonstrated.crashed(), "{}", sample.id);
        parted += usize::from(recorded.demonstrated.future != recorded.rolled.future);
        *drove.entry(driver.into()).or_default() += 1;
    }
    assert!(drove.len() == 4 && drove.values().all(|&n| n > 3) && parted > 15, "{drove:?} {parted}");
    let card = fs::read_to_string(folder("mixed/CARD.md")).unwrap();
    assert!(card.contains(&format!("--drivers {DRIVERS}")) && card.contains("| driver | train |"), "{card}");
    assert!(card.contains(&format!("| late_braking | {} (", drove["late_braking"])), "{card}");

    // The expert alone is told nowhere.
    let alone = generate(&folder("alone"), &[]);
    assert_eq!(alone, generate(&folder("named"), &["--drivers", "expert"]));
    let card = fs::read_to_string(folder("alone/CARD.md")).unwrap();
    assert!(!alone.contains("driver") && card.contains("driven by the rule expert. Made by"), "{card}");
    assert!(!card.contains("| driver |") && !card.contains("--drivers"), "{card}");

    let out = folder("none").display().to_string();
    let error = says(2, &["data", "generate", "--drivers", "late_breaking", "--out", &out]);
    assert!(error.contains("unknown driver \"late_breaking\"") && error.contains("late_braking?"), "{error}");
}
