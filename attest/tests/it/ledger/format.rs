//! What earlier releases wrote is read, and written the same way.

use super::{NOW, entries, log, objects, open, plain_audit, prefix, public, put, run, uid};
use object_store::memory::InMemory;
use object_store::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use tarn_attest::ledger::verify;

/// The batches of the ledger in the fixture.
const BATCHES: [std::ops::Range<u64>; 3] = [0..2, 2..260, 260..263];

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledger-1")
}

async fn written_now() -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    for batch in BATCHES {
        open(&store).await.append(&entries(batch), NOW).await.unwrap();
    }
    store
}

async fn written_then() -> Arc<InMemory> {
    let (store, mut folders) = (Arc::new(InMemory::new()), vec![fixture()]);
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(fixture()).unwrap().to_str().unwrap();
                put(&store, &Path::from(format!("{}/{name}", prefix())), std::fs::read(&path).unwrap()).await;
            }
        }
    }
    store
}

#[test]
fn a_ledger_of_format_1_is_read_and_written() {
    run(async {
        let store = written_then().await;
        assert_eq!(plain_audit(&store).await.divergence, None);
        assert_eq!(objects(&store).await, objects(&written_now().await).await);
        open(&store).await.append(&entries(260..270), NOW).await.unwrap();
        let report = plain_audit(&store).await;
        assert_eq!((report.leaves, report.divergence), (270, None));
    });
}

#[test]
fn a_proof_of_format_1_is_checked() {
    let file = std::fs::read(fixture().with_file_name("proof-1.json")).unwrap();
    let proven = verify(&file, &public()).unwrap();
    assert_eq!((proven.leaf().uid.as_str(), proven.index()), ("evidence-200", 200));
    run(async { assert_eq!(log(&written_now().await).await.prove(&uid(200)).await.unwrap(), file) });
}
