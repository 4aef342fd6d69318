//! A log, a trusted root and keys that are made for a test, and bundles signed by them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_verify::crypto::KeyPair;
use sigstore_verify::types::pae;
use tarn_attest::digest::Digest;
use tarn_attest::{Artifact, Attestation, Request, RequestedSigner, Verification};

pub const ARTIFACT: &[u8] = b"what was built";
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// 2026-01-01T00:00:00Z.
pub const SIGNED_AT: i64 = 1_767_225_600;

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub fn unb64(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    Digest::sha256(&parts.concat()).as_bytes().to_vec()
}

/// A transparency log of version 1.
pub struct Log {
    key: KeyPair,
    name: &'static str,
}

impl Log {
    pub fn new(name: &'static str) -> Self {
        Self { key: KeyPair::generate_ecdsa_p256().unwrap(), name }
    }

    fn spki(&self) -> Vec<u8> {
        self.key.public_key_der().unwrap().into_bytes()
    }

    pub fn id(&self) -> Vec<u8> {
        sha256(&[&self.spki()])
    }

    /// Its entry in a trusted root.
    pub fn trusted(&self) -> Value {
        json!({
            "baseUrl": format!("https://{}", self.name), "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(self.spki()), "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            },
            "logId": {"keyId": b64(self.id())},
        })
    }

    /// The note that signs a tree of a size and root.
    pub fn checkpoint(&self, size: u64, root: &[u8]) -> String {
        let text = format!("{}\n{size}\n{}\n", self.name, b64(root));
        let signature = self.key.sign(text.as_bytes()).unwrap();
        let line = [&self.id()[..4], signature.as_bytes()].concat();
        format!("{text}\n— {} {}\n", self.name, b64(line))
    }

    /// An entry as the second leaf of three, with promise and proof.
    pub fn entry(&self, kind: &str, version: &str, body: &Value, at: i64) -> Value {
        let body = body.to_string();
        let (leaf, left) = (sha256(&[b"\0", body.as_bytes()]), sha256(&[b"\0another"]));
        let (pair, right) = (sha256(&[b"\x01", &left, &leaf]), sha256(&[b"\0a third"]));
        let root = sha256(&[b"\x01", &pair, &right]);
        // RFC 8785: keys in order.
        let promised =
            json!({"body": b64(&body), "integratedTime": at, "logID": hex::encode(self.id()), "logIndex": 1});
        let promise = self.key.sign(promised.to_string().as_bytes()).unwrap();
        json!({
            "logIndex": "1", "logId": {"keyId": b64(self.id())}, "kindVersion": {"kind": kind, "version": version},
            "integratedTime": at.to_string(), "inclusionPromise": {"signedEntryTimestamp": b64(promise.as_bytes())},
            "inclusionProof": {
                "logIndex": "1", "rootHash": b64(&root), "treeSize": "3", "hashes": [b64(left), b64(right)],
                "checkpoint": {"envelope": self.checkpoint(3, &root)},
            },
            "canonicalizedBody": b64(body),
        })
    }
}

/// A body of `hashedrekord/0.0.1`.
pub fn hashedrekord(artifact: &[u8], signature: &[u8], verifier_pem: &str) -> Value {
    json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": Digest::sha256(artifact).to_hex()}},
        "signature": {"content": b64(signature), "publicKey": {"content": b64(verifier_pem)}},
    }})
}

/// A log, and somebody with a key.
pub struct World {
    pub log: Log,
    pub key: KeyPair,
}

impl World {
    pub fn new() -> Self {
        Self { log: Log::new("log.example"), key: KeyPair::generate_ecdsa_p256().unwrap() }
    }

    pub fn pem(&self) -> String {
        self.key.public_key_der().unwrap().to_pem()
    }

    pub fn root(&self) -> Value {
        root(&[&self.log])
    }

    fn bundle(content: (&str, Value), entry: Value) -> Value {
        let mut bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "hint"}, "tlogEntries": [entry]},
        });
        bundle[content.0] = content.1;
        bundle
    }

    /// A bundle of a plain signature.
    pub fn message(&self, artifact: &[u8]) -> Value {
        let signature = self.key.sign(artifact).unwrap();
        let body = hashedrekord(artifact, signature.as_bytes(), &self.pem());
        let entry = self.log.entry("hashedrekord", "0.0.1", &body, SIGNED_AT);
        let digest = json!({"algorithm": "SHA2_256", "digest": b64(Digest::sha256(artifact).as_bytes())});
        let message = json!({"messageDigest": digest, "signature": b64(signature.as_bytes())});
        Self::bundle(("messageSignature", message), entry)
    }

    /// A DSSE envelope.
    pub fn envelope(&self, payload_type: &str, payload: &[u8]) -> Value {
        let signature = self.key.sign(&pae(payload_type, payload)).unwrap();
        json!({"payloadType": payload_type, "payload": b64(payload), "signatures": [{"sig": b64(signature.as_bytes())}]})
    }

    /// A bundle of an envelope.
    pub fn attested(&self, payload_type: &str, payload: &[u8]) -> Value {
        let envelope = self.envelope(payload_type, payload);
        let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": Digest::sha256(bytes).to_hex()});
        let signature = &envelope["signatures"][0]["sig"];
        let body = json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "envelopeHash": hash(envelope.to_string().as_bytes()), "payloadHash": hash(payload),
            "signatures": [{"signature": signature, "verifier": b64(self.pem())}],
        }});
        let entry = self.log.entry("dsse", "0.0.1", &body, SIGNED_AT);
        Self::bundle(("dsseEnvelope", envelope), entry)
    }

    /// Verifies a bundle about [`ARTIFACT`] by this world's key and root.
    pub fn verify(&self, bundle: &Value) -> Verification<Attestation> {
        self.verify_by(&self.root(), bundle)
    }

    pub fn verify_by(&self, root: &Value, bundle: &Value) -> Verification<Attestation> {
        self.verify_bytes(root, bundle.to_string().as_bytes())
    }

    pub fn verify_bytes(&self, root: &Value, bundle: &[u8]) -> Verification<Attestation> {
        let (root, pem) = (root.to_string(), self.pem());
        Request {
            artifact: Artifact::Bytes(ARTIFACT),
            bundle,
            signer: RequestedSigner::Key(pem.as_bytes()),
            expectation: None,
            trusted_root: Some(root.as_bytes()),
        }
        .verify()
    }
}

/// A trusted root of these logs, and no authorities.
pub fn root(logs: &[&Log]) -> Value {
    let logs: Vec<Value> = logs.iter().map(|log| log.trusted()).collect();
    json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": logs,
        "certificateAuthorities": [], "ctlogs": [], "timestampAuthorities": [],
    })
}

/// A statement about [`ARTIFACT`].
pub fn statement(predicate_type: &str, predicate: &Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "built", "digest": {"sha256": Digest::sha256(ARTIFACT).to_hex()}}],
        "predicateType": predicate_type, "predicate": predicate,
    })
}
