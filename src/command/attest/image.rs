//! `tarn attest verify --layout` and `--image`: what is attached to an image, each document step by step, and one verdict.

use super::rows;
use super::source::Image;
use crate::command::Usage;
use crate::output::{Format, print_rows};
use serde_json::json;
use std::process::ExitCode;
use tarn_attest::oci::{Attached, Examined};
use tarn_attest::policy::{Expectation, Policy};
use tarn_attest::sigstore::Verifier;
use tarn_attest::{Digest, RequestedSigner, TrustPolicy};

/// Who must have signed, and what must have been said.
pub struct Asked<'a> {
    pub signer: RequestedSigner<'a>,
    pub expectation: Option<Expectation>,
    /// A trusted root's bytes; without them, that of Sigstore's public instance.
    pub trusted_root: Option<&'a [u8]>,
}

impl Asked<'_> {
    /// What documents are verified by.
    ///
    /// **Errors**: [`Usage`] for a key, identity or root that cannot be used.
    pub fn policy(self) -> anyhow::Result<(Policy, Verifier)> {
        let signer = self.signer.read().map_err(|e| Usage(e.to_string()))?;
        let verifier = self.trusted_root.map_or_else(Verifier::production, Verifier::with_root);
        let verifier = verifier.map_err(|e| Usage(format!("the trusted root: {e}")))?;
        Ok((Policy { signer, expectation: self.expectation }, verifier))
    }
}

/// Verifies every document that is attached to an image. The image passes when one of them does: anybody may attach
/// more, so those that fail are shown and count for nothing.
pub fn verify(image: Image, policy: &Policy, verifier: &Verifier, format: Option<Format>) -> anyhow::Result<ExitCode> {
    let verify = |document: Attached| {
        let verification = document.verify(verifier, &image.digest, policy);
        (document, verification)
    };
    let documents = image.attached.into_iter().map(verify).collect();
    report(&image.digest, &Examined { documents, missing: Vec::new() }, format)
}

/// The same by a policy of a file, which may ask for documents of several kinds.
pub fn examine(image: Image, policy: &TrustPolicy, format: Option<Format>) -> anyhow::Result<ExitCode> {
    let examined = Examined::of(policy, &image.digest, image.attached, chrono::Utc::now());
    report(&image.digest, &examined, format)
}

fn report(image: &Digest, examined: &Examined, format: Option<Format>) -> anyhow::Result<ExitCode> {
    let mut shown = Vec::new();
    for (document, verification) in &examined.documents {
        shown.extend(rows(verification.record()).into_iter().map(|mut row| {
            row.insert("document".to_owned(), json!(document.digest));
            row
        }));
    }
    print_rows(&shown, Format::or_default(format))?;
    let missing: Vec<_> = examined.missing.iter().map(|part| part.name()).collect();
    match (examined.passed(), examined.documents.len()) {
        (0, 0) => eprintln!("not verified: {image}: nothing is attached to it"),
        (0, all) => eprintln!("not verified: {image}: none of {all} attached documents passes"),
        (_, _) if !missing.is_empty() => eprintln!("not verified: {image}: nothing passes for {}", missing.join(", ")),
        (passed, all) => eprintln!("verified: {image}: {passed} of {all} attached documents pass"),
    }
    Ok(if examined.is_attested() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
