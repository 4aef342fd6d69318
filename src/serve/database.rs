//! SQL over what is in the lake and what is on its way there.

use super::config;
use super::frame::Frame;
use anyhow::Context;
use std::time::Duration;
use tarn_lake::log::Log;
use tarn_lake::{Live, SqlOptions, SqlSession};

/// How long a query waits for what was acknowledged before it to become rows.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Gives sessions. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    live: Live,
    log: Log<Frame>,
    limits: config::Query,
}

impl Database {
    /// Over a lake that a log streams into.
    pub fn new(live: Live, log: Log<Frame>, limits: config::Query) -> Self {
        Self { live, log, limits }
    }

    /// A session that sees all that was acknowledged by now.
    ///
    /// **Errors**: mapping that is too far behind; the lake's.
    pub async fn session(&self) -> anyhow::Result<SqlSession> {
        let acknowledged = self.log.last();
        let mut visible = self.live.visible();
        let seen = tokio::time::timeout(WAIT_MAX, visible.wait_for(|visible| *visible >= acknowledged)).await;
        seen.context("what was acknowledged is not readable yet: the lake takes no rows")?.context("stopping")?;
        let options = SqlOptions { memory_bytes: self.limits.memory_mib << 20, ..SqlOptions::default() };
        Ok(self.live.sql(&options)?)
    }
}
