//! Facts, labels and texts over drives of the rule expert.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use sim::describe::{self, balance, Driven, Facts, Reason, Sight};
use sim::drive::{Options, drive};
use sim::expert::{Decision, RuleExpert};
use sim::policy::Policy;
use sim::render::{Camera, Frame, Stage, Style};
use sim::{Action, Batch, World, families, view};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A moment of a drive with everything that is said of it.
struct Moment {
    name: String,
    scene: usize,
    step: u32,
    facts: Facts,
    decision: Option<Decision>,
    driven: Driven,
    planned: Option<Driven>,
}

/// Keeps the batch's expert within reach of the observer.
struct Shared(std::rc::Rc<std::cell::RefCell<RuleExpert>>);

impl Policy for Shared {
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

fn moments(names: &[&str], seeds: std::ops::Range<u64>, every: u32, pictures: Option<&str>) -> Vec<Moment> {
    let mut worlds = Vec::new();
    for name in names {
        let family = families::find(name).unwrap();
        for seed in seeds.clone() {
            if let Ok(scenario) = std::panic::catch_unwind(|| (family.make)(seed)) {
                worlds.push(Arc::new(World::new(scenario)));
            }
        }
    }
    let stages: Vec<Stage> = worlds.iter().map(|w| Stage::new(&w.scenario.map)).collect();
    let expert = std::rc::Rc::new(std::cell::RefCell::new(RuleExpert::default()));
    let mut policy = Shared(expert.clone());
    let camera = Camera::new(224, 112, 70.0);
    let (mut frame, mut buffer) = (Frame::new(true), Vec::new());
    let mut notes = Vec::new();
    let mut done = vec![u32::MAX; worlds.len()];
    let episodes = drive(worlds, &mut policy, Options::default(), |batch, _| {
        for i in 0..batch.len() {
            let scene = batch.scene(i);
            if scene.head.done || scene.head.step % every != 0 || done[i] == scene.head.step {
                continue;
            }
            done[i] = scene.head.step;
            let style = Style::rich(i as u32);
            view::look(&scene, 0, &stages[i], &camera, &style, &mut buffer, &mut frame);
            let sight = Sight::of(&scene, &camera, &style, &frame);
            let facts = describe::facts(&scene, &sight);
            if let Some(folder) = pictures {
                let mut bytes = format!("P6 {} {} 255\n", frame.width, frame.height).into_bytes();
                bytes.extend(&frame.rgb);
                std::fs::write(format!("{folder}/{i}_{}.ppm", scene.head.step), bytes).unwrap();
            }
            let decision = expert.borrow().decision(i).cloned();
            let planned = decision.as_ref().map(|d| describe::planned(&scene, &d.plan).unwrap());
            notes.push((i, scene.head.step, facts, decision, planned));
        }
    });
    notes
        .into_iter()
        .filter_map(|(scene, step, facts, decision, planned)| {
            let episode = &episodes[scene];
            let at = |k: u32| episode.samples.get((step + k) as usize).map(|s| [s.x, s.y, s.heading]);
            let future: Option<Vec<_>> = (1..=8).map(|k| at(5 * k)).collect();
            let driven = describe::driven(&episode.world, at(0)?, facts.speed, &future?).unwrap();
            let name = episode.world.scenario.name.clone();
            Some(Moment { name, scene, step, facts, decision, driven, planned })
        })
        .collect()
}

#[test]
#[ignore = "prints moments for the eye"]
fn show() {
    let names: Vec<String> =
        std::env::var("FAMILIES").unwrap_or("signal".into()).split(',').map(str::to_owned).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let seeds = std::env::var("SEEDS").map_or(1, |s| s.parse().unwrap());
    let every = std::env::var("EVERY").map_or(5, |s| s.parse().unwrap());
    let pictures = std::env::var("PICTURES").ok();
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    let mut causes: BTreeMap<String, usize> = BTreeMap::new();
    let mut words = std::collections::BTreeSet::new();
    let mut all_moments = Vec::new();
    let (mut agree, mut all) = ([0, 0], 0);
    let quiet = std::env::var("QUIET").is_ok();
    for m in moments(&names, 0..seeds, every, pictures.as_deref()) {
        let told = m.decision.as_ref().map(|d| Reason::told(d.binding, &m.facts));
        let text = describe::reasoning(&m.facts, m.driven.action, told, u64::from(m.step));
        *labels.entry(format!("{} {}", m.driven.action.speed, m.driven.action.path)).or_default() += 1;
        let reason = sim::describe::reason::choose(&m.facts, m.driven.action, told);
        let bound = m.decision.as_ref().map_or(String::new(), |d| format!("{:?}", d.binding));
        let bound = bound.split('(').next().unwrap().to_owned();
        let reason = format!("{reason:?}").split('(').next().unwrap().to_owned();
        *causes.entry(format!("{reason} told {bound} {}", m.driven.action.speed)).or_default() += 1;
        for word in text.to_lowercase().split(|c: char| !c.is_alphabetic()) {
            words.insert(word.to_owned());
        }
        all_moments.push(balance::Moment { speed: m.facts.speed, command: m.facts.command, action: m.driven.action });
        let planned = m.planned.as_ref().unwrap().action;
        all += 1;
        agree[0] += usize::from(planned.speed == m.driven.action.speed);
        agree[1] += usize::from(planned.path == m.driven.action.path);
        if !quiet {
            println!(
                "{} {}/{} {:5.1} m/s [{}] {} | {text} | {:?} off {:.1} | {planned} | {:?}",
                m.name,
                m.scene,
                m.step,
                m.facts.speed,
                m.facts.command.as_str(),
                m.driven.action,
                m.decision.as_ref().map(|d| (d.binding, d.around)),
                m.facts.off,
                describe::aux(&m.facts)
            );
        }
    }
    println!("{} words: {:?}", words.len(), words);
    let pool: Vec<balance::Moment> = all_moments.clone();
    let picked = balance::pick(&pool, pool.len() / 4, 1);
    let picked: Vec<_> = picked.into_iter().map(|i| pool[i]).collect();
    println!("{}{:?}", balance::Counts::of(pool.iter().copied()), balance::blind_floor(&pool, &pool));
    println!("{}{:?}", balance::Counts::of(picked.iter().copied()), balance::blind_floor(&picked, &picked));
    println!("{labels:#?} {causes:#?} plan agrees {agree:?} of {all}");
}
