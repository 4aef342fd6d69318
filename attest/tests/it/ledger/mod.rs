//! The evidence ledger: appends, crashes, proofs, tampering, and what others hold against it.

mod append;
mod crash;
mod faulty;
mod forged;
mod format;
mod history;
mod malformed;
mod proof;
mod reference;
mod service;
mod tamper;
mod witness;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde_json::json;
use std::sync::Arc;
use tarn_attest::ledger::{
    AuditOptions, Checkpoint, Entry, Ledger, Log, PublicKey, Report, Signer, WitnessPolicy, audit,
};

/// A time for records, ms.
const NOW: i64 = 1_764_240_000_000;

fn prefix() -> Path {
    Path::from("lake/_evidence/ledger")
}

/// A key for tests and nothing else.
fn signer() -> Signer {
    Signer::parse("PRIVATE+KEY+example.com/evidence+b8276b1e+AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH").unwrap()
}

fn public() -> PublicKey {
    signer().public().clone()
}

/// A record, with a raw document when its number is even.
fn entry(n: u64) -> Entry {
    let record =
        json!({"metadata": {"uid": uid(n)}, "class_uid": 6003, "n": n, "score": 0.5, "note": "π \"quoted\"\n"});
    let raw = n.is_multiple_of(2).then(|| Bytes::from(format!("raw document {n}")));
    Entry::new(&uid(n), &record, raw).unwrap()
}

fn uid(n: u64) -> String {
    format!("evidence-{n}")
}

fn entries(range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(entry).collect()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn open(store: &Arc<InMemory>) -> Ledger {
    Ledger::open(store.clone(), &prefix(), signer()).await.unwrap()
}

async fn log(store: &Arc<InMemory>) -> Log {
    Log::open(store.clone(), &prefix(), public()).await.unwrap()
}

/// A ledger of some batches, each of so many records.
async fn ledger_of(batches: &[u64]) -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    let (mut ledger, mut from) = (open(&store).await, 0);
    for (at, records) in batches.iter().enumerate() {
        ledger.append(&entries(from..from + records), NOW + 1000 * at as i64).await.unwrap();
        from += records;
    }
    store
}

/// Audits with what is known from elsewhere.
async fn audited(store: &Arc<InMemory>, known: &[Checkpoint], witnesses: &WitnessPolicy) -> Report {
    let key = public();
    let options = AuditOptions { key: &key, known, witnesses, slack_ms: 60_000 };
    audit(store.clone(), &prefix(), &options).await.unwrap()
}

/// Audits with the public key alone.
async fn plain_audit(store: &Arc<InMemory>) -> Report {
    audited(store, &[], &WitnessPolicy::default()).await
}

/// Every object, by name.
async fn objects(store: &Arc<InMemory>) -> Vec<(Path, Bytes)> {
    let mut metas: Vec<_> = store.list(None).try_collect().await.unwrap();
    metas.sort_by(|a, b| a.location.cmp(&b.location));
    let mut objects = Vec::new();
    for meta in metas {
        let bytes = store.get(&meta.location).await.unwrap().bytes().await.unwrap();
        objects.push((meta.location, bytes));
    }
    objects
}

async fn put(store: &Arc<InMemory>, path: &Path, bytes: impl Into<PutPayload>) {
    store.put(path, bytes.into()).await.unwrap();
}

/// The leaves as tlog-tiles readers see them: out of the entry bundles of the published tree.
async fn leaves(store: &Arc<InMemory>) -> Vec<Bytes> {
    let Ok(log) = Log::open(store.clone(), &prefix(), public()).await else { return Vec::new() };
    let size = log.checkpoint().size();
    let mut leaves = Vec::new();
    for number in 0..size.div_ceil(256) {
        let width = (size - number * 256).min(256);
        let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
        assert!(number < 1000);
        let path = Path::from(format!("{}/tile/entries/{number:03}{partial}", prefix()));
        let mut bundle = store.get(&path).await.unwrap().bytes().await.unwrap();
        while !bundle.is_empty() {
            let length = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
            leaves.push(bundle.split_to(2 + length).slice(2..));
        }
    }
    assert_eq!(leaves.len() as u64, size);
    leaves
}
