//! Verifications as OCSF records: class Artifact Signing of the extension `trust` (`docs/trust.md`).
//!
//! A record says what was verified and what came of it, passed or failed, in one form: RFC 8785 bytes are made of it once,
//! and table, ledger and proof have these. Its uid stands on what was verified by what, so that the same verification is
//! the same record however often it is made.

mod components;
mod ledger;
mod reasons;

pub use components::{Software, components};
pub use ledger::{LEDGER, broken_ledger};

use crate::attestation::Attestation;
use crate::digest::{Algorithm, Digest};
use crate::evidence::{Predicate, Sbom, Statement};
use crate::policies::TrustPolicy;
use crate::reason::Reason;
use crate::record::{Outcome, Record};
use crate::sigstore::{Signature, SignedBy};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sha2::Digest as _;

/// What a record reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A statement was made and signed.
    Attest,
    /// A signature or an attestation was verified.
    Verify,
    /// An earlier verdict was checked again.
    Reverify,
}

impl Activity {
    pub(crate) fn id(self) -> (u8, &'static str) {
        match self {
            Self::Attest => (2, "Attest"),
            Self::Verify => (3, "Verify"),
            Self::Reverify => (4, "Reverify"),
        }
    }
}

/// What an artifact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactType {
    /// An OCI image.
    ContainerImage,
    /// A file.
    File,
    /// It is not said.
    Unknown,
}

/// The artifact that a verdict is about. One of its fields must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The digest that was given; it joins records.
    pub digest: Option<Digest>,
    /// Its name, without tag and digest.
    pub name: Option<String>,
    /// Where it was found, as it was named.
    pub uri: Option<String>,
    /// What it is.
    pub kind: ArtifactType,
}

/// A verification, and what is not in its own record.
pub struct Verdict<'a> {
    /// What was done.
    pub activity: Activity,
    /// When.
    pub time: DateTime<Utc>,
    /// What it is about.
    pub artifact: &'a Named,
    /// What was checked.
    pub record: &'a Record,
    /// What is attested, where it passed.
    pub attestation: Option<&'a Attestation>,
    /// By what.
    pub by: By<'a>,
    /// Where the document was found.
    pub document_uri: Option<&'a str>,
    /// Uids of records that the verdict stands on.
    pub evidence_uids: &'a [String],
    /// Whether a verification at another time is another record: so it is for what was decided, not for what was ingested.
    pub timed: bool,
}

/// What was verified by.
#[derive(Clone, Debug)]
pub struct By<'a> {
    /// The policy's name.
    pub name: &'a str,
    /// The digest of the policy file.
    pub version: &'a str,
    /// That of the key that must have signed, which lies beside the file.
    pub key: Option<Digest>,
    /// The trusted root's; none where the policy is not there any more.
    pub trusted_root: Option<&'a Digest>,
}

/// A record, with its identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// `metadata.uid`.
    pub uid: String,
    /// The record.
    pub value: Value,
}

impl Evidence {
    /// Its RFC 8785 bytes.
    ///
    /// **Errors**: a number that the form does not have, which no record of this module has.
    pub fn to_canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json_canonicalizer::to_vec(&self.value)
    }
}

/// Class, category, activity and extension of a record.
fn frame(activity: Activity, time: DateTime<Utc>, uid: &str) -> Map<String, Value> {
    let (id, name) = activity.id();
    let value = json!({
        "class_uid": CLASS, "class_name": "Artifact Signing", "category_uid": 6, "category_name": "Application Activity",
        "activity_id": id, "activity_name": name,
        "type_uid": CLASS * 100 + u64::from(id), "type_name": format!("Artifact Signing: {name}"),
        "time": time.timestamp_millis(),
        "metadata": {
            "uid": uid, "version": "1.8.0", "product": {"name": "Tarn", "vendor_name": "Tarn"},
            "extensions": [{"name": "trust", "uid": "999", "version": "0.1.0"}],
        },
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Artifact Signing.
pub(crate) const CLASS: u64 = 99_906_001;

/// The uid of a verification: of everything that its verdict follows from, parts by their lengths.
fn uid(activity: Activity, parts: &[&str], time: Option<DateTime<Utc>>) -> String {
    let mut hasher = sha2::Sha256::new();
    let time = time.map(|time| time.timestamp_millis().to_string()).unwrap_or_default();
    for part in ["tarn/evidence/1", activity.id().1, &time].iter().chain(parts) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}

impl Verdict<'_> {
    /// The record.
    pub fn to_ocsf(&self) -> Evidence {
        let record = self.record;
        let text = |digest: &Option<Digest>| digest.as_ref().map(Digest::to_string).unwrap_or_default();
        let about = match &self.artifact.digest {
            Some(digest) => digest.to_string(),
            None => self.artifact.name.clone().or_else(|| self.artifact.uri.clone()).unwrap_or_default(),
        };
        let document = text(&record.digests.document);
        // By name too: one file has many policies.
        let By { name, version, key, trusted_root } = &self.by;
        let (root, key) =
            (trusted_root.map(Digest::to_string).unwrap_or_default(), key.as_ref().map(Digest::to_string));
        let mut parts = vec![document.as_str(), &about, name, version, &root];
        parts.extend(key.as_deref());
        let uid = uid(self.activity, &parts, self.timed.then_some(self.time));

        let mut map = frame(self.activity, self.time, &uid);
        verdict(&mut map, Some(record.reason.map_or(Ok(()), Err)));
        let failed = record.steps.iter().find(|step| matches!(step.outcome, Outcome::Failed(_)));
        let reason = record.reason.map(Reason::as_str);
        put(&mut map, "status_code", reason);
        put(&mut map, "status_detail", failed.map(|step| step.detail.as_str()).filter(|detail| !detail.is_empty()));
        map.insert("artifact".into(), artifact(self.artifact, &record.digests.artifact));
        map.insert("attestation".into(), self.document(&document));
        map.insert("policy".into(), json!({"uid": name, "version": version}));
        put(&mut map, "trust_root_uid", trusted_root.is_some().then_some(root));
        map.insert("trust_checks".into(), checks(record));
        if let Some(signature) = &record.signature {
            map.insert("signer".into(), signer(signature));
            put(&mut map, "tlog_entry", log_entry(signature));
        }
        if let Some(statement) = self.attestation.and_then(|a| a.statement.as_ref()) {
            said(&mut map, statement);
        }
        if !self.evidence_uids.is_empty() {
            map.insert("evidence_uids".into(), json!(self.evidence_uids));
        }
        Evidence { uid, value: Value::Object(map) }
    }

    fn document(&self, uid: &str) -> Value {
        let record = self.record;
        let enveloped = record.digests.payload.is_some();
        let (id, name) = if enveloped { (2, "DSSE Envelope") } else { (1, "Message Signature") };
        let unknown = !enveloped && record.signature.is_none();
        let (id, name) = if unknown { (0, "Unknown") } else { (id, name) };
        let mut map = Map::new();
        map.insert("type_id".into(), id.into());
        map.insert("type".into(), name.into());
        put(&mut map, "uid", (!uid.is_empty()).then_some(uid));
        put(&mut map, "uri", self.document_uri);
        put(&mut map, "predicate_type", record.predicate_type.as_deref());
        if let Some(signature) = &record.signature {
            // Of several times, the earliest shows most: by then it existed.
            put(&mut map, "signed_time", signature.signed_at.iter().min().map(DateTime::timestamp_millis));
            // Rekor's second version states no time of its own.
            let by_log = signature.log_entries.iter().any(|entry| entry.kind.ends_with("/0.0.1"));
            let source = if by_log { (1, "Transparency Log") } else { (2, "Timestamp Authority") };
            if !signature.signed_at.is_empty() {
                map.insert("time_source_id".into(), source.0.into());
                map.insert("time_source".into(), source.1.into());
            }
        }
        Value::Object(map)
    }
}

/// The record of a bill of materials that nobody signed: nothing was checked.
pub(crate) fn unsigned(
    policy: &TrustPolicy,
    named: &Named,
    document: &[u8],
    document_uri: Option<&str>,
    sbom: &Sbom,
    time: DateTime<Utc>,
) -> Evidence {
    let digest = Digest::sha256(document).to_string();
    let about = named.digest.as_ref().map(Digest::to_string).or(named.name.clone()).unwrap_or_default();
    let uid = uid(Activity::Verify, &[&digest, &about, &policy.name, &policy.version, ""], None);
    let mut map = frame(Activity::Verify, time, &uid);
    verdict(&mut map, None);
    map.insert("status_detail".into(), "a bill of materials that nobody signed".into());
    map.insert("artifact".into(), artifact(named, &[]));
    map.insert("policy".into(), json!({"uid": policy.name, "version": policy.version}));
    let mut document = Map::new();
    document.insert("type_id".into(), 99.into());
    document.insert("type".into(), sbom.format.as_str().into());
    document.insert("uid".into(), digest.into());
    put(&mut document, "uri", document_uri);
    map.insert("attestation".into(), document.into());
    Evidence { uid, value: Value::Object(map) }
}

/// Verdict, reason, status and severity; without a verdict, nothing was checked.
fn verdict(map: &mut Map<String, Value>, verdict: Option<Result<(), Reason>>) {
    let (reason_id, reason) = match verdict {
        Some(Ok(())) => reasons::VERIFIED,
        Some(Err(reason)) => reasons::of(reason),
        None => reasons::MISSING,
    };
    let value = |key: &str, id: u8, caption: &str| [(format!("{key}_id"), json!(id)), (key.to_owned(), json!(caption))];
    map.extend(value("trust_reason", reason_id, reason));
    let (verdict, status, severity) = match verdict {
        Some(Ok(())) => ((1, "Passed"), (1, "Success"), (1, "Informational")),
        Some(Err(_)) => ((2, "Failed"), (2, "Failure"), (3, "Medium")),
        None => ((3, "Not Checked"), (2, "Failure"), (1, "Informational")),
    };
    map.extend(value("trust_verdict", verdict.0, verdict.1));
    map.extend(value("status", status.0, status.1));
    map.extend(value("severity", severity.0, severity.1));
}

fn artifact(named: &Named, computed: &[Digest]) -> Value {
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

/// OCSF's own object of a digest.
fn fingerprint(digest: &Digest) -> Value {
    let (id, name) = match digest.algorithm() {
        Algorithm::Md5 => (1, "MD5"),
        Algorithm::Sha1 => (2, "SHA-1"),
        Algorithm::Sha256 => (3, "SHA-256"),
        Algorithm::Sha512 => (4, "SHA-512"),
        Algorithm::Sha224 => (8, "SHA-224"),
        Algorithm::Sha384 => (9, "SHA-384"),
        Algorithm::Sha3_256 => (13, "SHA3-256"),
        Algorithm::Sha3_384 => (14, "SHA3-384"),
        Algorithm::Sha3_512 => (15, "SHA3-512"),
        other => (99, other.as_str()),
    };
    json!({"algorithm_id": id, "algorithm": name, "value": digest.to_hex()})
}

/// The steps that were made, up to the one that failed.
fn checks(record: &Record) -> Value {
    let check = |step: &crate::record::Step| {
        let (verdict, (id, reason)) = match step.outcome {
            Outcome::Passed => ((1, "Passed"), reasons::VERIFIED),
            Outcome::Failed(reason) => ((2, "Failed"), reasons::of(reason)),
            Outcome::NotReached => return None,
        };
        let mut value = json!({
            "name": step.check.as_str(), "trust_verdict_id": verdict.0, "trust_verdict": verdict.1,
            "trust_reason_id": id, "trust_reason": reason,
        });
        if !step.detail.is_empty() {
            value["desc"] = step.detail.as_str().into();
        }
        Some(value)
    };
    record.steps.iter().filter_map(check).collect()
}

fn signer(signature: &Signature) -> Value {
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
fn log_entry(signature: &Signature) -> Option<Value> {
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
fn said(map: &mut Map<String, Value>, statement: &Statement) {
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
