//! From uid to leaf: sorted runs beside the log, which follow from its leaves and are no part of what is proved.
//!
//! A run covers an aligned stretch of leaves, 2^14 or 2^18 of them:
//!
//! ```text
//! "TLX1" | level u8 | 3 zero bytes | first leaf u64
//! 2^(level-8) + 1 times: where the keys with this prefix begin, u32
//! each leaf, by key: key, 24 bytes | leaf u64
//! level 18 only: a Bloom filter, 2^22 bits
//! ```
//!
//! A key is the first 24 bytes of SHA-256 of the uid. Memory: at most 2^18 keys of the newest leaves (about 20 MiB) and
//! the filters of the oldest [`FILTERS_MAX`] runs (512 KiB each); leaves in later runs are looked up on the store.

use super::error::LedgerError;
use super::store::{Object, Site};
use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Leaves of a small run, as a power of two.
pub(crate) const SMALL: u32 = 14;
/// Leaves of a large run, as a power of two.
pub(crate) const LARGE: u32 = 18;
/// Filters kept in memory: 256 MiB for 134 million leaves.
const FILTERS_MAX: usize = 512;

const MAGIC: &[u8; 4] = b"TLX1";
const HEAD: usize = 16;
const KEY: usize = 24;
const ROW: usize = KEY + 8;
/// Bits of a filter: 16 a key.
const FILTER_BITS: u64 = 1 << (LARGE + 4);
/// Probes of a filter; with 16 bits a key, 6 in 10,000 strangers pass.
const PROBES: u64 = 8;

/// What a uid is found by. Two uids with one key would be a collision of SHA-256 cut to 192 bits.
pub(crate) type Key = [u8; KEY];

/// The key of a uid.
pub(crate) fn key(uid: &str) -> Key {
    let digest: [u8; 32] = Sha256::digest(uid).into();
    let mut key = [0; KEY];
    key.copy_from_slice(&digest[..KEY]);
    key
}

/// The name of a run.
pub(crate) fn path(level: u32, number: u64) -> String {
    format!("index/{level}/{number:012}")
}

/// Bytes of a run.
pub(crate) fn run_bytes(level: u32) -> usize {
    let filter = if level == LARGE { FILTER_BITS as usize / 8 } else { 0 };
    rows_start(level) + (ROW << level) + filter
}

fn rows_start(level: u32) -> usize {
    HEAD + 4 * ((1 << (level - 8)) + 1)
}

/// A key's first bits.
fn prefix(key: &Key, level: u32) -> usize {
    (u32::from_be_bytes([key[0], key[1], key[2], key[3]]) >> (32 - (level - 8))) as usize
}

fn encode(level: u32, number: u64, mut rows: Vec<(Key, u64)>) -> Bytes {
    rows.sort_unstable();
    let mut out = BytesMut::with_capacity(run_bytes(level));
    out.put_slice(MAGIC);
    out.put_slice(&[level as u8, 0, 0, 0]);
    out.put_u64(number << level);
    let mut at = 0;
    for bucket in 0..=1_usize << (level - 8) {
        at += rows[at..].iter().take_while(|(key, _)| prefix(key, level) < bucket).count();
        out.put_u32(at as u32);
    }
    for (key, leaf) in &rows {
        out.put_slice(key);
        out.put_u64(*leaf);
    }
    if level == LARGE {
        let mut filter = vec![0; FILTER_BITS as usize / 8];
        for (key, _) in &rows {
            probes(key).for_each(|bit| filter[(bit / 8) as usize] |= 1 << (bit % 8));
        }
        out.put_slice(&filter);
    }
    out.freeze()
}

/// The bits of a key: its own bytes are as good as any hash.
fn probes(key: &Key) -> impl Iterator<Item = u64> {
    let word = |at: usize| key[at..at + 8].iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
    let (first, step) = (word(8), word(16) | 1);
    (0..PROBES).map(move |n| first.wrapping_add(n.wrapping_mul(step)) % FILTER_BITS)
}

/// The index of a log's leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct UidIndex {
    size: u64,
    /// Since the last large run.
    recent: HashMap<Key, u64>,
    /// Since the last small run.
    newest: Vec<(Key, u64)>,
    /// Of the large runs, the first [`FILTERS_MAX`].
    filters: Vec<Bytes>,
}

impl UidIndex {
    /// Adds the next leaf's key; runs that it completes go to `full`. The key of an earlier leaf must not come again.
    pub(crate) fn push(&mut self, key: Key, full: &mut Vec<Object>) {
        self.recent.insert(key, self.size);
        self.newest.push((key, self.size));
        self.size += 1;
        if self.size.is_multiple_of(1 << SMALL) {
            let number = (self.size >> SMALL) - 1;
            let rows = std::mem::take(&mut self.newest);
            full.push(Object { path: path(SMALL, number), bytes: encode(SMALL, number, rows) });
        }
        if self.size.is_multiple_of(1 << LARGE) {
            let number = (self.size >> LARGE) - 1;
            let bytes = encode(LARGE, number, self.recent.drain().collect());
            if self.filters.len() < FILTERS_MAX {
                // A copy, so that the run's rows are freed.
                self.filters.push(Bytes::copy_from_slice(&bytes[bytes.len() - FILTER_BITS as usize / 8..]));
            }
            full.push(Object { path: path(LARGE, number), bytes });
        }
    }

    /// The leaf with a key.
    ///
    /// **Errors**: the store's; a run that is missing or no run.
    pub(crate) async fn find(&self, site: &Site, key: &Key) -> Result<Option<u64>, LedgerError> {
        if let Some(leaf) = self.recent.get(key) {
            return Ok(Some(*leaf));
        }
        for number in 0..self.size >> LARGE {
            let filter = self.filters.get(number as usize);
            let passes = |f: &Bytes| probes(key).all(|bit| f[(bit / 8) as usize] & (1 << (bit % 8)) != 0);
            if filter.is_none_or(passes) {
                let found = find_in_run(site, LARGE, number, key).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// The index of a log with so many leaves, up to its last small run: [`Self::push`] the rest.
    ///
    /// **Errors**: the store's; a run that is missing or no run.
    pub(crate) async fn load(site: &Site, size: u64) -> Result<Self, LedgerError> {
        let mut index = Self { size: size >> SMALL << SMALL, ..Self::default() };
        let filter = (run_bytes(LARGE) as u64 - FILTER_BITS / 8)..run_bytes(LARGE) as u64;
        for number in 0..(size >> LARGE).min(FILTERS_MAX as u64) {
            let path = path(LARGE, number);
            let filter = site.range(&path, filter.clone()).await?;
            if filter.len() as u64 != FILTER_BITS / 8 {
                return Err(corrupt(&path));
            }
            index.filters.push(filter);
        }
        for number in (size >> LARGE << (LARGE - SMALL))..size >> SMALL {
            let path = path(SMALL, number);
            let run = site.need(&path, run_bytes(SMALL)).await?;
            let rows = run.get(rows_start(SMALL)..).filter(|_| run.len() == run_bytes(SMALL));
            let rows = rows.filter(|_| is_run(&run, SMALL, number)).ok_or_else(|| corrupt(&path))?;
            index.recent.extend(rows.chunks_exact(ROW).map(row));
        }
        Ok(index)
    }
}

fn is_run(head: &[u8], level: u32, number: u64) -> bool {
    head.starts_with(MAGIC)
        && head.get(4..8) == Some(&[level as u8, 0, 0, 0])
        && head.get(8..HEAD) == Some(&(number << level).to_be_bytes())
}

fn row(bytes: &[u8]) -> (Key, u64) {
    let mut key = [0; KEY];
    key.copy_from_slice(&bytes[..KEY]);
    (key, bytes[KEY..ROW].iter().fold(0, |n, b| (n << 8) | u64::from(*b)))
}

fn corrupt(path: &str) -> LedgerError {
    LedgerError::Corrupt { path: path.to_owned(), reason: "no index run of this format".to_owned() }
}

/// Looks a key up in a run on the store: two small reads.
///
/// **Errors**: the store's; a run that is missing or no run.
pub(crate) async fn find_in_run(site: &Site, level: u32, number: u64, key: &Key) -> Result<Option<u64>, LedgerError> {
    let path = path(level, number);
    let at = (HEAD + 4 * prefix(key, level)) as u64;
    let bounds = site.range(&path, at..at + 8).await?;
    let (from, until) = match bounds.as_chunks::<4>().0 {
        [from, until] => (u32::from_be_bytes(*from), u32::from_be_bytes(*until)),
        _ => return Err(corrupt(&path)),
    };
    if from > until || u64::from(until) > 1 << level {
        return Err(corrupt(&path));
    }
    let start = rows_start(level) as u64;
    let rows = site.range(&path, start + u64::from(from) * ROW as u64..start + u64::from(until) * ROW as u64).await?;
    Ok(rows.chunks_exact(ROW).map(row).find(|(k, _)| k == key).map(|(_, leaf)| leaf))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use std::sync::Arc;

    /// Past runs of both kinds: every key is found, from memory and from the store, and no stranger's.
    #[test]
    fn keys_are_found_in_runs_of_both_kinds() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let site = Site::new(Arc::new(InMemory::new()), &Path::default());
            let (mut index, mut runs) = (UidIndex::default(), Vec::new());
            let size = (1_u64 << LARGE) + (1 << SMALL) + 5;
            (0..size).for_each(|n| index.push(key(&n.to_string()), &mut runs));
            let names: Vec<_> = runs.iter().map(|run| run.path.clone()).collect();
            assert_eq!(names.len(), 16 + 1 + 1);
            assert!(names.contains(&path(LARGE, 0)) && names.contains(&path(SMALL, 16)));
            assert!(runs.iter().all(|run| run.bytes.len() == run_bytes(LARGE) || run.bytes.len() == run_bytes(SMALL)));
            site.write_all(runs).await.unwrap();
            let mut loaded = UidIndex::load(&site, size).await.unwrap();
            (size - 5..size).for_each(|n| loaded.push(key(&n.to_string()), &mut Vec::new()));
            for n in (0..size).step_by(9973).chain([(1 << LARGE) - 1, 1 << LARGE, size - 6, size - 1]) {
                let key = key(&n.to_string());
                assert_eq!(index.find(&site, &key).await.unwrap(), Some(n));
                assert_eq!(loaded.find(&site, &key).await.unwrap(), Some(n));
                let run =
                    if n >> LARGE == 0 { Some((LARGE, 0)) } else { (n < size - 5).then_some((SMALL, n >> SMALL)) };
                if let Some((level, number)) = run {
                    assert_eq!(find_in_run(&site, level, number, &key).await.unwrap(), Some(n));
                }
            }
            for stranger in (0..2000).map(|n| key(&format!("stranger {n}"))) {
                assert_eq!(loaded.find(&site, &stranger).await.unwrap(), None);
                assert_eq!(find_in_run(&site, LARGE, 0, &stranger).await.unwrap(), None);
            }
        });
    }
}
