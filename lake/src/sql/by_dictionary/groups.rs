//! Which group a row belongs to.

use ahash::AHashMap;
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::{Result, exec_err};
use std::sync::Arc;

/// The number of no text.
const NULL: u32 = 0;
/// A pair that did not occur.
const UNSEEN: u32 = u32::MAX;
/// Pairs that have an entry each, whether they occur or not.
const DIRECT_MAX: usize = 1 << 22;

/// The numbers of one column's texts.
#[derive(Default)]
struct Texts {
    numbers: AHashMap<Arc<str>, u32>,
    /// By number, from 1.
    texts: Vec<Arc<str>>,
    bytes: usize,
    /// The dictionary at hand, and the numbers of its values.
    dictionary: Option<ArrayRef>,
    of: Vec<u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let text: Arc<str> = text.into();
        self.bytes += text.len();
        self.texts.push(Arc::clone(&text));
        let number = self.texts.len() as u32;
        self.numbers.insert(text, number);
        number
    }

    /// Appends the numbers of an array's values.
    fn add(&mut self, array: &ArrayRef, numbers: &mut Vec<u32>) -> Result<()> {
        match array.data_type() {
            DataType::Dictionary(..) => {
                let Some(array) = array.as_dictionary_opt::<Int32Type>() else { return exec_err!("keys are no Int32") };
                let values = array.values();
                if !self.dictionary.as_ref().is_some_and(|known| Arc::ptr_eq(known, values)) {
                    let texts = values.as_string::<i32>();
                    self.of = texts.iter().map(|text| text.map_or(NULL, |text| self.number(text))).collect();
                    self.dictionary = Some(Arc::clone(values));
                }
                let of = |key: i32| self.of.get(key as usize).copied().unwrap_or(NULL);
                match array.null_count() {
                    0 => numbers.extend(array.keys().values().iter().map(|key| of(*key))),
                    _ => numbers.extend(array.keys().iter().map(|key| key.map_or(NULL, of))),
                }
            }
            DataType::Utf8View => {
                for text in array.as_string_view() {
                    numbers.push(text.map_or(NULL, |text| self.number(text)));
                }
            }
            DataType::Null => numbers.resize(numbers.len() + array.len(), NULL),
            other => return exec_err!("{other} is no text"),
        }
        Ok(())
    }

    fn size(&self) -> usize {
        // A text is counted once, and has two counters before it.
        let entry = size_of::<(Arc<str>, u32)>() + size_of::<Arc<str>>() + 2 * size_of::<usize>();
        self.bytes + self.texts.len() * entry + self.of.len() * size_of::<u32>()
    }
}

/// Numbers of pairs, as they come.
#[derive(Default)]
struct Pairs {
    /// By the first number, and in that by the second, of which there is room for so many.
    direct: Vec<u32>,
    width: usize,
    /// Where there are too many.
    hashed: Option<AHashMap<(u32, u32), u32>>,
    count: u32,
}

impl Pairs {
    /// Makes room for pairs of numbers below these.
    fn reserve(&mut self, firsts: usize, seconds: usize) {
        if self.hashed.is_some() {
            return;
        }
        let width = self.width.max(seconds.next_power_of_two());
        if firsts.saturating_mul(width) > DIRECT_MAX {
            let old = (0..).zip(&self.direct).filter(|(_, number)| **number != UNSEEN);
            let pair = |at: usize| ((at / self.width) as u32, (at % self.width) as u32);
            self.hashed = Some(old.map(|(at, number)| (pair(at), *number)).collect());
            self.direct = Vec::new();
            return;
        }
        if width > self.width {
            let mut wider = vec![UNSEEN; firsts * width];
            for (row, old) in self.direct.chunks(self.width.max(1)).enumerate() {
                wider[row * width..row * width + old.len()].copy_from_slice(old);
            }
            (self.direct, self.width) = (wider, width);
        } else if self.direct.len() < firsts * width {
            self.direct.resize(firsts * width, UNSEEN);
        }
    }

    /// The number of a pair for which there is room, and whether it is new.
    #[inline]
    fn number(&mut self, first: u32, second: u32) -> (u32, bool) {
        let next = self.count;
        let number = match &mut self.hashed {
            Some(hashed) => hashed.entry((first, second)).or_insert(next),
            None => &mut self.direct[first as usize * self.width + second as usize],
        };
        if *number == UNSEEN {
            *number = next;
        }
        let is_new = *number == next;
        self.count += u32::from(is_new);
        (*number, is_new)
    }

    fn size(&self) -> usize {
        let hashed = self.hashed.as_ref().map_or(0, |hashed| hashed.capacity() * 2 * size_of::<(u32, u32, u32)>());
        self.direct.len() * size_of::<u32>() + hashed
    }
}

/// The groups of rows with the same texts in some columns.
pub(super) struct Groups {
    columns: Vec<Texts>,
    /// Of each column's numbers with those of the columns before it.
    pairs: Vec<Pairs>,
    /// By column and group, the number of its text.
    keys: Vec<Vec<u32>>,
    numbers: Vec<Vec<u32>>,
    of_rows: Vec<usize>,
}

impl Groups {
    /// Of so many columns.
    pub(super) fn new(columns: usize) -> Self {
        Self {
            columns: (0..columns).map(|_| Texts::default()).collect(),
            pairs: (0..columns).map(|_| Pairs::default()).collect(),
            keys: vec![Vec::new(); columns],
            numbers: vec![Vec::new(); columns],
            of_rows: Vec::new(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.first().map_or(0, Vec::len)
    }

    /// The group of each row, whose texts are in these arrays: dictionaries of texts, views, or nothing.
    pub(super) fn add(&mut self, arrays: &[ArrayRef]) -> Result<&[usize]> {
        self.of_rows.clear();
        self.of_rows.resize(arrays.first().map_or(0, |array| array.len()), 0);
        let last = self.columns.len().saturating_sub(1);
        let mut firsts = 1;
        for (at, (texts, pairs)) in self.columns.iter_mut().zip(&mut self.pairs).enumerate() {
            let Some(array) = arrays.get(at) else { return exec_err!("no column {at}") };
            let numbers = &mut self.numbers[at];
            numbers.clear();
            texts.add(array, numbers)?;
            // As many pairs as rows may be new.
            pairs.reserve(firsts, texts.texts.len() + 1);
            let before = pairs.count;
            for (group, number) in self.of_rows.iter_mut().zip(numbers.iter()) {
                *group = pairs.number(*group as u32, *number).0 as usize;
            }
            firsts = pairs.count as usize;
            if at < last || pairs.count == before {
                continue;
            }
            for keys in &mut self.keys {
                keys.resize(pairs.count as usize, NULL);
            }
            for (row, group) in self.of_rows.iter().enumerate().filter(|(_, group)| **group >= before as usize) {
                for (keys, numbers) in self.keys.iter_mut().zip(&self.numbers) {
                    keys[*group] = numbers.get(row).copied().unwrap_or(NULL);
                }
            }
        }
        Ok(&self.of_rows)
    }

    /// The texts of all groups, column by column.
    pub(super) fn texts(&self) -> Result<Vec<ArrayRef>> {
        let column = |(texts, keys): (&Texts, &Vec<u32>)| {
            let values = StringViewArray::from_iter_values(&texts.texts);
            let keys = keys.iter().map(|key| key.checked_sub(1));
            Ok(take(&values, &keys.collect::<UInt32Array>(), None)?)
        };
        self.columns.iter().zip(&self.keys).map(column).collect()
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        let texts: usize = self.columns.iter().map(Texts::size).sum();
        let pairs: usize = self.pairs.iter().map(Pairs::size).sum();
        texts + pairs + self.len() * self.columns.len() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{DictionaryArray, Int32Array, StringArray};
    use std::collections::HashMap;

    /// Rows of three columns: in dictionaries that change, as views, and without a value.
    fn rows(seed: u64, rows: usize, distinct: u64) -> Vec<[Option<String>; 3]> {
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut text = |of: u64| Some(next() % of).filter(|n| *n > 0).map(|n| format!("a text of some length, {n}"));
        (0..rows).map(|_| [text(distinct), text(7), text(distinct / 3 + 1)]).collect()
    }

    fn array(texts: &[Option<String>], as_dictionary: bool) -> ArrayRef {
        if !as_dictionary {
            return Arc::new(texts.iter().map(Option::as_deref).collect::<StringViewArray>());
        }
        let mut distinct: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let key = |text: &String| distinct.binary_search(&text.as_str()).unwrap() as i32;
        let keys: Int32Array = texts.iter().map(|text| text.as_ref().map(key)).collect();
        Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(distinct.clone()))))
    }

    #[test]
    fn rows_of_a_group_have_the_same_texts_and_no_others() {
        for (distinct, columns) in [(5, 1), (5, 3), (900, 1), (900, 2), (30_000, 2), (30_000, 3)] {
            let mut groups = Groups::new(columns);
            let mut known: HashMap<Vec<Option<String>>, usize> = HashMap::new();
            for (n, batch) in rows(distinct, 9_000, distinct).chunks(1000).enumerate() {
                let column = |at: usize| batch.iter().map(|row| row[at].clone()).collect::<Vec<_>>();
                let arrays: Vec<ArrayRef> = (0..columns).map(|at| array(&column(at), (n + at) % 3 > 0)).collect();
                let of_rows = groups.add(&arrays).unwrap().to_vec();
                for (row, group) in batch.iter().zip(of_rows) {
                    assert_eq!(*known.entry(row[..columns].to_vec()).or_insert(group), group, "{row:?}");
                }
            }
            assert_eq!(groups.len(), known.len(), "{distinct} {columns}");
            let texts = groups.texts().unwrap();
            for (row, group) in known {
                for (text, column) in row.iter().zip(&texts) {
                    let column = column.as_string_view();
                    let of_group = column.is_valid(group).then(|| column.value(group));
                    assert_eq!(of_group, text.as_deref());
                }
            }
        }
    }

    #[test]
    fn many_pairs_are_hashed() {
        let mut groups = Groups::new(2);
        let texts: Vec<Option<String>> = (0..5000).map(|n| Some(n.to_string())).collect();
        let few = array(&texts[..9], true);
        assert_eq!(groups.add(&[Arc::clone(&few), few]).unwrap(), (0..9).collect::<Vec<_>>());
        assert!(groups.pairs[1].hashed.is_none());
        let all = array(&texts, true);
        assert_eq!(groups.add(&[Arc::clone(&all), all]).unwrap(), (0..5000).collect::<Vec<_>>());
        assert!(groups.pairs[1].hashed.is_some());
        assert_eq!(groups.len(), 5000);
    }
}
