//! A row of the table of findings, as the score takes it.

use crate::score::Finding;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tarn_rules::Level;

/// The columns that [`finding`] reads. A table has those that some finding had a value for.
pub const COLUMNS: [&str; 7] = [
    "arrival",
    "severity_id",
    "finding_info.uid",
    "finding_info.title",
    "finding_info.analytic.uid",
    "finding_info.attacks",
    "finding_info.related_events",
];

/// The finding; none where the row lacks what every finding has.
pub fn finding(row: &Value, seen: DateTime<Utc>) -> Option<Finding> {
    let info = &row["finding_info"];
    let list = |name: &str| info[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let technique = |attack: &Value| {
        let id = attack["sub_technique"]["uid"].as_str().or(attack["technique"]["uid"].as_str());
        id.map(str::to_owned)
    };
    Some(Finding {
        uid: info["uid"].as_str()?.to_owned(),
        rule: info["analytic"]["uid"].as_str()?.to_owned(),
        title: info["title"].as_str().unwrap_or_default().to_owned(),
        level: level(row["severity_id"].as_i64()?),
        attack: list("attacks").iter().filter_map(technique).collect(),
        events: list("related_events").iter().filter_map(|e| Some(e["uid"].as_str()?.to_owned())).collect(),
        seen,
    })
}

/// Sigma's level of OCSF's severity.
fn level(severity: i64) -> Level {
    match severity {
        ..=1 => Level::Informational,
        2 => Level::Low,
        3 => Level::Medium,
        4 => Level::High,
        _ => Level::Critical,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_is_a_finding_with_its_sub_technique() {
        let row = json!({
            "finding_info": {
                "uid": "f", "title": "T", "analytic": { "uid": "r" }, "related_events": [{ "uid": "e" }, {}],
                "attacks": [{ "technique": { "uid": "T1562" }, "sub_technique": { "uid": "T1562.008" } },
                    { "technique": { "uid": "T1078" } }, { "tactic": { "uid": "TA0005" } }],
            },
            "severity_id": 4, "arrival": 7,
        });
        let found = finding(&row, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            (found.level, found.attack, found.events),
            (Level::High, vec!["T1562.008".to_owned(), "T1078".to_owned()], vec!["e".to_owned()])
        );
        assert_eq!(finding(&json!({ "finding_info": {} }), DateTime::UNIX_EPOCH), None);
    }
}
