//! The annotated picture, the terminal page and the contact sheet, from the outside: what is drawn where, and that
//! nothing a model or a file can say makes a panic or a picture without bounds.
#![allow(missing_docs, clippy::unwrap_used)]

use image::RgbImage;
use proptest::prelude::*;
use reinsman::picture::{
    Camera, Choice, Facts, PlanView, Sample, Terminal, annotate, contact_sheet, overlay, plan_picture, terminal, theme,
};
use scene::{MetaAction, PathAction, Pose, SpeedAction, Trajectory};

const GREY: [u8; 3] = [90, 90, 90];

fn labelled(labels: &[&str], p: &[f64]) -> Vec<(String, f64)> {
    labels.iter().zip(p).map(|(l, p)| ((*l).to_string(), *p)).collect()
}

fn view(speed: SpeedAction, path: PathAction) -> PlanView {
    PlanView {
        model: "embedded planner (5.8 M parameters, q8_0)".into(),
        prompt_version: "v1".into(),
        speed_mps: Some(12.4),
        command: "follow the road".into(),
        reasoning:
            "The road bends to the left and the lane is clear. A car comes towards me in the other lane, so I keep \
                    my speed and follow the bend."
                .into(),
        plan: Ok(MetaAction { speed, path }),
        speed_probabilities: labelled(&["KEEP", "ACCELERATE", "DECELERATE", "STOP"], &[0.83, 0.05, 0.12, 0.0]),
        path_probabilities: labelled(
            &["STRAIGHT", "LEFT_TURN", "RIGHT_TURN", "LEFT_CHANGE", "RIGHT_CHANGE"],
            &[0.27, 0.71, 0.02, 0.0, 0.0],
        ),
        samples: Vec::new(),
        trajectory: None,
        choice: None,
        camera: Camera::default(),
    }
}

fn facts() -> Facts {
    Facts {
        program: "reinsman 0.1".into(),
        threads: 2,
        frame: "data/samples/hill_road/0007.jpg".into(),
        tokens: 38,
        seconds: 0.31,
        picture: Some("out/plan.png".into()),
    }
}

fn frame(width: u32, height: u32) -> RgbImage {
    RgbImage::from_pixel(width, height, image::Rgb(GREY))
}

/// Pixels of the frame part (960 x 540, below the labels) that look like `colour`.
fn coloured(picture: &RgbImage, colour: [u8; 3]) -> Vec<(u32, u32)> {
    let near = |p: &image::Rgb<u8>| p.0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 45);
    picture.enumerate_pixels().filter(|(_, y, p)| (120..540).contains(y) && near(p)).map(|(x, y, _)| (x, y)).collect()
}

fn mean(values: impl Iterator<Item = u32> + Clone) -> f64 {
    values.clone().map(f64::from).sum::<f64>() / values.count() as f64
}

#[test]
fn the_ribbon_goes_where_the_plan_goes() {
    use PathAction::*;
    let top_of = |path| {
        let points = coloured(
            &annotate(&frame(960, 540), &view(SpeedAction::Keep, path)),
            theme::speed_colour(SpeedAction::Keep),
        );
        let first = points.iter().map(|p| p.1).min().unwrap();
        mean(points.iter().filter(move |p| p.1 < first + 15).map(|p| p.0))
    };
    assert!((top_of(Straight) - 480.0).abs() < 2.0);
    assert!(top_of(LeftTurn) < 330.0 && top_of(RightTurn) > 630.0);
    assert!(top_of(LeftChange) < 380.0 && top_of(RightChange) > 580.0);
    // Mirror images of each other.
    assert!((top_of(LeftTurn) + top_of(RightTurn) - 959.0).abs() < 2.0);
}

#[test]
fn faster_plans_reach_further_in_their_own_colour() {
    use SpeedAction::*;
    let tops = [Accelerate, Keep, Decelerate, Stop].map(|speed| {
        let picture = overlay(&frame(960, 540), &view(speed, PathAction::Straight));
        coloured(&picture, theme::speed_colour(speed)).iter().map(|p| p.1).min().unwrap()
    });
    assert!(tops.windows(2).all(|t| t[0] + 15 < t[1]), "{tops:?}");
}

#[test]
fn a_trajectory_replaces_the_symbol() {
    let mut said_left = view(SpeedAction::Keep, PathAction::LeftTurn);
    let poses = (1..=8).map(|i| Pose { x: 3.0 * f64::from(i), y: -0.05 * f64::from(i * i), heading: 0.0 });
    said_left.trajectory = Some(Trajectory::half_second(poses.collect()));
    let points = coloured(&annotate(&frame(960, 540), &said_left), theme::speed_colour(SpeedAction::Keep));
    let first = points.iter().map(|p| p.1).min().unwrap();
    // The last pose is 24 m ahead and 3.2 m to the right: 480 + 831.4 * 3.2 / 24, 243 + 831.4 * 1.4 / 24.
    assert!((f64::from(first) - 291.5).abs() < 8.0, "{first}");
    let tip = mean(points.iter().filter(|p| p.1 < first + 4).map(|p| p.0));
    assert!((tip - 590.8).abs() < 14.0, "{tip}");
}

#[test]
fn no_valid_plan_draws_no_ribbon_and_says_why() {
    let mut bad = view(SpeedAction::Keep, PathAction::Straight);
    let good = annotate(&frame(960, 540), &bad);
    bad.plan = Err("the answer names the path GO_STRAIGHT".into());
    let picture = annotate(&frame(960, 540), &bad);
    assert!(picture.enumerate_pixels().filter(|(_, y, _)| (120..540).contains(y)).all(|(_, _, p)| p.0 == GREY));
    assert!(picture.height() > good.height(), "the reason takes a line of its own");
}

#[test]
fn the_panel_shows_the_text() {
    let said = view(SpeedAction::Keep, PathAction::Straight);
    let one = annotate(&frame(960, 540), &said);
    for change in [
        |v: &mut PlanView| v.reasoning = v.reasoning.replace("left", "LEFT"),
        |v: &mut PlanView| v.model.push('x'),
        |v: &mut PlanView| v.prompt_version.push('2'),
        |v: &mut PlanView| v.speed_mps = Some(3.0),
        |v: &mut PlanView| v.command.push('s'),
        |v: &mut PlanView| v.path_probabilities[2].1 = 0.03,
    ] {
        let mut other = said.clone();
        change(&mut other);
        let two = annotate(&frame(960, 540), &other);
        assert_eq!(one.dimensions(), two.dimensions());
        let differs = |y: u32| (0..960).any(|x| one.get_pixel(x, y) != two.get_pixel(x, y));
        assert!((540..one.height()).any(differs) && !(0..540).any(differs));
    }
    let mut longer = said.clone();
    longer.reasoning = longer.reasoning.repeat(4);
    assert!(annotate(&frame(960, 540), &longer).height() > one.height() + 90);
    longer.reasoning = longer.reasoning.repeat(500);
    assert!(annotate(&frame(960, 540), &longer).height() < one.height() + 500, "fourteen lines at most");
}

#[test]
fn picture_bars_are_proportional() {
    let length = |p: f64| {
        let mut v = view(SpeedAction::Keep, PathAction::Straight);
        v.path_probabilities = labelled(&["STRAIGHT"], &[p]);
        let picture = annotate(&frame(960, 540), &v);
        let rows = 540..picture.height();
        rows.map(|y| (0..960).filter(|&x| picture.get_pixel(x, y).0 == theme::PATH).count()).max().unwrap()
    };
    let full = length(1.0) as f64;
    assert!(full > 150.0);
    for p in [0.25, 0.5, 0.75] {
        assert!((length(p) as f64 - p * full).abs() < 4.0, "{p}: {} of {full}", length(p));
    }
    assert_eq!((length(0.0), length(f64::NAN), length(-3.0)), (0, 0, 0));
}

#[test]
fn samples_that_differ_show_on_the_road_and_in_the_panel() {
    let mut v = view(SpeedAction::Keep, PathAction::Straight);
    let one = annotate(&frame(960, 540), &v);
    let sample = |path| Sample { plan: Some(MetaAction { speed: SpeedAction::Keep, path }), trajectory: None };
    v.samples =
        vec![sample(PathAction::Straight), sample(PathAction::RightTurn), Sample { plan: None, trajectory: None }];
    let two = annotate(&frame(960, 540), &v);
    assert!(two.height() > one.height());
    let differs = |x: u32| (120..530).any(|y| one.get_pixel(x, y) != two.get_pixel(x, y));
    assert!((600..700).all(differs) && !(0..400).any(differs));
}

#[test]
fn frames_of_any_shape_fit() {
    for (size, expected) in [
        ((1920, 1080), (960, 540)),
        ((480, 360), (960, 720)),
        ((300, 2000), (640, 800)),
        ((1, 1), (800, 800)),
        ((8000, 3), (960, 200)),
        ((0, 0), (800, 800)),
    ] {
        let picture = overlay(&frame(size.0, size.1), &view(SpeedAction::Stop, PathAction::LeftChange));
        assert_eq!(picture.dimensions(), expected, "{size:?}");
    }
}

#[test]
fn the_terminal_page_reads_like_this() {
    let v = view(SpeedAction::Keep, PathAction::LeftTurn);
    let wide = Terminal { width: 100, unicode: true, colour: false };
    let expected = "\
reinsman 0.1 · embedded planner (5.8 M parameters, q8_0) · 2 threads
frame  data/samples/hill_road/0007.jpg   speed 12.4 m/s   command follow the road

  The road bends to the left and the lane is clear. A car comes towards me in the other lane, so I
  keep my speed and follow the bend.

  speed  KEEP        ████████████████▋    0.83   DECELERATE 0.12  ACCELERATE 0.05  STOP 0.00
  path   LEFT_TURN   ██████████████▎      0.71   STRAIGHT 0.27    RIGHT_TURN 0.02  LEFT_CHANGE 0.00

  38 tokens in 0.31 s · picture out/plan.png
";
    assert_eq!(terminal::page(&v, &facts(), &wide), expected);
    let plain = terminal::page(&v, &facts(), &Terminal { width: 72, ..Terminal::PLAIN });
    let expected = "\
reinsman 0.1 - embedded planner (5.8 M parameters, q8_0) - 2 threads
frame  data/samples/hill_road/0007.jpg
speed 12.4 m/s
command follow the road

  The road bends to the left and the lane is clear. A car comes towards
  me in the other lane, so I keep my speed and follow the bend.

  speed  KEEP        ########   0.83   DECELERATE 0.12  ACCELERATE 0.05
  path   LEFT_TURN   #######    0.71   STRAIGHT 0.27    RIGHT_TURN 0.02

  38 tokens in 0.31 s - picture out/plan.png
";
    assert_eq!(plain, expected);
}

#[test]
fn the_chosen_label_leads_even_when_it_is_not_the_likeliest() {
    let text = terminal::verdict(&view(SpeedAction::Stop, PathAction::Straight), &Terminal::PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("  speed  STOP ") && lines[0].contains("KEEP 0.83"), "{text}");
    assert!(lines[1].starts_with("  path   STRAIGHT ") && lines[1].contains("LEFT_TURN 0.71"), "{text}");
}

#[test]
fn terminal_bars_have_eighths() {
    assert_eq!(terminal::bar(0.5, 4, true), "██  ");
    assert_eq!(terminal::bar(0.5 + 1.0 / 32.0, 4, true), "██▏ ");
    assert_eq!(terminal::bar(1.0 - 1.0 / 32.0, 4, true), "███▉");
    assert_eq!((terminal::bar(7.0, 4, true), terminal::bar(f64::NAN, 2, true)), ("████".into(), "  ".into()));
    assert_eq!(terminal::bar(0.6, 4, false), "##  ");
}

#[test]
fn colours_and_blocks_only_where_they_are_understood() {
    let env =
        |pairs: &'static [(&str, &str)]| move |name: &str| pairs.iter().find(|p| p.0 == name).map(|p| p.1.to_string());
    let utf8 = env(&[("LANG", "de_DE.UTF-8"), ("TERM", "xterm")]);
    assert_eq!(Terminal::from_env(true, Some(90), utf8), Terminal { width: 90, unicode: true, colour: true });
    assert_eq!(Terminal::from_env(false, None, utf8), Terminal::PLAIN);
    let quiet = Terminal::from_env(true, None, env(&[("LANG", "en_US.utf8"), ("NO_COLOR", "1")]));
    assert_eq!((quiet.unicode, quiet.colour), (true, false));
    assert!(!Terminal::from_env(true, None, env(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")])).unicode);
    let v = view(SpeedAction::Keep, PathAction::LeftTurn);
    let painted = terminal::verdict(&v, &Terminal { width: 100, unicode: true, colour: true });
    assert!(painted.contains("\x1b[1;34mKEEP"));
    assert!(!terminal::page(&v, &facts(), &Terminal::PLAIN).contains('\x1b'));
}

#[test]
fn a_sheet_holds_its_frames_in_order() {
    let colours = [[200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 200, 0], [0, 200, 200]];
    let frames: Vec<RgbImage> = colours.iter().map(|&c| RgbImage::from_pixel(64, 48, image::Rgb(c))).collect();
    let cells: Vec<(&RgbImage, &str)> = frames.iter().map(|f| (f, "caption")).collect();
    let sheet = contact_sheet(&cells, 3, 100);
    assert_eq!(sheet.dimensions(), (3 * 112 + 12, 2 * (75 + 34 + 12) + 12));
    for (i, colour) in colours.iter().enumerate() {
        let (x, y) = (12 + 112 * (i as u32 % 3) + 50, 12 + 121 * (i as u32 / 3) + 40);
        assert_eq!(sheet.get_pixel(x, y).0, *colour);
    }
    let bare: Vec<(&RgbImage, &str)> = frames.iter().map(|f| (f, "")).collect();
    assert_ne!(sheet, contact_sheet(&bare, 3, 100));
    assert!(contact_sheet(&[], 0, 0).width() > 0);
    let many: Vec<(&RgbImage, &str)> = std::iter::repeat_n((&frames[0], "x"), 5000).collect();
    let big = contact_sheet(&many, 0, 5000);
    assert!(u64::from(big.width()) * u64::from(big.height()) < 200_000_000);
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), ("\\PC{0,12}", 0usize..4000).prop_map(|(s, n)| s.repeat(n)), Just("x".repeat(50_000))]
}

fn any_view() -> impl Strategy<Value = PlanView> {
    let number = || prop_oneof![any::<f64>(), Just(f64::NAN), -2.0..2.0f64, -100.0..100.0f64];
    let probabilities = || prop::collection::vec((any_text(), prop_oneof![any::<f64>(), 0.0..1.0f64]), 0..12);
    let action = || {
        (0usize..4, 0usize..5).prop_map(|(s, p)| MetaAction { speed: SpeedAction::ALL[s], path: PathAction::ALL[p] })
    };
    let pose = move || (number(), number()).prop_map(|(x, y)| Pose { x, y, heading: 0.0 });
    let trajectory = move || {
        prop::option::of(
            (number(), prop::collection::vec(pose(), 0..20)).prop_map(|(step, poses)| Trajectory { step, poses }),
        )
    };
    let sample = (prop::option::of(action()), trajectory()).prop_map(|(plan, trajectory)| Sample { plan, trajectory });
    let camera =
        (number(), number(), number(), number()).prop_map(|(height_m, horizontal_fov_deg, horizon, ahead_m)| Camera {
            height_m,
            horizontal_fov_deg,
            horizon,
            ahead_m,
        });
    let drive =
        move || (number(), prop::collection::vec(pose(), 0..9)).prop_map(|(step, poses)| Trajectory { step, poses });
    let predicted = prop::option::of((number(), number()));
    let candidates = (prop::collection::vec(drive(), 0..6), 0usize..8);
    let choice = (candidates, any_text(), predicted, probabilities())
        .prop_map(|((candidates, chosen), title, score, subs)| Choice { candidates, chosen, title, score, subs });
    let plan = prop_oneof![action().prop_map(Ok), any_text().prop_map(Err)];
    let texts = (any_text(), any_text(), any_text(), any_text());
    let rest = (prop::option::of(number()), plan, probabilities(), probabilities());
    let drawn = (prop::collection::vec(sample, 0..8), trajectory(), camera, prop::option::of(choice));
    (texts, rest, drawn).prop_map(
        |(
            (model, prompt_version, command, reasoning),
            (speed_mps, plan, speed_p, path_p),
            (samples, trajectory, camera, choice),
        )| {
            PlanView {
                model,
                prompt_version,
                speed_mps,
                command,
                reasoning,
                plan,
                speed_probabilities: speed_p,
                path_probabilities: path_p,
                samples,
                trajectory,
                choice,
                camera,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_values_give_a_bounded_picture(
        v in any_view(),
        size in prop_oneof![Just((1, 1)), Just((0, 0)), Just((8000, 2)), Just((3, 5000)), (1u32..900, 1u32..700)],
    ) {
        let picture = annotate(&frame(size.0, size.1), &v);
        prop_assert!((plan_picture::MIN_WIDTH..=plan_picture::WIDTH).contains(&picture.width()));
        prop_assert!((250..=plan_picture::MAX_HEIGHT).contains(&picture.height()));
    }

    #[test]
    fn any_values_give_a_harmless_page(v in any_view(), width in 0usize..300, unicode: bool) {
        let text = terminal::page(&v, &facts(), &Terminal { width, unicode, colour: false });
        prop_assert!(unicode || text.is_ascii());
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    }
}
