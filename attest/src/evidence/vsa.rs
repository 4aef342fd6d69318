//! SLSA verification summaries v1: somebody verified an artifact, and says what came of it.

use super::PredicateError;
use crate::json;
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

/// A verification summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Who verified. A claim of the signer: a policy must name a signer that may speak for the verifier.
    pub verifier: String,
    /// When.
    pub time_verified: Option<DateTime<Utc>>,
    /// Under which name the artifact was looked at.
    pub resource_uri: String,
    /// By which policy.
    pub policy_uri: Option<String>,
    /// What came of it.
    pub result: SummaryResult,
    /// The levels that it reaches.
    pub levels: Vec<String>,
}

/// What came of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SummaryResult {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    verifier: Verifier,
    time_verified: Option<String>,
    resource_uri: String,
    #[serde(default)]
    policy: Policy,
    verification_result: SummaryResult,
    #[serde(default)]
    verified_levels: Vec<String>,
}

#[derive(Deserialize)]
struct Verifier {
    id: String,
}

#[derive(Default, Deserialize)]
struct Policy {
    uri: Option<String>,
}

impl Summary {
    /// Reads a predicate of `https://slsa.dev/verification_summary/v1`.
    ///
    /// **Errors**: what is missing or of another shape, and a time that is none.
    pub fn read(predicate: &[u8]) -> Result<Self, PredicateError> {
        let wire: Wire = json::read(predicate, json::DOCUMENT)?;
        let time = |text: String| {
            let time = DateTime::parse_from_rfc3339(&text).map(|t| t.to_utc());
            time.map_err(|e| PredicateError::Value(format!("timeVerified {text:?}: {e}")))
        };
        Ok(Self {
            verifier: wire.verifier.id,
            time_verified: wire.time_verified.map(time).transpose()?,
            resource_uri: wire.resource_uri,
            policy_uri: wire.policy.uri,
            result: wire.verification_result,
            levels: wire.verified_levels,
        })
    }

    /// Whether it reaches a level: itself, or a higher one of its track, such as `SLSA_BUILD_LEVEL_3` for
    /// `SLSA_BUILD_LEVEL_2`.
    pub fn reaches(&self, level: &str) -> bool {
        let track = |level: &str| {
            let (track, number) = level.rsplit_once("_LEVEL_")?;
            Some((track.to_owned(), number.parse::<u8>().ok()?))
        };
        let enough = |found: &String| match (track(found), track(level)) {
            (Some((found, reached)), Some((asked, at_least))) => found == asked && reached >= at_least,
            _ => found == level,
        };
        self.levels.iter().any(enough)
    }
}

/// What a summary must say. It must always say that the artifact passed.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// Who verified, exactly.
    pub verifier: String,
    /// Under which name, exactly; absent, any.
    pub resource_uri: Option<String>,
    /// The levels that it must reach.
    pub levels: Vec<String>,
    /// How old it may be, and the time now; absent, any age.
    pub fresh: Option<Fresh>,
}

/// How old a summary may be.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// The time now.
    pub now: DateTime<Utc>,
    /// At most so old.
    pub age_max: TimeDelta,
}

/// Checks a summary, whose signature was verified before.
pub(crate) fn check(trail: &mut Trail, summary: &Summary, expected: &Expectations) -> Result<(), Failure> {
    trail.plan([Check::Verifier, Check::Resource, Check::Result, Check::Levels, Check::Age]);
    let fail = |check, reason, detail: String| Err(Failure::new(check, reason, detail));
    if expected.verifier != summary.verifier {
        let detail = format!("expected {}, got {}", expected.verifier, summary.verifier);
        return fail(Check::Verifier, Reason::VerifierMismatch, detail);
    }
    trail.passed(Check::Verifier, summary.verifier.clone());
    if let Some(resource) = expected.resource_uri.as_ref().filter(|resource| **resource != summary.resource_uri) {
        let detail = format!("expected {resource}, got {}", summary.resource_uri);
        return fail(Check::Resource, Reason::ResourceMismatch, detail);
    }
    trail.passed(Check::Resource, summary.resource_uri.clone());
    if summary.result == SummaryResult::Failed {
        return fail(Check::Result, Reason::SummaryFailed, "the summary says FAILED".to_owned());
    }
    trail.passed(Check::Result, "PASSED");
    if let Some(level) = expected.levels.iter().find(|level| !summary.reaches(level)) {
        let detail = format!("expected {level}, got {}", summary.levels.join(", "));
        return fail(Check::Levels, Reason::LevelMissing, detail);
    }
    trail.passed(Check::Levels, summary.levels.join(", "));
    let age = summary.time_verified.zip(expected.fresh).map(|(time, fresh)| fresh.now - time);
    match (expected.fresh, age) {
        (None, _) => trail.passed(Check::Age, "any"),
        (Some(fresh), Some(age)) if age >= TimeDelta::zero() && age <= fresh.age_max => {
            trail.passed(Check::Age, format!("{} s", age.num_seconds()));
        }
        (Some(fresh), age) => {
            let found = age.map_or("no time".to_owned(), |age| format!("{} s", age.num_seconds()));
            let detail = format!("expected 0 to {} s, got {found}", fresh.age_max.num_seconds());
            return fail(Check::Age, Reason::SummaryStale, detail);
        }
    }
    Ok(())
}
