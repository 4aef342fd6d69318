//! Rows into batches.

use super::column::{Column, array, last_end, pad_ends};
use super::table::{Slot, TableSchema, TypeError};
use super::values::{Value, Values};
use arrow::array::{RecordBatch, RecordBatchOptions};
use std::sync::Arc;

/// Builds batches of one table, a row at a time.
///
/// Columns that a row does not set are null in it. Setting a scalar twice keeps the first value. **Bounds**: grows until
/// [`BatchBuilder::finish`]; the caller decides by [`BatchBuilder::len`] and [`BatchBuilder::text_bytes`].
pub struct BatchBuilder {
    schema: Arc<TableSchema>,
    columns: Vec<Column>,
    // The last id written to each enum column with a caption, in this row.
    ids: Vec<Option<i64>>,
    pair_of: Vec<Option<u16>>,
    // The columns of lists, which are few.
    lists: Vec<u16>,
    rows: usize,
    text_bytes: usize,
    values: usize,
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new(schema: Arc<TableSchema>) -> Self {
        let mut pair_of = vec![None; schema.shapes.len()];
        for (i, pair) in schema.pairs.iter().enumerate() {
            pair_of[pair.id as usize] = Some(i as u16);
        }
        let columns: Vec<Column> = schema.shapes.iter().map(Column::new).collect();
        let lists = (0..).zip(&columns).filter(|(_, column)| !matches!(column, Column::Scalar(_)));
        let (lists, ids) = (lists.map(|(i, _)| i).collect(), vec![None; schema.pairs.len()]);
        Self { columns, ids, pair_of, lists, schema, rows: 0, text_bytes: 0, values: 0 }
    }

    /// The table.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Finished rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row is finished.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes of text written: what a batch's size is mostly made of.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// About how many bytes the batch will take in memory, without what its nulls take.
    pub fn bytes(&self) -> usize {
        self.text_bytes + 8 * self.values
    }

    /// Writes a value to the current row: a scalar once, a list's next element, or a child of the object begun last.
    ///
    /// Returns false where the scalar was set before. **Errors**: [`TypeError`] for a value of another type, a child
    /// without an object begun in this row, a slot of another table; the row is unchanged then.
    pub fn set(&mut self, slot: Slot, value: Value<'_>) -> Result<bool, TypeError> {
        let column = slot.column as usize;
        let done = match (self.columns.get_mut(column), slot.child) {
            (Some(Column::Scalar(values)), None) => {
                if values.len() > self.rows {
                    return Ok(false);
                }
                values.pad(self.rows);
                values.push(value)
            }
            (Some(Column::List { ends, values }), None) => {
                pad_ends(ends, self.rows, values.len());
                values.push(value)
            }
            // Only into an object of this row.
            (Some(Column::Objects { ends, objects, children }), Some(child)) if *objects > last_end(ends) => {
                match children.get_mut(child as usize) {
                    Some(values) if values.len() >= *objects => return Ok(false),
                    Some(values) => {
                        values.pad(*objects - 1);
                        values.push(value)
                    }
                    None => false,
                }
            }
            _ => false,
        };
        if !done {
            let column = self.schema.names.get(column).cloned().unwrap_or_default();
            return Err(TypeError { column, expected: slot.leaf_type });
        }
        self.values += 1;
        match value {
            Value::Text(text) => self.text_bytes += text.len(),
            Value::Int(id) => {
                if let Some(pair) = self.pair_of[column] {
                    self.ids[pair as usize] = Some(id);
                }
            }
            _ => {}
        }
        Ok(true)
    }

    /// Begins the next object of the list that `slot` is a child of.
    pub fn begin_object(&mut self, slot: Slot) {
        let rows = self.rows;
        if let Column::Objects { ends, objects, .. } = &mut self.columns[slot.column as usize] {
            pad_ends(ends, rows, *objects);
            *objects += 1;
        }
    }

    /// Whether the current row has a value there (a list: whether it has any element).
    pub fn is_set(&self, slot: Slot) -> bool {
        match &self.columns[slot.column as usize] {
            Column::Scalar(values) => values.len() > self.rows,
            Column::List { ends, values } => values.len() > last_end(ends),
            Column::Objects { ends, objects, .. } => *objects > last_end(ends),
        }
    }

    /// What the current row has in a scalar integer column that is an enum with a caption.
    pub fn int_of(&self, slot: Slot) -> Option<i64> {
        self.ids[self.pair_of[slot.column as usize]? as usize]
    }

    /// Ends the current row: captions of enums are filled in, everything else unset is null.
    pub fn end_row(&mut self) {
        for (pair, id) in self.schema.pairs.iter().zip(&mut self.ids) {
            if let Some(caption) = id.take().and_then(|id| pair.caption_of(id))
                && let Column::Scalar(values @ Values::Text(_)) = &mut self.columns[pair.caption as usize]
                && values.len() <= self.rows
            {
                values.pad(self.rows);
                values.push(Value::Text(caption));
                self.text_bytes += caption.len();
            }
        }
        self.rows += 1;
        // Lists remember where a row ends; scalars are padded when next touched.
        for column in &self.lists {
            match &mut self.columns[*column as usize] {
                Column::List { ends, values } if values.len() > last_end(ends) => {
                    pad_ends(ends, self.rows, values.len())
                }
                Column::Objects { ends, objects, .. } if *objects > last_end(ends) => {
                    pad_ends(ends, self.rows, *objects)
                }
                _ => {}
            }
        }
    }

    /// The rows so far as a batch; the builder is empty then. A row that was not ended is not in it.
    pub fn finish(&mut self) -> RecordBatch {
        let rows = self.rows;
        let schema = self.schema.arrow();
        let arrays =
            self.columns.iter_mut().zip(schema.fields()).map(|(column, field)| array(column, field, rows)).collect();
        (self.rows, self.text_bytes, self.values) = (0, 0, 0);
        self.ids.fill(None);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        // Lengths and types are those of the schema by construction.
        RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
            .unwrap_or_else(|_| RecordBatch::new_empty(schema))
    }
}
