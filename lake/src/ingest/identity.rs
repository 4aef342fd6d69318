//! Which content was ingested already: a container is known by the digests of its prefixes, not by its name.
//!
//! A fingerprint is the length and the SHA-256 of a prefix. While a container is read, its bytes are hashed as they
//! pass ([`HashingReader`]); with each commit the fingerprint of what was read so far is kept with the number of records
//! that it held. A file whose content begins with a known prefix is that container, grown or renamed. Two digests of its
//! beginning go with it, so that whoever has read more or less of the same content sees that it may be the same.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes at a container's start that find its candidates.
pub const HEAD_BYTES: usize = 64 * 1024;
/// Bytes at a container's start that tell it from others under any name: many files share a first line.
pub const START_BYTES: usize = 4096;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(serde::de::Error::custom("a digest has 64 hexadecimal digits"));
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(serde::de::Error::custom)?;
        }
        Ok(Self(bytes))
    }
}

/// A prefix of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Bytes.
    pub length: u64,
    /// Of these bytes.
    pub digest: Digest,
    /// Of the first [`START_BYTES`]; `None` while it is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Digest>,
    /// Of the first [`HEAD_BYTES`]; `None` while it is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Digest>,
}

/// Which records of a container are in the lake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Number of the last one, from 1.
    pub records: u64,
    /// Those before it that are not in the lake (none), and those that may have gone on since they were read, as they
    /// were then: a line that the container's end cut off.
    pub unsettled: BTreeMap<u64, Option<Digest>>,
}

impl Reached {
    /// Whether the record with this number and these bytes is in the lake.
    pub fn has(&self, number: u64, bytes: &[u8]) -> bool {
        let same = |was: &Option<Digest>| was.is_some_and(|digest| digest == Digest::of(bytes));
        number <= self.records && self.unsettled.get(&number).is_none_or(same)
    }
}

/// Hashes a container's bytes as they are read.
#[derive(Clone, Default)]
pub struct Hasher {
    sha: Sha256,
    length: usize,
    start: Option<Digest>,
    head: Option<Digest>,
}

impl Hasher {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let rest = self.up_to(START_BYTES, bytes);
        if self.length == START_BYTES && self.start.is_none() {
            self.start = Some(self.digest());
        }
        let rest = self.up_to(HEAD_BYTES, rest);
        if self.length == HEAD_BYTES && self.head.is_none() {
            self.head = Some(self.digest());
        }
        self.up_to(usize::MAX, rest);
    }

    /// Hashes as much of `bytes` as makes `length` in all; returns the rest.
    fn up_to<'b>(&mut self, length: usize, bytes: &'b [u8]) -> &'b [u8] {
        let (taken, rest) = bytes.split_at(bytes.len().min(length.saturating_sub(self.length)));
        self.sha.update(taken);
        self.length += taken.len();
        rest
    }

    fn digest(&self) -> Digest {
        Digest(self.sha.clone().finalize().into())
    }

    /// Of all bytes so far.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint { length: self.length as u64, digest: self.digest(), start: self.start, head: self.head }
    }
}

/// A reader that hashes what passes.
pub struct HashingReader<R> {
    inner: R,
    hash: Arc<Mutex<Hasher>>,
}

/// The other end of a [`HashingReader`]: the fingerprint of what was read so far.
#[derive(Clone)]
pub struct Progress(Arc<Mutex<Hasher>>);

impl<R: Read> HashingReader<R> {
    /// Wraps a reader that is at the container's start.
    pub fn new(inner: R) -> (Self, Progress) {
        let hash = Arc::new(Mutex::new(Hasher::default()));
        (Self { inner, hash: Arc::clone(&hash) }, Progress(hash))
    }
}

impl Progress {
    /// Of all bytes that were read so far.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fingerprint()
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.lock().unwrap_or_else(PoisonError::into_inner).update(&buffer[..read]);
        Ok(read)
    }
}
