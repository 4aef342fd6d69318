//! Hunts: all rules of an engine over class tables, as one operator of a DataFusion plan.
//!
//! [`Hunted`] is a class table with a row for each (row, rule that fires on it). Its scan reads the columns that rules
//! need, once for all rules; conditions on other columns go down to files, row groups and pages. The operator is
//! `SigmaExec` in `EXPLAIN`. It gives what [`crate::Matcher`] gives on the events that the rows were made of.

mod exec;
mod function;
mod in_turn;
mod sought;
mod table;

pub use exec::SigmaExec;
pub use function::Sigma;
pub use in_turn::in_turn;
pub use sought::Sought;
pub use table::{Hunted, Part, RULE, VALUES};

use crate::bind::{Engine, RuleIx};
use std::collections::{BTreeMap, BTreeSet};
use tarn_ingest::fields::FieldValue;
use tarn_schema_ocsf::ClassUid;

impl Engine {
    /// The classes that events of some rule become, and how many rules have such events.
    pub fn classes(&self) -> BTreeMap<ClassUid, usize> {
        let mut classes: BTreeMap<ClassUid, BTreeSet<RuleIx>> = BTreeMap::new();
        for (bound, of_bound) in self.bound.iter().zip(self.classes_of_bound()) {
            for class in of_bound {
                classes.entry(*class).or_default().insert(bound.rule);
            }
        }
        classes.into_iter().map(|(class, rules)| (class, rules.len())).collect()
    }
}

/// The values of [`VALUES`], in the order of [`Engine::captures`].
pub fn values(json: &str) -> Vec<Option<FieldValue>> {
    tarn_ingest::json::Members::of(json)
        .map(|(_, raw)| raw.strip_prefix('[').and_then(|r| r.strip_suffix(']')))
        .map(|raw| raw.filter(|raw| !raw.is_empty()).map(FieldValue::of))
        .collect()
}
