//! Sealed files, such as models: AES-256-GCM in chunks by the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár,
//! 2015), so that a file of any size is written and read in little memory, and one that was cut, reordered or changed does
//! not open.
//!
//! **Form**: a line `tarn-sealed 1 repository/type/tag`, seven bytes of nonce, then chunks of 1 MiB, each with a tag of 16
//! bytes over itself and the line. One key is for one file.

use crate::keys::KeyName;
use crate::secret::Secret;
use aes_gcm::aead::stream::{DecryptorBE32, EncryptorBE32};
use aes_gcm::aead::{KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key};
use std::io::{BufRead, Read, Write};
use std::str::FromStr as _;

const MAGIC: &str = "tarn-sealed 1 ";
/// Bytes of the first line.
const LINE_BYTES_MAX: u64 = 512;
const CHUNK_BYTES: usize = 1 << 20;
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 7;
/// Bytes of the key.
pub const KEY_BYTES: usize = 32;

/// Why a file could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Another file.
    #[error("no sealed file: expected a first line {MAGIC:?} and the key's name")]
    Form,
    /// A key of another length.
    #[error("a key of {0} bytes, expected {KEY_BYTES}")]
    Key(usize),
    /// Another key, or a file that was cut or changed.
    #[error("chunk {chunk} does not open: another key, or the file was cut or changed")]
    Changed {
        /// From 1.
        chunk: u64,
    },
    /// More than the counter of chunks reaches, which is 4 PiB.
    #[error("the file is too long to be sealed")]
    TooLong,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    NoRandomness,
}

fn cipher(key: &Secret) -> Result<Aes256Gcm, SealedError> {
    let bytes = key.expose();
    if bytes.len() != KEY_BYTES {
        return Err(SealedError::Key(bytes.len()));
    }
    Ok(Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(bytes)))
}

/// Fills a chunk as far as the input goes.
fn fill(input: &mut impl Read, chunk: &mut Vec<u8>, bytes: usize) -> std::io::Result<()> {
    let missing = bytes.saturating_sub(chunk.len());
    input.by_ref().take(missing as u64).read_to_end(chunk).map(drop)
}

/// Seals an input under a key that is for this file alone. Gives the bytes that were sealed.
///
/// **Errors**: reading or writing, a key of another length; the output is then of no use.
pub fn seal(mut input: impl Read, mut output: impl Write, name: &KeyName, key: &Secret) -> Result<u64, SealedError> {
    let line = format!("{MAGIC}{name}\n");
    let nonce = Secret::random(NONCE_BYTES).ok_or(SealedError::NoRandomness)?;
    output.write_all(line.as_bytes())?;
    output.write_all(nonce.expose())?;
    let mut stream = EncryptorBE32::from_aead(cipher(key)?, nonce.expose().into());
    let aad = line.as_bytes();
    let (mut chunk, mut ahead, mut sealed) = (Vec::new(), Vec::new(), 0);
    fill(&mut input, &mut chunk, CHUNK_BYTES)?;
    loop {
        // The last chunk is marked as such, so one is read ahead.
        fill(&mut input, &mut ahead, CHUNK_BYTES)?;
        sealed += chunk.len() as u64;
        if ahead.is_empty() {
            let last = stream.encrypt_last(Payload { msg: &chunk, aad }).map_err(|_| SealedError::TooLong)?;
            output.write_all(&last)?;
            output.flush()?;
            return Ok(sealed);
        }
        output.write_all(&stream.encrypt_next(Payload { msg: &chunk, aad }).map_err(|_| SealedError::TooLong)?)?;
        std::mem::swap(&mut chunk, &mut ahead);
        ahead.clear();
    }
}

/// A sealed file whose first line was read.
pub struct Sealed<R> {
    input: R,
    line: String,
    name: KeyName,
}

impl<R: BufRead> Sealed<R> {
    /// Reads the first line.
    ///
    /// **Errors**: reading, or another file.
    pub fn open(mut input: R) -> Result<Self, SealedError> {
        let mut line = Vec::new();
        input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        let line = String::from_utf8(line).map_err(|_| SealedError::Form)?;
        let name = line.strip_prefix(MAGIC).and_then(|rest| rest.strip_suffix('\n'));
        let name = name.and_then(|name| KeyName::from_str(name).ok()).ok_or(SealedError::Form)?;
        Ok(Self { input, line, name })
    }

    /// The key that it is sealed with. Nobody vouches for it until the file opens.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Opens the file. Gives the bytes that were opened.
    ///
    /// **Errors**: reading or writing, another key, a file that was cut or changed. What was written until then is genuine,
    /// and not all: it is to be thrown away.
    pub fn unseal(mut self, mut output: impl Write, key: &Secret) -> Result<u64, SealedError> {
        let mut nonce = [0; NONCE_BYTES];
        self.input.read_exact(&mut nonce).map_err(|_| SealedError::Form)?;
        let mut stream = DecryptorBE32::from_aead(cipher(key)?, nonce.as_slice().into());
        let aad = self.line.as_bytes();
        let (mut chunk, mut ahead, mut opened, mut number) = (Vec::new(), Vec::new(), 0, 1);
        fill(&mut self.input, &mut chunk, CHUNK_BYTES + TAG_BYTES)?;
        loop {
            fill(&mut self.input, &mut ahead, CHUNK_BYTES + TAG_BYTES)?;
            let changed = |_| SealedError::Changed { chunk: number };
            let payload = Payload { msg: &chunk, aad };
            if ahead.is_empty() {
                let plain = Secret::new(stream.decrypt_last(payload).map_err(changed)?);
                output.write_all(plain.expose())?;
                output.flush()?;
                return Ok(opened + plain.expose().len() as u64);
            }
            let plain = Secret::new(stream.decrypt_next(payload).map_err(changed)?);
            output.write_all(plain.expose())?;
            opened += plain.expose().len() as u64;
            number += 1;
            std::mem::swap(&mut chunk, &mut ahead);
            ahead.clear();
        }
    }
}
