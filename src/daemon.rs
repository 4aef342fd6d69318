//! A daemon that runs, asked over HTTP. The token is that of TARN_TOKEN; it goes into no message.

use crate::command::Usage;
use crate::config;
use anyhow::Context;
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::Value;
use std::time::Duration;

/// How long an answer may take.
const WAIT: Duration = Duration::from_secs(60);
/// Bytes of records that are sent at once; one record alone may have more.
const SENT_BYTES_MAX: usize = 4 << 20;
/// Records that are.
const SENT_MAX: usize = 4_096;

/// Where it is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Daemon {
    base: Url,
    client: Client,
}

impl Daemon {
    /// At an address that `option` gave.
    ///
    /// **Errors**: [`Usage`] for an address that is none of HTTP's.
    pub fn new(base: &Url, option: &str) -> anyhow::Result<Self> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(Usage(format!("{option}: expected http://… or https://…, got {}:", base.scheme())).into());
        }
        Ok(Self { base: base.clone(), client: Client::builder().timeout(WAIT).build()? })
    }

    /// The address of something that it has.
    pub fn at(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // HTTP's addresses have a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// A request, to be asked with [`Self::ask`].
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.client.request(method, url);
        match config::secret("TARN_TOKEN") {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The answer's JSON.
    ///
    /// **Errors**: nobody answers; the daemon's own words.
    pub async fn ask(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let origin = self.base.origin().ascii_serialization();
        let response = request.send().await.with_context(|| format!("no answer from {origin}"))?;
        let (status, text) = (response.status(), response.text().await?);
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(answer);
        }
        let words = answer["error"].as_str().map_or_else(|| status.to_string(), str::to_owned);
        Err(anyhow::Error::msg(words))
    }

    /// Hands OCSF records over, a line each; those that it has already, by their uid, are not added. When this returns, they
    /// are on its disk.
    ///
    /// **Errors**: as [`Self::ask`]. Some may have been taken.
    pub async fn keep(&self, lines: &[u8]) -> anyhow::Result<()> {
        let (mut from, mut at, mut count) = (0, 0, 0);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if at > from && (at - from + line.len() > SENT_BYTES_MAX || count == SENT_MAX) {
                self.send(&lines[from..at]).await?;
                (from, count) = (at, 0);
            }
            at += line.len();
            count += 1;
        }
        if at > from { self.send(&lines[from..at]).await } else { Ok(()) }
    }

    async fn send(&self, lines: &[u8]) -> anyhow::Result<()> {
        let url = self.at(&["v1", "evidence", "records"]);
        let request = self.request(Method::POST, url).body(lines.to_vec());
        let sent = self.ask(request).await;
        let origin = self.base.origin().ascii_serialization();
        sent.map(drop).with_context(|| format!("the daemon at {origin} has not taken the records"))
    }
}
