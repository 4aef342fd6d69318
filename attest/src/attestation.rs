//! The whole of a verification: the document, who signed, and what they said.

use crate::artifact::Artifact;
use crate::digest::Digest;
use crate::dsse;
use crate::evidence::{Predicate, Sbom, Statement, provenance, vsa};
use crate::policy::{Expectation, Policy, Signer};
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use crate::sigstore::{Bundle, Content, Signature, SignedBy, Verifier};
use crate::verified::Verification;

/// What a bundle or an envelope attests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Who signed, when, and where it was made public.
    pub signature: Signature,
    /// What they said about the artifact; absent where they signed the artifact itself.
    pub statement: Option<Statement>,
}

/// Verifies a Sigstore bundle, or a bare DSSE envelope ([`dsse`]) where the signer is a key, about an artifact.
///
/// The order of checks is in the record's steps and in `docs/attest.md`. Nothing that the bundle says is believed before
/// its signature, and nothing after the first check that fails is looked at.
///
/// **Bounds**: [`json::DOCUMENT`](crate::json::DOCUMENT), 16 log entries, timestamps and certificates.
pub fn verify(
    verifier: &Verifier,
    artifact: Artifact<'_>,
    document: &[u8],
    policy: &Policy,
) -> Verification<Attestation> {
    verify_then(verifier, artifact, document, &policy.signer, |trail, attestation| {
        said(trail, attestation.statement.as_ref(), policy.expectation.as_ref())
    })
}

/// Verifies who signed what, and then what the caller asks of it.
pub(crate) fn verify_then(
    verifier: &Verifier,
    artifact: Artifact<'_>,
    document: &[u8],
    signer: &Signer,
    then: impl FnOnce(&mut Trail, &Attestation) -> Result<(), Failure>,
) -> Verification<Attestation> {
    match (dsse::is_envelope(document), signer) {
        (true, Signer::Key(key)) => dsse::verify_then(document, artifact, key, then),
        (true, Signer::Keyless { .. }) => Verification::run(|trail| {
            trail.digests.document = Some(Digest::sha256(document));
            trail.digests.artifact = artifact.digests().unwrap_or_default();
            let detail = "a bare envelope has no certificate: expected a Sigstore bundle";
            Err(Failure::new(Check::SignerKind, Reason::SignerKindUnexpected, detail))
        }),
        (false, signer) => Verification::run(|trail| {
            let attestation = signed(trail, verifier, artifact, document, signer)?;
            then(trail, &attestation)?;
            Ok(attestation)
        }),
    }
}

/// Checks who signed what, within a verification.
pub(crate) fn signed(
    trail: &mut Trail,
    verifier: &Verifier,
    artifact: Artifact<'_>,
    bundle: &[u8],
    signer: &Signer,
) -> Result<Attestation, Failure> {
    trail.plan([Check::Document]);
    let bundle = Bundle::read(trail, bundle)?;
    let signature = verifier.signature(trail, &bundle, artifact, signer)?;
    who(trail, &signature, signer)?;
    let statement = match bundle.content {
        Content::Message(_) => None,
        Content::Statement(statement) => Some(statement),
    };
    Ok(Attestation { signature, statement })
}

/// Checks the certificate's subject and issuer. A key is its own identity.
fn who(trail: &mut Trail, signature: &Signature, signer: &Signer) -> Result<(), Failure> {
    let (SignedBy::Certificate(certificate), Signer::Keyless { identity, issuer }) = (&signature.signed_by, signer)
    else {
        return Ok(());
    };
    trail.plan([Check::Identity, Check::Issuer]);
    let found = |claim: &Option<String>| claim.clone().unwrap_or_else(|| "none".to_owned());
    let subject = found(&certificate.identity);
    if !certificate.identity.as_ref().is_some_and(|subject| identity.matches(subject)) {
        let detail = format!("expected {identity}, got {subject}");
        return Err(Failure::new(Check::Identity, Reason::IdentityMismatch, detail));
    }
    trail.passed(Check::Identity, subject);
    let vouched = found(&certificate.issuer);
    if certificate.issuer.as_deref() != Some(issuer.as_str()) {
        let detail = format!("expected {}, got {vouched}", issuer.as_str());
        return Err(Failure::new(Check::Issuer, Reason::IssuerMismatch, detail));
    }
    trail.passed(Check::Issuer, vouched);
    Ok(())
}

/// Checks what was said. The signature over it is genuine here.
pub(crate) fn said(
    trail: &mut Trail,
    statement: Option<&Statement>,
    expectation: Option<&Expectation>,
) -> Result<(), Failure> {
    trail.predicate_type = statement.map(|s| s.predicate_type.clone());
    let Some(expectation) = expectation else { return Ok(()) };
    trail.plan([Check::Predicate]);
    let Some(statement) = statement else {
        let detail = "the artifact itself was signed, and no statement about it";
        return Err(Failure::new(Check::Predicate, Reason::StatementMissing, detail));
    };
    let unexpected = |expected: &str| {
        let detail = format!("expected {expected}, got {}", statement.predicate_type);
        Failure::new(Check::Predicate, Reason::PredicateTypeUnexpected, detail)
    };
    let predicate = || {
        let read = statement.predicate();
        read.map_err(|e| Failure::new(Check::Predicate, e.reason(), format!("{}: {e}", statement.predicate_type)))
    };
    match expectation {
        Expectation::PredicateType(expected) if *expected == statement.predicate_type => {
            trail.passed(Check::Predicate, expected.clone());
            Ok(())
        }
        Expectation::PredicateType(expected) => Err(unexpected(expected)),
        Expectation::Provenance(expected) => match predicate()? {
            Predicate::Provenance(provenance) => {
                trail.passed(Check::Predicate, statement.predicate_type.clone());
                provenance::check(trail, &provenance, expected)
            }
            _ => Err(unexpected("SLSA provenance v0.2 or v1")),
        },
        Expectation::Summary(expected) => match predicate()? {
            Predicate::Summary(summary) => {
                trail.passed(Check::Predicate, statement.predicate_type.clone());
                vsa::check(trail, &summary, expected)
            }
            _ => Err(unexpected("a SLSA verification summary v1")),
        },
        Expectation::Sbom => match predicate()? {
            Predicate::Sbom(Sbom { format, components, .. }) => {
                trail.passed(Check::Predicate, format!("{} of {} components", format.as_str(), components.len()));
                Ok(())
            }
            _ => Err(unexpected("a CycloneDX or SPDX bill of materials")),
        },
    }
}
