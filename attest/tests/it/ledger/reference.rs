//! Roots and proofs against RFC 6962's definitions, written as the RFC has them: recursive, slow, and nothing shared
//! with the code under test.

use super::{NOW, entries, leaves, log, open, plain_audit, public, run, uid};
use base64::prelude::*;
use bytes::Bytes;
use object_store::memory::InMemory;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tarn_attest::ledger::{Checkpoint, Entry, LedgerError, Outcome, verify, verify_consistency};

type Hash = [u8; 32];

fn node(left: Hash, right: Hash) -> Hash {
    Sha256::digest([&[1][..], &left, &right].concat()).into()
}

/// The largest power of two smaller than `n`.
fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// Section 2.1: the Merkle tree hash.
pub fn mth(d: &[Bytes]) -> Hash {
    match d {
        [] => Sha256::digest([]).into(),
        [leaf] => Sha256::digest([&[0][..], leaf].concat()).into(),
        _ => {
            let (left, right) = d.split_at(split(d.len()));
            node(mth(left), mth(right))
        }
    }
}

/// Section 2.1.1: the audit path of leaf `m`.
fn path(m: usize, d: &[Bytes]) -> Vec<Hash> {
    if d.len() <= 1 {
        return Vec::new();
    }
    let k = split(d.len());
    let (left, right) = d.split_at(k);
    let (mut hashes, last) = if m < k { (path(m, left), mth(right)) } else { (path(m - k, right), mth(left)) };
    hashes.push(last);
    hashes
}

/// Section 2.1.2: the consistency proof from the first `m` leaves.
fn consistency(m: usize, d: &[Bytes], whole: bool) -> Vec<Hash> {
    if m == d.len() {
        return if whole { Vec::new() } else { vec![mth(d)] };
    }
    let k = split(d.len());
    let (left, right) = d.split_at(k);
    let (mut hashes, last) =
        if m <= k { (consistency(m, left, whole), mth(right)) } else { (consistency(m - k, right, false), mth(left)) };
    hashes.push(last);
    hashes
}

fn hashes(file: &[u8], member: &str) -> Vec<Hash> {
    let file: Value = serde_json::from_slice(file).unwrap();
    let texts = file[member].as_array().unwrap().iter().map(|h| h.as_str().unwrap());
    texts.map(|text| BASE64_STANDARD.decode(text).unwrap().try_into().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn roots_and_proofs_are_those_of_the_rfc(batches in prop::collection::vec(1_u64..400, 1..6), pick in any::<u64>()) {
        run(async {
            let store = Arc::new(InMemory::new());
            let mut ledger = open(&store).await;
            let mut checkpoints: Vec<Checkpoint> = Vec::new();
            let mut size = 0;
            for batch in batches {
                ledger.append(&entries(size..size + batch), NOW).await.unwrap();
                size += batch;
                checkpoints.push(ledger.checkpoint().await.unwrap().unwrap());
            }
            let leaves = leaves(&store).await;
            for checkpoint in &checkpoints {
                prop_assert_eq!(checkpoint.root(), mth(&leaves[..checkpoint.size() as usize]));
            }
            let reader = log(&store).await;
            for index in [0, pick % size, size / 2, size - 1] {
                let file = reader.prove(&uid(index)).await.unwrap();
                prop_assert_eq!(hashes(&file, "inclusion"), path(index as usize, &leaves));
                prop_assert_eq!(verify(&file, &public()).unwrap().index(), index);
            }
            for old in &checkpoints {
                let file = reader.prove_consistency(old).await.unwrap();
                prop_assert_eq!(hashes(&file, "consistency"), consistency(old.size() as usize, &leaves, true));
                prop_assert_eq!(verify_consistency(&file, &public()).unwrap().0, old.clone());
            }
            Ok(())
        })?;
    }
}

/// Every size of a small log, every leaf of it.
#[test]
fn every_leaf_of_every_small_log() {
    run(async {
        let store = Arc::new(InMemory::new());
        let mut ledger = open(&store).await;
        for size in 1..=40 {
            ledger.append(&entries(size - 1..size), NOW).await.unwrap();
            let leaves = leaves(&store).await;
            assert_eq!(ledger.checkpoint().await.unwrap().unwrap().root(), mth(&leaves));
            for index in 0..size {
                let file = ledger.prove(&uid(index)).await.unwrap();
                assert_eq!(hashes(&file, "inclusion"), path(index as usize, &leaves));
            }
        }
    });
}

/// A tree of three levels of tiles, past several runs of the uid index.
#[test]
fn a_tree_with_tiles_of_tiles() {
    run(async {
        let store = Arc::new(InMemory::new());
        let mut ledger = open(&store).await;
        let small = |n: u64| Entry::new(&uid(n), &n.into(), None).unwrap();
        let size = 65_536 + 600;
        ledger.append(&(0..size).map(small).collect::<Vec<_>>(), NOW).await.unwrap();
        let leaves = leaves(&store).await;
        assert_eq!(ledger.checkpoint().await.unwrap().unwrap().root(), mth(&leaves));
        let (mut reopened, reader) = (open(&store).await, log(&store).await);
        for n in [0, 16_383, 16_384, 65_535, 65_536, size - 1] {
            let file = ledger.prove(&uid(n)).await.unwrap();
            assert_eq!(hashes(&file, "inclusion"), path(n as usize, &leaves));
            assert_eq!(reopened.prove(&uid(n)).await.unwrap(), file);
            assert_eq!(reader.prove(&uid(n)).await.unwrap(), file);
            assert_eq!(reopened.append(&[small(n)], NOW).await.unwrap(), [Outcome::Already(n)]);
        }
        for stranger in ["", "evidence-", "evidence-999999999"] {
            assert!(matches!(reader.prove(stranger).await, Err(LedgerError::Unknown { .. })));
            assert!(matches!(reopened.prove(stranger).await, Err(LedgerError::Unknown { .. })));
        }
        let report = plain_audit(&store).await;
        assert_eq!((report.leaves, report.divergence), (size, None));
    });
}
