//! Verifiers of signatures and provenance: documents in, typed evidence out.
//!
//! A verifier reads bytes that somebody else made, decides by a policy and a trusted root, and leaves a [`Record`]
//! whether they passed or failed: which checks were made, in which order, which one failed with which [`Reason`], and
//! the digests it all stands on. What passed is a [`Verified`] value, which nothing but a verifier makes.
//!
//! * [`verify`]: Sigstore bundles, keyless and with keys, and the in-toto statements in them.
//! * [`dsse::verify`]: a bare DSSE envelope and a key.
//! * [`evidence`]: statements, SLSA provenance, verification summaries, and SBOMs as rows.
//! * [`policies`]: the trust policy file, and a document verified by one policy of it.
//! * [`conformance`]: the answer to the Sigstore client conformance protocol.
//! * [`oci`]: what is attached to a container image, in a layout on disk.
//! * [`ocsf`]: verifications and bills of materials as OCSF records.
//! * [`intake`]: documents of any kind to the records that are made of them.
//! * [`reverify`]: records that passed, checked again under the roots, identities and policies of today.
//! * [`admission`]: which images a Kubernetes workload runs, and whether it may.
//! * [`ledger`]: evidence as leaves of an append-only Merkle log on any object store, its proofs and its audit.
//!
//! The verifiers open no files and no sockets ([`oci::Repository`] reads what is to be verified), and no cryptography is
//! ours: `sigstore-verify` does it, behind [`sigstore`].

pub mod admission;
pub mod artifact;
mod attestation;
pub mod conformance;
pub mod digest;
pub mod dsse;
pub mod evidence;
pub mod intake;
pub mod json;
pub mod ledger;
pub mod lineage;
pub mod oci;
pub mod ocsf;
pub mod policies;
pub mod policy;
pub mod reason;
pub mod record;
mod request;
pub mod reverify;
pub mod sigstore;
mod verified;

pub use artifact::Artifact;
pub use attestation::{Attestation, verify};
pub use digest::{Algorithm, Digest};
pub use policies::{Policies, TrustPolicy};
pub use policy::Policy;
pub use reason::Reason;
pub use record::{Check, Outcome, Record, Step};
pub use request::{Request, RequestedSigner};
pub use verified::{Verification, Verified};
