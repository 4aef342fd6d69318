//! Alerts: what takes findings out, one file a receiver.
//!
//! A finding becomes an [`alert`], [`route`]s say which sinks it goes to, and the [`outbox`] keeps it until they have it
//! or cannot. Nothing here detects, and nothing asks the lake. Adding a receiver: a file with its `open` and its
//! [`registry::Sink`], one row in the registry, golden requests in the tests. `docs/alerts.md` is for users.

pub mod alert;
pub mod change;
pub mod config;
pub mod message;
pub mod outbox;
pub mod registry;
pub mod retry;
pub mod route;
pub mod secret;
pub mod severity;
pub mod span;

mod glob;
mod http;
mod network;
mod pagerduty;
mod slack;
mod stdout;
mod template;
mod webhook;

pub use config::{AlertsConfig, ConfigError};
pub use http::{Endpoint, Reply};
pub use network::AddressDenied;
pub use outbox::{Outbox, OutboxError};
