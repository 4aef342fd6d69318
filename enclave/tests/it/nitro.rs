//! Nitro documents as an attacker would have them, made by software that signs as a Nitro Secure Module.

use chrono::{DateTime, TimeDelta, Utc};
use ciborium::Value;
use proptest::prelude::*;
use tarn_enclave::Reason;
use tarn_enclave::evidence::nitro::{DOCUMENT_BYTES_MAX, HardwareRoot, Nitro, RootError};
use tarn_enclave::evidence::{Assurance, Expected, Verification};
use tarn_enclave::simulated::{NsmRequest, SimulatedAuthority, SimulatedRoot, SoftwareNsm};

const NONCE: &[u8] = &[7; 48];
const KEY: &[u8] = b"a public key";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn expected() -> Expected<'static> {
    Expected {
        nonce: Some(NONCE),
        public_key: Some(KEY),
        now: now(),
        age_max: TimeDelta::minutes(5),
        skew_max: TimeDelta::minutes(1),
    }
}

fn request() -> NsmRequest {
    NsmRequest {
        timestamp: now() - TimeDelta::seconds(3),
        pcrs: (0..16).map(|index| (index, vec![u8::try_from(index).unwrap() + 1; 48])).collect(),
        nonce: Some(NONCE.to_vec()),
        public_key: Some(KEY.to_vec()),
        user_data: None,
    }
}

struct Bench {
    authority: SimulatedAuthority,
    nsm: SoftwareNsm,
    nitro: Nitro,
}

fn bench() -> Bench {
    let authority = SimulatedAuthority::generate(now()).unwrap();
    let nsm = authority.nsm("i-1-enc1", now() - TimeDelta::hours(1)).unwrap();
    let nitro = Nitro::simulated(authority.root());
    Bench { authority, nsm, nitro }
}

impl Bench {
    fn verify(&self, request: &NsmRequest) -> Verification {
        self.nitro.verify(&self.nsm.document(request).unwrap(), &expected())
    }

    /// The verdict on a payload that `change` made of a good one.
    fn changed(&self, change: impl FnOnce(&mut Vec<(Value, Value)>)) -> Option<Reason> {
        let Value::Map(mut pairs) = self.nsm.payload(&request()) else { unreachable!() };
        change(&mut pairs);
        self.signed(&cbor(&Value::Map(pairs)))
    }

    fn signed(&self, payload: &[u8]) -> Option<Reason> {
        reason(&self.nitro.verify(&self.nsm.sign(payload).unwrap(), &expected()))
    }

    fn document(&self, bytes: &[u8]) -> Option<Reason> {
        reason(&self.nitro.verify(bytes, &expected()))
    }
}

fn reason(verification: &Verification) -> Option<Reason> {
    assert_eq!(verification.attested().is_ok(), verification.refusal().is_none());
    verification.refusal().map(|refusal| refusal.reason)
}

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn set(pairs: &mut [(Value, Value)], name: &str, value: Value) {
    pairs.iter_mut().find(|(key, _)| key.as_text() == Some(name)).unwrap().1 = value;
}

/// The four items of the envelope, changed and encoded again.
fn envelope(document: &[u8], change: impl FnOnce(&mut Vec<Value>)) -> Vec<u8> {
    let Value::Array(mut items) = ciborium::from_reader(document).unwrap() else { unreachable!() };
    change(&mut items);
    cbor(&Value::Array(items))
}

#[test]
fn a_good_document_passes_and_says_that_it_is_simulated() {
    let verification = bench().verify(&request());
    assert_eq!(verification.refusal(), None);
    let names: Vec<_> = verification.steps().iter().map(|step| step.name).collect();
    assert_eq!(names, ["document", "certificate_chain", "signature", "age", "debug", "public_key", "nonce"]);
    let attested = verification.attested().unwrap();
    assert_eq!(attested.claims().assurance, Assurance::Simulated);
    assert_eq!((attested.claims().uid.as_deref(), attested.claims().measurements.len()), (Some("i-1-enc1"), 16));
}

#[test]
fn a_simulated_root_is_none_of_hardware() {
    let authority = SimulatedAuthority::generate(now()).unwrap();
    let text = authority.root().to_text();
    assert_eq!(HardwareRoot::from_der(text.as_bytes()).unwrap_err(), RootError::NoCertificate);
    let der = hex::decode(text.trim().split(':').nth(1).unwrap()).unwrap();
    assert!(matches!(HardwareRoot::from_der(&der), Err(RootError::Simulated { .. })));
    assert_eq!(SimulatedRoot::from_text(&text).unwrap(), *authority.root());
    assert_eq!(*SimulatedAuthority::from_text(&authority.to_text()).unwrap().root(), *authority.root());
    assert!(SimulatedRoot::from_text("tarn-simulated-root:00").is_err());
    assert!(SimulatedAuthority::from_text(&text).is_err());
}

#[test]
fn a_document_of_another_root_is_refused() {
    let (ours, theirs) = (bench(), bench());
    let document = theirs.nsm.document(&request()).unwrap();
    assert_eq!(ours.document(&document), Some(Reason::CertificateUntrusted));
}

#[test]
fn the_given_root_counts_and_not_the_one_brought_along() {
    let (ours, theirs) = (bench(), bench());
    let Value::Map(pairs) = ours.nsm.payload(&request()) else { unreachable!() };
    let root =
        pairs.iter().find(|(key, _)| key.as_text() == Some("cabundle")).unwrap().1.as_array().unwrap()[0].clone();
    let Value::Map(mut pairs) = theirs.nsm.payload(&request()) else { unreachable!() };
    let chain = pairs.iter_mut().find(|(key, _)| key.as_text() == Some("cabundle")).unwrap();
    chain.1.as_array_mut().unwrap()[0] = root;
    let document = theirs.nsm.sign(&cbor(&Value::Map(pairs))).unwrap();
    assert_eq!(ours.document(&document), Some(Reason::CertificateUntrusted));
}

#[test]
fn the_chain_holds_at_the_documents_time_and_the_document_must_be_fresh() {
    let bench = bench();
    let at = |timestamp, now| {
        let document = bench.nsm.document(&NsmRequest { timestamp, ..request() }).unwrap();
        reason(&bench.nitro.verify(&document, &Expected { now, ..expected() }))
    };
    // Certificates from an hour before `now`, for three hours.
    assert_eq!(at(now() + TimeDelta::minutes(119), now() + TimeDelta::minutes(121)), None, "expired since, valid then");
    assert_eq!(at(now() + TimeDelta::minutes(121), now() + TimeDelta::minutes(121)), Some(Reason::CertificateExpired));
    assert_eq!(
        at(now() - TimeDelta::minutes(61), now() - TimeDelta::minutes(61)),
        Some(Reason::CertificateNotYetValid)
    );
    assert_eq!(at(now() - TimeDelta::seconds(301), now()), Some(Reason::DocumentExpired));
    assert_eq!(at(now() - TimeDelta::seconds(300), now()), None);
    assert_eq!(at(now() + TimeDelta::seconds(61), now()), Some(Reason::DocumentNotYetValid));
    assert_eq!(at(now() + TimeDelta::seconds(60), now()), None);
}

#[test]
fn debug_mode_and_registers_that_say_nothing_are_refused() {
    let bench = bench();
    let with = |zeros: &[u32], absent: &[u32]| {
        let pcrs = request().pcrs.into_iter().filter(|(index, _)| !absent.contains(index));
        let pcrs =
            pcrs.map(|(index, value)| (index, if zeros.contains(&index) { vec![0; 48] } else { value })).collect();
        reason(&bench.verify(&NsmRequest { pcrs, ..request() }))
    };
    assert_eq!(with(&[0, 1, 2], &[]), Some(Reason::DebugMode));
    assert_eq!(with(&[0], &[]), Some(Reason::MeasurementMissing));
    assert_eq!(with(&[2], &[]), Some(Reason::MeasurementMissing));
    assert_eq!(with(&[], &[1]), Some(Reason::MeasurementMissing));
    assert_eq!(with(&[3, 4, 8], &[15]), None, "PCR3 and up may be unused");
}

#[test]
fn another_challenge_and_another_key_are_refused() {
    let bench = bench();
    let verdict = |request| reason(&bench.verify(&request));
    assert_eq!(verdict(NsmRequest { nonce: Some(vec![8; 48]), ..request() }), Some(Reason::NonceMismatch));
    assert_eq!(verdict(NsmRequest { nonce: None, ..request() }), Some(Reason::NonceMismatch));
    assert_eq!(verdict(NsmRequest { public_key: Some(b"swapped".to_vec()), ..request() }), Some(Reason::KeyNotBound));
    assert_eq!(verdict(NsmRequest { public_key: None, ..request() }), Some(Reason::KeyNotBound));
}

#[test]
fn another_algorithm_is_refused() {
    let bench = bench();
    let document = bench.nsm.document(&request()).unwrap();
    let header = |value: i64| Value::Bytes(cbor(&Value::Map(vec![(Value::from(1), Value::from(value))])));
    for algorithm in [-7, -36, -8, 5, -37, -257] {
        let changed = envelope(&document, |items| items[0] = header(algorithm));
        assert_eq!(bench.document(&changed), Some(Reason::AlgorithmNotAllowed), "{algorithm}");
    }
    let none = envelope(&document, |items| items[0] = Value::Bytes(Vec::new()));
    assert_eq!(bench.document(&none), Some(Reason::AlgorithmNotAllowed));
    // The algorithm in the header that nobody signs.
    let moved = envelope(&document, |items| {
        items[0] = Value::Bytes(Vec::new());
        items[1] = Value::Map(vec![(Value::from(1), Value::from(-35))]);
    });
    assert_eq!(bench.document(&moved), Some(Reason::AlgorithmNotAllowed));
    assert_eq!(bench.changed(|pairs| set(pairs, "digest", "SHA256".into())), Some(Reason::AlgorithmNotAllowed));
}

#[test]
fn an_envelope_of_another_form_is_refused() {
    let bench = bench();
    let document = bench.nsm.document(&request()).unwrap();
    let malformed = Some(Reason::MalformedDocument);
    assert_eq!(bench.document(&[]), malformed);
    assert_eq!(bench.document(b"{}"), malformed);
    assert_eq!(bench.document(&document[..document.len() - 1]), malformed);
    assert_eq!(bench.document(&[document.as_slice(), &[0]].concat()), malformed);
    assert_eq!(bench.document(&[&[0xd2], document.as_slice()].concat()), Some(Reason::UnsupportedFormat));
    assert_eq!(bench.document(&envelope(&document, |items| items.truncate(3))), malformed);
    assert_eq!(bench.document(&envelope(&document, |items| items.push(Value::Null))), malformed);
    assert_eq!(bench.document(&envelope(&document, |items| items[2] = Value::Null)), malformed);
    let more = Value::Map(vec![(Value::from(4), Value::Bytes(vec![1]))]);
    assert_eq!(bench.document(&envelope(&document, |items| items[1] = more)), malformed);
    let short = envelope(&document, |items| items[3] = Value::Bytes(vec![0; 95]));
    assert_eq!(bench.document(&short), Some(Reason::SignatureInvalid));
}

#[test]
fn a_payload_of_another_form_is_refused() {
    let bench = bench();
    let malformed = Some(Reason::MalformedDocument);
    let field = |name: &'static str, value: Value| bench.changed(|pairs| set(pairs, name, value));
    for name in ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"] {
        assert_eq!(bench.changed(|pairs| pairs.retain(|(key, _)| key.as_text() != Some(name))), malformed, "{name}");
        assert_eq!(field(name, Value::Null), malformed, "{name} null");
    }
    for name in ["public_key", "user_data", "nonce", "module_id", "pcrs"] {
        assert_eq!(field(name, Value::from(1)), malformed, "{name} a number");
    }
    assert_eq!(bench.changed(|pairs| pairs.push(("extra".into(), Value::Null))), malformed);
    assert_eq!(bench.changed(|pairs| pairs.push((Value::from(1), Value::Null))), malformed);
    assert_eq!(field("timestamp", Value::from(0)), malformed);
    assert_eq!(field("timestamp", Value::from(u64::MAX)), malformed);
    assert_eq!(field("module_id", "".into()), malformed);
    assert_eq!(field("pcrs", Value::Map(Vec::new())), malformed);
    let pcr = |index: i64, bytes: usize| Value::Map(vec![(Value::from(index), Value::Bytes(vec![1; bytes]))]);
    assert_eq!(field("pcrs", pcr(32, 48)), malformed);
    assert_eq!(field("pcrs", pcr(-1, 48)), malformed);
    assert_eq!(field("pcrs", pcr(0, 47)), malformed);
    assert_eq!(field("cabundle", Value::Array(Vec::new())), malformed);
    assert_eq!(field("certificate", Value::Bytes(vec![0x30, 0])), malformed);
    assert_eq!(bench.signed(&cbor(&Value::Array(Vec::new()))), malformed);
    let trailing = [cbor(&bench.nsm.payload(&request())), vec![0xf6]].concat();
    assert_eq!(bench.signed(&trailing), malformed);
}

#[test]
fn a_key_twice_is_refused() {
    let bench = bench();
    let malformed = Some(Reason::MalformedDocument);
    assert_eq!(bench.changed(|pairs| pairs.push(("nonce".into(), Value::Bytes(NONCE.to_vec())))), malformed);
    let twice =
        Value::Map(vec![(Value::from(0), Value::Bytes(vec![1; 48])), (Value::from(0), Value::Bytes(vec![2; 48]))]);
    assert_eq!(bench.changed(|pairs| set(pairs, "pcrs", twice)), malformed);
    let document = bench.nsm.document(&request()).unwrap();
    let header = cbor(&Value::Map(vec![(Value::from(1), Value::from(-35)), (Value::from(1), Value::from(-35))]));
    assert_eq!(bench.document(&envelope(&document, |items| items[0] = Value::Bytes(header))), malformed);
}

#[test]
fn nulls_absence_and_indefinite_lengths_are_read() {
    let bench = bench();
    assert_eq!(bench.changed(|pairs| pairs.retain(|(key, _)| key.as_text() != Some("user_data"))), None);
    // The map and a text in pieces: 0xbf … 0xff, 0x7f … 0xff.
    let payload = cbor(&bench.nsm.payload(&request()));
    assert_eq!(payload[0], 0xa9);
    let digest = payload.windows(7).position(|window| window == b"\x66SHA384").unwrap();
    let pieces = [&[0xbf], &payload[1..digest], b"\x7f\x63SHA\x63384\xff", &payload[digest + 7..], &[0xff]].concat();
    assert_eq!(bench.signed(&pieces), None);
}

#[test]
fn bounds_hold() {
    let bench = bench();
    let limit = Some(Reason::LimitExceeded);
    assert_eq!(bench.document(&vec![0; DOCUMENT_BYTES_MAX + 1]), limit);
    assert_eq!(bench.document(&[0x81].repeat(DOCUMENT_BYTES_MAX)), limit, "deep lists");
    assert_eq!(bench.document(&[0x9f].repeat(DOCUMENT_BYTES_MAX)), limit, "deep lists of indefinite length");
    assert_eq!(bench.document(&[0xd8, 0x18].repeat(1000)), limit, "tags of tags");
    assert_eq!(bench.signed(&[0xa1].repeat(1000)), limit, "deep maps");
    let field =
        |name: &'static str, bytes: usize| bench.changed(|pairs| set(pairs, name, Value::Bytes(vec![1; bytes])));
    assert_eq!(field("user_data", 512), None);
    assert_eq!(field("user_data", 513), limit);
    assert_eq!(field("nonce", 513), limit);
    assert_eq!(field("public_key", 1025), limit);
    assert_eq!(field("certificate", 1025), limit);
    let long = |count| Value::Array(vec![Value::Bytes(vec![1; 10]); count]);
    assert_eq!(bench.changed(|pairs| set(pairs, "cabundle", long(17))), limit);
    // A length of 2⁶⁰ bytes is no reason to ask for memory.
    assert_eq!(bench.document(&[0x5b, 0x10, 0, 0, 0, 0, 0, 0, 0]), Some(Reason::MalformedDocument));
    assert_eq!(bench.document(&[0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0]), Some(Reason::MalformedDocument));
}

#[test]
fn a_signature_may_be_another_and_the_payload_is_the_same() {
    let bench = bench();
    let payload = cbor(&bench.nsm.payload(&request()));
    let verify = || bench.nitro.verify(&bench.nsm.sign(&payload).unwrap(), &expected()).attested().unwrap();
    let (one, two) = (verify(), verify());
    assert_ne!(one.claims().document_digest, two.claims().document_digest);
    assert_eq!(one.claims().payload_digest, two.claims().payload_digest);
}

#[test]
fn the_instances_certificate_may_not_sign_documents() {
    // Its own authority's key signs; its certificate is an authority's, which webpki takes for no end entity.
    let bench = bench();
    let other = bench.authority.nsm("i-2-enc2", now() - TimeDelta::hours(1)).unwrap();
    let Value::Map(pairs) = other.payload(&request()) else { unreachable!() };
    let chain = pairs.iter().find(|(key, _)| key.as_text() == Some("cabundle")).unwrap().1.as_array().unwrap();
    let instance = chain[1].clone();
    assert_eq!(bench.changed(|pairs| set(pairs, "certificate", instance)), Some(Reason::CertificateUntrusted));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_document_passes(at in 0.0..1.0_f64, bit in 0_u8..8) {
        let bench = bench();
        let mut document = bench.nsm.document(&request()).unwrap();
        let index = (at * document.len() as f64) as usize;
        document[index] ^= 1 << bit;
        prop_assert!(bench.document(&document).is_some(), "byte {index}, bit {bit}");
    }

    #[test]
    fn whatever_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bench = bench();
        prop_assert!(bench.document(&bytes).is_some());
        prop_assert!(bench.signed(&bytes).is_some());
    }
}
