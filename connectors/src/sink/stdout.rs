//! Standard output: a line for people, or a message a line as JSON.

use super::alert::Entity;
use super::config::ConfigError;
use super::http::Endpoint;
use super::message::Message;
use super::registry::{Options, Rendered, Sink, Unrenderable};
use serde::Deserialize;
use std::fmt::Write;

/// Options of `kind = "stdout"`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StdoutOptions {
    format: Format,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// A line an alert: time, severity, rule, entities, uid.
    #[default]
    Line,
    /// A line a message: the same object as a webhook's `data`.
    Ndjson,
}

#[derive(Debug)]
struct Stdout {
    format: Format,
}

/// Of its options. **Errors**: the option that is wrong.
pub(super) fn open(mut options: Options<'_>) -> Result<Box<dyn Sink>, ConfigError> {
    let StdoutOptions { format } = options.read()?;
    Ok(Box::new(Stdout { format }))
}

impl Sink for Stdout {
    fn endpoint(&self) -> Option<&Endpoint> {
        None
    }

    fn render(&self, message: &Message, _now_ms: i64) -> Result<Rendered, Unrenderable> {
        let body = match self.format {
            Format::Line => lines(message).into_bytes(),
            Format::Ndjson => {
                let mut body = serde_json::to_vec(message)?;
                body.push(b'\n');
                body
            }
        };
        Ok(Rendered { body, ..Rendered::default() })
    }
}

fn lines(message: &Message) -> String {
    let mut out = String::new();
    for told in &message.alerts {
        let alert = &told.alert;
        let severity = alert.severity.caption().to_uppercase();
        let _ = write!(out, "{} {severity} {}", alert.time, printable(&alert.rule.title));
        for Entity { kind, value, .. } in &alert.entities {
            let _ = write!(out, " {kind}={}", printable(value));
        }
        for image in &alert.attestation {
            let digest = image.digest.as_deref().unwrap_or("?");
            let _ = write!(out, " {}={}", image.verdict.name(), printable(digest));
        }
        let _ = writeln!(out, " finding={}", printable(&alert.uid));
    }
    if message.held_back > 0 {
        let _ = writeln!(out, "{} more of route {} held back", message.held_back, printable(&message.route));
    }
    out
}

/// Events must not move a terminal's cursor, nor begin lines of their own.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}
