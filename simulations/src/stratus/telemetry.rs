//! Waits until the lake has what a detonation left in the logs.

use super::detonate::{Detonation, Stop};
use crate::daemon::{Client, ClientError, Watch};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often the lake is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Clocks of clouds and ours may differ by so much, minutes.
const SKEW_MIN: i64 = 5;

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// At most, for all; clouds take a quarter of an hour.
    pub longest: Duration,
    /// Without a new record, once each technique has some.
    pub quiet: Duration,
}

/// The uids of each detonation's records, and when they happened.
///
/// **Errors**: the daemon's.
pub async fn wait(
    client: &Client,
    watch: &mut Watch,
    detonations: &[Detonation],
    patience: Patience,
    stop: &Stop,
) -> Result<Vec<BTreeMap<String, DateTime<Utc>>>, ClientError> {
    let deadline = Instant::now() + patience.longest;
    let mut found: Vec<BTreeMap<String, DateTime<Utc>>> = vec![BTreeMap::new(); detonations.len()];
    let (mut last, mut asked) = (Instant::now(), None::<Instant>);
    loop {
        watch.look().await?;
        if asked.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
            asked = Some(Instant::now());
            for (detonation, found) in detonations.iter().zip(&mut found).filter(|(d, _)| d.detonated) {
                let before = found.len();
                found.extend(records(client, detonation).await?);
                if found.len() > before {
                    last = Instant::now();
                }
            }
        }
        let all = detonations.iter().zip(&found).all(|(d, found)| !d.detonated || !found.is_empty());
        let is_over = (all && last.elapsed() >= patience.quiet) || Instant::now() >= deadline || *stop.borrow();
        if is_over || detonations.iter().all(|d| !d.detonated) {
            return Ok(found);
        }
        tokio::time::sleep(crate::daemon::LOOK_EVERY).await;
    }
}

/// Records that have a detonation's tag: in the user agent, wherever their log has that.
async fn records(client: &Client, detonation: &Detonation) -> Result<Vec<(String, DateTime<Utc>)>, ClientError> {
    let since = (detonation.at - TimeDelta::minutes(SKEW_MIN)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut found = Vec::new();
    for table in client.tables().await? {
        let sql = format!(
            "SELECT metadata.uid, time FROM \"{table}\" WHERE time >= TIMESTAMP '{since}' AND raw_data LIKE '%{}%'",
            detonation.tag
        );
        for row in client.sql(&sql).await? {
            let time = row["time"].as_i64().and_then(DateTime::from_timestamp_millis).unwrap_or(detonation.at);
            found.extend(row["metadata"]["uid"].as_str().map(|uid| (uid.to_owned(), time)));
        }
    }
    Ok(found)
}
