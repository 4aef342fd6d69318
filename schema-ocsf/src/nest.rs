//! Rows back to canonical OCSF JSON: dotted columns nest, timestamps are milliseconds, nulls are left out.
//!
//! Columns marked as JSON ([`FIELD_TYPE_KEY`]) are embedded with their numbers as they are written. Columns that OCSF does not
//! have (those of a SQL query) come out by their Arrow type; a name that another column stands in the way of, as `a`
//! does of `a.b`, stays dotted.

use crate::record::FIELD_TYPE_KEY;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::*;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::io;

/// One row as a nested object; for many rows of a batch, [`Rows`].
pub fn to_json(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    Rows::new(batch).to_json(row)
}

/// Every row as a line of JSON.
///
/// **Errors**: those of `out`.
pub fn write_ndjson(batch: &RecordBatch, out: &mut impl io::Write) -> io::Result<()> {
    let rows = Rows::new(batch);
    for row in 0..batch.num_rows() {
        serde_json::to_writer(&mut *out, &rows.row(row))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// A batch's rows as nested objects. The nesting is found once.
pub struct Rows<'a> {
    columns: &'a [ArrayRef],
    tree: Tree,
}

impl<'a> Rows<'a> {
    /// The rows of a batch.
    pub fn new(batch: &'a RecordBatch) -> Self {
        Self { columns: batch.columns(), tree: Tree::new(batch.schema_ref().fields()) }
    }

    /// A row, to be serialised.
    ///
    /// **Panics**: when the batch has no such row, as Arrow does.
    pub fn row(&self, row: usize) -> impl Serialize + '_ {
        Object { tree: &self.tree, columns: self.columns, row }
    }

    /// A row as a nested object.
    pub fn to_json(&self, row: usize) -> Map<String, Value> {
        match serde_json::to_value(self.row(row)) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        }
    }
}

/// The objects that dotted names make.
struct Tree(Vec<(String, Node)>);

enum Node {
    Column(usize, Shape),
    Object(Tree),
}

/// How a column's values come out.
enum Shape {
    Value,
    Json,
    List(Box<Shape>),
    Struct(Tree),
}

impl Shape {
    fn of(field: &Field) -> Self {
        match field.data_type() {
            DataType::List(element) | DataType::LargeList(element) => Self::List(Box::new(Self::of(element))),
            DataType::Struct(fields) => Self::Struct(Tree::new(fields)),
            _ if field.metadata().get(FIELD_TYPE_KEY).is_some_and(|t| t == "json") => Self::Json,
            _ => Self::Value,
        }
    }
}

impl Tree {
    fn new(fields: &Fields) -> Self {
        let names: HashSet<&str> = fields.iter().map(|f| f.name().as_str()).collect();
        let mut tree = Self(Vec::new());
        for (i, field) in fields.iter().enumerate() {
            let name = field.name().as_str();
            let in_the_way = name.match_indices('.').any(|(dot, _)| names.contains(&name[..dot]));
            let node = Node::Column(i, Shape::of(field));
            if in_the_way { tree.put(name, node) } else { tree.insert(name, node) }
        }
        tree
    }

    fn insert(&mut self, path: &str, node: Node) {
        let Some((head, rest)) = path.split_once('.') else { return self.put(path, node) };
        let found = self.0.iter().position(|(name, _)| name == head);
        let at = found.unwrap_or_else(|| {
            self.0.push((head.to_owned(), Node::Object(Self(Vec::new()))));
            self.0.len() - 1
        });
        if let Node::Object(inner) = &mut self.0[at].1 {
            inner.insert(rest, node);
        }
    }

    /// The first of two columns of one name stays.
    fn put(&mut self, name: &str, node: Node) {
        if self.0.iter().all(|(n, _)| n != name) {
            self.0.push((name.to_owned(), node));
        }
    }

    /// Whether a row has any value here.
    fn any(&self, columns: &[ArrayRef], row: usize) -> bool {
        self.0.iter().any(|(_, node)| match node {
            Node::Column(i, _) => is_there(&columns[*i], row),
            Node::Object(inner) => inner.any(columns, row),
        })
    }
}

fn is_there(column: &dyn Array, row: usize) -> bool {
    column.is_valid(row) && *column.data_type() != DataType::Null
}

struct Object<'a> {
    tree: &'a Tree,
    columns: &'a [ArrayRef],
    row: usize,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (columns, row) = (self.columns, self.row);
        let mut map = to.serialize_map(None)?;
        for (name, node) in &self.tree.0 {
            match node {
                Node::Column(i, shape) if is_there(&columns[*i], row) => {
                    map.serialize_entry(name, &Cell { shape, column: &columns[*i], row })?;
                }
                Node::Object(tree) if tree.any(columns, row) => {
                    map.serialize_entry(name, &Object { tree, columns, row })?;
                }
                _ => {}
            }
        }
        map.end()
    }
}

/// One value that is there.
struct Cell<'a> {
    shape: &'a Shape,
    column: &'a dyn Array,
    row: usize,
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.shape {
            Shape::List(element) => {
                let items = match self.column.data_type() {
                    DataType::LargeList(_) => self.column.as_list::<i64>().value(self.row),
                    _ => self.column.as_list::<i32>().value(self.row),
                };
                let mut seq = to.serialize_seq(None)?;
                for row in (0..items.len()).filter(|row| is_there(&items, *row)) {
                    seq.serialize_element(&Cell { shape: element, column: &items, row })?;
                }
                seq.end()
            }
            Shape::Struct(tree) => {
                Object { tree, columns: self.column.as_struct().columns(), row: self.row }.serialize(to)
            }
            Shape::Json => match self.text() {
                Some(text) => json(text, to),
                None => self.scalar(to),
            },
            Shape::Value => self.scalar(to),
        }
    }
}

/// A JSON text embedded on one line; what is no JSON comes out as a text.
fn json<S: Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
    if text.contains(['\n', '\r']) {
        return match serde_json::from_str::<Value>(text) {
            Ok(value) => value.serialize(to),
            Err(_) => to.serialize_str(text),
        };
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => raw.serialize(to),
        Err(_) => to.serialize_str(text),
    }
}

impl Cell<'_> {
    fn text(&self) -> Option<&str> {
        Some(match self.column.data_type() {
            DataType::Utf8 => self.column.as_string::<i32>().value(self.row),
            DataType::LargeUtf8 => self.column.as_string::<i64>().value(self.row),
            DataType::Utf8View => self.column.as_string_view().value(self.row),
            _ => return None,
        })
    }

    fn scalar<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = self.text() {
            return to.serialize_str(text);
        }
        macro_rules! number {
            ($of:ty) => {
                self.column.as_primitive::<$of>().value(self.row)
            };
        }
        match self.column.data_type() {
            DataType::Int8 => number!(Int8Type).serialize(to),
            DataType::Int16 => number!(Int16Type).serialize(to),
            DataType::Int32 => number!(Int32Type).serialize(to),
            DataType::Int64 => number!(Int64Type).serialize(to),
            DataType::UInt8 => number!(UInt8Type).serialize(to),
            DataType::UInt16 => number!(UInt16Type).serialize(to),
            DataType::UInt32 => number!(UInt32Type).serialize(to),
            DataType::UInt64 => number!(UInt64Type).serialize(to),
            DataType::Float32 => number!(Float32Type).serialize(to),
            DataType::Float64 => number!(Float64Type).serialize(to),
            DataType::Boolean => self.column.as_boolean().value(self.row).serialize(to),
            DataType::Timestamp(unit, _) => {
                let ms = match unit {
                    TimeUnit::Second => number!(TimestampSecondType).saturating_mul(1_000),
                    TimeUnit::Millisecond => number!(TimestampMillisecondType),
                    TimeUnit::Microsecond => number!(TimestampMicrosecondType).div_euclid(1_000),
                    TimeUnit::Nanosecond => number!(TimestampNanosecondType).div_euclid(1_000_000),
                };
                ms.serialize(to)
            }
            // Dates, decimals, dictionaries and the like, which only SQL makes: their Arrow text.
            _ => {
                let text = arrow::util::display::array_value_to_string(self.column, self.row);
                to.serialize_str(&text.unwrap_or_default())
            }
        }
    }
}
