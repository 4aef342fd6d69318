//! The log is cut behind what all of its consumers are through with.

use super::crash;
use super::frame::Frame;
use super::metrics::Metrics;
use crate::causes::with_causes;
use std::sync::Arc;
use std::time::Duration;
use tarn_lake::Live;
use tarn_lake::log::Log;

/// How often the log is looked at for what can be cut.
const CUT_EVERY: Duration = Duration::from_secs(1);

/// Cuts it for as long as it runs.
pub async fn cut(log: Log<Frame>, live: Live, metrics: Arc<Metrics>) {
    let committed = live.committed();
    drop(live);
    loop {
        tokio::time::sleep(CUT_EVERY).await;
        let through = (*committed.borrow()).min(metrics.checkpoint()).min(metrics.alerted()).min(metrics.ledger());
        crash::point("before-cut");
        if through < log.first() {
            continue;
        }
        let cutting = log.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || cutting.cut(through)).await {
            tracing::warn!(error = %with_causes(&error), "the log cannot be cut");
        }
    }
}
