//! Provenance against what a policy expects of it (SLSA, "Verifying artifacts", step 2).

use super::{Provenance, Source};
use crate::digest::Digest;
use crate::reason::Reason;
use crate::record::{Check, Failure, Trail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr;

/// What provenance must say. What is absent is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// The builder, exactly; without an `@…` of its own, at any version of it.
    pub builder: Option<String>,
    /// The build type, exactly.
    pub build_type: Option<String>,
    /// The source: its repository, and its reference and commit where they are given.
    pub source: Option<Source>,
    /// The entry point, exactly.
    pub entry_point: Option<String>,
    /// Parameters with their values, by their paths.
    pub parameters: BTreeMap<String, String>,
    /// What of parameters that are not named above.
    pub other_parameters: OtherParameters,
    /// What must have gone in.
    pub materials: Vec<ExpectedMaterial>,
}

/// Parameters that a policy does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtherParameters {
    /// They may be anything.
    #[default]
    Allowed,
    /// There must be none: whoever starts the build chooses them, and SLSA asks that all are expected.
    Refused,
}

/// Something that must have gone in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedMaterial {
    /// Where it is from, exactly.
    pub uri: String,
    /// One of its digests.
    pub digest: Option<Digest>,
}

impl FromStr for ExpectedMaterial {
    type Err = String;

    /// `URI`, or `URI DIGEST` (`git+https://github.com/o/r@refs/heads/main gitCommit:0123…`).
    fn from_str(text: &str) -> Result<Self, String> {
        let (uri, digest) = match text.split_once(' ') {
            Some((uri, digest)) => (uri, Some(digest.parse().map_err(|e| format!("{digest:?}: {e}"))?)),
            None => (text, None),
        };
        if uri.is_empty() { Err("expected a URI".into()) } else { Ok(Self { uri: uri.to_owned(), digest }) }
    }
}

/// Checks provenance, whose signature was verified before.
pub(crate) fn check(trail: &mut Trail, provenance: &Provenance, expected: &Expectations) -> Result<(), Failure> {
    trail.plan(expected.checks());
    if let Some(builder) = &expected.builder {
        let holds = is_builder(builder, &provenance.builder);
        equal(trail, Check::Builder, Reason::BuilderMismatch, holds, builder, &provenance.builder)?;
    }
    if let Some(build_type) = &expected.build_type {
        let holds = *build_type == provenance.build_type;
        equal(trail, Check::BuildType, Reason::BuildTypeMismatch, holds, build_type, &provenance.build_type)?;
    }
    if let Some(source) = &expected.source {
        let Some(found) = &provenance.source else {
            let detail = format!("expected {source}, builds of type {} name none that is known", provenance.build_type);
            return Err(Failure::new(Check::Source, Reason::SourceUnknown, detail));
        };
        equal(trail, Check::Source, Reason::SourceMismatch, is_source(source, found), source, found)?;
    }
    if let Some(entry_point) = &expected.entry_point {
        let found = provenance.entry_point.as_deref().unwrap_or("none");
        let holds = provenance.entry_point.as_ref() == Some(entry_point);
        equal(trail, Check::EntryPoint, Reason::EntryPointMismatch, holds, entry_point, found)?;
    }
    parameters(trail, provenance, expected)?;
    materials(trail, provenance, expected)
}

impl Expectations {
    fn checks(&self) -> impl Iterator<Item = Check> {
        let checks = [
            (self.builder.is_some(), Check::Builder),
            (self.build_type.is_some(), Check::BuildType),
            (self.source.is_some(), Check::Source),
            (self.entry_point.is_some(), Check::EntryPoint),
            (self.wants_parameters(), Check::Parameters),
            (!self.materials.is_empty(), Check::Materials),
        ];
        checks.into_iter().filter(|(wanted, _)| *wanted).map(|(_, check)| check)
    }

    fn wants_parameters(&self) -> bool {
        !self.parameters.is_empty() || self.other_parameters == OtherParameters::Refused
    }
}

fn equal(
    trail: &mut Trail,
    check: Check,
    reason: Reason,
    holds: bool,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> Result<(), Failure> {
    if !holds {
        return Err(Failure::new(check, reason, format!("expected {expected}, got {found}")));
    }
    trail.passed(check, found.to_string());
    Ok(())
}

fn is_builder(expected: &str, found: &str) -> bool {
    let unversioned = found.split_once('@').map_or(found, |(name, _)| name);
    expected == found || (!expected.contains('@') && expected == unversioned)
}

fn is_source(expected: &Source, found: &Source) -> bool {
    expected.repository == found.repository
        && (expected.reference.is_none() || expected.reference == found.reference)
        && (expected.commit.is_none() || expected.commit == found.commit)
}

fn parameters(trail: &mut Trail, provenance: &Provenance, expected: &Expectations) -> Result<(), Failure> {
    if !expected.wants_parameters() {
        return Ok(());
    }
    let fail = |detail: String| Err(Failure::new(Check::Parameters, Reason::ParameterMismatch, detail));
    for (name, value) in &expected.parameters {
        match provenance.parameters.get(name) {
            Some(found) if found == value => {}
            Some(found) => return fail(format!("expected {name} = {value:?}, got {found:?}")),
            None => return fail(format!("expected {name} = {value:?}, got none")),
        }
    }
    let other = provenance.parameters.iter().find(|(name, _)| !expected.parameters.contains_key(*name));
    if let (OtherParameters::Refused, Some((name, value))) = (expected.other_parameters, other) {
        return fail(format!("{name} = {value:?} is not expected"));
    }
    trail.passed(Check::Parameters, format!("{} as expected", expected.parameters.len()));
    Ok(())
}

fn materials(trail: &mut Trail, provenance: &Provenance, expected: &Expectations) -> Result<(), Failure> {
    for ExpectedMaterial { uri, digest } in &expected.materials {
        let mut named = provenance.materials.iter().filter(|m| m.uri.as_ref() == Some(uri));
        if !named.any(|m| digest.as_ref().is_none_or(|digest| m.digests.contains(digest))) {
            let digest = digest.as_ref().map(|d| format!(" with {d}")).unwrap_or_default();
            let detail = format!("expected {uri}{digest} among {} materials", provenance.materials.len());
            return Err(Failure::new(Check::Materials, Reason::MaterialMismatch, detail));
        }
    }
    if !expected.materials.is_empty() {
        trail.passed(Check::Materials, format!("{} as expected", expected.materials.len()));
    }
    Ok(())
}
