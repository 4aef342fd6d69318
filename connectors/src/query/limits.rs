//! What one query may use, and how many may run: the `[query]` table of the configuration.

use serde::Deserialize;
use std::time::Duration;
use thiserror::Error;

/// Limits of every query, whatever protocol it comes over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryLimits {
    /// Rows of an answer.
    pub rows_max: u64,
    /// Seconds from the question to the last row, the reader's slowness included.
    pub timeout_s: u64,
    /// Memory of one query's operators, MiB; the database keeps it.
    pub memory_mib: u64,
    /// Queries that run at once.
    pub concurrent_max: usize,
    /// Milliseconds that a query waits for another to end before it is refused.
    pub wait_ms: u64,
    /// Bytes of a statement.
    pub sql_bytes_max: usize,
}

impl Default for QueryLimits {
    /// 10 million rows, 5 minutes, 256 MiB, 16 at once, 2 seconds of waiting, 1 MiB of SQL.
    fn default() -> Self {
        Self {
            rows_max: 10_000_000,
            timeout_s: 300,
            memory_mib: 256,
            concurrent_max: 16,
            wait_ms: 2_000,
            sql_bytes_max: 1 << 20,
        }
    }
}

/// A limit that no query could keep.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("query.{key} must be at least 1")]
pub struct LimitsError {
    /// The setting.
    pub key: &'static str,
}

impl QueryLimits {
    /// Whether a query can run at all. **Errors**: the first limit that is zero and may not be.
    pub fn check(&self) -> Result<(), LimitsError> {
        let zero = [
            ("rows_max", self.rows_max == 0),
            ("timeout_s", self.timeout_s == 0),
            ("memory_mib", self.memory_mib == 0),
            ("concurrent_max", self.concurrent_max == 0),
            ("sql_bytes_max", self.sql_bytes_max == 0),
        ];
        match zero.into_iter().find(|(_, zero)| *zero) {
            Some((key, _)) => Err(LimitsError { key }),
            None => Ok(()),
        }
    }

    /// [`Self::timeout_s`].
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}
