//! Files into a table's Delta log: the table is made when it is new, columns are added in place, and a group of files
//! is committed exactly once, however often it is tried and by how many processes.

use crate::error::LakeError;
use crate::lake::Lake;
use crate::table::schema::{merge, statistics_property};
use crate::table::state::{TableState, WRITER};
use crate::table::{EVENT_DAY, event_day_field, stats};
use arrow::datatypes::Schema;
use deltalake_core::checkpoints::{cleanup_metadata, create_checkpoint};
use deltalake_core::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use deltalake_core::kernel::transaction::{CommitBuilder, CommitData, CommitProperties, TransactionError};
use deltalake_core::kernel::{Action, Add, Metadata, MetadataExt, Protocol, StructType, Transaction, new_metadata};
use deltalake_core::logstore::{CommitOrBytes, LogStoreRef};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::config::TablePropertiesExt;
use deltalake_core::{DeltaTable, DeltaTableError};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

const STATISTICS_PROPERTY: &str = "delta.dataSkippingStatsColumns";
const ATTEMPTS: u32 = 40;
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a commit group adds to one table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Addition {
    pub(crate) table: String,
    /// Delta's schema of the columns that the files hold.
    pub(crate) schema: StructType,
    pub(crate) files: Vec<NewFile>,
}

/// A file that is written and not yet committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewFile {
    /// From the table's root.
    pub(crate) path: String,
    pub(crate) event_day: String,
    pub(crate) size: u64,
    pub(crate) rows: u64,
    pub(crate) modified_ms: i64,
    pub(crate) stats: String,
}

/// Arrow's schema as Delta's.
pub(crate) fn to_delta(table: &str, schema: &Schema) -> Result<StructType, LakeError> {
    schema.try_into_kernel().map_err(LakeError::arrow(table))
}

fn to_arrow(table: &str, schema: &StructType) -> Result<Schema, LakeError> {
    schema.try_into_arrow().map_err(LakeError::arrow(table))
}

/// Commits `addition` as number `sequence`; does nothing when its table has that number already.
pub(crate) async fn commit(lake: &Lake, addition: &Addition, sequence: i64) -> Result<(), LakeError> {
    contended(lake, &addition.table, |log| async move { attempt(lake, &log, addition, sequence).await }).await
}

/// Tries until no other writer comes first. **Errors**: those of `attempt` but conflicts; [`LakeError::Contended`].
async fn contended<T, F: Future<Output = Result<T, LakeError>>>(
    lake: &Lake,
    table: &str,
    attempt: impl Fn(LogStoreRef) -> F,
) -> Result<T, LakeError> {
    let committer = lake.committer(table);
    let _only_one = committer.lock().await;
    let log = lake.log_store(table)?;
    let mut pause = PAUSE_FIRST;
    for _ in 0..ATTEMPTS {
        match attempt(Arc::clone(&log)).await {
            Ok(done) => return Ok(done),
            Err(LakeError::Delta { source, .. }) if is_conflict(&source) => {}
            Err(other) => return Err(other),
        }
        // Half of the pause is chance, so that two writers do not meet again.
        let chance = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
        tokio::time::sleep(pause / 2 + pause.mul_f64(chance as f64 / 512.0)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    Err(LakeError::Contended { table: table.to_owned(), attempts: ATTEMPTS })
}

fn is_conflict(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => matches!(
            source,
            TransactionError::VersionAlreadyExists(_)
                | TransactionError::CommitConflict(_)
                | TransactionError::MaxCommitAttempts(_)
        ),
        _ => false,
    }
}

/// One try on the newest snapshot. Delta's own retries are off: after a conflict everything is computed anew.
async fn attempt(lake: &Lake, log: &LogStoreRef, addition: &Addition, sequence: i64) -> Result<(), LakeError> {
    let table = addition.table.as_str();
    let added = to_arrow(table, &addition.schema)?;
    let state = match lake.state(table).await? {
        Some(state) => state,
        None => {
            create(log, table, &added).await?;
            let missing = || LakeError::delta(table)(DeltaTableError::NotInitialized);
            lake.state(table).await?.ok_or_else(missing)?
        }
    };
    if state.sequence.is_some_and(|done| done >= sequence) {
        return Ok(());
    }
    let merged = merge(&state.schema, &added)?;
    let mut actions = Vec::with_capacity(addition.files.len() + 1);
    if merged != *state.schema {
        actions.push(Action::Metadata(with_schema(table, state.metadata.clone(), &merged)?));
    }
    actions.extend(addition.files.iter().map(|file| Action::Add(add(file, &merged))));
    let partition_by = Some(vec![EVENT_DAY.to_owned()]);
    let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
    write(lake, log, state, actions, operation, vec![Transaction::new(WRITER, sequence)]).await
}

/// Writes the version after `state`. **Errors**: a conflict when there is one already.
async fn write(
    lake: &Lake,
    log: &LogStoreRef,
    mut state: Arc<TableState>,
    actions: Vec<Action>,
    operation: DeltaOperation,
    transactions: Vec<Transaction>,
) -> Result<(), LakeError> {
    state.can_take(&actions)?;
    let table = state.table.clone();
    let delta = |e: TransactionError| LakeError::delta(&table)(e.into());
    let by = HashMap::from([("tarn".to_owned(), serde_json::json!(env!("CARGO_PKG_VERSION")))]);
    let commit = CommitData::new(actions, operation, by, transactions);
    let (version, bytes) = (state.version + 1, CommitOrBytes::LogBytes(commit.get_bytes().map_err(delta)?));
    log.write_commit_entry(version, bytes, uuid::Uuid::new_v4()).await.map_err(delta)?;
    // What is known already need not be read back.
    if Arc::make_mut(&mut state).apply(version, &commit.actions)? {
        let state = lake.know(state);
        if state.is_checkpoint_due() {
            checkpoint(log, &table).await?;
        }
    }
    Ok(())
}

/// Writes a checkpoint of the newest version, and deletes what of the log is older than the table keeps.
async fn checkpoint(log: &LogStoreRef, table: &str) -> Result<(), LakeError> {
    let delta = LakeError::delta(table);
    let mut loaded = DeltaTable::new(Arc::clone(log));
    loaded.load().await.map_err(&delta)?;
    create_checkpoint(&loaded, None).await.map_err(&delta)?;
    if loaded.snapshot().map_err(&delta)?.table_config().enable_expired_log_cleanup() {
        cleanup_metadata(&loaded, None).await.map_err(&delta)?;
    }
    Ok(())
}

/// What upkeep changes in one table.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) table: String,
    /// Files that go, from the lake's root.
    pub(crate) gone: BTreeSet<Path>,
    /// What has the rows of all of them, where the rows stay.
    pub(crate) instead: Vec<NewFile>,
}

/// Commits a change; `false`, and nothing changes, when one of its files has gone meanwhile. Rows that stay are no change
/// of the data: `dataChange` is false.
pub(crate) async fn change(lake: &Lake, change: &Change) -> Result<bool, LakeError> {
    contended(lake, &change.table, |log| async move { attempt_change(lake, &log, change).await }).await
}

async fn attempt_change(lake: &Lake, log: &LogStoreRef, change: &Change) -> Result<bool, LakeError> {
    let Some(state) = lake.state(&change.table).await? else { return Ok(false) };
    let data_change = change.instead.is_empty();
    let gone = state.files.iter().filter(|file| change.gone.contains(&file.path));
    let mut actions: Vec<_> = gone.map(|file| Action::Remove(state.remove(file, data_change))).collect();
    if actions.len() < change.gone.len() {
        return Ok(false);
    }
    let added = change.instead.iter().map(|file| Action::Add(Add { data_change, ..add(file, &state.schema) }));
    actions.extend(added);
    let operation = match change.instead.iter().map(|file| file.size).max() {
        Some(size) => {
            DeltaOperation::Optimize { predicate: None, target_size: i64::try_from(size).unwrap_or(i64::MAX) }
        }
        None => DeltaOperation::Delete { predicate: None },
    };
    write(lake, log, state, actions, operation, Vec::new()).await?;
    Ok(true)
}

/// A file's path from the lake's root.
pub(crate) fn from_root(table: &str, path: &Path) -> Path {
    let root = Path::from("tables").join(table);
    Path::from_iter(root.parts().chain(path.parts()))
}

fn add(file: &NewFile, schema: &Schema) -> Add {
    Add {
        path: file.path.clone(),
        partition_values: HashMap::from([(EVENT_DAY.to_owned(), Some(file.event_day.clone()))]),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
        modification_time: file.modified_ms,
        data_change: true,
        stats: Some(stats::with_absent(&file.stats, schema)),
        ..Add::default()
    }
}

fn with_schema(table: &str, metadata: Metadata, schema: &Schema) -> Result<Metadata, LakeError> {
    let delta = |e: deltalake_core::kernel::Error| LakeError::delta(table)(e.into());
    let metadata = metadata.with_schema(&to_delta(table, schema)?).map_err(delta)?;
    metadata.add_config_key(STATISTICS_PROPERTY.to_owned(), statistics_property(schema)).map_err(delta)
}

/// Version 0. **Errors**: a conflict when another process made the table meanwhile.
async fn create(log: &LogStoreRef, table: &str, columns: &Schema) -> Result<(), LakeError> {
    let mut fields: Vec<_> = columns.fields().iter().cloned().collect();
    fields.push(Arc::new(event_day_field()));
    let schema = Schema::new(fields);
    let configuration = [(STATISTICS_PROPERTY, statistics_property(&schema))];
    let delta_schema = to_delta(table, &schema)?;
    let metadata = new_metadata(&delta_schema, [EVENT_DAY], configuration)
        .and_then(|m| m.with_name(table.to_owned()))
        .map_err(|e| LakeError::delta(table)(e.into()))?;
    let protocol: Protocol =
        serde_json::from_value(serde_json::json!({ "minReaderVersion": 1, "minWriterVersion": 2 })).map_err(|e| {
            LakeError::delta(table)(DeltaTableError::InvalidJsonLog { json_err: e, line: String::new(), version: 0 })
        })?;
    let operation = DeltaOperation::Create {
        mode: SaveMode::ErrorIfExists,
        location: log.root_url().clone(),
        protocol: protocol.clone(),
        metadata: metadata.clone(),
    };
    let actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
    let commit = CommitBuilder::from(CommitProperties::default().with_max_retries(0)).with_actions(actions);
    commit.build(None, Arc::clone(log), operation).await.map_err(LakeError::delta(table))?;
    Ok(())
}
