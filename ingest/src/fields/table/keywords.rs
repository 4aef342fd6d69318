//! Keywords over columns: one search of a column's bytes, for the rules of all of a source's events, tells which of its
//! rows are worth a look. Rows for which there are other keyword rules are few, and looked at one by one.

use super::Column;
use super::column::Cell;
use crate::fields::keywords::{Keywords, unsure};
use crate::fields::{FieldIx, FieldUse, Rows};
use crate::json::{self, Members};
use crate::mapper::FALLBACKS;
use arrow::array::{AsArray, StringArray};

/// Finds rows in which a keyword may be.
pub struct Suspects {
    keywords: Keywords,
    /// Whether a keyword may be a number's or a truth value's text.
    in_numbers: bool,
}

impl Suspects {
    /// For the keywords of some uses.
    pub fn new(field: u16, uses: &[&FieldUse]) -> Self {
        let uses: Vec<&FieldUse> = uses.iter().copied().filter(|u| u.is_broad() && u.fields.contains(&field)).collect();
        let keywords = Keywords::new(FieldIx(field), &uses);
        let mut needles = uses.iter().filter_map(|u| u.needles.as_ref()).flatten();
        let in_numbers = needles.any(|needle| needle.is_in_numbers());
        Self { keywords, in_numbers }
    }

    /// For each of `rows` rows, whether a keyword may be in one of the columns.
    pub fn of<'c>(&self, rows: usize, columns: impl Iterator<Item = &'c Column>) -> Vec<bool> {
        let mut suspects = vec![!self.keywords.searches(); rows];
        for column in columns {
            match column {
                Column::Text(texts) => self.mark(texts, &mut |row| suspects[row] = true),
                Column::Json(texts) => self.mark(texts, &mut |row| suspects[row] = true),
                Column::List(lists) => {
                    let texts = lists.values().as_string::<i32>();
                    self.mark(texts, &mut |element| {
                        let row = lists.value_offsets().partition_point(|start| *start as usize <= element);
                        suspects[row - 1] = true;
                    });
                }
                Column::Whole(_) | Column::Decimal(_) | Column::Bool(_) if self.in_numbers => suspects.fill(true),
                _ => {}
            }
        }
        suspects
    }

    fn mark(&self, texts: &StringArray, suspect: &mut impl FnMut(usize)) {
        let first = texts.value_offsets()[0] as usize;
        let offsets: Vec<usize> = texts.value_offsets().iter().map(|at| *at as usize - first).collect();
        let bytes = &texts.value_data()[first..first + offsets[offsets.len() - 1]];
        self.keywords.rows(bytes, &offsets, suspect);
        // Rare characters are looked at again, row by row.
        let mut from = 0;
        while let Some(at) = unsure(&bytes[from..]) {
            let row = offsets.partition_point(|start| *start <= from + at) - 1;
            if self.keywords.worth(texts.value(row), &mut Vec::new()) {
                suspect(row);
            }
            from = offsets[row + 1];
        }
    }
}

/// A row's values, to be searched for keywords.
pub struct Values<'a> {
    /// Members of `unmapped`.
    pub unmapped: &'a [(&'a str, &'a str)],
    /// Columns, and the fields of which each gives a value back where `unmapped` has not got them.
    pub columns: &'a [(usize, Vec<String>)],
}

impl Values<'_> {
    /// Gives the row every value that it has, if one of the keywords of its route may be among them. `of` gives columns
    /// without what only stands there for want of a field.
    pub fn add<'c>(&self, rows: &mut Rows, keywords: &Keywords, of: impl Fn(usize) -> Option<Cell<'c>>) {
        let own: Vec<&str> = self.unmapped.iter().filter(|(key, _)| *key != FALLBACKS).map(|(_, raw)| *raw).collect();
        let mut all = vec![format!("[{}]", own.join(","))];
        for (at, fields) in self.columns {
            if fields.iter().any(|field| has(self.unmapped.iter().copied(), field)) {
                continue;
            }
            all.extend(of(*at).map(|value| match value {
                Cell::Json(raw) => format!("[{raw}]"),
                Cell::Text(text) => {
                    let mut raw = String::from("[");
                    json::push_string(&mut raw, &text);
                    raw.push(']');
                    raw
                }
            }));
        }
        let mut lower = Vec::new();
        if all.iter().any(|raw| keywords.worth(raw, &mut lower)) {
            all.iter().for_each(|raw| rows.add_keywords(keywords.field, raw));
        }
    }
}

/// Whether an object with these members has a field, however its dotted name is nested.
fn has<'a>(mut members: impl Iterator<Item = (&'a str, &'a str)>, field: &str) -> bool {
    members.any(|(key, raw)| {
        let key = json::unescape(key);
        let rest = field.strip_prefix(key.as_ref());
        rest == Some("") || rest.and_then(|r| r.strip_prefix('.')).is_some_and(|rest| has(Members::of(raw), rest))
    })
}
