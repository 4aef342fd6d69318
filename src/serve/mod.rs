//! The daemon: receivers, the durable log, mapping, detection, the lake, and SQL over all of it.
//!
//! ```text
//! receivers ─► intake ─► log (fdatasync) ─► acknowledged
//!                         ├─► mapping ───► fresh rows ─► Delta
//!                         ├─► detection ─► findings ─► log
//!                         ├─► outbox ────► sinks
//!                         └─► evidence ──► the lake's ledger, once its rows are committed
//! ```
//!
//! What is in the log is delivered to each consumer in order. Each says how far it is; the log is cut behind the last.
//! **After a crash** each goes on from there ([`recovery`]). **Going down**: listeners first, then what they took in is
//! mapped, matched and committed.

pub mod config;
pub mod traces;

mod attested;
mod checkpoint;
mod consumers;
mod copying;
mod crash;
mod cutting;
mod database;
mod detection;
mod evidence;
mod frame;
mod http;
mod intake;
mod listening;
mod mapping;
mod metrics;
mod opening;
mod outbox;
mod rates;
mod recovery;
mod repeats;
mod rules;
mod start;
mod stop;
mod updates;
mod upkeep;

use crate::causes::with_causes;
use crate::command::Usage;
use anyhow::Context;
use config::Config;
use consumers::{Consumers, Input};
use evidence::{Keeper, Trust};
use frame::Frame;
use intake::Room;
use listening::Protocol;
use metrics::Metrics;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tarn_connectors::access::Access;
use tarn_connectors::listen::Tls;
use tarn_connectors::sink::Outbox;
use tarn_engine::Engine;
use tarn_lake::Live;
use tarn_lake::log::Log;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Looks at all that a configuration refers to, and opens nothing that is written. Returns how many rules run.
///
/// **Errors**: [`Usage`], which names the key.
pub fn check(config: &Config) -> anyhow::Result<usize> {
    let usage = |error: &dyn std::fmt::Display| Usage(error.to_string());
    Access::new(config.access.clone()).map_err(|e| usage(&e))?;
    if let Some(files) = config.tls.clone() {
        Tls::open(files).map_err(|e| usage(&format!("tls: {}", with_causes(&e))))?;
    }
    tarn_connectors::sink::outbox::check(&config.alerts, &crate::config::secret)
        .map_err(|e| usage(&with_causes(&e)))?;
    config.evidence.check()?;
    Ok(rules::engine(config, rules::sources(config)?)?.len())
}

/// A daemon that runs.
pub struct Server {
    config: Config,
    log: Log<Frame>,
    live: Live,
    engine: Arc<Mutex<Arc<Engine>>>,
    metrics: Arc<Metrics>,
    room: Room,
    detection: Sender<Input>,
    consumers: Arc<OnceLock<Consumers>>,
    tls: Option<Tls>,
    trust: Trust,
    outbox: Option<Arc<Outbox>>,
    /// What copies the outbox, until it is told to stop.
    copying: Option<(CancellationToken, JoinHandle<()>)>,
    /// Ends deliveries of alerts.
    delivering: CancellationToken,
    /// Ends listeners.
    stop: CancellationToken,
    listening: Vec<JoinHandle<()>>,
    /// Deliveries.
    tasks: Vec<JoinHandle<()>>,
    committing: JoinHandle<()>,
    cutting: Option<JoinHandle<()>>,
    /// What keeps the ledger, until it is told to stop.
    ledger: Option<(CancellationToken, JoinHandle<Keeper>)>,
    upkeep: Option<JoinHandle<()>>,
    /// Mapping, detection, the way to the outbox, and files that are read; the first error of one of them ends the server.
    threads: JoinSet<anyhow::Result<()>>,
    /// Where it listens.
    pub addresses: Vec<(Protocol, SocketAddr)>,
}

impl Server {
    fn engine(&self) -> Arc<Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the rules, sinks, routes and trust policies of `config`, and reads certificates again. All or nothing:
    /// what cannot be read leaves everything as it is. Other keys need a restart.
    ///
    /// **Errors**: what cannot be read.
    pub fn reload(&self, config: &Config) -> anyhow::Result<()> {
        // Mapping goes on with the log sources that it has, and so do rules.
        let sources = self.engine().sources().clone();
        let engine = rules::engine(config, sources)?;
        let policies = config.evidence.policies()?;
        let secret = &crate::config::secret;
        match &self.outbox {
            Some(outbox) => outbox.reconfigure(&config.alerts, secret)?,
            None => anyhow::ensure!(config.alerts.sinks.is_empty(), "alerts.sinks: the first sink needs a restart"),
        }
        if let Some(tls) = &self.tls {
            tls.reload()?;
        }
        self.trust.set(policies);
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = engine.clone();
        self.detection.send(Input::Rules(engine)).ok().context("detection has stopped")
    }

    /// Waits until a part of the daemon fails.
    ///
    /// **Errors**: its error.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.threads.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => anyhow::anyhow!("a part of the daemon panicked: {error}"),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a part of the daemon stopped by itself"),
        }
    }
}
