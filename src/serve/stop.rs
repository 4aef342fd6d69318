//! Stopping: listeners first; what they took in goes all the way.

use super::Server;
use super::consumers::Input;
use anyhow::Context;
use std::time::Duration;
use tokio::task::JoinError;

/// How long stopping may take.
const STOP_MAX: Duration = Duration::from_secs(60);

impl Server {
    /// Stops: listeners first; what they took in is mapped, matched, and committed. Alerts that are not delivered yet
    /// wait in the outbox.
    ///
    /// **Errors**: the first of a part that failed; all of it takes longer than a minute, as when the lake's store fails:
    /// what is not committed is in the log, and the next start goes on with it.
    pub async fn stop(self) -> anyhow::Result<()> {
        let stopped = tokio::time::timeout(STOP_MAX, self.finish()).await;
        stopped.context("not all is in the lake yet; the next start goes on with it")?
    }

    async fn finish(self) -> anyhow::Result<()> {
        let Self { log, live, metrics, detection, consumers, stop, committing, mut threads, .. } = self;
        stop.cancel();
        // A merge that is cut off leaves a file that nothing refers to.
        if let Some(upkeep) = self.upkeep {
            upkeep.abort();
        }
        for listener in self.listening {
            let _ = listener.await;
        }
        // Findings are frames, too, and come after the last event.
        let mut failed = Ok(());
        while failed.is_ok() && !metrics.is_broken() && metrics.seen() < log.last() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            failed = threads.try_join_next().map_or(Ok(()), ended);
        }
        let _ = detection.send(Input::Stop);
        if let Some(cutting) = self.cutting {
            cutting.abort();
            let _ = cutting.await;
        }
        while failed.is_ok() && !metrics.is_stopped() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            failed = threads.try_join_next().map_or(Ok(()), ended);
        }
        let mut left = None;
        if let Some((stop, keeping)) = self.ledger {
            stop.cancel();
            let keeper = keeping.await?;
            left = Some((keeper.rest(), keeper));
        }
        tokio::task::spawn_blocking(move || log.close()).await?;
        // The last ways into mapping and the outbox go with these; then they end, and the committer after them.
        drop((detection, consumers));
        while let Some(done) = threads.join_next().await {
            failed = failed.and(ended(done));
        }
        self.delivering.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
        if let Some((stop, copying)) = self.copying {
            stop.cancel();
            let _ = copying.await;
        }
        // The outbox asks the lake what alerts are about.
        drop((live, self.outbox));
        committing.await?;
        if let Some((frames, keeper)) = left {
            keeper.finish(frames).await;
        }
        failed
    }
}

fn ended(done: Result<anyhow::Result<()>, JoinError>) -> anyhow::Result<()> {
    done.map_err(anyhow::Error::from).and_then(|result| result)
}
