//! Scratch.
mod common;
use sim::batch::flag;
use sim::{Batch, World, families};
use std::sync::Arc;
#[test]
fn survey() {
    for family in families::ALL {
        let mut line = String::new();
        for seed in 0..6 {
            let Ok(scenario) = std::panic::catch_unwind(|| (family.make)(seed)) else {
                line += &format!("  {seed} PANIC\n");
                continue;
            };
            let world = Arc::new(World::new(scenario));
            let mut batch = Batch::new(vec![world.clone()]);
            let mut crashed = vec![];
            let mut steps = 0;
            let mut maxwait = (0u32, 0usize, 0usize);
            for k in 0..1200 {
                let a = common::simple_driver(&batch.scene(0));
                batch.step_scene(0, a);
                let sc = batch.scene(0);
                for i in 1..sc.agents() {
                    if sc.flags[i] & flag::CRASHED != 0 && !crashed.iter().any(|c: &(usize, usize)| c.0 == i) {
                        crashed.push((i, k));
                    }
                    let moves = !matches!(world.agents[i].control, sim::scenario::Control::Static)
                        && sc.flags[i] & flag::STARTED != 0
                        && sc.present(i)
                        && sc.flags[i] & flag::CRASHED == 0;
                    if moves && world.agents[i].control == sim::scenario::Control::Idm && sc.waiting[i] > maxwait.0 {
                        maxwait = (sc.waiting[i], i, k);
                    }
                }
                if sc.head.done {
                    break;
                }
                steps = k;
            }
            let sc = batch.scene(0);
            let ev: Vec<String> =
                sc.head.log.events().iter().map(|e| format!("{:?}@{}({})", e.kind, e.step, e.other)).collect();
            line += &format!(
                "  {seed}: n={} paths={} steps={steps} v={:.1} prog={:.0}/{:.0} crashed={crashed:?} wait={maxwait:?} {}\n",
                sc.agents(),
                world.paths.len(),
                sc.v[0],
                sc.head.progress,
                world.goal,
                ev.join(" ")
            );
        }
        println!("{}\n{line}", family.name);
    }
}
