//! What a rule looks at, as its condition was bound; what that takes in time is for the caller to measure.

use crate::bind::{Engine, RuleIx, fields_of};
use std::collections::{BTreeSet, HashSet};
use tarn_ingest::fields::KEYWORDS;
use tarn_rules::Test;
use tarn_schema_ocsf::ClassUid;

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reads {
    /// Distinct tests of a field's value, over all sources that the rule is bound to.
    pub tests: usize,
    /// The fields, by Sigma's names; [`KEYWORDS`] is every value of an event.
    pub fields: BTreeSet<String>,
}

impl Engine {
    /// What a rule looks at.
    pub fn reads(&self, rule: RuleIx) -> Reads {
        let mut tests: HashSet<(Option<String>, Test)> = HashSet::new();
        let mut fields = BTreeSet::new();
        for bound in self.bound.iter().filter(|bound| bound.rule == rule) {
            bound.condition.items(&mut |item| {
                tests.insert((item.field.clone(), item.test.clone()));
                fields.extend(fields_of(item).map(str::to_owned));
                fields.extend(item.field.is_none().then(|| KEYWORDS.to_owned()));
            });
        }
        Reads { tests: tests.len(), fields }
    }

    /// The rules of which events become this class.
    pub fn rules_of(&self, class: ClassUid) -> BTreeSet<RuleIx> {
        let bound = self.bound.iter().zip(self.classes_of_bound());
        bound.filter(|(_, classes)| classes.contains(&class)).map(|(bound, _)| bound.rule).collect()
    }
}
