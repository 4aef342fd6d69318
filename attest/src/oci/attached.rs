//! A document that is attached to an image, and its verification.

use super::cosign::{self, Annotations};
use crate::artifact::Artifact;
use crate::attestation::{Attestation, verify};
use crate::digest::Digest;
use crate::dsse;
use crate::policy::{Policy, Signer};
use crate::reason::Reason;
use crate::record::{Check, Failure};
use crate::sigstore::Verifier;
use crate::verified::Verification;

/// A document that is attached to an image. Nothing in it is believed yet, not even that it is about the image.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The manifest that it is a layer of.
    pub manifest: Digest,
    /// Its own digest.
    pub digest: Digest,
    /// What it says it is, at most 160 characters of it.
    pub media_type: String,
    /// How it was found.
    pub found: Found,
    /// What it is.
    pub content: Content,
}

/// How a document was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its manifest's subject is the image.
    Referrer,
    /// By cosign's tag, or by cosign's mark.
    Tag,
}

/// What a document is, and its bytes.
#[derive(Clone, Debug)]
pub enum Content {
    /// A Sigstore bundle.
    Bundle(Vec<u8>),
    /// A DSSE envelope, with what cosign wrote beside it.
    Envelope(Vec<u8>, Annotations),
    /// The payload of a cosign signature, with the signature beside it.
    Signature(Vec<u8>, Annotations),
    /// Something that is not read here, such as a statement that nobody signed.
    Other,
}

/// What a media type says.
pub(super) enum Kind {
    Bundle,
    Envelope,
    Signature,
    Other,
}

impl Kind {
    pub(super) fn of(media_type: &str) -> Self {
        match media_type {
            "application/vnd.dsse.envelope.v1+json" => Self::Envelope,
            "application/vnd.dev.cosign.simplesigning.v1+json" => Self::Signature,
            // Of any version: which are read, the verifier says.
            other if other.starts_with("application/vnd.dev.sigstore.bundle") => Self::Bundle,
            _ => Self::Other,
        }
    }

    pub(super) fn content(self, bytes: Vec<u8>, annotations: Annotations) -> Content {
        match self {
            Self::Bundle => Content::Bundle(bytes),
            Self::Envelope => Content::Envelope(bytes, annotations),
            Self::Signature => Content::Signature(bytes, annotations),
            Self::Other => Content::Other,
        }
    }
}

impl Attached {
    /// Verifies it about an image.
    ///
    /// Bundles are verified as anywhere. What cosign wrote before there were bundles is read as one where a log's promise
    /// lies beside it, and then every check of a bundle 0.1 is made. Without, a key's signature is checked alone: nobody
    /// says then when it was made.
    pub fn verify(&self, verifier: &Verifier, image: &Digest, policy: &Policy) -> Verification<Attestation> {
        let artifact = Artifact::Digest(image.clone());
        match (&self.content, &policy.signer) {
            (Content::Bundle(bytes), _) => verify(verifier, artifact, bytes, policy),
            (Content::Envelope(envelope, annotations), Signer::Key(key)) if annotations.is_bare() => {
                dsse::verify(envelope, artifact, key, policy.expectation.as_ref())
            }
            (Content::Envelope(envelope, annotations), _) => {
                cosign::envelope(verifier, self, envelope, annotations, image, policy)
            }
            (Content::Signature(payload, annotations), Signer::Key(key)) if annotations.is_bare() => {
                cosign::bare_signature(self, payload, annotations, image, key, policy)
            }
            (Content::Signature(payload, annotations), _) => {
                cosign::signature(verifier, self, payload, annotations, image, policy)
            }
            (Content::Other, _) => Verification::run(|trail| {
                trail.digests.document = Some(self.digest.clone());
                trail.digests.artifact = vec![image.clone()];
                let detail = format!("nothing of the media type {:?} is verified", self.media_type);
                Err(Failure::new(Check::Document, Reason::BundleUnsupported, detail))
            }),
        }
    }
}
