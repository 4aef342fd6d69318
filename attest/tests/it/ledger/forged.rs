//! Batches that no writer of ours makes, signed with the right key: what an audit holds against the leaves themselves.

use super::reference::mth;
use super::{NOW, objects, open, plain_audit, prefix, put, run, signer};
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use sha2::{Digest, Sha256};
use signed_note::{Note, StandardSigner};
use std::sync::Arc;
use tarn_attest::ledger::{Divergence, LeafError, Ledger, LedgerError};
use tlog_tiles::{Checkpoint, Hash};

const RECORD: &[u8] = b"{}";

fn leaf(uid: &str, batch: u64, logged_at: i64) -> Bytes {
    let digest = hex::encode(Sha256::digest(RECORD));
    let record = format!(r#"{{"sha256":"{digest}","size":2}}"#);
    format!(r#"{{"batch":{batch},"logged_at":{logged_at},"record":{record},"uid":"{uid}","v":1}}"#).into()
}

/// A batch with these leaves, whose checkpoint says that they are so many over this root.
fn batch(leaves: &[Bytes], size: u64, root: [u8; 32]) -> Vec<u8> {
    let text = Checkpoint::new("example.com/evidence", size, Hash(root), "").unwrap().to_bytes();
    let mut note = Note::new(&text, &[]).unwrap();
    note.add_sigs(&[&StandardSigner::new(signer().secret_text().unwrap().trim_end()).unwrap()]).unwrap();
    let note = note.to_bytes();
    let mut out = [b"TLB1", &(note.len() as u32).to_be_bytes()[..], &(leaves.len() as u32).to_be_bytes()].concat();
    for leaf in leaves {
        out.extend((leaf.len() as u16).to_be_bytes());
        out.extend((RECORD.len() as u32).to_be_bytes());
        out.extend(0_u32.to_be_bytes());
    }
    out.extend(note);
    leaves.iter().for_each(|leaf| out.extend_from_slice(leaf));
    leaves.iter().for_each(|_| out.extend_from_slice(RECORD));
    out
}

/// What an audit says of a log that begins with this batch.
async fn found(batch: Vec<u8>) -> Option<Divergence> {
    let store = Arc::new(InMemory::new());
    open(&store).await;
    put(&store, &Path::from(format!("{}/batch/{:020}", prefix(), 0)), batch).await;
    plain_audit(&store).await.divergence
}

fn signed(leaves: &[Bytes]) -> Vec<u8> {
    batch(leaves, leaves.len() as u64, mth(leaves))
}

#[test]
fn leaves_that_no_writer_makes() {
    run(async {
        let good = leaf("a", 0, NOW);
        let cases = [
            (
                vec![good.clone(), leaf("b", 0, NOW - 1)],
                Divergence::TimeWentBack { index: 1, logged_at: NOW - 1, before: NOW },
            ),
            (vec![good.clone(), leaf("b", 7, NOW)], Divergence::Moved { index: 1, logged_after: 7, stands_after: 0 }),
            (
                vec![good.clone(), leaf("b", 0, NOW), good.clone()],
                Divergence::Twice { index: 2, first: 0, uid: "a".into() },
            ),
            (
                vec![Bytes::from([&good[..], b" "].concat())],
                Divergence::Leaf { index: 0, reason: LeafError::NotCanonical },
            ),
        ];
        for (leaves, expected) in cases {
            assert_eq!(found(signed(&leaves)).await, Some(expected));
        }
        // The same way of writing, nothing wrong: only what follows from the batch is missing.
        let expected = Divergence::ObjectMissing { path: "checkpoint".into() };
        assert_eq!(found(signed(&[good])).await, Some(expected));
    });
}

#[test]
fn a_checkpoint_that_promises_more_or_other_leaves() {
    run(async {
        let leaves = [leaf("a", 0, NOW), leaf("b", 0, NOW)];
        for forged in
            [batch(&leaves, 3, mth(&leaves)), batch(&leaves, 1, mth(&leaves[..1])), batch(&leaves, 2, [7; 32])]
        {
            assert_eq!(found(forged.clone()).await, Some(Divergence::Leaves { from: 0, until: 2, first: None }));
            // Nor does a writer go on from it, and it leaves everything as it is.
            let store = Arc::new(InMemory::new());
            open(&store).await;
            put(&store, &Path::from(format!("{}/batch/{:020}", prefix(), 0)), forged).await;
            let before = objects(&store).await;
            let opened = Ledger::open(store.clone(), &prefix(), signer()).await;
            assert!(matches!(opened, Err(LedgerError::Corrupt { .. })));
            assert_eq!(objects(&store).await, before);
        }
    });
}

#[test]
fn a_writer_goes_on_from_a_sound_batch_of_its_key() {
    run(async {
        let store = Arc::new(InMemory::new());
        open(&store).await;
        let leaves = [leaf("a", 0, NOW), leaf("b", 0, NOW)];
        put(&store, &Path::from(format!("{}/batch/{:020}", prefix(), 0)), signed(&leaves)).await;
        open(&store).await.append(&super::entries(0..3), NOW).await.unwrap();
        let report = plain_audit(&store).await;
        assert_eq!((report.leaves, report.divergence), (5, None));
    });
}
