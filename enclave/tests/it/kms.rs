//! Keys of AWS KMS: answers to `Decrypt` with `Recipient`, real ones and those of a stand-in.
//!
//! The real ones lie in the crate `cms` 0.3.0-rc.0 (`tests/examples/kms_ciphertext_for_recipient_{1..4}.ber`); their private
//! keys stayed in the enclaves that asked. More can be had by `aws kms decrypt --recipient …` in any enclave.

use crate::real::of_crate;
use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tarn_enclave::Secret;
use tarn_enclave::keys::cms::{ANSWER_BYTES_MAX, CmsError, Enveloped};
use tarn_enclave::keys::kms::{Answer, Attester, Decrypt, KmsStore, Wrapped};
use tarn_enclave::keys::{KeyName, KeyStore as _, StoreError};
use tarn_enclave::simulated::{NsmRequest, SimulatedAuthority, SimulatedKms, SoftwareNsm};

const PCR0: [u8; 48] = [0xa1; 48];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

/// An enclave, of an image that can be set.
struct Enclave {
    nsm: SoftwareNsm,
    pcr0: Vec<u8>,
}

impl Attester for Enclave {
    fn document(&self, public_key: &[u8]) -> Result<Vec<u8>, String> {
        let request = NsmRequest {
            timestamp: now(),
            pcrs: vec![(0, self.pcr0.clone()), (1, vec![1; 48]), (2, vec![2; 48])],
            nonce: None,
            public_key: Some(public_key.to_vec()),
            user_data: None,
        };
        self.nsm.document(&request).map_err(|error| error.to_string())
    }
}

/// KMS with somebody in between, who changes answers and keeps the last one.
struct Between {
    kms: SimulatedKms,
    change: fn(Vec<u8>) -> Vec<u8>,
    last: Mutex<Vec<u8>>,
}

#[async_trait::async_trait]
impl Decrypt for Between {
    async fn decrypt(&self, wrapped: &Wrapped, document: Vec<u8>) -> Result<Answer, String> {
        let answer = self.kms.decrypt(wrapped, document).await?;
        self.last.lock().unwrap().clone_from(&answer.ciphertext);
        Ok(Answer { ciphertext: (self.change)(answer.ciphertext), ..answer })
    }
}

fn store(pcr0: &[u8], change: fn(Vec<u8>) -> Vec<u8>) -> (KmsStore, Arc<Between>) {
    let authority = SimulatedAuthority::generate(now()).unwrap();
    let nsm = authority.nsm("i-1-enc1", now() - TimeDelta::minutes(1)).unwrap();
    let plaintexts = BTreeMap::from([(b"wrapped".to_vec(), Secret::new(b"a data key".to_vec()))]);
    let kms = SimulatedKms::new(authority.root(), PCR0.to_vec(), plaintexts, now());
    let between = Arc::new(Between { kms, change, last: Mutex::default() });
    let wrapped = |ciphertext: &[u8]| Wrapped {
        key_id: "alias/scorer".to_owned(),
        ciphertext: ciphertext.to_vec(),
        context: BTreeMap::new(),
    };
    let keys =
        BTreeMap::from([(name("a/b/c"), wrapped(b"wrapped")), (name("a/b/other"), wrapped(b"of somebody else"))]);
    let enclave = Arc::new(Enclave { nsm, pcr0: pcr0.to_vec() });
    (KmsStore::new(Arc::clone(&between) as _, enclave, keys).unwrap(), between)
}

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

/// An answer of the stand-in.
pub fn answer() -> Vec<u8> {
    let (store, between) = store(&PCR0, |answer| answer);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.key(&name("a/b/c"))).unwrap();
    between.last.lock().unwrap().clone()
}

pub fn answers() -> Vec<Vec<u8>> {
    (1..=4)
        .filter_map(|n| of_crate("cms-0.3.0-rc.0", &format!("tests/examples/kms_ciphertext_for_recipient_{n}.ber")))
        .collect()
}

#[test]
fn real_answers_are_read_and_open_for_nobody_else() {
    let key = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap()).unwrap();
    for answer in answers() {
        let enveloped = Enveloped::read(&answer).unwrap();
        assert_eq!(enveloped.open(&key).unwrap_err(), CmsError::Crypto);
    }
}

#[test]
fn real_answers_with_a_defect_are_refused() {
    for answer in answers() {
        for end in [0, 1, 2, 20, answer.len() / 2, answer.len() - 1] {
            assert!(matches!(Enveloped::read(&answer[..end]), Err(CmsError::Malformed(_))), "cut at {end}");
        }
        let trailing = [answer.as_slice(), &[0]].concat();
        assert!(matches!(Enveloped::read(&trailing), Err(CmsError::Malformed(_))));
        let with = |from: &[u8], to: &[u8]| {
            let at = answer.windows(from.len()).position(|window| window == from).unwrap();
            [&answer[..at], to, &answer[at + from.len()..]].concat()
        };
        // AES-256-CBC → AES-128-CBC, the first SHA-256 → SHA-512, enveloped → signed data.
        let aes128 = with(b"\x60\x86\x48\x01\x65\x03\x04\x01\x2a", b"\x60\x86\x48\x01\x65\x03\x04\x01\x02");
        assert!(matches!(Enveloped::read(&aes128), Err(CmsError::Algorithm { what: "the content", .. })));
        let sha512 = with(b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", b"\x60\x86\x48\x01\x65\x03\x04\x02\x03");
        assert!(matches!(Enveloped::read(&sha512), Err(CmsError::Algorithm { what: "the key", .. })));
        let signed = with(b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02");
        assert!(matches!(Enveloped::read(&signed), Err(CmsError::Malformed(_))));
    }
}

#[test]
fn bounds_hold() {
    assert_eq!(Enveloped::read(&vec![0x30; ANSWER_BYTES_MAX + 1]), Err(CmsError::TooLarge(ANSWER_BYTES_MAX + 1)));
    assert_eq!(Enveloped::read(&b"\x30\x80".repeat(10_000)), Err(CmsError::TooDeep));
    assert_eq!(Enveloped::read(&b"\x24\x80".repeat(10_000)), Err(CmsError::TooDeep));
    let mut nested = Vec::new();
    for _ in 0..40 {
        nested = [&[0x30, u8::try_from(nested.len()).unwrap()], nested.as_slice()].concat();
    }
    assert_eq!(Enveloped::read(&nested), Err(CmsError::TooDeep));
    for wrong in [
        &b""[..],
        b"\x30",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x89\x01\x01\x01\x01\x01\x01\x01\x01\x01",
        b"\x04\x80\0\0",
    ] {
        assert!(matches!(Enveloped::read(wrong), Err(CmsError::Malformed(_))), "{wrong:x?}");
    }
}

#[tokio::test]
async fn an_enclave_gets_the_key_and_another_image_does_not() {
    let (keys, between) = store(&PCR0, |answer| answer);
    let fetched = keys.key(&name("a/b/c")).await.unwrap();
    assert_eq!((fetched.key.expose(), fetched.request_uid.is_some()), (&b"a data key"[..], true));
    assert!(!between.last.lock().unwrap().windows(10).any(|window| window == b"a data key"));
    assert_eq!(keys.key(&name("a/b/d")).await.unwrap_err(), StoreError::NotFound);
    assert!(matches!(keys.key(&name("a/b/other")).await, Err(StoreError::Failed(_))));

    let (other, _) = store(&[0xb2; 48], |answer| answer);
    assert_eq!(other.key(&name("a/b/c")).await.unwrap_err(), StoreError::Failed("AccessDeniedException".to_owned()));
    let (debug, _) = store(&[0; 48], |answer| answer);
    assert!(matches!(debug.key(&name("a/b/c")).await, Err(StoreError::Failed(_))));
}

#[tokio::test]
async fn a_changed_answer_and_the_answer_for_another_key_are_refused() {
    let (changed, _) = store(&PCR0, |mut answer| {
        // Within the encrypted content key, past the recipient's identifier.
        let at = answer.len() / 2;
        answer[at] ^= 1;
        answer
    });
    assert!(matches!(changed.key(&name("a/b/c")).await, Err(StoreError::Failed(_))));
    let (empty, _) = store(&PCR0, |_| Vec::new());
    assert!(matches!(empty.key(&name("a/b/c")).await, Err(StoreError::Failed(_))));
    let (keys, between) = store(&PCR0, |answer| answer);
    keys.key(&name("a/b/c")).await.unwrap();
    let answer = between.last.lock().unwrap().clone();
    let key = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap()).unwrap();
    assert_eq!(Enveloped::read(&answer).unwrap().open(&key).unwrap_err(), CmsError::Crypto);
}
