//! Any HTTP receiver, signed as Standard Webhooks has it.
//!
//! `webhook-id` is the message's key, the same in every try; `webhook-timestamp` is the try's time; `webhook-signature`
//! is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. The body is the specification's `type`, `timestamp`
//! and `data`, or a template's.
//! Specification: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use super::alert::rfc3339;
use super::config::{ConfigError, ValueError};
use super::http::{Endpoint, Reply, Target};
use super::message::Message;
use super::network::{Network, Reach};
use super::registry::{Follows, Options, Rendered, Sink, Unrenderable};
use super::retry::Verdict;
use super::secret::{Secret, SecretRef};
use super::template::{SOURCE_BYTES_MAX, Template};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;

/// Bytes of a body.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Options of `kind = "webhook"`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookOptions {
    /// An URL, or a reference to a secret one.
    url: String,
    secret: Option<SecretRef>,
    /// More headers, each value a reference or a text.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    template: Option<String>,
    content_type: Option<String>,
    /// Whether it is told what people do with findings.
    #[serde(default)]
    changes: bool,
    #[serde(default)]
    allow_networks: Vec<Network>,
    #[serde(default)]
    plain_http: bool,
}

#[derive(Debug)]
struct Webhook {
    endpoint: Endpoint,
    key: Option<SigningKey>,
    headers: HeaderMap,
    template: Option<Template>,
    changes: bool,
}

/// The body, where no template makes it.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: String,
    data: &'a Message,
}

/// Signs messages.
struct SigningKey(Vec<u8>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// Of its options. **Errors**: the option that is wrong.
pub(super) fn open(mut options: Options<'_>) -> Result<Box<dyn Sink>, ConfigError> {
    let own: WebhookOptions = options.read()?;
    let url = text_or_secret(&options, "url", &own.url)?;
    let secret = own.secret.as_ref().map(|reference| options.secret("secret", reference)).transpose()?;
    let key = secret.map(|secret| SigningKey::new(&secret)).transpose();
    let key = key.map_err(|problem| options.wrong("secret", problem))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &own.headers {
        let option = format!("headers.{name}");
        let value = text_or_secret(&options, &option, value)?;
        let (name, value) = header(name, &value).ok_or_else(|| options.wrong(&option, ValueError::Header))?;
        headers.insert(name, value);
    }
    let content_type = own.content_type.as_deref().unwrap_or("application/json");
    let content_type_value = HeaderValue::from_str(content_type);
    let value = content_type_value.map_err(|_| options.wrong("content_type", ValueError::Header))?;
    headers.insert(CONTENT_TYPE, value);
    let template = own.template.map(|source| {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(ValueError::Range { min: 0, max: SOURCE_BYTES_MAX as u64 });
        }
        Template::compile(source, content_type.contains("json")).map_err(ValueError::Template)
    });
    let template = template.transpose().map_err(|problem| options.wrong("template", problem))?;
    let endpoint = Endpoint::open(Target {
        key: options.option("url"),
        url: &url,
        reach: Reach::new(&own.allow_networks),
        plain_http: own.plain_http,
        timeout: options.pace.timeout.0,
    })?;
    Ok(Box::new(Webhook { endpoint, key, headers, template, changes: own.changes }))
}

/// A value that may be written out, or be a reference to a secret.
fn text_or_secret(options: &Options<'_>, option: &str, text: &str) -> Result<String, ConfigError> {
    match SecretRef::try_from(text.to_owned()) {
        Ok(reference) => Ok(options.secret(option, &reference)?.reveal().to_owned()),
        Err(_) => Ok(text.to_owned()),
    }
}

/// A header that users may add: none that says what the body is, or who signed it.
fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let own = ["content-type", "content-length", "transfer-encoding", "host", "connection"];
    if own.contains(&name.as_str()) || name.as_str().starts_with("webhook-") {
        return None;
    }
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

impl SigningKey {
    /// Of `whsec_` and base64, or the base64 alone. The specification wants 24 to 64 bytes.
    fn new(secret: &Secret) -> Result<Self, ValueError> {
        let text = secret.reveal();
        let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text));
        match bytes {
            Ok(bytes) if (24..=64).contains(&bytes.len()) => Ok(Self(bytes)),
            _ => Err(ValueError::SigningSecret),
        }
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        // HMAC takes keys of any length, so the error does not happen.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl Sink for Webhook {
    fn endpoint(&self) -> Option<&Endpoint> {
        Some(&self.endpoint)
    }

    fn follows(&self) -> Follows {
        if self.changes { Follows::Changes } else { Follows::Nothing }
    }

    fn render(&self, message: &Message, now_ms: i64) -> Result<Rendered, Unrenderable> {
        let body = match &self.template {
            Some(template) => template.render(message, BODY_BYTES_MAX)?,
            None => {
                let timestamp = rfc3339(message.created_ms);
                let r#type = if message.change.is_some() { "tarn.change" } else { "tarn.alert" };
                serde_json::to_vec(&Body { r#type, timestamp, data: message })?
            }
        };
        if body.len() > BODY_BYTES_MAX {
            return Err(Unrenderable::TooLarge { bytes_max: BODY_BYTES_MAX });
        }
        let mut headers = self.headers.clone();
        let timestamp = now_ms.div_euclid(1_000);
        headers.insert("webhook-id", HeaderValue::from_str(&message.key)?);
        headers.insert("webhook-timestamp", timestamp.into());
        if let Some(key) = &self.key {
            headers.insert("webhook-signature", HeaderValue::from_str(&key.sign(&message.key, timestamp, &body))?);
        }
        Ok(Rendered { headers, body })
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        match reply.status {
            // The specification: the endpoint is disabled, and no more messages are sent to it.
            410 => Verdict::Gone { reason: reply.reason() },
            _ => reply.verdict(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn signs_as_the_specification_does() {
        let secret = |_: &str| Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let key = SecretRef::Env("X".into()).read(&secret).map(|secret| SigningKey::new(&secret).unwrap()).unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
