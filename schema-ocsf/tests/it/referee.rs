//! Our verdicts beside those of the independent validator: `tests/referee.py` writes records with its verdicts.
//!
//! Run by hand: `TARN_OCSF_VERDICTS=<file> cargo test -p tarn-schema-ocsf referee -- --nocapture`.

use serde_json::Value;
use tarn_schema_ocsf::validate::{Rule, Severity, validate};

/// The independent validator takes a text that a pattern does not match for an error, and does not know these rules.
fn refuses(record: &Value) -> (bool, Vec<String>) {
    let unknown_there = [
        Rule::TypeUidIncorrect,
        Rule::ObservableNameInvalidReference,
        Rule::VersionInvalidFormat,
        Rule::VersionIncompatible,
        Rule::ProfileUnknown,
        Rule::AttributeEnumArraySiblingIncorrect,
        Rule::AttributeEnumArraySiblingMissing,
    ];
    let mut found = validate(record);
    found.retain(|v| v.severity == Severity::Error || v.rule == Rule::AttributeValueRegexNotMatched);
    found.retain(|v| !unknown_there.contains(&v.rule));
    (!found.is_empty(), found.iter().map(ToString::to_string).collect())
}

#[test]
fn referee() {
    let Some(file) = std::env::var_os("TARN_OCSF_VERDICTS") else {
        eprintln!("skipped: no TARN_OCSF_VERDICTS");
        return;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let (mut refused, mut differ) = (0, Vec::new());
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let theirs = line["refused"].as_str();
        let (ours, why) = refuses(&line["record"]);
        refused += u32::from(ours);
        if ours != theirs.is_some() {
            differ.push(format!("{}: theirs {theirs:?}, ours {why:?}", line["case"]));
        }
    }
    eprintln!("{} records, {refused} refused, {} verdicts differ", text.lines().count(), differ.len());
    assert!(differ.is_empty(), "{}", differ.iter().take(30).cloned().collect::<Vec<_>>().join("\n"));
}
