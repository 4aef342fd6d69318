//! Sigstore bundles, verified offline. The crate `sigstore-verify` does it; none of its types leave this module, as its
//! interface still moves.
//!
//! What stands here beside calling it: bounds and a strict reading of the bundle before the library sees it, a closed
//! list of reasons instead of its messages, and identity and issuer checked last, so that a record can say "genuine, and
//! another's".

mod bundle;
mod facts;
mod failure;
mod root;
mod signature;
mod verifier;

pub(crate) use bundle::{Bundle, Content};
pub use root::RootError;
pub use signature::{BuildClaims, Certificate, LogEntry, Signature, SignedBy};
pub use verifier::Verifier;
