//! Our own record; [`crate::record`] documents it and writes it.

use super::{Context, Reader};
use crate::{error::Result, record, rows::Row, sample::Sample};

/// Our own record.
pub(super) struct Record;

impl Reader for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn sniff(&self, row: &Row) -> bool {
        let has = |key: &str| row.value.get(key).is_some_and(|v| !v.is_null());
        let is = |key: &str| row.value.get(key).is_some_and(serde_json::Value::is_object);
        let ours = is("ego") || is("plan") || is("aux") || (has("future") && has("images"));
        let frame = has("images") && !has("messages") && !has("conversations") && (has("clip") || has("split"));
        ours || frame
    }

    fn read(&self, row: Row, cx: &Context) -> Vec<Result<Sample>> {
        vec![record::from_row(row, cx)]
    }
}
