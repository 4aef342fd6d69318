//! Trust policies and roots, from the files that an argument or a configuration names.

use std::io::Read;
use std::path::Path;
use tarn_attest::Policies;
use tarn_attest::policies::PoliciesError;
use tarn_attest::sigstore::Verifier;

/// Bytes that are read of a trusted root; its reader has the smaller bound.
const ROOT_BYTES_MAX: u64 = 2 << 20;

/// A policy file; policies that name no trusted root are checked by that of `root`, else of Sigstore's public instance.
///
/// **Errors**: what is wrong, by the file and its key.
pub fn policies(path: &Path, root: Option<Verifier>) -> Result<Policies, String> {
    Policies::load_with(path, root).map_err(|error| match error {
        // It may be a file that the policy file names.
        PoliciesError::Io { .. } => format!("{:#}", anyhow::Error::from(error)),
        _ => format!("{}: {error}", path.display()),
    })
}

/// A trusted root.
///
/// **Errors**: what is wrong, by the file.
pub fn root(path: &Path) -> Result<Verifier, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| wrong(&e))?;
    file.take(ROOT_BYTES_MAX).read_to_end(&mut bytes).map_err(|e| wrong(&e))?;
    Verifier::with_root(&bytes).map_err(|e| wrong(&e))
}
