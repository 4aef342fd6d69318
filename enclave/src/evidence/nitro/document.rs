//! The document's form: the envelope, and the map that is its payload. Real documents hold nulls and maps and texts of
//! indefinite length, which are read; a key twice, bytes after the end and what is over the bounds are not.

use super::super::Measurement;
use super::DOCUMENT_BYTES_MAX;
use super::chain::Leaf;
use crate::reason::{Reason, Refusal};
use chrono::{DateTime, Utc};
use ciborium::Value;
use coset::iana::{Algorithm, EnumI64 as _};
use coset::{AsCborValue as _, CoseSign1, RegisteredLabelWithPrivate};
use std::collections::BTreeMap;

/// A document is four levels deep.
const DEPTH_MAX: usize = 16;
/// Bytes of a certificate.
const CERTIFICATE_BYTES_MAX: usize = 1024;
/// Certificates of the chain: real ones have four.
const CABUNDLE_MAX: usize = 16;
/// Registers are numbered below this.
const PCRS_MAX: u32 = 32;
/// Bytes of the public key.
const PUBLIC_KEY_BYTES_MAX: usize = 1024;
/// Bytes of the user data, and of the nonce.
const USER_DATA_BYTES_MAX: usize = 512;
/// Bytes of the module's id.
const MODULE_ID_BYTES_MAX: usize = 256;

fn malformed(detail: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::MalformedDocument, detail)
}

fn limit(detail: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::LimitExceeded, detail)
}

/// A COSE_Sign1 by ES384, with its payload inside.
pub(super) struct Envelope {
    sign1: CoseSign1,
    payload: Vec<u8>,
}

impl Envelope {
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn verify(&self, leaf: &Leaf) -> Result<(), Refusal> {
        self.sign1.verify_signature(&[], |signature, message| leaf.verify(message, signature))
    }
}

/// Reads the envelope: four items, ES384 and nothing else in the protected header, nothing in the other one.
pub(super) fn open(bytes: &[u8]) -> Result<Envelope, Refusal> {
    let value = cbor(bytes)?;
    if matches!(value, Value::Tag(..)) {
        return Err(Refusal::new(Reason::UnsupportedFormat, "a tag before the COSE_Sign1, which stands untagged here"));
    }
    let sign1 = CoseSign1::from_cbor_value(value).map_err(|error| malformed(format!("no COSE_Sign1: {error}")))?;
    let es384 = RegisteredLabelWithPrivate::Assigned(Algorithm::ES384);
    match &sign1.protected.header.alg {
        Some(algorithm) if *algorithm == es384 => {}
        Some(RegisteredLabelWithPrivate::Assigned(other)) => {
            let detail = format!("the algorithm is {}, expected ES384 (-35)", other.to_i64());
            return Err(Refusal::new(Reason::AlgorithmNotAllowed, detail));
        }
        other => {
            return Err(Refusal::new(
                Reason::AlgorithmNotAllowed,
                format!("the algorithm is {other:?}, expected ES384"),
            ));
        }
    }
    let mut rest = sign1.protected.header.clone();
    rest.alg = None;
    if !rest.is_empty() || !sign1.unprotected.is_empty() {
        return Err(malformed("the COSE headers hold more than the algorithm"));
    }
    let payload = sign1.payload.clone().ok_or_else(|| malformed("the COSE_Sign1 has no payload"))?;
    Ok(Envelope { sign1, payload })
}

/// One CBOR item and nothing after it, within the bounds.
fn cbor(bytes: &[u8]) -> Result<Value, Refusal> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(limit(format!("{} bytes, at most {DOCUMENT_BYTES_MAX} are read", bytes.len())));
    }
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX).map_err(|error| match error {
        ciborium::de::Error::RecursionLimitExceeded => limit(format!("nested deeper than {DEPTH_MAX}")),
        error => malformed(format!("no CBOR: {error}")),
    })?;
    if rest.is_empty() { Ok(value) } else { Err(malformed(format!("{} bytes after the end", rest.len()))) }
}

/// The payload, whose fields are those of AWS's specification of the document.
pub(super) struct Document {
    pub(super) module_id: String,
    pub(super) timestamp: DateTime<Utc>,
    pub(super) pcrs: BTreeMap<u32, Vec<u8>>,
    pub(super) certificate: Vec<u8>,
    /// From the root downwards.
    pub(super) cabundle: Vec<Vec<u8>>,
    pub(super) public_key: Option<Vec<u8>>,
    pub(super) user_data: Option<Vec<u8>>,
    pub(super) nonce: Option<Vec<u8>>,
}

impl Document {
    pub(super) fn read(payload: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Fields::of(cbor(payload)?)?;
        let digest = text(fields.required("digest")?, "digest")?;
        if digest != "SHA384" {
            return Err(Refusal::new(Reason::AlgorithmNotAllowed, format!("digest is {digest:?}, expected SHA384")));
        }
        let document = Self {
            module_id: module_id(fields.required("module_id")?)?,
            timestamp: timestamp(fields.required("timestamp")?)?,
            pcrs: pcrs(fields.required("pcrs")?)?,
            certificate: bytes(fields.required("certificate")?, "certificate", CERTIFICATE_BYTES_MAX)?,
            cabundle: cabundle(fields.required("cabundle")?)?,
            public_key: fields.optional("public_key", PUBLIC_KEY_BYTES_MAX)?,
            user_data: fields.optional("user_data", USER_DATA_BYTES_MAX)?,
            nonce: fields.optional("nonce", USER_DATA_BYTES_MAX)?,
        };
        fields.end()?;
        Ok(document)
    }

    /// Whether the registers of what is loaded are all there and all zeros.
    pub(super) fn is_debug(&self) -> bool {
        (0..3).all(|index| self.pcrs.get(&index).is_some_and(|value| value.iter().all(|byte| *byte == 0)))
    }

    pub(super) fn measurements(&self) -> Vec<Measurement> {
        let named = |(index, value): (&u32, &Vec<u8>)| Measurement {
            name: format!("PCR{index}"),
            index: Some(*index),
            value: value.clone(),
        };
        self.pcrs.iter().map(named).collect()
    }
}

/// A map by text, each key once.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn of(value: Value) -> Result<Self, Refusal> {
        let Value::Map(pairs) = value else { return Err(malformed("the payload is no map")) };
        let mut fields = BTreeMap::new();
        for (key, value) in pairs {
            let key = text(key, "a key")?;
            if fields.insert(key.clone(), value).is_some() {
                return Err(malformed(format!("the key {key:?} is there twice")));
            }
        }
        Ok(Self(fields))
    }

    fn required(&mut self, name: &str) -> Result<Value, Refusal> {
        self.0.remove(name).ok_or_else(|| malformed(format!("{name} is missing")))
    }

    fn optional(&mut self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Refusal> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => bytes(value, name, bytes_max).map(Some),
        }
    }

    fn end(self) -> Result<(), Refusal> {
        self.0.keys().next().map_or(Ok(()), |key| Err(malformed(format!("the key {key:?} is not of this document"))))
    }
}

fn text(value: Value, name: &str) -> Result<String, Refusal> {
    value.into_text().map_err(|_| malformed(format!("{name} is no text")))
}

fn bytes(value: Value, name: &str, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let bytes = value.into_bytes().map_err(|_| malformed(format!("{name} is no byte string")))?;
    if bytes.len() > bytes_max {
        return Err(limit(format!("{name} has {} bytes, at most {bytes_max} are allowed", bytes.len())));
    }
    Ok(bytes)
}

fn module_id(value: Value) -> Result<String, Refusal> {
    let id = text(value, "module_id")?;
    if id.is_empty() || id.len() > MODULE_ID_BYTES_MAX {
        return Err(malformed(format!("module_id has {} bytes, expected 1 to {MODULE_ID_BYTES_MAX}", id.len())));
    }
    Ok(id)
}

fn timestamp(value: Value) -> Result<DateTime<Utc>, Refusal> {
    let millis = value.into_integer().ok().and_then(|millis| i64::try_from(millis).ok()).filter(|millis| *millis > 0);
    millis.and_then(DateTime::from_timestamp_millis).ok_or_else(|| malformed("timestamp is no time in milliseconds"))
}

fn pcrs(value: Value) -> Result<BTreeMap<u32, Vec<u8>>, Refusal> {
    let Value::Map(pairs) = value else { return Err(malformed("pcrs is no map")) };
    let mut pcrs = BTreeMap::new();
    for (key, value) in pairs {
        let index =
            key.into_integer().ok().and_then(|index| u32::try_from(index).ok()).filter(|index| *index < PCRS_MAX);
        let index = index.ok_or_else(|| malformed(format!("a PCR's index is not below {PCRS_MAX}")))?;
        let value = bytes(value, "a PCR", 64)?;
        if !matches!(value.len(), 32 | 48 | 64) {
            return Err(malformed(format!("PCR{index} has {} bytes, expected 32, 48 or 64", value.len())));
        }
        if pcrs.insert(index, value).is_some() {
            return Err(malformed(format!("PCR{index} is there twice")));
        }
    }
    if pcrs.is_empty() { Err(malformed("pcrs is empty")) } else { Ok(pcrs) }
}

fn cabundle(value: Value) -> Result<Vec<Vec<u8>>, Refusal> {
    let Value::Array(items) = value else { return Err(malformed("cabundle is no list")) };
    if items.is_empty() {
        return Err(malformed("cabundle is empty"));
    }
    if items.len() > CABUNDLE_MAX {
        return Err(limit(format!("cabundle has {} certificates, at most {CABUNDLE_MAX} are read", items.len())));
    }
    items.into_iter().map(|item| bytes(item, "a certificate of cabundle", CERTIFICATE_BYTES_MAX)).collect()
}
