//! The objects of a record, each of what was verified: artifact, steps, signer, entry of the log, what the statement says.

use super::frame::{Outcome, check, fingerprint, put};
use super::{ArtifactType, Named, reasons};
use crate::digest::{Algorithm, Digest};
use crate::evidence::{Predicate, Statement};
use crate::record::{self, Record};
use crate::sigstore::{Signature, SignedBy};
use chrono::DateTime;
use serde_json::{Map, Value};

pub(super) fn artifact(named: &Named, computed: &[Digest]) -> Value {
    let mut map = Map::new();
    put(&mut map, "uid", named.digest.as_ref().map(Digest::to_string));
    put(&mut map, "name", named.name.as_deref());
    put(&mut map, "uri", named.uri.as_deref());
    let digests: Vec<&Digest> =
        named.digest.iter().chain(computed.iter().filter(|d| Some(*d) != named.digest.as_ref())).collect();
    if !digests.is_empty() {
        map.insert("hashes".into(), digests.into_iter().map(fingerprint).collect());
    }
    let (id, name) = match named.kind {
        ArtifactType::ContainerImage => (1, "Container Image"),
        ArtifactType::File => (2, "File"),
        ArtifactType::Unknown => (0, "Unknown"),
    };
    map.insert("type_id".into(), id.into());
    map.insert("type".into(), name.into());
    Value::Object(map)
}

/// The steps that were made, up to the one that failed.
pub(super) fn checks(record: &Record) -> Value {
    let check = |step: &crate::record::Step| {
        let (outcome, reason) = match step.outcome {
            record::Outcome::Passed => (Outcome::Passed, reasons::VERIFIED),
            record::Outcome::Failed(reason) => (Outcome::Failed, reasons::of(reason)),
            record::Outcome::NotReached => return None,
        };
        Some(check(step.check.as_str(), outcome, reason, &step.detail))
    };
    record.steps.iter().filter_map(check).collect()
}

pub(super) fn signer(signature: &Signature) -> Value {
    let mut map = Map::new();
    match &signature.signed_by {
        SignedBy::Key { fingerprint: digest } => {
            map.insert("uid".into(), digest.to_string().into());
            map.insert("fingerprint".into(), fingerprint(digest));
            map.insert("type_id".into(), 4.into());
            map.insert("type".into(), "Key".into());
        }
        SignedBy::Certificate(certificate) => {
            // A certificate without a subject does not pass; it is named by its digest then.
            let identity = certificate.identity.clone().unwrap_or_else(|| certificate.fingerprint.to_string());
            let (id, name) = match &certificate.identity {
                Some(identity) if identity.contains("://") => (2, "URI"),
                Some(identity) if identity.contains('@') => (1, "Email"),
                Some(_) => (3, "Host"),
                None => (0, "Unknown"),
            };
            map.insert("uid".into(), identity.into());
            map.insert("type_id".into(), id.into());
            map.insert("type".into(), name.into());
            put(&mut map, "issuer", certificate.issuer.as_deref());
        }
    }
    Value::Object(map)
}

/// The first entry: the one of a bundle that has one, as nearly all do.
pub(super) fn log_entry(signature: &Signature) -> Option<Value> {
    let entry = signature.log_entries.first()?;
    let (kind, version) = entry.kind.split_once('/').unwrap_or((&entry.kind, ""));
    let mut map = Map::new();
    map.insert("log_uid".into(), entry.log_id.as_str().into());
    // OCSF's long; RFC 8785 keeps integers up to 2^53.
    put(&mut map, "log_index", entry.index.filter(|index| *index <= 1 << 53));
    map.insert("type".into(), kind.into());
    put(&mut map, "version", (!version.is_empty()).then_some(version));
    map.insert("trust_verdict_id".into(), 1.into());
    map.insert("trust_verdict".into(), "Passed".into());
    Some(Value::Object(map))
}

/// Subjects of a statement that a record names.
const ARTIFACTS_MAX: usize = 100;

/// What a statement that passed says.
pub(super) fn said(map: &mut Map<String, Value>, statement: &Statement) {
    let subject = |subject: &crate::evidence::Subject| {
        let digest = subject.digests.iter().find(|d| d.algorithm() == Algorithm::Sha256).or(subject.digests.first());
        let mut map = Map::new();
        put(&mut map, "uid", digest.map(Digest::to_string));
        put(&mut map, "name", (!subject.name.is_empty()).then_some(subject.name.as_str()));
        (!map.is_empty()).then_some(Value::Object(map))
    };
    let artifacts: Vec<Value> = statement.subjects.iter().take(ARTIFACTS_MAX).filter_map(subject).collect();
    if !artifacts.is_empty() {
        map.insert("artifacts".into(), artifacts.into());
    }
    let mut built = Map::new();
    match statement.predicate() {
        Ok(Predicate::Provenance(provenance)) => {
            let time = |text: &Option<String>| {
                let time = text.as_ref().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
                time.map(|time| time.timestamp_millis())
            };
            built.insert("builder_uid".into(), provenance.builder.as_str().into());
            built.insert("build_type".into(), provenance.build_type.as_str().into());
            put(&mut built, "entry_point", provenance.entry_point.as_deref());
            put(&mut built, "invocation_uid", provenance.invocation.as_deref());
            built.insert("material_count".into(), provenance.materials.len().into());
            put(&mut built, "start_time", time(&provenance.started_on));
            put(&mut built, "end_time", time(&provenance.finished_on));
            if let Some(source) = &provenance.source {
                built.insert("source_uri".into(), format!("https://{}", source.repository).into());
                put(&mut built, "source_ref", source.reference.as_deref());
                put(&mut built, "source_commit", source.commit.as_ref().map(Digest::to_hex));
            }
        }
        Ok(Predicate::Summary(summary)) => {
            let level = |level: &String| level.strip_prefix("SLSA_BUILD_LEVEL_")?.parse::<u8>().ok();
            let level = summary.levels.iter().filter_map(level).max().filter(|level| *level <= 3);
            put(&mut built, "slsa_level", level);
        }
        _ => return,
    }
    built.insert("predicate_type".into(), statement.predicate_type.as_str().into());
    map.insert("provenance".into(), built.into());
}
