//! Golden requests: `tests/sink/<kind>/<case>.toml` has a sink's options and the findings of one message (files beside
//! it in `findings/`), `<case>.request` what is sent: headers, and the body, laid out where it is JSON.

use super::{environment, sources};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tarn_connectors::attestation::{Attestation, Verdict};
use tarn_connectors::sink::AlertsConfig;
use tarn_connectors::sink::alert::{Draft, EvidenceReader};
use tarn_connectors::sink::change::Change;
use tarn_connectors::sink::message::{Message, Told};
use tarn_connectors::sink::registry::{kinds, open};
use tarn_connectors::sink::severity::Severity;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    sink: serde_json::Map<String, serde_json::Value>,
    findings: Vec<String>,
    #[serde(default)]
    group: Vec<(String, String)>,
    #[serde(default)]
    held_back: u64,
    /// The findings so often, each with a uid of its own.
    #[serde(default = "once")]
    times: usize,
    /// A change of the first finding: its record, beside the findings.
    change: Option<String>,
    /// The message's key, where it is not the first finding's uid.
    key: Option<String>,
    /// What is known of the images of each.
    #[serde(default)]
    attestation: Vec<Attestation>,
}

fn once() -> usize {
    1
}

/// 2026-06-01T00:00:05Z.
const TRIED_MS: i64 = 1_780_272_005_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sink")
}

fn message(case: &Case, reader: &EvidenceReader) -> Message {
    let mut alerts = Vec::new();
    for time in 0..case.times {
        for name in &case.findings {
            let text = std::fs::read_to_string(folder().join("findings").join(format!("{name}.json"))).unwrap();
            let mut alert = Draft::of(&text).unwrap().with_entities(reader);
            alert.attestation.clone_from(&case.attestation);
            if time > 0 {
                alert.uid = format!("{}-{time}", alert.uid);
            }
            let finding = serde_json::from_str(&text).unwrap();
            alerts.push(Told { alert: Arc::new(alert), finding: Some(finding) });
        }
    }
    let record =
        |name: &String| std::fs::read_to_string(folder().join("findings").join(format!("{name}.json"))).unwrap();
    let change = case.change.as_ref().map(|name| Change::of(&record(name)).unwrap());
    Message {
        key: case.key.clone().unwrap_or_else(|| alerts[0].alert.uid.clone()),
        route: "all".into(),
        group: case.group.clone(),
        created_ms: TRIED_MS - 5_000,
        held_back: case.held_back,
        severity: alerts.iter().map(|told| told.alert.severity).max().unwrap_or(Severity::Medium),
        alerts,
        change,
    }
}

fn request(case: &Case, reader: &EvidenceReader) -> String {
    let config = AlertsConfig { sinks: [("it".to_owned(), case.sink.clone())].into(), ..AlertsConfig::default() };
    let sinks = open(&config, &environment).unwrap();
    let rendered = sinks["it"].sink.render(&message(case, reader), TRIED_MS).unwrap();
    let mut out = String::new();
    let mut headers: Vec<_> = rendered.headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        writeln!(out, "{name}: {}", value.to_str().unwrap()).unwrap();
    }
    let body = String::from_utf8(rendered.body).unwrap();
    let laid_out = match serde_json::from_str::<serde_json::Value>(&body) {
        Ok(json) => serde_json::to_string_pretty(&json).unwrap(),
        Err(_) => body.trim_end().to_owned(),
    };
    writeln!(out, "\n{laid_out}").unwrap();
    out
}

#[test]
fn requests_are_the_golden_ones() {
    let (reader, bless) = (EvidenceReader::new(sources()), std::env::var_os("TARN_BLESS").is_some());
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for kind in kinds() {
        for file in std::fs::read_dir(folder().join(kind)).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let case: Case = toml::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            assert_eq!(case.sink["kind"], *kind, "{}", file.display());
            let (found, golden) = (request(&case, &reader), file.with_extension("request"));
            seen.insert(kind);
            if bless {
                std::fs::write(&golden, &found).unwrap();
            }
            if std::fs::read_to_string(&golden).unwrap_or_default() != found {
                wrong.push(golden);
            }
        }
    }
    assert_eq!(seen, kinds().collect(), "a kind has no golden requests");
    assert!(wrong.is_empty(), "differ (TARN_BLESS=1 writes them): {wrong:?}");
}

fn hostile_attestation() -> Attestation {
    let text = "<!channel>&`\n".repeat(40);
    Attestation { verdict: Verdict::Unattested, digest: Some(text.clone()), reason: text.clone(), record: Some(text) }
}

/// Block Kit's limits, on every golden message and on the worst texts.
#[test]
fn slack_messages_are_within_block_kit() {
    fn texts(value: &serde_json::Value, found: &mut Vec<usize>) {
        match value {
            serde_json::Value::Object(members) => {
                if let Some(text) = members.get("text").and_then(|text| text.as_str()) {
                    found.push(text.chars().count());
                }
                members.values().for_each(|value| texts(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    let sink = serde_json::from_str(r#"{"kind":"slack","url":"env:SLACK_URL"}"#).unwrap();
    let config = AlertsConfig { sinks: [("it".to_owned(), sink)].into(), ..AlertsConfig::default() };
    let sinks = open(&config, &environment).unwrap();
    let reader = EvidenceReader::new(sources());
    let case = Case {
        sink: serde_json::Map::new(),
        findings: vec!["hostile".into(), "cloudtrail".into()],
        group: (0..6).map(|i| (format!("user{i}"), "<&>`".repeat(200))).collect(),
        held_back: 5,
        times: 100,
        change: None,
        key: None,
        attestation: (0..8).map(|_| hostile_attestation()).collect(),
    };
    let rendered = sinks["it"].sink.render(&message(&case, &reader), TRIED_MS).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&rendered.body).unwrap();
    let blocks = body["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50, "{}", blocks.len());
    assert!(blocks[0]["text"]["text"].as_str().unwrap().chars().count() <= 150);
    for block in blocks {
        let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(fields.len() <= 10);
        let mut of_fields = Vec::new();
        fields.iter().for_each(|field| texts(field, &mut of_fields));
        assert!(of_fields.iter().all(|chars| (1..=2_000).contains(chars)), "{of_fields:?}");
        let mut all = Vec::new();
        texts(block, &mut all);
        assert!(all.iter().all(|chars| (1..=3_000).contains(chars)), "{all:?}");
    }
    assert!(!String::from_utf8(rendered.body).unwrap().contains("<!channel>"));
}

/// PagerDuty takes 512 KB.
#[test]
fn pagerduty_events_shrink_to_their_limit() {
    let sink = serde_json::from_str(r#"{"kind":"pagerduty","routing_key":"env:PAGERDUTY_KEY"}"#).unwrap();
    let config = AlertsConfig { sinks: [("it".to_owned(), sink)].into(), ..AlertsConfig::default() };
    let case = Case {
        sink: serde_json::Map::new(),
        findings: vec!["hostile".into()],
        group: Vec::new(),
        held_back: 0,
        times: 100,
        change: None,
        key: None,
        attestation: vec![hostile_attestation()],
    };
    let message = message(&case, &EvidenceReader::new(sources()));
    let rendered = open(&config, &environment).unwrap()["it"].sink.render(&message, TRIED_MS).unwrap();
    assert!(rendered.body.len() <= 512_000, "{}", rendered.body.len());
    let event: serde_json::Value = serde_json::from_slice(&rendered.body).unwrap();
    let details = &event["payload"]["custom_details"];
    let shown = details["alerts"].as_array().unwrap().len() as u64;
    assert_eq!(shown + details["alerts not shown"].as_u64().unwrap(), 100);
}
