//! Matches of rules that wait for their turn: in event time, then in order of arrival.

use super::group::allocated;
use super::measured::Texts;
use super::uid::Uid;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tarn_ingest::fields::FieldValue;

/// Bytes of a match's uid and values.
const MATCH_BYTES_MAX: usize = 16 << 20;

/// A match that waits. The order of the members is that of the turns.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    pub time: i64,
    /// Which it is in order of arrival.
    pub number: u64,
    pub rule: u32,
    /// Uid and values, packed.
    packed: Box<[u8]>,
}

impl Waiting {
    /// Packs a match; none where it takes more than [`MATCH_BYTES_MAX`].
    pub fn new(time: i64, number: u64, rule: u32, uid: &str, values: &[Option<FieldValue>]) -> Option<Self> {
        let values: Vec<Texts<'_>> = values.iter().map(texts_of).collect();
        Self::packed(time, number, rule, &Uid::new(uid), &values)
    }

    /// The same of texts.
    pub fn packed(time: i64, number: u64, rule: u32, uid: &Uid, values: &[Texts<'_>]) -> Option<Self> {
        let packed = postcard::to_stdvec(&(uid, values)).ok().filter(|packed| packed.len() <= MATCH_BYTES_MAX)?.into();
        Some(Self { time, number, rule, packed })
    }

    /// Its uid, and each value's texts; none where its bytes are no match.
    pub fn unpack(&self) -> Option<(Uid, Vec<Texts<'_>>)> {
        postcard::from_bytes(&self.packed).ok()
    }

    /// Its bytes as a checkpoint has them: all but the rule.
    pub fn bytes(&self) -> postcard::Result<Vec<u8>> {
        postcard::to_stdvec(&(self.time, self.number, &*self.packed))
    }

    /// Reads such bytes; none where they are no match.
    pub fn read(bytes: &[u8]) -> Option<(i64, u64, Uid, Vec<Texts<'_>>)> {
        let ((time, number, packed), []) = postcard::take_from_bytes::<(i64, u64, &[u8])>(bytes).ok()? else {
            return None;
        };
        let ((uid, values), []) = postcard::take_from_bytes(packed).ok()? else { return None };
        Some((time, number, uid, values))
    }

    fn size(&self) -> usize {
        // A heap that grows is half empty at worst.
        2 * size_of::<Self>() + allocated(self.packed.len())
    }
}

/// All that wait.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Waiting>>,
    bytes: usize,
}

impl Queue {
    /// Puts a match in its turn.
    pub fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.size();
        self.heap.push(Reverse(waiting));
    }

    /// Takes the next one.
    pub fn pop(&mut self) -> Option<Waiting> {
        let Reverse(next) = self.heap.pop()?;
        self.bytes -= next.size();
        Some(next)
    }

    /// Takes the next one, if it is before `time`.
    pub fn pop_before(&mut self, time: i64) -> Option<Waiting> {
        self.heap.peek().filter(|Reverse(next)| next.time < time)?;
        self.pop()
    }

    /// Bytes that all take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// All, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.heap.iter().map(|Reverse(waiting)| waiting)
    }
}

fn texts_of(value: &Option<FieldValue>) -> Texts<'_> {
    fn add<'a>(value: &'a FieldValue, out: &mut Texts<'a>) {
        match value {
            FieldValue::Null => {}
            FieldValue::Text(text) => out.push(text),
            FieldValue::List(list) => list.iter().for_each(|v| add(v, out)),
        }
    }
    let mut out = Vec::new();
    value.iter().for_each(|v| add(v, &mut out));
    out
}
