//! What a verification gives: a record always, and a value only where it passed.

use crate::reason::Reason;
use crate::record::{Failure, Record, Trail};

/// A value that a verifier in this crate made. There is no other way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// The value, which from here on is a value like any.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// What came of a verification.
#[derive(Clone, Debug)]
pub struct Verification<T> {
    record: Record,
    verified: Option<Verified<T>>,
}

impl<T> Verification<T> {
    /// Runs a verifier's checks. Passing is the absence of a failure, and the record says the same.
    pub(crate) fn run(checks: impl FnOnce(&mut Trail) -> Result<T, Failure>) -> Self {
        let mut trail = Trail::default();
        match checks(&mut trail) {
            Ok(value) => Self { record: trail.finish(None), verified: Some(Verified(value)) },
            Err(failure) => Self { record: trail.finish(Some(&failure)), verified: None },
        }
    }

    /// What was checked, and what came of it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Why it failed.
    pub fn reason(&self) -> Option<Reason> {
        self.record.reason
    }

    /// The value, where it passed.
    pub fn verified(&self) -> Option<&Verified<T>> {
        self.verified.as_ref()
    }

    /// The record, and the value where it passed.
    pub fn into_parts(self) -> (Record, Option<Verified<T>>) {
        (self.record, self.verified)
    }
}
