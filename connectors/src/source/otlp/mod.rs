//! The OTLP receiver: logs, traces and metrics over HTTP ([`router`], port 4318 by convention) and gRPC ([`grpc`], port 4317).
//!
//! An answer of success means that the records are durable. What can never be taken is refused so that clients drop it,
//! what can be taken later so that they come again, and never the one for the other; `partial_success` tells of records
//! that were kept as dead letters only. **Source**: OTLP 1.7, opentelemetry.io/docs/specs/otlp.

mod failure;
mod grpc;
mod http;
mod status;

use crate::access::{Access, Denied, Scope};
use crate::body::{self, BodyLimits};
use crate::intake::{Content, Delivery, Intake};
use axum::http::request::Parts;
use bytes::Bytes;
use failure::Failure;
use std::sync::Arc;
use tarn_ingest::otlp::{self, Encoding, Limits};
use tarn_ingest::source::SharedSources;

pub use grpc::grpc;
pub use http::router;

/// What the receiver works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OtlpState {
    /// Where records go.
    pub intake: Intake,
    /// Who may send. An identity that may send only the log source `otlp` has all of its records kept as such; one that
    /// may send any has events of other sources in them recognised.
    pub access: Access,
    /// The known log sources.
    pub sources: SharedSources,
    /// Limits on a request's bytes, before and after decompression.
    pub body: BodyLimits,
    /// Limits on what is in a request.
    pub limits: Limits,
}

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Logs,
    Traces,
    Metrics,
}

/// Who sends, and whether it may send events of any source.
struct Sender {
    name: Arc<str>,
    any_source: bool,
}

/// Records that were taken as dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Partial {
    rejected: i64,
    message: String,
}

/// Requests longer than this are decoded on a thread of their own, not among those that serve connections.
const INLINE_BYTES_MAX: usize = 128 << 10;

impl OtlpState {
    fn sender(&self, parts: &Parts) -> Result<Sender, Denied> {
        let shown = body::credentials(parts);
        let any = self.access.check(&shown, Scope::Ingest(None));
        match any {
            Err(Denied::Forbidden) => {
                let known = self.access.check(&shown, Scope::Ingest(Some("otlp")))?;
                Ok(Sender { name: known.name, any_source: false })
            }
            any => Ok(Sender { name: any?.name, any_source: true }),
        }
    }

    /// Takes a request's message. When this returns `Ok`, its records are durable.
    async fn export(
        &self,
        signal: Signal,
        encoding: Encoding,
        bytes: Bytes,
        sender: Sender,
    ) -> Result<Partial, Failure> {
        let sources = sender.any_source.then(|| Arc::clone(&self.sources));
        let (limits, long) = (self.limits, bytes.len() > INLINE_BYTES_MAX);
        let decode = move || match signal {
            Signal::Logs => otlp::logs(&bytes, encoding, sources.as_deref(), &limits),
            Signal::Traces => otlp::spans(&bytes, encoding, &limits),
            Signal::Metrics => otlp::metrics(&bytes, encoding, &limits),
        };
        let block =
            if long { tokio::task::spawn_blocking(decode).await.map_err(|_| Failure::Decoder)? } else { decode() }?;
        let partial = match block.dead.first() {
            None => Partial::default(),
            Some(first) => Partial {
                rejected: block.dead.len() as i64,
                message: format!("kept as dead letters: {}", first.reason),
            },
        };
        if block.records.is_empty() && block.dead.is_empty() {
            return Ok(partial);
        }
        let (content, source) = match signal {
            Signal::Metrics => (Content::Metrics, None),
            Signal::Logs | Signal::Traces => (Content::Events, (!sender.any_source).then(|| "otlp".to_owned())),
        };
        self.intake.deliver(Delivery { content, source, block, sender: Some(sender.name) }).await?;
        Ok(partial)
    }
}
