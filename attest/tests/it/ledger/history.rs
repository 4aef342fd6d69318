//! Whoever has the signing key as well: rolled-back logs, two histories, false times; and what is left open without
//! checkpoints from elsewhere.

use super::witness::{policy, witness};
use super::{NOW, audited, entries, leaves, ledger_of, log, objects, open, plain_audit, prefix, public, put, run};
use object_store::memory::InMemory;
use std::sync::Arc;
use tarn_attest::ledger::{Caveat, Checkpoint, Divergence, LedgerError, WitnessPolicy, records_after};

const NONE: fn() -> WitnessPolicy = WitnessPolicy::default;

async fn checkpoint(store: &Arc<InMemory>) -> Checkpoint {
    log(store).await.checkpoint().clone()
}

#[test]
fn a_log_alone_leaves_much_open_and_says_so() {
    run(async {
        let report = plain_audit(&ledger_of(&[5, 5]).await).await;
        assert_eq!(report.divergence, None);
        assert_eq!(report.caveats, [Caveat::NoWitness, Caveat::NoKnownCheckpoint]);
    });
}

#[test]
fn a_rolled_back_log_is_found_by_a_kept_checkpoint() {
    run(async {
        let store = ledger_of(&[5]).await;
        let before = objects(&store).await;
        open(&store).await.append(&entries(5..9), NOW).await.unwrap();
        let kept = checkpoint(&store).await;
        let back = Arc::new(InMemory::new());
        for (path, bytes) in before {
            put(&back, &path, bytes).await;
        }
        // Without it, nothing is wrong with the older state.
        assert_eq!(plain_audit(&back).await.divergence, None);
        let report = audited(&back, &[kept], &NONE()).await;
        assert_eq!(report.divergence, Some(Divergence::RolledBack { size: 5, known: 9 }));
    });
}

/// Whoever follows a ledger is told that it is not the one that had so many leaves.
#[test]
fn a_ledger_that_was_begun_again_is_not_followed_on() {
    run(async {
        let after = |store: Arc<InMemory>, size: u64| async move {
            let store: Arc<dyn object_store::ObjectStore> = store;
            let found = records_after(&store, &prefix(), size).await;
            found.map(|batch| batch.map(|logged| logged.len()))
        };
        let store = ledger_of(&[5, 3]).await;
        assert_eq!(after(store.clone(), 5).await.unwrap(), Some(3));
        assert_eq!(after(store.clone(), 8).await.unwrap(), None);
        assert_eq!(after(Arc::new(InMemory::new()), 0).await.unwrap(), None);
        // Committed, and not yet published.
        for (path, bytes) in objects(&ledger_of(&[5]).await).await {
            if path.as_ref().ends_with("/checkpoint") {
                put(&store, &path, bytes).await;
            }
        }
        assert_eq!(checkpoint(&store).await.size(), 5);
        assert_eq!(after(store, 8).await.unwrap(), None);
        // Smaller, without that batch, or gone.
        for (batches, had, has) in [(&[2][..], 8, 2), (&[4, 6], 8, 10), (&[], 1, 0)] {
            let refused = after(ledger_of(batches).await, had).await.unwrap_err();
            let told = matches!(refused, LedgerError::NotExtended { known, size } if (known, size) == (had, has));
            assert!(told && refused.to_string().contains(&format!("{has} leaves")), "{refused}");
        }
    });
}

#[test]
fn a_writer_that_keeps_its_checkpoint_signs_no_second_history() {
    run(async {
        let store = ledger_of(&[5]).await;
        let before = objects(&store).await;
        let mut ledger = open(&store).await;
        ledger.append(&entries(5..300), NOW).await.unwrap();
        let kept = ledger.checkpoint().await.unwrap().unwrap();
        ledger.append(&entries(300..301), NOW).await.unwrap();
        open(&store).await.confirm(&kept).await.unwrap();
        let back = Arc::new(InMemory::new());
        for (path, bytes) in before {
            put(&back, &path, bytes).await;
        }
        let refused = open(&back).await.confirm(&kept).await.unwrap_err();
        assert!(matches!(refused, LedgerError::NotExtended { known: 300, size: 5 }), "{refused}");
        open(&back).await.append(&entries(7..400), NOW).await.unwrap();
        let refused = open(&back).await.confirm(&kept).await.unwrap_err();
        assert!(matches!(refused, LedgerError::NotExtended { known: 300, size: 398 }), "{refused}");
        let empty = Arc::new(InMemory::new());
        assert!(matches!(open(&empty).await.confirm(&kept).await, Err(LedgerError::NotExtended { size: 0, .. })));
    });
}

/// A cosigned checkpoint on the store is no proof that the log was never longer.
#[test]
fn a_log_that_was_rolled_back_to_a_cosigned_state_is_not_called_safe() {
    run(async {
        let one = witness("w1.example", 1);
        let store = ledger_of(&[5]).await;
        let mut ledger = open(&store).await;
        let cosign = |c: Checkpoint| one.cosign(c.note(), (NOW / 1000) as u64 + 1);
        ledger.cosign(&cosign(checkpoint(&store).await), &[one.public()]).await.unwrap();
        let before = objects(&store).await;
        ledger.append(&entries(5..9), NOW).await.unwrap();
        let kept = Checkpoint::verify(&cosign(checkpoint(&store).await), &public()).unwrap();
        let back = Arc::new(InMemory::new());
        for (path, bytes) in before {
            put(&back, &path, bytes).await;
        }
        let report = audited(&back, &[], &policy(&[&one], 1)).await;
        assert_eq!((report.divergence, report.caveats), (None, vec![Caveat::NoKnownCheckpoint]));
        let report = audited(&back, &[kept], &policy(&[&one], 1)).await;
        assert_eq!(report.divergence, Some(Divergence::RolledBack { size: 5, known: 9 }));
    });
}

#[test]
fn an_older_checkpoint_in_place_of_the_newest_is_told() {
    run(async {
        let store = ledger_of(&[5]).await;
        let old = checkpoint(&store).await;
        open(&store).await.append(&entries(5..9), NOW).await.unwrap();
        let path = object_store::path::Path::from(format!("{}/checkpoint", super::prefix()));
        put(&store, &path, old.note().clone()).await;
        let report = plain_audit(&store).await;
        assert_eq!(report.divergence, None);
        assert!(report.caveats.contains(&Caveat::Unpublished { published: 5, committed: 9 }), "{:?}", report.caveats);
        // The next writer publishes what is committed.
        open(&store).await;
        assert_eq!(checkpoint(&store).await.size(), 9);
    });
}

#[test]
fn two_histories_are_found_by_the_other_ones_checkpoint() {
    run(async {
        let (shown, hidden) = (ledger_of(&[5]).await, ledger_of(&[5]).await);
        open(&shown).await.append(&entries(5..9), NOW).await.unwrap();
        open(&hidden).await.append(&entries(6..20), NOW).await.unwrap();
        let kept = open(&hidden).await.checkpoint().await.unwrap().unwrap();
        // A larger one looks like a roll-back, one of a size that both have is two histories.
        let larger = audited(&shown, std::slice::from_ref(&kept), &NONE()).await.divergence;
        assert_eq!(larger, Some(Divergence::RolledBack { size: 9, known: 19 }));
        let (shown_kept, report) =
            (checkpoint(&shown).await, audited(&hidden, &[checkpoint(&shown).await], &NONE()).await);
        match report.divergence {
            Some(Divergence::TwoHistories { size: 9, signed, .. }) => {
                assert_eq!(signed, hex::encode(shown_kept.root()))
            }
            other => panic!("{other:?}"),
        }
        // The common beginning is no fork.
        let common = checkpoint(&ledger_of(&[5]).await).await;
        for store in [&shown, &hidden] {
            let report = audited(store, std::slice::from_ref(&common), &NONE()).await;
            assert_eq!(report.divergence, None);
            assert!(report.caveats.contains(&Caveat::AfterKnown { known: 5 }));
        }
    });
}

#[test]
fn a_log_that_was_written_anew_is_whole_and_still_found() {
    run(async {
        let kept = checkpoint(&ledger_of(&[5, 5]).await).await;
        // The key's holder leaves record 3 out, and signs again.
        let anew = Arc::new(InMemory::new());
        let mut records = entries(0..10);
        records.remove(3);
        open(&anew).await.append(&records, NOW).await.unwrap();
        assert_eq!(plain_audit(&anew).await.divergence, None);
        let report = audited(&anew, std::slice::from_ref(&kept), &NONE()).await;
        assert_eq!(report.divergence, Some(Divergence::RolledBack { size: 9, known: 10 }));
        open(&anew).await.append(&entries(20..23), NOW).await.unwrap();
        let report = audited(&anew, &[kept], &NONE()).await;
        assert!(matches!(report.divergence, Some(Divergence::TwoHistories { size: 10, .. })), "{report:?}");
    });
}

#[test]
fn a_back_dated_leaf_is_found_by_a_witness() {
    run(async {
        let one = witness("w1.example", 1);
        let store = ledger_of(&[5]).await;
        let at = (NOW / 1000) as u64;
        // A witness saw five leaves an hour after they were logged.
        let seen = Checkpoint::verify(&one.cosign(checkpoint(&store).await.note(), at + 3600), &public()).unwrap();
        // A writer whose clock says an earlier time, as one would have it who back-dates.
        open(&store).await.append(&entries(5..6), NOW + 1000).await.unwrap();
        assert_eq!(plain_audit(&store).await.divergence, None);
        let known = std::slice::from_ref(&seen);
        let report = audited(&store, known, &policy(&[&one], 1)).await;
        let expected = Divergence::BackDated { index: 5, logged_at: NOW + 1000, seen_at: NOW + 3_600_000 };
        assert_eq!(report.divergence, Some(expected));
    });
}

#[test]
fn a_witness_that_signs_a_little_late_belies_nobody() {
    run(async {
        let one = witness("w1.example", 1);
        let store = ledger_of(&[5]).await;
        let at = (NOW / 1000) as u64;
        let seen = Checkpoint::verify(&one.cosign(checkpoint(&store).await.note(), at + 30), &public()).unwrap();
        open(&store).await.append(&entries(5..6), NOW + 1000).await.unwrap();
        let report = audited(&store, &[seen], &policy(&[&one], 1)).await;
        assert_eq!(report.divergence, None);
        assert_eq!(report.caveats, [Caveat::AfterWitness { witnessed: 5, size: 6 }, Caveat::AfterKnown { known: 5 }]);
    });
}

#[test]
fn a_post_dated_leaf_is_found_by_a_witness() {
    run(async {
        let one = witness("w1.example", 1);
        let store = Arc::new(InMemory::new());
        open(&store).await.append(&entries(0..3), NOW + 86_400_000).await.unwrap();
        let note = one.cosign(checkpoint(&store).await.note(), (NOW / 1000) as u64);
        let seen = Checkpoint::verify(&note, &public()).unwrap();
        let report = audited(&store, &[seen], &policy(&[&one], 1)).await;
        let expected = Divergence::PostDated { index: 0, logged_at: NOW + 86_400_000, seen_at: NOW };
        assert_eq!(report.divergence, Some(expected));
    });
}

#[test]
fn a_writers_clock_that_goes_back_does_not_take_leaves_with_it() {
    run(async {
        let store = Arc::new(InMemory::new());
        let mut ledger = open(&store).await;
        ledger.append(&entries(0..2), NOW).await.unwrap();
        ledger.append(&entries(2..3), NOW - 50_000).await.unwrap();
        open(&store).await.append(&entries(3..4), NOW - 60_000).await.unwrap();
        let times: Vec<i64> =
            leaves(&store).await.iter().map(|l| tarn_attest::ledger::Leaf::parse(l).unwrap().logged_at).collect();
        assert_eq!(times, [NOW; 4]);
        assert_eq!(plain_audit(&store).await.divergence, None);
    });
}

#[test]
fn a_policy_that_nothing_meets_fails_the_audit() {
    run(async {
        let (one, two) = (witness("w1.example", 1), witness("w2.example", 2));
        let store = ledger_of(&[5]).await;
        let seen = Checkpoint::verify(&one.cosign(checkpoint(&store).await.note(), 1_764_240_001), &public()).unwrap();
        let report = audited(&store, &[seen], &policy(&[&one, &two], 2)).await;
        assert_eq!(report.divergence, Some(Divergence::NotWitnessed { need: 2, best: 1 }));
    });
}
