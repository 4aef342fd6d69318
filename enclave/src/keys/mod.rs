//! Where keys are kept until they are released.

#[cfg(feature = "kms")]
pub mod aws_kms;
pub mod cms;
mod file;
pub mod kms;
pub mod local;
pub mod wrapped;

use crate::secret::Secret;
use async_trait::async_trait;
use std::fmt;

/// Bytes of each part of a resource's name.
const PART_BYTES_MAX: usize = 128;

/// The name of a key: `repository/type/tag`, as the broker's protocol has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName {
    repository: String,
    whole: String,
}

/// What is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no key's name: expected repository/type/tag, each of letters, digits, '.', '_' and '-'")]
pub struct NameError(String);

impl KeyName {
    /// A name of its three parts.
    ///
    /// **Errors**: a part that is empty, too long, `.` or `..`, or has other characters.
    pub fn new(repository: &str, kind: &str, tag: &str) -> Result<Self, NameError> {
        let whole = format!("{repository}/{kind}/{tag}");
        let good = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            !part.is_empty() && part.len() <= PART_BYTES_MAX && part.bytes().all(plain) && part != "." && part != ".."
        };
        if [repository, kind, tag].into_iter().all(good) {
            return Ok(Self { repository: repository.to_owned(), whole });
        }
        Err(NameError(whole.chars().take(3 * PART_BYTES_MAX).collect()))
    }

    /// Its first part.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// `repository/type/tag`.
    pub fn as_str(&self) -> &str {
        &self.whole
    }
}

impl std::str::FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(repository), Some(kind), Some(tag), None) => Self::new(repository, kind, tag),
            _ => Err(NameError(text.chars().take(3 * PART_BYTES_MAX).collect())),
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

/// Which store it is, in records: `key_store_id` and its caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A sealed store on the broker's own disk.
    Local,
    /// AWS Key Management Service.
    AwsKms,
}

impl StoreKind {
    /// `key_store_id` and its caption.
    pub fn ocsf(self) -> (i32, &'static str) {
        match self {
            Self::Local => (1, "Local"),
            Self::AwsKms => (2, "AWS KMS"),
        }
    }
}

/// Why a store gave no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No key of this name.
    #[error("no key of this name")]
    NotFound,
    /// Everything else: it is not for the one who asks.
    #[error("the key store failed: {0}")]
    Failed(String),
}

/// A key in the clear, as a store gave it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The key.
    pub key: Secret,
    /// The request's id in the store's own log, such as CloudTrail's, by which both records are joined.
    pub request_uid: Option<String>,
}

/// A store of keys.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// The key of a name.
    ///
    /// **Errors**: there is none, or the store failed.
    async fn key(&self, name: &KeyName) -> Result<Fetched, StoreError>;

    /// Which store it is.
    fn kind(&self) -> StoreKind;
}
