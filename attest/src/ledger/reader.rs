//! Reading a ledger: proofs out of tiles, entry bundles and batches, with the public key alone.

use super::batch::{self, DIRECTORY_BYTES_MAX, Directory};
use super::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use super::consistency;
use super::edge::{TILE_BYTES, WIDTH, bundle_path, tile_of, tile_path};
use super::error::LedgerError;
use super::index::{Key, LARGE, SMALL, find_in_run, key};
use super::key::PublicKey;
use super::leaf::Leaf;
use super::proof::{self, ProofFile};
use super::state::{BUNDLE_BYTES_MAX, CHECKPOINT, DESCRIPTION, Description, bundle_leaves};
use super::store::{AT_ONCE, Site};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use tlog_tiles::{Error, Hash, HashReader, Tile, check_tree, prove_record, prove_tree};

/// A ledger opened for reading, at its published checkpoint or one from before. It writes nothing and keeps nothing in memory.
#[derive(Clone, Debug)]
pub struct Log {
    site: Site,
    key: PublicKey,
    checkpoint: Checkpoint,
}

impl Log {
    /// Opens the ledger under a prefix of a store.
    ///
    /// **Errors**: the store's, [`LedgerError::NoLedger`], a checkpoint that this key did not sign.
    pub async fn open(store: Arc<dyn ObjectStore>, prefix: &Path, key: PublicKey) -> Result<Self, LedgerError> {
        let site = Site::new(store, prefix);
        let note = site.read(CHECKPOINT, CHECKPOINT_BYTES_MAX).await?.ok_or(LedgerError::NoLedger)?;
        let checkpoint = Checkpoint::verify(&note, &key)?;
        Ok(Self { site, key, checkpoint })
    }

    /// Opens the ledger with the key that it names itself. What is proved so is good for nobody but those who have the
    /// key from elsewhere, and they check it with theirs.
    ///
    /// **Errors**: as [`Self::open`]; a description that is none.
    pub async fn open_as_described(store: Arc<dyn ObjectStore>, prefix: &Path) -> Result<Self, LedgerError> {
        let described = Site::new(Arc::clone(&store), prefix).read(DESCRIPTION, 64 << 10).await?;
        let described = described.ok_or(LedgerError::NoLedger)?;
        let corrupt = |reason: String| LedgerError::Corrupt { path: DESCRIPTION.to_owned(), reason };
        let described: Description = serde_json::from_slice(&described).map_err(|e| corrupt(e.to_string()))?;
        let key = PublicKey::parse(&described.key).map_err(|e| corrupt(e.to_string()))?;
        Self::open(store, prefix, key).await
    }

    /// The same ledger at a checkpoint from before, such as one that witnesses cosigned: proofs carry that one.
    ///
    /// **Errors**: [`LedgerError::NotExtended`] where the log does not go on from it; the store's.
    pub async fn at(self, checkpoint: Checkpoint) -> Result<Self, LedgerError> {
        extends(&self.site, Some(&self.checkpoint), &checkpoint).await?;
        Ok(Self { checkpoint, ..self })
    }

    /// The checkpoint that it is read at.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The key that it was opened with.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The proof file of a record: what [`super::verify`] checks.
    ///
    /// **Errors**: [`LedgerError::Unknown`]; the store's; a tile or batch that is not as a writer left it.
    pub async fn prove(&self, uid: &str) -> Result<Vec<u8>, LedgerError> {
        let index = self.find(&key(uid)).await?.ok_or_else(|| LedgerError::Unknown { uid: uid.to_owned() })?;
        prove_at(&self.site, &self.key, &self.checkpoint, index, uid).await
    }

    /// The proof that this log only added leaves since an earlier checkpoint: what [`super::verify_consistency`] checks.
    ///
    /// **Errors**: [`LedgerError::Outside`] for a checkpoint of a larger or of no tree; the store's; another history.
    pub async fn prove_consistency(&self, old: &Checkpoint) -> Result<Vec<u8>, LedgerError> {
        let (size, from) = (self.checkpoint.size(), old.size());
        if from == 0 || from > size {
            return Err(LedgerError::Outside { index: from, size });
        }
        let hashes = hashes(&self.site, size, |tree| prove_tree(size, from, tree)).await?;
        let file = consistency::encode(old, &self.checkpoint, &hashes);
        consistency::verify_consistency(&file, &self.key).map_err(|reason| LedgerError::Corrupt {
            path: CHECKPOINT.to_owned(),
            reason: format!("the log does not go on from the checkpoint of {from} leaves: {reason}"),
        })?;
        Ok(file)
    }

    /// The leaf with a key, from what is on the store: runs, and the bundles after the last run.
    async fn find(&self, key: &Key) -> Result<Option<u64>, LedgerError> {
        let size = self.checkpoint.size();
        let small = (size >> LARGE << (LARGE - SMALL))..size >> SMALL;
        let runs = small.map(|n| (SMALL, n)).chain((0..size >> LARGE).map(|n| (LARGE, n)));
        let reads: Vec<_> =
            runs.map(|(level, number)| async move { find_in_run(&self.site, level, number, key).await }).collect();
        let found = stream::iter(reads).buffer_unordered(AT_ONCE).try_filter_map(async |found| Ok(found));
        if let Some(index) = std::pin::pin!(found).try_next().await? {
            return Ok(Some(index));
        }
        for number in (size >> SMALL << SMALL) / WIDTH..size.div_ceil(WIDTH) {
            for (at, bytes) in bundle(&self.site, number, size).await?.iter().enumerate() {
                if Leaf::parse(bytes).is_ok_and(|leaf| super::index::key(&leaf.uid) == *key) {
                    return Ok(Some(number * WIDTH + at as u64));
                }
            }
        }
        Ok(None)
    }
}

/// The leaves of a bundle in a tree of this size.
async fn bundle(site: &Site, number: u64, size: u64) -> Result<Vec<Bytes>, LedgerError> {
    let (path, content) =
        partial_or_full(site, bundle_path(number, (size - number * WIDTH).min(WIDTH)), BUNDLE_BYTES_MAX).await?;
    bundle_leaves(&content).map_err(|reason| LedgerError::Corrupt { path, reason: reason.to_owned() })
}

/// A tile or bundle; the full one where the partial one is gone, which a log may do (C2SP tlog-tiles).
async fn partial_or_full(site: &Site, path: String, max: usize) -> Result<(String, Bytes), LedgerError> {
    match (site.read(&path, max).await?, path.rsplit_once(".p/")) {
        (Some(content), _) => Ok((path, content)),
        (None, Some((full, _))) => Ok((full.to_owned(), site.need(full, max).await?)),
        (None, None) => Err(LedgerError::Missing { path }),
    }
}

/// Sees to it that a log, up to its checkpoint, goes on from a known one.
///
/// **Errors**: [`LedgerError::NotExtended`]; the store's.
pub(crate) async fn extends(site: &Site, newest: Option<&Checkpoint>, known: &Checkpoint) -> Result<(), LedgerError> {
    let (from, size) = (known.size(), newest.map_or(0, Checkpoint::size));
    let refused = LedgerError::NotExtended { known: from, size };
    let newest = match newest {
        _ if from == 0 => return Ok(()),
        Some(newest) if from <= size => newest,
        _ => return Err(refused),
    };
    let proof = hashes(site, size, |tree| prove_tree(size, from, tree)).await?;
    check_tree(&proof, size, newest.hash(), from, known.hash()).map_err(|_| refused)
}

/// Makes the proof file of a leaf, and checks it before it is given away.
pub(crate) async fn prove_at(
    site: &Site,
    key: &PublicKey,
    checkpoint: &Checkpoint,
    index: u64,
    uid: &str,
) -> Result<Vec<u8>, LedgerError> {
    let size = checkpoint.size();
    if index >= size {
        return Err(LedgerError::Outside { index, size });
    }
    let leaves = bundle(site, index / WIDTH, size).await?;
    let corrupt = |reason: String| LedgerError::Corrupt { path: bundle_path(index / WIDTH, WIDTH), reason };
    let bytes = leaves.get((index % WIDTH) as usize).ok_or_else(|| corrupt(format!("it has no leaf {index}")))?;
    let leaf = Leaf::parse(bytes).map_err(|e| corrupt(e.to_string()))?;
    if leaf.uid != uid {
        return Err(corrupt(format!("leaf {index} has uid {:?}, the index says {uid:?}", leaf.uid)));
    }
    let (record, raw) = blobs(site, &leaf, index).await?;
    let inclusion = hashes(site, size, |tree| prove_record(size, index, tree)).await?;
    let raw = leaf.raw.map(|_| raw);
    let file =
        ProofFile { checkpoint, inclusion: &inclusion, index, leaf: bytes, raw, record }.encode().map_err(corrupt)?;
    proof::verify(&file, key).map_err(|reason| corrupt(format!("leaf {index} cannot be proved: {reason}")))?;
    Ok(file)
}

/// The bytes that a leaf stands for.
async fn blobs(site: &Site, leaf: &Leaf, index: u64) -> Result<(Bytes, Bytes), LedgerError> {
    let path = batch::path(leaf.batch);
    let corrupt = |reason: String| LedgerError::Corrupt { path: path.clone(), reason };
    let directory = site.range(&path, 0..DIRECTORY_BYTES_MAX).await?;
    let directory = Directory::parse(&directory).map_err(corrupt)?;
    let at = index.checked_sub(leaf.batch).map(|at| at as usize);
    let (record, raw) =
        at.and_then(|at| directory.blobs(at)).ok_or_else(|| corrupt(format!("it has no leaf {index}")))?;
    let sizes = (record.end - record.start, raw.end - raw.start);
    if sizes != (leaf.record.size, leaf.raw.map_or(0, |raw| raw.size)) {
        return Err(corrupt(format!("leaf {index} has other sizes than its bytes")));
    }
    let mut both = site.range(&path, record.start..raw.end).await?;
    if both.len() as u64 != raw.end - record.start {
        return Err(corrupt("the batch is cut off".to_owned()));
    }
    let record = both.split_to(sizes.0 as usize);
    Ok((record, both))
}

/// The hashes of a tree that a proof needs: noted in a first run, read from tiles, given in a second.
enum Tree {
    Noting(RefCell<Vec<u64>>),
    Read { size: u64, tiles: HashMap<Tile, Bytes> },
}

impl HashReader for Tree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        match self {
            Self::Noting(noted) => {
                noted.borrow_mut().extend_from_slice(indexes);
                Ok(vec![Hash::default(); indexes.len()])
            }
            Self::Read { size, tiles } => {
                let read = |index: &u64| {
                    let tile = tile_of(*index, *size);
                    tile.hash_at_index(tiles.get(&tile).ok_or(Error::IndexesNotInTree)?, *index)
                };
                indexes.iter().map(read).collect()
            }
        }
    }
}

async fn hashes(
    site: &Site,
    size: u64,
    prove: impl Fn(&Tree) -> Result<Vec<Hash>, Error>,
) -> Result<Vec<Hash>, LedgerError> {
    let broken = |e: Error| LedgerError::Corrupt { path: "tile".to_owned(), reason: e.to_string() };
    let noting = Tree::Noting(RefCell::default());
    prove(&noting).map_err(broken)?;
    let Tree::Noting(noted) = noting else { return Ok(Vec::new()) };
    let mut wanted: Vec<Tile> = noted.into_inner().into_iter().map(|index| tile_of(index, size)).collect();
    wanted.sort_unstable_by_key(tile_path);
    wanted.dedup();
    let reads = wanted.into_iter().map(|tile| async move {
        Ok::<_, LedgerError>((tile, partial_or_full(site, tile_path(&tile), TILE_BYTES).await?.1))
    });
    let reads: Vec<_> = reads.collect();
    let tiles = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
    prove(&Tree::Read { size, tiles }).map_err(broken)
}
