//! How fast the ledger appends, proves and audits: `cargo bench -p tarn-attest --bench ledger [-- LEAVES [FOLDER]]`.
//!
//! Records have about 600 bytes, every fourth a raw document of 2 KB. Without a folder the store is memory; with one, it
//! is files there, each on the disk before a write returns, as in a lake.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use serde_json::json;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tarn_attest::ledger::{AuditOptions, Entry, Ledger, Log, Signer, WitnessPolicy, audit, verify};

const BATCH: u64 = 20_000;
const NOW: i64 = 1_764_240_000_000;

fn entry(n: u64) -> Entry {
    let uid = format!("{n:032x}");
    let record = json!({
        "metadata": {"uid": uid, "version": "1.8.0", "product": {"name": "admission"}}, "class_uid": 6003,
        "time": NOW + n as i64, "status_id": 1, "message": "pod admitted: the image's signature and provenance hold",
        "resources": [{"name": format!("registry.example/app@sha256:{n:064x}"), "type": "image"}],
        "actor": {"user": {"name": "system:serviceaccount:build:deployer"}}, "evidence": format!("{n:064x}{n:064x}"),
    });
    let raw = n.is_multiple_of(4).then(|| Bytes::from(format!("{n:2048}")));
    Entry::new(&uid, &record, raw).unwrap()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let leaves: u64 = arguments.next().map_or(1_000_000, |n| n.parse().unwrap());
    let store: Arc<dyn ObjectStore> = match arguments.next() {
        None => Arc::new(InMemory::new()),
        Some(folder) => Arc::new(Synced { inner: LocalFileSystem::new_with_prefix(folder).unwrap() }),
    };
    let (prefix, signer) = (Path::from("ledger"), Signer::generate("example.com/bench").unwrap());
    let mut ledger = Ledger::open(store.clone(), &prefix, signer.clone()).await.unwrap();

    let mut appending = Duration::ZERO;
    for from in (0..leaves).step_by(BATCH as usize) {
        let entries: Vec<Entry> = (from..leaves.min(from + BATCH)).map(entry).collect();
        let begin = Instant::now();
        ledger.append(&entries, NOW).await.unwrap();
        appending += begin.elapsed();
    }
    println!("append  {leaves} leaves in {appending:.1?}: {:.0} a second", leaves as f64 / appending.as_secs_f64());

    let begin = Instant::now();
    let mut reopened = Ledger::open(store.clone(), &prefix, signer.clone()).await.unwrap();
    println!("open    {:.1?}", begin.elapsed());
    let begin = Instant::now();
    let one = reopened.append(&[entry(leaves)], NOW).await.unwrap();
    println!("one     {:.1?} for leaf {}", begin.elapsed(), one[0].index());

    let log = Log::open(store.clone(), &prefix, signer.public().clone()).await.unwrap();
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    for n in 0..200 {
        let uid = format!("{:032x}", (n * 7_919_u64 * 131) % leaves);
        let begin = Instant::now();
        verify(&reopened.prove(&uid).await.unwrap(), signer.public()).unwrap();
        warm.push(begin.elapsed());
        let begin = Instant::now();
        verify(&log.prove(&uid).await.unwrap(), signer.public()).unwrap();
        cold.push(begin.elapsed());
    }
    for (name, mut times) in [("writer", warm), ("reader", cold)] {
        times.sort_unstable();
        println!("prove and check, {name}: median {:.2?}, p99 {:.2?}, max {:.2?}", times[100], times[197], times[199]);
    }

    let begin = Instant::now();
    let (key, witnesses) = (signer.public(), WitnessPolicy::default());
    let options = AuditOptions { key, known: &[], witnesses: &witnesses, slack_ms: 60_000 };
    let report = audit(store, &prefix, &options).await.unwrap();
    println!("audit   {} leaves in {:.1?}, divergence: {:?}", report.leaves, begin.elapsed(), report.divergence);
}

/// Files that are on the disk when a write returns.
#[derive(Debug)]
struct Synced {
    inner: LocalFileSystem,
}

impl std::fmt::Display for Synced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Synced")
    }
}

#[async_trait]
impl ObjectStore for Synced {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let done = self.inner.put_opts(location, payload, options).await?;
        let path = self.inner.path_to_filesystem(location)?;
        tokio::task::spawn_blocking(move || {
            File::open(&path).unwrap().sync_all().unwrap();
            File::open(path.parent().unwrap()).unwrap().sync_all().unwrap();
        })
        .await
        .unwrap();
        Ok(done)
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
