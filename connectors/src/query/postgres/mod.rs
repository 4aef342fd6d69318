//! SQL over PostgreSQL's protocol, version 3.0: psql, Grafana, DBeaver and every driver connect and browse.
//!
//! ```text
//! startup: TLS, who it is ─► connection: simple and extended queries ─┬─► the lake, through Queries and their limits
//!                                                                     └─► catalog: pg_catalog, information_schema
//! ```
//!
//! Read-only: `SET`, `BEGIN` and the like change the session; `BEGIN` keeps one moment of the lake until the end of the
//! transaction. Not there: `COPY`, SQL cursors, SCRAM (tokens are kept as digests).

mod cancel;
mod catalog;
mod connection;
mod information_schema;
mod message;
mod parameter;
mod rows;
mod settings;
mod startup;
mod statement;

use super::Queries;
use crate::listen::Listener;
pub(crate) use catalog::{DATABASE, SCHEMA};

use cancel::Connections;
use catalog::Catalog;
use pgwire::error::ErrorInfo;
use pgwire::messages::PgWireBackendMessage;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take to say who it is.
const STARTUP_MAX: Duration = Duration::from_secs(10);
/// What a message may have beside its statement: names, and values.
const MESSAGE_EXTRA: usize = 1 << 20;

/// What connections ask. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Postgres {
    queries: Queries,
    catalog: Arc<Catalog>,
    connections: Connections,
}

impl Postgres {
    /// Over these queries.
    pub fn new(queries: Queries) -> Self {
        Self { queries, catalog: Arc::default(), connections: Connections::default() }
    }

    fn message_bytes_max(&self) -> usize {
        self.queries.limits().sql_bytes_max.saturating_add(MESSAGE_EXTRA)
    }
}

/// Takes connections until `stop`; queries under way go on for at most `drain` then.
pub async fn serve(
    listener: Listener,
    postgres: Postgres,
    connections_max: usize,
    stop: CancellationToken,
    drain: Duration,
) {
    let room = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let under_way = TaskTracker::new();
    let over = CancellationToken::new();
    loop {
        let (socket, address) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
        let (tls, postgres, stop, over) = (listener.tls().cloned(), postgres.clone(), stop.clone(), over.clone());
        under_way.spawn(async move {
            let _ = socket.set_nodelay(true);
            let starting = startup::start(socket, address, tls.as_ref(), &postgres);
            if let Ok(Some(client)) = tokio::time::timeout(STARTUP_MAX, starting).await {
                tokio::select! {
                    () = over.cancelled() => {}
                    () = connection::run(client, postgres, stop) => {}
                }
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

/// An error that ends the connection; its code is an SQLSTATE.
fn fatal(code: &str, message: &str) -> PgWireBackendMessage {
    PgWireBackendMessage::ErrorResponse(ErrorInfo::new("FATAL".into(), code.into(), message.into()).into())
}
