//! How much of the logs lands in typed columns: counted by field occurrence.

use crate::source::Source;
use std::collections::BTreeMap;

/// How often a field came, and where its values went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldCoverage {
    /// To a typed column.
    pub typed: u64,
    /// To a JSON column, or of a subtree that the vendor leaves free.
    pub json: u64,
    /// To `unmapped` only, though an inventory names it.
    pub kept: u64,
    /// Anywhere, of a field that the shipper adds.
    pub shipper: u64,
    /// To `unmapped`, and no inventory names it.
    pub unknown: u64,
}

impl FieldCoverage {
    /// All occurrences.
    pub fn total(&self) -> u64 {
        self.typed + self.json + self.kept + self.shipper + self.unknown
    }
}

/// Counts of one kind of event, by field.
pub type KindCoverage = BTreeMap<String, FieldCoverage>;

/// Counts by source, kind and field.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    on: bool,
    /// Source → kind → field → counts.
    pub sources: BTreeMap<String, BTreeMap<String, KindCoverage>>,
}

impl Coverage {
    pub(super) fn new(on: bool) -> Self {
        Self { on, sources: BTreeMap::new() }
    }

    /// The counts of a kind; none when nothing is counted.
    pub(super) fn of(&mut self, source: &Source, kind: usize) -> Option<&mut KindCoverage> {
        let kinds = self.on.then(|| self.sources.entry(source.name.clone()).or_default())?;
        Some(kinds.entry(source.kinds[kind].name.clone()).or_default())
    }
}
