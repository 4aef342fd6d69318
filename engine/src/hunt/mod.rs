//! Hunts: all rules of an engine over class tables, as one operator of a DataFusion plan.
//!
//! [`Hunted`] is a class table with a row for each (row, rule that fires on it). Its scan reads the columns that rules
//! need, once for all rules; conditions on other columns go down to files, row groups and pages. The operator is
//! `SigmaExec` in `EXPLAIN`. It gives what [`crate::Matcher`] gives on the events that the rows were made of.

mod exec;
mod table;

pub use exec::SigmaExec;
pub use table::{Hunted, RULE, VALUES};

use crate::bind::{Bound, Engine, RuleIx};
use std::collections::BTreeMap;
use tarn_ingest::fields::FieldValue;
use tarn_schema_ocsf::ClassUid;

impl Engine {
    /// The classes that events of some rule become, and how many rules have such events.
    pub fn classes(&self) -> BTreeMap<ClassUid, usize> {
        let mut classes: BTreeMap<ClassUid, Vec<RuleIx>> = BTreeMap::new();
        for bound in &self.bound {
            self.classes_of(bound).for_each(|class| classes.entry(class).or_default().push(bound.rule));
        }
        let distinct = |mut rules: Vec<RuleIx>| {
            rules.sort_unstable();
            rules.dedup();
            rules.len()
        };
        classes.into_iter().map(|(class, rules)| (class, distinct(rules))).collect()
    }

    /// The classes that a bound rule's events become, some more than once; none for records that are OCSF when they come.
    pub(crate) fn classes_of<'a>(&'a self, bound: &'a Bound) -> impl Iterator<Item = ClassUid> + 'a {
        let source = self.sources.source(bound.binding.source);
        let entries: Vec<_> = bound.binding.entries().collect();
        let kinds = source.kinds_of(&entries).into_iter().filter(|_| !source.native);
        kinds.map(|kind| source.kinds[kind as usize].class)
    }
}

/// The values of [`VALUES`], in the order of [`Engine::captures`].
pub fn values(json: &str) -> Vec<Option<FieldValue>> {
    tarn_ingest::json::Members::of(json)
        .map(|(_, raw)| raw.strip_prefix('[').and_then(|r| r.strip_suffix(']')))
        .map(|raw| raw.filter(|raw| !raw.is_empty()).map(FieldValue::of))
        .collect()
}
