//! A table's Delta log as this process has seen it: what commits and readers have to know, kept by the changes of each version.
//!
//! **In**: the log as a whole, read once; then one commit after the other, those of our own without reading them back.
//! **Out**: the table's schema, its files, how far the ingest log is in it. Delta's own state of a table goes through all that
//! it knows again at every version. **Read as a whole again**: after a change of the protocol, where a log was cut or another
//! table is in its place, and where there is much to catch up with.

use super::stats::{self, FileStats};
use super::{DataFile, EVENT_DAY, commit};
use crate::error::LakeError;
use arrow::datatypes::{Schema, SchemaRef};
use chrono::Utc;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake_core::kernel::transaction::{PROTOCOL, TransactionError};
use deltalake_core::kernel::{Action, Add, LogicalFileView, Metadata, Protocol, Remove};
use deltalake_core::logstore::{LogStoreRef, commit_uri_from_version, get_actions};
use deltalake_core::table::state::DeltaTableState;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The writer's id in every table's log. The sequence of the ingest log is its version, so one id serves all processes.
pub(crate) const WRITER: &str = "tarn.ingest";

/// Versions that are caught up with one by one.
const VERSIONS_MAX: u64 = 64;

/// Versions from one checkpoint to the next, where the table does not say.
const CHECKPOINT_EVERY: u64 = 100;

/// A table at a version of its log.
#[derive(Clone, Debug)]
pub(crate) struct TableState {
    pub(crate) table: String,
    pub(crate) version: u64,
    pub(crate) metadata: Metadata,
    pub(crate) protocol: Protocol,
    /// All columns as the log has them.
    pub(crate) schema: SchemaRef,
    /// The columns that files hold, [`super::ARRIVAL`] last.
    pub(crate) file_schema: SchemaRef,
    /// The files, in no order.
    pub(crate) files: Vec<Arc<DataFile>>,
    /// The last sequence of the ingest log that is in the table.
    pub(crate) sequence: Option<i64>,
    /// Why nothing can be written to it.
    unwritable: Option<String>,
    /// The last commit's file, by which it is known again; none where only we have written it.
    last: Option<ObjectMeta>,
}

impl TableState {
    /// Reads the whole log. `None` where there is none.
    pub(crate) async fn load(table: &str, log: &LogStoreRef) -> Result<Option<Self>, LakeError> {
        let delta = LakeError::delta(table);
        if !log.is_delta_table_location().await.map_err(&delta)? {
            return Ok(None);
        }
        let loaded = DeltaTableState::try_new(log.as_ref(), None).await.map_err(&delta)?;
        let sequence = loaded.snapshot().transaction_version(log.as_ref(), WRITER).await.map_err(&delta)?;
        let unwritable = PROTOCOL.can_write_to(&loaded).err().map(|why| why.to_string());
        let (schema, file_schema) = schemas(table, loaded.metadata())?;
        let mut state = Self {
            table: table.to_owned(),
            version: loaded.version(),
            metadata: loaded.metadata().clone(),
            protocol: loaded.protocol().clone(),
            schema,
            file_schema,
            files: Vec::new(),
            sequence,
            unwritable,
            last: None,
        };
        state.files = loaded.snapshot().log_data().iter().map(|view| state.file(&view.into())).collect();
        Ok(Some(state))
    }

    /// The same at the log's newest version; `None` where it has to be read as a whole.
    ///
    /// **Errors**: the store's; a commit that cannot be read.
    pub(crate) async fn newest(mut self: Arc<Self>, log: &LogStoreRef) -> Result<Option<Arc<Self>>, LakeError> {
        let table = self.table.clone();
        let delta = LakeError::delta(&table);
        let store = log.object_store(None);
        let path = commit_uri_from_version(Some(self.version));
        let (last, mut next) = tokio::join!(store.head(&path), log.read_commit_entry(self.version + 1));
        let last = match last {
            Ok(last) => last,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(LakeError::Store { path: path.to_string(), source }),
        };
        match &self.last {
            Some(known) if !is_same(known, &last) => return Ok(None),
            Some(_) => {}
            None => Arc::make_mut(&mut self).last = Some(last),
        }
        let until = self.version + VERSIONS_MAX;
        while let Some(bytes) = next.map_err(&delta)? {
            let version = self.version + 1;
            let actions = get_actions(version, &bytes).map_err(&delta)?;
            let state = Arc::make_mut(&mut self);
            if version > until || !state.apply(version, &actions)? {
                return Ok(None);
            }
            next = log.read_commit_entry(version + 1).await;
        }
        Ok(Some(self))
    }

    /// Goes on to the next version; `false`, and the state is of no use any more, where the log has to be read as a whole.
    pub(crate) fn apply(&mut self, version: u64, actions: &[Action]) -> Result<bool, LakeError> {
        let (mut gone, mut added) = (HashSet::new(), Vec::new());
        for action in actions {
            match action {
                Action::Protocol(_) => return Ok(false),
                Action::Metadata(metadata) => {
                    (self.schema, self.file_schema) = schemas(&self.table, metadata)?;
                    self.metadata = metadata.clone();
                }
                Action::Txn(transaction) if transaction.app_id == WRITER => self.sequence = Some(transaction.version),
                Action::Remove(remove) => _ = gone.insert(remove.path.as_str()),
                Action::Add(add) => added.push(add),
                _ => {}
            }
        }
        // A file that is added again has other statistics than before.
        gone.extend(added.iter().map(|add| add.path.as_str()));
        self.files.retain(|file| !gone.contains(file.logged.as_ref()));
        let added: Vec<_> = added.into_iter().map(|add| self.file(&add.into())).collect();
        self.files.extend(added);
        (self.version, self.last) = (version, None);
        Ok(true)
    }

    fn file(&self, logged: &Logged) -> Arc<DataFile> {
        // Some writers leave characters as they are that the store's paths have encoded.
        let path = Path::parse(&logged.path).unwrap_or_else(|_| Path::from(logged.path.as_str()));
        Arc::new(DataFile {
            path: commit::from_root(&self.table, &path),
            logged: logged.path.as_str().into(),
            size: u64::try_from(logged.size).unwrap_or(0),
            modified_ms: logged.modified_ms,
            event_day: logged.partition.get(EVENT_DAY).and_then(|day| day.as_deref()).and_then(stats::parse_day),
            stats: FileStats::parse(logged.stats.as_deref(), &self.file_schema),
        })
    }

    /// What takes a file out of the table.
    pub(crate) fn remove(&self, file: &DataFile, data_change: bool) -> Remove {
        let day = file.event_day.and_then(arrow::datatypes::Date32Type::to_naive_date_opt);
        // Of a table with other partitions than ours it is not known what they are.
        let is_ours = self.metadata.partition_columns() == [EVENT_DAY];
        let partition = || HashMap::from([(EVENT_DAY.to_owned(), day.map(|day| day.to_string()))]);
        Remove {
            path: file.logged.to_string(),
            data_change,
            deletion_timestamp: Some(Utc::now().timestamp_millis()),
            extended_file_metadata: is_ours.then_some(true),
            partition_values: is_ours.then(partition),
            size: is_ours.then(|| i64::try_from(file.size).unwrap_or(i64::MAX)),
            ..Remove::default()
        }
    }

    /// **Errors**: the table takes what we have not, or loses no rows.
    pub(crate) fn can_take(&self, actions: &[Action]) -> Result<(), LakeError> {
        let refused = |why: DeltaTableError| Err(LakeError::delta(&self.table)(why));
        if let Some(why) = &self.unwritable {
            return refused(DeltaTableError::Generic(why.clone()));
        }
        let loses = actions.iter().any(|action| matches!(action, Action::Remove(remove) if remove.data_change));
        if loses && self.property("delta.appendOnly") == Some("true") {
            return refused(TransactionError::DeltaTableAppendOnly.into());
        }
        Ok(())
    }

    /// Whether a checkpoint is due at this version.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        let every = self.property("delta.checkpointInterval").and_then(|every| every.parse().ok());
        (self.version + 1).is_multiple_of(every.unwrap_or(CHECKPOINT_EVERY).max(1))
    }

    fn property(&self, name: &str) -> Option<&str> {
        self.metadata.configuration().get(name).map(String::as_str)
    }
}

/// What the log says of a file.
struct Logged {
    /// From the table's root.
    path: String,
    size: i64,
    modified_ms: i64,
    partition: HashMap<String, Option<String>>,
    stats: Option<String>,
}

impl From<LogicalFileView> for Logged {
    fn from(view: LogicalFileView) -> Self {
        Self {
            path: view.path().into_owned(),
            size: view.size(),
            modified_ms: view.modification_time(),
            partition: view.partition_values_map(),
            stats: view.stats(),
        }
    }
}

impl From<&Add> for Logged {
    fn from(add: &Add) -> Self {
        Self {
            path: add.path.clone(),
            size: add.size,
            modified_ms: add.modification_time,
            partition: add.partition_values.clone(),
            stats: add.stats.clone(),
        }
    }
}

fn is_same(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    (&a.e_tag, a.last_modified, a.size) == (&b.e_tag, b.last_modified, b.size)
}

/// All columns of a table, and those that its files hold.
fn schemas(table: &str, metadata: &Metadata) -> Result<(SchemaRef, SchemaRef), LakeError> {
    let logical = metadata.parse_schema().map_err(|e| LakeError::delta(table)(DeltaTableError::from(e)))?;
    let schema: Schema = (&logical).try_into_arrow().map_err(LakeError::arrow(table))?;
    let columns = schema.fields().iter().filter(|field| field.name() != EVENT_DAY).cloned();
    let (arrival, record): (Vec<_>, Vec<_>) = columns.partition(|field| field.name() == super::ARRIVAL);
    let of_files = Schema::new([record, arrival].concat());
    Ok((Arc::new(schema), Arc::new(of_files)))
}
