//! Records into a lake: a row each in its tables, and a leaf each in its ledger, with the same bytes.
//!
//! A record is there once by its uid. The ledger comes first: a run that ends between the two is run again, finds in the
//! ledger what it had logged, and puts that into the tables.

use crate::command::Usage;
use crate::command::arguments::{LakeArgs, SourcesArgs};
use crate::loading::Loader;
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use bytes::Bytes;
use chrono::Utc;
use futures::StreamExt;
use object_store::path::Path as StorePath;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tarn_attest::intake::Taken;
use tarn_attest::ledger::{Entry, LAKE_PREFIX, Ledger, Outcome, Signer, verify};
use tarn_ingest::mapper::MapOptions;
use tarn_lake::{IngestOptions, Lake, SqlError, SqlOptions};

/// The records of one document, with its bytes.
pub(super) struct Read {
    pub(super) path: PathBuf,
    pub(super) bytes: Bytes,
    pub(super) taken: Vec<Taken>,
}

/// A ledger's signing key.
///
/// **Errors**: [`Usage`] for what is none.
pub(super) fn signer(path: &Path) -> anyhow::Result<Signer> {
    let wrong = |e: &dyn std::fmt::Display| Usage(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
    Signer::parse(&text).map_err(|e| wrong(&e).into())
}

/// Puts what is new into the lake's ledger, with a key, and its tables. Gives the uids that are new in the tables.
///
/// **Errors**: the store's, the lake's, the ledger's.
pub(super) async fn keep(
    lake: &LakeArgs,
    read: &mut [Read],
    signer: Option<Signer>,
) -> anyhow::Result<HashSet<String>> {
    let lake = lake.open_or_create().await?;
    let uids: Vec<&str> = read.iter().flat_map(|read| &read.taken).map(|taken| taken.evidence.uid.as_str()).collect();
    let known = known(&lake, &uids).await?;
    for taken in read.iter_mut().flat_map(|read| &mut read.taken) {
        // The record is the one that was made first.
        if let Some(time) = known.get(&taken.evidence.uid) {
            taken.evidence.value["time"] = (*time).into();
        }
    }
    let logged = match signer {
        Some(signer) => log(&lake, read, signer, &known).await?,
        None => HashMap::new(),
    };
    let (mut added, mut lines) = (HashSet::new(), Vec::new());
    for taken in read.iter().flat_map(|read| &read.taken) {
        let uid = &taken.evidence.uid;
        // A document that is there twice is one.
        if known.contains_key(uid) || !added.insert(uid.clone()) {
            continue;
        }
        match logged.get(uid) {
            Some(record) => lines.extend_from_slice(record),
            None => lines.extend(taken.evidence.to_canonical()?),
        }
        lines.push(b'\n');
        for component in &taken.components {
            lines.extend(component.to_canonical()?);
            lines.push(b'\n');
        }
    }
    if !lines.is_empty() {
        let sources = SourcesArgs { sources: None }.load()?;
        let source = sources.named("ocsf").map(|source| source.id);
        let options = MapOptions { ingest_time: Utc::now().timestamp_micros(), zone: chrono_tz::UTC, coverage: false };
        let mut loader = Loader::new(lake.ingest(IngestOptions::default()).await?, sources, source, options)?;
        loader.load_bytes("tarn attest ingest", lines).await?;
        loader.finish().await?;
    }
    Ok(added)
}

/// Uids that are asked for at once.
const ASKED_MAX: usize = 1_000;

/// Which of these records the table has, and their times in milliseconds.
async fn known(lake: &Lake, uids: &[&str]) -> anyhow::Result<HashMap<String, i64>> {
    let session = lake.sql(&SqlOptions::default()).await?;
    let mut known = HashMap::new();
    if !session.tables().any(|table| table.name == "artifact_signing") {
        return Ok(known);
    }
    for some in uids.chunks(ASKED_MAX) {
        let list = (1..=some.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT metadata.uid, time FROM artifact_signing WHERE metadata.uid IN ({list})");
        let values: Vec<ArrayRef> =
            some.iter().map(|uid| Arc::new(StringArray::from(vec![*uid])) as ArrayRef).collect();
        let mut stream = session.query_with(&sql, &values).await?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|e| SqlError::Failed(Box::new(e)))?;
            let uids = arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
            let times = arrow::compute::cast(batch.column(1), &DataType::Timestamp(TimeUnit::Millisecond, None))?;
            let times = arrow::compute::cast(&times, &DataType::Int64)?;
            let rows = uids.as_string::<i32>().iter().zip(times.as_primitive::<Int64Type>());
            known.extend(rows.filter_map(|(uid, time)| Some((uid?.to_owned(), time?))));
        }
    }
    Ok(known)
}

/// Appends the records to the ledger, each with its document. Gives those that it had before with other bytes, as far as
/// the tables do not have them.
async fn log(
    lake: &Lake,
    read: &[Read],
    signer: Signer,
    known: &HashMap<String, i64>,
) -> anyhow::Result<HashMap<String, Bytes>> {
    let key = signer.public().clone();
    let mut ledger = Ledger::open(lake.store().clone(), &StorePath::from(LAKE_PREFIX), signer).await?;
    let mut earlier = HashMap::new();
    for read in read {
        let entry = |taken: &Taken| -> anyhow::Result<Entry> {
            let record = taken.evidence.to_canonical()?.into();
            Ok(Entry::from_canonical(&taken.evidence.uid, record, Some(read.bytes.clone()))?)
        };
        let entries = read.taken.iter().map(entry).collect::<anyhow::Result<Vec<_>>>()?;
        let outcomes = ledger.append(&entries, Utc::now().timestamp_millis()).await?;
        for (entry, outcome) in entries.iter().zip(outcomes) {
            if matches!(outcome, Outcome::Conflict(_)) && !known.contains_key(entry.uid()) {
                let proven = verify(&ledger.prove(entry.uid()).await?, &key)?;
                earlier.insert(entry.uid().to_owned(), proven.record().clone());
            }
        }
    }
    Ok(earlier)
}
