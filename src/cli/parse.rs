//! Checks of single values on the command line; the messages become clap's "invalid value" errors.

use crate::{
    device::{ALLOWED, Choice},
    policy::planner::Quant,
    vlm::quant::Kind,
};

/// A whole number of at least one.
///
/// # Errors
/// Says what is allowed.
pub fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a whole number of 1 or more is needed".into())
}

/// A block format, or `none`.
///
/// # Errors
/// Lists what is known.
pub fn quant(text: &str) -> Result<Quant, String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
    match (text, kind) {
        ("none", _) => Ok(Quant::Dense),
        (_, Some(kind)) => Ok(Quant::Kind(kind)),
        _ => Err("known are none, q4_k, q6_k and q8_0".into()),
    }
}

/// Where to compute.
///
/// # Errors
/// Lists what is known.
pub fn device(text: &str) -> Result<Choice, String> {
    Choice::parse(text).ok_or_else(|| format!("known are {ALLOWED}"))
}

/// The ego speed: finite and not negative.
///
/// # Errors
/// Says what is allowed.
pub fn speed(text: &str) -> Result<f64, String> {
    let allowed = "a number of metres per second from 0 to 100 is needed, such as 12.4";
    text.parse().ok().filter(|v: &f64| (0.0..=100.0).contains(v)).ok_or_else(|| allowed.into())
}

/// A sampling temperature; zero is greedy.
///
/// # Errors
/// Says what is allowed.
pub fn temperature(text: &str) -> Result<f64, String> {
    let allowed = "a number from 0 (greedy) to 10 is needed";
    text.parse().ok().filter(|v: &f64| (0.0..=10.0).contains(v)).ok_or_else(|| allowed.into())
}

/// `FROM=TO`, split at the first `=`; both sides non-empty.
///
/// # Errors
/// Says what is allowed.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.into(), to.into())),
        _ => Err("two parts joined by = are needed, such as OLD=NEW".into()),
    }
}

/// `METRIC=VALUE` with a finite value.
///
/// # Errors
/// Says what is allowed.
pub fn threshold(text: &str) -> Result<(String, f64), String> {
    let allowed = || "METRIC=VALUE is needed, such as joint=0.5".to_string();
    let (name, value) = text.split_once('=').ok_or_else(allowed)?;
    let value = value.trim().parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(allowed)?;
    if name.trim().is_empty() { Err(allowed()) } else { Ok((name.trim().into(), value)) }
}

/// One line of text for a command such as "turn left".
///
/// # Errors
/// Says what is allowed.
pub fn line(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fine = !text.is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
    if fine { Ok(text.into()) } else { Err("one line of 1 to 200 characters is needed, such as \"turn left\"".into()) }
}
