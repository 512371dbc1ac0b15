//! What must hold for any scene and any plan: invariance, monotony, totality, constant memory.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "navsim/fixture.rs"]
#[allow(dead_code)]
mod fixture;
#[path = "navsim/properties.rs"]
mod properties;
#[path = "navsim/quirks.rs"]
mod quirks;
