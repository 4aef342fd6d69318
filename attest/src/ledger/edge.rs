//! The right edge of the tree: the tiles that are not full yet, which is all that appending needs.

use bytes::Bytes;
use tlog_tiles::{Error, HASH_SIZE, Hash, HashReader, Tile, node_hash, split_stored_hash_index};

/// Hashes of a full tile, and leaves of a full entry bundle (C2SP tlog-tiles).
pub(crate) const WIDTH: u64 = 256;
/// Levels of the tree in a tile.
const HEIGHT: u8 = 8;
/// Bytes of a full tile.
pub(crate) const TILE_BYTES: usize = WIDTH as usize * HASH_SIZE;

/// A tile with its hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HashTile {
    pub(crate) tile: Tile,
    pub(crate) hashes: Bytes,
}

/// The partial tiles of a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    size: u64,
    /// By level; each fewer than [`WIDTH`] hashes.
    levels: Vec<Vec<u8>>,
}

impl Edge {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; tiles that it fills go to `full`.
    pub(crate) fn push(&mut self, leaf: Hash, full: &mut Vec<HashTile>) {
        let (mut hash, mut number) = (leaf, self.size);
        self.size += 1;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::with_capacity(TILE_BYTES));
            }
            let hashes = &mut self.levels[level];
            hashes.extend_from_slice(&hash.0);
            if hashes.len() < TILE_BYTES {
                return;
            }
            hash = subtree(hashes);
            number /= WIDTH;
            let tile = Tile::new(HEIGHT, level as u8, number, WIDTH as u32, false);
            full.push(HashTile { tile, hashes: std::mem::replace(hashes, Vec::with_capacity(TILE_BYTES)).into() });
        }
    }

    /// The tiles that are not full.
    pub(crate) fn partial(&self) -> impl Iterator<Item = HashTile> {
        partial_tiles(self.size)
            .into_iter()
            .zip(self.levels.iter().filter(|hashes| !hashes.is_empty()))
            .map(|(tile, hashes)| HashTile { tile, hashes: Bytes::copy_from_slice(hashes) })
    }

    /// The tree's edge from the contents of its [`partial_tiles`].
    ///
    /// **Errors**: a content of another width.
    pub(crate) fn from_partial(size: u64, contents: Vec<Bytes>) -> Result<Self, Tile> {
        let mut levels: Vec<Vec<u8>> = Vec::new();
        for (tile, content) in partial_tiles(size).into_iter().zip(contents) {
            if content.len() != tile.width() as usize * HASH_SIZE {
                return Err(tile);
            }
            levels.resize_with(usize::from(tile.level()) + 1, Vec::new);
            levels[usize::from(tile.level())].extend_from_slice(&content);
        }
        Ok(Self { size, levels })
    }

    /// The root of the tree.
    ///
    /// **Errors**: none for an edge that [`Self::push`] made.
    pub(crate) fn root(&self) -> Result<Hash, Error> {
        tlog_tiles::tree_hash(self.size, self)
    }
}

impl HashReader for Edge {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| {
            let (level, n) = split_stored_hash_index(*index);
            let (tile_level, within) = (level / HEIGHT, level % HEIGHT);
            let filled = self.size.checked_shr(u32::from(HEIGHT) * u32::from(tile_level)).unwrap_or(0);
            let begin = (n << within).checked_sub(filled - filled % WIDTH).ok_or(Error::IndexesNotInTree)? as usize;
            let hashes = self.levels.get(usize::from(tile_level)).ok_or(Error::IndexesNotInTree)?;
            let hashes = hashes.get(begin * HASH_SIZE..(begin + (1 << within)) * HASH_SIZE);
            hashes.map(subtree).ok_or(Error::IndexesNotInTree)
        };
        indexes.iter().map(read).collect()
    }
}

/// The hash over a perfect subtree, from its lowest hashes: 1, 2, 4, … of them.
fn subtree(hashes: &[u8]) -> Hash {
    let mut row: Vec<Hash> = hashes.as_chunks::<HASH_SIZE>().0.iter().map(|h| Hash(*h)).collect();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(pair[0], pair[1])).collect();
    }
    row.first().copied().unwrap_or(tlog_tiles::EMPTY_HASH)
}

/// The tiles of a tree that are not full, by level; levels with no such tile are not there.
pub(crate) fn partial_tiles(size: u64) -> Vec<Tile> {
    let levels = 0..u64::BITS.div_ceil(u32::from(HEIGHT));
    let tiles = levels.map(|level| (level, size >> (level * u32::from(HEIGHT)))).filter(|(_, n)| n % WIDTH > 0);
    tiles.map(|(level, n)| Tile::new(HEIGHT, level as u8, n / WIDTH, (n % WIDTH) as u32, false)).collect()
}

/// A tile's name: that of C2SP tlog-tiles, where the height is fixed.
pub(crate) fn tile_path(tile: &Tile) -> String {
    let path = tile.path();
    path.strip_prefix("tile/8/").map_or_else(|| path.clone(), |rest| format!("tile/{rest}"))
}

/// The name of an entry bundle with so many leaves.
pub(crate) fn bundle_path(number: u64, leaves: u64) -> String {
    let path = Tile::new(HEIGHT, 0, number, leaves as u32, true).path();
    path.strip_prefix("tile/8/data/").map_or_else(|| path.clone(), |rest| format!("tile/entries/{rest}"))
}

/// The tile that has a hash, as wide as it is in a tree of this size.
pub(crate) fn tile_of(index: u64, size: u64) -> Tile {
    let tile = Tile::from_index(HEIGHT, index);
    let there = (size >> (u32::from(HEIGHT) * u32::from(tile.level()))).saturating_sub(tile.level_index() * WIDTH);
    Tile::new(HEIGHT, tile.level(), tile.level_index(), there.clamp(1, WIDTH) as u32, false)
}
