//! What is attached to a container image, found by the image's digest: Sigstore bundles by OCI 1.1 referrers, and
//! cosign's signatures and attestations by their tags. Specifications: OCI image 1.1 (layout, manifest, index), OCI
//! distribution 1.1 ("Referrers Tag Schema"), cosign's signature and bundle specifications.
//!
//! * [`Repository`]: where images are. [`image`] and [`attached`] read any of them, and check all content by its digest.
//! * [`Layout`]: an image layout on disk, as `cosign save`, `oras copy --to-oci-layout` and `skopeo copy` write them.
//! * `registry::Registry`, with the feature `registry`: a repository of a registry, which is read and never written to.
//! * [`Attached::verify`]: one document of it, by the policy that any bundle is verified by.
//! * [`Examined`]: all of them, by a policy of the trust policy file.
//!
//! That a document is attached to an image proves nothing, for whoever may push may attach: what counts is that it is
//! signed by whom the policy names, and that what is signed says the image's digest.

mod attached;
mod cosign;
mod error;
mod examined;
mod layout;
mod manifest;
#[cfg(feature = "registry")]
pub mod registry;
mod repository;

pub use attached::{Attached, Content, Found};
pub use cosign::Annotations;
pub use error::OciError;
pub use examined::Examined;
pub use layout::Layout;
pub use repository::{Candidate, Repository, attached, image};
