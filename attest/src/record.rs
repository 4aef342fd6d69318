//! What a verification leaves, whether it passed or failed: its steps, its reason, and the digests it stands on.

use crate::digest::Digest;
use crate::json::JsonError;
use crate::reason::Reason;
use crate::sigstore::Signature;
use serde::Serialize;

/// One thing that is checked. The order here is no order of checking: that is in the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The policy can be used, with its key.
    Policy,
    /// The trusted root can be used.
    TrustedRoot,
    /// The bundle or envelope is within bounds, of a known version, and whole.
    Document,
    /// The payload is an in-toto statement.
    Statement,
    /// It is signed the way the policy asks for: by a certificate or a key.
    SignerKind,
    /// It has the parts that its version asks for, of algorithms and kinds that are supported.
    Structure,
    /// The signing certificate can be read.
    Certificate,
    /// Somebody trusted says when it was signed: a timestamp authority, or the log.
    SigningTime,
    /// The certificate chains to a trusted authority and was valid at each of those times.
    CertificateChain,
    /// The certificate was published in a trusted certificate transparency log.
    CertificateTransparency,
    /// The entry is in a trusted transparency log: inclusion proof, checkpoint, promise.
    LogInclusion,
    /// The signature verifies.
    Signature,
    /// What was signed is this artifact.
    Artifact,
    /// The log entry is about this signature.
    LogEntry,
    /// The signer is the expected one.
    Identity,
    /// The signer was vouched for by the expected issuer.
    Issuer,
    /// The statement says what the policy asks for.
    Predicate,
    /// The builder is the expected one.
    Builder,
    /// The kind of build is the expected one.
    BuildType,
    /// The source is the expected one.
    Source,
    /// The entry point is the expected one.
    EntryPoint,
    /// The parameters are the expected ones.
    Parameters,
    /// The expected materials went in.
    Materials,
    /// The summary is of the expected verifier.
    Verifier,
    /// The summary is about the expected resource.
    Resource,
    /// The summary says: passed.
    Result,
    /// The summary reaches the expected levels.
    Levels,
    /// The summary, or the signature, is fresh.
    Age,
}

impl Check {
    /// Its name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::TrustedRoot => "trusted_root",
            Self::Document => "document",
            Self::Statement => "statement",
            Self::SignerKind => "signer_kind",
            Self::Structure => "structure",
            Self::Certificate => "certificate",
            Self::SigningTime => "signing_time",
            Self::CertificateChain => "certificate_chain",
            Self::CertificateTransparency => "certificate_transparency",
            Self::LogInclusion => "log_inclusion",
            Self::Signature => "signature",
            Self::Artifact => "artifact",
            Self::LogEntry => "log_entry",
            Self::Identity => "identity",
            Self::Issuer => "issuer",
            Self::Predicate => "predicate",
            Self::Builder => "builder",
            Self::BuildType => "build_type",
            Self::Source => "source",
            Self::EntryPoint => "entry_point",
            Self::Parameters => "parameters",
            Self::Materials => "materials",
            Self::Verifier => "verifier",
            Self::Resource => "resource",
            Self::Result => "result",
            Self::Levels => "levels",
            Self::Age => "age",
        }
    }
}

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not, and nothing after it was looked at.
    Failed(Reason),
    /// An earlier one failed.
    NotReached,
}

/// A check that was to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was checked.
    pub check: Check,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// For people: what was found, or what was expected and what was there. Values in it are the documents', with control
    /// characters escaped, and short.
    pub detail: String,
}

/// The digests that a verification stands on; absent where it did not come so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Digests {
    /// The artifact, by each algorithm that was computed or given.
    pub artifact: Vec<Digest>,
    /// The bundle's or envelope's bytes.
    pub document: Option<Digest>,
    /// The DSSE payload's bytes.
    pub payload: Option<Digest>,
    /// The trusted root's bytes.
    pub trusted_root: Option<Digest>,
    /// The signing certificate's DER, or the key's.
    pub signer: Option<Digest>,
}

/// What a verification leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Why it failed; absent where it passed.
    pub reason: Option<Reason>,
    /// What it stands on.
    pub digests: Digests,
    /// The signature, where it is genuine: also in a record that failed, for then it is another's than expected.
    pub signature: Option<Signature>,
    /// The type of the statement's predicate, where the signature over it is genuine.
    pub predicate_type: Option<String>,
    /// The checks, in the order in which they were made.
    pub steps: Vec<Step>,
}

/// The check that fails, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) check: Check,
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

/// Values of documents in details are cut to this many characters.
const DETAIL_CHARS_MAX: usize = 500;

impl Failure {
    pub(crate) fn new(check: Check, reason: Reason, detail: impl Into<String>) -> Self {
        Self { check, reason, detail: detail.into() }
    }

    /// Of a document that was not read; `shape` is the reason where it is JSON of another shape.
    pub(crate) fn json(check: Check, error: &JsonError, shape: Reason) -> Self {
        let reason = match error {
            JsonError::TooLarge { .. } | JsonError::TooMany { .. } => Reason::DocumentTooLarge,
            JsonError::TooDeep { .. } => Reason::DocumentTooDeep,
            JsonError::DuplicateKey { .. } => Reason::DocumentAmbiguous,
            JsonError::Syntax(_) => Reason::DocumentMalformed,
            JsonError::Shape(_) => shape,
        };
        Self::new(check, reason, error.to_string())
    }
}

/// A record while it is made.
#[derive(Default)]
pub(crate) struct Trail {
    pub(crate) digests: Digests,
    pub(crate) signature: Option<Signature>,
    pub(crate) predicate_type: Option<String>,
    steps: Vec<Step>,
    /// The checks to make, as far as they are known.
    planned: Vec<Check>,
}

impl Trail {
    /// Says which checks come next, after those planned before.
    pub(crate) fn plan(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.planned.extend(checks);
    }

    pub(crate) fn passed(&mut self, check: Check, detail: impl Into<String>) {
        self.push(check, Outcome::Passed, &detail.into());
    }

    fn push(&mut self, check: Check, outcome: Outcome, detail: &str) {
        let mut shown = String::new();
        for (i, c) in detail.chars().enumerate() {
            match c {
                _ if i >= DETAIL_CHARS_MAX => {
                    shown.push('…');
                    break;
                }
                c if c.is_control() => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
        }
        let detail = shown;
        self.steps.push(Step { check, outcome, detail });
    }

    /// The record, with the checks that were not reached.
    pub(crate) fn finish(mut self, failure: Option<&Failure>) -> Record {
        if let Some(failure) = failure {
            self.push(failure.check, Outcome::Failed(failure.reason), &failure.detail);
            for check in std::mem::take(&mut self.planned) {
                if !self.steps.iter().any(|step| step.check == check) {
                    self.push(check, Outcome::NotReached, "");
                }
            }
        }
        Record {
            reason: failure.map(|f| f.reason),
            digests: self.digests,
            signature: self.signature,
            predicate_type: self.predicate_type,
            steps: self.steps,
        }
    }
}
