//! The way back from a record of a generated set to the moment of its frame.

use super::roll::{Recorded, record};
use data::{Content, Sample};
use sim::{
    driver::Driver,
    families::{self, Family},
    moment::Drive,
    scenario::DT,
};

/// Metres by which poses of a record may differ: they are written in centimetres.
const ROUNDED: f64 = 0.0051;
/// The same for speeds, m/s: they are written in tenths.
const ROUNDED_SPEED: f64 = 0.051;
/// Seconds after which every scenario is over.
const LONGEST: f64 = 600.0;

/// A record that the simulator cannot go on from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MomentError {
    /// A field does not name a moment.
    #[error("sample {id}: {field} is {value}: must be {rule}")]
    Field {
        /// The record.
        id: String,
        /// Its field.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it would have to be.
        rule: &'static str,
    },
    /// The drive is shorter.
    #[error("sample {id}: the drive of {clip} ends before {t} s")]
    Ended {
        /// The record.
        id: String,
        /// Family and seed.
        clip: String,
        /// Seconds.
        t: f64,
    },
    /// The drive is another one.
    #[error("sample {id}: {what} is {recorded} in the record and {restored} in the simulator")]
    Differs {
        /// The record.
        id: String,
        /// What was compared.
        what: &'static str,
        /// As recorded.
        recorded: String,
        /// As restored.
        restored: String,
    },
    /// Ego has no route.
    #[error("sample {0}: ego has no route to drive")]
    NoRoute(String),
}

/// Family, seed and simulator step of a record's frame.
///
/// # Errors
/// The record's `clip` is not `FAMILY/SEED` or its `t` no time.
pub fn place(sample: &Sample) -> Result<(&'static Family, u64, usize), MomentError> {
    let wrong = |field, value: String, rule| MomentError::Field { id: sample.id.clone(), field, value, rule };
    let clip = sample.clip.as_deref().unwrap_or_default();
    let parsed = clip
        .split_once('/')
        .and_then(|(family, seed)| Some((families::find(family)?, u64::from_str_radix(seed, 16).ok()?)));
    let rule = "FAMILY/SEED of a set that the simulator made, the seed in hexadecimal";
    let (family, seed) = parsed.ok_or_else(|| wrong("clip", format!("{:?}", short(clip)), rule))?;
    let t = sample.extra.get("t");
    let seconds = t.and_then(serde_json::Value::as_f64).filter(|t| (0.0..=LONGEST).contains(t));
    let missing = || wrong("t", t.map_or_else(|| "missing".into(), |t| short(&t.to_string())), "seconds, 0 to 600");
    Ok((family, seed, (seconds.ok_or_else(missing)? / f64::from(DT)).round() as usize))
}

/// Who drove a record's clip: the expert where it does not say.
///
/// # Errors
/// Its `driver` is none.
pub fn driver(sample: &Sample) -> Result<Driver, MomentError> {
    let Some(value) = sample.extra.get("driver") else { return Ok(Driver::Expert) };
    value.as_str().and_then(Driver::find).ok_or_else(|| MomentError::Field {
        id: sample.id.clone(),
        field: "driver",
        value: short(&value.to_string()),
        rule: "expert, late_braking, corner_cutting or too_close",
    })
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The drive of a record's driver at its frame, and what the expert does from there on. What the driver itself does from
/// there on is [`Recorded::demonstrated`], and what the record tells.
///
/// # Errors
/// The record is not of the simulator, or of another version of it, or its driver is unknown.
pub fn restore(sample: &Sample) -> Result<(Drive, Recorded), MomentError> {
    let ((family, seed, step), driver) = (place(sample)?, driver(sample)?);
    let ended = || MomentError::Ended {
        id: sample.id.clone(),
        clip: sample.clip.clone().unwrap_or_default(),
        t: step as f64 * f64::from(DT),
    };
    let drive = Drive::at(family, seed, driver, step).filter(|drive| !drive.done()).ok_or_else(ended)?;
    let recorded = record(&drive).ok_or_else(|| MomentError::NoRoute(sample.id.clone()))?;
    let differs = |what, recorded: String, restored: String| {
        Err(MomentError::Differs { id: sample.id.clone(), what, recorded, restored })
    };
    let speed = f64::from(recorded.rolled.ego[0][3]);
    if let Content::Planning { ego, .. } = &sample.content
        && (ego.speed_mps - speed).abs() > ROUNDED_SPEED
    {
        return differs("the speed", format!("{} m/s", ego.speed_mps), format!("{speed:.1} m/s"));
    }
    if let Some(told) = &sample.labels.future {
        let future = &recorded.demonstrated.future;
        for (i, (a, b)) in told.poses.iter().zip(&future.poses).enumerate() {
            if (a.x - b.x).abs() > ROUNDED || (a.y - b.y).abs() > ROUNDED {
                let show = |p: &scene::Pose| format!("[{:.2}, {:.2}] after {} s", p.x, p.y, 0.5 * (i + 1) as f64);
                return differs("the future", show(a), show(b));
            }
        }
    }
    Ok((drive, recorded))
}
