//! Fresh rows as part of their tables.

use super::Pushed;
use crate::error::LakeError;
use crate::table::TableSnapshot;
use arrow::array::RecordBatch;
use chrono::Utc;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tables with the rows of `chunks`; a table that has only such rows is one.
pub(super) fn tables(
    tables: BTreeMap<String, Arc<TableSnapshot>>,
    chunks: &[Arc<Pushed>],
) -> Result<Vec<Arc<TableSnapshot>>, LakeError> {
    let mut rows: BTreeMap<&str, Vec<RecordBatch>> = BTreeMap::new();
    for (table, batch) in chunks.iter().flat_map(|pushed| &pushed.chunk.rows) {
        rows.entry(table).or_default().push(batch.clone());
    }
    let mut all = tables;
    for name in rows.keys() {
        all.entry((*name).to_owned()).or_insert_with(|| Arc::new(TableSnapshot::empty(name)));
    }
    let now = Utc::now();
    let with_fresh = |(name, table): (String, Arc<TableSnapshot>)| match rows.remove(name.as_str()) {
        Some(batches) => table.with_fresh(batches, now).map(Arc::new),
        None => Ok(table),
    };
    all.into_iter().map(with_fresh).collect()
}
