//! Syslog: RFC 5424 and RFC 3164 over TCP (RFC 6587), TLS (RFC 5425) and UDP (RFC 5426).
//!
//! Messages are handed over in batches: when there are enough bytes, or none came for a moment. The protocol has no
//! acknowledgement. Over TCP a sender waits while a batch is not taken: nothing more is read of it. Over UDP datagrams
//! that come while nobody reads are lost in the kernel, and those for which there is no room are counted and dropped.
//! What is no message is kept as a dead letter.

mod batch;
mod framing;
mod stream;
mod udp;

pub use framing::{Frame, Framing};
pub use udp::{Datagrams, bind};

use crate::access::{Access, Credentials, Denied, Scope};
use crate::intake::{Delivery, Intake, Refused};
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tarn_ingest::container::Block;

pub use stream::serve;

/// Configuration: a table of the TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Whether clients without a certificate are taken where credentials are configured: the protocol has no tokens.
    /// Needed for UDP beyond loopback.
    pub unauthenticated: bool,
    /// The longest message; of a longer one as many bytes are kept, as a dead letter.
    pub message_bytes_max: usize,
    /// Connections at a time.
    pub connections_max: usize,
    /// A connection that sends nothing for so long is closed.
    pub idle_seconds: u64,
    /// Messages of so many bytes are handed over together.
    pub batch_bytes: usize,
    /// And no message waits longer than this for others.
    pub batch_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            unauthenticated: false,
            message_bytes_max: 64 << 10,
            connections_max: 1024,
            idle_seconds: 600,
            batch_bytes: 256 << 10,
            batch_ms: 50,
        }
    }
}

/// What became of messages.
#[derive(Debug, Default)]
pub struct Counts {
    /// Taken: records and dead letters.
    pub taken: AtomicU64,
    /// Dropped: datagrams for which there was no room, or messages that will never be taken.
    pub dropped: AtomicU64,
    /// Connections that were refused.
    pub refused: AtomicU64,
}

/// What receivers of syslog need.
#[derive(Clone, Debug)]
pub struct Syslog {
    /// Where deliveries go.
    pub intake: Intake,
    /// Who may send.
    pub access: Access,
    /// Limits.
    pub options: Options,
    /// What became of messages.
    pub counts: Arc<Counts>,
}

impl Syslog {
    /// Who a client is, by its certificate. It may send any source: what a message is, is recognised.
    fn admit(&self, spiffe_id: Option<&str>) -> Result<Arc<str>, Denied> {
        let shown = Credentials { token: None, spiffe_id: spiffe_id.map(str::to_owned) };
        match self.access.check(&shown, Scope::Ingest(None)) {
            Ok(identity) => Ok(identity.name),
            Err(Denied::Unauthenticated) if self.options.unauthenticated => Ok("syslog".into()),
            Err(denied) => Err(denied),
        }
    }

    async fn deliver(&self, block: Block, sender: &Arc<str>) -> Result<(), Refused> {
        let count = (block.records.len() + block.dead.len()) as u64;
        self.intake.deliver(Delivery { block, sender: Some(sender.clone()), ..Delivery::default() }).await?;
        self.counts.taken.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    fn dropped(&self, block: &Block) {
        self.counts.dropped.fetch_add((block.records.len() + block.dead.len()) as u64, Ordering::Relaxed);
    }

    fn wait(&self) -> Duration {
        Duration::from_millis(self.options.batch_ms.max(1))
    }
}
