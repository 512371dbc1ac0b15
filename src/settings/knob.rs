//! One setting: how a TOML value becomes a Rust value and back, and which values are allowed.
//!
//! `section!` turns a struct definition into the struct, its defaults and its [`Section`] table, so that the doc
//! comment of a field is its help and its rule is checked wherever the value comes from. `choice!` does the same for a
//! setting that is one of a few names.

use std::path::PathBuf;
use toml::Value;

/// A type that a setting can have.
pub trait Setting: Sized {
    /// From TOML; `None` when the type does not fit.
    fn read(value: &Value) -> Option<Self>;
    /// To TOML; `None` when unset.
    fn write(&self) -> Option<Value>;
}

impl Setting for bool {
    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }
    fn write(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

impl Setting for f64 {
    fn read(value: &Value) -> Option<Self> {
        let number = value.as_float().or_else(|| value.as_integer().map(|i| i as f64))?;
        number.is_finite().then_some(number)
    }
    fn write(&self) -> Option<Value> {
        Some(Value::Float(*self))
    }
}

impl Setting for u64 {
    fn read(value: &Value) -> Option<Self> {
        value.as_integer()?.try_into().ok()
    }
    fn write(&self) -> Option<Value> {
        i64::try_from(*self).ok().map(Value::Integer)
    }
}

impl Setting for usize {
    fn read(value: &Value) -> Option<Self> {
        value.as_integer()?.try_into().ok()
    }
    fn write(&self) -> Option<Value> {
        i64::try_from(*self).ok().map(Value::Integer)
    }
}

impl Setting for String {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().filter(|s| !s.is_empty()).map(String::from)
    }
    fn write(&self) -> Option<Value> {
        Some(Value::String(self.clone()))
    }
}

impl Setting for PathBuf {
    fn read(value: &Value) -> Option<Self> {
        String::read(value).map(PathBuf::from)
    }
    fn write(&self) -> Option<Value> {
        Some(Value::String(self.to_string_lossy().into_owned()))
    }
}

/// A list, or one text with commas between the items (handy after `--set`).
impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.iter().map(T::read).collect(),
            Value::String(text) if text.is_empty() => Some(Vec::new()),
            Value::String(text) => text.split(',').map(|item| item_of(item.trim())).collect(),
            other => Some(vec![T::read(other)?]),
        }
    }
    fn write(&self) -> Option<Value> {
        Some(Value::Array(self.iter().filter_map(Setting::write).collect()))
    }
}

/// An item of a list that was typed as one text: a word or a number.
fn item_of<T: Setting>(text: &str) -> Option<T> {
    let number = || {
        let whole = text.parse().ok().map(Value::Integer);
        whole.or_else(|| text.parse().ok().map(Value::Float))
    };
    T::read(&Value::String(text.into())).or_else(|| T::read(&number()?))
}

/// `"none"` unsets.
impl<T: Setting> Setting for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        if value.as_str() == Some("none") { Some(None) } else { T::read(value).map(Some) }
    }
    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(Setting::write)
    }
}

/// Which values a setting may have, in words and as a test.
pub struct Rule<T> {
    /// Completes "allowed: ...".
    pub allowed: String,
    /// The test.
    pub holds: Box<dyn Fn(&T) -> bool>,
}

fn rule<T>(allowed: impl Into<String>, holds: impl Fn(&T) -> bool + 'static) -> Rule<T> {
    Rule { allowed: allowed.into(), holds: Box::new(holds) }
}

/// A number from `low` to `high`, both allowed.
pub fn number(low: f64, high: f64) -> Rule<f64> {
    rule(format!("a number from {low} to {high}"), move |v| (low..=high).contains(v))
}

/// A number above `low`, at most `high`.
pub fn above(low: f64, high: f64) -> Rule<f64> {
    rule(format!("a number above {low}, at most {high}"), move |v| *v > low && *v <= high)
}

/// A number from `low` to below `high`.
pub fn below(low: f64, high: f64) -> Rule<f64> {
    rule(format!("a number from {low} to below {high}"), move |v| (low..high).contains(v))
}

/// A whole number from `low` to `high`.
pub fn count<T: PartialOrd + Copy + std::fmt::Display + 'static>(low: T, high: T) -> Rule<T> {
    rule(format!("a whole number from {low} to {high}"), move |v| (low..=high).contains(v))
}

/// A seed: what TOML integers can hold.
pub fn seed() -> Rule<u64> {
    rule("a whole number from 0 to 2^63 - 1", |v| *v <= i64::MAX as u64)
}

/// True or false.
pub fn switch() -> Rule<bool> {
    rule("true or false", |_| true)
}

/// Any value of the type, described by `allowed`.
pub fn any<T>(allowed: &str) -> Rule<T> {
    rule(allowed, |_| true)
}

/// A list in which every item passes a test.
pub fn each<T: 'static>(allowed: &str, holds: fn(&T) -> bool) -> Rule<Vec<T>> {
    rule(allowed, move |items: &Vec<T>| items.iter().all(holds))
}

/// The same, or unset.
pub fn or_none<T: 'static>(inner: Rule<T>) -> Rule<Option<T>> {
    let Rule { allowed, holds } = inner;
    rule(format!("{allowed}, or \"none\""), move |v: &Option<T>| v.as_ref().is_none_or(&holds))
}

/// One line of the settings table.
#[derive(Debug, Clone)]
pub struct Knob {
    /// Name inside its section, such as `learning_rate`.
    pub name: &'static str,
    /// What it does: the doc comment of the field.
    pub help: String,
    /// Which values it may have.
    pub allowed: String,
}

/// A group of settings: one `[table]` of the TOML file.
pub trait Section {
    /// Its dotted name, what it is about, its settings.
    fn table(&self) -> (&'static str, String, Vec<Knob>);
    /// The value of a setting; `None` when unset (or unknown).
    fn get(&self, name: &str) -> Option<Value>;
    /// Changes a setting; `false` when the value is not allowed (or the name unknown).
    fn set(&mut self, name: &str, value: &Value) -> bool;
}

/// Defines a section: see the module text. Fields read `name: type = default, rule;`.
macro_rules! section {
    ($(#[doc = $about:literal])* pub struct $section:ident = $path:literal {
        $( $(#[doc = $doc:literal])* $name:ident: $type:ty = $default:expr, $rule:expr; )*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $section { $( $(#[doc = $doc])* pub $name: $type, )* }

        impl Default for $section {
            fn default() -> Self {
                Self { $( $name: $default, )* }
            }
        }

        impl $crate::settings::knob::Section for $section {
            fn table(&self) -> (&'static str, String, Vec<$crate::settings::knob::Knob>) {
                let knobs = vec![$( $crate::settings::knob::Knob {
                    name: stringify!($name),
                    help: [$($doc.trim()),*].join(" "),
                    allowed: { let rule: $crate::settings::knob::Rule<$type> = $rule; rule.allowed },
                } ),*];
                ($path, [$($about.trim()),*].join(" "), knobs)
            }
            fn get(&self, name: &str) -> Option<toml::Value> {
                match name {
                    $( stringify!($name) => $crate::settings::knob::Setting::write(&self.$name), )*
                    _ => None,
                }
            }
            fn set(&mut self, name: &str, value: &toml::Value) -> bool {
                match name {
                    $( stringify!($name) => {
                        let rule: $crate::settings::knob::Rule<$type> = $rule;
                        match <$type as $crate::settings::knob::Setting>::read(value) {
                            Some(read) if (rule.holds)(&read) => { self.$name = read; true }
                            _ => false,
                        }
                    } )*
                    _ => false,
                }
            }
        }
    };
}
pub(crate) use section;

/// Defines an enum whose values have names in settings; names after the first are accepted spellings.
macro_rules! choice {
    ($(#[doc = $about:literal])* pub enum $choice:ident {
        $( $(#[doc = $doc:literal])* $variant:ident = $name:literal $(| $alias:literal)*, )*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $choice { $( $(#[doc = $doc])* $variant, )* }

        impl $choice {
            /// Every value.
            pub const ALL: &'static [$choice] = &[$( $choice::$variant ),*];
            /// Its name in settings.
            pub fn name(self) -> &'static str {
                match self { $( $choice::$variant => $name, )* }
            }
            /// The rule that lists the names.
            pub(crate) fn rule() -> $crate::settings::knob::Rule<Self> {
                let names: Vec<_> = Self::ALL.iter().map(|c| c.name()).collect();
                $crate::settings::knob::any(&format!("one of {}", names.join(", ")))
            }
        }

        impl $crate::settings::knob::Setting for $choice {
            fn read(value: &toml::Value) -> Option<Self> {
                match value.as_str()? {
                    $( $name $(| $alias)* => Some($choice::$variant), )*
                    _ => None,
                }
            }
            fn write(&self) -> Option<toml::Value> {
                Some(toml::Value::String(self.name().into()))
            }
        }
    };
}
pub(crate) use choice;
