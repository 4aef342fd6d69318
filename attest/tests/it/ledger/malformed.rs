//! Bytes that nobody's writer made: refused with a word, never a panic.

use super::{ledger_of, objects, plain_audit, prefix, public, put, run, signer};
use proptest::prelude::*;
use tarn_attest::ledger::{
    Checkpoint, CheckpointReason, KeyError, Leaf, LeafError, Ledger, Log, PublicKey, Signer, Witness, verify,
    verify_consistency,
};

#[test]
fn keys() {
    let good = public().to_string();
    let cases = [
        ("", KeyError::Malformed { expected: "NAME+ID+BASE64" }),
        ("name", KeyError::Malformed { expected: "NAME+ID+BASE64" }),
        ("name+00000000+!!!!", KeyError::Malformed { expected: "NAME+ID+BASE64" }),
        ("name+00000000+AQ==", KeyError::Malformed { expected: "NAME+ID+BASE64" }),
        ("name+00000000+", KeyError::Malformed { expected: "NAME+ID+BASE64" }),
        (&good.replace("b8276b1e", "b8276b1f"), KeyError::Id),
        (&good.replace("b8276b1e", "B8276B1E"), KeyError::Id),
        (&good.replace("example.com", "example.org"), KeyError::Id),
        // The neutral point: anything is its signature.
        ("n+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", KeyError::Weak),
    ];
    for (text, expected) in cases {
        assert_eq!(PublicKey::parse(text).unwrap_err(), expected, "{text}");
    }
    assert!(PublicKey::parse(&"n".repeat(100_000)).is_err());
    let secret = signer().secret_text().unwrap();
    for text in
        ["", "PRIVATE+KEY+", &secret[8..], &secret.replace("+AQcH", "+BAcH"), &secret.replace("b8276b1e", "00000000")]
    {
        let refused = Signer::parse(text).unwrap_err();
        assert!(!refused.to_string().contains("BwcHBwcH"), "{refused}");
    }
}

#[test]
fn checkpoints() {
    let note = run(async {
        let store = ledger_of(&[3]).await;
        Log::open(store, &prefix(), public()).await.unwrap().checkpoint().note().clone()
    });
    let note = String::from_utf8(note.to_vec()).unwrap();
    let cases = [
        String::new(),
        note.trim_end().to_owned(),
        note.replace("\n3\n", "\n03\n"),
        note.replace("\n3\n", "\n-3\n"),
        note.replace("\n3\n", "\n18446744073709551616\n"),
        note.replace("\n\n", "\nextension\n\n"),
        note.replace("\n\n", "\n"),
        note.replace("— ", "- "),
        format!("{note}\n"),
        format!("{note}{}", "— w AAAAAAAA\n".repeat(101)),
        note.repeat(1000),
    ];
    for text in cases {
        assert_eq!(Checkpoint::verify(text.as_bytes(), &public()), Err(CheckpointReason::Malformed), "{text}");
    }
    let changed = note.replace("\n3\n", "\n4\n");
    assert!(matches!(Checkpoint::verify(changed.as_bytes(), &public()), Err(CheckpointReason::BadSignature(_))));
    let unsigned = format!("{}\n\n— w AAAAAAAA\n", note.split("\n\n").next().unwrap());
    assert!(matches!(Checkpoint::verify(unsigned.as_bytes(), &public()), Err(CheckpointReason::Unsigned(_))));
}

#[test]
fn leaves() {
    let blob = |c: &str| format!(r#"{{"sha256":"{}","size":3}}"#, c.repeat(64));
    let leaf = |uid: &str| format!(r#"{{"batch":0,"logged_at":5,"record":{},"uid":{uid},"v":1}}"#, blob("a"));
    assert!(Leaf::parse(leaf(r#""u""#).as_bytes()).is_ok());
    assert!(Leaf::parse(leaf(r#""\u0001é\n""#).as_bytes()).is_ok());
    let not_canonical = [
        leaf(r#""\u00e9""#),
        leaf(r#""\/""#),
        leaf(r#""u""#).replace(":5", ": 5"),
        leaf(r#""u""#).replace(&blob("a"), &blob("A")),
        leaf(r#""u""#).replace(r#""batch":0,"logged_at":5"#, r#""logged_at":5,"batch":0"#),
    ];
    for text in not_canonical {
        assert_eq!(Leaf::parse(text.as_bytes()), Err(LeafError::NotCanonical), "{text}");
    }
    let malformed = [
        leaf(r#""""#),
        leaf("3"),
        leaf(&format!("{:?}", "u".repeat(1025))),
        leaf(r#""u""#).replace(r#""v":1"#, r#""v":2"#),
        leaf(r#""u""#).replace(r#""v":1"#, r#""v":1,"w":1"#),
        leaf(r#""u""#).replace(":3", ":99999999999"),
        leaf(r#""u""#).replace(&"a".repeat(64), &"a".repeat(63)),
        leaf(r#""u""#).replace(r#""batch":0"#, r#""batch":-1"#),
        "x".repeat(70_000),
    ];
    for text in malformed {
        assert!(matches!(Leaf::parse(text.as_bytes()), Err(LeafError::Malformed(_))), "{text}");
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,200}") {
        for bytes in [&bytes[..], text.as_bytes()] {
            prop_assert!(verify(bytes, &public()).is_err());
            prop_assert!(verify_consistency(bytes, &public()).is_err());
            prop_assert!(Checkpoint::verify(bytes, &public()).is_err());
            prop_assert!(Leaf::parse(bytes).is_err());
        }
        prop_assert!(PublicKey::parse(&text).is_err() && Witness::parse(&text).is_err() && Signer::parse(&text).is_err());
    }

    /// Any object may hold anything: readers, writers and audits answer.
    #[test]
    fn random_objects_are_answered(at in any::<prop::sample::Index>(), head in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        run(async {
            let store = ledger_of(&[3, 260]).await;
            let whole = objects(&store).await;
            let (path, there) = at.get(&whole);
            // With its own beginning, to get further.
            let bytes = if head { [&there[..there.len().min(20)], &bytes].concat() } else { bytes };
            put(&store, path, bytes).await;
            prop_assert!(plain_audit(&store).await.divergence.is_some());
            if let Ok(reader) = Log::open(store.clone(), &prefix(), public()).await {
                let _ = reader.prove("evidence-1").await;
                let _ = reader.prove("evidence-262").await;
            }
            if let Ok(mut ledger) = Ledger::open(store, &prefix(), signer()).await {
                let _ = ledger.append(&super::entries(0..3), 0).await;
            }
            Ok(())
        })?;
    }
}
