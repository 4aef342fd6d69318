//! Witnesses: others who saw a checkpoint at a time and signed that (C2SP tlog-cosignature, `cosignature/v1`).
//!
//! A witness signs only what is consistent with what it signed before, so a log that a witness follows cannot be rolled
//! back or forked without the witness's help.

use super::key::{KeyError, NoteKey};
use std::collections::BTreeSet;

/// The type byte of a timestamped Ed25519 cosignature's key.
const COSIGNATURE_V1: u8 = 4;

/// A witness's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness(NoteKey);

impl Witness {
    /// Reads `NAME+ID+BASE64` with type byte 4.
    ///
    /// **Errors**: what of it is not a cosignature key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        NoteKey::parse(text, COSIGNATURE_V1).map(Self)
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The time in a cosignature, which the signature covers.
fn time_s(signature: &[u8]) -> Option<u64> {
    signature.first_chunk().map(|time| u64::from_be_bytes(*time))
}

impl signed_note::Verifier for Witness {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn key_id(&self) -> u32 {
        self.0.id
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let (Some(time), Some(signature)) = (time_s(signature), signature.get(8..)) else { return false };
        let signed = [format!("cosignature/v1\ntime {time}\n").as_bytes(), message].concat();
        self.0.signed(&signed, signature)
    }
}

/// One witness's word on one checkpoint, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Who signed.
    pub witness: String,
    /// When, in seconds since 1970 UTC, by the witness's clock.
    pub time_s: u64,
}

impl Cosignature {
    pub(crate) fn of(signature: &signed_note::Signature) -> Option<Self> {
        Some(Self { witness: signature.name().to_owned(), time_s: time_s(signature.signature())? })
    }
}

/// How many of which witnesses must have signed.
#[derive(Clone, Debug, Default)]
pub struct WitnessPolicy {
    witnesses: Vec<Witness>,
    need: usize,
}

impl WitnessPolicy {
    /// `need` of these. A witness with several keys counts once.
    ///
    /// **Errors**: more needed than there are.
    pub fn new(mut witnesses: Vec<Witness>, need: usize) -> Result<Self, PolicyError> {
        witnesses.sort_by_key(ToString::to_string);
        witnesses.dedup();
        let there = different(witnesses.iter().map(Witness::name));
        if need > there { Err(PolicyError { need, there }) } else { Ok(Self { witnesses, need }) }
    }

    /// How many different witnesses have signed.
    pub(crate) fn count(signed: &[Cosignature]) -> usize {
        different(signed.iter().map(|cosignature| cosignature.witness.as_str()))
    }

    /// The witnesses.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// How many of them must have signed.
    pub fn need(&self) -> usize {
        self.need
    }
}

fn different<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.collect::<BTreeSet<_>>().len()
}

/// A policy that nothing can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{need} cosignatures are needed, but there are {there} witnesses")]
pub struct PolicyError {
    need: usize,
    there: usize,
}
