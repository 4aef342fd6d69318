//! Key release: evidence of trusted execution environments is verified, a policy is asked, what was decided is recorded,
//! and only then a key goes out, encrypted to the attested key (`docs/enclave.md`).
//!
//! No cryptography is made here: signatures, certificates and ciphers are those of aws-lc-rs, rustls-webpki, coset and
//! jsonwebtoken. Verifiers do no IO, and take the time as an argument.

pub mod broker;
pub mod client;
pub mod evidence;
mod json;
pub mod jwe;
pub mod keys;
#[cfg(all(feature = "nsm", target_os = "linux"))]
pub mod nsm;
pub mod policy;
pub mod reason;
pub mod sealed;
pub mod secret;
pub mod simulated;
pub mod verifiers;

pub use reason::{Reason, Refusal};
pub use secret::Secret;
