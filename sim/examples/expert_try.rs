//! Scratch.
#![allow(clippy::unwrap_used, missing_docs)]
use sim::{drive, event::EventKind, expert::RuleExpert, families, policy::*, world::World};
use std::sync::Arc;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let policy = args.get(1).map_or("expert", |s| s.as_str());
    let only = args.get(2).cloned();
    let seeds: Vec<u64> = args.get(3).map_or((0..5).collect(), |s| {
        let (a, b) = s.split_once("..").unwrap();
        (a.parse().unwrap()..b.parse().unwrap()).collect()
    });
    let mut worlds = Vec::new();
    for f in families::ALL {
        if only.as_ref().is_some_and(|o| o != "all" && o != f.name) {
            continue;
        }
        for &s in &seeds {
            match std::panic::catch_unwind(|| (f.make)(s)) {
                Ok(sc) => worlds.push(Arc::new(World::new(sc))),
                Err(_) => println!("PANIC {} {s}", f.name),
            }
        }
    }
    let mut p: Box<dyn Policy> = match policy {
        "expert" => Box::new(RuleExpert::default()),
        "idm" => Box::new(IdmOnly),
        _ => Box::new(ConstantSpeed),
    };
    let clock = std::time::Instant::now();
    let trace = std::env::var("TRACE").is_ok();
    if trace {
        let mut e = RuleExpert::default();
        drive::drive(worlds.clone(), &mut Traced(&mut e), drive::Options { record: false, steps: 2000 }, |_, _| {});
        return;
    }
    let episodes = drive::drive(worlds, p.as_mut(), drive::Options { record: false, steps: 2000 }, |_, _| {});
    let (mut total, mut n) = (0.0, 0.0);
    let mut by: std::collections::BTreeMap<String, (f64, f64)> = Default::default();
    for e in &episodes {
        let mut factor = 1.0f64;
        let mut text = String::new();
        for ev in &e.events {
            let c = match ev.kind {
                EventKind::CollisionPedestrian => 0.5,
                EventKind::CollisionVehicle => 0.6,
                EventKind::CollisionStatic => 0.65,
                EventKind::RedLight => 0.7,
                EventKind::StopSign => 0.8,
                EventKind::YieldEmergency => 0.7,
                EventKind::Timeout => 0.7,
                _ => 1.0,
            };
            factor *= c;
            if !matches!(ev.kind, EventKind::Complete | EventKind::NearMiss) {
                text += &format!(
                    " {:?}@{:.1}(o{} v{:.1} {:.0},{:.0})",
                    ev.kind,
                    ev.step as f32 * 0.1,
                    ev.other,
                    ev.value,
                    ev.x,
                    ev.y
                );
            }
        }
        let out = if e.driven > 0.0 { e.outside / e.driven } else { 0.0 };
        factor *= 1.0 - f64::from(out);
        let ds = 100.0 * e.completion() * factor;
        total += ds;
        n += 1.0;
        let b = by.entry(e.world.scenario.family.clone()).or_default();
        *b = (b.0 + ds, b.1 + 1.0);
        let lim = e.samples.len() as f32 * 0.1;
        println!(
            "{:24} ds {:5.1} rc {:5.1} out {:4.1}% t {:4.1}/{:4.1} {:?}{}",
            e.world.scenario.name,
            ds,
            100.0 * e.completion(),
            100.0 * out,
            lim,
            e.world.scenario.duration,
            e.end,
            text
        );
    }
    for (f, (s, k)) in by {
        println!("{f:24} {:.1}", s / k);
    }
    let steps: usize = episodes.iter().map(|e| e.samples.len()).sum();
    println!("DS {:.1}  {:.2} ms/step", total / n, clock.elapsed().as_secs_f64() * 1e3 / steps as f64);
}

struct Traced<'a>(&'a mut RuleExpert);
impl Policy for Traced<'_> {
    fn name(&self) -> &str {
        ""
    }
    fn reset(&mut self, b: &sim::Batch) {
        self.0.reset(b)
    }
    fn act(&mut self, b: &sim::Batch, a: &mut [sim::Action]) {
        self.0.act(b, a);
        let sc = b.scene(0);
        if sc.head.step % 5 == 0 && !sc.head.done {
            let d = self.0.decision(0).unwrap();
            println!(
                "{:4.1} s {:5.1} lat {:5.2} v {:4.1} a {:5.2} steer {:5.2} -> acc {:5.2} st {:5.2} | {:?} {:?} touch {:?} v4 {:.1} off {:.1?}",
                sc.time(),
                sc.s[0],
                sc.lat[0],
                sc.v[0],
                sc.a[0],
                sc.steer[0],
                a[0].accel,
                a[0].steer,
                d.binding,
                d.around,
                d.touch,
                d.speeds[8],
                d.offsets
            );
            if std::env::var("TRACE").unwrap() == "2" {
                for i in 1..sc.agents() {
                    if sc.present(i) {
                        let p = sc.world.route().unwrap().project_anywhere(sc.x[i], sc.y[i]);
                        if p.lat.abs() < 15.0 && (p.s - sc.s[0]).abs() < 60.0 {
                            println!(
                                "       {i} {:?} {:?} ds {:.1} lat {:.1} v {:.1} a {:.1}",
                                sc.world.agents[i].kind,
                                sc.world.agents[i].control,
                                p.s - sc.s[0],
                                p.lat,
                                sc.v[i],
                                sc.a[i]
                            );
                        }
                    }
                }
            }
        }
    }
}
