//! The lake's upkeep inside the daemon: a task beside the committer, one table at a time.

use super::config::Upkeep;
use crate::causes::with_causes;
use chrono::Utc;
use std::time::Duration;
use tarn_lake::upkeep::{CompactOptions, compact, retain, vacuum};
use tarn_lake::{Lake, LakeError};
use tokio::time::Instant;

/// How often days are looked at for their age, and the store for files that nobody needs.
const DAILY: Duration = Duration::from_secs(24 * 3600);

/// Keeps the tables of `lake` until it is dropped. What fails is told, and tried again at the next turn.
pub async fn run(lake: Lake, config: Upkeep) {
    let mut daily = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(config.every_minutes * 60)).await;
        let is_daily = daily <= Instant::now();
        if is_daily {
            daily = Instant::now() + DAILY;
        }
        let names = match lake.table_names().await {
            Ok(names) => names,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "upkeep: the lake cannot be listed");
                continue;
            }
        };
        for table in names {
            if let Err(error) = keep(&lake, &table, &config, is_daily).await {
                tracing::warn!(table, error = with_causes(&error), "upkeep: this table has to wait");
            }
        }
    }
}

async fn keep(lake: &Lake, table: &str, config: &Upkeep, daily: bool) -> Result<(), LakeError> {
    let options =
        CompactOptions { target_bytes: config.target_mib << 20, files_min: config.files_min, outliers: daily };
    for done in compact(lake, table, &options, false).await? {
        let (files, rows, bytes) = (done.files, done.rows, done.bytes_after);
        tracing::info!(table, files, rows, bytes, "upkeep: files were merged");
    }
    if !daily {
        return Ok(());
    }
    if let Some(days) = config.days_of(table) {
        let gone = retain(lake, table, days, Utc::now(), false).await?;
        if gone.files > 0 {
            tracing::info!(table, files = gone.files, rows = gone.rows, days, "upkeep: old days went");
        }
    }
    let gone = vacuum(lake, table, config.vacuum_hours, false).await?.files.len();
    if gone > 0 {
        tracing::info!(table, files = gone, "upkeep: files that nobody needs went");
    }
    Ok(())
}
