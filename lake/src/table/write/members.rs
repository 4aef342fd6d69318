//! Members of `unmapped` as columns of their own: what a hunt reads instead of every row's whole object.
//!
//! A member `K` that is frequent goes, as the JSON text that it has there, to the column `unmapped.K`; all other members of a
//! row go, as one object, to [`REST`]. So the two have all that `unmapped` has, which stays as it is: these columns are in no
//! schema of the Delta log, and no other reader sees them. Objects, lists of them, and members that a row has more than once stay in the rest.
//!
//! **Bounds**: [`COLUMNS_MAX`] columns a file, of each a page and a dictionary; the members of [`super::CHUNK_ROWS`] rows.

use super::column::{ColumnEncoder, ColumnWriter, EncodedColumn};
use super::grams::GRAMS;
use super::{CHUNK_ROWS, Layout};
use crate::error::LakeError;
use ahash::AHashMap;
use arrow::array::{Array, ArrayBuilder, ArrayRef, AsArray, StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// The column with a row's members that have no column of their own; null where there are none.
pub const REST: &str = "unmapped{}";
/// The column that members are taken from.
pub(crate) const UNMAPPED: &str = "unmapped";
/// What names of members' columns begin with.
const PREFIX: &str = "unmapped.";

/// Members' columns of a file.
const COLUMNS_MAX: usize = 384;
/// Of how many rows one has to have a member, for a column of its own.
const FREQUENT_ONE_OF: usize = 1024;
/// Bytes of the longest name of a column.
const NAME_BYTES_MAX: usize = 128;

/// The column of a member of `unmapped`.
pub fn member_column(member: &str) -> String {
    format!("{PREFIX}{member}")
}

/// Whether a column is one of those that only files have.
pub(crate) fn is_of_files(column: &str) -> bool {
    column.starts_with(PREFIX) || column == REST || column == GRAMS
}

/// The members' columns of one file, as its rows come.
pub(crate) struct Members<'a> {
    table: &'a str,
    layout: &'a Layout,
    /// Numbers of the members that have columns.
    numbers: AHashMap<Box<str>, usize>,
    /// The rest is the first.
    columns: Vec<Member>,
    /// Rows of the chunks before.
    rows: usize,
}

struct Member {
    writer: ColumnWriter,
    texts: StringBuilder,
    /// The row that has it last, from 1.
    last: usize,
}

impl<'a> Members<'a> {
    pub(crate) fn new(table: &'a str, layout: &'a Layout) -> Result<Self, LakeError> {
        let mut members = Self { table, layout, numbers: AHashMap::new(), columns: Vec::new(), rows: 0 };
        members.open(REST)?;
        Ok(members)
    }

    /// Takes the next [`CHUNK_ROWS`] of `unmapped`, or the last ones; `written` is told of every column.
    pub(crate) fn write(
        &mut self,
        unmapped: &ArrayRef,
        written: &mut impl FnMut(&Field, &ArrayRef),
    ) -> Result<(), LakeError> {
        let Some(texts) = unmapped.as_string_opt::<i32>() else { return Ok(()) };
        let rows: Vec<Row<'_>> = texts.iter().map(|text| text.map_or_else(Row::default, Row::of)).collect();
        self.open_frequent(&rows)?;
        for (row, members) in rows.iter().enumerate() {
            self.take(row, members);
        }
        for column in &mut self.columns {
            let texts: ArrayRef = Arc::new(column.padded(rows.len()).finish());
            written(column.writer.field(), &texts);
            column.writer.write(&texts).map_err(LakeError::parquet(self.table))?;
        }
        self.rows += texts.len();
        Ok(())
    }

    /// The columns that have a value.
    pub(crate) fn finish(self) -> Result<Vec<EncodedColumn>, LakeError> {
        let columns = self.columns.into_iter().map(|column| column.writer.finish());
        let columns: Result<Vec<_>, _> = columns.collect();
        Ok(columns.map_err(LakeError::parquet(self.table))?.into_iter().flatten().collect())
    }

    /// Opens columns for members that many of these rows have.
    fn open_frequent(&mut self, rows: &[Row<'_>]) -> Result<(), LakeError> {
        let mut counts: AHashMap<&str, usize> = AHashMap::new();
        for (key, raw) in rows.iter().flat_map(|row| &row.members) {
            if !self.numbers.contains_key(key.as_ref()) && is_column(key, raw) {
                *counts.entry(key).or_default() += 1;
            }
        }
        let mut frequent: Vec<(&str, usize)> =
            counts.into_iter().filter(|(_, count)| count * FREQUENT_ONE_OF >= rows.len()).collect();
        frequent.sort_unstable_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
        for (key, _) in frequent.into_iter().take(COLUMNS_MAX.saturating_sub(self.columns.len())) {
            let number = self.columns.len();
            self.open(&member_column(key))?;
            self.numbers.insert(key.into(), number);
        }
        Ok(())
    }

    /// A new column, which the rows so far have no value of.
    fn open(&mut self, name: &str) -> Result<(), LakeError> {
        let field: FieldRef = Arc::new(Field::new(name, DataType::Utf8, true));
        let mut writer = ColumnEncoder::new(self.table, &field, self.layout)?.writer();
        for _ in 0..self.rows / CHUNK_ROWS {
            let none = new_null_array(&DataType::Utf8, CHUNK_ROWS);
            writer.write(&none).map_err(LakeError::parquet(self.table))?;
        }
        self.columns.push(Member { writer, texts: StringBuilder::new(), last: 0 });
        Ok(())
    }

    fn take(&mut self, row: usize, members: &Row<'_>) {
        let stamp = self.rows + row + 1;
        let (numbers, columns) = (&self.numbers, &mut self.columns);
        let mut repeats = false;
        let mut number = |key: &str, raw: &str| {
            let number = *numbers.get(key)?;
            repeats |= std::mem::replace(&mut columns[number].last, stamp) == stamp;
            is_column(key, raw).then_some(number)
        };
        let found: Vec<Option<usize>> = members.members.iter().map(|(key, raw)| number(key, raw)).collect();
        let mut rest = String::new();
        for ((key, raw), number) in members.members.iter().zip(found) {
            match number.filter(|_| !repeats) {
                Some(number) => self.columns[number].padded(row).append_value(raw),
                None => {
                    rest.push(if rest.is_empty() { '{' } else { ',' });
                    rest.push_str(&serde_json::Value::from(key.as_ref()).to_string());
                    rest.push(':');
                    rest.push_str(raw);
                }
            }
        }
        if !rest.is_empty() {
            rest.push('}');
        }
        if let Some(rest) = members.whole.or((!rest.is_empty()).then_some(rest.as_str())) {
            self.columns[0].padded(row).append_value(rest);
        }
    }
}

impl Member {
    /// The chunk's texts, with nothing for rows up to `row` that gave none.
    fn padded(&mut self, row: usize) -> &mut StringBuilder {
        self.texts.append_nulls(row - self.texts.len());
        &mut self.texts
    }
}

/// Whether a member may have a column: names with a dot would be found where another is asked for.
fn is_column(key: &str, raw: &str) -> bool {
    let plain = |byte: u8| !byte.is_ascii_control() && byte != b'.';
    key.len() <= NAME_BYTES_MAX
        && key.bytes().all(plain)
        && !raw.starts_with('{')
        && !(raw.starts_with('[') && raw.contains('{'))
}

/// The members of a row's object.
#[derive(Default)]
struct Row<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
    /// What is no object.
    whole: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(text: &'a str) -> Self {
        match serde_json::from_str::<Object<'a>>(text) {
            Ok(Object(members)) => Self { members, whole: None },
            Err(_) => Self { whole: Some(text), ..Self::default() },
        }
    }
}

/// An object's members in their order.
struct Object<'a>(Vec<(Cow<'a, str>, &'a str)>);

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Vec<(Cow<'de, str>, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), raw)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key, raw.get()));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(V).map(Object)
    }
}
