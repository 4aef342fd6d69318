//! Where receivers hand over what came in, and learn whether they may acknowledge it.

use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tarn_ingest::container::Block;
use thiserror::Error;

/// Records that came in together, in one request or one read of a socket: kept as one, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// What the records are.
    pub content: Content,
    /// The log source of all records, where the sender named one; else each record's is recognised.
    pub source: Option<String>,
    /// The records, and what was no record: dead letters are kept as well. Numbers count from 1 in this delivery.
    pub block: Block,
    /// Who sent it, as [`crate::access::Identity::name`] says.
    pub sender: Option<Arc<str>>,
}

/// What the records of a delivery are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Events, for mapping and rules.
    #[default]
    Events,
    /// Data points of metrics ([`tarn_ingest::otlp::metric`]), which have a table of their own and meet no rule.
    Metrics,
    /// What was made of a document that shows where software is from (a signature, an attestation, a bill of materials):
    /// OCSF records, for mapping, rules and the evidence ledger.
    Evidence {
        /// The document as it came.
        document: Bytes,
    },
}

/// Why a delivery was not taken. Nothing of it was kept.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// There is no room now; the sender should come again.
    #[error("no room for more now, try again in {} s", retry_after.as_secs().max(1))]
    Overloaded {
        /// How long the sender should wait.
        retry_after: Duration,
    },
    /// The server is going down; the sender should come again, or go elsewhere.
    #[error("the server is stopping")]
    Stopping,
    /// The durable log failed: nothing can be promised until an operator has looked.
    #[error("the log cannot be written")]
    Broken,
    /// No such log source.
    #[error("unknown log source {name:?}")]
    UnknownSource {
        /// As the sender wrote it.
        name: String,
    },
    /// More than the log takes in one piece.
    #[error("a delivery of {bytes} bytes is more than the {limit} that are taken at once")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl Refused {
    /// Whether the same delivery may be taken later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Overloaded { .. } | Self::Stopping | Self::Broken)
    }
}

type Take = dyn Fn(Delivery) -> BoxFuture<'static, Result<(), Refused>> + Send + Sync;

/// Takes deliveries. Cheap to clone.
#[derive(Clone)]
pub struct Intake(Arc<Take>);

impl Intake {
    /// `take` resolves once a delivery will survive a power cut.
    pub fn new(take: impl Fn(Delivery) -> BoxFuture<'static, Result<(), Refused>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Hands a delivery over; when this returns `Ok`, it may be acknowledged.
    ///
    /// **Errors**: [`Refused`]; nothing was kept then.
    pub async fn deliver(&self, delivery: Delivery) -> Result<(), Refused> {
        (self.0)(delivery).await
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intake")
    }
}
