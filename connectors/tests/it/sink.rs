//! Delivery of alerts: what requests look like, and what becomes of them when receivers fail.

mod delivery;
mod golden;
mod reach;
mod receiver;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use tarn_connectors::sink::outbox::{Clock, Outside};
use tarn_connectors::sink::{AlertsConfig, Outbox};
use tarn_ingest::source::Sources;

fn sources() -> Arc<Sources> {
    static SOURCES: OnceLock<Arc<Sources>> = OnceLock::new();
    SOURCES.get_or_init(|| Arc::new(Sources::builtin().unwrap())).clone()
}

/// Secrets of tests.
fn environment(name: &str) -> Option<String> {
    match name {
        "SLACK_URL" => Some("https://hooks.slack.com/services/T000/B000/s3cret".into()),
        "WEBHOOK_SECRET" | "TICKETS_SECRET" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
        "API_KEY" | "TICKETS_KEY" => Some("k3y".into()),
        "PAGERDUTY_KEY" => Some("0123456789abcdef0123456789abcdef".into()),
        _ => None,
    }
}

fn clock() -> Clock {
    Arc::new(|| chrono::Utc::now().timestamp_millis())
}

fn config(text: &str) -> AlertsConfig {
    toml::from_str(text).unwrap()
}

fn open(folder: &Path, text: &str) -> Arc<Outbox> {
    let outside = Outside { sources: sources(), clock: clock(), seed: 1, attesting: None };
    Arc::new(Outbox::open(folder, &config(text), &environment, outside).unwrap())
}

fn finding(uid: &str) -> String {
    format!(
        r#"{{"severity_id":4,"time":1780272000000,"finding_info":{{"uid":"{uid}","analytic":{{"uid":"r","name":"Rule"}}}}}}"#
    )
}

#[test]
fn the_documented_configuration_is_one() {
    #[derive(serde::Deserialize)]
    struct Whole {
        alerts: AlertsConfig,
    }
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/alerts.md")).unwrap();
    let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```\n").next()).unwrap();
    let whole: Whole = toml::from_str(&text.replace("file:/etc/tarn/pagerduty", "env:PAGERDUTY_KEY")).unwrap();
    tarn_connectors::sink::outbox::check(&whole.alerts, &environment).unwrap();
}
