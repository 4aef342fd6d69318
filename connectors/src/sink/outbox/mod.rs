//! The outbox: what was offered is kept on disk until each sink has it or cannot.
//!
//! One `redb` file in the folder. [`Outbox::offer`] makes alerts of findings, asks the routes, groups and throttles, and
//! commits it all with the sequence that it was offered under; [`Outbox::deliver`] sends what is due and commits what
//! became of it. So a crash between the two repeats a delivery at most, under the same key, and a restart goes on with
//! the groups, back-offs and counts where they were. A message is composed once, when it is cut: its tries are equal.
//! Order is not promised.
//!
//! Times are milliseconds since 1970, by the wall clock, because they have to survive restarts.

mod bound;
mod change;
mod copy;
mod dead;
mod deliver;
mod gather;
mod letter;
mod offer;
mod settle;
mod status;
mod store;

pub use bound::Limits;
pub use copy::Copied;
pub use dead::{DeadLetter, Which};
pub use status::{SinkStatus, Status};

use super::alert::EvidenceReader;
use super::config::{AlertsConfig, ConfigError, in_range};
use super::registry::{self, Configured, Environment};
use super::route::Routes;
use crate::attestation::Attesting;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use store::Store;
use tarn_ingest::source::Sources;
use thiserror::Error;
use tokio::sync::watch;

/// Tells the time: milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the outbox is given from outside.
#[derive(Clone)]
pub struct Outside {
    /// Log sources, to read evidence with.
    pub sources: Arc<Sources>,
    /// The time.
    pub clock: Clock,
    /// Of the randomness in back-offs.
    pub seed: u64,
    /// Says whether the images that findings are about were attested, if anybody knows.
    pub attesting: Option<Attesting>,
}

/// Why the outbox cannot do what it should. Nothing was changed then.
#[derive(Debug, Error)]
pub enum OutboxError {
    /// The folder cannot be made.
    #[error("cannot make the folder of the outbox")]
    Folder(#[source] std::io::Error),
    /// The database cannot be read or written.
    #[error("the outbox's database fails")]
    Store(#[from] redb::Error),
    /// Written by another version.
    #[error("the outbox has format {found}, this version knows {known}")]
    Format {
        /// The file's.
        found: u64,
        /// The one that is known.
        known: u64,
    },
    /// The copy is damaged.
    #[error("the copy of the outbox cannot be read; without it, alerts that only it has are not delivered")]
    Copy(#[source] std::io::Error),
    /// The copy was made by another version.
    #[error("the copy of the outbox has format {found}, this version knows {known}")]
    CopyFormat {
        /// The copy's.
        found: u64,
        /// The one that is known.
        known: u64,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What a configuration means.
#[derive(Debug)]
struct Plan {
    sinks: BTreeMap<Arc<str>, Configured>,
    routes: Routes,
    limits: Limits,
}

impl Plan {
    fn new(config: &AlertsConfig, environment: Environment<'_>) -> Result<Self, ConfigError> {
        in_range("alerts.entries_max".into(), config.entries_max, 1, 100_000_000)?;
        in_range("alerts.bytes_max".into(), config.bytes_max, 1 << 20, 1 << 40)?;
        let sinks = registry::open(config, environment)?;
        let names: BTreeSet<&str> = sinks.keys().map(|name| &**name).collect();
        let routes = Routes::new(&config.routes, &names)?;
        Ok(Self { sinks, routes, limits: Limits { entries: config.entries_max, bytes: config.bytes_max } })
    }
}

/// Checks a configuration without opening anything.
///
/// **Errors**: the first key that is wrong.
pub fn check(config: &AlertsConfig, environment: Environment<'_>) -> Result<(), ConfigError> {
    Plan::new(config, environment).map(drop)
}

/// The outbox of a daemon.
pub struct Outbox {
    store: Store,
    plan: watch::Sender<Arc<Plan>>,
    /// Told when something may be due earlier than was known.
    woken: watch::Sender<()>,
    events: EvidenceReader,
    attesting: Option<Attesting>,
    clock: Clock,
    jitter: Mutex<ChaCha8Rng>,
    /// Sinks whose receivers want no more, until the next configuration.
    gone: Mutex<BTreeSet<Arc<str>>>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("plan", &self.plan.borrow()).finish_non_exhaustive()
    }
}

impl Outbox {
    /// Opens or begins the outbox of a folder. Messages of sinks that are no longer configured become dead letters.
    ///
    /// **Errors**: [`OutboxError`]; another process that has it open is one.
    pub fn open(
        folder: &Path,
        config: &AlertsConfig,
        environment: Environment<'_>,
        outside: Outside,
    ) -> Result<Self, OutboxError> {
        let plan = Plan::new(config, environment)?;
        let store = Store::open(&file(folder)?)?;
        let jitter = ChaCha8Rng::seed_from_u64(outside.seed);
        Self::of(store, plan, outside, jitter)
    }

    /// As [`Outbox::open`], where the folder may be lost with its machine. Whether it is a new outbox: then
    /// [`Outbox::copy`] has to be kept before [`Outbox::deliver`] is called.
    ///
    /// **Errors**: as [`Outbox::open`]; a copy that cannot be read.
    pub fn open_copied(
        folder: &Path,
        config: &AlertsConfig,
        environment: Environment<'_>,
        outside: Outside,
        copied: &Copied,
    ) -> Result<(Self, bool), OutboxError> {
        let plan = Plan::new(config, environment)?;
        let mut random = ChaCha8Rng::seed_from_u64(outside.seed);
        // Zero is that of files that have none.
        let number = random.random_range(1..=u64::MAX);
        let (store, is_new) = copy::open(&file(folder)?, copied, number, (outside.clock)())?;
        Ok((Self::of(store, plan, outside, random)?, is_new))
    }

    fn of(store: Store, plan: Plan, outside: Outside, jitter: ChaCha8Rng) -> Result<Self, OutboxError> {
        let plan = Arc::new(plan);
        let outbox = Self {
            store,
            plan: watch::Sender::new(Arc::clone(&plan)),
            woken: watch::Sender::new(()),
            events: EvidenceReader::new(outside.sources),
            attesting: outside.attesting,
            jitter: Mutex::new(jitter),
            clock: outside.clock,
            gone: Mutex::default(),
        };
        outbox.store.write(|tables| tables.reconcile(&plan, outbox.now()))?;
        Ok(outbox)
    }

    /// Takes another configuration: all of it or, on an error, nothing. What waits goes on by the new one; messages of
    /// sinks that are gone become dead letters.
    ///
    /// **Errors**: [`OutboxError`].
    pub fn reconfigure(&self, config: &AlertsConfig, environment: Environment<'_>) -> Result<(), OutboxError> {
        let plan = Arc::new(Plan::new(config, environment)?);
        self.store.write(|tables| tables.reconcile(&plan, self.now()))?;
        self.gone().clear();
        self.plan.send_replace(plan);
        Ok(())
    }

    fn now(&self) -> i64 {
        (self.clock)()
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.borrow())
    }

    fn gone(&self) -> std::sync::MutexGuard<'_, BTreeSet<Arc<str>>> {
        self.gone.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The outbox's file, in a folder that is there.
fn file(folder: &Path) -> Result<PathBuf, OutboxError> {
    std::fs::create_dir_all(folder).map_err(OutboxError::Folder)?;
    Ok(folder.join("outbox.redb"))
}

#[cfg(test)]
mod tests;
