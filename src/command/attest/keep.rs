//! Records into a lake: a row each in its tables, and a leaf each in its ledger, with the same bytes.
//!
//! A record is there once by its uid. With a ledger, it comes first, and rows are made of what it has
//! ([`crate::recording`]): a run that ends between the two leaves nothing out.

use crate::command::arguments::LakeArgs;
use crate::command::ledger_key;
use crate::recording::{Rows, append_all, times};
use anyhow::Context as _;
use bytes::Bytes;
use object_store::path::Path as StorePath;
use reqwest::Url;
use std::collections::HashSet;
use std::path::PathBuf;
use tarn_attest::intake::Taken;
use tarn_attest::ledger::{Entry, LAKE_PREFIX, Ledger, Signer};
use tarn_lake::{Lake, SqlOptions};

/// The records of one document, with its bytes.
pub(super) struct Read {
    pub(super) path: PathBuf,
    pub(super) bytes: Bytes,
    pub(super) taken: Vec<Taken>,
}

/// Puts what is new into the lake's ledger, with a key, and its tables, or hands it to the daemon at `to`. Gives the uids that
/// are new in the tables.
///
/// **Errors**: a key that is none; the store's, the lake's, the ledger's, the daemon's.
pub(super) async fn keep(
    lake: &LakeArgs,
    read: &mut [Read],
    ledger_key: Option<&str>,
    to: Option<&Url>,
) -> anyhow::Result<HashSet<String>> {
    // A key service is asked by the runtime that it is found in.
    let signer = match ledger_key {
        Some(key) => Some(ledger_key::signer(key).await.context("--ledger-key")?),
        None => None,
    };
    let lake = lake.open_or_create().await?;
    let uids: Vec<&str> = read.iter().flat_map(|read| &read.taken).map(|taken| taken.evidence.uid.as_str()).collect();
    let session = lake.sql(&SqlOptions::default()).await?;
    let known = times(&session, "artifact_signing", "metadata.uid", &uids).await?;
    // The rows of components come after their record, and a run may have ended between the two.
    let listed = times(&session, "software_info", "metadata.correlation_uid", &uids).await?;
    for taken in read.iter_mut().flat_map(|read| &mut read.taken) {
        // The record is the one that was made first.
        if let Some(time) = known.get(&taken.evidence.uid) {
            taken.evidence.value["time"] = (*time).into();
        }
    }
    let rows = Rows::new(&lake, to)?;
    let is_logged = signer.is_some();
    if let Some(signer) = signer {
        log(&lake, read, signer).await?;
        rows.follow().await?;
    }
    let (mut added, mut seen, mut lines) = (HashSet::new(), HashSet::new(), Vec::new());
    for taken in read.iter().flat_map(|read| &read.taken) {
        let uid = &taken.evidence.uid;
        // A document that is there twice is one.
        if !seen.insert(uid) {
            continue;
        }
        if !known.contains_key(uid) {
            added.insert(uid.clone());
            if !is_logged {
                lines.extend(taken.evidence.to_canonical()?);
                lines.push(b'\n');
            }
        }
        for component in taken.components.iter().filter(|_| !listed.contains_key(uid)) {
            lines.extend(component.to_canonical()?);
            lines.push(b'\n');
        }
    }
    rows.add("tarn attest ingest", lines).await?;
    Ok(added)
}

/// Appends the records to the ledger, each with its document. What it had before stays as it was.
async fn log(lake: &Lake, read: &[Read], signer: Signer) -> anyhow::Result<()> {
    let mut ledger = Ledger::open(lake.store().clone(), &StorePath::from(LAKE_PREFIX), signer).await?;
    for read in read {
        let entry = |taken: &Taken| -> anyhow::Result<Entry> {
            let record = taken.evidence.to_canonical()?.into();
            Ok(Entry::from_canonical(&taken.evidence.uid, record, Some(read.bytes.clone()))?)
        };
        let entries = read.taken.iter().map(entry).collect::<anyhow::Result<Vec<_>>>()?;
        append_all(&mut ledger, &entries).await?;
    }
    Ok(())
}
