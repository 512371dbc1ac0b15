mod common;
use common::*;
use sim::Action;
use sim::scenario::*;
#[test]
fn dbg() {
    let mut lanes = vec![lane([-150.0, 0.0], [150.0, 0.0]), lane([0.0, -150.0], [0.0, 150.0])];
    lanes[0].turn = Turn::Straight;
    lanes[1].turn = Turn::Straight;
    let ego = car(Control::Policy, [140.0, 0.0, 0.0], 0.0, &[0]);
    let north = std::f32::consts::FRAC_PI_2;
    let others = [car(Control::Idm, [-70.0, 0.0, 0.0], 12.0, &[0]), car(Control::Idm, [0.0, -70.0, north], 12.0, &[1])];
    let mut scenario = scenario(lanes, [vec![ego], others.to_vec()].concat());
    scenario.map.stop_lines.push(StopLine {
        points: [[-1.75, -6.0], [1.75, -6.0]],
        lanes: vec![1],
        rule: StopRule::Yield,
    });
    let mut b = one(scenario);
    println!("zones {:?} / {:?}", b.worlds[0].conflicts.between(0, 1), b.worlds[0].conflicts.between(1, 0));
    for k in 0..150 {
        b.step_scene(0, Action::default());
        let s = b.scene(0);
        if k % 4 == 0 {
            println!(
                "{k} east x {:.2} v {:.2} a {:.2} flags {} | north y {:.2} v {:.2} a {:.2} flags {}",
                s.x[1], s.v[1], s.a[1], s.flags[1], s.y[2], s.v[2], s.a[2], s.flags[2]
            );
        }
    }
}
