//! Whoever writes to the store without the key: any byte of any object, objects gone, exchanged, or of other logs.

use super::{NOW, ledger_of, objects, plain_audit, prefix, public, put, run, signer, uid};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::prelude::*;
use std::sync::Arc;
use tarn_attest::ledger::{Divergence, Entry, Ledger, LedgerError, Log, Report, verify};

async fn copy(objects: &[(Path, Bytes)]) -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    for (path, bytes) in objects {
        put(&store, path, bytes.clone()).await;
    }
    store
}

/// What an object is called below the ledger.
fn name(path: &Path) -> String {
    path.as_ref().strip_prefix(&format!("{}/", prefix())).unwrap().to_owned()
}

/// Whether a report names an object, or a leaf or record in it.
fn names(report: &Report, object: &str) -> bool {
    match report.divergence.as_ref() {
        None => false,
        Some(
            Divergence::ObjectMissing { path }
            | Divergence::ObjectChanged { path, .. }
            | Divergence::Checkpoint { path, .. },
        ) => path == object,
        Some(Divergence::Removed { from, .. }) => object == format!("batch/{from:020}"),
        // What is left is about leaves, records and histories.
        Some(_) => object.starts_with("batch/"),
    }
}

/// Every object of a small log, every byte position in steps, all in one sweep.
#[test]
fn a_changed_byte_of_any_object_is_named() {
    run(async {
        let whole = objects(&ledger_of(&[3, 254, 4]).await).await;
        for (path, bytes) in &whole {
            let name = name(path);
            // Each small object whole, the large in steps that are prime to their rows.
            let step = (bytes.len() / 40).max(1) | 1;
            for at in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1 << (at % 8);
                let store = copy(&whole).await;
                put(&store, path, changed).await;
                let report = plain_audit(&store).await;
                assert!(names(&report, &name), "{name}, byte {at}: {:?}", report.divergence);
            }
        }
    });
}

#[test]
fn a_removed_or_cut_or_lengthened_object_is_named() {
    run(async {
        let whole = objects(&ledger_of(&[3, 254, 4]).await).await;
        for (path, bytes) in &whole {
            let name = name(path);
            let store = copy(&whole).await;
            store.delete(path).await.unwrap();
            let report = plain_audit(&store).await;
            // Partial tiles and bundles of earlier checkpoints may go: C2SP lets a log prune them.
            let last = ["tile/0/001.p/5", "tile/entries/001.p/5", "tile/1/000.p/1"].contains(&name.as_str());
            let needed = last || !name.contains(".p/");
            assert_eq!(names(&report, &name), needed, "{name} removed: {:?}", report.divergence);
            for other in [bytes.slice(..bytes.len() - 1), Bytes::from([&bytes[..], b"x"].concat()), Bytes::new()] {
                let store = copy(&whole).await;
                put(&store, path, other).await;
                let report = plain_audit(&store).await;
                assert!(names(&report, &name), "{name}: {:?}", report.divergence);
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random logs, random damage: changed bytes, exchanged objects, objects of an earlier state.
    #[test]
    fn random_damage_is_found(
        batches in prop::collection::vec(1_u64..300, 1..5),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1_u8..=255), 1..4),
        exchange in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        run(async {
            let whole = objects(&ledger_of(&batches).await).await;
            let mut damaged = whole.clone();
            for (object, byte, flip) in damage {
                let (_, bytes) = object.get_mut(&mut damaged);
                let mut changed = bytes.to_vec();
                let at = byte.index(changed.len());
                changed[at] ^= flip;
                *bytes = changed.into();
            }
            if let Some((one, two)) = exchange {
                let (one, two) = (one.index(whole.len()), two.index(whole.len()));
                let bytes = damaged[one].1.clone();
                damaged[one].1 = std::mem::replace(&mut damaged[two].1, bytes);
            }
            let store = copy(&damaged).await;
            let report = plain_audit(&store).await;
            prop_assert_eq!(report.divergence.is_some(), damaged != whole, "{:?}", report.divergence);
            // Nor does any damage make a proof of something else.
            if let Ok(reader) = Log::open(store.clone(), &prefix(), public()).await {
                for n in [0, batches.iter().sum::<u64>() - 1] {
                    if let Ok(file) = reader.prove(&uid(n)).await {
                        let proven = verify(&file, &public()).unwrap();
                        let logged = super::entry(n);
                        prop_assert_eq!(proven.record(), logged.record());
                    }
                }
            }
            Ok(())
        })?;
    }
}

/// The batch with leaves and what belongs to them in another order; nothing is changed but places.
fn reordered(batch: &[u8], one: usize, two: usize) -> Vec<u8> {
    let number = |at: usize, n: usize| batch[at..at + n].iter().fold(0_usize, |v, b| (v << 8) | usize::from(*b));
    let (checkpoint, count) = (number(4, 4), number(8, 4));
    let rows: Vec<&[u8]> = (0..count).map(|n| &batch[12 + 10 * n..22 + 10 * n]).collect();
    let mut at = 12 + 10 * count + checkpoint;
    let mut leaves = Vec::new();
    for n in 0..count {
        let length = number(12 + 10 * n, 2);
        leaves.push(&batch[at..at + length]);
        at += length;
    }
    let mut blobs = Vec::new();
    for n in 0..count {
        let length = number(14 + 10 * n, 4) + number(18 + 10 * n, 4);
        blobs.push(&batch[at..at + length]);
        at += length;
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.swap(one, two);
    let head = &batch[..12];
    let checkpoint = &batch[12 + 10 * count..12 + 10 * count + checkpoint];
    let of = |parts: &[&[u8]]| order.iter().flat_map(|n| parts[*n].to_vec()).collect::<Vec<u8>>();
    [head.to_vec(), of(&rows), checkpoint.to_vec(), of(&leaves), of(&blobs)].concat()
}

#[test]
fn reordered_records_are_named_by_the_first() {
    run(async {
        let whole = objects(&ledger_of(&[3, 300]).await).await;
        let store = copy(&whole).await;
        let (path, bytes) = whole.iter().find(|(path, _)| name(path) == format!("batch/{:020}", 3)).unwrap();
        put(&store, path, reordered(bytes, 20, 90)).await;
        let divergence = plain_audit(&store).await.divergence;
        assert_eq!(divergence, Some(Divergence::Leaves { from: 3, until: 303, first: Some(23) }));
    });
}

#[test]
fn a_changed_record_is_named_with_its_uid() {
    run(async {
        let whole = objects(&ledger_of(&[3, 30]).await).await;
        let (path, bytes) = whole.iter().find(|(path, _)| name(path) == format!("batch/{:020}", 3)).unwrap();
        let changed = |from: &str, to: &str| {
            let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
            let mut changed = bytes.to_vec();
            changed[at..at + to.len()].copy_from_slice(to.as_bytes());
            changed
        };
        let cases = [
            (r#""n":17,"#, r#""n":71,"#, Divergence::Record { index: 17, uid: uid(17) }),
            ("raw document 18", "raw document 81", Divergence::Raw { index: 18, uid: uid(18) }),
        ];
        for (from, to, expected) in cases {
            let store = copy(&whole).await;
            put(&store, path, changed(from, to)).await;
            let report = plain_audit(&store).await;
            assert_eq!((report.leaves, report.divergence), (3, Some(expected)));
        }
    });
}

#[test]
fn a_removed_end_is_found_by_the_checkpoint_that_stays() {
    run(async {
        let whole = objects(&ledger_of(&[3, 30]).await).await;
        let store = copy(&whole).await;
        store.delete(&Path::from(format!("{}/batch/{:020}", prefix(), 3))).await.unwrap();
        assert_eq!(plain_audit(&store).await.divergence, Some(Divergence::Removed { from: 3, promised: 33 }));
    });
}

#[test]
fn a_damaged_index_is_named_and_proves_nothing() {
    run(async {
        let size = (1 << 14) + 3;
        let store = Arc::new(InMemory::new());
        let mut ledger = super::open(&store).await;
        let small = |n: u64| Entry::new(&uid(n), &n.into(), None).unwrap();
        ledger.append(&(0..size).map(small).collect::<Vec<_>>(), NOW).await.unwrap();
        let path = Path::from(format!("{}/index/14/{:012}", prefix(), 0));
        let whole = store.get(&path).await.unwrap().bytes().await.unwrap();
        let mut changed = whole.to_vec();
        // The leaf of the first row.
        changed[16 + 4 * 65 + 31] ^= 1;
        let mut emptied = whole.to_vec();
        emptied[16..16 + 4 * 65].fill(0);
        let damaged = [changed, emptied, whole[..5].to_vec(), whole[..whole.len() - 1].to_vec(), Vec::new()];
        for (at, bytes) in damaged.into_iter().enumerate() {
            put(&store, &path, bytes).await;
            let report = plain_audit(&store).await;
            assert!(names(&report, &name(&path)), "{at}: {:?}", report.divergence);
            let reader = super::log(&store).await;
            let mut refused = 0;
            for n in (0..size).step_by(499) {
                match reader.prove(&uid(n)).await {
                    Ok(file) => assert_eq!(verify(&file, &public()).unwrap().leaf().uid, uid(n)),
                    Err(LedgerError::Corrupt { .. } | LedgerError::Unknown { .. }) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            assert!(refused > 0 || [0, 3].contains(&at), "{at}");
        }
        // A writer that cannot read it says so; one that misses it makes it again.
        assert!(matches!(Ledger::open(store.clone(), &prefix(), signer()).await, Err(LedgerError::Corrupt { .. })));
        store.delete(&path).await.unwrap();
        assert!(names(&plain_audit(&store).await, &name(&path)));
        super::open(&store).await;
        assert_eq!(plain_audit(&store).await.divergence, None);
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), whole);
    });
}

/// A writer does not go on over damage that it reads.
#[test]
fn a_writer_stops_at_a_damaged_end() {
    run(async {
        let whole = objects(&ledger_of(&[3, 30]).await).await;
        for end in ["checkpoint", "tile/0/000.p/33", "tile/entries/000.p/33", "ledger.json"] {
            let (path, bytes) = whole.iter().find(|(path, _)| name(path) == end).unwrap();
            let mut changed = bytes.to_vec();
            changed[bytes.len() / 2] ^= 1;
            let store = copy(&whole).await;
            put(&store, path, changed).await;
            let opened = Ledger::open(store.clone(), &prefix(), signer()).await;
            assert!(opened.is_err(), "{end}");
            let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
            assert_eq!(listed.len(), whole.len());
        }
        let store = copy(&whole).await;
        Ledger::open(store, &prefix(), signer()).await.unwrap().append(&super::entries(33..34), NOW).await.unwrap();
    });
}
