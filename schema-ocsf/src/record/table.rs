//! A class's table: its columns, their Arrow schema, and where a path's values are written.

use crate::column::{Leaf, LeafType, Nesting, PathError};
use crate::schema::{ClassUid, Schema};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// Key of a field's metadata that marks a text as JSON.
pub const FIELD_TYPE_KEY: &str = "ocsf.type";

/// A place that values can be written to; from [`TableSchema::slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    pub(super) column: u16,
    pub(super) child: Option<u16>,
    pub(super) leaf_type: LeafType,
    pub(super) list: bool,
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
pub(super) enum Shape {
    Scalar(LeafType),
    List(LeafType),
    Objects(Vec<(String, LeafType)>),
}

/// An enum column and the column of its caption: filled together.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) id: u16,
    pub(super) caption: u16,
    /// In order.
    captions: Vec<(i64, &'static str)>,
}

impl Pair {
    /// The caption of an id.
    pub(super) fn caption_of(&self, id: i64) -> Option<&'static str> {
        let at = self.captions.binary_search_by_key(&id, |(of, _)| *of).ok()?;
        self.captions.get(at).map(|(_, caption)| *caption)
    }
}

/// A class and the columns of its table.
#[derive(Debug)]
pub struct TableSchema {
    class: ClassUid,
    pub(super) names: Vec<String>,
    pub(super) shapes: Vec<Shape>,
    index: HashMap<String, Slot>,
    pub(super) pairs: Vec<Pair>,
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
            let captions = leaf.attribute.values.iter().filter_map(|(k, v)| Some((k.parse().ok()?, v.as_str())));
            let mut captions: Vec<(i64, &'static str)> = captions.collect();
            captions.sort_unstable();
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

    /// The columns' names, in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Where a path's values are written.
    pub fn slot(&self, path: &str) -> Option<Slot> {
        self.index.get(path).copied()
    }
}
