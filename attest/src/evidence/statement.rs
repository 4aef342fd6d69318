//! In-toto statements, v0.1 and v1: subjects by their digests, and a predicate by its type.

use super::{Predicate, PredicateError, Provenance, Sbom, Summary};
use crate::digest::{Digest, DigestSet};
use crate::json;
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The DSSE payload type of statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const VERSIONS: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// Subjects of one statement: a release of some thousand files has them.
const SUBJECTS_MAX: usize = 100_000;

/// A statement about at least one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// The kind of what it says.
    pub predicate_type: String,
    /// What it says, as it came.
    predicate: String,
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name, which may be empty: it is for people, and binds nothing.
    pub name: String,
    /// Its digests.
    pub digests: Vec<Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(rename = "_type")]
    version: String,
    subject: Vec<WireSubject>,
    predicate_type: String,
    #[serde(borrow)]
    predicate: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireSubject {
    #[serde(default)]
    name: String,
    #[serde(default)]
    digest: DigestSet,
}

impl Statement {
    /// Reads the payload of an envelope.
    pub(crate) fn of_payload(trail: &mut Trail, payload_type: &str, payload: &[u8]) -> Result<Self, Failure> {
        trail.digests.payload = Some(Digest::sha256(payload));
        if payload_type != PAYLOAD_TYPE {
            let detail = format!("expected the payload type {PAYLOAD_TYPE}, got {payload_type:?}");
            return Err(Failure::new(Check::Statement, Reason::PayloadTypeUnexpected, detail));
        }
        let statement = Self::read(payload)?;
        trail.passed(Check::Statement, format!("{} of {}", statement.predicate_type, statement.names()));
        Ok(statement)
    }

    /// Reads a payload, which proves nothing.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Failure> {
        let malformed = |detail: &str| Failure::new(Check::Statement, Reason::StatementMalformed, detail);
        let wire: Wire<'_> = json::read(payload, json::DOCUMENT)
            .map_err(|e| Failure::json(Check::Statement, &e, Reason::StatementMalformed))?;
        if !VERSIONS.contains(&wire.version.as_str()) {
            let detail = format!("expected {}, got {:?}", VERSIONS.join(" or "), wire.version);
            return Err(Failure::new(Check::Statement, Reason::StatementVersionUnsupported, detail));
        }
        if wire.predicate_type.is_empty() {
            return Err(malformed("the predicate type is empty"));
        }
        if !(1..=SUBJECTS_MAX).contains(&wire.subject.len()) {
            return Err(malformed(&format!("expected 1 to {SUBJECTS_MAX} subjects, got {}", wire.subject.len())));
        }
        let subjects = wire.subject.into_iter().map(|s| Subject { name: s.name, digests: s.digest.0 });
        Ok(Self {
            subjects: subjects.collect(),
            predicate_type: wire.predicate_type,
            predicate: wire.predicate.map_or("{}", RawValue::get).to_owned(),
        })
    }

    /// The subject that an artifact is, by any of its digests in which nobody makes collisions.
    pub fn subject_of(&self, artifact: &[Digest]) -> Option<&Subject> {
        let binds = |digest: &Digest| digest.is_binding() && artifact.contains(digest);
        self.subjects.iter().find(|subject| subject.digests.iter().any(binds))
    }

    /// What it says, read by its type.
    ///
    /// **Errors**: what is not of that type.
    pub fn predicate(&self) -> Result<Predicate, PredicateError> {
        let text = self.predicate.as_bytes();
        match self.predicate_type.as_str() {
            "https://slsa.dev/provenance/v1" => Provenance::v1(text).map(Box::new).map(Predicate::Provenance),
            "https://slsa.dev/provenance/v0.2" => Provenance::v0_2(text).map(Box::new).map(Predicate::Provenance),
            "https://slsa.dev/verification_summary/v1" => Summary::read(text).map(Predicate::Summary),
            other if versioned(other, "https://cyclonedx.org/bom") => Sbom::cyclonedx(text).map(Predicate::Sbom),
            other if versioned(other, "https://spdx.dev/Document") => Sbom::spdx(text).map(Predicate::Sbom),
            _ => Ok(Predicate::Other),
        }
    }

    fn names(&self) -> String {
        let named: Vec<&str> = self.subjects.iter().map(|s| s.name.as_str()).take(3).collect();
        let more = self.subjects.len().saturating_sub(named.len());
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{rest}", named.join(", "))
    }
}

/// Whether a predicate type is this one, with or without a version after it. The document says its version itself.
fn versioned(predicate_type: &str, base: &str) -> bool {
    predicate_type.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"))
}
