//! Parity with Hugging Face: every case found in the fixture folder, at the tolerances of its PROVENANCE.md.
//!
//! `REINSMAN_HF_FIXTURES` points the test at another folder of the same layout; families, shapes, seeds and images may
//! differ, and some tensors may hold only the last positions. A folder in which nothing is found fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod case;
mod gguf;
mod greedy;
mod lora;
mod model;
mod preproc;
mod rollout;
mod schedules;
mod sft;
mod support;
mod tokenizer;
mod warpers;
