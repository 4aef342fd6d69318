//! Keys of signed notes: what signs checkpoints, and what checks them.
//!
//! The texts are those of C2SP signed-note and of Go's `note` package: `NAME+ID+BASE64` for a public key,
//! `PRIVATE+KEY+NAME+ID+BASE64` for a signing key. The name is the log's origin.

use async_trait::async_trait;
use base64::prelude::*;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use signed_note::{is_key_name_valid, key_id};
use std::fmt;
use std::sync::Arc;

/// The type byte of Ed25519 in a signed note's key.
const ED25519: u8 = 1;

/// Longest text of a key.
const KEY_BYTES_MAX: usize = 1024;

/// Why a key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the text of a key.
    #[error("not a key: expected {expected}")]
    Malformed {
        /// The form that was expected.
        expected: &'static str,
    },
    /// A name with spaces or a plus.
    #[error("{0:?} is no key name: no spaces and no plus, as in example.com/evidence")]
    Name(String),
    /// The type byte is another algorithm's.
    #[error("the key is of type {found}, expected {expected}")]
    Algorithm {
        /// In the key.
        found: u8,
        /// For this use.
        expected: u8,
    },
    /// The hash of name and key is not the one in the text.
    #[error("the key id is not that of this name and key")]
    Id,
    /// A point that makes forgeries possible.
    #[error("a weak key: not a point of prime order")]
    Weak,
    /// A key service that refuses, is not reached, or answers something else.
    #[error("the key service: {0}")]
    Service(String),
    /// The system's random numbers failed.
    #[error("no random numbers: {0}")]
    Random(String),
}

/// A note key as its text has it: name, id and Ed25519 point.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NoteKey {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) point: VerifyingKey,
    algorithm: u8,
}

impl NoteKey {
    fn new(name: &str, algorithm: u8, point: VerifyingKey) -> Result<Self, KeyError> {
        if !is_key_name_valid(name) || name.len() > KEY_BYTES_MAX / 2 || name.chars().any(char::is_control) {
            return Err(KeyError::Name(name.to_owned()));
        }
        if point.is_weak() {
            return Err(KeyError::Weak);
        }
        let id = key_id(name, &[&[algorithm], point.as_bytes().as_slice()].concat());
        Ok(Self { name: name.to_owned(), id, point, algorithm })
    }

    /// Reads `NAME+ID+BASE64` with this type byte.
    pub(crate) fn parse(text: &str, algorithm: u8) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { expected: "NAME+ID+BASE64" };
        if text.len() > KEY_BYTES_MAX {
            return Err(malformed());
        }
        let (name, rest) = text.trim_end().split_once('+').ok_or_else(malformed)?;
        let (id, key) = rest.split_once('+').ok_or_else(malformed)?;
        let key = BASE64_STANDARD.decode(key).map_err(|_| malformed())?;
        let (found, point) = key.split_first().ok_or_else(malformed)?;
        if *found != algorithm {
            return Err(KeyError::Algorithm { found: *found, expected: algorithm });
        }
        let point: &[u8; 32] = point.try_into().map_err(|_| malformed())?;
        let point = VerifyingKey::from_bytes(point).map_err(|_| malformed())?;
        let key = Self::new(name, algorithm, point)?;
        if format!("{:08x}", key.id) == id { Ok(key) } else { Err(KeyError::Id) }
    }

    /// Whether this is the key's signature of the message, malleable forms refused.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|s| self.point.verify_strict(message, &s).is_ok())
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm], self.point.as_bytes().as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id, BASE64_STANDARD.encode(key))
    }
}

impl fmt::Debug for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A log's public key: all that a check needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(pub(crate) NoteKey);

impl PublicKey {
    /// Reads `NAME+ID+BASE64`.
    ///
    /// **Errors**: what of it is not an Ed25519 key of a signed note.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        NoteKey::parse(text, ED25519).map(Self)
    }

    /// The name, which is the log's origin.
    pub fn origin(&self) -> &str {
        &self.0.name
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl signed_note::Verifier for PublicKey {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn key_id(&self) -> u32 {
        self.0.id
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.signed(message, signature)
    }
}

/// What signs checkpoints.
#[derive(Clone)]
pub struct Signer {
    public: PublicKey,
    place: Place,
}

/// A service that keeps an Ed25519 key and signs with it.
#[async_trait]
pub trait KeyService: Send + Sync {
    /// The signature of a message (RFC 8032, Ed25519 without prehash), which is checked by whoever asks.
    ///
    /// **Errors**: [`KeyError::Service`].
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// Where the secret is.
#[derive(Clone)]
enum Place {
    Memory(Box<SigningKey>),
    Service(Arc<dyn KeyService>),
}

impl Signer {
    /// Makes a new key from the system's random numbers.
    ///
    /// **Errors**: a name that no key can have, no random numbers.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| KeyError::Random(e.to_string()))?;
        Self::of(name, SigningKey::from_bytes(&seed))
    }

    /// Reads `PRIVATE+KEY+NAME+ID+BASE64`, which is what a key file holds.
    ///
    /// **Errors**: what of it is not the text of an Ed25519 signing key; never the text itself.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { expected: "PRIVATE+KEY+NAME+ID+BASE64" };
        if text.len() > KEY_BYTES_MAX {
            return Err(malformed());
        }
        let rest = text.trim_end().strip_prefix("PRIVATE+KEY+").ok_or_else(malformed)?;
        let (name, rest) = rest.split_once('+').ok_or_else(malformed)?;
        let (id, key) = rest.split_once('+').ok_or_else(malformed)?;
        let key = BASE64_STANDARD.decode(key).map_err(|_| malformed())?;
        let (found, seed) = key.split_first().ok_or_else(malformed)?;
        if *found != ED25519 {
            return Err(KeyError::Algorithm { found: *found, expected: ED25519 });
        }
        let seed: &[u8; 32] = seed.try_into().map_err(|_| malformed())?;
        let signer = Self::of(name, SigningKey::from_bytes(seed))?;
        if format!("{:08x}", signer.public.0.id) == id { Ok(signer) } else { Err(KeyError::Id) }
    }

    fn of(name: &str, secret: SigningKey) -> Result<Self, KeyError> {
        let public = PublicKey(NoteKey::new(name, ED25519, secret.verifying_key())?);
        Ok(Self { public, place: Place::Memory(Box::new(secret)) })
    }

    /// A key that a service keeps, by the name that notes have it by and its public half.
    ///
    /// **Errors**: a name that no key can have, and what is no point of prime order.
    pub fn of_service(name: &str, public: &[u8; 32], service: Arc<dyn KeyService>) -> Result<Self, KeyError> {
        let point = VerifyingKey::from_bytes(public).map_err(|_| KeyError::Weak)?;
        Ok(Self { public: PublicKey(NoteKey::new(name, ED25519, point)?), place: Place::Service(service) })
    }

    /// The text for a key file; none of a key that a service keeps. It is the secret: keep it from other users.
    pub fn secret_text(&self) -> Option<String> {
        let Place::Memory(secret) = &self.place else { return None };
        let key = BASE64_STANDARD.encode([&[ED25519], secret.to_bytes().as_slice()].concat());
        Some(format!("PRIVATE+KEY+{}+{:08x}+{key}\n", self.public.0.name, self.public.0.id))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message.
    ///
    /// **Errors**: a key service that refuses, is not reached, or signs with another key; a key in memory always signs.
    pub(crate) async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.place {
            Place::Memory(secret) => Ok(secret.sign(message).to_vec()),
            Place::Service(service) => {
                let signature = service.sign(message).await?;
                // A checkpoint that nobody can check must not get into the log.
                let other = || KeyError::Service(format!("the signature is not by {}", self.public));
                self.public.0.signed(message, &signature).then_some(signature).ok_or_else(other)
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}
