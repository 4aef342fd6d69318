//! Keys that AWS KMS unwraps for an enclave alone: `Decrypt` with `Recipient` carries the enclave's attestation document, the
//! key's policy in KMS looks at its measurements, and the answer is encrypted to the document's public key. The broker that
//! uses it runs in an enclave itself.

use super::cms::Enveloped;
use super::{Fetched, KeyName, KeyStore, StoreError, StoreKind};
use async_trait::async_trait;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a ciphertext: the most that KMS takes.
pub(super) const CIPHERTEXT_BYTES_MAX: usize = 6144;

/// What attests the broker: the Nitro Secure Module, or software in its place.
pub trait Attester: Send + Sync {
    /// A fresh attestation document that binds a public key, as SubjectPublicKeyInfo in DER.
    ///
    /// **Errors**: in words.
    fn document(&self, public_key: &[u8]) -> Result<Vec<u8>, String>;
}

/// A key as KMS has wrapped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The id or ARN of the key in KMS.
    pub key_id: String,
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// The encryption context that it was wrapped with.
    pub context: BTreeMap<String, String>,
}

/// What KMS answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `CiphertextForRecipient`.
    pub ciphertext: Vec<u8>,
    /// The request's id, which CloudTrail has too.
    pub request_uid: Option<String>,
}

/// `Decrypt` with `Recipient`.
#[async_trait]
pub trait Decrypt: Send + Sync {
    /// Unwraps a key for the enclave that the document attests.
    ///
    /// **Errors**: KMS refused, or is away.
    async fn decrypt(&self, wrapped: &Wrapped, document: Vec<u8>) -> Result<Answer, String>;
}

/// The store.
pub struct KmsStore {
    kms: Arc<dyn Decrypt>,
    attester: Arc<dyn Attester>,
    private: OaepPrivateDecryptingKey,
    public: Vec<u8>,
    keys: BTreeMap<KeyName, Wrapped>,
}

impl KmsStore {
    /// A store of these keys, with a key pair of its own that never leaves it.
    ///
    /// **Errors**: the key pair could not be made, or a ciphertext is longer than KMS takes.
    pub fn new(
        kms: Arc<dyn Decrypt>,
        attester: Arc<dyn Attester>,
        keys: BTreeMap<KeyName, Wrapped>,
    ) -> Result<Self, StoreError> {
        let failed = |_| StoreError::Failed("the store's key pair could not be made".to_owned());
        if let Some((name, _)) = keys.iter().find(|(_, wrapped)| wrapped.ciphertext.len() > CIPHERTEXT_BYTES_MAX) {
            return Err(StoreError::Failed(format!(
                "the ciphertext of {name} is longer than {CIPHERTEXT_BYTES_MAX} bytes"
            )));
        }
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(failed)?;
        let public = private.public_key().as_der().map_err(failed)?.as_ref().to_vec();
        let private = OaepPrivateDecryptingKey::new(private).map_err(failed)?;
        Ok(Self { kms, attester, private, public, keys })
    }
}

#[async_trait]
impl KeyStore for KmsStore {
    async fn key(&self, name: &KeyName) -> Result<Fetched, StoreError> {
        let wrapped = self.keys.get(name).ok_or(StoreError::NotFound)?;
        let document = self.attester.document(&self.public).map_err(StoreError::Failed)?;
        let answer = self.kms.decrypt(wrapped, document).await.map_err(StoreError::Failed)?;
        let opened = Enveloped::read(&answer.ciphertext).and_then(|enveloped| enveloped.open(&self.private));
        let key = opened.map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Fetched { key, request_uid: answer.request_uid })
    }

    fn kind(&self) -> StoreKind {
        StoreKind::AwsKms
    }
}

/// The encryption context that binds a wrapped key to its name.
pub fn context(name: &KeyName) -> BTreeMap<String, String> {
    BTreeMap::from([("tarn:key".to_owned(), name.to_string())])
}
