//! Targets over the ledger: leaves, batches, notes and proof files. Whoever has no key makes nothing that passes.

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use tarn_attest::ledger::{
    AuditOptions, Checkpoint, Entry, Leaf, Log, PublicKey, Witness, WitnessPolicy, audit, verify, verify_consistency,
};
use tokio::runtime::Runtime;

/// A ledger of earlier releases: its objects, below its folder.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../attest/tests/fixtures");
const LEDGER: &str = "ledger";
/// The batch that is changed.
const BATCH: &str = "batch/00000000000000000000";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());

/// The fixture's key, which it names itself.
static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let description: serde_json::Value = serde_json::from_slice(&file("ledger-1/ledger.json")).unwrap();
    PublicKey::parse(description["key"].as_str().unwrap()).unwrap()
});

fn file(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(FIXTURES).join(name)).unwrap()
}

/// A batch of the fixture.
pub fn batch_seed() -> Vec<u8> {
    file(&format!("ledger-1/{BATCH}"))
}

/// The fixture's checkpoint.
pub fn checkpoint_seed() -> Vec<u8> {
    file("ledger-1/checkpoint")
}

/// A proof file of the fixture.
pub fn proof_seed() -> Vec<u8> {
    file("proof-1.json")
}

/// A leaf, as the fixture's first batch has it.
pub fn leaf_seed() -> Vec<u8> {
    let batch = batch_seed();
    let start = batch.windows(9).position(|window| window == b"{\"batch\":").unwrap();
    let end = start + batch[start..].windows(8).position(|window| window == b"\",\"v\":1}").unwrap() + 8;
    batch[start..end].to_vec()
}

/// The proof that the fixture goes on from its first batch.
pub fn consistency_seed() -> Vec<u8> {
    // "TLB1", the note's length, how many leaves, a row of ten bytes for each, the note.
    let batch = batch_seed();
    let number = |at: usize| batch[at..at + 4].iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    let start = 12 + 10 * number(8);
    let old = Checkpoint::verify(&batch[start..start + number(4)], &KEY).unwrap();
    RUNTIME.block_on(async {
        let log = Log::open(store().await, &Path::from(LEDGER), KEY.clone()).await.unwrap();
        log.prove_consistency(&old).await.unwrap()
    })
}

async fn store() -> Arc<dyn ObjectStore> {
    let store = InMemory::new();
    let root = PathBuf::from(FIXTURES).join("ledger-1");
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let bytes = PutPayload::from(std::fs::read(&path).unwrap());
            store.put(&Path::from(format!("{LEDGER}/{name}")), bytes).await.unwrap();
        }
    }
    Arc::new(store)
}

/// A leaf has one spelling; an entry is canonical or none.
pub fn leaf(data: &[u8]) {
    match Leaf::parse(data) {
        Ok(leaf) => assert_eq!(serde_json::to_vec(&leaf).unwrap(), data),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(entry) = Entry::from_canonical("uid", data.to_vec().into(), None) {
        assert_eq!(entry.record(), data);
    }
}

/// A batch in the place of another is found, unless it is the same.
pub fn batch(data: &[u8]) {
    RUNTIME.block_on(async {
        let store = store().await;
        let path = Path::from(format!("{LEDGER}/{BATCH}"));
        store.put(&path, PutPayload::from(data.to_vec())).await.unwrap();
        let witnesses = WitnessPolicy::default();
        let options = AuditOptions { key: &KEY, known: &[], witnesses: &witnesses, slack_ms: 0 };
        let report = audit(store, &Path::from(LEDGER), &options).await.unwrap();
        assert_eq!(report.divergence.is_none(), data == batch_seed());
    });
}

/// Notes: what the log signed is what it says, and no other text. Keys' names are texts of others as well.
pub fn checkpoint(data: &[u8]) {
    if let Ok(checkpoint) = Checkpoint::verify(data, &KEY) {
        let genuine = Checkpoint::verify(&checkpoint_seed(), &KEY).unwrap();
        assert_eq!((checkpoint.size(), checkpoint.root()), (genuine.size(), genuine.root()));
        let _ = checkpoint.cosignatures(&[]);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (PublicKey::parse(text), Witness::parse(text));
    }
}

/// A proof file has one spelling.
pub fn proof(data: &[u8]) {
    match verify(data, &KEY) {
        Ok(_) => assert!(data == proof_seed()),
        Err(reason) => assert!(!reason.kind().is_empty()),
    }
}

/// Proofs that a log goes on: their checkpoints are those of the genuine one.
pub fn consistency(data: &[u8]) {
    if let Ok((old, new)) = verify_consistency(data, &KEY) {
        assert!(old.size() == 2 && new.size() == 263);
    }
}
