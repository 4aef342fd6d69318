//! Proof files: what they hold, and every change to one refused with its reason.

use super::{NOW, entry, ledger_of, log, open, public, run, uid};
use object_store::memory::InMemory;
use serde_json::{Value, json};
use std::sync::Arc;
use tarn_attest::ledger::{
    CheckpointReason, ConsistencyReason, LedgerError, PublicKey, Reason, Signer, verify, verify_consistency,
};

/// The proof of leaf 4 of 300, which has a raw document.
fn file() -> Vec<u8> {
    run(async {
        let store = ledger_of(&[5, 295]).await;
        log(&store).await.prove(&uid(4)).await.unwrap()
    })
}

/// The file with a member changed, in its canonical spelling.
fn with(file: &[u8], change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(file).unwrap();
    change(value.as_object_mut().unwrap());
    serde_json_canonicalizer::to_vec(&value).unwrap()
}

#[test]
fn a_proof_holds_what_was_logged() {
    let proven = verify(&file(), &public()).unwrap();
    assert_eq!(proven.record(), entry(4).record());
    assert_eq!(proven.raw().unwrap(), "raw document 4");
    assert_eq!((proven.index(), proven.checkpoint().size()), (4, 300));
    assert_eq!((proven.leaf().uid.as_str(), proven.leaf().logged_at), ("evidence-4", NOW));
    assert_eq!(serde_json_canonicalizer::to_vec(&serde_json::from_slice::<Value>(&file()).unwrap()).unwrap(), file());
}

#[test]
fn any_changed_byte_is_refused() {
    let (file, key) = (file(), public());
    for at in 0..file.len() {
        for flip in [1, 0x20, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= flip;
            assert!(verify(&changed, &key).is_err(), "byte {at} of {}", String::from_utf8_lossy(&file));
        }
    }
    for length in 0..file.len() {
        assert!(verify(&file[..length], &key).is_err());
    }
    assert_eq!(verify(&[&file[..], b"\n"].concat(), &key), Err(Reason::NotCanonical));
}

#[test]
fn every_reason() {
    let (file, key) = (file(), public());
    let refused = |change: fn(&mut serde_json::Map<String, Value>)| verify(&with(&file, change), &key).unwrap_err();
    assert_eq!(refused(|f| f["record"] = json!("{}")), Reason::RecordChanged);
    assert_eq!(refused(|f| f["raw"] = json!("cmF3IGRvY3VtZW50IDU=")), Reason::RawChanged);
    assert_eq!(refused(|f| drop(f.remove("raw"))), Reason::RawPresence);
    assert_eq!(refused(|f| f["index"] = json!(5)), Reason::NotIncluded);
    assert_eq!(refused(|f| f["index"] = json!(300)), Reason::Outside { index: 300, size: 300 });
    assert_eq!(refused(|f| drop(f["inclusion"].as_array_mut().unwrap().pop())), Reason::NotIncluded);
    assert_eq!(refused(|f| f["inclusion"].as_array_mut().unwrap().reverse()), Reason::NotIncluded);
    let longer = |f: &mut serde_json::Map<String, Value>| {
        let again = f["inclusion"][0].clone();
        f["inclusion"].as_array_mut().unwrap().push(again);
    };
    assert_eq!(verify(&with(&file, longer), &key), Err(Reason::NotIncluded));
    assert_eq!(
        refused(|f| f["format"] = json!("tarn.evidence.proof/2")),
        Reason::UnknownFormat("tarn.evidence.proof/2".into())
    );
    assert!(matches!(refused(|f| f["inclusion"][0] = json!("AAAA")), Reason::Malformed(_)));
    assert!(matches!(refused(|f| f["leaf"] = json!("{}")), Reason::Leaf(_)));
    assert!(matches!(refused(|f| drop(f.insert("more".into(), json!(1)))), Reason::Malformed(_)));
    let later = |f: &mut serde_json::Map<String, Value>| {
        let leaf = f["leaf"].as_str().unwrap().replace("1764240000000", "1764240000001");
        f["leaf"] = json!(leaf);
    };
    assert_eq!(verify(&with(&file, later), &key), Err(Reason::NotIncluded));
    let spaced = String::from_utf8(file.clone()).unwrap().replacen(":", ": ", 1);
    assert_eq!(verify(spaced.as_bytes(), &key), Err(Reason::NotCanonical));
}

#[test]
fn another_key_or_another_log_is_refused() {
    let file = file();
    let other = Signer::generate("example.com/evidence").unwrap();
    let reason = verify(&file, other.public()).unwrap_err();
    assert!(matches!(reason, Reason::Checkpoint(CheckpointReason::Unsigned(_))), "{reason}");
    let elsewhere = Signer::generate("example.com/other").unwrap();
    let reason = verify(&file, elsewhere.public()).unwrap_err();
    assert!(matches!(reason, Reason::Checkpoint(CheckpointReason::OtherLog { .. })), "{reason}");
    // A signature of another checkpoint by the right key.
    let stolen = run(async { ledger_of(&[7]).await });
    let stolen = run(async { log(&stolen).await.checkpoint().note().clone() });
    let stolen = String::from_utf8(stolen.to_vec()).unwrap();
    let signature = stolen.split("\n\n").nth(1).unwrap().to_owned();
    let grafted = with(&file, |f| {
        let text = f["checkpoint"].as_str().unwrap().split("\n\n").next().unwrap().to_owned();
        f["checkpoint"] = json!(format!("{text}\n\n{signature}"));
    });
    let reason = verify(&grafted, &public()).unwrap_err();
    assert!(matches!(reason, Reason::Checkpoint(CheckpointReason::BadSignature(_))), "{reason}");
    // The proof of one log with the checkpoint of another of the same key.
    let swapped = with(&file, |f| f["checkpoint"] = json!(stolen));
    assert_eq!(verify(&swapped, &public()), Err(Reason::NotIncluded));
}

#[test]
fn a_log_that_goes_on_is_consistent_and_another_is_not() {
    run(async {
        let store = ledger_of(&[5]).await;
        let old = log(&store).await.checkpoint().clone();
        open(&store).await.append(&super::entries(5..700), NOW).await.unwrap();
        let reader = log(&store).await;
        let file = reader.prove_consistency(&old).await.unwrap();
        let (first, second) = verify_consistency(&file, &public()).unwrap();
        assert_eq!((first.size(), second.size()), (5, 700));
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(verify_consistency(&changed, &public()).is_err());
        }
        // The same key, another history.
        let other = Arc::new(InMemory::new());
        open(&other).await.append(&super::entries(100..105), NOW).await.unwrap();
        let fork = log(&other).await.checkpoint().clone();
        assert!(matches!(reader.prove_consistency(&fork).await, Err(LedgerError::Corrupt { .. })));
        let forged = with(&file, |f| f["old"] = json!(String::from_utf8(fork.note().to_vec()).unwrap()));
        let inconsistent = ConsistencyReason::Inconsistent { old: 5, new: 700 };
        assert_eq!(verify_consistency(&forged, &public()), Err(inconsistent));
        // A checkpoint of a larger log.
        let larger = reader.checkpoint().clone();
        let behind = log(&other).await.prove_consistency(&larger).await.unwrap_err();
        assert!(matches!(behind, LedgerError::Outside { index: 700, size: 5 }), "{behind}");
    });
}

#[test]
fn the_key_alone_is_needed() {
    let key = PublicKey::parse(&public().to_string()).unwrap();
    assert!(verify(&file(), &key).is_ok());
}
