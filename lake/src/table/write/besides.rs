//! The columns of a file that only hunts read, made of its other columns as these are written.

use super::grams::Grams;
use super::members::{Members, UNMAPPED};
use super::{EncodedColumn, Layout};
use crate::dead_letter;
use crate::error::LakeError;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Field;

/// In a file of fewer rows they cost more than they give.
const ROWS_MIN: usize = 256;

/// What one file has besides the columns of its table: members of `unmapped`, and which short texts are where.
pub(crate) struct Besides<'a> {
    table: &'a str,
    layout: &'a Layout,
    own: Option<(Members<'a>, Grams)>,
}

impl<'a> Besides<'a> {
    /// For a file of so many rows.
    pub(crate) fn new(table: &'a str, rows: usize, layout: &'a Layout) -> Result<Self, LakeError> {
        let is_worth = layout.for_hunts && rows >= ROWS_MIN && table != dead_letter::TABLE;
        let own = is_worth.then(|| Ok((Members::new(table, layout)?, Grams::new(rows)))).transpose()?;
        Ok(Self { table, layout, own })
    }

    /// A column's rows, looked at as they go by.
    pub(crate) fn of(
        &mut self,
        field: &Field,
        arrays: impl Iterator<Item = Result<ArrayRef, LakeError>>,
    ) -> impl Iterator<Item = Result<ArrayRef, LakeError>> {
        let mut first = 0;
        arrays.map(move |array| {
            let array = array?;
            if let Some((members, grams)) = &mut self.own {
                grams.add(field, first, &array);
                if field.name() == UNMAPPED {
                    members.write(&array, &mut |member, texts| grams.add(member, first, texts))?;
                }
            }
            first += array.len();
            Ok(array)
        })
    }

    /// Its columns.
    pub(crate) fn finish(self) -> Result<Vec<EncodedColumn>, LakeError> {
        let Some((members, grams)) = self.own else { return Ok(Vec::new()) };
        let mut columns = members.finish()?;
        columns.extend(grams.finish(self.table, self.layout)?);
        Ok(columns)
    }
}
