//! Scratch.
#![allow(clippy::unwrap_used, missing_docs)]
use eval::{driving, report};
use sim::{drive, expert::RuleExpert, policy::*, world::World};
use std::sync::Arc;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let suite = driving::Suite::named(&args[2]).unwrap();
    let worlds: Vec<_> = suite.scenarios().into_iter().map(|s| Arc::new(World::new(s))).collect();
    let mut p: Box<dyn Policy> = match args[1].as_str() {
        "expert" => Box::new(RuleExpert::default()),
        "idm" => Box::new(IdmOnly),
        _ => Box::new(ConstantSpeed),
    };
    let name = p.name().to_owned();
    let t = std::time::Instant::now();
    let episodes = drive::drive(worlds, p.as_mut(), drive::Options::default(), |_, _| {});
    eprintln!("driven {:.1}", t.elapsed().as_secs_f64());
    let routes = episodes.iter().map(driving::route).collect();
    let r = driving::report(&name, &args[2], routes, Default::default());
    eprintln!("scored {:.1}", t.elapsed().as_secs_f64());
    let shown: Vec<_> =
        episodes.iter().map(|e| report::Shown { replay: driving::replay::replay(e), camera: vec![] }).collect();
    std::fs::write(&args[3], report::driving_page(&r, &shown).unwrap()).unwrap();
    let f = |f: Option<eval::metrics::bootstrap::Figure>| {
        f.map_or("-".into(), |f| format!("{:.1} ±{:.1}", f.value, f.half_width()))
    };
    println!(
        "DS {} SR {} RC {} eff {} effall {} comf {} fixed {} ttc {} min {} hd {} pdms {} abil {:?}",
        f(r.driving_score),
        f(r.success_rate),
        f(r.completion),
        f(r.efficiency),
        f(r.efficiency_all),
        f(r.comfort),
        f(r.comfort_fixed),
        f(r.ttc_mean),
        f(r.ttc_min),
        f(r.hd_score),
        f(r.hd_pdms),
        r.ability_mean
    );
    for a in &r.abilities {
        println!("{:?} {} {}", a.ability, a.routes, f(a.success));
    }
    let mut fam: std::collections::BTreeMap<&str, (f64, f64, f64)> = Default::default();
    for r in &r.routes {
        let e = fam.entry(&r.family).or_default();
        e.0 += r.comfort.unwrap_or(0.0);
        e.1 += 1.0;
        e.2 += r.infractions.iter().filter(|i| i.kind == "near miss").count() as f64;
    }
    for (k, v) in fam {
        println!("{k} comfort {:.2} near {}", v.0 / v.1, v.2);
    }
    if let Ok(n) = std::env::var("A") {
        for e in episodes.iter().filter(|e| e.world.scenario.name == n) {
            for (i, s) in e.samples.iter().enumerate() {
                print!(
                    "{}",
                    if i % 10 == 0 { format!("\n{:5.1} v {:4.1}: ", i as f32 * 0.1, s.v) } else { " ".into() }
                );
                print!("{:5.2}", s.a);
            }
        }
        println!();
    }
    let mut bad = [0usize; 6];
    for e in &episodes {
        for c in e.samples.chunks_exact(20) {
            let max = |f: &dyn Fn(usize) -> f32, n: usize| (0..n).map(|i| f(i).abs()).fold(0.0f32, f32::max);
            let jerk = max(&|i| (c[i + 3].a - c[i].a) / 0.3, 17);
            let lo = c.iter().map(|s| s.a).fold(0.0f32, f32::min);
            let hi = c.iter().map(|s| s.a).fold(0.0f32, f32::max);
            let lat = max(&|i| c[i].v * c[i].yaw_rate, 20);
            let yaw = max(&|i| c[i].yaw_rate, 20);
            if jerk > 4.13 {
                bad[0] += 1
            }
            if lo < -4.05 {
                bad[1] += 1
            }
            if hi > 2.4 {
                bad[2] += 1
            }
            if lat > 4.89 {
                bad[3] += 1
            }
            if yaw > 0.95 {
                bad[4] += 1
            }
            bad[5] += 1;
        }
    }
    println!("jerk {} brake {} accel {} lat {} yaw {} of {}", bad[0], bad[1], bad[2], bad[3], bad[4], bad[5]);
    let hd: Vec<_> = r.routes.iter().filter_map(|r| r.hd).collect();
    let n = hd.len() as f64;
    println!(
        "nc {:.3} dac {:.3} ttc {:.3} c {:.3}",
        hd.iter().map(|h| h.nc).sum::<f64>() / n,
        hd.iter().map(|h| h.dac).sum::<f64>() / n,
        hd.iter().map(|h| h.ttc).sum::<f64>() / n,
        hd.iter().map(|h| h.comfort).sum::<f64>() / n
    );
    for l in &r.infractions {
        if l.count > 0 {
            println!("{} {}", l.kind, l.count);
        }
    }
}
