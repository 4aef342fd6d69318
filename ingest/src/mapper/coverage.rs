//! How much of the logs lands in typed columns: counted by field occurrence.

use crate::source::Source;
use std::collections::BTreeMap;

/// How often a field came, and where its values went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldCoverage {
    /// To a typed column.
    pub typed: u64,
    /// To a JSON column.
    pub json: u64,
    /// To `unmapped` only, though an inventory names it.
    pub kept: u64,
    /// To `unmapped`, and no inventory names it.
    pub unknown: u64,
}

impl FieldCoverage {
    /// All occurrences.
    pub fn total(&self) -> u64 {
        self.typed + self.json + self.kept + self.unknown
    }
}

/// Counts by source and field.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    on: bool,
    /// Source → field → counts.
    pub sources: BTreeMap<String, BTreeMap<String, FieldCoverage>>,
}

impl Coverage {
    pub(super) fn new(on: bool) -> Self {
        Self { on, sources: BTreeMap::new() }
    }

    pub(super) fn count(&mut self, source: &Source, field: &str, change: impl FnOnce(&mut FieldCoverage)) {
        if self.on {
            let of = self.sources.entry(source.name.clone()).or_default();
            change(of.entry(field.to_owned()).or_default());
        }
    }

    pub(super) fn unknown(&mut self, source: &Source, fields: &[(String, &str)]) {
        for (field, _) in fields {
            self.count(source, field, |c| c.unknown += 1);
        }
    }
}
