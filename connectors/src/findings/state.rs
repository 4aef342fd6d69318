//! A finding's state in OCSF 1.8 (Detection Finding 2004, profile `incident`), and the record of its change.

use super::change::Change;
use serde_json::{Map, Value, json};

/// Names, ids and captions of `status_id`.
pub const STATUSES: [(&str, i64, &str); 4] = [
    ("new", 1, "New"),
    ("in_progress", 2, "In Progress"),
    ("suppressed", 3, "Suppressed"),
    ("resolved", 4, "Resolved"),
];

/// Names, ids and captions of `verdict_id`.
pub const VERDICTS: [(&str, i64, &str); 10] = [
    ("false_positive", 1, "False Positive"),
    ("true_positive", 2, "True Positive"),
    ("disregard", 3, "Disregard"),
    ("suspicious", 4, "Suspicious"),
    ("benign", 5, "Benign"),
    ("test", 6, "Test"),
    ("insufficient_data", 7, "Insufficient Data"),
    ("security_risk", 8, "Security Risk"),
    ("managed_externally", 9, "Managed Externally"),
    ("duplicate", 10, "Duplicate"),
];

/// The id of the status of what nobody has to look at.
pub(super) const SUPPRESSED: i64 = 3;
/// The id of the verdict on what another finding says.
pub(super) const DUPLICATE: i64 = 10;

/// The id of a name.
pub(super) fn id_of(all: &[(&str, i64, &str)], name: &str) -> Option<i64> {
    all.iter().find(|one| one.0 == name).map(|one| one.1)
}

fn caption(all: &[(&'static str, i64, &'static str)], id: i64) -> &'static str {
    all.iter().find(|one| one.1 == id).map_or("Other", |one| one.2)
}

/// The names, for words.
pub(super) fn names(all: &[(&str, i64, &str)]) -> String {
    all.iter().map(|one| one.0).collect::<Vec<_>>().join(", ")
}

/// The record of a change: all that the finding had, what changed, who changed it (`actor.user.name`) and when (`time`).
///
/// `activity_id` is Close when the change resolves or suppresses the finding, else Update. A comment is this record's
/// alone.
pub(super) fn updated(
    mut finding: Map<String, Value>,
    change: &Change,
    by: &str,
    now_ms: i64,
    record_uid: &str,
) -> Map<String, Value> {
    let closes = matches!(change.status_id, Some(3 | 4));
    let (activity_id, activity) = if closes { (3, "Close") } else { (2, "Update") };
    let mut set = |name: &str, value: Value| drop(finding.insert(name.to_owned(), value));
    set("time", now_ms.into());
    set("activity_id", activity_id.into());
    set("activity_name", activity.into());
    set("type_uid", (200_400 + activity_id).into());
    set("type_name", format!("Detection Finding: {activity}").into());
    set("actor", json!({ "user": { "name": by } }));
    if let Some(id) = change.status_id {
        set("status_id", id.into());
        set("status", caption(&STATUSES, id).into());
    }
    if let Some(id) = change.verdict_id {
        set("verdict_id", id.into());
        set("verdict", caption(&VERDICTS, id).into());
    }
    match &change.assignee {
        Some(Some(name)) => set("assignee", json!({ "name": name })),
        Some(None) => drop(finding.remove("assignee")),
        None => {}
    }
    match &change.comment {
        Some(comment) => drop(finding.insert("comment".into(), comment.as_str().into())),
        None => drop(finding.remove("comment")),
    }
    let mut within = |object: &str, name: &str, value: Value| {
        if let Value::Object(object) = finding.entry(object).or_insert_with(|| json!({})) {
            object.insert(name.to_owned(), value);
        }
    };
    within("metadata", "uid", record_uid.into());
    within("metadata", "profiles", json!(["host", "incident"]));
    within("finding_info", "modified_time", now_ms.into());
    finding
}

/// A record as a step of a finding's history; what it does not say is null.
pub(super) fn told(record: &Map<String, Value>) -> Value {
    let at = |pointer: [&str; 2]| record.get(pointer[0]).and_then(|object| object.get(pointer[1])).cloned();
    let of = |name: &str| record.get(name).cloned();
    let time = record.get("time").and_then(Value::as_i64).and_then(chrono::DateTime::from_timestamp_millis);
    json!({
        "uid": at(["finding_info", "uid"]),
        "time": time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
        "activity": of("activity_name"),
        "status": of("status"),
        "assignee": at(["assignee", "name"]),
        "verdict": of("verdict"),
        "comment": of("comment"),
        "by": record.get("actor").and_then(|actor| actor.pointer("/user/name")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let finding = json!({
            "time": 1, "activity_id": 1, "severity_id": 4, "status_id": 1, "status": "New", "comment": "old",
            "assignee": {"name": "kim"}, "metadata": {"uid": "f", "version": "1.8.0"}, "finding_info": {"uid": "f"},
        });
        let finding = finding.as_object().cloned().unwrap_or_default();
        let change = Change { status_id: Some(4), verdict_id: Some(2), ..Change::default() };
        let closed = Value::Object(updated(finding.clone(), &change, "lee", 9, "u"));
        assert_eq!(
            (&closed["activity_id"], &closed["type_uid"], &closed["time"]),
            (&json!(3), &json!(200_403), &json!(9))
        );
        assert_eq!((&closed["status"], &closed["verdict"]), (&json!("Resolved"), &json!("True Positive")));
        assert_eq!((&closed["severity_id"], &closed["assignee"]["name"]), (&json!(4), &json!("kim")));
        assert_eq!((&closed["metadata"]["uid"], &closed["metadata"]["version"]), (&json!("u"), &json!("1.8.0")));
        assert_eq!((&closed["finding_info"]["uid"], &closed["comment"]), (&json!("f"), &Value::Null));
        let nobody = Change { assignee: Some(None), ..Change::default() };
        let left = Value::Object(updated(finding, &nobody, "lee", 9, "u"));
        assert_eq!(
            (&left["activity_id"], &left["assignee"], &left["status"]),
            (&json!(2), &Value::Null, &json!("New"))
        );
    }
}
