//! A scorecard as OCSF records, so that what was detected over time is a question to the lake.
//!
//! **Shape**: a Compliance Finding (2003) a technique: the control is the technique, the requirements are its ATT&CK ids,
//! the status is Pass when it was detected, Fail when it was not, Unknown where nothing ran; and a Scan Activity (6007) for
//! the run. `metadata.correlation_uid` of all is the run's id. **Source**: OCSF 1.8.0.

use super::{Scorecard, Technique};
use serde_json::{Value, json};

/// The name of the product in these records.
pub const PRODUCT: &str = "Tarn simulate";

/// The records, an object a line.
pub fn lines(card: &Scorecard) -> String {
    let techniques = card.techniques.iter().map(|technique| technique_record(card, technique));
    let records = techniques.chain([run_record(card)]);
    records.map(|record| format!("{record}\n")).collect()
}

fn metadata(card: &Scorecard, uid: String) -> Value {
    json!({
        "uid": uid, "correlation_uid": card.run.id, "version": "1.8.0",
        "product": { "name": PRODUCT, "vendor_name": "Tarn", "version": env!("CARGO_PKG_VERSION") },
        "labels": [card.run.kind],
    })
}

fn technique_record(card: &Scorecard, technique: &Technique) -> Value {
    let outcome = technique.outcome.as_ref();
    let (status_id, status) = match outcome.map(|o| o.detected) {
        None => (0, "Unknown"),
        Some(true) => (1, "Pass"),
        Some(false) => (3, "Fail"),
    };
    let (severity_id, severity) = if status_id == 3 { (3, "Medium") } else { (1, "Informational") };
    let uid = format!("{}:{}", card.run.id, technique.id);
    let rules = outcome.map(|o| o.rules.as_slice()).unwrap_or_default();
    let analytics = rules.iter().map(|r| json!({ "uid": r.id, "name": r.title, "type_id": 1, "type": "Rule" }));
    let attack = |id: &String| match id.split_once('.') {
        Some((parent, _)) => json!({ "technique": { "uid": parent }, "sub_technique": { "uid": id } }),
        None => json!({ "technique": { "uid": id } }),
    };
    let mut record = json!({
        "class_uid": 2003, "class_name": "Compliance Finding", "category_uid": 2, "category_name": "Findings",
        "activity_id": 1, "activity_name": "Create", "type_uid": 200_301, "type_name": "Compliance Finding: Create",
        "severity_id": severity_id, "severity": severity, "time": card.run.ended.timestamp_millis(),
        "message": format!("{}: {}", technique.id, technique.verdict()),
        "metadata": metadata(card, uid.clone()),
        "finding_info": {
            "uid": uid, "title": technique.name, "created_time": card.run.ended.timestamp_millis(),
            "attacks": technique.attack.iter().map(attack).collect::<Vec<_>>(),
            "related_analytics": analytics.collect::<Vec<_>>(),
        },
        "compliance": {
            "standards": ["MITRE ATT&CK"], "category": technique.platform, "control": technique.id,
            "requirements": technique.attack, "status_id": status_id, "status": status,
            "status_detail": technique.verdict(),
        },
    });
    let mut unmapped = json!({ "run": card.run.id, "kind": card.run.kind, "records": technique.records });
    match outcome {
        Some(outcome) => {
            unmapped["seen"] = outcome.seen.into();
            unmapped["matched"] = outcome.matched.into();
            unmapped["expected"] = outcome.expected.into();
            unmapped["latency_ms"] = outcome.latency_ms.into();
            unmapped["duplicates"] = outcome.duplicates.into();
        }
        None => unmapped["skipped"] = technique.skipped.clone().into(),
    }
    record["unmapped"] = unmapped;
    // An empty list says nothing.
    if let Some(info) = record["finding_info"].as_object_mut() {
        info.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
    }
    record
}

fn run_record(card: &Scorecard) -> Value {
    let (run, totals) = (&card.run, &card.totals);
    json!({
        "class_uid": 6007, "class_name": "Scan Activity", "category_uid": 6, "category_name": "Application Activity",
        "activity_id": 2, "activity_name": "Completed", "type_uid": 600_702, "type_name": "Scan Activity: Completed",
        "severity_id": 1, "severity": "Informational", "time": run.ended.timestamp_millis(),
        "message": format!("{} of {}", totals.detected.count, totals.detected.of),
        "metadata": metadata(card, run.id.clone()),
        "scan": { "uid": run.id, "name": format!("simulate {}", run.kind), "type_id": 99, "type": "Attack simulation" },
        "start_time": run.started.timestamp_millis(), "end_time": run.ended.timestamp_millis(),
        "duration": (run.ended - run.started).num_milliseconds(),
        "num_detections": totals.detected.count, "total": totals.detected.of,
        "unmapped": { "totals": totals, "background_records": card.background_records, "false_alarms": card.false_alarms },
    })
}
