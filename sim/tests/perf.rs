//! Scratch.
mod common;
use sim::scenario::*;
use sim::*;
use std::sync::Arc;
use std::time::Instant;
pub fn busy(seed: u64) -> Scenario {
    let mut s = common::straight(4, 1500.0, 10.0);
    let mut rng = sim::rng::Rng::new(seed, "busy");
    for k in 1..32 {
        let lane = k % 4;
        let mut a = common::car(
            Control::Idm,
            [20.0 + 12.0 * (k / 4 + usize::from(lane == 0)) as f32 + rng.range(0.0, 3.0), 3.5 * lane as f32, 0.0],
            rng.range(6.0, 12.0),
            &[lane],
        );
        a.desired_speed = rng.range(7.0, 16.0);
        a.driver = Some(Driver { mobil: true, ..Driver::default() });
        s.agents.push(a);
    }
    s
}
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    s.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1e-9
}
#[test]
fn perf() {
    let worlds: Vec<_> = (0..64).map(|k| Arc::new(World::new(busy(k)))).collect();
    let mut b = Batch::new(worlds);
    let act = Action { accel: 0.2, steer: 0.0 };
    for round in 0..3 {
        let t = cpu();
        for _ in 0..100 {
            for i in 0..64 {
                b.step_scene(i, act);
            }
        }
        println!("{round}: {:.2} M agent steps/s of one core", 64.0 * 32.0 * 100.0 / (cpu() - t) / 1e6);
    }
    let t = cpu();
    for k in 0..200 {
        let mut f = b.fork(k % 64, 1);
        for _ in 0..40 {
            f.step_scene(0, act);
        }
    }
    println!("fork + 4 s: {:.3} ms", (cpu() - t) * 1e3 / 200.0);
    println!(
        "present {} done {} crashed {}",
        (0..32).filter(|&i| b.scene(0).present(i)).count(),
        b.scene(0).head.done,
        (0..32).filter(|&i| b.scene(0).flags[i] & sim::batch::flag::CRASHED != 0).count()
    );
}
