//! A document that is attached to an image, and its verification.

use super::cosign::{self, Annotations};
use crate::artifact::Artifact;
use crate::attestation::{Attestation, said, verify_then};
use crate::digest::Digest;
use crate::dsse;
use crate::policy::{Policy, Signer};
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use crate::sigstore::Verifier;
use crate::verified::Verification;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::borrow::Cow;

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
    /// A bill of materials in CycloneDX or SPDX JSON, which nobody signed.
    Sbom(Vec<u8>),
    /// Something that is not read here, such as a statement that nobody signed.
    Other,
}

/// What a media type says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bundle,
    Envelope,
    Signature,
    Sbom,
    Other,
}

impl Kind {
    pub(super) fn of(media_type: &str) -> Self {
        match media_type {
            "application/vnd.dsse.envelope.v1+json" => Self::Envelope,
            "application/vnd.dev.cosign.simplesigning.v1+json" => Self::Signature,
            "application/vnd.cyclonedx+json" | "application/spdx+json" | "text/spdx+json" => Self::Sbom,
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
            Self::Sbom => Content::Sbom(bytes),
            Self::Other => Content::Other,
        }
    }
}

impl Attached {
    /// All that it is verified by, in one document; nothing of what is not read.
    ///
    /// What cosign wrote beside a payload or an envelope is no part of it, so of these it is the OCI descriptor of both:
    /// the annotations, and the content in `data` (OCI image 1.1, "Descriptor"), as RFC 8785 writes it.
    pub fn document(&self) -> Option<Cow<'_, [u8]>> {
        let (bytes, annotations) = match &self.content {
            Content::Bundle(bytes) | Content::Sbom(bytes) => return Some(Cow::Borrowed(bytes)),
            Content::Envelope(bytes, annotations) | Content::Signature(bytes, annotations) => (bytes, annotations),
            Content::Other => return None,
        };
        let annotations = annotations.named();
        if annotations.is_empty() {
            return Some(Cow::Borrowed(bytes));
        }
        // Keys in the order of RFC 8785, and nothing in it that is written in more than one way.
        let descriptor = json!({
            "annotations": annotations, "data": STANDARD.encode(bytes), "digest": self.digest,
            "mediaType": self.media_type, "size": bytes.len(),
        });
        Some(Cow::Owned(descriptor.to_string().into_bytes()))
    }

    /// Verifies it about an image.
    ///
    /// Bundles are verified as anywhere. What cosign wrote before there were bundles is read as one where a log's promise
    /// lies beside it, and then every check of a bundle 0.1 is made. Without, a key's signature is checked alone: nobody
    /// says then when it was made.
    pub fn verify(&self, verifier: &Verifier, image: &Digest, policy: &Policy) -> Verification<Attestation> {
        self.verify_then(verifier, image, &policy.signer, |trail, attestation| {
            said(trail, attestation.statement.as_ref(), policy.expectation.as_ref())
        })
    }

    /// Verifies who signed what about an image, and then what the caller asks of it.
    pub(crate) fn verify_then(
        &self,
        verifier: &Verifier,
        image: &Digest,
        signer: &Signer,
        then: impl FnOnce(&mut Trail, &Attestation) -> Result<(), Failure>,
    ) -> Verification<Attestation> {
        let artifact = Artifact::Digest(image.clone());
        match (&self.content, signer) {
            (Content::Bundle(bytes), _) => verify_then(verifier, artifact, bytes, signer, then),
            (Content::Envelope(envelope, annotations), Signer::Key(key)) if annotations.is_bare() => {
                dsse::verify_then(envelope, artifact, key, then)
            }
            (content, _) => Verification::run(|trail| {
                self.begin(trail, image);
                let attestation = match content {
                    Content::Envelope(envelope, annotations) => {
                        cosign::envelope(trail, verifier, envelope, annotations, image, signer)
                    }
                    Content::Signature(payload, annotations) => {
                        let signed = match signer {
                            Signer::Key(key) if annotations.is_bare() => {
                                cosign::bare_signature(trail, payload, annotations, key)
                            }
                            _ => cosign::signature(trail, verifier, payload, annotations, signer),
                        };
                        self.begin(trail, image);
                        signed.and_then(|attestation| cosign::names(trail, payload, image).map(|()| attestation))
                    }
                    Content::Sbom(_) => {
                        let detail = "a bill of materials that nobody signed";
                        Err(Failure::new(Check::Document, Reason::BundleUnsupported, detail))
                    }
                    Content::Bundle(_) | Content::Other => {
                        let detail = format!("nothing of the media type {:?} is verified", self.media_type);
                        Err(Failure::new(Check::Document, Reason::BundleUnsupported, detail))
                    }
                };
                self.begin(trail, image);
                let attestation = attestation?;
                then(trail, &attestation)?;
                Ok(attestation)
            }),
        }
    }

    /// The digests that the record stands on: of what is attached, and not of the bundle that is made of it here.
    fn begin(&self, trail: &mut Trail, image: &Digest) {
        trail.digests.document = Some(self.digest.clone());
        trail.digests.artifact = vec![image.clone()];
    }
}
