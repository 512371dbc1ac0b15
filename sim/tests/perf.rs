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
#[test]
fn perf() {
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let worlds: Vec<_> = (0..256).map(|k| Arc::new(World::new(busy(k)))).collect();
            let mut b = Batch::new(worlds);
            let acts = vec![Action { accel: 0.2, steer: 0.0 }; 256];
            let t = Instant::now();
            for _ in 0..300 {
                b.step(&acts);
            }
            let dt = t.elapsed().as_secs_f64();
            println!("{threads} threads: {:.2} M agent steps/s", 256.0 * 32.0 * 300.0 / dt / 1e6);
            let t = Instant::now();
            for k in 0..200 {
                let mut f = b.fork(k, 1);
                for _ in 0..40 {
                    f.step_scene(0, acts[0]);
                }
            }
            println!("fork + 4 s: {:.3} ms", t.elapsed().as_secs_f64() * 1e3 / 200.0);
        });
    }
}
