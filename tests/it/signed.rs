//! Signed documents to verify, made here: in-toto statements in DSSE envelopes, by Ed25519 keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use std::path::Path;
use tarn_attest::Digest;

/// The payload type of statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A key that signs documents.
pub struct Key(SigningKey);

impl Key {
    pub fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    /// A statement in an envelope (DSSE 1.0.2), signed.
    pub fn envelope(&self, statement: &Value) -> String {
        self.envelope_of(IN_TOTO, &statement.to_string())
    }

    /// A payload of a type in an envelope, signed.
    pub fn envelope_of(&self, kind: &str, payload: &str) -> String {
        let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        let signature = STANDARD.encode(self.0.sign(signed.as_bytes()).to_bytes());
        let payload = STANDARD.encode(payload);
        json!({"payloadType": kind, "payload": payload, "signatures": [{"sig": signature}]}).to_string()
    }

    /// The public half (RFC 8410).
    pub fn public(&self) -> String {
        let mut der = hex::decode("302a300506032b6570032100").unwrap();
        der.extend(self.0.verifying_key().to_bytes());
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }
}

/// Writes `policies.toml`, with a policy for each key, and the keys beside it.
pub fn policies(folder: &Path, policies: &[(&str, &Key)]) {
    let mut file = String::new();
    for (name, key) in policies {
        std::fs::write(folder.join(format!("{name}.pub")), key.public()).unwrap();
        file.push_str(&format!("[[policy]]\nname = \"{name}\"\nkey = \"{name}.pub\"\n"));
    }
    std::fs::write(folder.join("policies.toml"), file).unwrap();
}

/// The digest of an artifact of this content.
pub fn digest(content: &str) -> String {
    Digest::sha256(content.as_bytes()).to_string()
}

/// A statement about it.
pub fn statement(content: &str, predicate_type: &str, predicate: &Value) -> Value {
    let subject = json!([{"name": content, "digest": {"sha256": digest(content).split_once(':').unwrap().1}}]);
    json!({"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": predicate_type,
        "predicate": predicate})
}

/// A bill of materials of two components.
pub fn bill() -> Value {
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
        {"type": "library", "name": "zlib", "version": "1.3"}, {"type": "library", "name": "plain"}]})
}

/// A bill of materials that says what it is of.
pub fn bill_of(content: &str) -> Value {
    let mut bill = bill();
    let hash = json!([{"alg": "SHA-256", "content": digest(content).split_once(':').unwrap().1}]);
    bill["metadata"] = json!({"component": {"type": "application", "name": content, "hashes": hash}});
    bill
}

/// What base 64 stands for.
pub fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}
