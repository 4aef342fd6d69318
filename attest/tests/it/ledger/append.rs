//! Appending: order, once per uid, many sizes of batch, and two writers.

use super::{NOW, entries, entry, leaves, log, open, plain_audit, prefix, public, run, signer, uid};
use bytes::Bytes;
use object_store::memory::InMemory;
use serde_json::json;
use std::sync::Arc;
use tarn_attest::ledger::{Entry, EntryError, Leaf, Ledger, LedgerError, Log, Outcome, Signer, verify};

#[test]
fn records_become_leaves_in_their_order() {
    run(async {
        let store = Arc::new(InMemory::new());
        let mut ledger = open(&store).await;
        assert!(ledger.checkpoint().await.unwrap().is_none());
        let outcomes = ledger.append(&entries(0..300), NOW).await.unwrap();
        assert_eq!(outcomes, (0..300).map(Outcome::Appended).collect::<Vec<_>>());
        let outcomes = ledger.append(&entries(300..301), NOW + 5).await.unwrap();
        assert_eq!(outcomes, [Outcome::Appended(300)]);
        let uids: Vec<String> = leaves(&store).await.iter().map(|l| Leaf::parse(l).unwrap().uid).collect();
        assert_eq!(uids, (0..301).map(uid).collect::<Vec<_>>());
        assert_eq!(plain_audit(&store).await.divergence, None);
    });
}

#[test]
fn a_uid_is_logged_once() {
    run(async {
        let store = Arc::new(InMemory::new());
        let mut ledger = open(&store).await;
        // Twice in one batch, again in the next, again after opening, in a full bundle and in the open one.
        let outcomes = ledger.append(&[entry(1), entry(1)], NOW).await.unwrap();
        assert_eq!(outcomes, [Outcome::Appended(0), Outcome::Already(0)]);
        ledger.append(&entries(2..600), NOW).await.unwrap();
        let mut again = open(&store).await;
        for ledger in [&mut ledger, &mut again] {
            let outcomes = ledger.append(&[entry(1), entry(599), entry(255), entry(300)], NOW).await.unwrap();
            assert_eq!(outcomes, [0, 598, 254, 299].map(Outcome::Already));
        }
        assert_eq!(leaves(&store).await.len(), 599);
    });
}

#[test]
fn another_record_under_a_known_uid_is_a_conflict_and_changes_nothing() {
    run(async {
        let store = Arc::new(InMemory::new());
        let mut ledger = open(&store).await;
        ledger.append(&entries(0..10), NOW).await.unwrap();
        let forged = Entry::new(&uid(3), &json!({"verdict": "passed"}), None).unwrap();
        let other_raw = Entry::from_canonical(&uid(4), entry(4).record().clone(), Some("other".into())).unwrap();
        let outcomes = ledger.append(&[forged, other_raw, entry(10)], NOW).await.unwrap();
        assert_eq!(outcomes, [Outcome::Conflict(3), Outcome::Conflict(4), Outcome::Appended(10)]);
        // A record that comes again without its document contradicts nothing.
        let raw_left_out = Entry::from_canonical(&uid(4), entry(4).record().clone(), None).unwrap();
        assert_eq!(ledger.append(&[raw_left_out], NOW).await.unwrap(), [Outcome::Already(4)]);
        let proven = verify(&ledger.prove(&uid(3)).await.unwrap(), &public()).unwrap();
        assert_eq!(proven.record(), entry(3).record());
    });
}

#[test]
fn more_than_one_batch_and_large_documents() {
    run(async {
        let store = Arc::new(InMemory::new());
        let mut ledger = open(&store).await;
        ledger.append(&entries(0..9000), NOW).await.unwrap();
        let large: Vec<Entry> = (0..3)
            .map(|n| {
                let raw = Bytes::from(vec![n; 9 << 20]);
                Entry::new(&format!("sbom-{n}"), &json!({"n": n}), Some(raw)).unwrap()
            })
            .collect();
        ledger.append(&large, NOW).await.unwrap();
        let report = plain_audit(&store).await;
        assert_eq!((report.leaves, report.divergence), (9003, None));
        let proven = verify(&log(&store).await.prove("sbom-2").await.unwrap(), &public()).unwrap();
        assert_eq!(proven.raw().unwrap(), &vec![2; 9 << 20]);
        assert_eq!(proven.index(), 9002);
    });
}

#[test]
fn a_second_writer_is_told_and_forks_nothing() {
    run(async {
        let store = Arc::new(InMemory::new());
        let (mut one, mut two) = (open(&store).await, open(&store).await);
        one.append(&entries(0..300), NOW).await.unwrap();
        let refused = two.append(&entries(200..400), NOW).await.unwrap_err();
        assert!(matches!(refused, LedgerError::OtherWriter { size: 0 }), "{refused}");
        assert_eq!(plain_audit(&store).await.divergence, None);
        // Appending again goes on after the other's records.
        let outcomes = two.append(&entries(200..400), NOW).await.unwrap();
        assert_eq!(outcomes.iter().filter(|o| matches!(o, Outcome::Already(_))).count(), 100);
        assert!(matches!(one.append(&entries(400..401), NOW).await, Err(LedgerError::OtherWriter { size: 300 })));
        assert_eq!(one.append(&entries(400..401), NOW).await.unwrap(), [Outcome::Appended(400)]);
        let report = plain_audit(&store).await;
        assert_eq!((report.leaves, report.divergence), (401, None));
    });
}

#[test]
fn a_ledger_keeps_its_key() {
    run(async {
        let store = Arc::new(InMemory::new());
        assert!(matches!(Log::open(store.clone(), &prefix(), public()).await, Err(LedgerError::NoLedger)));
        open(&store).await.append(&entries(0..1), NOW).await.unwrap();
        let other = Signer::generate("example.com/evidence").unwrap();
        let refused = Ledger::open(store.clone(), &prefix(), other.clone()).await.unwrap_err();
        assert!(matches!(refused, LedgerError::OtherLedger { .. }), "{refused}");
        let refused = Log::open(store, &prefix(), other.public().clone()).await.unwrap_err();
        assert!(matches!(refused, LedgerError::Checkpoint(_)), "{refused}");
    });
}

#[test]
fn keys_are_read_as_they_are_written() {
    let made = Signer::generate("example.com/evidence").unwrap();
    let read = Signer::parse(&made.secret_text().unwrap()).unwrap();
    assert_eq!(read.public(), made.public());
    assert_ne!(made.public(), signer().public());
    // The key itself may have a plus, too.
    let (text, shown) = (made.secret_text().unwrap(), format!("{made:?}"));
    let key = text.trim().splitn(5, '+').nth(4).unwrap();
    assert!(key.len() > 40 && !shown.contains(key), "{shown}");
    for name in ["", "two words", "a+b", "tab\tbed"] {
        assert!(Signer::generate(name).is_err(), "{name:?}");
    }
}

#[test]
fn records_that_have_no_canonical_form_are_refused() {
    let large = json!({"n": 9_007_199_254_740_993_u64});
    assert!(matches!(Entry::new("u", &large, None), Err(EntryError::Inexact(_))));
    assert!(Entry::new("u", &json!({"n": -9_007_199_254_740_992_i64}), None).is_ok());
    assert!(matches!(Entry::new("", &json!({}), None), Err(EntryError::Uid(0))));
    assert!(matches!(Entry::new(&"u".repeat(1025), &json!({}), None), Err(EntryError::Uid(1025))));
    let canonical = |text: &'static str| Entry::from_canonical("u", Bytes::from_static(text.as_bytes()), None);
    assert!(canonical(r#"{"a":1,"b":"é"}"#).is_ok());
    for text in [r#"{"b":1,"a":2}"#, r#"{"a": 1}"#, r#"{"a":1.0}"#, r#"{"a":"\u00e9"}"#, r#"{"a":1,"a":1}"#] {
        assert!(matches!(canonical(text), Err(EntryError::NotCanonical)), "{text}");
    }
    assert!(matches!(canonical("{"), Err(EntryError::NotJson(_))));
    let mut deep = json!(1);
    (0..200).for_each(|_| deep = json!([deep]));
    assert!(matches!(Entry::new("u", &deep, None), Err(EntryError::TooDeep)));
}
