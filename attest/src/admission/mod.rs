//! A validating admission webhook: which images a workload runs, whether they may, and the record of it. Specification:
//! Kubernetes, "Dynamic Admission Control", `admission.k8s.io/v1`.
//!
//! * [`Review`]: the API server's question, and the images in it.
//! * [`decide`]: an answer, by a mode and by what a verifier says of each image.
//! * [`Source`]: where the documents come from that are attached to an image.
//! * [`Admission`]: all of it in time: images are examined, what was verified and decided is recorded, then answered.
//! * [`Summarizer`]: SLSA verification summaries of images that passed.
//! * [`disagreements`]: where others decide otherwise.
//! * [`router`]: its HTTP.
//!
//! It listens nowhere, which is the caller's. [`Layouts`] reads files, and `Registries` asks those that are named.

mod cache;
mod counts;
mod decision;
pub mod disagreements;
mod examination;
mod http;
mod record;
mod reference;
mod review;
mod service;
mod source;
mod summary;

pub use decision::{Decision, Mode, Outcome, Unattested, Verdict, decide};
pub use http::router;
pub use record::Recorder;
pub use reference::{Reference, ReferenceError};
pub use review::{Review, ReviewError, Used, WorkloadError};
pub use service::{Admission, Clock, Limits, Parts, Times};
pub use source::{Layouts, NoFolder, Source, SourceError};
#[cfg(feature = "registry")]
pub use source::{OtherRegistry, Registries};
pub use summary::{Summarizer, SummarizerError};
