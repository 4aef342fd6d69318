//! Any write may be lost, unanswered or repeated, and any may be the last: nothing is forked, lost or logged twice.

use super::faulty::{Faulty, Put};
use super::{NOW, entries, leaves, objects, plain_audit, prefix, public, run, signer, uid};
use object_store::memory::InMemory;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use tarn_attest::ledger::{Leaf, Ledger, verify};

#[derive(Clone, Debug)]
struct Step {
    from: u64,
    records: u64,
    fates: Vec<Put>,
    /// The process goes on after an error, instead of starting again.
    goes_on: bool,
}

fn put() -> impl Strategy<Value = Put> {
    prop_oneof![
        6 => Just(Put::Works),
        1 => Just(Put::Lost),
        1 => Just(Put::Unanswered),
        1 => Just(Put::Repeated),
        1 => Just(Put::Dies),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let records = prop_oneof![3 => 0_u64..40, 1 => 200_u64..600];
    (0_u64..700, records, prop::collection::vec(put(), 0..12), any::<bool>())
        .prop_map(|(from, records, fates, goes_on)| Step { from, records, fates, goes_on })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_appends_and_crashes(steps in prop::collection::vec(step(), 1..8)) {
        run(random(steps))?;
    }
}

async fn random(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let store = Arc::new(InMemory::new());
    let (mut seen, mut acknowledged) = (Vec::new(), BTreeSet::new());
    for step in &steps {
        let range = step.from..step.from + step.records;
        let faulty = Faulty::new(store.clone(), step.fates.iter().copied());
        if let Ok(mut ledger) = Ledger::open(faulty, &prefix(), signer()).await {
            let mut done = ledger.append(&entries(range.clone()), NOW).await;
            if done.is_err() && step.goes_on {
                done = ledger.append(&entries(range.clone()), NOW).await;
            }
            if done.is_ok() {
                acknowledged.extend(range.map(uid));
            }
        }
        // What is published only grows, and readers always find it whole.
        let now = leaves(&store).await;
        prop_assert!(now.starts_with(&seen), "published leaves changed");
        seen = now;
    }
    let mut ledger = Ledger::open(store.clone(), &prefix(), signer()).await.unwrap();
    let uids: Vec<String> = leaves(&store).await.iter().map(|l| Leaf::parse(l).unwrap().uid).collect();
    let once: BTreeSet<String> = uids.iter().cloned().collect();
    prop_assert_eq!(once.len(), uids.len(), "a uid is logged twice");
    prop_assert!(acknowledged.is_subset(&once), "an acknowledged record is gone");
    let report = if uids.is_empty() { None } else { Some(plain_audit(&store).await) };
    prop_assert_eq!(report.and_then(|r| r.divergence), None);
    for uid in uids.iter().step_by(97) {
        let proven = verify(&ledger.prove(uid).await.unwrap(), &public()).unwrap();
        prop_assert_eq!(&proven.leaf().uid, uid);
    }
    Ok(())
}

/// Dies at the first, second, … write, until an append gets through.
#[test]
fn a_crash_at_every_write() {
    run(async {
        for fate in [Put::Dies, Put::Unanswered, Put::Lost, Put::Repeated] {
            let mut alive = 0;
            loop {
                let store = Arc::new(InMemory::new());
                let mut ledger = Ledger::open(store.clone(), &prefix(), signer()).await.unwrap();
                ledger.append(&entries(0..250), NOW).await.unwrap();
                let before = leaves(&store).await;
                let fates = (0..alive).map(|_| Put::Works).chain([fate]);
                let faulty = Faulty::new(store.clone(), fates);
                let done = match Ledger::open(faulty.clone(), &prefix(), signer()).await {
                    Ok(mut ledger) => ledger.append(&entries(240..600), NOW).await.is_ok(),
                    Err(_) => false,
                };
                assert!(leaves(&store).await.starts_with(&before));
                // The state between is no divergence.
                let between = plain_audit(&store).await;
                assert_eq!(between.divergence, None, "{fate:?} after {alive} writes");
                let mut ledger = Ledger::open(store.clone(), &prefix(), signer()).await.unwrap();
                ledger.append(&entries(240..600), NOW).await.unwrap();
                let report = plain_audit(&store).await;
                assert_eq!((report.leaves, report.divergence), (600, None), "{fate:?} after {alive} writes");
                alive += 1;
                if done && alive > 12 {
                    break;
                }
                assert!(alive < 40);
            }
        }
    });
}

/// A crash leaves the bytes that no crash leaves: everything but the batches follows from them.
#[test]
fn derived_objects_are_the_same_whoever_writes_them() {
    run(async {
        let (calm, store) = (Arc::new(InMemory::new()), Arc::new(InMemory::new()));
        for batch in [0..100, 100..513, 513..514] {
            let mut ledger = Ledger::open(calm.clone(), &prefix(), signer()).await.unwrap();
            ledger.append(&entries(batch.clone()), NOW).await.unwrap();
            // The description and the batch are written, nothing after them.
            let faulty = Faulty::new(store.clone(), [Put::Works, Put::Works, Put::Dies]);
            let mut ledger = Ledger::open(faulty, &prefix(), signer()).await.unwrap();
            assert!(ledger.append(&entries(batch), NOW).await.is_err());
            Ledger::open(store.clone(), &prefix(), signer()).await.unwrap();
        }
        assert_eq!(objects(&calm).await, objects(&store).await);
    });
}

/// All that follows from the batches may be lost.
#[test]
fn derived_objects_are_made_again() {
    run(async {
        let store = super::ledger_of(&[20, 300, 7]).await;
        let before = objects(&store).await;
        let rebuilt = Arc::new(InMemory::new());
        for (path, bytes) in before.iter().filter(|(path, _)| path.as_ref().contains("/batch/")) {
            super::put(&rebuilt, path, bytes.clone()).await;
        }
        Ledger::open(rebuilt.clone(), &prefix(), signer()).await.unwrap();
        assert_eq!(plain_audit(&rebuilt).await.divergence, None);
        // Partial tiles of checkpoints in between are not made again, nor needed.
        for (path, bytes) in objects(&rebuilt).await {
            assert!(before.contains(&(path, bytes)));
        }
    });
}
