//! What records of the extension `trust` have alike, whatever their class (`docs/trust.md`).

use crate::digest::{Algorithm, Digest};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// A class of the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    uid: i32,
    name: &'static str,
    category_uid: i32,
    category_name: &'static str,
}

impl Class {
    /// Its `class_uid`.
    pub fn uid(self) -> i32 {
        self.uid
    }
}

/// Artifact Signing.
pub const ARTIFACT_SIGNING: Class =
    Class { uid: 99_906_001, name: "Artifact Signing", category_uid: 6, category_name: "Application Activity" };

/// Key Release.
pub const KEY_RELEASE: Class =
    Class { uid: 99_903_001, name: "Key Release", category_uid: 3, category_name: "Identity & Access Management" };

/// An enum's value in OCSF: its id and its caption.
pub type Caption = (i32, &'static str);

/// What a check came to: `trust_verdict_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// There was nothing to check.
    NotChecked,
}

impl Outcome {
    fn caption(self) -> Caption {
        match self {
            Self::Passed => (1, "Passed"),
            Self::Failed => (2, "Failed"),
            Self::NotChecked => (3, "Not Checked"),
        }
    }
}

/// Class, category, activity, time and extension of a record.
pub fn frame(class: Class, (activity_id, activity): Caption, time: DateTime<Utc>, uid: &str) -> Map<String, Value> {
    let value = json!({
        "class_uid": class.uid, "class_name": class.name,
        "category_uid": class.category_uid, "category_name": class.category_name,
        "activity_id": activity_id, "activity_name": activity,
        "type_uid": i64::from(class.uid) * 100 + i64::from(activity_id), "type_name": format!("{}: {activity}", class.name),
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

/// Puts verdict, reason, status and severity into a record.
pub fn conclude(map: &mut Map<String, Value>, outcome: Outcome, reason: Caption) {
    let (status, severity) = match outcome {
        Outcome::Passed => ((1, "Success"), (1, "Informational")),
        Outcome::Failed => ((2, "Failure"), (3, "Medium")),
        Outcome::NotChecked => ((2, "Failure"), (1, "Informational")),
    };
    put_enum(map, "trust_verdict", outcome.caption());
    put_enum(map, "trust_reason", reason);
    put_enum(map, "status", status);
    put_enum(map, "severity", severity);
}

/// A step of a verification: an element of `trust_checks`.
pub fn check(name: &str, outcome: Outcome, reason: Caption, detail: &str) -> Value {
    let mut map = Map::new();
    map.insert("name".into(), name.into());
    put_enum(&mut map, "trust_verdict", outcome.caption());
    put_enum(&mut map, "trust_reason", reason);
    put(&mut map, "desc", (!detail.is_empty()).then_some(detail));
    map.into()
}

/// OCSF's own object of a digest.
pub fn fingerprint(digest: &Digest) -> Value {
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

/// Puts `key_id` and `key`.
pub fn put_enum(map: &mut Map<String, Value>, key: &str, (id, caption): Caption) {
    map.insert(format!("{key}_id"), id.into());
    map.insert(key.to_owned(), caption.into());
}

/// Puts what is there.
pub fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}
