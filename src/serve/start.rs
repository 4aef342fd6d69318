//! Starting: what is there is opened, every consumer goes on where it was, and listeners come last.

use super::attested::Attested;
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::consumers::{Consumers, Positions, Replay};
use super::copying::Copying;
use super::detection::Detector;
use super::evidence::{Followed, Keeper, Trust};
use super::intake::{Bounds, Room};
use super::listening::{Bound, Receivers};
use super::metrics::Metrics;
use super::outbox::Offering;
use super::rates::Rates;
use super::repeats::Repeats;
use super::{
    Server, cutting, database, detection, evidence, http, intake, listening, mapping, opening, outbox, recovery, rules,
    updates, upkeep,
};
use crate::mapping::Mapping;
use anyhow::Context;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tarn_connectors::access::Access;
use tarn_connectors::findings::Findings;
use tarn_connectors::listen::Tls;
use tarn_connectors::query::Queries;
use tarn_ingest::mapper::MapOptions;
use tarn_ingest::source::Sources;
use tarn_lake::log::files::Bucket;
use tarn_lake::{Lake, SqlOptions, StoreOptions};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Findings under way, in bytes.
const FINDINGS_ROOM: usize = 64 << 20;

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
        let bucket = config.log.store.as_ref().map(|url| Bucket::open(url, store)).transpose()?.map(Arc::new);
        let consumers: Arc<OnceLock<Consumers>> = Arc::default();
        let log = opening::log(&config, bucket.clone(), consumers.clone())?;
        let metrics = Arc::new(Metrics::default());
        let (live, committing) = opening::live(&config, &lake, &log, metrics.clone()).await?;

        let checkpoint = Checkpoint::new(&config.state, log.writer(), bucket.clone());
        let limits = detection::limits(&config.detection);
        let restored = checkpoint.restore(&engine, limits)?;
        for dropped in &restored.dropped {
            tracing::warn!(id = dropped.id, groups = dropped.groups, matches = dropped.matches, "state without a rule");
        }
        let outside = outbox::outside(sources.clone(), &live);
        let (outbox, is_new) = outbox::open(&config, outside, bucket.as_deref(), log.last())?.unzip();
        let taken = outbox.as_ref().map(|outbox| outbox.taken()).transpose()?;
        let had = Positions { mapped: *live.committed().borrow(), detected: restored.sequence, taken };
        had.check(log.last(), &config.state)?;
        metrics.begin(had);
        let copying = match (bucket, &outbox) {
            (Some(bucket), Some(outbox)) => {
                Some(Copying::begin(bucket, outbox.clone(), metrics.clone(), is_new == Some(true))?)
            }
            _ => None,
        };
        let followed = Followed { log: log.clone(), sources: sources.clone(), committed: live.committed(), classes };
        let keeper = opening::keeper(&config, signer, &lake, followed, metrics.clone()).await?;

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
        let mappers = mapping::threads();
        let (to_map, mapped) = mapping::Frames::new(to_map, mappers);
        let to_map = Arc::new(to_map);
        for _ in 0..mappers {
            let mapper = Mapping::new(sources.clone(), MapOptions::default(), live.clock());
            let (frames, sources) = (to_map.clone(), sources.clone());
            threads.spawn_blocking(move || {
                mapping::run(&frames, mapper, &sources);
                Ok(())
            });
        }
        drop(to_map);
        let into = live.clone();
        threads.spawn_blocking(move || mapping::push(&mapped, &into));
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
        let copying = copying.map(|copying| until_stopped(|stop| copying.run(stop)));
        let ledger = keeper.map(|keeper| until_stopped(|stop| keeper.run(stop)));
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
            copying,
            delivering,
            stop: CancellationToken::new(),
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
        server.cutting =
            Some(tokio::spawn(cutting::cut(server.log.clone(), server.live.clone(), server.metrics.clone())));
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
}

/// Begins what goes on until it is told to stop.
fn until_stopped<F>(run: impl FnOnce(CancellationToken) -> F) -> (CancellationToken, JoinHandle<F::Output>)
where
    F: Future<Output: Send> + Send + 'static,
{
    let stop = CancellationToken::new();
    (stop.clone(), tokio::spawn(run(stop)))
}
