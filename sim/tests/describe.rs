//! Facts, labels, texts, questions and selections of hand-made scenes and of drives of the rule expert.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "describe/drives.rs"]
mod drives;
#[path = "describe/facts.rs"]
mod facts;
#[path = "describe/labels.rs"]
mod labels;
#[path = "describe/stage.rs"]
mod stage;
#[path = "describe/texts.rs"]
mod texts;
