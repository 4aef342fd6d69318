//! Whether a workload may run, and the answer that says so.

use super::reference::Reference;
use super::review::{Review, Used};
use crate::digest::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Warnings of one answer, with one for how many more there are, and bytes of each: the API server cuts what is over 256
/// characters, and drops what is over 4,096 together.
const WARNINGS_MAX: usize = 15;
const WARNING_BYTES_MAX: usize = 250;

/// What becomes of a workload with an image that is not attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It may run, and whoever asks is warned.
    Warn,
    /// It may not run: neither when an image fails, nor when that cannot be told.
    Enforce,
}

/// What is known of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A policy's documents are attached, and all of its checks passed.
    Attested,
    /// They did not.
    Unattested(Unattested),
}

/// Why an image is not attested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unattested {
    /// A reference that is none, in the runtime's reading.
    #[error("no image reference")]
    Reference,
    /// A tag, which may be another image when it is pulled.
    #[error("named without a digest")]
    Tag,
    /// No policy says whose word counts.
    #[error("no policy is for it")]
    Policy,
    /// Documents that do not pass, or none.
    #[error("{0}")]
    Failed(String),
    /// It could not be verified in time, or at all.
    #[error("not verified: {0}")]
    Error(String),
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decision {
    uid: String,
    mode: Mode,
    /// Whether the workload may run.
    pub allowed: bool,
    /// Why its images are not known.
    pub unknown: Option<String>,
    /// Its images, with what is known of each.
    pub images: Vec<(Used, Verdict)>,
    /// Why there is no record of it.
    pub unrecorded: Option<String>,
    /// `metadata.uid` of its record.
    pub record: Option<String>,
}

/// Decides on a review. `verify` is asked once for each image that has a digest.
pub fn decide(review: &Review, mode: Mode, mut verify: impl FnMut(&Reference, &Digest) -> Verdict) -> Decision {
    let (used, unknown) = match &review.images {
        Ok(used) => (used.as_slice(), None),
        Err(error) => (&[][..], Some(error.to_string())),
    };
    let mut known: BTreeMap<(&str, &Digest), Verdict> = BTreeMap::new();
    let mut images = Vec::with_capacity(used.len());
    for used in used {
        let verdict = match &used.reference {
            Ok(reference @ Reference { digest: Some(digest), .. }) => {
                known.entry((&reference.name, digest)).or_insert_with(|| verify(reference, digest)).clone()
            }
            Ok(Reference { digest: None, .. }) => Verdict::Unattested(Unattested::Tag),
            Err(_) => Verdict::Unattested(Unattested::Reference),
        };
        images.push((used.clone(), verdict));
    }
    let attested = unknown.is_none() && images.iter().all(|(_, verdict)| *verdict == Verdict::Attested);
    let allowed = attested || mode == Mode::Warn;
    Decision { uid: review.uid.clone(), mode, allowed, unknown, images, unrecorded: None, record: None }
}

impl Decision {
    /// Whether everything in the workload is attested.
    pub fn is_attested(&self) -> bool {
        self.problems().next().is_none()
    }

    /// The same with its record's uid.
    pub fn with_record(self, uid: String) -> Self {
        Self { record: Some(uid), ..self }
    }

    /// The same without a record, which counts like an image that is not attested.
    pub fn without_record(self, why: String) -> Self {
        Self { allowed: self.mode == Mode::Warn, unrecorded: Some(why), record: None, ..self }
    }

    /// What was decided, as records and annotations name it.
    pub fn outcome(&self) -> Outcome {
        match (self.is_attested(), self.allowed) {
            (true, _) => Outcome::Attested,
            (false, true) => Outcome::Warned,
            (false, false) => Outcome::Refused,
        }
    }

    /// What is in the way of an answer without warnings.
    pub fn problems(&self) -> impl Iterator<Item = String> + '_ {
        let images = self.images.iter().filter_map(|(used, verdict)| match verdict {
            Verdict::Attested => None,
            Verdict::Unattested(why) => Some(format!("{}: {}: {why}", used.by, used.image)),
        });
        let unrecorded = self.unrecorded.iter().map(|why| format!("the decision is not recorded: {why}"));
        self.unknown.iter().cloned().chain(images).chain(unrecorded)
    }

    /// The answer, as the API server expects it: an AdmissionReview of `admission.k8s.io/v1`.
    pub fn answer(&self) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": self.response()})
    }

    /// What of it is the answer to this question. What is not attested is a warning where the workload may run, and the
    /// refusal's message where not; audit annotations say which it was, and under which uid it is recorded.
    pub(super) fn response(&self) -> Value {
        let problems: Vec<String> = self.problems().map(|problem| cut(&problem)).collect();
        let outcome = self.outcome();
        let mut response = json!({
            "uid": self.uid, "allowed": self.allowed, "auditAnnotations": {"decision": outcome.as_str()},
        });
        if let Some(record) = &self.record {
            response["auditAnnotations"]["record"] = json!(record);
        }
        let rest = problems.len().saturating_sub(WARNINGS_MAX);
        let mut told: Vec<String> = problems.into_iter().take(WARNINGS_MAX).collect();
        if rest > 0 {
            told.push(format!("and {rest} more"));
        }
        match outcome {
            Outcome::Attested => {}
            Outcome::Warned => response["warnings"] = json!(told),
            Outcome::Refused => response["status"] = json!({"code": 403, "message": told.join("; ")}),
        }
        response
    }

    /// The question's id.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The mode it was decided in.
    pub fn mode(&self) -> Mode {
        self.mode
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything in the workload is attested.
    Attested,
    /// It may run all the same.
    Warned,
    /// It may not run.
    Refused,
}

impl Outcome {
    /// Its name in records and annotations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attested => "attested",
            Self::Warned => "warned",
            Self::Refused => "refused",
        }
    }
}

/// A line within the bound, without control characters, which an answer would carry into terminals.
fn cut(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        let shown = if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        if line.len() + shown.len() > WARNING_BYTES_MAX {
            line.push('…');
            break;
        }
        line.push_str(&shown);
    }
    line
}
