//! Witnesses: their cosignatures on checkpoints, and policies over them.

use super::{audited, ledger_of, log, open, public, run, uid};
use base64::prelude::*;
use ed25519_dalek::{Signer as _, SigningKey};
use signed_note::key_id;
use tarn_attest::ledger::{
    Caveat, Checkpoint, CheckpointReason, Cosignature, Divergence, KeyError, LedgerError, Reason, Witness,
    WitnessPolicy, verify_witnessed,
};

/// A witness with its secret.
pub struct TestWitness {
    name: &'static str,
    secret: SigningKey,
}

pub fn witness(name: &'static str, seed: u8) -> TestWitness {
    TestWitness { name, secret: SigningKey::from_bytes(&[seed; 32]) }
}

impl TestWitness {
    fn encoded(&self) -> Vec<u8> {
        [&[4], self.secret.verifying_key().as_bytes().as_slice()].concat()
    }

    pub fn public(&self) -> Witness {
        let (id, key) = (key_id(self.name, &self.encoded()), BASE64_STANDARD.encode(self.encoded()));
        Witness::parse(&format!("{}+{id:08x}+{key}", self.name)).unwrap()
    }

    /// The note with this witness's cosignature more.
    pub fn cosign(&self, note: &[u8], time_s: u64) -> Vec<u8> {
        let note = std::str::from_utf8(note).unwrap();
        let (text, _) = note.split_once("\n\n").unwrap();
        let message = format!("cosignature/v1\ntime {time_s}\n{text}\n");
        let signature = self.secret.sign(message.as_bytes()).to_bytes();
        let id = key_id(self.name, &self.encoded()).to_be_bytes();
        let line = BASE64_STANDARD.encode([&id[..], &time_s.to_be_bytes(), &signature].concat());
        format!("{note}— {} {line}\n", self.name).into_bytes()
    }
}

pub fn policy(witnesses: &[&TestWitness], need: usize) -> WitnessPolicy {
    WitnessPolicy::new(witnesses.iter().map(|w| w.public()).collect(), need).unwrap()
}

#[test]
fn a_proof_carries_the_witnesses_of_its_checkpoint() {
    run(async {
        let (one, two, three) = (witness("w1.example", 1), witness("w2.example", 2), witness("w3.example", 3));
        let store = ledger_of(&[4, 4]).await;
        let mut ledger = open(&store).await;
        let note = ledger.checkpoint().await.unwrap().unwrap().note().clone();
        let note = two.cosign(&one.cosign(&note, 1_764_240_100), 1_764_240_200);
        ledger.cosign(&note, &[one.public(), two.public()]).await.unwrap();
        let file = log(&store).await.prove(&uid(5)).await.unwrap();
        let proven = verify_witnessed(&file, &public(), &policy(&[&one, &two, &three], 2)).unwrap();
        let expected = [("w1.example", 1_764_240_100), ("w2.example", 1_764_240_200)]
            .map(|(witness, time_s)| Cosignature { witness: witness.to_owned(), time_s });
        assert_eq!(proven.cosignatures(), expected);
        let too_few = verify_witnessed(&file, &public(), &policy(&[&one, &two, &three], 3));
        assert_eq!(too_few, Err(Reason::TooFewWitnesses { have: 2, need: 3 }));
        let none = verify_witnessed(&file, &public(), &policy(&[&three], 1));
        assert_eq!(none, Err(Reason::TooFewWitnesses { have: 0, need: 1 }));
        // Opening again keeps them; the next checkpoint has none.
        let report = audited(&store, &[], &policy(&[&one, &two], 2)).await;
        assert_eq!((report.divergence, report.caveats), (None, vec![Caveat::NoKnownCheckpoint]));
        open(&store).await.append(&super::entries(8..9), super::NOW).await.unwrap();
        let report = audited(&store, &[], &policy(&[&one], 1)).await;
        assert_eq!(report.divergence, Some(Divergence::NotWitnessed { need: 1, best: 0 }));
    });
}

#[test]
fn one_witness_twice_is_one() {
    run(async {
        let one = witness("w1.example", 1);
        let store = ledger_of(&[4]).await;
        let note = log(&store).await.checkpoint().note().clone();
        let note = one.cosign(&one.cosign(&note, 1), 2);
        let checkpoint = Checkpoint::verify(&note, &public()).unwrap();
        let (signed, _) = checkpoint.cosignatures(&[one.public(), one.public()][..1]).unwrap();
        assert_eq!(signed.len(), 1);
        assert!(WitnessPolicy::new(vec![one.public(), one.public()], 2).is_err());
        // Nor are two keys two witnesses.
        let rotated = witness("w1.example", 5);
        assert!(WitnessPolicy::new(vec![one.public(), rotated.public()], 2).is_err());
        let two = witness("w2.example", 2);
        let both = rotated.cosign(&one.cosign(log(&store).await.checkpoint().note(), 1), 2);
        let keys = [one.public(), rotated.public()];
        open(&store).await.cosign(&both, &keys).await.unwrap();
        let file = log(&store).await.prove(&uid(1)).await.unwrap();
        let policy = WitnessPolicy::new(vec![one.public(), rotated.public(), two.public()], 2).unwrap();
        let refused = verify_witnessed(&file, &public(), &policy).unwrap_err();
        assert_eq!(refused, Reason::TooFewWitnesses { have: 1, need: 2 });
    });
}

#[test]
fn false_cosignatures_are_refused() {
    run(async {
        let (one, impostor) = (witness("w1.example", 1), witness("w1.example", 9));
        let store = ledger_of(&[4]).await;
        let note = log(&store).await.checkpoint().note().to_vec();
        let false_ones = |note: &[u8]| {
            let checkpoint = Checkpoint::verify(note, &public()).unwrap();
            checkpoint.cosignatures(&[one.public()])
        };
        // Another key under the same name is nobody's known.
        let (signed, unknown) = false_ones(&impostor.cosign(&note, 5)).unwrap();
        assert_eq!((signed.len(), unknown), (0, 1));
        // The time is signed: another time is another signature.
        let earlier = String::from_utf8(one.cosign(&note, 500)).unwrap();
        let line = earlier.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned();
        let mut bytes = BASE64_STANDARD.decode(&line).unwrap();
        bytes[11] ^= 1;
        let forged = earlier.replace(&line, &BASE64_STANDARD.encode(bytes));
        let refused = false_ones(forged.as_bytes());
        assert_eq!(refused, Err(CheckpointReason::BadCosignature("w1.example".into())));
        // The cosignature of another checkpoint.
        let other = ledger_of(&[3]).await;
        let other = String::from_utf8(one.cosign(log(&other).await.checkpoint().note(), 7)).unwrap();
        let grafted = [&note[..], other.lines().last().unwrap().as_bytes(), b"\n"].concat();
        assert!(false_ones(&grafted).is_err());
        let mut ledger = open(&store).await;
        assert!(matches!(ledger.cosign(&grafted, &[one.public()]).await, Err(LedgerError::Checkpoint(_))));
        // A note of another tree is not published.
        let refused = ledger.cosign(other.as_bytes(), &[one.public()]).await;
        assert!(matches!(refused, Err(LedgerError::Outside { .. })));
        assert_eq!(audited(&store, &[], &WitnessPolicy::default()).await.divergence, None);
    });
}

#[test]
fn a_log_key_is_no_witness_key_and_the_other_way_round() {
    let refused = Witness::parse(&public().to_string()).unwrap_err();
    assert_eq!(refused, KeyError::Algorithm { found: 1, expected: 4 });
    let one = witness("w1.example", 1).public();
    assert!(tarn_attest::ledger::PublicKey::parse(&one.to_string()).is_err());
}

#[test]
fn unknown_signatures_are_told() {
    run(async {
        let (one, stranger) = (witness("w1.example", 1), witness("stranger.example", 8));
        let store = ledger_of(&[4]).await;
        let mut ledger = open(&store).await;
        let note = ledger.checkpoint().await.unwrap().unwrap().note().clone();
        ledger.cosign(&stranger.cosign(&one.cosign(&note, 1_764_240_001), 3), &[one.public()]).await.unwrap();
        let report = audited(&store, &[], &policy(&[&one], 1)).await;
        let caveats = vec![Caveat::UnknownSignatures(1), Caveat::NoKnownCheckpoint];
        assert_eq!((report.divergence, report.caveats), (None, caveats));
        let report = audited(&store, &[], &WitnessPolicy::default()).await;
        assert!(report.caveats.contains(&Caveat::UnknownSignatures(2)), "{:?}", report.caveats);
    });
}
