mod common;
use sim::*;
use std::sync::Arc;
#[test]
fn dbg() {
    for (fam, seed, until) in [("two_way_bypass", 1, 400), ("occluded_pedestrian", 2, 22), ("two_way_bypass", 5, 300)] {
        let w = Arc::new(World::new((families::find(fam).unwrap().make)(seed)));
        let mut b = Batch::new(vec![w.clone()]);
        for _ in 0..until {
            let a = common::simple_driver(&b.scene(0));
            b.step_scene(0, a);
        }
        let s = b.scene(0);
        println!("{fam} {seed}");
        for i in 0..s.agents() {
            println!(
                "  {i} {:?} {:?} at {:.1} {:.1} h {:.2} size {:?} v {:.1} a {:.1} path {} s {:.1} lat {:.1} goal {:.1} wait {} flags {} brake {} desired {} script {:?}",
                w.agents[i].kind,
                w.agents[i].control,
                s.x[i],
                s.y[i],
                s.heading[i],
                w.agents[i].size,
                s.v[i],
                s.a[i],
                s.path[i] as i32,
                s.s[i],
                s.lat[i],
                s.lat_goal[i],
                s.waiting[i],
                s.flags[i],
                s.brake[i],
                s.desired[i],
                w.agents[i].script
            );
        }
        for p in &w.scenario.map.props {
            println!("    {:?} {:?} {:?}", p.kind, p.at, p.size);
        }
        for (k, p) in w.paths.iter().enumerate() {
            println!(
                "    path {k} len {} blocks {:?} stops {:?}",
                p.length(),
                p.blocks.iter().filter(|b| b.lat.0 < 1.2 && b.lat.1 > -1.2).collect::<Vec<_>>(),
                p.stops
            );
            for q in 0..w.paths.len() {
                if !w.conflicts.between(k, q).is_empty() {
                    println!("       with {q}: {:?}", w.conflicts.between(k, q));
                }
            }
        }
    }
}
