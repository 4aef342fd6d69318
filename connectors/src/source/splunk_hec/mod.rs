//! Splunk's HTTP Event Collector, as Vector, Fluent Bit and the OpenTelemetry Collector's exporter speak it.
//!
//! An event that is a record of a known log source, as an object, as JSON in a text or as a line of syslog or auditd,
//! goes on as that record; others get what the envelope says of them (`time`, `host`, …) as members. The envelope is
//! the original. **Differs from Splunk**: a body with a wrong event is refused as a whole, where Splunk takes those
//! before it; an answer means that the events are on disk, so there are no acknowledgements to ask for (code 14), and
//! channels are not needed. Tokens in the query are refused (code 16). Source: Splunk Enterprise 9, "Use the HTTP Event
//! Collector".

mod event;
mod reply;

pub use event::read;
pub use reply::Reply;

use super::push::{self, Failure, Push};
use crate::access::Denied;
use crate::intake::Delivery;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{Request, header};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use std::sync::Arc;
use tarn_ingest::container::Block;

/// What the address may say.
#[derive(Deserialize)]
struct Address {
    /// A log source, where it is the name of one.
    sourcetype: Option<String>,
    token: Option<String>,
}

/// The routes.
pub fn router(push: Push) -> Router {
    let mut router = Router::new();
    for path in ["/services/collector", "/services/collector/event", "/services/collector/event/1.0"] {
        router = router.route(path, post(events));
    }
    for path in ["/services/collector/raw", "/services/collector/raw/1.0"] {
        router = router.route(path, post(raw));
    }
    for path in ["/services/collector/health", "/services/collector/health/1.0"] {
        router = router.route(path, get(async || Reply::Healthy));
    }
    router.route("/services/collector/ack", post(ack)).with_state(push)
}

async fn events(State(push): State<Push>, Query(address): Query<Address>, request: Request<Body>) -> Reply {
    let sources = Arc::clone(&push.sources);
    let taken = take(&push, address, request, move |body| event::read(&body, &sources));
    taken.await.unwrap_or_else(|reply| reply)
}

async fn raw(State(push): State<Push>, Query(address): Query<Address>, request: Request<Body>) -> Reply {
    let limits = push.limits;
    let read = move |body: Bytes| {
        if body.trim_ascii().is_empty() { Err(Reply::NoData) } else { Ok(push::block(body, limits)?) }
    };
    take(&push, address, request, read).await.unwrap_or_else(|reply| reply)
}

async fn ack(State(push): State<Push>, Query(address): Query<Address>, request: Request<Body>) -> Reply {
    let (parts, _) = request.into_parts();
    match admit(&push, &address, &parts) {
        Ok(_) => Reply::AckDisabled,
        Err(reply) => reply,
    }
}

async fn take(
    push: &Push,
    address: Address,
    request: Request<Body>,
    read: impl FnOnce(Bytes) -> Result<Block, Reply> + Send + 'static,
) -> Result<Reply, Reply> {
    let (parts, body) = request.into_parts();
    let sender = admit(push, &address, &parts)?;
    let block = push.read(&parts, body, |body, _| Ok(read(body))).await??;
    let source = address.sourcetype.filter(|name| push.sources.named(name).is_some());
    push.intake
        .deliver(Delivery { source, block, sender: Some(sender), ..Delivery::default() })
        .await
        .map_err(Failure::from)?;
    Ok(Reply::Success)
}

/// Who sends this.
fn admit(push: &Push, address: &Address, parts: &Parts) -> Result<Arc<str>, Reply> {
    let source = address.sourcetype.as_deref().filter(|name| push.sources.named(name).is_some());
    let shown = parts.headers.get(header::AUTHORIZATION);
    match push.admit(parts, source) {
        Ok(sender) => Ok(sender.name),
        Err(Failure::Denied(Denied::Unauthenticated)) => Err(match shown {
            None if address.token.is_some() => Reply::QueryToken,
            None => Reply::TokenRequired,
            Some(_) if crate::body::credentials(parts).token.is_none() => Reply::InvalidAuthorization,
            Some(_) => Reply::InvalidToken,
        }),
        Err(failure) => Err(failure.into()),
    }
}
