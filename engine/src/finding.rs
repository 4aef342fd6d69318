//! Hits as OCSF Detection Findings (class 2004).

use crate::bind::Engine;
use crate::matcher::Hit;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tarn_rules::{Level, Rule};

/// What a finding says of the event that it stands on.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The event's JSON text.
    pub event: &'a str,
    /// The event's `metadata.uid`, where it is known; else a digest of the event stands for it.
    pub event_uid: Option<&'a str>,
    /// When the finding is made, milliseconds since 1970.
    pub time_ms: i64,
    /// The file that held it.
    pub file: &'a str,
    /// Its number in that file, from 1.
    pub record: u64,
}

/// OCSF's severity of a Sigma level.
pub fn severity(level: Level) -> (i32, &'static str) {
    match level {
        Level::Informational => (1, "Informational"),
        Level::Low => (2, "Low"),
        Level::Medium => (3, "Medium"),
        Level::High => (4, "High"),
        Level::Critical => (5, "Critical"),
    }
}

/// The finding's uid: the same rule version on the same event is the same finding.
pub fn uid(rule: &Rule, evidence: &Evidence<'_>) -> String {
    let mut digest =
        Sha256::new().chain_update(&rule.id).chain_update([0]).chain_update(&rule.digest).chain_update([0]);
    digest = match evidence.event_uid {
        Some(uid) => digest.chain_update(uid),
        None => digest.chain_update(evidence.event).chain_update(evidence.record.to_be_bytes()),
    };
    digest.finalize()[..16].iter().map(|b| format!("{b:02x}")).collect()
}

fn text<'a>(event: &'a Value, paths: &[&str]) -> Option<&'a str> {
    paths.iter().find_map(|path| {
        let mut at = event;
        for step in path.split('/') {
            at = at.get(step)?;
        }
        at.as_str()
    })
}

fn attacks(rule: &Rule) -> Vec<Value> {
    let tactic = |(id, name): &(&str, &str)| json!({"uid": id, "name": name});
    let tactics: Vec<Value> = rule.attack.tactics.iter().map(tactic).collect();
    if rule.attack.techniques.is_empty() {
        return tactics.into_iter().map(|t| json!({"tactic": t})).collect();
    }
    let attack = |technique: &String| {
        let mut out = Map::new();
        match technique.split_once('.') {
            Some((parent, _)) => {
                out.insert("technique".into(), json!({"uid": parent}));
                out.insert("sub_technique".into(), json!({"uid": technique}));
            }
            None => drop(out.insert("technique".into(), json!({"uid": technique}))),
        }
        if let [only] = tactics.as_slice() {
            out.insert("tactic".into(), only.clone());
        }
        Value::Object(out)
    };
    rule.attack.techniques.iter().map(attack).collect()
}

/// The finding of a hit, as canonical OCSF JSON.
pub fn ocsf(engine: &Engine, hit: Hit, evidence: &Evidence<'_>) -> Value {
    let rule = engine.rule(hit.rule);
    let event: Value = serde_json::from_str(evidence.event).unwrap_or_else(|_| Value::from(evidence.event));
    let (severity_id, severity) = severity(rule.level);
    let mut info = json!({
        "uid": uid(rule, evidence),
        "title": rule.title,
        "analytic": {"uid": rule.id, "name": rule.title, "type_id": 1, "type": "Rule", "version": rule.digest},
        "created_time": evidence.time_ms,
    });
    if let Some(description) = &rule.description {
        info["desc"] = json!(description.trim());
    }
    let attacks = attacks(rule);
    if !attacks.is_empty() {
        info["attacks"] = json!(attacks);
    }
    if !rule.references.is_empty() {
        info["src_url"] = json!(rule.references[0]);
    }
    let mut out = json!({
        "activity_id": 1, "activity_name": "Create", "category_uid": 2, "category_name": "Findings", "class_uid": 2004,
        "class_name": "Detection Finding", "type_uid": 200_401, "type_name": "Detection Finding: Create",
        "severity_id": severity_id, "severity": severity, "status_id": 1, "status": "New", "time": evidence.time_ms,
        "metadata": {"version": "1.8.0", "uid": info["uid"], "product": {"name": "Tarn", "vendor_name": "Tarn"}},
        "is_alert": true, "message": rule.title, "finding_info": info,
        "evidences": [{"data": event}],
        "unmapped": {"file": evidence.file, "record": evidence.record},
    });
    if let Some(name) = text(&event, &["Computer", "Hostname", "Event/System/Computer"]) {
        out["device"] = json!({"hostname": name, "type_id": 0, "type": "Unknown"});
    }
    out
}

/// One line of `tarn detect`: the rule, the event and where it stood, and the OCSF finding's identity.
pub fn line(engine: &Engine, hit: Hit, evidence: &Evidence<'_>, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let rule = engine.rule(hit.rule);
    let (severity_id, _) = severity(rule.level);
    let head = json!({
        "rule": {"id": rule.id, "title": rule.title, "level": rule.level.to_string(), "tags": rule.tags, "file": rule.file.display().to_string()},
        "class_uid": 2004, "severity_id": severity_id,
        "finding_info": {"uid": uid(rule, evidence), "title": rule.title, "analytic": {"uid": rule.id, "type_id": 1}},
        "file": evidence.file, "record": evidence.record,
    });
    let head = head.to_string();
    out.write_all(&head.as_bytes()[..head.len() - 1])?;
    out.write_all(b",\"event\":")?;
    // Pretty-printed documents have lines; a finding is one.
    if evidence.event.contains('\n') {
        let event: Value = serde_json::from_str(evidence.event).unwrap_or(Value::Null);
        serde_json::to_writer(&mut *out, &event)?;
    } else {
        out.write_all(evidence.event.as_bytes())?;
    }
    out.write_all(b"}\n")
}
