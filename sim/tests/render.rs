//! The renderer: known geometry, visibility, lamps, equal pixels from vector and portable code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use sim::render::{Actor, Camera, Frame, Stage, Style, birds_eye, draw};
use sim::scenario::*;
use std::f32::consts::PI;

fn straight(y: f32) -> Vec<Point> {
    (0..30).map(|i| [i as f32 * 10.0 - 60.0, y]).collect()
}

/// A road along x with two lanes each way, pavements, a crossing at 40 m, a light, signs, houses and trees.
fn town() -> Map {
    let lane = |y: f32, reverse: bool| {
        let mut points = straight(y);
        if reverse {
            points.reverse();
        }
        Lane {
            points,
            width: 3.5,
            limit: 13.9,
            next: vec![],
            left: None,
            right: None,
            turn: Turn::None,
            kind: LaneKind::Road,
        }
    };
    let line = |y: f32, mark: Mark| Line { points: straight(y), mark };
    let strip = |y0: f32, y1: f32| vec![[-60.0, y0], [230.0, y0], [230.0, y1], [-60.0, y1]];
    let prop = |kind, x: f32, y: f32, heading: f32, size| Prop { kind, at: [x, y], heading, size };
    let mut props = Vec::new();
    for i in 0..8 {
        let x = i as f32 * 22.0 - 10.0;
        props.push(prop(PropKind::Building, x, 18.0, 0.0, [16.0, 9.0, 6.0 + (i % 3) as f32 * 3.0]));
        props.push(prop(PropKind::Tree, x + 9.0, -10.5, 0.0, [3.5, 3.5, 6.5]));
        props.push(prop(PropKind::Hedge, x, -13.0, 0.0, [12.0, 1.2, 1.5]));
    }
    for i in 0..5 {
        props.push(prop(PropKind::Cone, 14.0 + 3.0 * i as f32, -6.2 + 0.3 * i as f32, 0.0, [0.4, 0.4, 0.75]));
    }
    props.push(prop(PropKind::Barrier, 30.0, -5.2, 1.57, [2.5, 0.4, 1.0]));
    props.push(prop(PropKind::Container, 60.0, -11.0, 0.0, [6.0, 2.4, 2.6]));
    let light = |x: f32, y: f32| Light { at: [x, y], heading: PI, program: vec![(Lamp::Red, 10.0)], offset: 0.0 };
    let sign = |x: f32, y: f32, kind| Sign { at: [x, y], heading: PI, kind };
    Map {
        lanes: vec![lane(-1.75, false), lane(-5.25, false), lane(1.75, true), lane(5.25, true)],
        areas: vec![vec![[48.0, -40.0], [56.0, -40.0], [56.0, 40.0], [48.0, 40.0]]],
        lines: vec![
            line(0.0, Mark::YellowDouble),
            line(-3.5, Mark::Dashed),
            line(3.5, Mark::Dashed),
            line(-6.9, Mark::Solid),
            line(6.9, Mark::Solid),
        ],
        edges: vec![straight(7.2), straight(-7.2)],
        crosswalks: vec![vec![[40.0, -7.0], [44.0, -7.0], [44.0, 7.0], [40.0, 7.0]]],
        pavements: vec![strip(7.2, 10.0), strip(-10.0, -7.2)],
        stop_lines: vec![StopLine { points: [[38.5, 0.0], [38.5, -7.0]], lanes: vec![0, 1], rule: StopRule::Light(0) }],
        lights: vec![light(39.0, -7.8), light(45.0, 7.8)],
        signs: vec![
            sign(16.0, -8.2, SignKind::Limit(50)),
            sign(12.0, 8.0, SignKind::Stop),
            sign(22.0, -8.2, SignKind::Works),
            sign(18.0, 8.0, SignKind::Pedestrians),
            sign(27.0, -8.2, SignKind::Yield),
        ],
        props,
    }
}

fn actor(kind: AgentKind, id: u16, x: f32, y: f32, heading: f32) -> Actor {
    let [length, width, height] = match kind {
        AgentKind::Car => [4.6, 1.85, 1.5],
        AgentKind::Van => [5.6, 2.0, 2.3],
        AgentKind::Truck => [9.0, 2.5, 3.5],
        AgentKind::Bus => [12.0, 2.5, 3.1],
        AgentKind::Emergency => [5.8, 2.1, 2.4],
        AgentKind::Motorcycle => [2.1, 0.8, 1.6],
        AgentKind::Cyclist => [1.8, 0.6, 1.75],
        AgentKind::Pedestrian => [0.5, 0.6, 1.75],
    };
    Actor { kind, x, y, heading, length, width, height, speed: 1.4, braking: false, indicator: 0, id, phase: id as f32 }
}

fn crowd() -> Vec<Actor> {
    use AgentKind::*;
    vec![
        Actor { braking: true, ..actor(Car, 0, 25.0, -1.75, 0.0) },
        actor(Car, 1, 12.0, -5.25, 0.0),
        Actor { indicator: 1, ..actor(Car, 2, 34.0, -5.25, 0.0) },
        actor(Car, 3, 20.0, 1.75, PI),
        actor(Bus, 4, 34.0, 5.25, PI),
        actor(Truck, 5, 52.0, -1.75, 0.0),
        actor(Emergency, 6, 60.0, 1.75, PI),
        actor(Van, 7, 75.0, -5.25, 0.0),
        actor(Pedestrian, 8, 42.0, -3.0, 1.57),
        actor(Pedestrian, 9, 15.0, 8.5, 0.0),
        actor(Pedestrian, 10, 10.0, -8.0, PI),
        actor(Cyclist, 11, 18.0, -6.4, 0.0),
        actor(Motorcycle, 12, 14.0, 0.9, PI),
        actor(Cyclist, 13, 52.0, 6.0, -1.57),
        actor(Car, 14, 90.0, 1.75, PI),
        actor(Pedestrian, 15, 41.0, 5.5, -1.57),
    ]
}

fn write_ppm(frame: &Frame, path: &str) {
    let mut bytes = format!("P6\n{} {}\n255\n", frame.width, frame.height).into_bytes();
    bytes.extend(&frame.rgb);
    std::fs::write(path, bytes).unwrap();
}

/// `RENDER_OUT=dir cargo test -p reinsman-sim --release --test render pictures -- --ignored`
#[test]
#[ignore = "writes pictures to look at"]
fn pictures() {
    let out = std::env::var("RENDER_OUT").unwrap();
    let stage = Stage::new(&town());
    let actors = crowd();
    let mut frame = Frame::new(true);
    for (name, camera) in [("tiny", Camera::tiny()), ("mid", Camera::mid()), ("vlm", Camera::vlm())] {
        for seed in 0..3 {
            for (look, style) in [("plain", Style::plain(seed)), ("rich", Style::rich(seed))] {
                let lamps = [[Lamp::Red, Lamp::Green, Lamp::Yellow][seed as usize]; 2];
                let ego = [[0.0, -1.75, 0.0], [5.0, -5.0, 0.05], [-14.0, -1.75, 0.0]][seed as usize];
                draw(&stage, &actors, &lamps, 0.1, ego, &camera, &style, &mut frame);
                write_ppm(&frame, &format!("{out}/{name}_{look}_{seed}.ppm"));
            }
        }
    }
    let parade: Vec<Actor> = [
        (AgentKind::Cyclist, 0.0, 9.0, -1.2),
        (AgentKind::Truck, 0.0, 16.0, -5.25),
        (AgentKind::Motorcycle, 0.0, 12.0, -2.6),
        (AgentKind::Pedestrian, 1.57, 11.5, 0.5),
        (AgentKind::Pedestrian, -1.57, 13.5, 3.5),
        (AgentKind::Cyclist, 1.57, 14.0, 0.0),
        (AgentKind::Bus, 0.0, 32.0, -1.75),
        (AgentKind::Emergency, PI, 20.0, 5.25),
        (AgentKind::Van, PI, 26.0, 1.75),
        (AgentKind::Car, 0.6, 24.0, -8.0),
    ]
    .iter()
    .enumerate()
    .map(|(i, &(kind, heading, x, y))| Actor {
        braking: i % 2 == 0,
        ..actor(kind, 20 + i as u16, 30.0 + x, y, heading)
    })
    .collect();
    for (name, camera) in [("tiny", Camera::tiny()), ("mid", Camera::mid()), ("vlm", Camera::vlm())] {
        for (look, style) in [("plain", Style::plain(11)), ("rich", Style::rich(12))] {
            draw(&stage, &parade, &[Lamp::Yellow, Lamp::Green], 0.1, [30.0, -1.75, 0.0], &camera, &style, &mut frame);
            write_ppm(&frame, &format!("{out}/{name}_{look}_parade.ppm"));
        }
    }
    let ego = actor(AgentKind::Car, 99, 0.0, -1.75, 0.0);
    let plan: Vec<Point> = (0..10).map(|i| [3.0 * i as f32, -1.75 - 0.02 * (i * i) as f32]).collect();
    birds_eye(&stage, &actors, &[Lamp::Red; 2], &ego, &plan, 0.25, 400, &Style::plain(0), &mut frame);
    write_ppm(&frame, &format!("{out}/above.ppm"));
}

/// `cargo test -p reinsman-sim --release --test render speed -- --ignored --nocapture`
#[test]
#[ignore = "prints how long frames take"]
fn speed() {
    let stage = Stage::new(&town());
    let actors = crowd();
    let mut frame = Frame::new(false);
    for (name, camera) in [("tiny", Camera::tiny()), ("mid", Camera::mid()), ("vlm", Camera::vlm())] {
        for (look, style) in [("plain", Style::plain(1)), ("rich", Style::rich(1))] {
            let mut best = f64::INFINITY;
            for _ in 0..60 {
                let start = std::time::Instant::now();
                for i in 0..50 {
                    let ego = [i as f32 * 0.05, -1.75, 0.0];
                    draw(&stage, &actors, &[Lamp::Red; 2], 0.1, ego, &camera, &style, &mut frame);
                }
                best = best.min(start.elapsed().as_secs_f64() / 50.0);
            }
            println!("{name} {look}: {:.1} us, {:.0} frames/s", best * 1e6, 1.0 / best);
        }
    }
}

fn blank(actors: &[Actor], map: &Map, lamps: &[Lamp], camera: &Camera) -> Frame {
    let style = Style { bonnet: false, ..Style::plain(3) };
    let mut frame = Frame::new(true);
    draw(&Stage::new(map), actors, lamps, 0.0, [0.0; 3], camera, &style, &mut frame);
    frame
}

fn count(frame: &Frame, wanted: impl Fn([u8; 3]) -> bool) -> usize {
    frame.rgb.chunks_exact(3).filter(|p| wanted([p[0], p[1], p[2]])).count()
}

fn red(p: [u8; 3]) -> bool {
    p[0] > 200 && p[1] < 90 && p[2] < 90
}

fn green(p: [u8; 3]) -> bool {
    p[1] > 200 && p[0] < 90
}

/// The rear of a 2 m wide van, 20 m before the camera, covers 2 f / 20 columns; its depth is exact.
#[test]
fn a_box_covers_its_columns() {
    for camera in [Camera::tiny(), Camera::mid(), Camera::vlm()] {
        let van =
            Actor { length: 6.0, width: 2.0, height: 2.4, ..actor(AgentKind::Van, 5, 1.5 + 20.0 + 3.0, 0.0, 0.0) };
        let frame = blank(&[van], &Map::default(), &[], &camera);
        let focal = 0.5 * camera.width as f32 / (0.5 * camera.fov).tan();
        let row = camera.height / 2 + (0.7 / 20.0 * focal) as usize;
        let line = &frame.instance[row * camera.width..(row + 1) * camera.width];
        let first = line.iter().position(|&i| i == 6).unwrap() as f32;
        let last = line.iter().rposition(|&i| i == 6).unwrap() as f32 + 1.0;
        let (cx, half) = (0.5 * camera.width as f32, focal / 20.0);
        assert!((first - (cx - half)).abs() <= 1.0 && (last - (cx + half)).abs() <= 1.0, "{first} {last} {half}");
        assert!((frame.depth(camera.width / 2, row) / 20.0 - 1.0).abs() < 0.01);
        assert_eq!(frame.class[row * camera.width + camera.width / 2], sim::render::Class::Vehicle as u8);
        // The ground: z = f h / (row below the middle).
        let bottom = camera.height - 1;
        let exact = focal * 1.5 / (bottom as f32 + 0.5 - 0.5 * camera.height as f32);
        assert!((frame.depth(0, bottom) / exact - 1.0).abs() < 0.01);
        assert_eq!(frame.depth(0, 0), f32::INFINITY);
    }
}

#[test]
fn who_is_hidden_has_no_pixels() {
    let truck = actor(AgentKind::Truck, 1, 16.0, 0.0, 0.0);
    let walker = actor(AgentKind::Pedestrian, 2, 24.0, 0.3, 1.0);
    let camera = Camera::mid();
    let both = blank(&[walker, truck], &Map::default(), &[], &camera);
    assert_eq!(both.visible_pixels(2), 0);
    assert!(both.visible_pixels(1) > 1000);
    assert!(blank(&[walker], &Map::default(), &[], &camera).visible_pixels(2) > 25);
    let beside = Actor { y: 3.0, ..walker };
    assert!(blank(&[beside, truck], &Map::default(), &[], &camera).visible_pixels(2) > 25);
}

#[test]
fn lamps_have_their_colour_out_to_45_metres() {
    for camera in [Camera::tiny(), Camera::mid(), Camera::vlm()] {
        for x in [12.0, 30.0, 45.0] {
            let light = Light { at: [x, -3.0], heading: PI, program: vec![], offset: 0.0 };
            let map = Map { lights: vec![light], ..Map::default() };
            let frame = |lamp| blank(&[], &map, &[lamp], &camera);
            let (stop, go, off) = (frame(Lamp::Red), frame(Lamp::Green), frame(Lamp::Off));
            assert!(count(&stop, red) >= 4 && count(&stop, green) == 0, "red at {x}: {}", count(&stop, red));
            assert!(count(&go, green) >= 4 && count(&go, red) == 0, "green at {x}: {}", count(&go, green));
            assert_eq!(count(&off, red) + count(&off, green), 0);
            // Red is above green.
            let row = |f: &Frame, is: fn([u8; 3]) -> bool| {
                (0..f.height).find(|&r| (0..f.width).any(|c| is(f.pixel(c, r)))).unwrap()
            };
            assert!(row(&stop, red) < row(&go, green));
        }
    }
}

#[test]
fn braking_is_seen_at_25_metres() {
    for kind in [AgentKind::Car, AgentKind::Van, AgentKind::Truck, AgentKind::Bus, AgentKind::Emergency] {
        for camera in [Camera::tiny(), Camera::mid(), Camera::vlm()] {
            // White, so that red is lamps.
            let id = (0..500).find(|&id| {
                let frame = blank(&[actor(kind, id, 28.0, 0.0, 0.0)], &Map::default(), &[], &camera);
                count(&frame, red) == 0
            });
            let car = actor(kind, id.unwrap(), 28.0, 0.0, 0.0);
            let braking = blank(&[Actor { braking: true, ..car }], &Map::default(), &[], &camera);
            assert!(count(&braking, red) >= 8, "{kind:?} {}", count(&braking, red));
        }
    }
}

#[test]
fn indicators_blink_on_their_side() {
    let amber = |p: [u8; 3]| p[0] > 220 && (110..200).contains(&p[1]) && p[2] < 60;
    let camera = Camera::mid();
    let car = Actor { indicator: 1, ..actor(AgentKind::Car, 1, 20.0, 0.0, 0.0) };
    let style = Style { bonnet: false, ..Style::plain(3) };
    let mut frame = Frame::new(false);
    draw(&Stage::default(), &[car], &[], 0.1, [0.0; 3], &camera, &style, &mut frame);
    let columns: Vec<usize> = (0..256).filter(|&c| (0..128).any(|r| amber(frame.pixel(c, r)))).collect();
    assert!(!columns.is_empty() && columns.iter().all(|&c| c < 128), "{columns:?}");
    draw(&Stage::default(), &[car], &[], 0.4, [0.0; 3], &camera, &style, &mut frame);
    assert_eq!(count(&frame, amber), 0);
}

fn digest(frame: &Frame) -> u64 {
    let bytes = frame.rgb.iter().chain(&frame.class).copied();
    bytes.fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3))
}

/// Equal for debug and release builds, and for machines with and without vector instructions.
#[test]
fn the_picture_is_the_same_everywhere() {
    let stage = Stage::new(&town());
    let actors = crowd();
    let mut digests = Vec::new();
    for (camera, style) in [
        (Camera::tiny(), Style::plain(1)),
        (Camera::tiny(), Style::rich(2)),
        (Camera { yaw: 0.7, pitch: 0.1, ..Camera::new(75, 41, 100.0) }, Style { blur: true, ..Style::rich(5) }),
        (Camera::mid(), Style { blur: true, noise: 9, ..Style::plain(8) }),
    ] {
        let frames = [false, true].map(|portable| {
            let mut frame = Frame::new(true);
            frame.portable = portable;
            draw(&stage, &actors, &[Lamp::Red, Lamp::Green], 0.1, [1.0, -1.75, 0.03], &camera, &style, &mut frame);
            frame
        });
        assert!(frames[0].rgb == frames[1].rgb && frames[0].class == frames[1].class);
        assert!(frames[0].instance == frames[1].instance);
        let bits = |f: &Frame| f.inverse_depth.iter().map(|d| d.to_bits()).collect::<Vec<u32>>();
        assert_eq!(bits(&frames[0]), bits(&frames[1]));
        digests.push(digest(&frames[0]));
    }
    assert_eq!(digests, GOLDEN);
}

/// Changes with the look of things; print what the test above says and look at the pictures before changing it.
const GOLDEN: [u64; 4] = [11765828300766728485, 14153105941333705892, 10255382194673266660, 8640581573513561502];

#[test]
fn a_frame_can_be_drawn_again_without_memory_of_the_last() {
    let stage = Stage::new(&town());
    let actors = crowd();
    let (style, camera) = (Style::plain(1), Camera::tiny());
    let mut fresh = Frame::new(true);
    draw(&stage, &actors, &[Lamp::Red; 2], 0.0, [0.0; 3], &camera, &style, &mut fresh);
    let mut used = Frame::new(true);
    draw(&stage, &actors[..3], &[], 2.0, [30.0, 2.0, 2.0], &Camera::vlm(), &Style::rich(9), &mut used);
    draw(&stage, &actors, &[Lamp::Red; 2], 0.0, [0.0; 3], &camera, &style, &mut used);
    assert!(fresh.rgb == used.rgb && fresh.class == used.class && fresh.instance == used.instance);
    let place = used.rgb.as_ptr();
    draw(&stage, &actors, &[Lamp::Red; 2], 0.5, [9.0, 0.0, 0.0], &camera, &style, &mut used);
    assert_eq!(place, used.rgb.as_ptr());
}

/// Paint is seen where it is: the middle line of the road, the crossing, the pavement on the right.
#[test]
fn the_ground_has_its_classes() {
    use sim::render::Class;
    let mut frame = Frame::new(true);
    let style = Style { bonnet: false, ..Style::plain(3) };
    let camera = Camera::vlm();
    draw(&Stage::new(&town()), &[], &[], 0.0, [28.0, -1.75, 0.0], &camera, &style, &mut frame);
    let focal = 0.5 * camera.width as f32 / (0.5 * camera.fov).tan();
    let class_at = |x: f32, y: f32| {
        let (forward, left) = (x - 29.5, y + 1.75);
        let column = 0.5 * camera.width as f32 - focal * left / forward;
        let row = 0.5 * camera.height as f32 + focal * 1.5 / forward;
        frame.class[row as usize * camera.width + column as usize]
    };
    assert_eq!(class_at(36.0, 0.15), Class::Paint as u8);
    assert_eq!(class_at(36.0, -1.75), Class::Road as u8);
    assert_eq!(class_at(44.5, -8.4), Class::Pavement as u8);
    assert_eq!(class_at(38.5, -3.0), Class::Paint as u8);
    // Stripes and gaps of half a metre: seven changes in 3.5 m.
    let stripes: Vec<bool> = (0..70).map(|i| class_at(42.0, -3.0 + 0.05 * i as f32) == Class::Paint as u8).collect();
    let changes = stripes.windows(2).filter(|w| w[0] != w[1]).count();
    assert!((6..=8).contains(&changes), "{changes}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Whatever stands wherever, also around and inside the camera: no panic, and vector and portable pixels are equal.
    #[test]
    fn any_view_can_be_drawn(
        ego in proptest::array::uniform3(-60.0f32..60.0),
        mount in proptest::array::uniform3(-3.0f32..3.0),
        (fov, yaw, pitch) in (0.3f32..2.8, -4.0f32..4.0, -1.2f32..1.2),
        (width, height) in (1usize..150, 1usize..90),
        places in proptest::collection::vec((0usize..8, -20.0f32..20.0, -20.0f32..20.0, -4.0f32..4.0), 0..12),
        seed in 0u32..1000,
    ) {
        use AgentKind::*;
        let kinds = [Car, Van, Truck, Bus, Emergency, Motorcycle, Cyclist, Pedestrian];
        let actors: Vec<Actor> = places
            .iter()
            .enumerate()
            .map(|(i, &(k, x, y, h))| {
                let a = actor(kinds[k], i as u16, ego[0] + x, ego[1] + y, h);
                Actor { braking: k % 2 == 0, indicator: k as i8 % 3 - 1, ..a }
            })
            .collect();
        let camera = Camera { width, height, fov, mount, yaw, pitch };
        let stage = Stage::new(&town());
        let style = if seed % 2 == 0 { Style::rich(seed) } else { Style::plain(seed) };
        let frames = [false, true].map(|portable| {
            let mut frame = Frame::new(true);
            frame.portable = portable;
            draw(&stage, &actors, &[Lamp::Yellow], 0.1, ego, &camera, &style, &mut frame);
            frame
        });
        proptest::prop_assert!(frames[0].rgb == frames[1].rgb && frames[0].instance == frames[1].instance);
        proptest::prop_assert!(frames[0].class.iter().all(|&c| (c as usize) < sim::render::CLASSES));
        proptest::prop_assert!(frames[0].inverse_depth.iter().all(|d| d.is_finite() && *d >= 0.0));
    }
}

/// Ego in the middle, what is 10 m east of it 20 pixels to the right at half a metre per pixel.
#[test]
fn from_above_places_are_to_scale() {
    use sim::render::Class;
    let ego = actor(AgentKind::Car, 7, 30.0, 5.0, 0.0);
    let other = actor(AgentKind::Van, 8, 40.0, 5.0, 1.0);
    let mut frame = Frame::new(true);
    let plan = [[30.0, 5.0], [30.0, 25.0]];
    birds_eye(&Stage::new(&town()), &[other], &[], &ego, &plan, 0.5, 100, &Style::plain(1), &mut frame);
    assert_eq!(frame.class[50 * 100 + 52], Class::Ego as u8);
    assert_eq!(frame.instance[50 * 100 + 70], 9);
    // North is up.
    assert_eq!(frame.class[20 * 100 + 50], Class::Ego as u8);
    assert_eq!(frame.class[24 * 100 + 60], Class::Building as u8);
}

/// Neighbours of a rig share the edge of their pictures: what leaves one enters the next.
#[test]
fn a_rig_sees_all_around_its_front() {
    let cameras = Camera::tiny().rig(3);
    let seen = |camera: &Camera, angle: f32| {
        let van = actor(AgentKind::Van, 3, 1.5 + 15.0 * angle.cos(), 15.0 * angle.sin(), 0.0);
        blank(&[van], &Map::default(), &[], camera).visible_pixels(3)
    };
    for (degrees, which) in [(90.0f32, 0), (60.0, 0), (30.0, 1), (0.0, 1), (-30.0, 1), (-60.0, 2), (-90.0, 2)] {
        let counts: Vec<usize> = cameras.iter().map(|c| seen(c, degrees.to_radians())).collect();
        let most = (0..3).max_by_key(|&i| counts[i]).unwrap();
        assert_eq!(most, which, "{degrees}: {counts:?}");
    }
}
