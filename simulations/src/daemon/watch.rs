//! Findings as they appear, and when there will be no more of them.

use super::client::{Client, ClientError};
use super::reading::{COLUMNS, finding};
use crate::score::Finding;
use chrono::Utc;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// The table of findings.
const TABLE: &str = "detection_finding";
/// Findings that are read at once.
const ROWS_MAX: usize = 5_000;
/// How often is looked; no alert's latency is known better than this.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long to wait for what detection still has to say.
#[derive(Clone, Copy, Debug)]
pub struct WatchOptions {
    /// The longest wait after the last record.
    pub wait: Duration,
}

/// Reads a daemon's findings from the moment it was made.
pub struct Watch {
    client: Client,
    /// The arrival of the last one that was read, microseconds.
    after: i64,
    known: HashSet<String>,
    findings: Vec<Finding>,
}

impl Watch {
    /// Begins after what is there.
    ///
    /// **Errors**: the daemon's.
    pub async fn begin(client: Client) -> Result<Self, ClientError> {
        let after = last(&client).await?;
        Ok(Self { client, after, known: HashSet::new(), findings: Vec::new() })
    }

    /// Reads what is new; this is when it was seen.
    ///
    /// **Errors**: the daemon's.
    pub async fn look(&mut self) -> Result<(), ClientError> {
        if last(&self.client).await? <= self.after {
            return Ok(());
        }
        // With the first finding that names a technique, the table has a column more.
        let has = self.client.columns(TABLE).await?;
        let columns: Vec<&str> = COLUMNS.into_iter().filter(|column| has.iter().any(|name| name == column)).collect();
        let columns = columns.join(", ");
        loop {
            // What people did with findings are records of the same table, and no findings of their own.
            let after = self.after;
            let sql = format!(
                "SELECT {columns} FROM {TABLE} WHERE arrival > {after} AND activity_id = 1 ORDER BY arrival LIMIT {ROWS_MAX}"
            );
            let rows = self.client.sql(&sql).await?;
            let seen = Utc::now();
            for row in &rows {
                self.after = self.after.max(row["arrival"].as_i64().unwrap_or(self.after));
                if let Some(finding) = finding(row, seen).filter(|f| self.known.insert(f.uid.clone())) {
                    self.findings.push(finding);
                }
            }
            if rows.len() < ROWS_MAX {
                return Ok(());
            }
        }
    }

    /// Reads on until detection is through with all that was acknowledged before, correlations included, or the wait is
    /// over. Whether it is through; unknown where the daemon does not show its metrics, and then the wait is used up.
    ///
    /// **Errors**: the daemon's.
    pub async fn settle(&mut self, options: WatchOptions) -> Result<bool, ClientError> {
        let deadline = Instant::now() + options.wait;
        let mut target = None;
        loop {
            let metrics = self.client.metrics().await?.unwrap_or_default();
            let get = |name: &str| metrics.get(name).copied();
            let target = *target.get_or_insert(get("tarn_log_last_sequence").unwrap_or(f64::INFINITY));
            let is_through = get("tarn_spoken_sequence").is_some_and(|at| at >= target)
                && get("tarn_correlation_matches_waiting").is_some_and(|n| n == 0.0);
            self.look().await?;
            if is_through || Instant::now() >= deadline {
                return Ok(is_through);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What was found so far.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// The arrival of the last finding, microseconds since 1970; 0 where there is none.
async fn last(client: &Client) -> Result<i64, ClientError> {
    let rows = client.sql(&format!("SELECT max(arrival) AS last FROM {TABLE} WHERE activity_id = 1")).await?;
    Ok(rows.first().and_then(|row| row["last"].as_i64()).unwrap_or(0))
}
