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
mod crash;
mod database;
mod detection;
mod evidence;
mod frame;
mod http;
mod intake;
mod listening;
mod mapping;
mod metrics;
mod outbox;
mod rates;
mod recovery;
mod repeats;
mod rules;
mod updates;
mod upkeep;

use crate::command::Usage;
use crate::mapping::Mapping;
use anyhow::Context;
use attested::Attested;
use checkpoint::Checkpoint;
use config::Config;
use consumers::{Consumers, Input, Positions, Replay};
use detection::Detector;
use evidence::{Followed, Keeper, Known, Trust};
use frame::Frame;
use intake::{Bounds, Room};
use listening::{Bound, Protocol, Receivers};
use metrics::Metrics;
use outbox::Offering;
use rates::Rates;
use repeats::Repeats;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tarn_connectors::access::Access;
use tarn_connectors::findings::Findings;
use tarn_connectors::listen::Tls;
use tarn_connectors::query::Queries;
use tarn_connectors::sink::Outbox;
use tarn_engine::Engine;
use tarn_ingest::mapper::MapOptions;
use tarn_ingest::source::Sources;
use tarn_lake::log::files::{Bucket, Disk, Files};
use tarn_lake::log::{Log, LogOptions};
use tarn_lake::{Lake, Live, LiveOptions, SqlOptions, StoreOptions};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Findings under way, in bytes.
const FINDINGS_ROOM: usize = 64 << 20;
/// How long stopping may take.
const STOP_MAX: Duration = Duration::from_secs(60);
/// How often the log is looked at for what can be cut.
const CUT_EVERY: Duration = Duration::from_secs(1);

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
    /// Starts all of it; when this returns, clients are answered.
    ///
    /// **Errors**: a lake, a log or rules that cannot be opened, an address that cannot be listened on.
    pub async fn start(config: Config, store: &StoreOptions) -> anyhow::Result<Self> {
        let sources = rules::sources(&config)?;
        let engine = rules::engine(&config, sources.clone())?;
        let access = if config.access.is_empty() { Access::open() } else { Access::new(config.access.clone())? };
        let tls = config.tls.clone().map(Tls::open).transpose()?;
        let (signer, trust) = (config.evidence.signer().await?, Trust::default());
        let classes = config.evidence.classes()?;
        trust.set(config.evidence.policies()?);
        // Addresses first: a daemon that cannot be reached changes nothing.
        let bound = Bound::bind(&config, tls.as_ref(), &access).await?;

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
            frame_bytes_max: config.frame_bytes_max(),
            sync_wait: Duration::from_millis(config.log.group_ms),
        };
        let bucket = config.log.store.as_ref().map(|url| Bucket::open(url, store)).transpose()?.map(Arc::new);
        let files: Arc<dyn Files> = match &bucket {
            Some(bucket) => bucket.clone(),
            None => Arc::new(Disk::new(&config.state.join("log"))),
        };
        let log = Log::open_in(files, options, durable)?;
        let options = LiveOptions {
            commit_every: Duration::from_secs(config.commit.seconds),
            commit_bytes: config.commit.mib << 20,
            ..LiveOptions::default()
        };
        let (live, committer) = Live::open(&lake, &format!("log/{}", log.writer()), options).await?;
        if log.torn_bytes() > 0 {
            tracing::warn!(bytes = log.torn_bytes(), "an interrupted write was cut off the durable log");
        }
        let metrics = Arc::new(Metrics::default());
        let failures = metrics.clone();
        let committing = tokio::spawn(committer.run(move |error| {
            failures.store_failed();
            tracing::error!(error = %with_causes(error), "the lake's store failed; trying again");
        }));

        let checkpoint = Checkpoint::new(&config.state, log.writer(), bucket);
        let limits = detection::limits(&config.detection);
        let restored = checkpoint.restore(&engine, limits)?;
        for dropped in &restored.dropped {
            tracing::warn!(id = dropped.id, groups = dropped.groups, matches = dropped.matches, "state without a rule");
        }
        let outbox = match config.alerts.sinks.is_empty() {
            true => None,
            false => {
                let (folder, outside) = (config.state.join("outbox"), outbox::outside(sources.clone(), &live));
                Some(Arc::new(Outbox::open(&folder, &config.alerts, &crate::config::secret, outside)?))
            }
        };
        let taken = outbox.as_ref().map(|outbox| outbox.taken()).transpose()?;
        let had = Positions { mapped: *live.committed().borrow(), detected: restored.sequence, taken };
        had.check(log.last(), &config.state)?;
        metrics.offered(had.taken.unwrap_or(u64::MAX));
        metrics.detected(had.detected, 0);
        metrics.checkpointed(had.detected);
        metrics.ledgered(u64::MAX);
        let keeper = match signer {
            Some(signer) => {
                let followed =
                    Followed { log: log.clone(), sources: sources.clone(), committed: live.committed(), classes };
                let (lake, known, metrics) = (lake.clone(), Known::new(&config.state), metrics.clone());
                let keeper = Keeper::open(lake, signer, known, followed, metrics).await;
                Some(keeper.context("evidence.ledger_key")?)
            }
            None => None,
        };
        let (mapping, to_map) = channel();
        let (to_detection, to_detect) = channel();
        let (to_outbox, to_offer) = channel();
        let _ = consumers.set(Consumers {
            writer: log.writer(),
            clock: live.clock(),
            mapping,
            detection: to_detection.clone(),
            outbox: outbox.as_ref().map(|_| to_outbox),
            evidence: keeper.as_ref().map(Keeper::marks),
            replay: Mutex::new(Replay::Reading(0)),
        });
        let mut threads = JoinSet::new();
        let (mapper, of_mapping, into) =
            (Mapping::new(sources.clone(), MapOptions::default(), live.clock()), sources.clone(), live.clone());
        threads.spawn_blocking(move || mapping::run(&to_map, mapper, &of_mapping, &into));
        let detector = Detector {
            engine: engine.clone(),
            limits,
            correlator: restored.correlator,
            log: log.clone(),
            room: Room::new(FINDINGS_ROOM),
            checkpoint,
            spoken: recovery::spoken(&log, had.detected)?,
            metrics: metrics.clone(),
        };
        threads.spawn_blocking(move || detector.run(&to_detect, had.detected));

        let delivering = CancellationToken::new();
        let mut tasks = Vec::new();
        if let Some(outbox) = &outbox {
            let offering = Offering { log: log.clone(), outbox: outbox.clone(), metrics: metrics.clone() };
            threads.spawn_blocking(move || {
                offering.run(&to_offer);
                Ok(())
            });
            tasks.push(tokio::spawn(outbox.clone().deliver(delivering.clone())));
        }

        let room = Room::new(config.limits.frames_mib << 20);
        let repeats = Repeats::new(config.repeats, Instant::now());
        if let Some(consumers) = consumers.get() {
            let frames = recovery::replay(&log, consumers, &room, repeats.as_ref(), had).await?;
            if frames > 0 {
                tracing::info!(frames, "frames of the log were read again");
            }
        }
        let ledger = keeper.map(|keeper| {
            let stop = CancellationToken::new();
            (stop.clone(), tokio::spawn(keeper.run(stop)))
        });
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
            trust,
            outbox,
            delivering,
            stop,
            listening: Vec::new(),
            tasks,
            committing,
            cutting: None,
            ledger,
            upkeep: None,
            threads,
            addresses: Vec::new(),
        };
        server.listen(bound, &access, sources, repeats, &lake)?;
        let upkeep = server.config.upkeep.clone();
        server.upkeep = upkeep.enabled.then(|| tokio::spawn(upkeep::run(lake, upkeep)));
        server.cutting = Some(tokio::spawn(cut(server.log.clone(), server.live.clone(), server.metrics.clone())));
        Ok(server)
    }

    fn listen(
        &mut self,
        bound: Bound,
        access: &Access,
        sources: Arc<Sources>,
        repeats: Option<Repeats>,
        lake: &Lake,
    ) -> anyhow::Result<()> {
        let limits = &self.config.limits;
        let bounds = Bounds {
            room: self.room.clone(),
            rates: Rates::new(access, Instant::now()),
            repeats,
            wait: Duration::from_millis(limits.wait_ms),
            delivery_bytes_max: self.config.delivery_bytes_max(),
            log_bytes_max: self.config.log.disk_mib << 20,
        };
        let intake = intake::intake(self.log.clone(), sources.clone(), bounds, self.metrics.clone());
        let query = &self.config.query;
        let options = SqlOptions { memory_bytes: (query.memory_mib as usize) << 20, ..SqlOptions::default() };
        let database = database::database(self.live.clone(), self.log.clone(), options);
        let queries = Queries::new(database, access.clone(), query.clone()).context("no threads for queries")?;
        let keep = updates::keep(self.log.clone(), Room::new(FINDINGS_ROOM), self.config.frame_bytes_max());
        let state = http::State {
            access: access.clone(),
            findings: Findings::new(queries.clone(), keep).attested_by(Attested::new(self.live.clone()).of_findings()),
            queries,
            metrics: self.metrics.clone(),
            log: self.log.clone(),
            live: self.live.clone(),
            room: self.room.clone(),
            engine: self.engine.clone(),
            outbox: self.outbox.clone(),
        };
        let evidence = evidence::router(evidence::Parts {
            intake: intake.clone(),
            access: access.clone(),
            limits: listening::body_limits(&self.config),
            trust: self.trust.clone(),
            lake: lake.clone(),
            live: self.live.clone(),
            log: self.log.clone(),
            wait: Duration::from_millis(limits.wait_ms),
        });
        let receivers = Receivers::new(intake, access, sources, &self.config, evidence);
        self.addresses = bound.addresses();
        self.listening = bound.serve(state, &receivers, &self.config, &self.stop);
        for tail in receivers.tails(&self.config)? {
            let (paths, run) = (tail.options.paths.join(", "), tail.run(self.stop.clone()));
            self.threads.spawn(async move { run.await.with_context(|| format!("reading {paths}")) });
        }
        Ok(())
    }

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

/// Cuts the log behind what all consumers are through with.
async fn cut(log: Log<Frame>, live: Live, metrics: Arc<Metrics>) {
    let committed = live.committed();
    drop(live);
    loop {
        tokio::time::sleep(CUT_EVERY).await;
        let through = (*committed.borrow()).min(metrics.checkpoint()).min(metrics.taken()).min(metrics.ledger());
        crash::point("before-cut");
        if through < log.first() {
            continue;
        }
        let cutting = log.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || cutting.cut(through)).await {
            tracing::warn!(error = %with_causes(&error), "the log cannot be cut");
        }
    }
}

/// An error with its causes.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
