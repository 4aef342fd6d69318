//! The Sigstore client conformance protocol's `verify-bundle`, as `docs/cli_protocol.md` of sigstore-conformance has it:
//! a bundle, who must have signed, perhaps a trusted root, and a file or its digest. It says nothing of statements, so any
//! statement about the artifact will do.

use crate::artifact::Artifact;
use crate::attestation::Attestation;
use crate::request::{Request, RequestedSigner};
use crate::verified::Verification;

/// Answers `verify-bundle`: exit code 0 where it is verified, 1 where not.
pub fn verify_bundle<'a>(
    artifact: Artifact<'a>,
    bundle: &'a [u8],
    signer: RequestedSigner<'a>,
    trusted_root: Option<&'a [u8]>,
) -> Verification<Attestation> {
    Request { artifact, bundle, signer, expectation: None, trusted_root }.verify()
}
