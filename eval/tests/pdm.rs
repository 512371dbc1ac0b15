//! NAVSIM evaluations from outside: what is kept, averaged and shown, on the bundled scenes and on hostile ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use eval::{
    metrics::bootstrap::Bootstrap,
    pdm::{
        Entry, Judge, Judged, Policy, Subject, Table, Worst, bev,
        judge::{self, tracks},
        page::page,
        table::Gathered,
        terminal::terminal,
    },
};
use rewards::pdm::{Compat, Filter, Version};
use scene::world::Scene;

fn judge(version: Version, policy: Policy) -> Judge {
    let filter = if version == Version::V2 { Filter::Human } else { Filter::Off };
    Judge { version, policy, compat: Compat::reference(), filter }
}

fn judged(judge: &Judge) -> Vec<(Scene, Vec<Judged>)> {
    let one = |loaded: data::navsim::LoadedScene| {
        let mut subjects: Vec<Subject> = loaded
            .proposals
            .into_iter()
            .map(|p| Subject::Plan { planner: "own".into(), kind: p.kind, plan: p.trajectory, previous: p.previous })
            .collect();
        subjects.push(judge::constant_velocity(&loaded.scene));
        subjects.extend(judge::human(&loaded.scene));
        subjects.push(Subject::Reference);
        let judged = judge.scene(&loaded.scene, &subjects).unwrap();
        (loaded.scene, judged)
    };
    data::navsim::bundled().map(|loaded| one(loaded.unwrap())).collect()
}

fn table(version: Version, entries: &[Entry]) -> Table {
    let mut gathered = Gathered::new(version);
    entries.iter().for_each(|entry| gathered.add(entry));
    Table {
        version,
        policy: "log replay".into(),
        fixed: false,
        human_filter: true,
        scenes: 5,
        lines: gathered.lines(Bootstrap::default()),
        two_stage: None,
        bootstrap: Bootstrap::default(),
        notes: vec!["a <note>".into()],
    }
}

#[test]
fn averages_are_means_and_every_planner_has_a_line() {
    for version in [Version::V1, Version::V2] {
        let all = judged(&judge(version, Policy::LogReplay));
        let entries: Vec<Entry> = all.iter().flat_map(|(_, judged)| judged.iter().map(|j| j.entry.clone())).collect();
        let table = table(version, &entries);
        let planners: Vec<&str> = table.lines.iter().filter(|l| l.kind.is_none()).map(|l| l.planner.as_str()).collect();
        assert_eq!(planners, ["own", judge::CONSTANT, judge::HUMAN, judge::REFERENCE]);
        for line in table.lines.iter().filter(|line| line.kind.is_none()) {
            for column in table.columns() {
                let of = entries.iter().filter(|e| e.planner == line.planner);
                let values: Vec<f64> = of.filter_map(|e| (column.of)(e.scores.as_ref().unwrap())).collect();
                let figure = Table::figure(line, column);
                assert_eq!(figure.is_none(), values.is_empty(), "{} {}", line.planner, column.key);
                if let Some(f) = figure {
                    let mean = values.iter().sum::<f64>() / values.len() as f64;
                    assert!((f.value - mean).abs() < 1e-12 && f.low <= f.value && f.value <= f.high);
                }
            }
        }
        let text = terminal(&table);
        assert!(text.contains("PDM-Closed") && text.contains("note: a <note>") && text.contains('±'), "{text}");
        // A line read back is the same line.
        for entry in &entries {
            assert_eq!(&serde_json::from_str::<Entry>(&serde_json::to_string(entry).unwrap()).unwrap(), entry);
        }
    }
}

#[test]
fn the_human_baseline_has_its_own_past() {
    for (scene, judged) in judged(&judge(Version::V2, Policy::Idm)) {
        let of = |planner: &str| judged.iter().find(|j| j.entry.planner == planner).unwrap();
        assert!(of(judge::HUMAN).entry.scores.unwrap().ec.is_some(), "{}", scene.name);
        assert!(of(judge::CONSTANT).entry.scores.unwrap().ec.is_some());
        assert!(of(judge::REFERENCE).entry.scores.unwrap().ec.is_none());
    }
}

#[test]
fn the_worst_are_few_of_a_kind_and_of_a_scene() {
    let mut worst = Worst::new(6);
    for (_, judged) in judged(&judge(Version::V2, Policy::LogReplay)) {
        for j in judged {
            if worst.wants(&j.entry) {
                worst.add(j.entry, "<svg/>".into());
            }
        }
    }
    let cases = worst.cases();
    assert!(!cases.is_empty() && cases.len() <= 6);
    assert!(cases.windows(2).all(|pair| pair[0].entry.total() <= pair[1].entry.total()));
    for case in &cases {
        let same = |f: &dyn Fn(&Entry) -> bool| cases.iter().filter(|other| f(&other.entry)).count();
        assert!(same(&|e| e.scene == case.entry.scene) <= 2 && same(&|e| e.reason() == case.entry.reason()) <= 2);
        assert!(case.entry.total() < 1.0 && case.entry.reason() != "nothing");
    }
    assert!(!Worst::new(0).wants(&cases[0].entry));
}

/// Names are text of strangers; numbers may be anything.
#[test]
fn pages_escape_and_survive() {
    let judge = judge(Version::V2, Policy::LogReplay);
    let (mut scene, mut all) = judged(&judge).remove(0);
    let hostile = "<script>alert('x')</script>";
    scene.name = hostile.into();
    let mut tracks = tracks(&scene, &judge, &all[0].states);
    tracks.iter_mut().for_each(|track| track.token = hostile.into());
    let wild = [f64::NAN, f64::INFINITY, -1e300, 1e300];
    for value in wild {
        let mut states = all[0].states;
        states[40].x = value;
        tracks[0].frames[20] = Some([value; 5]);
        let picture = bev::bev(&scene, &tracks, &states, &all[0].entry);
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>") && !picture.contains("NaN"), "{picture}");
        assert!(picture.len() < 200_000 && !picture.contains("<script"));
    }
    let entry = &mut all[0].entry;
    (entry.scene, entry.planner, entry.kind) = (hostile.into(), hostile.into(), Some(hostile.into()));
    let mut worst = Worst::new(3);
    worst.add(entry.clone(), bev::bev(&scene, &tracks, &all[0].states.clone(), &all[0].entry));
    let out = page(hostile, &table(Version::V2, &[all[0].entry.clone()]), &worst.cases());
    assert!(!out.contains("<script") && out.contains("&lt;script&gt;") && out.ends_with("</html>\n"));
}
