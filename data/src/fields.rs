//! Typed access to the columns of one record. What is taken is removed; what is left over is carried through as the
//! sample's `extra`. Every refusal names the place, the column, the value and what is needed.

use crate::{
    error::{DataError, Place, Result, shown},
    options::{Known, LabelMap, known},
};
use scene::{PathAction, Pose, SpeedAction, Trajectory};
use serde_json::{Map, Value};

/// No road car is faster (m/s).
pub const MAX_SPEED: f64 = 100.0;
/// No pose of a few seconds is farther away (m).
pub const MAX_METRES: f64 = 10_000.0;
/// Most poses of one future.
pub const MAX_POSES: usize = 1000;

/// The columns of one record that no reader has taken yet.
#[derive(Debug)]
pub(crate) struct Fields {
    pub place: Place,
    map: Map<String, Value>,
    present: String,
}

/// A value in words, for messages.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => format!("the number {n}"),
        Value::String(s) => format!("the text {:?}", shown(s)),
        Value::Array(a) => format!("a list of {}", a.len()),
        Value::Object(_) => "an object".into(),
    }
}

impl Fields {
    pub fn new(place: Place, value: Value) -> Result<Self> {
        match value {
            Value::Object(map) => {
                let present = map.keys().take(12).cloned().collect::<Vec<_>>().join(", ");
                Ok(Fields { place, map, present })
            }
            other => Err(DataError::NotAnObject { place, found: kind(&other) }),
        }
    }

    /// Takes a column; null counts as absent.
    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.map.shift_remove(field).filter(|v| !v.is_null())
    }

    pub fn has(&self, field: &str) -> bool {
        self.map.get(field).is_some_and(|v| !v.is_null())
    }

    pub fn get(&self, field: &str) -> Option<&Value> {
        self.map.get(field)
    }

    pub fn missing(&self, field: &str) -> DataError {
        DataError::MissingField { place: self.place.clone(), field: field.into(), present: self.present.clone() }
    }

    pub fn wrong(&self, field: &str, value: &Value, expected: &'static str) -> DataError {
        DataError::WrongType { place: self.place.clone(), field: field.into(), found: kind(value), expected }
    }

    pub fn text(&mut self, field: &str) -> Result<Option<String>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(other) => Err(self.wrong(field, &other, "text")),
        }
    }

    /// Text or a whole number, as ids come.
    pub fn id(&mut self, field: &str) -> Result<Option<String>> {
        match self.take(field) {
            Some(Value::Number(n)) if !n.is_f64() => Ok(Some(n.to_string())),
            Some(Value::String(s)) if s.trim().is_empty() => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            None => Ok(None),
            Some(other) => Err(self.wrong(field, &other, "text or a whole number")),
        }
    }

    pub fn need_text(&mut self, field: &str) -> Result<String> {
        self.text(field)?.ok_or_else(|| self.missing(field))
    }

    pub fn list(&mut self, field: &str) -> Result<Option<Vec<Value>>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Array(a)) => Ok(Some(a)),
            Some(other) => Err(self.wrong(field, &other, "a list")),
        }
    }

    pub fn object(&mut self, field: &str) -> Result<Option<Fields>> {
        match self.take(field) {
            None => Ok(None),
            Some(value @ Value::Object(_)) => Fields::new(self.place.within(field), value).map(Some),
            Some(other) => Err(self.wrong(field, &other, "an object")),
        }
    }

    /// A speed in m/s.
    pub fn speed(&mut self, field: &str) -> Result<Option<f64>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match value.as_f64() {
            Some(v) if (0.0..=MAX_SPEED).contains(&v) => Ok(Some(v)),
            _ => {
                let value = value.as_str().map_or_else(|| value.to_string(), |s| format!("{:?}", shown(s)));
                let (place, field) = (self.place.clone(), field.into());
                Err(DataError::BadSpeed { place, field, value: shown(&value), max: MAX_SPEED })
            }
        }
    }

    /// Poses `[x, y, heading]` or points `[x, y]` (heading then follows the motion) at 0.5 s.
    pub fn future(&mut self, field: &str) -> Result<Option<Trajectory>> {
        let Some(rows) = self.list(field)? else { return Ok(None) };
        if rows.len() > MAX_POSES {
            let expected = format!("at most {MAX_POSES} poses");
            let value = format!("{} poses", rows.len());
            return Err(DataError::BadNumber { place: self.place.clone(), field: field.into(), value, expected });
        }
        let mut poses: Vec<Pose> = Vec::with_capacity(rows.len());
        for row in &rows {
            let bad = || DataError::BadNumber {
                place: self.place.clone(),
                field: field.into(),
                value: shown(&row.to_string()),
                expected: "a pose [x m, y m, heading rad] of finite numbers".into(),
            };
            let numbers: Vec<f64> =
                row.as_array().map(|a| a.iter().filter_map(Value::as_f64).collect()).unwrap_or_default();
            let same = row.as_array().is_some_and(|a| a.len() == numbers.len());
            if !same || numbers.iter().any(|v| v.abs() > MAX_METRES) {
                return Err(bad());
            }
            poses.push(match numbers[..] {
                [x, y, heading] => Pose { x, y, heading },
                [x, y] => {
                    let from = poses.last().copied().unwrap_or_default();
                    let (dx, dy) = (x - from.x, y - from.y);
                    // Below walking pace the direction of motion is noise.
                    let heading = if dx.hypot(dy) < 0.25 { from.heading } else { dy.atan2(dx) };
                    Pose { x, y, heading }
                }
                _ => return Err(bad()),
            });
        }
        Ok((!poses.is_empty()).then(|| Trajectory::half_second(poses)))
    }

    pub fn speed_label(&mut self, field: &str, map: &LabelMap) -> Result<Option<SpeedAction>> {
        let Some(word) = self.text(field)? else { return Ok(None) };
        map.speed(&word).map_err(|()| unknown::<SpeedAction>(&self.place, field, &word))
    }

    pub fn path_label(&mut self, field: &str, map: &LabelMap) -> Result<Option<PathAction>> {
        let Some(word) = self.text(field)? else { return Ok(None) };
        map.path(&word).map_err(|()| unknown::<PathAction>(&self.place, field, &word))
    }

    /// What is left.
    pub fn rest(self) -> Map<String, Value> {
        self.map.into_iter().filter(|(_, v)| !v.is_null()).collect()
    }
}

/// A word that is no label of its axis.
pub(crate) fn unknown<L: Known>(place: &Place, field: &str, word: &str) -> DataError {
    let word = shown(word);
    DataError::UnknownLabel { place: place.clone(), field: field.into(), axis: L::AXIS, word, known: known::<L>() }
}
