//! Checkpoints: size and root of the log, as a signed note (C2SP tlog-checkpoint, signed-note).

use super::error::LedgerError;
use super::key::{PublicKey, Signer};
use super::witness::{Cosignature, Witness};
use bytes::Bytes;
use signed_note::{Note, NoteError, Signature, VerifierList};
use tlog_tiles::{Checkpoint as TreeHead, Hash};

/// Largest note of a checkpoint: a hundred cosignatures fit.
pub(crate) const CHECKPOINT_BYTES_MAX: usize = 64 << 10;

/// Most leaves of a log: leaf numbers stay exact in JSON.
pub(crate) const SIZE_MAX: u64 = 1 << 53;

/// A checkpoint whose signature by the log's key was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    size: u64,
    root: Hash,
    note: Bytes,
}

/// Why a checkpoint was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointReason {
    /// Not a signed note, or not one of a checkpoint in its canonical form.
    #[error("not a checkpoint in the form of C2SP tlog-checkpoint")]
    Malformed,
    /// A checkpoint of another log.
    #[error("it is of the log {found:?}, not of {expected:?}")]
    OtherLog {
        /// The origin in it.
        found: String,
        /// The key's name.
        expected: String,
    },
    /// The log's key did not sign it.
    #[error("it has no signature by the key {0}")]
    Unsigned(String),
    /// The log's signature on it is false.
    #[error("the signature by the log's key {0} is false")]
    BadSignature(String),
    /// A witness's signature on it is false.
    #[error("the cosignature of {0} is false")]
    BadCosignature(String),
}

impl Checkpoint {
    /// Signs a tree's size and root.
    pub(crate) async fn sign(signer: &Signer, size: u64, root: Hash) -> Result<Self, LedgerError> {
        let malformed = || LedgerError::Checkpoint(CheckpointReason::Malformed);
        let key = &signer.public().0;
        let text = TreeHead::new(&key.name, size, root, "").map_err(|_| malformed())?.to_bytes();
        let signature = signer.sign(&text).await?;
        let signature = Signature::new(key.name.clone(), key.id, signature).map_err(|_| malformed())?;
        let note = Note::new(&text, &[signature]).map_err(|_| malformed())?;
        Ok(Self { size, root, note: note.to_bytes().into() })
    }

    /// Checks a note: its form, its origin and the log's signature. Other signatures may be there.
    ///
    /// **Errors**: which of these is wrong.
    pub fn verify(note: &[u8], key: &PublicKey) -> Result<Self, CheckpointReason> {
        let parsed = parse(note)?;
        let head = TreeHead::from_bytes(parsed.text()).map_err(|_| CheckpointReason::Malformed)?;
        if head.size() > SIZE_MAX || !head.extension().is_empty() {
            return Err(CheckpointReason::Malformed);
        }
        if head.origin() != key.origin() {
            return Err(CheckpointReason::OtherLog {
                found: head.origin().to_owned(),
                expected: key.origin().to_owned(),
            });
        }
        match parsed.verify(&VerifierList::new(vec![Box::new(key.clone())])) {
            Ok(_) => Ok(Self { size: head.size(), root: *head.hash(), note: Bytes::copy_from_slice(note) }),
            Err(NoteError::InvalidSignature { .. }) => Err(CheckpointReason::BadSignature(key.to_string())),
            Err(NoteError::UnverifiedNote) => Err(CheckpointReason::Unsigned(key.to_string())),
            Err(_) => Err(CheckpointReason::Malformed),
        }
    }

    /// The cosignatures of these witnesses, and how many signatures are of nobody known (the log's own apart).
    ///
    /// **Errors**: [`CheckpointReason::BadCosignature`] when one of these witnesses' is false.
    pub fn cosignatures(&self, witnesses: &[Witness]) -> Result<(Vec<Cosignature>, usize), CheckpointReason> {
        let known = witnesses.iter().map(|w| Box::new(w.clone()) as Box<dyn signed_note::Verifier>).collect();
        match parse(&self.note)?.verify(&VerifierList::new(known)) {
            Ok((verified, others)) => {
                Ok((verified.iter().filter_map(Cosignature::of).collect(), others.len().saturating_sub(1)))
            }
            Err(NoteError::UnverifiedNote) => Ok((Vec::new(), self.signatures().saturating_sub(1))),
            Err(NoteError::InvalidSignature { name, .. }) => Err(CheckpointReason::BadCosignature(name)),
            Err(_) => Err(CheckpointReason::Malformed),
        }
    }

    /// Lines of the note that are signatures.
    fn signatures(&self) -> usize {
        self.note.split(|b| *b == b'\n').filter(|line| line.starts_with("— ".as_bytes())).count()
    }

    /// Leaves of the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root (RFC 6962, section 2.1).
    pub fn root(&self) -> [u8; 32] {
        self.root.0
    }

    pub(crate) fn hash(&self) -> Hash {
        self.root
    }

    /// The signed note, as it goes to witnesses and auditors.
    pub fn note(&self) -> &Bytes {
        &self.note
    }
}

fn parse(note: &[u8]) -> Result<Note, CheckpointReason> {
    if note.len() > CHECKPOINT_BYTES_MAX {
        return Err(CheckpointReason::Malformed);
    }
    let parsed = Note::from_bytes(note).map_err(|_| CheckpointReason::Malformed)?;
    // One spelling for one note, so that no byte of it can change unseen.
    if parsed.to_bytes() == note { Ok(parsed) } else { Err(CheckpointReason::Malformed) }
}
