//! The `[alerts]` part of the configuration, as written. What it means is checked where it is built; every error names
//! its key.

use super::secret::SecretError;
use super::severity::Severity;
use super::span::Span;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use thiserror::Error;

/// Sinks, routes and limits.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    /// Alerts that the outbox holds at once, waiting and dead.
    pub entries_max: u64,
    /// Bytes of them.
    pub bytes_max: u64,
    /// By name: `kind`, what every sink may have ([`Pace`]), and the kind's own options.
    pub sinks: BTreeMap<String, Map<String, Value>>,
    /// In the order in which they are tried.
    pub routes: Vec<RouteConfig>,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self { entries_max: 100_000, bytes_max: 512 << 20, sinks: BTreeMap::new(), routes: Vec::new() }
    }
}

/// Which alerts go where. Conditions that are not given hold; a list holds if one of it does.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name, which its groups and counts are kept by.
    pub name: String,
    /// At least so bad.
    pub severity_min: Option<Severity>,
    /// Patterns of rule ids or titles.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Patterns of tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Patterns of `value` or `kind:value` of an entity.
    #[serde(default)]
    pub entities: Vec<String>,
    /// Whether the routes after it are tried as well.
    #[serde(default)]
    pub r#continue: bool,
    /// Names of sinks. None: these alerts go nowhere, on purpose.
    #[serde(default)]
    pub sinks: Vec<String>,
    /// What alerts of one message have in common. Not given: each alert is a message of its own.
    pub group_by: Option<Vec<GroupKey>>,
    /// How long a new group waits for more.
    #[serde(default = "group_wait")]
    pub group_wait: Span,
    /// How long after a group's message its next one may come.
    #[serde(default = "group_interval")]
    pub group_interval: Span,
    /// Alerts in one message, at most.
    #[serde(default = "group_max")]
    pub group_max: usize,
    /// At most so many alerts.
    pub throttle: Option<Throttle>,
}

fn group_wait() -> Span {
    Span::secs(30)
}

fn group_interval() -> Span {
    Span::secs(300)
}

fn group_max() -> usize {
    50
}

/// What a group is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKey {
    /// The rule.
    Rule,
    /// The severity.
    Severity,
    /// The first entity, of whatever kind.
    Entity,
    /// The first user.
    User,
    /// The first host.
    Host,
    /// The first address.
    Address,
}

/// At most `count` alerts of one rule and group in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// How many.
    pub count: u64,
    /// In how long.
    pub per: Span,
}

/// How a sink is tried: options that every kind has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Of one try, from connecting to the end of the answer.
    pub timeout: Span,
    /// Messages under way at once.
    pub concurrency: usize,
    /// The first wait is random, up to this; it doubles with every try.
    pub retry_base: Span,
    /// No wait is longer, but for what a receiver asks for.
    pub retry_max: Span,
    /// After this a message that still fails is a dead letter.
    pub give_up_after: Span,
}

/// The keys of [`Pace`].
pub(super) const PACE_KEYS: &[&str] = &["timeout", "concurrency", "retry_base", "retry_max", "give_up_after"];

impl Default for Pace {
    fn default() -> Self {
        Self {
            timeout: Span::secs(10),
            concurrency: 4,
            retry_base: Span::secs(1),
            retry_max: Span::secs(600),
            give_up_after: Span::secs(86_400),
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// No such kind of sink.
    #[error("{key}.kind: {found:?} is none of {}", known.join(", "))]
    Kind {
        /// `alerts.sinks.<name>`.
        key: String,
        /// As written; empty where it is missing.
        found: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// An option that is unknown, missing, or of the wrong type.
    #[error("{key}: {source}")]
    Option {
        /// The option.
        key: String,
        /// What is wrong. It never has the value of a secret.
        source: serde_json::Error,
    },
    /// A secret that cannot be had.
    #[error("{key}: {source}")]
    Secret {
        /// The option.
        key: String,
        /// Why.
        source: SecretError,
    },
    /// A value that cannot be.
    #[error("{key}: {problem}")]
    Value {
        /// The option.
        key: String,
        /// What is wrong.
        problem: ValueError,
    },
}

/// What is wrong with a value. Values of secrets are not repeated.
#[derive(Debug, Error)]
pub enum ValueError {
    /// A route names a sink that is not there.
    #[error("there is no sink {0:?}")]
    NoSink(String),
    /// Two routes of one name, or a sink twice in one route.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// Names are parts of keys and of metrics.
    #[error("{0:?}: a name is 1 to 64 letters, digits, - and _")]
    Name(String),
    /// A number outside its range.
    #[error("expected {min} to {max}")]
    Range {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// Not the URL of an HTTP server, or one with a user's name or password in it.
    #[error("expected an https:// URL without user or password")]
    Url,
    /// An URL without TLS.
    #[error("http:// sends alerts in the clear; set plain_http = true if that is meant")]
    PlainHttp,
    /// The URL's literal address is not allowed.
    #[error(transparent)]
    Address(#[from] super::network::AddressDenied),
    /// Not a name or value of an HTTP header, or one that the sink sets itself.
    #[error("not a header that can be set")]
    Header,
    /// A template that does not compile.
    #[error("the template is wrong")]
    Template(#[source] minijinja::Error),
    /// No signing secret.
    #[error("expected whsec_ and 24 to 64 bytes in base64")]
    SigningSecret,
    /// No routing key.
    #[error("expected the 32 letters and digits of an Events API v2 integration")]
    RoutingKey,
    /// No HTTP client can be made of the options.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
}

impl ConfigError {
    pub(super) fn value(key: impl Into<String>, problem: ValueError) -> Self {
        Self::Value { key: key.into(), problem }
    }
}

/// Whether a text may name a sink or a route.
pub(super) fn named(key: &str, name: &str) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(ConfigError::value(key, ValueError::Name(name.to_owned())))
}

/// Whether a number is in its range.
pub(super) fn in_range(key: String, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::value(key, ValueError::Range { min, max })) }
}
