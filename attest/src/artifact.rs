//! What was signed: its bytes, a reader of them, or only its digest.

use crate::digest::{Digest, Hasher};
use std::io::Read;

/// An artifact as its holder has it.
pub enum Artifact<'a> {
    /// All of it. The one form that a plain Ed25519 signature can be checked over.
    Bytes(&'a [u8]),
    /// Its digest, such as an image's.
    Digest(Digest),
    /// Something large, read once to its end.
    Reader(&'a mut dyn Read),
}

/// Hashes what passes.
pub(crate) struct Tee<'a> {
    pub(crate) inner: &'a mut dyn Read,
    pub(crate) hasher: Hasher,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

impl Tee<'_> {
    /// The digests of all of it, with what nobody read yet.
    pub(crate) fn finish(mut self) -> std::io::Result<Vec<Digest>> {
        std::io::copy(&mut self, &mut std::io::sink())?;
        Ok(self.hasher.finish())
    }
}

impl Artifact<'_> {
    /// The digests of it, for checks that need nothing else.
    pub(crate) fn digests(self) -> std::io::Result<Vec<Digest>> {
        match self {
            Self::Bytes(bytes) => Ok(of_bytes(bytes)),
            Self::Digest(digest) => Ok(vec![digest]),
            Self::Reader(inner) => Tee { inner, hasher: Hasher::default() }.finish(),
        }
    }
}

pub(crate) fn of_bytes(bytes: &[u8]) -> Vec<Digest> {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}
