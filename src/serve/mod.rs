//! The daemon: receivers, the durable log, mapping, detection, the lake, and SQL over all of it.
//!
//! ```text
//! receivers ─► intake ─► log (fdatasync) ─► acknowledged
//!                         ├─► mapping ───► fresh rows ─► Delta
//!                         ├─► detection ─► findings ─► log
//!                         └─► outbox ────► sinks
//! ```
//!
//! What is in the log is delivered to each consumer in order. Each says how far it is; the log is cut behind the last.
//! **After a crash** each goes on from there ([`recovery`]). **Going down**: listeners first, then what they took in is
//! mapped, matched and committed.

pub mod config;

mod checkpoint;
mod consumers;
mod crash;
mod database;
mod detection;
mod frame;
mod http;
mod intake;
mod mapping;
mod metrics;
mod recovery;
mod rules;

use crate::mapping::Mapping;
use anyhow::Context;
use checkpoint::Checkpoint;
use config::Config;
use consumers::{Consumers, Input, Positions, Replay};
use database::Database;
use detection::Detector;
use frame::Frame;
use intake::{Bounds, Room};
use metrics::Metrics;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tarn_connectors::access::Access;
use tarn_connectors::listen::{Listener, Tls};
use tarn_engine::Engine;
use tarn_ingest::mapper::MapOptions;
use tarn_ingest::source::Sources;
use tarn_lake::log::{Log, LogOptions};
use tarn_lake::{Lake, Live, LiveOptions, StoreOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Findings under way, in bytes.
const FINDINGS_ROOM: usize = 64 << 20;
/// How often the log is looked at for what can be cut.
const CUT_EVERY: Duration = Duration::from_secs(1);
/// How long requests may go on after the daemon was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

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
    /// Ends listeners.
    stop: CancellationToken,
    listening: Vec<JoinHandle<()>>,
    committing: JoinHandle<()>,
    /// Mapping and detection; the first error of one of them ends the server.
    threads: tokio::task::JoinSet<anyhow::Result<()>>,
    /// Where it listens for HTTP.
    pub addresses: Vec<SocketAddr>,
}

impl Server {
    /// Starts all of it; when this returns, clients are answered.
    ///
    /// **Errors**: a lake, a log or rules that cannot be opened, an address that cannot be listened on.
    pub async fn start(config: Config, store: &StoreOptions) -> anyhow::Result<Self> {
        let (sources, engine) = rules::load(&config)?;
        let access = if config.access.is_empty() { Access::open() } else { Access::new(config.access.clone())? };
        let tls = config.tls.clone().map(Tls::open).transpose()?;
        // Addresses first: a daemon that cannot be reached changes nothing.
        let mut listeners = Vec::new();
        for address in &config.listen.http {
            listeners.push(Listener::bind(*address, tls.clone(), !access.is_open()).await?);
        }

        let lake = Lake::open_or_create(&config.lake, store).await?;
        let consumers: Arc<OnceLock<Consumers>> = Arc::default();
        let to_consumers = consumers.clone();
        let durable = move |sequence, frame| {
            if let Some(consumers) = to_consumers.get() {
                consumers.durable(sequence, frame);
            }
        };
        let soft = config.log.disk_mib << 20;
        let options = LogOptions {
            segment_bytes: config.log.segment_mib << 20,
            // Findings find room where events do not any more.
            bytes_max: soft + soft / 4,
            sync_wait: Duration::from_millis(config.log.group_ms),
            ..LogOptions::default()
        };
        let log = Log::open(&config.state.join("log"), options, durable)?;
        let options = LiveOptions {
            commit_every: Duration::from_secs(config.commit.seconds),
            commit_bytes: config.commit.mib << 20,
            ..LiveOptions::default()
        };
        let (live, committer) = Live::open(&lake, &format!("log/{}", log.writer()), options).await?;
        let metrics = Arc::new(Metrics::default());
        let failures = metrics.clone();
        let committing = tokio::spawn(committer.run(move |error| {
            failures.store_failed();
            tracing::error!(error = %with_causes(error), "the lake's store failed; trying again");
        }));

        let checkpoint = Checkpoint::new(&config.state, log.writer());
        let restored = checkpoint.restore(&engine, detection::limits())?;
        for dropped in &restored.dropped {
            tracing::warn!(id = dropped.id, groups = dropped.groups, matches = dropped.matches, "state without a rule");
        }
        let had = Positions { mapped: *live.committed().borrow(), detected: restored.sequence, taken: 0 };
        metrics.detected(had.detected, 0);
        metrics.checkpointed(had.detected);
        let (mapping, to_map) = channel();
        let (to_detection, to_detect) = channel();
        let _ = consumers.set(Consumers {
            writer: log.writer(),
            clock: live.clock(),
            mapping,
            detection: to_detection.clone(),
            outbox: None,
            replay: Mutex::new(Replay::Reading(0)),
        });
        let mut threads = tokio::task::JoinSet::new();
        let (mapper, of_mapping, into) =
            (Mapping::new(sources.clone(), MapOptions::default(), live.clock()), sources.clone(), live.clone());
        threads.spawn_blocking(move || mapping::run(&to_map, mapper, &of_mapping, &into));
        let detector = Detector {
            engine: engine.clone(),
            correlator: restored.correlator,
            log: log.clone(),
            room: Room::new(FINDINGS_ROOM),
            checkpoint,
            spoken: recovery::spoken(&log, had.detected)?,
            metrics: metrics.clone(),
        };
        threads.spawn_blocking(move || detector.run(&to_detect, had.detected));

        let room = Room::new(config.limits.frames_mib << 20);
        if let Some(consumers) = consumers.get() {
            let frames = recovery::replay(&log, consumers, &room, had).await?;
            if frames > 0 {
                tracing::info!(frames, "frames of the log were read again");
            }
        }
        let stop = CancellationToken::new();
        let mut server = Self {
            config,
            log,
            live,
            engine: Arc::new(Mutex::new(engine)),
            metrics,
            room,
            detection: to_detection,
            consumers,
            tls,
            stop,
            listening: Vec::new(),
            committing,
            threads,
            addresses: Vec::new(),
        };
        server.listen(listeners, &access, sources);
        server.listening.push(tokio::spawn(cut(server.log.clone(), server.live.clone(), server.metrics.clone())));
        Ok(server)
    }

    fn listen(&mut self, listeners: Vec<Listener>, access: &Access, sources: Arc<Sources>) {
        let limits = self.config.limits;
        let bounds = Bounds {
            room: self.room.clone(),
            wait: Duration::from_millis(limits.wait_ms),
            delivery_bytes_max: limits.decompressed_mib << 20,
            log_bytes_max: self.config.log.disk_mib << 20,
        };
        let intake = intake::intake(self.log.clone(), sources.clone(), bounds, self.metrics.clone());
        let state = http::State {
            access: access.clone(),
            intake,
            database: Database::new(self.live.clone(), self.log.clone(), self.config.query),
            metrics: self.metrics.clone(),
            log: self.log.clone(),
            live: self.live.clone(),
            room: self.room.clone(),
            engine: self.engine.clone(),
        };
        let app = http::router(state, &sources, &limits);
        for listener in listeners {
            self.addresses.push(listener.address);
            let served = listener.serve(app.clone(), limits.connections, self.stop.clone(), DRAIN);
            self.listening.push(tokio::spawn(served));
        }
    }

    /// Reads rules and certificates again. All or nothing: what cannot be read leaves everything as it is.
    ///
    /// **Errors**: what cannot be read.
    pub fn reload(&self) -> anyhow::Result<()> {
        let (_, engine) = rules::load(&self.config)?;
        if let Some(tls) = &self.tls {
            tls.reload()?;
        }
        *self.engine.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = engine.clone();
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

    /// Stops: listeners first; what they took in is mapped, matched, and committed.
    ///
    /// **Errors**: the first of mapping and detection.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { log, live, metrics, detection, consumers, stop, listening, committing, mut threads, .. } = self;
        stop.cancel();
        let (cutting, listening): (Vec<_>, Vec<_>) = {
            let mut listening = listening;
            let cutting = listening.pop();
            (cutting.into_iter().collect(), listening)
        };
        for listener in listening {
            let _ = listener.await;
        }
        // Findings are frames, too, and come after the last event.
        let mut done = None;
        while done.is_none() && metrics.seen() < log.last() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            done = threads.try_join_next();
        }
        let _ = detection.send(Input::Stop);
        if done.is_none() {
            done = threads.join_next().await;
        }
        let mut result = done.map_or(Ok(()), |done| done.map_err(anyhow::Error::from).and_then(|r| r));
        cutting.iter().for_each(JoinHandle::abort);
        for task in cutting {
            let _ = task.await;
        }
        tokio::task::spawn_blocking(move || log.close()).await?;
        // The last ways into mapping go with these; then it ends, and the committer after it.
        drop((detection, consumers));
        while let Some(done) = threads.join_next().await {
            result = result.and(done.map_err(anyhow::Error::from).and_then(|r| r));
        }
        drop(live);
        committing.await?;
        result
    }
}

/// Cuts the log behind what all consumers are through with.
async fn cut(log: Log<Frame>, live: Live, metrics: Arc<Metrics>) {
    let committed = live.committed();
    drop(live);
    loop {
        tokio::time::sleep(CUT_EVERY).await;
        let through = (*committed.borrow()).min(metrics.checkpoint());
        crash::point("before-cut");
        if through >= log.first()
            && let Err(error) = log.cut(through)
        {
            tracing::warn!(error = %with_causes(&error), "the log cannot be cut");
        }
    }
}

/// An error with its causes.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
