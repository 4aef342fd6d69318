//! Digests: an algorithm and as many bytes as it gives.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use std::fmt;
use std::str::FromStr;

/// The algorithms that statements and SBOMs name. Names of in-toto's digest sets, CycloneDX and SPDX are read alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
    /// BLAKE2b-256.
    Blake2b256,
    /// BLAKE2b-384.
    Blake2b384,
    /// BLAKE2b-512.
    Blake2b512,
    /// BLAKE3, its first 32 bytes.
    Blake3,
    /// SHA-224.
    Sha224,
    /// SHA-1, in which collisions are made.
    Sha1,
    /// MD5, in which collisions are made.
    Md5,
    /// A Git commit: SHA-1, or SHA-256 in repositories that use it.
    GitCommit,
}

/// Name and length in bytes.
const ALGORITHMS: &[(Algorithm, &str, usize)] = &[
    (Algorithm::Sha256, "sha256", 32),
    (Algorithm::Sha384, "sha384", 48),
    (Algorithm::Sha512, "sha512", 64),
    (Algorithm::Sha3_256, "sha3_256", 32),
    (Algorithm::Sha3_384, "sha3_384", 48),
    (Algorithm::Sha3_512, "sha3_512", 64),
    (Algorithm::Blake2b256, "blake2b256", 32),
    (Algorithm::Blake2b384, "blake2b384", 48),
    (Algorithm::Blake2b512, "blake2b512", 64),
    (Algorithm::Blake3, "blake3", 32),
    (Algorithm::Sha224, "sha224", 28),
    (Algorithm::Sha1, "sha1", 20),
    (Algorithm::Md5, "md5", 16),
    (Algorithm::GitCommit, "gitCommit", 20),
];

impl Algorithm {
    /// The algorithm of a name as in-toto (`sha256`), CycloneDX (`SHA-256`) or SPDX (`SHA256`) write it.
    pub fn named(name: &str) -> Option<Self> {
        let plain = |name: &str| -> String {
            name.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect()
        };
        let name = plain(name);
        ALGORITHMS.iter().find(|(_, known, _)| plain(known) == name).map(|(algorithm, ..)| *algorithm)
    }

    /// Its name in in-toto's digest sets.
    pub fn as_str(self) -> &'static str {
        ALGORITHMS.iter().find(|(known, ..)| *known == self).map_or("", |(_, name, _)| name)
    }

    fn fits(self, bytes: usize) -> bool {
        let len = ALGORITHMS.iter().find(|(known, ..)| *known == self).map_or(0, |(.., len)| *len);
        bytes == len || (self == Self::GitCommit && bytes == 32)
    }
}

/// A digest; prints and reads as `sha256:<hex>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

/// What is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// An algorithm that is not known here.
    #[error("unknown digest algorithm {0:?}")]
    Algorithm(String),
    /// No colon between algorithm and value.
    #[error("expected algorithm:hex, such as sha256:…, got {0:?}")]
    Form(String),
    /// A value that is no hex, or of another length.
    #[error("{value:?} is no {} digest in hex", algorithm.as_str())]
    Value {
        /// The algorithm.
        algorithm: Algorithm,
        /// The value, at most 160 characters of it.
        value: String,
    },
}

impl Digest {
    /// A digest of some bytes' length.
    ///
    /// **Errors**: a length that is not the algorithm's.
    pub fn new(algorithm: Algorithm, bytes: Vec<u8>) -> Result<Self, DigestError> {
        if algorithm.fits(bytes.len()) {
            return Ok(Self { algorithm, bytes });
        }
        Err(DigestError::Value { algorithm, value: short(&hex::encode(bytes)) })
    }

    /// A digest in hex.
    ///
    /// **Errors**: what is no hex, or of another length.
    pub fn from_hex(algorithm: Algorithm, text: &str) -> Result<Self, DigestError> {
        let wrong = || DigestError::Value { algorithm, value: short(text) };
        Self::new(algorithm, hex::decode(text).map_err(|_| wrong())?).map_err(|_| wrong())
    }

    /// The SHA-256 of bytes.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self { algorithm: Algorithm::Sha256, bytes: sha2::Sha256::digest(bytes).to_vec() }
    }

    /// The SHA-256 of all that a reader gives.
    ///
    /// **Errors**: the reader's.
    pub fn sha256_of(reader: &mut impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = sha2::Sha256::new();
        std::io::copy(reader, &mut hasher)?;
        Ok(Self { algorithm: Algorithm::Sha256, bytes: hasher.finalize().to_vec() })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its value in lower-case hex.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.bytes)
    }

    /// Whether it binds to one artifact: nobody can make two with it. MD5 and SHA-1 do not, and a Git commit's length
    /// says which it is.
    pub fn is_binding(&self) -> bool {
        self.bytes.len() >= 32
    }
}

fn short(text: &str) -> String {
    text.chars().take(160).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, value) = text.split_once(':').ok_or_else(|| DigestError::Form(short(text)))?;
        let algorithm = Algorithm::named(name).ok_or_else(|| DigestError::Algorithm(short(name)))?;
        Self::from_hex(algorithm, value)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// In-toto's digest set: algorithm name → hex. Algorithms that are not known here are left out; a value that is none of
/// its algorithm's is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestSet(pub Vec<Digest>);

impl<'de> Deserialize<'de> for DigestSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        let known = named.iter().filter_map(|(name, value)| Some((Algorithm::named(name)?, value)));
        let digests = known.map(|(algorithm, value)| Digest::from_hex(algorithm, value)).collect::<Result<_, _>>();
        digests.map(Self).map_err(serde::de::Error::custom)
    }
}

/// The digests of one artifact by all algorithms that bundles bind with, in one pass.
#[derive(Default)]
pub(crate) struct Hasher {
    sha256: sha2::Sha256,
    sha384: sha2::Sha384,
    sha512: sha2::Sha512,
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha384.update(bytes);
        self.sha512.update(bytes);
    }

    pub(crate) fn finish(self) -> Vec<Digest> {
        vec![
            Digest { algorithm: Algorithm::Sha256, bytes: self.sha256.finalize().to_vec() },
            Digest { algorithm: Algorithm::Sha384, bytes: self.sha384.finalize().to_vec() },
            Digest { algorithm: Algorithm::Sha512, bytes: self.sha512.finalize().to_vec() },
        ]
    }
}
