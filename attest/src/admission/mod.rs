//! A validating admission webhook's reasoning: which images a workload runs, and whether they may. Specification:
//! Kubernetes, "Dynamic Admission Control", `admission.k8s.io/v1`.
//!
//! * [`Review`]: the API server's question, and the images in it.
//! * [`decide`]: an answer, by a mode and by what a verifier says of each image.
//!
//! It speaks no HTTP and fetches nothing: the caller brings the question's bytes and verifies images.

mod decision;
mod reference;
mod review;

pub use decision::{Decision, Mode, Unattested, Verdict, decide};
pub use reference::{Reference, ReferenceError};
pub use review::{Review, ReviewError, Used, WorkloadError};
