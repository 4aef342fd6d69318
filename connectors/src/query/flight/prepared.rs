//! Prepared statements: so many for each identity, the ones that were used last.

use crate::access::Identity;
use crate::query::Shape;
use arrow::array::ArrayRef;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Statements of an identity; the one that was not used for the longest goes for a new one.
const STATEMENTS_MAX: usize = 256;

/// A statement, and the values that it runs with.
#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: String,
    pub shape: Shape,
    pub values: Vec<ArrayRef>,
}

#[derive(Debug)]
struct Entry {
    owner: Arc<str>,
    used: u64,
    statement: Statement,
}

#[derive(Debug, Default)]
struct Entries {
    by_handle: HashMap<Bytes, Entry>,
    /// Counts uses.
    clock: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Prepared(Mutex<Entries>);

impl Prepared {
    /// Keeps a statement; its handle, which cannot be guessed.
    pub fn add(&self, owner: &Identity, statement: Statement) -> Bytes {
        let handle = Bytes::copy_from_slice(Uuid::new_v4().as_bytes());
        let mut entries = self.entries();
        let used = entries.tick();
        let own = || entries.by_handle.iter().filter(|(_, entry)| entry.owner == owner.name);
        if own().count() >= STATEMENTS_MAX
            && let Some(oldest) = own().min_by_key(|(_, entry)| entry.used).map(|(handle, _)| handle.clone())
        {
            entries.by_handle.remove(&oldest);
        }
        entries.by_handle.insert(handle.clone(), Entry { owner: Arc::clone(&owner.name), used, statement });
        handle
    }

    /// A statement of this identity's.
    pub fn get(&self, owner: &Identity, handle: &Bytes) -> Option<Statement> {
        let mut entries = self.entries();
        let used = entries.tick();
        let entry = entries.by_handle.get_mut(handle).filter(|entry| entry.owner == owner.name)?;
        entry.used = used;
        Some(entry.statement.clone())
    }

    /// Gives a statement its values; `false` where there is no such statement.
    pub fn bind(&self, owner: &Identity, handle: &Bytes, values: Vec<ArrayRef>) -> bool {
        let mut entries = self.entries();
        let entry = entries.by_handle.get_mut(handle).filter(|entry| entry.owner == owner.name);
        entry.map(|entry| entry.statement.values = values).is_some()
    }

    /// Forgets a statement.
    pub fn close(&self, owner: &Identity, handle: &Bytes) {
        let mut entries = self.entries();
        if entries.by_handle.get(handle).is_some_and(|entry| entry.owner == owner.name) {
            entries.by_handle.remove(handle);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;

    #[test]
    fn each_identity_has_its_own() {
        let identity = |name: &str| Identity { name: name.into() };
        let shape = Shape { schema: Arc::new(Schema::empty()), parameters: Vec::new() };
        let statement = |n: usize| Statement { sql: n.to_string(), shape: shape.clone(), values: Vec::new() };
        let prepared = Prepared::default();
        let (one, other) = (identity("one"), identity("other"));
        let first = prepared.add(&one, statement(0));
        let kept = prepared.add(&other, statement(0));
        let second = prepared.add(&one, statement(1));
        assert!(prepared.get(&other, &first).is_none() && !prepared.bind(&other, &first, Vec::new()));
        prepared.close(&other, &first);
        assert!(prepared.get(&one, &first).is_some(), "used again, and not another's to close");
        for n in 2..=STATEMENTS_MAX {
            prepared.add(&one, statement(n));
        }
        assert!(prepared.get(&one, &second).is_none(), "the one that was not used for the longest");
        assert!(prepared.get(&one, &first).is_some() && prepared.get(&other, &kept).is_some());
        prepared.close(&one, &first);
        assert!(prepared.get(&one, &first).is_none());
    }
}
