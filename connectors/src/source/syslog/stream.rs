//! Connections: TCP and TLS.

use super::Syslog;
use super::batch::Batch;
use super::framing::{Frame, Framing};
use crate::intake::Refused;
use crate::listen::{Listener, Peer};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tarn_ingest::Reason;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// The longest pause between attempts to hand a batch over.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Takes connections until `stop`; messages that were read are handed over then, for at most `drain`.
pub async fn serve(listener: Listener, syslog: Syslog, stop: CancellationToken, drain: Duration) {
    let room = Arc::new(Semaphore::new(syslog.options.connections_max));
    let under_way = TaskTracker::new();
    // Ends those that wait for room in the log when the time to drain is over.
    let over = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            syslog.counts.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let tls = listener.tls().cloned();
        let (syslog, stop, over) = (syslog.clone(), stop.clone(), over.clone());
        under_way.spawn(async move {
            let (socket, address) = accepted;
            match tls {
                None => connection(socket, Peer { address, spiffe_id: None }, &syslog, &stop, &over).await,
                Some(tls) => match tls.accept(socket, address).await {
                    Some((socket, peer)) => connection(socket, peer, &syslog, &stop, &over).await,
                    None => {
                        syslog.counts.refused.fetch_add(1, Ordering::Relaxed);
                    }
                },
            }
            drop(permit);
        });
    }
    drop(listener);
    under_way.close();
    if tokio::time::timeout(drain, under_way.wait()).await.is_err() {
        over.cancel();
        under_way.wait().await;
    }
}

async fn connection(
    mut socket: impl AsyncRead + Unpin,
    peer: Peer,
    syslog: &Syslog,
    stop: &CancellationToken,
    over: &CancellationToken,
) {
    let sender = match syslog.admit(peer.spiffe_id.as_deref()) {
        Ok(sender) => sender,
        Err(denied) => {
            tracing::warn!(address = %peer.address, %denied, "syslog: a client is refused");
            syslog.counts.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    let mut framing = Framing::new(syslog.options.message_bytes_max);
    let mut batch = Batch::new(peer.address.ip());
    let idle = Duration::from_secs(syslog.options.idle_seconds.max(1));
    // The first message that waits, waits until then.
    let mut due = None;
    loop {
        let until =
            due.map_or(idle, |due: tokio::time::Instant| due.saturating_duration_since(tokio::time::Instant::now()));
        let room = framing.room();
        room.reserve(READ_BYTES);
        let read = tokio::select! {
            () = stop.cancelled() => break,
            read = tokio::time::timeout(until, socket.read_buf(room)) => read,
        };
        match read {
            // The moment is over, or the connection idle.
            Err(_) if due.is_some() => batch.settle(),
            Err(_) | Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(_)) => {
                while let Some(frame) = framing.frame() {
                    add(&frame, &framing, &mut batch, syslog.options.message_bytes_max);
                }
                let waits = *due.get_or_insert_with(|| tokio::time::Instant::now() + syslog.wait());
                if batch.bytes() < syslog.options.batch_bytes && waits > tokio::time::Instant::now() {
                    continue;
                }
            }
        }
        due = None;
        if !hand_over(&mut batch, syslog, &sender, over).await {
            return;
        }
    }
    if let Some(frame) = framing.finish() {
        add(&frame, &framing, &mut batch, syslog.options.message_bytes_max);
    }
    batch.settle();
    hand_over(&mut batch, syslog, &sender, over).await;
}

fn add(frame: &Frame, framing: &Framing, batch: &mut Batch, limit: usize) {
    match frame {
        // A last line without an end is a message of newline framing, if its sender has closed.
        Frame::Message(range) | Frame::Cut(range) => batch.message(framing.text(range)),
        Frame::TooLong { kept } => {
            let kept = framing.text(kept);
            batch.dead(kept, Reason::TooLarge { bytes: kept.len() as u64 + 1, limit });
        }
    }
}

/// Hands a batch over, as often as it takes: nothing more is read meanwhile. False when that is of no more use.
async fn hand_over(batch: &mut Batch, syslog: &Syslog, sender: &Arc<str>, over: &CancellationToken) -> bool {
    let Some(block) = batch.take() else { return true };
    let mut pause = Duration::from_millis(100);
    loop {
        let refused = match syslog.deliver(block.clone(), sender).await {
            Ok(()) => return true,
            Err(refused) => refused,
        };
        if !refused.is_retryable() {
            tracing::error!(%refused, "syslog: messages are dropped");
            syslog.dropped(&block);
            return true;
        }
        let wait = match refused {
            Refused::Overloaded { retry_after } => retry_after.min(PAUSE_MAX),
            _ => pause,
        };
        pause = (pause * 2).min(PAUSE_MAX);
        tokio::select! {
            () = over.cancelled() => {
                syslog.dropped(&block);
                return false;
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}
