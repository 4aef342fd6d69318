//! Slack, by an incoming webhook, in Block Kit.
//!
//! Every text that comes from rules or events is escaped (`&`, `<`, `>`: so no mention, no link and no channel alert is
//! made of it), code spans cannot be left, and Slack is told to look for nothing else in it (`verbatim`). Within Block
//! Kit's limits: 50 blocks, 3,000 characters a text, 150 in a header, 2,000 in a field, 10 fields.
//! References: <https://docs.slack.dev/reference/block-kit/blocks>,
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.

mod text;

use super::alert::{Alert, Attack, Entity, Kind};
use super::config::ConfigError;
use super::http::{Endpoint, Reply, Target};
use super::message::Message;
use super::network::{Network, Reach};
use super::registry::{Options, Rendered, Sink, Unrenderable};
use super::retry::Verdict;
use super::secret::SecretRef;
use super::severity::Severity;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use text::{code, code_block, cut, escape, plain};

/// Characters of a text object.
const TEXT_MAX: usize = 3_000;
/// Characters of a section's field.
const FIELD_MAX: usize = 2_000;
/// Characters of a header.
const HEADER_MAX: usize = 150;
/// Characters of an excerpt of evidence: enough to see what it is.
const EVIDENCE_MAX: usize = 1_500;
/// Alerts that are shown in full: five blocks each, and four around them, are within 50.
const ALERTS_MAX: usize = 9;

/// Options of `kind = "slack"`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlackOptions {
    /// The webhook's URL: who has it can post, so it is a secret.
    url: SecretRef,
    #[serde(default)]
    allow_networks: Vec<Network>,
    #[serde(default)]
    plain_http: bool,
}

#[derive(Debug)]
struct Slack {
    endpoint: Endpoint,
}

/// Of its options. **Errors**: the option that is wrong.
pub(super) fn open(mut options: Options<'_>) -> Result<Box<dyn Sink>, ConfigError> {
    let own: SlackOptions = options.read()?;
    let url = options.secret("url", &own.url)?;
    let endpoint = Endpoint::open(Target {
        key: options.option("url"),
        url: url.reveal(),
        reach: Reach::new(&own.allow_networks),
        plain_http: own.plain_http,
        timeout: options.pace.timeout.0,
    })?;
    Ok(Box::new(Slack { endpoint }))
}

impl Sink for Slack {
    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn render(&self, message: &Message, _now_ms: i64) -> Result<Rendered, Unrenderable> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Ok(Rendered { headers, body: serde_json::to_vec(&payload(message))? })
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        // Slack's own words come with 400, 403, 404 and 410: `invalid_payload`, `action_prohibited`, `no_service`,
        // `channel_is_archived`. `rollup_error` comes with 500 and may pass.
        reply.verdict()
    }
}

fn payload(message: &Message) -> Value {
    let headline = format!("[{}] {}", message.severity.caption().to_uppercase(), message.title());
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": cut(&plain(&headline), HEADER_MAX), "emoji": false },
    })];
    if !message.group.is_empty() {
        let values = message.group.iter().filter(|(_, value)| !value.is_empty());
        let values: Vec<_> = values.map(|(name, value)| format!("{} {}", escape(name), code(value))).collect();
        if !values.is_empty() {
            blocks.push(context(&values.join("  ·  ")));
        }
    }
    let many = message.alerts.len() > 1;
    for told in message.alerts.iter().take(ALERTS_MAX) {
        if many {
            blocks.push(json!({ "type": "divider" }));
        }
        alert_blocks(&told.alert, many, &mut blocks);
    }
    let rest = message.alerts.len().saturating_sub(ALERTS_MAX);
    if rest > 0 {
        blocks.push(section(&format!("*{rest} more alerts* are not shown.")));
    }
    if message.held_back > 0 {
        let text = format!("*{} more alerts* of this rule and group were held back.", message.held_back);
        blocks.push(section(&text));
    }
    json!({ "text": cut(&escape(&headline), TEXT_MAX), "blocks": blocks })
}

/// At most five blocks with the divider: what happened to whom, the evidence, the queries, the finding.
fn alert_blocks(alert: &Alert, titled: bool, blocks: &mut Vec<Value>) {
    let mut text = String::new();
    if titled {
        text = format!("*{}*", escape(&alert.rule.title));
    }
    if let Some(description) = &alert.rule.description {
        text += if titled { "\n" } else { "" };
        text += &escape(description);
    }
    if text.is_empty() {
        text = format!("*{}*", escape(&alert.rule.title));
    }
    let fields: Vec<Value> = fields(alert).into_iter().map(|field| mrkdwn(&field, FIELD_MAX)).collect();
    blocks.push(json!({ "type": "section", "text": mrkdwn(&text, TEXT_MAX), "fields": fields }));
    if !alert.evidence.is_empty() {
        blocks.push(section(&format!("*Evidence*\n{}", code_block(&alert.evidence, EVIDENCE_MAX))));
    }
    let mut queries = format!("*Query*\n{}", code_block(&alert.query, TEXT_MAX / 3));
    if let Some(query) = &alert.entity_query {
        queries += &format!("\n{}", code_block(query, TEXT_MAX / 3));
    }
    blocks.push(section(&queries));
    let mut about = format!("finding {}  ·  {}", code(&alert.uid), escape(&alert.time));
    for image in &alert.attestation {
        about += &format!("\n*{}* image {}", image.verdict.name(), code(image.digest.as_deref().unwrap_or("?")));
        about += &format!("  ·  {}", escape(&image.reason));
        if let Some(record) = &image.record {
            about += &format!("  ·  record {}", code(record));
        }
    }
    blocks.push(context(&about));
}

/// At most ten.
fn fields(alert: &Alert) -> Vec<String> {
    let mut fields = vec![format!("*Severity*\n{} {}", mark(alert.severity), alert.severity.caption())];
    if !alert.rule.id.is_empty() {
        let id = code(&alert.rule.id);
        fields.push(format!("*Rule*\n{id}"));
    }
    if !alert.attack.is_empty() {
        let labels: Vec<_> = alert.attack.iter().map(Attack::label).map(|label| escape(&label)).collect();
        fields.push(format!("*ATT&amp;CK*\n{}", labels.join("\n")));
    }
    for (kind, title) in [
        (Kind::User, "User"),
        (Kind::Host, "Host"),
        (Kind::Address, "Address"),
        (Kind::Process, "Process"),
        (Kind::File, "File"),
        (Kind::Resource, "Resource"),
        (Kind::Field, "Group"),
    ] {
        let of_kind = alert.entities.iter().filter(|entity| entity.kind == kind);
        let shown = |entity: &Entity| match kind {
            Kind::Field => format!("{} {}", escape(&entity.field), code(&entity.value)),
            _ => code(&entity.value),
        };
        let values: Vec<_> = of_kind.map(shown).collect();
        if !values.is_empty() {
            fields.push(format!("*{title}*\n{}", values.join("\n")));
        }
    }
    fields
}

fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "⚪",
        Severity::Low => "🔵",
        Severity::Medium => "🟡",
        Severity::High => "🟠",
        Severity::Critical => "🔴",
    }
}

fn mrkdwn(text: &str, chars_max: usize) -> Value {
    json!({ "type": "mrkdwn", "text": cut(text, chars_max), "verbatim": true })
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(text, TEXT_MAX) })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [mrkdwn(text, FIELD_MAX)] })
}
