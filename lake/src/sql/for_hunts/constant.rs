//! Columns with one value in all rows of some row groups, as statistics tell: nothing of them is read.
//!
//! **Of**: texts, and lists of objects whose members are texts, each list of one object. What statistics leave open is not one
//! value.

use arrow::array::{ArrayRef, ListArray, StringArray, StructArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use std::sync::Arc;

/// The value of a column of the file, as an array of one row.
pub(super) fn of(footer: &ParquetMetaData, groups: &[usize], column: usize, field: &Field) -> Option<ArrayRef> {
    let schema = footer.file_metadata().schema_descr();
    let leaves = (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == column);
    let mut leaves = leaves.map(|leaf| {
        let mut values = groups.iter().map(|group| Leaf::of(footer, *group, leaf));
        let first = values.next()??;
        values.all(|value| value.as_ref() == Some(&first)).then_some(first)
    });
    match field.data_type() {
        DataType::Utf8 => match leaves.next()?? {
            Leaf::Text(text) => Some(Arc::new(StringArray::from(vec![text]))),
            Leaf::Null => None,
        },
        DataType::List(element) => {
            let DataType::Struct(members) = element.data_type() else { return None };
            let leaves: Vec<Leaf<'_>> = leaves.collect::<Option<_>>()?;
            let is_text = |member: &Arc<Field>| *member.data_type() == DataType::Utf8;
            // Where a member is there, so are its object and its list.
            let is_there = leaves.iter().any(|leaf| matches!(leaf, Leaf::Text(_)));
            if !is_there || leaves.len() != members.len() || !members.iter().all(is_text) {
                return None;
            }
            let array = |leaf: &Leaf<'_>| match leaf {
                Leaf::Text(text) => Arc::new(StringArray::from(vec![*text])) as ArrayRef,
                Leaf::Null => new_null_array(&DataType::Utf8, 1),
            };
            let object = StructArray::try_new(members.clone(), leaves.iter().map(array).collect(), None).ok()?;
            let one = OffsetBuffer::from_lengths([1]);
            Some(Arc::new(ListArray::try_new(Arc::clone(element), one, Arc::new(object), None).ok()?))
        }
        _ => None,
    }
}

/// What a leaf has in all rows, once each.
#[derive(PartialEq, Eq)]
enum Leaf<'a> {
    Text(&'a str),
    Null,
}

impl<'a> Leaf<'a> {
    fn of(footer: &'a ParquetMetaData, group: usize, leaf: usize) -> Option<Self> {
        let rows = footer.row_group(group).num_rows();
        let chunk: &ColumnChunkMetaData = footer.row_group(group).column(leaf);
        let Some(Statistics::ByteArray(told)) = chunk.statistics().filter(|_| chunk.num_values() == rows) else {
            return None;
        };
        match told.null_count_opt()? {
            0 => {
                let (min, max) = (told.min_opt()?, told.max_opt()?);
                let is_one = told.min_is_exact() && told.max_is_exact() && min == max;
                is_one.then(|| std::str::from_utf8(min.data()).ok()).flatten().map(Self::Text)
            }
            nulls => (nulls == rows as u64).then_some(Self::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::UInt32Array;
    use arrow::array::{Array, AsArray, ListBuilder, RecordBatch, StringBuilder, StructBuilder};
    use arrow::compute::take;
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    use parquet::file::properties::WriterProperties;
    use proptest::prelude::*;

    /// What is told of a column in row groups of four.
    fn told(array: ArrayRef) -> (ArrowReaderMetadata, Option<ArrayRef>) {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(4)).build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let footer = ArrowReaderMetadata::load(&bytes::Bytes::from(bytes), ArrowReaderOptions::new()).unwrap();
        let groups: Vec<usize> = (0..footer.metadata().num_row_groups()).collect();
        let constant = of(footer.metadata(), &groups, 0, footer.schema().field(0));
        (footer, constant)
    }

    /// A list's objects, of two members each; none where there is no list.
    type Objects = Option<Vec<Option<(Option<String>, Option<String>)>>>;

    fn lists(rows: &[Objects]) -> ArrayRef {
        let fields = ["name", "uid"].map(|name| Field::new(name, DataType::Utf8, true));
        let mut lists = ListBuilder::new(StructBuilder::from_fields(fields.to_vec(), 0));
        for row in rows {
            for object in row.iter().flatten() {
                let (name, uid) = object.clone().unwrap_or_default();
                for (at, value) in [name, uid].into_iter().enumerate() {
                    lists.values().field_builder::<StringBuilder>(at).unwrap().append_option(value);
                }
                lists.values().append(object.is_some());
            }
            lists.append(row.is_some());
        }
        Arc::new(lists.finish())
    }

    fn is_same(constant: &ArrayRef, array: &ArrayRef) -> bool {
        let repeated = take(constant, &UInt32Array::from(vec![0; array.len()]), None).unwrap();
        let text = |array: &ArrayRef| format!("{:?}", array.to_data().child_data().len()) + &format!("{array:?}");
        text(&repeated) == text(array)
    }

    #[test]
    fn one_value_is_told() {
        let same: ArrayRef = Arc::new(StringArray::from(vec!["windows"; 9]));
        assert!(is_same(&told(Arc::clone(&same)).1.unwrap(), &same));
        let row: Objects = Some(vec![Some((Some("windows".into()), None))]);
        let same = lists(&vec![row; 9]);
        assert!(is_same(&told(Arc::clone(&same)).1.unwrap(), &same));
        // Longer than statistics are.
        let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(100); 9]));
        assert!(told(long).1.is_none());
    }

    proptest! {
        #[test]
        fn only_one_value_is_told(
            texts in proptest::collection::vec(proptest::option::weighted(0.9, prop_oneof![9 => Just("a"), 1 => Just("b")]), 1..9),
            objects in proptest::collection::vec(
                proptest::option::weighted(0.9, proptest::collection::vec(
                    proptest::option::weighted(0.9, (proptest::option::of("a"), proptest::option::of("[ab]"))), 0..3)), 1..6),
        ) {
            for array in [Arc::new(StringArray::from(texts)) as ArrayRef, lists(&objects)] {
                if let (_, Some(constant)) = told(Arc::clone(&array)) {
                    prop_assert!(is_same(&constant, &array), "{:?} {:?}", constant, array.as_list_opt::<i32>());
                }
            }
        }
    }
}
