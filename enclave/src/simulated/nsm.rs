//! Software that makes documents of the form of AWS Nitro's.

use super::{SimulationError, named};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use chrono::{DateTime, Utc};
use ciborium::Value;
use coset::{AsCborValue as _, CoseSign1Builder, HeaderBuilder, iana};
use rcgen::{CertificateParams, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384};

/// What a document is asked to hold. Bounds are the verifier's to check.
#[derive(Clone, Debug)]
pub struct NsmRequest {
    /// The document's time. UTC, milliseconds.
    pub timestamp: DateTime<Utc>,
    /// Registers: number and digest.
    pub pcrs: Vec<(u32, Vec<u8>)>,
    /// The challenge.
    pub nonce: Option<Vec<u8>>,
    /// The public key to bind, as SubjectPublicKeyInfo in DER.
    pub public_key: Option<Vec<u8>>,
    /// Whatever the workload has bound besides.
    pub user_data: Option<Vec<u8>>,
}

/// A Nitro Secure Module in software.
pub struct SoftwareNsm {
    module_id: String,
    cabundle: Vec<Vec<u8>>,
    certificate: Vec<u8>,
    key: EcdsaKeyPair,
}

impl SoftwareNsm {
    pub(super) fn new(
        module_id: &str,
        (not_before, not_after): (DateTime<Utc>, DateTime<Utc>),
        root: Vec<u8>,
        (instance, params, instance_key): (Vec<u8>, CertificateParams, KeyPair),
    ) -> Result<Self, SimulationError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let mut leaf = named(module_id, not_before, not_after);
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = leaf.signed_by(&key, &Issuer::new(params, instance_key))?.der().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, key.serialized_der())
            .map_err(|_| SimulationError::Signature)?;
        Ok(Self { module_id: module_id.to_owned(), cabundle: vec![root, instance], certificate, key })
    }

    /// A signed document.
    ///
    /// **Errors**: it could not be encoded or signed.
    pub fn document(&self, request: &NsmRequest) -> Result<Vec<u8>, SimulationError> {
        self.sign(&encode(&self.payload(request))?)
    }

    /// A document's payload, to be changed before it is signed.
    pub fn payload(&self, request: &NsmRequest) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let bytes = |bytes: &Option<Vec<u8>>| bytes.clone().map_or(Value::Null, Value::Bytes);
        let pcrs =
            request.pcrs.iter().map(|(index, value)| (Value::from(*index), Value::Bytes(value.clone()))).collect();
        Value::Map(vec![
            (text("module_id"), text(&self.module_id)),
            (text("digest"), text("SHA384")),
            (text("timestamp"), Value::from(request.timestamp.timestamp_millis())),
            (text("pcrs"), Value::Map(pcrs)),
            (text("certificate"), Value::Bytes(self.certificate.clone())),
            (text("cabundle"), Value::Array(self.cabundle.iter().cloned().map(Value::Bytes).collect())),
            (text("public_key"), bytes(&request.public_key)),
            (text("user_data"), bytes(&request.user_data)),
            (text("nonce"), bytes(&request.nonce)),
        ])
    }

    /// Signs whatever bytes as a document's payload.
    ///
    /// **Errors**: it could not be encoded or signed.
    pub fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SimulationError> {
        let protected = HeaderBuilder::new().algorithm(iana::Algorithm::ES384).build();
        let builder = CoseSign1Builder::new().protected(protected).payload(payload.to_vec());
        let signed = builder
            .try_create_signature(&[], |message| {
                self.key.sign(&SystemRandom::new(), message).map(|signature| signature.as_ref().to_vec())
            })
            .map_err(|_| SimulationError::Signature)?;
        encode(&signed.build().to_cbor_value().map_err(|error| SimulationError::Encoding(error.to_string()))?)
    }
}

fn encode(value: &Value) -> Result<Vec<u8>, SimulationError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| SimulationError::Encoding(error.to_string()))?;
    Ok(bytes)
}
