//! Keywords over columns: one search of a column's bytes, for the rules of all of a source's events, tells which of its
//! rows are worth a look. Rows for which there are other keyword rules are few, and looked at one by one.

use super::Column;
use super::column::Cell;
use crate::fields::keywords::{Keywords, unsure};
use crate::fields::{FieldIx, FieldUse, Needle, Rows};
use crate::json::{self, Members};
use crate::mapper::FALLBACKS;
use arrow::array::AsArray;
use std::collections::BTreeSet;

/// Bytes that are searched at once: what stays near the processor.
const PIECE_BYTES: usize = 32 << 10;

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

    /// For some texts, none of which is in numbers.
    pub fn of_any(needles: &BTreeSet<Needle>) -> Self {
        Self { keywords: Keywords::of_any(FieldIx(0), needles), in_numbers: false }
    }

    /// For each of `rows` rows, whether a keyword may be in one of the columns.
    pub fn of<'c>(&self, rows: usize, columns: impl Iterator<Item = &'c Column>) -> Vec<bool> {
        let mut suspects = vec![!self.keywords.searches(); rows];
        for column in columns {
            match column {
                Column::Text(texts) => self.mark(texts.iter(), &mut |row| suspects[row] = true),
                Column::Json(texts) => self.mark(texts.iter(), &mut |row| suspects[row] = true),
                Column::List(lists) => {
                    let texts = lists.values().as_string::<i32>();
                    self.mark(texts.iter(), &mut |element| {
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

    /// Tells which texts, by their place, may have one.
    fn mark<'t>(&self, texts: impl Iterator<Item = Option<&'t str>>, suspect: &mut impl FnMut(usize)) {
        let (mut piece, mut offsets, mut first) = (String::with_capacity(2 * PIECE_BYTES), vec![0], 0);
        for (at, text) in texts.enumerate() {
            piece.push_str(text.unwrap_or_default());
            offsets.push(piece.len());
            if piece.len() >= PIECE_BYTES {
                self.mark_piece(&mut piece, &offsets, &mut |at| suspect(first + at));
                piece.clear();
                offsets.truncate(1);
                first = at + 1;
            }
        }
        self.mark_piece(&mut piece, &offsets, &mut |at| suspect(first + at));
    }

    /// The same of texts one behind the other, each from an offset to the next, which are lower-cased.
    fn mark_piece(&self, piece: &mut str, offsets: &[usize], suspect: &mut impl FnMut(usize)) {
        // Rare characters are looked at again, text by text.
        let mut from = 0;
        while let Some(at) = unsure(&piece.as_bytes()[from..]) {
            let text = offsets.partition_point(|start| *start <= from + at) - 1;
            if self.keywords.worth(&piece[offsets[text]..offsets[text + 1]], &mut Vec::new()) {
                suspect(text);
            }
            from = offsets[text + 1];
        }
        piece.make_ascii_lowercase();
        self.keywords.rows(piece.as_bytes(), offsets, suspect);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{ListBuilder, StringBuilder, StringViewArray};
    use proptest::prelude::*;

    const PARTS: [&str; 10] = ["mimi", "MimiKatz", "katz", "\\u006d", "\\u212A", "\u{212a}atz", "é", "\\\\", " ", "x"];

    /// Texts of pieces that may make a keyword, also with what is before or behind them, and some that fill a piece.
    fn texts() -> impl Strategy<Value = Vec<Option<String>>> {
        let part = prop_oneof![
            20 => proptest::sample::select(&PARTS[..]).prop_map(str::to_owned),
            1 => (1..2 * PIECE_BYTES).prop_map(|bytes| ".".repeat(bytes)),
        ];
        let text = proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat());
        proptest::collection::vec(proptest::option::weighted(0.9, text), 0..40)
    }

    proptest! {
        #[test]
        fn rows_with_a_keyword_are_found(texts in texts(), more in 0_usize..100) {
            let needles = (0..more).map(|n| format!("none of these {n}")).chain(["mimikatz".to_owned()]);
            let suspects = Suspects::of_any(&needles.filter_map(|text| Needle::of(&text)).collect());
            let worth = |text: &Option<String>| {
                text.as_ref().is_some_and(|text| suspects.keywords.worth(text, &mut Vec::new()))
            };
            let expected: Vec<bool> = texts.iter().map(worth).collect();
            let column = Column::Json(StringViewArray::from_iter(&texts));
            prop_assert_eq!(&suspects.of(texts.len(), [&column].into_iter()), &expected);
            // Lists of two, the first of which is always there.
            let mut lists = ListBuilder::new(StringBuilder::new());
            for text in &texts {
                lists.values().append_value("x");
                lists.values().append_option(text.as_ref());
                lists.append(true);
            }
            prop_assert_eq!(suspects.of(texts.len(), [&Column::List(lists.finish())].into_iter()), expected);
        }
    }
}
