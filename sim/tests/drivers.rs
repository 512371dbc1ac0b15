//! Drivers with a fault of their own are worse in it than the expert, and still drive; the expert drives as ever.
#![allow(clippy::unwrap_used)]

use sim::{
    Batch, Scene,
    boxes::Obb,
    driver::Driver,
    event::EventKind::{self, *},
    families,
    moment::Drive,
    path::NO_LANE,
    scenario::Control,
};

/// Seeds of each family that are driven.
const SEEDS: std::ops::Range<u64> = 3000..3003;

/// What a driver did wrong on some drives.
#[derive(Debug, Default)]
struct Faults {
    drives: f64,
    completed: f64,
    steps: f64,
    /// Steps with more than 4 m/s² of braking.
    harsh: f64,
    bends: f64,
    /// Steps in bends with a side over the inner edge of the lane.
    over_edge: f64,
    /// Metres to the inside in bends, summed over their steps.
    inside: f64,
    following: f64,
    /// Steps at more than 2 m/s within 0.5 m of somebody on foot or of something that stands.
    close: f64,
    /// Steps less than 0.8 s behind the one ahead.
    short_gap: f64,
    near_misses: f64,
    collisions: f64,
    red_lights: f64,
    stop_signs: f64,
    off_road: f64,
}

impl Faults {
    fn of(driver: Driver) -> Faults {
        let mut faults = Faults::default();
        for family in families::ALL {
            for seed in SEEDS {
                let mut drive = Drive::new(family, seed, driver);
                while !drive.done() {
                    drive.decide();
                    drive.step();
                    faults.step(&drive.batch);
                }
                let head = drive.batch.scene(0).head;
                faults.drives += 1.0;
                head.log.events().iter().for_each(|e| faults.event(e.kind));
            }
        }
        faults
    }

    fn event(&mut self, kind: EventKind) {
        match kind {
            Complete => self.completed += 1.0,
            NearMiss => self.near_misses += 1.0,
            CollisionPedestrian | CollisionVehicle | CollisionStatic => self.collisions += 1.0,
            RedLight => self.red_lights += 1.0,
            StopSign => self.stop_signs += 1.0,
            OffRoad => self.off_road += 1.0,
            _ => {}
        }
    }

    fn step(&mut self, batch: &Batch) {
        let scene = batch.scene(0);
        let Some(route) = scene.world.route() else { return };
        let i = route.index(scene.s[0]);
        self.steps += 1.0;
        self.harsh += count(scene.a[0] < -4.0);
        if route.kappa[i].abs() > 0.015 && route.lane[i] != NO_LANE {
            let inside = scene.lat[0] * route.kappa[i].signum();
            let width = scene.world.road.lanes[route.lane[i] as usize].width;
            self.bends += 1.0;
            self.inside += f64::from(inside);
            self.over_edge += count(inside + scene.world.half_width[0] > 0.5 * width);
        }
        self.close += count(scene.v[0] > 2.0 && close(&scene));
        if let Some(gap) = gap(&scene) {
            self.following += 1.0;
            self.short_gap += count(gap < 0.8);
        }
    }
}

fn count(so: bool) -> f64 {
    f64::from(u8::from(so))
}

/// Whether somebody on foot or something that stands is within 0.5 m of ego's box.
fn close(scene: &Scene<'_>) -> bool {
    let [length, width] = [scene.world.half_length[0] + 0.5, scene.world.half_width[0] + 0.5];
    let wide = Obb { half_length: length, half_width: width, ..obb(scene, 0) };
    (1..scene.agents()).any(|i| {
        let agent = &scene.world.agents[i];
        let stands = agent.control == Control::Static || agent.kind.is_pedestrian();
        scene.present(i) && stands && wide.overlaps(&obb(scene, i))
    })
}

fn obb(scene: &Scene<'_>, i: usize) -> Obb {
    Obb {
        x: scene.x[i],
        y: scene.y[i],
        cos: scene.cos[i],
        sin: scene.sin[i],
        half_length: scene.world.half_length[i],
        half_width: scene.world.half_width[i],
    }
}

/// Seconds to whoever drives ahead in ego's lane, up to 3.
fn gap(scene: &Scene<'_>) -> Option<f32> {
    let (route, v) = (scene.world.route()?, scene.v[0]);
    let gaps = (1..scene.agents()).filter(|&i| scene.present(i) && scene.v[i] > 2.0).filter_map(|i| {
        let there = route.project(scene.x[i], scene.y[i], scene.s[0] + 25.0, 30.0);
        let metres = there.s - scene.s[0] - scene.world.half_length[0] - scene.world.half_length[i];
        (there.lat - scene.lat[0]).abs().lt(&1.2).then_some(metres).filter(|m| *m > 0.0)
    });
    let metres = gaps.fold(f32::MAX, f32::min);
    (v > 3.0 && metres < 3.0 * v).then_some(metres / v)
}

#[test]
fn each_has_its_own_fault_and_still_drives() {
    let [expert, late, cutting, close] = Driver::ALL.map(Faults::of);
    for (driver, faults) in Driver::ALL.into_iter().zip([&expert, &late, &cutting, &close]) {
        println!("{} {faults:?}", driver.name());
        assert!(faults.completed > 0.9 * faults.drives, "{}: {faults:?}", driver.name());
    }
    let harsh = |f: &Faults| f.harsh / f.steps;
    let over_edge = |f: &Faults| f.over_edge / f.bends;
    let inside = |f: &Faults| f.inside / f.bends;
    let short_gap = |f: &Faults| f.short_gap / f.following;
    assert!(harsh(&late) > 3.0 * harsh(&expert), "{late:?}");
    assert!(over_edge(&cutting) > 0.3 && over_edge(&expert) < 0.05, "{cutting:?}");
    assert!(inside(&cutting) > inside(&expert) + 0.5, "{cutting:?}");
    assert!(short_gap(&close) > 0.2 && short_gap(&expert) < 0.05, "{close:?}");
    // In the faults of others they are near the expert.
    assert!(harsh(&cutting) < 2.0 * harsh(&expert) && short_gap(&cutting) < 0.05, "{cutting:?}");
    assert!(over_edge(&late) < 0.05 && short_gap(&late) < 0.05, "{late:?}");
    assert!(over_edge(&close) < 0.05, "{close:?}");
}

#[test]
fn the_expert_drives_as_ever() {
    let mut all = 0u64;
    for family in families::ALL {
        let mut drive = Drive::new(family, 5, Driver::Expert);
        for _ in 0..120 {
            if drive.done() {
                break;
            }
            drive.decide();
            drive.step();
        }
        all = sim::rng::hash(all, drive.batch.hash(0));
    }
    assert_eq!(all, 12_070_004_552_144_426_496);
}
