//! Keys that a service keeps: what it signs is a checkpoint like any other, and what it does wrong is none.

use super::{NOW, entries, log, prefix, run, signer};
use async_trait::async_trait;
use ed25519_dalek::{Signer as _, SigningKey};
use object_store::memory::InMemory;
use std::sync::Arc;
use tarn_attest::ledger::{KeyError, KeyService, KmsKey, Ledger, LedgerError, Log, Signer};

/// The key of the other tests.
const SECRET: [u8; 32] = [7; 32];

enum Service {
    Signs,
    SignsSomethingElse,
    SignsByAnotherKey,
    AnswersNothing,
    Refuses,
}

#[async_trait]
impl KeyService for Service {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = SigningKey::from_bytes(&SECRET);
        match self {
            Self::Signs => Ok(key.sign(message).to_vec()),
            Self::SignsSomethingElse => Ok(key.sign(b"something else").to_vec()),
            Self::SignsByAnotherKey => Ok(SigningKey::from_bytes(&[8; 32]).sign(message).to_vec()),
            Self::AnswersNothing => Ok(Vec::new()),
            Self::Refuses => Err(KeyError::Service("AccessDeniedException".to_owned())),
        }
    }
}

fn of(service: Service) -> Signer {
    let public = SigningKey::from_bytes(&SECRET).verifying_key().to_bytes();
    Signer::of_service("example.com/evidence", &public, Arc::new(service)).unwrap()
}

#[test]
fn a_service_signs_as_its_key_in_a_file_would() {
    run(async {
        assert_eq!(of(Service::Signs).public(), signer().public());
        assert_eq!(of(Service::Signs).secret_text(), None);
        let store = Arc::new(InMemory::new());
        let mut ledger = Ledger::open(store.clone(), &prefix(), of(Service::Signs)).await.unwrap();
        ledger.append(&entries(0..3), NOW).await.unwrap();
        assert_eq!(log(&store).await.checkpoint().size(), 3);
        // The ledger is its key's, wherever that is kept.
        let mut ledger = Ledger::open(store.clone(), &prefix(), signer()).await.unwrap();
        ledger.append(&entries(3..5), NOW).await.unwrap();
        assert_eq!(log(&store).await.checkpoint().size(), 5);
    });
}

#[test]
fn what_a_service_does_wrong_leaves_the_log_as_it_was() {
    run(async {
        let store = Arc::new(InMemory::new());
        let mut ledger = Ledger::open(store.clone(), &prefix(), signer()).await.unwrap();
        ledger.append(&entries(0..3), NOW).await.unwrap();
        for (service, expected) in [
            (Service::SignsSomethingElse, "the signature is not by"),
            (Service::SignsByAnotherKey, "the signature is not by"),
            (Service::AnswersNothing, "the signature is not by"),
            (Service::Refuses, "AccessDeniedException"),
        ] {
            let mut ledger = Ledger::open(store.clone(), &prefix(), of(service)).await.unwrap();
            let refused = ledger.append(&entries(3..5), NOW).await.unwrap_err();
            assert!(matches!(&refused, LedgerError::Key(error) if error.to_string().contains(expected)), "{refused}");
        }
        let log: Log = log(&store).await;
        assert_eq!(log.checkpoint().size(), 3);
        let weak = Signer::of_service("example.com/evidence", &[0; 32], Arc::new(Service::Signs));
        assert_eq!(weak.unwrap_err(), KeyError::Weak);
    });
}

#[test]
fn a_key_of_kms_is_named_with_the_ledgers_name() {
    let arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    for id in [arn, "alias/evidence", "mrk-1234"] {
        let read = KmsKey::parse(&format!("awskms:///{id}?name=example.com/evidence")).unwrap();
        assert_eq!(read, KmsKey { key_id: id.to_owned(), name: "example.com/evidence".to_owned() });
    }
    for wrong in [
        "awskms:///alias/evidence",
        "awskms:///?name=example.com/evidence",
        "awskms:///alias/evidence?name=",
        "awskms://kms.example/alias/evidence?name=example.com/evidence",
        "awskms:///a b?name=example.com/evidence",
        "awskms:",
    ] {
        assert!(KmsKey::is_one(wrong), "{wrong}");
        assert!(matches!(KmsKey::parse(wrong), Err(KeyError::Malformed { .. })), "{wrong}");
    }
    assert!(!KmsKey::is_one("awskms.key"));
}
