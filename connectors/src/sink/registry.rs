//! The kinds of sinks, one row each, and the sinks of a configuration.

use super::config::{AlertsConfig, ConfigError, PACE_KEYS, Pace, ValueError, in_range, named};
use super::http::{Endpoint, Reply};
use super::message::Message;
use super::retry::Verdict;
use super::secret::{Secret, SecretRef};
use super::{pagerduty, slack, stdout, webhook};
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use thiserror::Error;

/// A receiver of alerts. Pure: what is sent and what an answer means; sending is [`super::outbox`]'s.
pub trait Sink: Debug + Send + Sync {
    /// Where it sends to; none for standard output.
    fn endpoint(&self) -> Option<&Endpoint>;

    /// What a message is in the receiver's format, tried at `now_ms` since 1970.
    ///
    /// **Errors**: there is no form of it that the receiver would take; it is a dead letter.
    fn render(&self, message: &Message, now_ms: i64) -> Result<Rendered, Unrenderable>;

    /// What it is told of findings that it has.
    fn follows(&self) -> Follows {
        Follows::Nothing
    }

    /// What an answer means.
    fn judge(&self, reply: &Reply) -> Verdict {
        reply.verdict()
    }
}

/// What a receiver is told of findings that it was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing.
    Nothing,
    /// That all findings of a message are closed, under the message's key.
    Closing,
    /// Every change, where its routes would send the finding as it is after it.
    Changes,
}

/// A request, but for its URL.
#[derive(Clone, Default)]
pub struct Rendered {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why a message cannot be put into a receiver's format.
#[derive(Debug, Error)]
pub enum Unrenderable {
    /// The template fails on it.
    #[error("the template fails: {0:#}")]
    Template(minijinja::Error),
    /// Too large.
    #[error("the body would be larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// It does not serialise.
    #[error("the body is no JSON")]
    Json(#[from] serde_json::Error),
    /// A value that cannot be in a header.
    #[error("a header's value is wrong")]
    Header(#[from] reqwest::header::InvalidHeaderValue),
}

/// One row: the name that configuration uses, and how a sink is made of its options.
struct Row {
    kind: &'static str,
    open: fn(Options<'_>) -> Result<Box<dyn Sink>, ConfigError>,
}

const KINDS: &[Row] = &[
    Row { kind: "pagerduty", open: pagerduty::open },
    Row { kind: "slack", open: slack::open },
    Row { kind: "stdout", open: stdout::open },
    Row { kind: "webhook", open: webhook::open },
];

/// The kinds that there are.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|row| row.kind)
}

/// A configured sink.
#[derive(Clone, Debug)]
pub struct Configured {
    /// Its name.
    pub name: Arc<str>,
    /// How it is tried.
    pub pace: Pace,
    /// What it is.
    pub sink: Arc<dyn Sink>,
}

/// Gives the value of an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The options of one sink, without `kind` and those of [`Pace`].
pub struct Options<'a> {
    /// `alerts.sinks.<name>`.
    pub key: String,
    /// How it is tried.
    pub pace: &'a Pace,
    values: Map<String, Value>,
    environment: Environment<'a>,
}

impl Options<'_> {
    /// The options as a kind's own type.
    ///
    /// **Errors**: the option that is wrong, by key.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<T, ConfigError> {
        read(&self.key, std::mem::take(&mut self.values))
    }

    /// The secret of an option.
    ///
    /// **Errors**: why it cannot be had, by key.
    pub fn secret(&self, option: &str, reference: &SecretRef) -> Result<Secret, ConfigError> {
        let read = reference.read(self.environment);
        read.map_err(|source| ConfigError::Secret { key: self.option(option), source })
    }

    /// An option's key.
    pub fn option(&self, option: &str) -> String {
        format!("{}.{option}", self.key)
    }

    /// An option's value that cannot be.
    pub fn wrong(&self, option: &str, problem: ValueError) -> ConfigError {
        ConfigError::value(self.option(option), problem)
    }
}

fn read<T: DeserializeOwned>(key: &str, values: Map<String, Value>) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(Value::Object(values)).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { key.to_owned() } else { format!("{key}.{path}") };
        ConfigError::Option { key, source: error.into_inner() }
    })
}

/// All sinks of a configuration.
///
/// **Errors**: the first option that is wrong, by key.
pub fn open(
    config: &AlertsConfig,
    environment: Environment<'_>,
) -> Result<BTreeMap<Arc<str>, Configured>, ConfigError> {
    let one = |(name, values): (&String, &Map<String, Value>)| {
        let key = format!("alerts.sinks.{name}");
        named(&key, name)?;
        let mut values = values.clone();
        let found = values.remove("kind").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
        let Some(row) = KINDS.iter().find(|row| row.kind == found) else {
            return Err(ConfigError::Kind { key, found, known: kinds().collect() });
        };
        let pace = PACE_KEYS.iter().filter_map(|option| values.remove_entry(*option)).collect();
        let pace: Pace = read(&key, pace)?;
        in_range(format!("{key}.concurrency"), pace.concurrency as u64, 1, 64)?;
        in_range(format!("{key}.timeout"), pace.timeout.ms() as u64, 1, 300_000)?;
        let sink = (row.open)(Options { key, pace: &pace, values, environment })?.into();
        let name: Arc<str> = name.as_str().into();
        Ok((Arc::clone(&name), Configured { name, pace, sink }))
    };
    config.sinks.iter().map(one).collect()
}
