//! Temporary measurement.
use rayon::prelude::*;
use sim::{
    Action, Batch, World,
    families::{self, Family},
    render::{Actor, Camera, Frame, Stage, Style},
    view,
};
use std::{hint::black_box, sync::Arc, time::Instant};

fn cpu() -> f64 {
    let mut ns = 0.0;
    for t in std::fs::read_dir("/proc/self/task").unwrap() {
        let p = t.unwrap().path().join("schedstat");
        if let Ok(s) = std::fs::read_to_string(p) {
            ns += s.split_whitespace().next().unwrap().parse::<f64>().unwrap();
        }
    }
    ns * 1e-9
}

fn worlds(count: usize) -> Vec<Arc<World>> {
    let evaluated: Vec<&Family> = families::ALL.iter().filter(|f| !f.abilities.is_empty()).collect();
    let kinds = (5 * evaluated.len()).max(1);
    let distinct: Vec<Arc<World>> = (0..kinds.min(count))
        .into_par_iter()
        .map(|i| Arc::new(World::new((evaluated[i % evaluated.len()].make)(2000 + (i / evaluated.len()) as u64))))
        .collect();
    (0..count).map(|i| Arc::clone(&distinct[i % distinct.len()])).collect()
}

fn camera(name: &str) -> Camera {
    match name {
        "tiny" => Camera::tiny(),
        "mid" => Camera::mid(),
        _ => Camera::vlm(),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mode = args[1].as_str();
    let cam = camera(&args[2]);
    let look: fn(u32) -> Style = if args[3] == "plain" { Style::plain } else { Style::rich };
    let n: usize = args[4].parse().unwrap();
    let worlds = worlds(if mode == "dump" { 120 } else { 256 });
    let stages: Vec<Stage> = worlds.iter().map(|w| Stage::new(&w.scenario.map)).collect();
    let styles: Vec<Style> = (0..worlds.len()).map(|i| look(i as u32)).collect();
    let mut batch = Batch::new(worlds);
    let actions = vec![Action::default(); batch.len()];
    if mode == "dump" {
        // Raw RGB of every frame after n steps, one file.
        use std::io::Write;
        (0..n).for_each(|_| batch.step(&actions));
        let mut out = std::io::BufWriter::new(std::fs::File::create(&args[5]).unwrap());
        let (mut actors, mut frame) = (Vec::new(), Frame::new(false));
        for i in 0..batch.len() {
            let scene = batch.scene(i);
            for viewer in (0..scene.agents()).filter(|&a| !scene.head.done && scene.present(a)) {
                view::look(&scene, viewer, &stages[i], &cam, &styles[i], &mut actors, &mut frame);
                out.write_all(&frame.rgb).unwrap();
            }
        }
        return;
    }
    let (mut best, mut least) = (f64::MAX, f64::MAX);
    for _ in 0..n {
        (0..batch.len()).for_each(|i| batch.reset(i));
        let (mut done, mut wall, mut used) = (0, 0.0, 0.0);
        for _ in 0..10 {
            for i in 0..batch.len() {
                let s = batch.scene(i);
                if !s.head.done {
                    done += (0..s.agents()).filter(|&a| s.present(a)).count();
                }
            }
            let (t, c) = (Instant::now(), cpu());
            batch.step(&actions);
            (0..batch.len()).into_par_iter().for_each_init(
                || (Vec::<Actor>::new(), Frame::new(false)),
                |(actors, frame), i| {
                    let scene = batch.scene(i);
                    for viewer in (0..scene.agents()).filter(|&a| !scene.head.done && scene.present(a)) {
                        view::look(&scene, viewer, &stages[i], &cam, &styles[i], actors, frame);
                        black_box(&frame.rgb);
                    }
                },
            );
            wall += t.elapsed().as_secs_f64();
            used += cpu() - c;
        }
        best = best.min(1e6 * wall / done as f64);
        least = least.min(1e6 * used / done as f64);
    }
    println!("{} {}: wall {best:.2} us ({:.0}/s), cpu {least:.2} us", args[2], args[3], 1e6 / best);
}
