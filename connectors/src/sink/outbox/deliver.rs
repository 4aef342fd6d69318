//! Delivering: a worker a sink, and one that minds the timers. All state is in the store; a worker may die at any point.

use super::{Outbox, OutboxError, Plan};
use crate::sink::message::Message;
use crate::sink::registry::{Configured, Rendered};
use crate::sink::retry::Verdict;
use chrono::DateTime;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How long a worker sleeps at most: the wall clock may have been set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// How long a worker waits when the store fails.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// What became of a try; none where its task died.
type Tried = (u64, Verdict);

impl Outbox {
    /// Delivers until `stop`. Tries under way are finished then, and written down; a try ends with its timeout.
    /// After [`Outbox::reconfigure`] it goes on by the new configuration.
    pub async fn deliver(self: Arc<Self>, stop: CancellationToken) {
        let mut plans = self.plan.subscribe();
        while !stop.is_cancelled() {
            let plan = plans.borrow_and_update().clone();
            let (until, mut workers) = (stop.child_token(), JoinSet::new());
            workers.spawn(Arc::clone(&self).mind_timers(Arc::clone(&plan), until.clone()));
            for sink in plan.sinks.values() {
                workers.spawn(Arc::clone(&self).work(sink.clone(), until.clone()));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                // The sender is in `self`, so this is never its end.
                _ = plans.changed() => {}
            }
            until.cancel();
            while workers.join_next().await.is_some() {}
        }
    }

    /// Cuts groups and ends throttles when it is time.
    async fn mind_timers(self: Arc<Self>, plan: Arc<Plan>, stop: CancellationToken) {
        let mut woken = self.woken.subscribe();
        while !stop.is_cancelled() {
            woken.borrow_and_update();
            let limits = plan.limits;
            let fired = self.blocking(move |outbox| {
                let now = outbox.now();
                outbox.fire(limits, now)
            });
            let wait = match fired.await {
                Some((posted, next)) => {
                    if posted {
                        self.woken.send_replace(());
                    }
                    next.map_or(SLEEP_MAX, |next| self.until(next))
                }
                None => STORE_WAIT,
            };
            tokio::select! {
                () = stop.cancelled() => {}
                _ = woken.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Fires what is due; whether letters were made, and when the next timer is.
    pub(super) fn fire(&self, limits: super::Limits, now: i64) -> Result<(bool, Option<i64>), OutboxError> {
        // Mostly there is nothing to do, and reading costs no sync.
        let next = self.next_timer()?;
        if next.is_none_or(|next| next > now) {
            return Ok((false, next));
        }
        let next = self.store.write(|tables| {
            let next = tables.fire(now)?;
            tables.make_room(limits, now)?;
            Ok(next)
        })?;
        Ok((true, next))
    }

    fn next_timer(&self) -> Result<Option<i64>, redb::Error> {
        use redb::ReadableTable;
        self.store.read(|transaction| {
            let timers = transaction.open_table(super::store::TIMERS)?;
            let first = timers.first()?.map(|(key, _)| key.value().0);
            Ok(first)
        })
    }

    fn until(&self, time_ms: i64) -> Duration {
        let wait = u64::try_from(time_ms.saturating_sub(self.now())).unwrap_or(0);
        Duration::from_millis(wait).min(SLEEP_MAX)
    }

    /// Delivers to one sink.
    async fn work(self: Arc<Self>, sink: Configured, stop: CancellationToken) {
        let mut woken = self.woken.subscribe();
        let mut tries: JoinSet<Tried> = JoinSet::new();
        let mut busy = BTreeSet::new();
        while !stop.is_cancelled() {
            woken.borrow_and_update();
            let mut wait = SLEEP_MAX;
            let room = sink.pace.concurrency.saturating_sub(busy.len());
            if room > 0 {
                let (to, known) = (sink.clone(), busy.clone());
                let claimed =
                    self.blocking(move |outbox| Ok(outbox.claim(&to.name, &to.pace, room, &known, outbox.now())?));
                match claimed.await {
                    Some(claim) => {
                        wait = claim.next_ms.map_or(SLEEP_MAX, |next| self.until(next));
                        for (id, message) in claim.due {
                            busy.insert(id);
                            tries.spawn(Arc::clone(&self).attempt(sink.clone(), id, message));
                        }
                    }
                    None => wait = STORE_WAIT,
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                _ = woken.changed() => {}
                Some(first) = tries.join_next() => self.write_down(first, &mut tries, &mut busy, &sink, &stop).await,
                () = tokio::time::sleep(wait) => {}
            }
        }
        while let Some(first) = tries.join_next().await {
            self.write_down(first, &mut tries, &mut busy, &sink, &stop).await;
        }
    }

    /// Settles all tries that have ended, in one transaction.
    async fn write_down(
        self: &Arc<Self>,
        first: Result<Tried, tokio::task::JoinError>,
        tries: &mut JoinSet<Tried>,
        busy: &mut BTreeSet<u64>,
        sink: &Configured,
        stop: &CancellationToken,
    ) {
        let mut ended = Vec::new();
        let mut next = Some(first);
        while let Some(one) = next {
            match one {
                Ok(tried) => ended.push(tried),
                // It stays due and busy: tried again after a restart, not in a circle.
                Err(error) => tracing::error!(%error, sink = %sink.name, "a delivery's task failed"),
            }
            next = tries.try_join_next();
        }
        let ended = Arc::new(ended);
        loop {
            let (tried, pace) = (Arc::clone(&ended), sink.pace.clone());
            if self.blocking(move |outbox| outbox.settle(&pace, &tried, outbox.now())).await.is_some() {
                break;
            }
            // Until it is written down these are not tried again; stopping forgets, and a restart repeats them.
            if stop.is_cancelled() {
                return;
            }
            tokio::time::sleep(STORE_WAIT).await;
        }
        for (id, _) in ended.iter() {
            busy.remove(id);
        }
    }

    /// One try.
    async fn attempt(self: Arc<Self>, to: Configured, id: u64, message: Message) -> Tried {
        let span = tracing::info_span!(target: "trace", "deliver", sink = %to.name, key = message.key);
        let verdict = self.send(&to, &message).instrument(span).await;
        match &verdict {
            Verdict::Delivered => {}
            Verdict::Retry { reason, .. } => {
                tracing::warn!(sink = %to.name, key = message.key, reason, "an alert was not delivered, yet");
            }
            Verdict::Never { reason } => {
                tracing::error!(sink = %to.name, key = message.key, reason, "an alert cannot be delivered");
            }
            Verdict::Gone { reason } => {
                tracing::error!(sink = %to.name, reason, "the receiver wants no more alerts");
                self.gone().insert(Arc::clone(&to.name));
            }
        }
        (id, verdict)
    }

    async fn send(&self, to: &Configured, message: &Message) -> Verdict {
        if self.gone().contains(&to.name) {
            return Verdict::Never { reason: "the receiver said that it is gone (HTTP 410)".into() };
        }
        let now = self.now();
        let Rendered { headers, body } = match to.sink.render(message, now) {
            Ok(rendered) => rendered,
            Err(error) => return Verdict::Never { reason: error.to_string() },
        };
        match to.sink.endpoint() {
            Some(endpoint) => {
                let now = DateTime::from_timestamp_millis(now).unwrap_or_default();
                match endpoint.post(headers, body, now).await {
                    Ok(reply) => to.sink.judge(&reply),
                    Err(verdict) => verdict,
                }
            }
            None => print(body).await,
        }
    }

    /// Runs what blocks off the runtime's threads; none on an error.
    async fn blocking<R: Send + 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> Result<R, OutboxError> + Send + 'static,
    ) -> Option<R> {
        let outbox = Arc::clone(self);
        match spawn_blocking(move || run(&outbox)).await {
            Ok(Ok(result)) => Some(result),
            // The store has told.
            Ok(Err(_)) => None,
            Err(error) => {
                tracing::error!(%error, "the outbox fails");
                None
            }
        }
    }
}

async fn print(body: Vec<u8>) -> Verdict {
    let printed = spawn_blocking(move || {
        let mut out = std::io::stdout().lock();
        out.write_all(&body).and_then(|()| out.flush())
    });
    match printed.await {
        Ok(Ok(())) => Verdict::Delivered,
        Ok(Err(error)) => Verdict::Retry { reason: error.to_string(), after: None },
        Err(error) => Verdict::Retry { reason: error.to_string(), after: None },
    }
}
