//! What follows from the leaves: tiles, entry bundles and index runs, the same bytes whoever makes them.
//!
//! A writer writes these objects, an audit compares them with those on the store.

use super::batch::{self, BATCH_BYTES_MAX, Batch};
use super::checkpoint::Checkpoint;
use super::edge::{Edge, HashTile, TILE_BYTES, WIDTH, bundle_path, partial_tiles, tile_path};
use super::error::LedgerError;
use super::index::{SMALL, UidIndex, key};
use super::key::PublicKey;
use super::leaf::{LEAF_BYTES_MAX, Leaf};
use super::store::{Created, Object, Site};
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tlog_tiles::{HashReader, record_hash, stored_hash_index};

/// The name of the ledger's description.
pub(crate) const DESCRIPTION: &str = "ledger.json";
/// The name of the newest published checkpoint (C2SP tlog-tiles).
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Largest entry bundle.
pub(crate) const BUNDLE_BYTES_MAX: usize = (LEAF_BYTES_MAX + 2) * WIDTH as usize;

/// What `ledger.json` says, in its RFC 8785 form. Nothing is believed because of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    pub(crate) format: u32,
    pub(crate) key: String,
}

impl Description {
    pub(crate) fn bytes(key: &PublicKey) -> Bytes {
        let description = Self { format: super::FORMAT, key: key.to_string() };
        serde_json::to_vec(&description).unwrap_or_default().into()
    }
}

/// The log up to some leaf.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) edge: Edge,
    pub(crate) index: UidIndex,
    /// The entry bundle that is not full.
    bundle: BytesMut,
    bundled: u64,
    /// Of the last leaf.
    pub(crate) logged_at: i64,
}

impl State {
    /// Leaves.
    pub(crate) fn size(&self) -> u64 {
        self.bundled
    }

    /// Takes the next leaf into bundle and index; what it completes goes to `full`. The edge is the caller's to push.
    pub(crate) fn push_leaf(&mut self, leaf: &Leaf, bytes: &Bytes, full: &mut Vec<Object>) {
        self.bundle.put_u16(bytes.len() as u16);
        self.bundle.put_slice(bytes);
        self.bundled += 1;
        if self.bundled.is_multiple_of(WIDTH) {
            let path = bundle_path(self.bundled / WIDTH - 1, WIDTH);
            full.push(Object { path, bytes: self.bundle.split().freeze() });
        }
        self.index.push(key(&leaf.uid), full);
        self.logged_at = leaf.logged_at;
    }

    /// The entry bundle that is not full.
    pub(crate) fn open_bundle(&self) -> Bytes {
        Bytes::copy_from_slice(&self.bundle)
    }

    /// The tiles and the bundle that are not full: what a checkpoint of this size needs besides full ones.
    pub(crate) fn partial(&self) -> Vec<Object> {
        let mut objects: Vec<Object> = self.edge.partial().map(Object::from).collect();
        if !self.bundled.is_multiple_of(WIDTH) {
            let path = bundle_path(self.bundled / WIDTH, self.bundled % WIDTH);
            objects.push(Object { path, bytes: self.open_bundle() });
        }
        objects
    }

    /// The log up to a published checkpoint, from its derived objects.
    ///
    /// **Errors**: the store's; what is missing; what does not fit the checkpoint.
    pub(crate) async fn load(site: &Site, checkpoint: &Checkpoint) -> Result<Self, LedgerError> {
        let size = checkpoint.size();
        let edge = load_edge(site, checkpoint).await?;
        let index = UidIndex::load(site, size).await?;
        let mut state = Self { edge, index, bundled: size >> SMALL << SMALL, ..Self::default() };
        let mut known = Vec::new();
        // One more bundle than the index wants: it has the last leaf's time.
        let from = if size.is_multiple_of(1 << SMALL) { size.saturating_sub(WIDTH) } else { size >> SMALL << SMALL };
        let numbers = from / WIDTH..size.div_ceil(WIDTH);
        let paths: Vec<String> = numbers.map(|n| bundle_path(n, (size - n * WIDTH).min(WIDTH))).collect();
        for (path, content) in paths.iter().zip(site.read_all(&paths, BUNDLE_BYTES_MAX).await?) {
            let content = content.ok_or_else(|| LedgerError::Missing { path: path.clone() })?;
            let corrupt = |reason: String| LedgerError::Corrupt { path: path.clone(), reason };
            for bytes in bundle_leaves(&content).map_err(|e| corrupt(e.to_owned()))? {
                let leaf = Leaf::parse(&bytes).map_err(|e| corrupt(e.to_string()))?;
                // The last bundle is written again when it is full, so it must be the tree's.
                let at = stored_hash_index(0, state.bundled);
                let open = state.bundled >= size / WIDTH * WIDTH && state.bundled < size;
                if open && state.edge.read_hashes(&[at]).ok() != Some(vec![record_hash(&bytes)]) {
                    return Err(corrupt(format!("leaf {} is not the tree's", state.bundled)));
                }
                state.logged_at = leaf.logged_at;
                if !size.is_multiple_of(1 << SMALL) {
                    state.push_leaf(&leaf, &bytes, &mut known);
                }
            }
        }
        if state.bundled == size {
            return Ok(state);
        }
        let reason = format!("the entry bundles end at leaf {}, the checkpoint at {size}", state.bundled);
        Err(LedgerError::Corrupt { path: paths.last().cloned().unwrap_or_default(), reason })
    }
}

impl From<HashTile> for Object {
    fn from(tile: HashTile) -> Self {
        Self { path: tile_path(&tile.tile), bytes: tile.hashes }
    }
}

async fn load_edge(site: &Site, checkpoint: &Checkpoint) -> Result<Edge, LedgerError> {
    let tiles = partial_tiles(checkpoint.size());
    let paths: Vec<String> = tiles.iter().map(tile_path).collect();
    let mut contents = Vec::with_capacity(paths.len());
    for (path, content) in paths.iter().zip(site.read_all(&paths, TILE_BYTES).await?) {
        contents.push(content.ok_or_else(|| LedgerError::Missing { path: path.clone() })?);
    }
    let corrupt = |path: String, reason: &str| LedgerError::Corrupt { path, reason: reason.to_owned() };
    let edge = Edge::from_partial(checkpoint.size(), contents)
        .map_err(|tile| corrupt(tile_path(&tile), "another width than its name says"))?;
    match edge.root() {
        Ok(root) if root == checkpoint.hash() => Ok(edge),
        _ => Err(corrupt(CHECKPOINT.to_owned(), "the tiles at the end of the log do not give its root")),
    }
}

/// The leaves of an entry bundle (C2SP tlog-tiles: each with its length in 16 bits before it).
///
/// **Errors**: a length that goes beyond the end.
pub(crate) fn bundle_leaves(bundle: &Bytes) -> Result<Vec<Bytes>, &'static str> {
    let (mut rest, mut leaves) = (bundle.clone(), Vec::new());
    while !rest.is_empty() {
        let length = rest.first_chunk().map(|l| usize::from(u16::from_be_bytes(*l))).ok_or("the bundle is cut off")?;
        if rest.len() < 2 + length {
            return Err("the bundle is cut off");
        }
        leaves.push(rest.slice(2..2 + length));
        rest = rest.slice(2 + length..);
    }
    Ok(leaves)
}

/// The batch after so many leaves; `None` when the log ends there.
///
/// **Errors**: the store's; no batch of this format.
pub(crate) async fn read_batch(site: &Site, from: u64) -> Result<Option<Batch>, LedgerError> {
    let path = batch::path(from);
    let Some(bytes) = site.read(&path, BATCH_BYTES_MAX).await? else { return Ok(None) };
    Batch::decode(&bytes).map(Some).map_err(|reason| LedgerError::Corrupt { path, reason })
}

/// Sees to it that the place is this key's ledger.
pub(crate) async fn describe(site: &Site, key: &PublicKey) -> Result<(), LedgerError> {
    let bytes = Description::bytes(key);
    if site.create(DESCRIPTION, bytes).await? == Created::Ours {
        return Ok(());
    }
    let there = site.need(DESCRIPTION, 64 << 10).await?;
    let found: Description = serde_json::from_slice(&there)
        .map_err(|e| LedgerError::Corrupt { path: DESCRIPTION.to_owned(), reason: e.to_string() })?;
    Err(LedgerError::OtherLedger {
        format: found.format,
        expected_format: super::FORMAT,
        found: found.key,
        expected: key.to_string(),
    })
}
