//! An opened lake: its store, its tables, and one committer per table.

use crate::error::LakeError;
use crate::format;
use crate::ingest::{Ingest, IngestOptions};
use crate::location::{Location, StoreOptions};
use crate::sql::{SqlOptions, SqlSession};
use crate::table::state::TableState;
use crate::table::{TableSnapshot, known_features};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use deltalake_core::kernel::Snapshot;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// How many table logs are read at once when all are.
const TABLES_AT_ONCE: usize = 8;

/// Memory for footers of data files that queries have read.
pub(crate) const FOOTERS_BYTES: usize = 64 << 20;

/// A lake. Cheap to clone; clones share its committers.
#[derive(Clone, Debug)]
pub struct Lake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    at: Location,
    store: Arc<dyn ObjectStore>,
    committers: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// What is known of the tables.
    known: Mutex<HashMap<String, Known>>,
    /// Footers of data files, which never change.
    footers: Arc<FileMetadataCache>,
    /// Whether this process has seen to it that the lake is of the newest format.
    newest: AtomicBool,
}

/// A table as it was seen last.
#[derive(Clone, Debug)]
struct Known {
    state: Arc<TableState>,
    /// What it held then, or at an earlier version.
    table: Option<Arc<TableSnapshot>>,
}

impl Lake {
    /// Opens an existing lake: a folder's path, or a URL (`file://`, and with feature `cloud` `s3://`, `gs://`, `az://`).
    ///
    /// **Errors**: no such folder, no lake there, a newer format, no access.
    pub async fn open(location: &str, options: &StoreOptions) -> Result<Self, LakeError> {
        let lake = Self::at(Location::parse(location, options)?);
        if format::check(&lake.inner.store, location).await? {
            return Ok(lake);
        }
        match &lake.inner.at.folder {
            Some(folder) if !folder.exists() => Err(LakeError::Missing { location: location.to_owned() }),
            _ => Err(LakeError::NotALake { location: location.to_owned() }),
        }
    }

    /// Opens a lake, or makes one where the folder is absent or empty.
    ///
    /// **Errors**: as [`Self::open`]; a folder with other things in it is [`LakeError::NotALake`], not overwritten;
    /// a place that takes no writes is [`LakeError::Unwritable`].
    pub async fn open_or_create(location: &str, options: &StoreOptions) -> Result<Self, LakeError> {
        Self::open_or_create_at(Self::at(Location::parse(location, options)?), location).await
    }

    /// The same on a store of the caller's, for tests: `url` says where in `root` the lake is.
    #[doc(hidden)]
    pub async fn open_or_create_in(root: Arc<dyn ObjectStore>, url: Url) -> Result<Self, LakeError> {
        let prefix = Path::from(url.path());
        let location = url.to_string();
        Self::open_or_create_at(Self::at(Location { url, root, prefix, folder: None }), &location).await
    }

    async fn open_or_create_at(lake: Self, location: &str) -> Result<Self, LakeError> {
        let store = &lake.inner.store;
        let unwritable = |source| LakeError::Unwritable { location: location.to_owned(), source };
        let exists = format::check(store, location).await.map_err(|error| match error {
            LakeError::Store { source, .. } => unwritable(source),
            other => other,
        })?;
        if !exists {
            let first = store.list(None).next().await.transpose();
            let occupied = first.map_err(unwritable)?;
            if occupied.is_none() {
                format::create(store, location).await?;
            } else if !format::check(store, location).await? {
                // Nor has another process just made it one.
                return Err(LakeError::NotALake { location: location.to_owned() });
            }
        }
        Ok(lake)
    }

    fn at(at: Location) -> Self {
        let store = Arc::new(PrefixStore::new(Arc::clone(&at.root), at.prefix.clone()));
        Self {
            inner: Arc::new(Inner {
                at,
                store,
                committers: Mutex::default(),
                known: Mutex::default(),
                footers: Arc::new(DefaultCache::new(FOOTERS_BYTES)),
                newest: AtomicBool::new(false),
            }),
        }
    }

    /// Where the lake is; ends in `/`.
    pub fn url(&self) -> &Url {
        &self.inner.at.url
    }

    /// Where a table is, as other engines want it: a path for a local lake, else a URL.
    pub fn table_location(&self, table: &str) -> String {
        match &self.inner.at.folder {
            Some(folder) => folder.join("tables").join(table).display().to_string(),
            None => format!("{}tables/{table}", self.inner.at.url),
        }
    }

    /// The names of the tables, sorted.
    pub async fn table_names(&self) -> Result<Vec<String>, LakeError> {
        let tables = Path::from("tables");
        let listed = self.inner.store.list_with_delimiter(Some(&tables)).await;
        let listed = match listed {
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            other => other.map_err(LakeError::store("tables"))?,
        };
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    /// What a table holds now; `None` when there is no such table.
    pub async fn table(&self, name: &str) -> Result<Option<Arc<TableSnapshot>>, LakeError> {
        let state = match self.state(name).await {
            Ok(Some(state)) => state,
            Ok(None) => return Ok(None),
            // What makes its files unreadable may be a feature, and that has a name.
            Err(error) => {
                let Ok(bare) = Snapshot::try_new(self.log_store(name)?.as_ref(), None).await else { return Err(error) };
                return Err(known_features(name, bare.protocol(), bare.metadata()).err().unwrap_or(error));
            }
        };
        let before = self.known().get(name).and_then(|known| known.table.clone());
        if let Some(same) = before.filter(|table| table.version == state.version) {
            return Ok(Some(same));
        }
        let table = Arc::new(TableSnapshot::of(&state)?);
        if let Some(known) = self.known().get_mut(name).filter(|known| known.state.version == table.version) {
            known.table = Some(Arc::clone(&table));
        }
        Ok(Some(table))
    }

    /// All tables, sorted by name.
    pub async fn tables(&self) -> Result<Vec<Arc<TableSnapshot>>, LakeError> {
        let names = self.table_names().await?;
        let loads = names.into_iter().map(|name| async move { self.table(&name).await });
        let tables: Vec<Option<Arc<TableSnapshot>>> =
            stream::iter(loads).buffered(TABLES_AT_ONCE).try_collect().await?;
        Ok(tables.into_iter().flatten().collect())
    }

    /// Starts ingesting; commits first what an earlier process had logged and not finished.
    pub async fn ingest(&self, options: IngestOptions) -> Result<Ingest, LakeError> {
        Ingest::start(self.clone(), options).await
    }

    /// A read-only SQL session over the tables as they are now.
    pub async fn sql(&self, options: &SqlOptions) -> Result<SqlSession, LakeError> {
        SqlSession::open(self, options).await
    }

    /// What is remembered of data files.
    pub(crate) fn footers(&self) -> Arc<FileMetadataCache> {
        Arc::clone(&self.inner.footers)
    }

    pub(crate) fn is_newest(&self) -> &AtomicBool {
        &self.inner.newest
    }

    /// The store, rooted at the lake, for what is kept beside the tables. On a local disk, what is written is there when
    /// a write returns.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.inner.store
    }

    /// Delta's view of a table.
    pub(crate) fn log_store(&self, table: &str) -> Result<LogStoreRef, LakeError> {
        let at = &self.inner.at;
        let url = at
            .url
            .join(&format!("tables/{table}/"))
            .map_err(|e| LakeError::Location { location: at.url.to_string(), reason: e.to_string() })?;
        let prefix = at.prefix.clone().join("tables").join(table);
        let store = Arc::new(PrefixStore::new(Arc::clone(&at.root), prefix));
        Ok(default_logstore(store, Arc::clone(&at.root), &url, &StorageConfig::default()))
    }

    /// A table's log as it is now: only what came after the last look is read. None where there is no such table.
    pub(crate) async fn state(&self, table: &str) -> Result<Option<Arc<TableState>>, LakeError> {
        let known = self.known().get(table).map(|known| Arc::clone(&known.state));
        let log = self.log_store(table)?;
        if let Some(state) = known {
            // What cannot be gone on with is read anew.
            if let Ok(Some(state)) = state.newest(&log).await {
                return Ok(Some(self.know(state)));
            }
            self.known().remove(table);
        }
        let loaded = TableState::load(table, &log).await?;
        Ok(loaded.map(|state| self.know(Arc::new(state))))
    }

    /// Remembers a table as it was seen, or as a commit of our own left it.
    pub(crate) fn know(&self, state: Arc<TableState>) -> Arc<TableState> {
        let mut known = self.known();
        match known.get_mut(&state.table) {
            // Another task may have looked later and come back first.
            Some(known) if known.state.version > state.version => {}
            Some(known) => known.state = Arc::clone(&state),
            None => _ = known.insert(state.table.clone(), Known { state: Arc::clone(&state), table: None }),
        }
        state
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while committing to `table`: Delta's own retry loop has no back-off, so a process does not race itself.
    pub(crate) fn committer(&self, table: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut committers = self.inner.committers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(committers.entry(table.to_owned()).or_default())
    }
}
