//! A verification, or the lack of one, to its record.

use super::frame::{ARTIFACT_SIGNING, Outcome, conclude, frame, put};
use super::parts::{artifact, checks, log_entry, said, signer};
use super::{Activity, Evidence, Named, reasons};
use crate::attestation::Attestation;
use crate::digest::Digest;
use crate::evidence::Sbom;
use crate::policies::TrustPolicy;
use crate::reason::Reason;
use crate::record::{self, Record};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sha2::Digest as _;

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
        if let (true, Some(name)) = (self.timed, &self.artifact.name) {
            // What was decided is decided of a name: the same image under two of them is two records.
            parts.push(name);
        }
        let uid = uid(self.activity, &parts, self.timed.then_some(self.time));

        let mut map = frame(ARTIFACT_SIGNING, self.activity.caption(), self.time, &uid);
        match record.reason {
            None => conclude(&mut map, Outcome::Passed, reasons::VERIFIED),
            Some(reason) => conclude(&mut map, Outcome::Failed, reasons::of(reason)),
        }
        let failed = record.steps.iter().find(|step| matches!(step.outcome, record::Outcome::Failed(_)));
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
    let mut map = frame(ARTIFACT_SIGNING, Activity::Verify.caption(), time, &uid);
    conclude(&mut map, Outcome::NotChecked, reasons::MISSING);
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

/// The uid of a verification: of everything that its verdict follows from, parts by their lengths.
pub(super) fn uid(activity: Activity, parts: &[&str], time: Option<DateTime<Utc>>) -> String {
    let mut hasher = sha2::Sha256::new();
    let time = time.map(|time| time.timestamp_millis().to_string()).unwrap_or_default();
    for part in ["tarn/evidence/1", activity.caption().1, &time].iter().chain(parts) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}
