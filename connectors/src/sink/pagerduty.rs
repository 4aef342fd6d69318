//! PagerDuty, by the Events API v2.
//!
//! A message triggers one incident: its key is the `dedup_key`, so a repeat after a lost answer joins the same incident.
//! The incident is resolved once all findings of the message are closed. An event is at most 512 KB.
//! Reference: <https://developer.pagerduty.com/docs/send-alert-event>.

use super::alert::{Alert, Attack, Kind, bounded, rfc3339};
use super::config::{ConfigError, ValueError};
use super::http::{Endpoint, Reply, Target};
use super::message::Message;
use super::network::{Network, Reach};
use super::registry::{Follows, Options, Rendered, Sink, Unrenderable};
use super::retry::Verdict;
use super::secret::{Secret, SecretRef};
use super::severity::Severity;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Bytes of an event.
const BODY_BYTES_MAX: usize = 512_000;
/// Characters of a summary.
const SUMMARY_MAX: usize = 1_024;
/// Characters of a key.
const KEY_MAX: usize = 255;
/// Where events go, unless the account is in the EU (`events.eu.pagerduty.com`).
const URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// Options of `kind = "pagerduty"`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PagerDutyOptions {
    routing_key: SecretRef,
    #[serde(default = "yes")]
    resolve: bool,
    url: Option<String>,
    #[serde(default)]
    allow_networks: Vec<Network>,
    #[serde(default)]
    plain_http: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug)]
struct PagerDuty {
    endpoint: Endpoint,
    routing_key: Secret,
    resolve: bool,
}

/// Of its options. **Errors**: the option that is wrong.
pub(super) fn open(mut options: Options<'_>) -> Result<Box<dyn Sink>, ConfigError> {
    let own: PagerDutyOptions = options.read()?;
    let routing_key = options.secret("routing_key", &own.routing_key)?;
    let key = routing_key.reveal();
    if key.len() != 32 || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(options.wrong("routing_key", ValueError::RoutingKey));
    }
    let endpoint = Endpoint::open(Target {
        key: options.option("url"),
        url: own.url.as_deref().unwrap_or(URL),
        reach: Reach::new(&own.allow_networks),
        plain_http: own.plain_http,
        timeout: options.pace.timeout.0,
    })?;
    Ok(Box::new(PagerDuty { endpoint, routing_key, resolve: own.resolve }))
}

impl Sink for PagerDuty {
    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn follows(&self) -> Follows {
        if self.resolve { Follows::Closing } else { Follows::Nothing }
    }

    fn render(&self, message: &Message, _now_ms: i64) -> Result<Rendered, Unrenderable> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if message.change.is_some() {
            return Ok(Rendered { headers, body: serde_json::to_vec(&self.end(message))? });
        }
        // Fewer alerts until it fits: the first says what it is about, the others are in the lake.
        let mut shown = message.alerts.len();
        loop {
            let body = serde_json::to_vec(&self.event(message, shown))?;
            match shown {
                _ if body.len() <= BODY_BYTES_MAX => return Ok(Rendered { headers, body }),
                0 => return Err(Unrenderable::TooLarge { bytes_max: BODY_BYTES_MAX }),
                _ => shown /= 2,
            }
        }
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        match reply.status {
            // Any other success would be an answer of something else than PagerDuty.
            202 => Verdict::Delivered,
            200..=299 => Verdict::Never { reason: reply.reason() },
            _ => reply.verdict(),
        }
    }
}

impl PagerDuty {
    /// The receiver ignores the end of an incident that it does not have.
    fn end(&self, message: &Message) -> Value {
        json!({
            "routing_key": self.routing_key.reveal(),
            "event_action": "resolve",
            "dedup_key": bounded(&message.key, KEY_MAX),
        })
    }

    fn event(&self, message: &Message, shown: usize) -> Value {
        let first = message.alerts.first().map(|told| &*told.alert);
        json!({
            "routing_key": self.routing_key.reveal(),
            "event_action": "trigger",
            "dedup_key": bounded(&message.key, KEY_MAX),
            "client": "Tarn",
            "payload": {
                "summary": bounded(&summary(message), SUMMARY_MAX),
                "timestamp": first.map_or_else(|| rfc3339(message.created_ms), |alert| alert.time.clone()),
                "severity": severity(message.severity),
                "source": first.map_or("tarn", source),
                "class": first.map(|alert| &alert.rule.title),
                "custom_details": details(message, shown),
            },
        })
    }
}

/// Severity and title, and the first entity.
fn summary(message: &Message) -> String {
    let entity = message.alerts.first().and_then(|told| told.alert.entities.first());
    let about = entity.map(|entity| format!(" ({} {})", entity.kind, entity.value)).unwrap_or_default();
    format!("[{}] {}{about}", message.severity.caption(), message.title())
}

/// PagerDuty has four.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Informational => "info",
    }
}

/// What is affected: a host, else an address, else whatever there is.
fn source(alert: &Alert) -> &str {
    let entity = alert.entity(Kind::Host).or_else(|| alert.entity(Kind::Address)).or_else(|| alert.entities.first());
    entity.map_or("tarn", |entity| &entity.value)
}

fn details(message: &Message, shown: usize) -> Value {
    let mut details = Map::new();
    details.insert("route".into(), message.route.as_str().into());
    for (name, value) in &message.group {
        details.insert(format!("group {name}"), value.as_str().into());
    }
    if message.held_back > 0 {
        details.insert("held back".into(), message.held_back.into());
    }
    let alerts: Vec<Value> = message.alerts.iter().take(shown).map(|told| detail(&told.alert)).collect();
    details.insert("alerts".into(), alerts.into());
    if shown < message.alerts.len() {
        details.insert("alerts not shown".into(), (message.alerts.len() - shown).into());
    }
    details.into()
}

fn detail(alert: &Alert) -> Value {
    let entities: Vec<_> = alert.entities.iter().map(|e| format!("{} {}", e.kind, e.value)).collect();
    let images: Vec<_> = alert.attestation.iter().map(ToString::to_string).collect();
    json!({
        "finding": alert.uid,
        "time": alert.time,
        "severity": alert.severity,
        "rule": alert.rule.title,
        "rule id": alert.rule.id,
        "description": alert.rule.description,
        "ATT&CK": alert.attack.iter().map(Attack::label).collect::<Vec<_>>(),
        "entities": entities,
        "attestation": images,
        "evidence": alert.evidence,
        "query": alert.query,
        "entity query": alert.entity_query,
    })
}
