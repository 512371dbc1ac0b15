//! Bending the road in a real frame: rows of the picture are shifted as if the flat road ahead had another curvature,
//! and the driven future, the path label, the auxiliary bends and the reasoning follow. PilotNet (arXiv 1604.07316)
//! shifts and rotates its frames in the same spirit.
//!
//! A point z metres ahead on a road of curvature k lies k z^2 / 2 to the left; the camera sees it f k z / 2 pixels to
//! the left, and row v below the horizon shows z = f h / (v - v0). Beyond [`FAR`] everything moves alike. The camera is
//! assumed, not known: that of the bundled drive. Missing columns are mirrored, and every frame is also shifted
//! sideways at random (a turned camera), so that a filled edge does not give the answer away.

use crate::{streams::Stream, vlm::image::Rgb};
use data::{Content, Sample, reasoning, targets};
use scene::{LabelRule, Trajectory};

/// Focal length as a part of the picture's width.
const FOCAL: f64 = 1.12;
/// Camera height, metres.
const HEIGHT: f64 = 1.15;
/// Row of the horizon as a part of the picture's height.
const HORIZON: f64 = 0.44;
/// Distance from which the whole background moves alike, metres.
const FAR: f64 = 45.0;

/// The sample on a road whose curvature (1/m, left positive) is larger by `curvature`. `None` when it is not a planning
/// sample with a driven future, or when its answers are given word by word.
pub fn bent(sample: &Sample, curvature: f64, wording: u64) -> Option<Sample> {
    let mut out = sample.clone();
    let future = sample.labels.future.as_ref()?;
    let mut poses = future.poses.clone();
    for pose in &mut poses {
        pose.y += 0.5 * curvature * pose.x * pose.x;
        pose.heading += curvature * pose.x;
    }
    let future = Trajectory { step: future.step, poses };
    if sample.labels.path.is_some() {
        out.labels.path = LabelRule::real_drive().path(&future).ok();
    }
    out.labels.future = Some(future);
    // Steering and yaw rate were measured on the road as it was.
    out.extra.retain(|key, _| key != "yaw_rate_rps" && key != "steering_wheel_rad");
    out.aux = targets::targets(&out, &targets::Borders::default());
    let text = reasoning::write(&format!("{}/{wording}", sample.id), &reasoning::Facts::of(&out));
    match &mut out.content {
        Content::Planning { reasoning, .. } if reasoning.is_some() => *reasoning = text,
        Content::Planning { .. } => {}
        Content::Conversation { .. } => return None,
    }
    // What the answers of a pair say would have to turn too.
    sample.pair.is_none().then_some(out)
}

/// A curvature for one sample: none for half of them, else normal with half of `most` as deviation, cut at `most`.
pub fn draw(most: f64, stream: &mut Stream) -> f64 {
    let (keep, value) = (stream.below(2) == 0, stream.normal() * most / 2.0);
    if keep { 0.0 } else { value.clamp(-most, most) }
}

/// Bends the picture by `curvature` and shifts it by `shift` parts of its width, mirrored at the edges.
pub fn warp(picture: &mut Rgb, curvature: f64, shift: f64) {
    let (width, height) = (picture.width as isize, picture.height as f64);
    let focal = FOCAL * width as f64;
    let source = picture.data.clone();
    for (row, line) in picture.data.chunks_exact_mut(picture.width * 3).enumerate() {
        let below = row as f64 + 0.5 - HORIZON * height;
        let distance = if below * FAR <= focal * HEIGHT { FAR } else { focal * HEIGHT / below };
        let from = shift * width as f64 + 0.5 * focal * curvature * distance;
        let (whole, part) = (from.floor(), (from - from.floor()) as f32);
        let at = |x: isize, c: usize| {
            let period = 2 * width;
            let x = x.rem_euclid(period);
            let x = if x < width { x } else { period - 1 - x };
            f32::from(source[row * picture.width * 3 + x as usize * 3 + c])
        };
        for x in 0..width {
            let left = x + whole as isize;
            for c in 0..3 {
                let value = at(left, c) * (1.0 - part) + at(left + 1, c) * part;
                line[x as usize * 3 + c] = (value + 0.5) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use scene::PathAction;

    fn sample() -> Sample {
        let text = r#"{"id":"a","images":["a.jpg"],"ego":{"speed_mps":15},"command":"follow the road","reasoning":"x",
            "plan":{"speed":"KEEP","path":"STRAIGHT"},"future":[[7.5,0,0],[15,0,0],[22.5,0,0],[30,0,0],[37.5,0,0],[45,0,0]],
            "yaw_rate_rps":0.0}"#
            .replace('\n', "");
        data::read_bytes("s.jsonl", text.as_bytes(), &Default::default()).unwrap().samples.remove(0)
    }

    #[test]
    fn labels_follow_the_road() {
        let left = bent(&sample(), 0.006, 0).unwrap();
        assert_eq!(left.labels.path, Some(PathAction::LeftTurn));
        assert_eq!(left.aux["bend_3s"], "hard_left");
        assert!(!left.aux.contains_key("yaw"));
        let right = bent(&sample(), -0.006, 0).unwrap();
        assert_eq!(right.labels.path, Some(PathAction::RightTurn));
        let Content::Planning { reasoning: Some(text), .. } = right.content else { panic!() };
        assert!(text.contains("right") && !text.contains("left"), "{text}");
        assert_eq!(bent(&sample(), 0.0, 0).unwrap().labels.path, Some(PathAction::Straight));
    }

    #[test]
    fn a_left_bend_moves_the_far_road_left_and_the_near_road_hardly() {
        // One bright column in the middle.
        let (w, h) = (120, 90);
        let mut data = vec![0u8; w * h * 3];
        (0..h).for_each(|y| data[(y * w + 60) * 3] = 255);
        let mut picture = Rgb::new(w, h, data).unwrap();
        let original = picture.clone();
        warp(&mut picture, 0.0, 0.0);
        assert_eq!(picture, original);
        warp(&mut picture, 0.006, 0.0);
        let brightest = |y: usize| (0..w).max_by_key(|x| picture.data[(y * w + x) * 3]).unwrap();
        assert!(brightest(10) < 45, "{}", brightest(10));
        assert!(brightest(89) > 55, "{}", brightest(89));
    }
}
