//! What cosign attached before there were bundles: a payload or an envelope as a layer, and what verifies it in the
//! layer's annotations. Specification: cosign, "Signature Specification" and "Attestation Specification".
//!
//! A layer with a log's promise holds the parts of a bundle 0.1, so one is made of it and verified as such.

use crate::artifact::Artifact;
use crate::attestation::{Attestation, signed};
use crate::digest::Digest;
use crate::json::{self, Limits};
use crate::policy::{PublicKey, Signer};
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use crate::sigstore::{Signature, SignedBy, Verifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_verify::crypto::VerificationKey;
use sigstore_verify::types::{DerCertificate, SignatureBytes};
use std::collections::BTreeMap;

/// A payload and a log's promise are some kilobytes.
const SMALL: Limits = Limits { bytes_max: 1 << 20, depth_max: 16, values_max: 10_000 };
/// What the payload of an image's signature says it is.
const PAYLOAD_TYPE: &str = "cosign container image signature";

/// What cosign writes beside a layer. All of it is from whoever attached it.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    /// The signature over the payload, in base64.
    signature: Option<String>,
    /// The signing certificate, in PEM. Its chain is the trusted root's.
    certificate: Option<String>,
    /// A log's promise and its entry.
    promise: Option<String>,
    /// A timestamp.
    timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Promise {
    signed_entry_timestamp: String,
    payload: Promised,
}

/// The entry that the promise is over.
#[derive(Deserialize)]
struct Promised {
    body: String,
    #[serde(rename = "integratedTime")]
    integrated_time: i64,
    #[serde(rename = "logIndex")]
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    kind: String,
    api_version: String,
}

#[derive(Deserialize)]
struct Timestamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    signed: String,
}

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const PROMISE: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

impl Annotations {
    pub(super) fn of(annotation: impl Fn(&str) -> Option<String>) -> Self {
        let present = |name| annotation(name).filter(|text| !text.is_empty());
        Self {
            signature: present(SIGNATURE),
            certificate: present(CERTIFICATE),
            promise: present(PROMISE),
            timestamp: present(TIMESTAMP),
        }
    }

    /// Those that there are, by their names.
    pub(super) fn named(&self) -> BTreeMap<&'static str, &str> {
        let all = [
            (SIGNATURE, &self.signature),
            (CERTIFICATE, &self.certificate),
            (PROMISE, &self.promise),
            (TIMESTAMP, &self.timestamp),
        ];
        all.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))).collect()
    }

    /// Whether there is a signature and nothing else to verify by.
    pub(super) fn is_bare(&self) -> bool {
        self.certificate.is_none() && self.promise.is_none() && self.timestamp.is_none()
    }

    /// The bundle 0.1 that these are parts of, about this content.
    fn bundle(&self, name: &str, content: Value) -> Result<Vec<u8>, Failure> {
        let entries = self.promise.as_deref().map(entry).transpose()?;
        let stamp = |text: &String| small::<Timestamp>("the timestamp", text.as_bytes());
        let stamps = self.timestamp.as_ref().map(stamp).transpose()?;
        let stamps: Vec<_> = stamps.iter().map(|stamp| json!({"signedTimestamp": stamp.signed})).collect();
        let mut material = json!({
            "tlogEntries": entries.into_iter().collect::<Vec<_>>(),
            "timestampVerificationData": {"rfc3161Timestamps": stamps},
        });
        let (kind, signer) = match &self.certificate {
            None => ("publicKey", json!({"hint": ""})),
            Some(pem) => {
                let der = DerCertificate::from_pem(pem).map_err(|e| malformed(format!("the certificate: {e}")))?;
                ("x509CertificateChain", json!({"certificates": [{"rawBytes": STANDARD.encode(der.as_bytes())}]}))
            }
        };
        material[kind] = signer;
        let mut bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1", "verificationMaterial": material,
        });
        bundle[name] = content;
        Ok(bundle.to_string().into_bytes())
    }

    fn signature(&self) -> Result<&str, Failure> {
        self.signature.as_deref().ok_or_else(|| malformed("there is no signature beside the payload"))
    }
}

/// A log entry of a bundle, of the promise that cosign wrote.
fn entry(text: &str) -> Result<Value, Failure> {
    let Promise { signed_entry_timestamp, payload } = small("the log's promise", text.as_bytes())?;
    let body = STANDARD.decode(&payload.body).map_err(|e| malformed(format!("the log entry: {e}")))?;
    let Entry { kind, api_version } = small("the log entry", &body)?;
    let id = hex::decode(&payload.log_id).map_err(|e| malformed(format!("the log's id: {e}")))?;
    Ok(json!({
        "logIndex": payload.log_index.to_string(), "logId": {"keyId": STANDARD.encode(id)},
        "kindVersion": {"kind": kind, "version": api_version},
        "integratedTime": payload.integrated_time.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": signed_entry_timestamp},
        "canonicalizedBody": payload.body,
    }))
}

/// Checks an envelope with a certificate or a promise beside it.
pub(super) fn envelope(
    trail: &mut Trail,
    verifier: &Verifier,
    envelope: &[u8],
    annotations: &Annotations,
    image: &Digest,
    signer: &Signer,
) -> Result<Attestation, Failure> {
    let content = json::read(envelope, json::DOCUMENT)
        .map_err(|e| Failure::json(Check::Document, &e, Reason::BundleMalformed))?;
    let bundle = annotations.bundle("dsseEnvelope", content)?;
    signed(trail, verifier, Artifact::Digest(image.clone()), &bundle, signer)
}

/// Checks a signature over a payload, with a certificate or a promise beside it.
pub(super) fn signature(
    trail: &mut Trail,
    verifier: &Verifier,
    payload: &[u8],
    annotations: &Annotations,
    signer: &Signer,
) -> Result<Attestation, Failure> {
    let digest = STANDARD.encode(Digest::sha256(payload).as_bytes());
    let message = json!({
        "messageDigest": {"algorithm": "SHA2_256", "digest": digest}, "signature": annotations.signature()?,
    });
    let bundle = annotations.bundle("messageSignature", message)?;
    signed(trail, verifier, Artifact::Bytes(payload), &bundle, signer)
}

/// Checks a key's signature over a payload, with nothing beside it.
pub(super) fn bare_signature(
    trail: &mut Trail,
    payload: &[u8],
    annotations: &Annotations,
    key: &PublicKey,
) -> Result<Attestation, Failure> {
    trail.plan([Check::Document, Check::Signature, Check::Artifact]);
    trail.digests.signer = Some(key.fingerprint());
    let signature = STANDARD.decode(annotations.signature()?).map_err(|e| malformed(format!("the signature: {e}")))?;
    trail.passed(Check::Document, "a payload and a signature over it, by a key");
    let verifier = VerificationKey::from_spki(key.der())
        .map_err(|e| Failure::new(Check::Policy, Reason::KeyInvalid, e.to_string()))?;
    if verifier.verify(payload, &SignatureBytes::new(signature)).is_err() {
        let detail = format!("the signature is not by {}", key.fingerprint());
        return Err(Failure::new(Check::Signature, Reason::SignatureInvalid, detail));
    }
    trail.passed(Check::Signature, format!("by {}", key.fingerprint()));
    let signed_by = SignedBy::Key { fingerprint: key.fingerprint() };
    let signature = Signature { signed_by, signed_at: Vec::new(), log_entries: Vec::new() };
    trail.signature = Some(signature.clone());
    Ok(Attestation { signature, statement: None })
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Checks that a payload, over which the signature is genuine, names the image. The reference in it is not read: images
/// are copied between registries, and the digest says which it is.
pub(super) fn names(trail: &mut Trail, payload: &[u8], image: &Digest) -> Result<(), Failure> {
    let read = small("the payload", payload).map_err(|failure| Failure { check: Check::Artifact, ..failure });
    let Payload { critical } = read?;
    let fail = |detail: String| Err(Failure::new(Check::Artifact, Reason::ArtifactMismatch, detail));
    if critical.kind != PAYLOAD_TYPE {
        return fail(format!("expected a payload of the type {PAYLOAD_TYPE:?}, got {:?}", critical.kind));
    }
    if critical.image.digest.parse::<Digest>().ok().as_ref() != Some(image) {
        return fail(format!("the payload names the image {:?}", critical.image.digest));
    }
    trail.passed(Check::Artifact, format!("the payload names the image {image}"));
    Ok(())
}

fn small<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, Failure> {
    json::read(bytes, SMALL).map_err(|e| {
        let failure = Failure::json(Check::Document, &e, Reason::BundleMalformed);
        Failure { detail: format!("{what}: {}", failure.detail), ..failure }
    })
}

fn malformed(detail: impl Into<String>) -> Failure {
    Failure::new(Check::Document, Reason::BundleMalformed, detail)
}
