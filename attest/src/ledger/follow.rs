//! Following a ledger: its records, batch by batch, for whoever derives something else from them.

use super::batch::Batch;
use super::error::LedgerError;
use super::leaf::{Blob, Leaf};
use super::reader::Log;
use super::state::read_batch;
use super::store::Site;
use super::{batch, leaf};
use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;
use std::sync::Arc;

/// A record as it was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its `metadata.uid`.
    pub uid: String,
    /// Its RFC 8785 bytes.
    pub record: Bytes,
    /// The document that it was made from, where that was logged with it.
    pub raw: Option<Bytes>,
}

/// The records that were committed together after `size` leaves; none where the ledger under `prefix` ends there. A
/// ledger is followed from 0 on, each time by as many as came.
///
/// Whether the batch is one that the ledger's key signed is not looked at: that is [`super::audit`]'s, and the writer's.
///
/// **Errors**: the store's; a record or document that is not its leaf's; [`LedgerError::NotExtended`] where the ledger is not
/// the one that had so many leaves: it has fewer, or no batch that begins there.
pub async fn records_after(
    store: &Arc<dyn ObjectStore>,
    prefix: &Path,
    size: u64,
) -> Result<Option<Vec<Logged>>, LedgerError> {
    let site = Site::new(Arc::clone(store), prefix);
    let found = match read_batch(&site, size).await? {
        Some(found) => Some(found),
        None => ended(store, prefix, &site, size).await?,
    };
    let Some(found) = found else { return Ok(None) };
    let corrupt = |reason: String| LedgerError::Corrupt { path: batch::path(size), reason };
    let logged = |item: batch::Item| {
        let leaf = Leaf::parse(&item.leaf).map_err(|e: leaf::LeafError| corrupt(e.to_string()))?;
        if Blob::of(&item.record) != leaf.record {
            return Err(corrupt(format!("the record {:?} is not its leaf's", leaf.uid)));
        }
        let raw = leaf.raw.map(|_| item.raw);
        if raw.as_deref().map(Blob::of) != leaf.raw {
            return Err(corrupt(format!("the document of {:?} is not its leaf's", leaf.uid)));
        }
        Ok(Logged { uid: leaf.uid, record: item.record, raw })
    };
    found.items.into_iter().map(logged).collect::<Result<Vec<_>, _>>().map(Some)
}

/// Sees to it that a ledger without a batch after `size` leaves ends there; gives the batch if it was committed meanwhile.
async fn ended(
    store: &Arc<dyn ObjectStore>,
    prefix: &Path,
    site: &Site,
    size: u64,
) -> Result<Option<Batch>, LedgerError> {
    let mut end = match Log::open_as_described(Arc::clone(store), prefix).await {
        Ok(log) => log.checkpoint().size(),
        Err(LedgerError::NoLedger) => 0,
        Err(error) => return Err(error),
    };
    // Of what is committed, the end may not be published.
    while end < size
        && let Some(batch) = read_batch(site, end).await?
    {
        end += batch.items.len() as u64;
    }
    if end == size {
        return Ok(None);
    }
    match read_batch(site, size).await? {
        Some(batch) => Ok(Some(batch)),
        None => Err(LedgerError::NotExtended { known: size, size: end }),
    }
}
