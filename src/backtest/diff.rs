//! What another version of a rule finds, and this one does not.

use super::Pass;
use std::collections::HashMap;
use std::sync::Arc;

/// Findings of one rule that are kept to be compared; a rule with more is counted only. About 100 bytes each.
const KEYS_MAX: usize = 1_000_000;

/// The findings of a rule, by what they stand on. **Bounds**: [`KEYS_MAX`]; beyond it, nothing is kept.
pub struct KeySet(Option<HashMap<Arc<str>, Arc<str>>>);

impl KeySet {
    /// None yet.
    pub fn new(pass: Pass) -> Self {
        Self((pass != Pass::Only).then(HashMap::new))
    }

    /// A finding: what tells it apart, and the uid of its (last) event.
    pub fn add(&mut self, key: &Arc<str>, event: &Arc<str>) {
        if let Some(keys) = &mut self.0 {
            keys.insert(key.clone(), event.clone());
        }
        if self.0.as_ref().is_some_and(|keys| keys.len() > KEYS_MAX) {
            self.0 = None;
        }
    }
}

/// The difference that a new version of a rule makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Findings that only the new version has.
    pub gained: u64,
    /// Findings that only the old version has.
    pub lost: u64,
    /// Uids of events of some of the gained ones, sorted.
    pub gained_events: Vec<Arc<str>>,
    /// The same of the lost ones.
    pub lost_events: Vec<Arc<str>>,
}

impl Diff {
    /// Compares two versions, with up to `examples` uids each; a version that is not there has found nothing.
    /// None where there were too many findings to be kept.
    pub fn between(new: Option<&KeySet>, old: Option<&KeySet>, examples: usize) -> Option<Self> {
        let none = KeySet::new(Pass::New);
        let new = new.unwrap_or(&none).0.as_ref()?;
        let old = old.unwrap_or(&none).0.as_ref()?;
        let (gained, gained_events) = only(new, old, examples);
        let (lost, lost_events) = only(old, new, examples);
        Some(Self { gained, lost, gained_events, lost_events })
    }
}

type Map = HashMap<Arc<str>, Arc<str>>;

fn only(these: &Map, those: &Map, examples: usize) -> (u64, Vec<Arc<str>>) {
    let mut events: Vec<&Arc<str>> = these.iter().filter(|(k, _)| !those.contains_key(*k)).map(|(_, e)| e).collect();
    let count = events.len() as u64;
    events.sort_unstable();
    (count, events.into_iter().take(examples).cloned().collect())
}
