//! Records built by path into Arrow batches: only paths and types that the class has can be written.

use crate::column::{Leaf, LeafType, Nesting, PathError};
use crate::schema::{ClassUid, Schema};
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListArray, RecordBatch, RecordBatchOptions,
    StringBuilder, StructArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// Key of a field's metadata that marks a text as JSON.
pub const FIELD_TYPE_KEY: &str = "ocsf.type";

/// A place that values can be written to; from [`TableSchema::slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    column: u16,
    child: Option<u16>,
    leaf_type: LeafType,
    list: bool,
}

impl Slot {
    /// What it holds.
    pub fn leaf_type(self) -> LeafType {
        self.leaf_type
    }

    /// Whether it is a child of a list of objects.
    pub fn is_child(self) -> bool {
        self.child.is_some()
    }

    /// Whether it is a list of scalars.
    pub fn is_list(self) -> bool {
        self.list
    }

    /// The same column's number for all children of one list.
    pub fn column(self) -> usize {
        self.column as usize
    }
}

/// A value of another type than its column's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{column}: expected {expected:?}")]
pub struct TypeError {
    /// The column.
    pub column: String,
    /// Its type.
    pub expected: LeafType,
}

#[derive(Debug)]
enum Shape {
    Scalar(LeafType),
    List(LeafType),
    Objects(Vec<(String, LeafType)>),
}

/// An enum column and the column of its caption: filled together.
#[derive(Debug)]
struct Pair {
    id: u16,
    caption: u16,
    captions: HashMap<i64, &'static str>,
}

/// A class and the columns of its table.
#[derive(Debug)]
pub struct TableSchema {
    class: ClassUid,
    names: Vec<String>,
    shapes: Vec<Shape>,
    index: HashMap<String, Slot>,
    pairs: Vec<Pair>,
    arrow: SchemaRef,
}

impl TableSchema {
    /// The table of `class` with a column for every path, in the order given; the caption sibling of an enum comes with it.
    ///
    /// **Errors**: [`PathError`] for the first path that the class does not have.
    pub fn new<'a>(class: ClassUid, paths: impl IntoIterator<Item = &'a str>) -> Result<Self, PathError> {
        let schema = Schema::v1_8();
        let mut table = Self {
            class,
            names: Vec::new(),
            shapes: Vec::new(),
            index: HashMap::new(),
            pairs: Vec::new(),
            arrow: Arc::new(arrow::datatypes::Schema::empty()),
        };
        for path in paths {
            let leaf = schema.leaf(class, path)?;
            table.add(path, &leaf);
            if let (Some(sibling), Nesting::Column) = (&leaf.attribute.sibling, leaf.nesting) {
                let sibling = match path.rsplit_once('.') {
                    Some((parent, _)) => format!("{parent}.{sibling}"),
                    None => sibling.clone(),
                };
                if let Ok(caption) = schema.leaf(class, &sibling)
                    && caption.nesting == Nesting::Column
                {
                    table.add(&sibling, &caption);
                    table.pair(path, &sibling, &leaf);
                }
            }
        }
        table.arrow = table.arrow_schema();
        Ok(table)
    }

    fn pair(&mut self, id: &str, caption: &str, leaf: &Leaf) {
        let (id, caption) = (self.index[id].column, self.index[caption].column);
        if self.pairs.iter().all(|p| p.id != id) {
            let captions =
                leaf.attribute.values.iter().filter_map(|(k, v)| Some((k.parse().ok()?, v.as_str()))).collect();
            self.pairs.push(Pair { id, caption, captions });
        }
    }

    fn add(&mut self, path: &str, leaf: &Leaf) {
        if self.index.contains_key(path) {
            return;
        }
        let found = self.names.iter().position(|n| *n == leaf.column);
        let column = found.unwrap_or(self.names.len());
        if found.is_none() {
            self.names.push(leaf.column.clone());
            self.shapes.push(match leaf.nesting {
                Nesting::Column => Shape::Scalar(leaf.leaf_type),
                Nesting::List => Shape::List(leaf.leaf_type),
                Nesting::Child => Shape::Objects(Vec::new()),
            });
        }
        let child = match (&mut self.shapes[column], &leaf.child) {
            (Shape::Objects(children), Some(name)) => {
                let found = children.iter().position(|(n, _)| n == name);
                if found.is_none() {
                    children.push((name.clone(), leaf.leaf_type));
                }
                Some(found.unwrap_or(children.len() - 1) as u16)
            }
            _ => None,
        };
        let list = leaf.nesting == Nesting::List;
        self.index.insert(path.to_owned(), Slot { column: column as u16, child, leaf_type: leaf.leaf_type, list });
    }

    fn arrow_schema(&self) -> SchemaRef {
        let field = |name: &str, leaf: LeafType| {
            let field = Field::new(name, leaf.arrow(), true);
            match leaf {
                LeafType::Json => field.with_metadata([(FIELD_TYPE_KEY.to_owned(), "json".to_owned())].into()),
                _ => field,
            }
        };
        let fields = self.names.iter().zip(&self.shapes).map(|(name, shape)| match shape {
            Shape::Scalar(leaf) => field(name, *leaf),
            Shape::List(leaf) => Field::new(name, DataType::List(Arc::new(field("element", *leaf))), true),
            Shape::Objects(children) => {
                let children: Fields = children.iter().map(|(n, l)| field(n, *l)).collect();
                Field::new(
                    name,
                    DataType::List(Arc::new(Field::new("element", DataType::Struct(children), true))),
                    true,
                )
            }
        });
        Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The class.
    pub fn class(&self) -> ClassUid {
        self.class
    }

    /// The Arrow schema: flat columns named by path.
    pub fn arrow(&self) -> SchemaRef {
        self.arrow.clone()
    }

    /// Where a path's values are written.
    pub fn slot(&self, path: &str) -> Option<Slot> {
        self.index.get(path).copied()
    }
}

enum Values {
    Text(StringBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Values {
    fn new(leaf: LeafType) -> Self {
        match leaf {
            LeafType::Text | LeafType::Json => Self::Text(StringBuilder::new()),
            LeafType::Int32 => Self::Int32(Int32Builder::new()),
            LeafType::Int64 => Self::Int64(Int64Builder::new()),
            LeafType::Float64 => Self::Float64(Float64Builder::new()),
            LeafType::Bool => Self::Bool(BooleanBuilder::new()),
            LeafType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        }
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Self::Text(b) => b.len(),
            Self::Int32(b) => b.len(),
            Self::Int64(b) => b.len(),
            Self::Float64(b) => b.len(),
            Self::Bool(b) => b.len(),
            Self::Timestamp(b) => b.len(),
        }
    }

    fn pad(&mut self, to: usize) {
        let n = to.saturating_sub(self.len());
        if n == 0 {
            return;
        }
        match self {
            Self::Text(b) => b.append_nulls(n),
            Self::Int32(b) => b.append_nulls(n),
            Self::Int64(b) => b.append_nulls(n),
            Self::Float64(b) => b.append_nulls(n),
            Self::Bool(b) => b.append_nulls(n),
            Self::Timestamp(b) => b.append_nulls(n),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
        }
    }
}

/// A value to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// For text and JSON columns.
    Text(&'a str),
    /// For integer columns.
    Int(i64),
    /// For decimal columns.
    Float(f64),
    /// For true and false.
    Bool(bool),
    /// Microseconds since 1970, UTC.
    Time(i64),
}

impl Values {
    fn push(&mut self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Text(b), Value::Text(v)) => b.append_value(v),
            (Self::Int32(b), Value::Int(v)) => match i32::try_from(v) {
                Ok(v) => b.append_value(v),
                Err(_) => return false,
            },
            (Self::Int64(b), Value::Int(v)) => b.append_value(v),
            (Self::Float64(b), Value::Float(v)) => b.append_value(v),
            (Self::Float64(b), Value::Int(v)) => b.append_value(v as f64),
            (Self::Bool(b), Value::Bool(v)) => b.append_value(v),
            (Self::Timestamp(b), Value::Time(v)) => b.append_value(v),
            _ => return false,
        }
        true
    }
}

enum Column {
    Scalar(Values),
    // `ends[row]` is the number of elements after the row.
    List { ends: Vec<i32>, values: Values },
    Objects { ends: Vec<i32>, objects: usize, children: Vec<Values> },
}

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
    rows: usize,
    text_bytes: usize,
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new(schema: Arc<TableSchema>) -> Self {
        let column = |shape: &Shape| match shape {
            Shape::Scalar(leaf) => Column::Scalar(Values::new(*leaf)),
            Shape::List(leaf) => Column::List { ends: Vec::new(), values: Values::new(*leaf) },
            Shape::Objects(children) => Column::Objects {
                ends: Vec::new(),
                objects: 0,
                children: children.iter().map(|(_, l)| Values::new(*l)).collect(),
            },
        };
        let mut pair_of = vec![None; schema.shapes.len()];
        for (i, pair) in schema.pairs.iter().enumerate() {
            pair_of[pair.id as usize] = Some(i as u16);
        }
        let columns = schema.shapes.iter().map(column).collect();
        Self { columns, ids: vec![None; schema.pairs.len()], pair_of, schema, rows: 0, text_bytes: 0 }
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

    /// Writes a value to the current row: a scalar once, a list's next element, or a child of the object begun last.
    ///
    /// Returns false where the scalar was set before. **Errors**: [`TypeError`]; the row is unchanged then.
    pub fn set(&mut self, slot: Slot, value: Value<'_>) -> Result<bool, TypeError> {
        let column = slot.column as usize;
        let done = match (&mut self.columns[column], slot.child) {
            (Column::Scalar(values), None) => {
                if values.len() > self.rows {
                    return Ok(false);
                }
                values.pad(self.rows);
                values.push(value)
            }
            (Column::List { ends, values }, None) => {
                pad_ends(ends, self.rows, values.len());
                values.push(value)
            }
            (Column::Objects { objects, children, .. }, Some(child)) if *objects > 0 => {
                let values = &mut children[child as usize];
                if values.len() >= *objects {
                    return Ok(false);
                }
                values.pad(*objects - 1);
                values.push(value)
            }
            _ => false,
        };
        if !done {
            return Err(TypeError { column: self.schema.names[column].clone(), expected: slot.leaf_type });
        }
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
            if let Some(caption) = id.take().and_then(|id| pair.captions.get(&id))
                && let Column::Scalar(Values::Text(values)) = &mut self.columns[pair.caption as usize]
            {
                use arrow::array::ArrayBuilder;
                let written = values.len();
                if written <= self.rows {
                    values.append_nulls(self.rows - written);
                    values.append_value(caption);
                }
            }
        }
        self.rows += 1;
        for column in &mut self.columns {
            match column {
                // Lists remember where a row ends; scalars are padded when next touched.
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
        self.rows = 0;
        self.text_bytes = 0;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        // Lengths and types are those of the schema by construction.
        RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
            .unwrap_or_else(|_| RecordBatch::new_empty(schema))
    }
}

fn last_end(ends: &[i32]) -> usize {
    ends.last().map_or(0, |e| *e as usize)
}

/// Rows between the last one with an element and `rows` are empty; the row before `rows` ends at `end`.
fn pad_ends(ends: &mut Vec<i32>, rows: usize, end: usize) {
    let before = last_end(ends) as i32;
    if ends.len() < rows {
        ends.resize(rows - 1, before);
        ends.push(end as i32);
    }
}

fn array(column: &mut Column, field: &FieldRef, rows: usize) -> ArrayRef {
    match column {
        Column::Scalar(values) => {
            values.pad(rows);
            values.finish().slice(0, rows)
        }
        Column::List { ends, values } => {
            let offsets = offsets(ends, rows);
            list(field, offsets, values.finish())
        }
        Column::Objects { ends, objects, children } => {
            let offsets = offsets(ends, rows);
            let count = std::mem::take(objects);
            let arrays: Vec<ArrayRef> = children
                .iter_mut()
                .map(|values| {
                    values.pad(count);
                    values.finish()
                })
                .collect();
            let DataType::List(element) = field.data_type() else {
                return arrow::array::new_null_array(field.data_type(), rows);
            };
            let DataType::Struct(fields) = element.data_type() else {
                return arrow::array::new_null_array(field.data_type(), rows);
            };
            match StructArray::try_new(fields.clone(), arrays, None) {
                Ok(structs) => list(field, offsets, Arc::new(structs)),
                Err(_) => arrow::array::new_null_array(field.data_type(), rows),
            }
        }
    }
}

/// Offsets of `rows` lists; a row without elements is null.
fn offsets(ends: &mut Vec<i32>, rows: usize) -> Vec<i32> {
    let ends = std::mem::take(ends);
    let last = last_end(&ends) as i32;
    std::iter::once(0).chain(ends.into_iter().chain(std::iter::repeat(last)).take(rows)).collect()
}

fn list(field: &FieldRef, offsets: Vec<i32>, values: ArrayRef) -> ArrayRef {
    let DataType::List(element) = field.data_type() else { return values };
    let valid: NullBuffer = offsets.windows(2).map(|w| w[1] > w[0]).collect::<Vec<_>>().into();
    let rows = offsets.len() - 1;
    match ListArray::try_new(element.clone(), OffsetBuffer::new(offsets.into()), values, Some(valid)) {
        Ok(list) => Arc::new(list),
        Err(_) => arrow::array::new_null_array(field.data_type(), rows),
    }
}
