//! ShareGPT as LLaVA and LLaMA-Factory write it: `conversations` of `from`/`value` with `<image>` marks, `image` or
//! `images`, an optional `system` column. Other role names (`user`, `assistant`, `observation`, ...) are understood.

use super::{Context, Reader, messages};
use crate::{error::Result, rows::Row, sample::Sample};

/// ShareGPT, LLaVA.
pub(super) struct ShareGpt;

impl Reader for ShareGpt {
    fn name(&self) -> &'static str {
        "sharegpt"
    }

    fn sniff(&self, row: &Row) -> bool {
        row.value.get("conversations").is_some()
    }

    fn read(&self, row: Row, cx: &Context) -> Vec<Result<Sample>> {
        vec![messages::conversation(row, cx, &["conversations"])]
    }
}
