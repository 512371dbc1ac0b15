//! Labels out of answer text in data files (`<answer> KEEP, STRAIGHT </answer>`, `KEEP, STRAIGHT\n`). This is the
//! strict side: a data file that names an unknown label is wrong and must say so, where the parser of model text in
//! `scene::parse` is total.

use crate::{
    error::{DataError, Place, Result, shown},
    fields::unknown,
    options::LabelMap,
};
use scene::{PathAction, SpeedAction};

/// Both axes of an answer; `None` where the word was mapped to `none`.
pub(crate) type Pair = (Option<SpeedAction>, Option<PathAction>);

/// The body of the first `<answer>`, or the whole text.
pub(crate) fn body(text: &str) -> &str {
    let after = text.split_once("<answer>").map_or(text, |(_, rest)| rest);
    after.split_once("</answer>").map_or(after, |(inner, _)| inner).trim()
}

/// The body of the first `<think>`, where there is one.
pub(crate) fn thinking(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<think>")?;
    Some(rest.split_once("</think>").map_or(rest, |(inner, _)| inner).trim())
}

/// As [`thinking`], of one part of a turn.
pub(crate) fn thinking_of(part: &crate::sample::Part) -> Option<&str> {
    match part {
        crate::sample::Part::Text(text) => thinking(text),
        crate::sample::Part::Image => None,
    }
}

fn words(text: &str) -> Option<(&str, &str)> {
    let (speed, path) = body(text).trim_end_matches('.').split_once(',')?;
    let (speed, path) = (speed.trim(), path.trim());
    let word = |w: &str| !w.is_empty() && w.len() <= 40 && !w.contains([',', '\n', '<']);
    (word(speed) && word(path)).then_some((speed, path))
}

/// Labels of an answer that must have them.
///
/// # Errors
/// The text has not the form `SPEED, PATH`, or a word is no label of its axis.
pub(crate) fn labels(text: &str, place: &Place, field: &str, map: &LabelMap) -> Result<Pair> {
    let bad = || DataError::BadAnswer { place: place.clone(), field: field.into(), found: shown(body(text)) };
    let (a, b) = words(text).ok_or_else(bad)?;
    // The two vocabularies are disjoint, so `STRAIGHT, KEEP` is as clear as `KEEP, STRAIGHT`.
    if let (Err(()), Ok(path), Ok(speed)) = (map.speed(a), map.path(a), map.speed(b)) {
        return Ok((speed, path));
    }
    let speed = map.speed(a).map_err(|()| unknown::<SpeedAction>(place, field, a))?;
    let path = map.path(b).map_err(|()| unknown::<PathAction>(place, field, b))?;
    Ok((speed, path))
}

/// Labels of a text that may be anything: none where it is no plan, an error where it is half of one.
pub(crate) fn labels_if_any(text: &str, place: &Place, field: &str, map: &LabelMap) -> Result<Pair> {
    let Some((a, b)) = words(text) else { return Ok((None, None)) };
    let known = |w: &str| map.speed(w).is_ok() || map.path(w).is_ok();
    if known(a) || known(b) { labels(text, place, field, map) } else { Ok((None, None)) }
}

/// The text with its two words replaced by the labels they mean, as `SPEED, PATH`; `None` where that changes nothing.
pub(crate) fn rewritten(text: &str, pair: Pair) -> Option<String> {
    let (Some(speed), Some(path)) = pair else { return None };
    words(text)?;
    let wanted = format!("{speed}, {path}");
    // The body is found by address: the same words may stand in the reasoning before it.
    let start = body(text).as_ptr() as usize - text.as_ptr() as usize;
    let end = start + body(text).len();
    (text[start..end] != wanted).then(|| format!("{}{wanted}{}", &text[..start], &text[end..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn answers() {
        let (place, map) = (Place::file("f"), LabelMap::default());
        let get = |t: &str| labels(t, &place, "solution", &map);
        let keep = (Some(SpeedAction::Keep), Some(PathAction::LeftTurn));
        assert_eq!(get("<answer> KEEP, LEFT_TURN </answer>").unwrap(), keep);
        assert_eq!(get("KEEP,LEFT_TURN\n").unwrap(), keep);
        assert_eq!(get("left turn, keep.").unwrap(), keep);
        let e = get("<answer>KEEP, GO_STRAIGHT</answer>").unwrap_err().to_string();
        assert!(e.contains("names the path GO_STRAIGHT; known are STRAIGHT, LEFT_TURN"), "{e}");
        assert!(get("<answer></answer>").unwrap_err().to_string().contains("a speed and a path label"));
        assert!(get("KEEP, STRAIGHT, STOP").is_err());
        assert_eq!(labels_if_any("Yes, it is.", &place, "value", &map).unwrap(), (None, None));
        assert!(labels_if_any("KEEP, FLY", &place, "value", &map).is_err());
        assert_eq!(thinking("<think> the road </think><answer>"), Some("the road"));
    }
}
