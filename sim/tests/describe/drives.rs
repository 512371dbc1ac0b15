//! What is said of drives of the rule expert in every scenario family.

use super::texts::{only_seen, read_back};
use sim::batch::flag;
use sim::describe::{self, Driven, Facts, Reason, Sight, balance, targets::TARGETS};
use sim::drive::{Options, drive};
use sim::expert::{Decision, RuleExpert};
use sim::policy::Policy;
use sim::render::{Camera, Frame, Stage, Style};
use sim::{Action, Batch, World, families, view};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// A moment of a drive with everything that is said of it.
pub struct Moment {
    pub facts: Facts,
    pub decision: Decision,
    pub driven: Driven,
    pub planned: Driven,
}

/// An expert whose decisions can be read while it drives.
struct Shared<'a>(&'a RefCell<RuleExpert>);

impl Policy for Shared<'_> {
    fn name(&self) -> &str {
        "expert"
    }
    fn reset(&mut self, batch: &Batch) {
        self.0.borrow_mut().reset(batch);
    }
    fn act(&mut self, batch: &Batch, actions: &mut [Action]) {
        self.0.borrow_mut().act(batch, actions);
    }
}

/// Moments every `every` steps of one drive in each family and seed, until ego touches something.
pub fn moments(seeds: std::ops::Range<u64>, every: u32) -> Vec<Moment> {
    let scenarios = families::ALL.iter().flat_map(|f| seeds.clone().map(|seed| (f.make)(seed)));
    let worlds: Vec<Arc<World>> = scenarios.map(|s| Arc::new(World::new(s))).collect();
    let stages: Vec<Stage> = worlds.iter().map(|w| Stage::new(&w.scenario.map)).collect();
    let expert = RefCell::new(RuleExpert::default());
    let camera = Camera::new(224, 112, 70.0);
    let (mut frame, mut buffer, mut notes) = (Frame::new(true), Vec::new(), Vec::new());
    let episodes = drive(worlds, &mut Shared(&expert), Options::default(), |batch, _| {
        for (i, stage) in stages.iter().enumerate() {
            let scene = batch.scene(i);
            if scene.head.done || !scene.head.step.is_multiple_of(every) || scene.flags[0] & flag::CRASHED != 0 {
                continue;
            }
            let style = Style::rich(i as u32);
            view::look(&scene, 0, stage, &camera, &style, &mut buffer, &mut frame);
            let facts = describe::facts(&scene, &Sight::of(&scene, &camera, &style, &frame));
            let Some(decision) = expert.borrow().decision(i).cloned() else { continue };
            let planned = describe::planned(&scene, &decision.plan).unwrap();
            notes.push((i, scene.head.step, facts, decision, planned));
        }
    });
    let moment = |(i, step, facts, decision, planned): (usize, u32, Facts, Decision, Driven)| {
        let episode = &episodes[i];
        let at = |k: u32| episode.samples.get((step + k) as usize).map(|s| [s.x, s.y, s.heading]);
        let future: Vec<_> = (1..=8).map(|k| at(5 * k)).collect::<Option<_>>()?;
        let driven = describe::driven(&episode.world, at(0)?, facts.speed, &future).unwrap();
        Some(Moment { facts, decision, driven, planned })
    };
    notes.into_iter().filter_map(moment).collect()
}

/// Two drives in each family.
fn driven() -> &'static [Moment] {
    static MOMENTS: OnceLock<Vec<Moment>> = OnceLock::new();
    MOMENTS.get_or_init(|| moments(0..2, 8))
}

#[test]
fn drives_are_described() {
    let moments = driven();
    assert!(moments.len() > 500, "{}", moments.len());
    let mut words = BTreeSet::new();
    let mut classes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (k, m) in moments.iter().enumerate() {
        let told = Some(Reason::told(m.decision.binding, &m.facts));
        for action in [m.driven.action, m.planned.action] {
            let text = describe::reasoning(&m.facts, action, told, k as u64);
            assert_eq!(read_back(&text), action, "{text}");
            assert!(only_seen(&text, &m.facts), "{text} {:?}", m.facts);
            words.extend(text.to_lowercase().split(|c: char| !c.is_alphabetic()).map(str::to_owned));
        }
        for (name, class) in describe::aux(&m.facts) {
            let known = TARGETS.iter().find(|t| t.0 == name).unwrap();
            assert!(known.1.contains(&class.as_str()), "{name} {class}");
            classes.entry(name).or_default().insert(class);
        }
    }
    assert!(words.len() < 400, "{}", words.len());
    let knowable = |m: &&Moment| {
        let told = Reason::told(m.decision.binding, &m.facts);
        describe::knowable(&m.facts, m.driven.action, m.planned.action, told)
    };
    let share = moments.iter().filter(knowable).count() as f64 / moments.len() as f64;
    assert!((0.4..0.95).contains(&share), "{share}");
    // Every question of the head has something to tell apart.
    assert_eq!(classes.len(), TARGETS.len());
    assert!(classes.values().all(|c| c.len() > 1), "{classes:?}");
    let labels: BTreeSet<_> = moments.iter().map(|m| m.driven.action.path).collect();
    assert_eq!(labels.len(), 5, "{labels:?}");
}

#[test]
fn selection_evens_labels_out_and_is_the_same_each_time() {
    let pool: Vec<balance::Moment> = driven()
        .iter()
        .map(|m| balance::Moment { speed: m.facts.speed, command: m.facts.command, action: m.driven.action })
        .collect();
    let picked = balance::pick(&pool, pool.len() / 5, 3);
    assert_eq!(picked.len(), pool.len() / 5);
    assert_eq!(picked, balance::pick(&pool, pool.len() / 5, 3));
    assert_ne!(picked, balance::pick(&pool, pool.len() / 5, 4));
    assert!(picked.windows(2).all(|w| w[0] < w[1]));
    let chosen: Vec<balance::Moment> = picked.iter().map(|&i| pool[i]).collect();
    let share = |moments: &[balance::Moment]| {
        let counts = balance::Counts::of(moments.iter().copied());
        let n = moments.len() as f64;
        let most = |c: &[usize]| c.iter().max().map_or(0.0, |m| *m as f64 / n);
        (most(&counts.speed), most(&counts.path))
    };
    let (before, after) = (share(&pool), share(&chosen));
    assert!(after.0 < before.0 && after.1 < before.1, "{before:?} {after:?}");
    let (whole, floor) = (balance::blind_floor(&pool, &pool), balance::blind_floor(&chosen, &chosen));
    assert!(floor.joint < whole.joint && floor.speed_f1 < whole.speed_f1, "{whole:?} {floor:?}");
    assert_eq!(balance::pick(&pool, 10 * pool.len(), 3).len(), pool.len());
    assert!(balance::pick(&[], 5, 0).is_empty());
}

#[test]
fn the_blind_floor_of_known_tables() {
    use scene::{MetaAction, PathAction as P, SpeedAction as S};
    use sim::describe::Command;
    let moment = |speed: f32, action| balance::Moment { speed, command: Command::Follow, action };
    let (go, halt) = (MetaAction::new(S::Keep, P::Straight), MetaAction::new(S::Stop, P::Straight));
    // The speed tells everything.
    let told: Vec<_> = (0..10).map(|i| if i < 5 { moment(10.0, go) } else { moment(0.0, halt) }).collect();
    let floor = balance::blind_floor(&told, &told);
    assert_eq!((floor.speed_f1, floor.path_f1, floor.joint), (1.0, 1.0, 1.0));
    // The speed tells nothing: one class is always wrong, the other has F1 2/3.
    let blind: Vec<_> = (0..10).map(|i| moment(10.0, if i < 5 { go } else { halt })).collect();
    let floor = balance::blind_floor(&blind, &blind);
    assert!((floor.speed_f1 - 1.0 / 3.0).abs() < 1e-12 && (floor.joint - 0.5).abs() < 1e-12, "{floor:?}");
}
