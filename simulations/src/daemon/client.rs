//! A daemon's HTTP interface, as far as simulations use it (`docs/receivers.md`, `docs/serve.md`).

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use thiserror::Error;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How often a delivery is tried again that the daemon has no room for.
const TRIES_MAX: u32 = 60;
/// The longest pause before such a try, seconds.
const PAUSE_MAX_S: u64 = 10;
/// Uids that are asked for at once.
const UIDS_MAX: usize = 500;

/// What went wrong between a daemon and us.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The address is none that records can be sent to.
    #[error("{0}: expected http://… or https://…")]
    Address(Url),
    /// Nobody answers.
    #[error("no answer from {url}; is the daemon running there?")]
    NoAnswer {
        /// Where we asked.
        url: Url,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The daemon said no.
    #[error("{path}: the daemon says {status}: {message}{}", hint(*status))]
    Refused {
        /// What was asked for.
        path: String,
        /// The answer's status.
        status: StatusCode,
        /// The daemon's words.
        message: String,
    },
    /// An answer that is not what it should be.
    #[error("{path}: an answer that cannot be read")]
    Answer {
        /// What was asked for.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => " (give the token with --token-file or in TARN_TOKEN)",
        403 => " (simulations need a grant with ingest and query)",
        _ => "",
    }
}

/// What a delivery became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Accepted {
    /// Records that are on disk.
    pub accepted: u64,
    /// What was no record.
    #[serde(default)]
    pub dead_letters: u64,
}

/// A daemon's address and what we show there.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Client {
    /// For the daemon at `base`.
    ///
    /// **Errors**: an address that is no web address; no TLS.
    pub fn new(base: Url, token: Option<String>) -> Result<Self, ClientError> {
        if base.cannot_be_a_base() || !matches!(base.scheme(), "http" | "https") {
            return Err(ClientError::Address(base));
        }
        let http = reqwest::Client::builder().timeout(ANSWER_MAX).build();
        let http = http.map_err(|source| ClientError::NoAnswer { url: base.clone(), source })?;
        Ok(Self { http, base, token })
    }

    /// Sends records, an object a line, and waits until they are on disk. Where the daemon has no room for now, it is asked
    /// again, as it says.
    ///
    /// **Errors**: refused for good, or for minutes; nothing of the delivery was kept then.
    pub async fn ingest(&self, source: Option<&str>, lines: &str) -> Result<Accepted, ClientError> {
        let path = source.map_or_else(|| "v1/ingest".to_owned(), |source| format!("v1/ingest/{source}"));
        let mut tries = 0;
        loop {
            let request = |r: reqwest::RequestBuilder| r.body(lines.to_owned());
            let answer = self.ask(Method::POST, &path, request).await?;
            let status = answer.status();
            if matches!(status.as_u16(), 429 | 503) && tries < TRIES_MAX {
                tries += 1;
                let after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
                tokio::time::sleep(Duration::from_secs(after.unwrap_or(1).clamp(1, PAUSE_MAX_S))).await;
                continue;
            }
            let text = self.text(&path, answer).await?;
            return serde_json::from_str(&text).map_err(|source| ClientError::Answer { path, source });
        }
    }

    /// The rows of a question, as nested OCSF objects; none where its table is not there yet.
    ///
    /// **Errors**: the daemon's.
    pub async fn sql(&self, sql: &str) -> Result<Vec<Value>, ClientError> {
        let path = "v1/sql";
        let body = json!({ "sql": sql, "format": "ndjson", "nested": true }).to_string();
        let request = |r: reqwest::RequestBuilder| r.header("content-type", "application/json").body(body);
        let answer = self.ask(Method::POST, path, request).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let text = self.text(path, answer).await?;
        let rows: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        let rows = rows.map_err(|source| ClientError::Answer { path: path.into(), source })?;
        // An error after the first row is the last line.
        match rows.last().and_then(|row| row.pointer("/error/message")).and_then(Value::as_str) {
            Some(message) => {
                let (path, status) = (path.to_owned(), StatusCode::INTERNAL_SERVER_ERROR);
                Err(ClientError::Refused { path, status, message: message.into() })
            }
            None => Ok(rows),
        }
    }

    /// The daemon's gauges and counters by name; none where we may not read them.
    ///
    /// **Errors**: nobody answers.
    pub async fn metrics(&self) -> Result<Option<HashMap<String, f64>>, ClientError> {
        let answer = self.ask(Method::GET, "metrics", |r| r).await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let text = self.text("metrics", answer).await?;
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        Ok(Some(lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()))
    }

    /// The original text of records by their `metadata.uid`, wherever they are in the lake.
    ///
    /// **Errors**: the daemon's.
    pub async fn originals(&self, uids: &[String]) -> Result<HashMap<String, String>, ClientError> {
        let mut found = HashMap::new();
        if uids.is_empty() {
            return Ok(found);
        }
        for table in self.tables().await? {
            for uids in uids.chunks(UIDS_MAX) {
                let list: Vec<String> = uids.iter().map(|uid| format!("'{}'", uid.replace('\'', "''"))).collect();
                let list = list.join(", ");
                let sql = format!("SELECT metadata.uid, raw_data FROM \"{table}\" WHERE metadata.uid IN ({list})");
                for row in self.sql(&sql).await? {
                    if let (Some(uid), Some(text)) = (row["metadata"]["uid"].as_str(), row["raw_data"].as_str()) {
                        found.insert(uid.to_owned(), text.to_owned());
                    }
                }
            }
        }
        Ok(found)
    }

    /// Tables of records that came in from outside and have an original.
    pub async fn tables(&self) -> Result<Vec<String>, ClientError> {
        let of_records = |(name, columns): &(String, Vec<String>)| {
            let has = |column: &str| columns.iter().any(|c| c == column);
            name != "detection_finding" && name != "findings" && has("metadata.uid") && has("raw_data")
        };
        Ok(self.schema().await?.into_iter().filter(of_records).map(|(name, _)| name).collect())
    }

    /// The columns that a table has now.
    ///
    /// **Errors**: the daemon's.
    pub async fn columns(&self, table: &str) -> Result<Vec<String>, ClientError> {
        let all = self.schema().await?.into_iter().find(|(name, _)| name == table);
        Ok(all.map(|(_, columns)| columns).unwrap_or_default())
    }

    /// All tables, and their columns.
    async fn schema(&self) -> Result<Vec<(String, Vec<String>)>, ClientError> {
        let path = "v1/tables";
        let text = self.text(path, self.ask(Method::GET, path, |r| r).await?).await?;
        let all: Value =
            serde_json::from_str(&text).map_err(|source| ClientError::Answer { path: path.into(), source })?;
        let name = |of: &Value| of["name"].as_str().map(str::to_owned);
        let table = |table: &Value| {
            let columns = table["columns"].as_array().into_iter().flatten().filter_map(name).collect();
            Some((name(table)?, columns))
        };
        Ok(all["tables"].as_array().into_iter().flatten().filter_map(table).collect())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, ClientError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        let mut request = with(self.http.request(method, url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await.map_err(|source| ClientError::NoAnswer { url: self.base.clone(), source })
    }

    /// The body of an answer that is good.
    async fn text(&self, path: &str, answer: reqwest::Response) -> Result<String, ClientError> {
        let status = answer.status();
        let text = answer.text().await;
        let text = text.map_err(|source| ClientError::NoAnswer { url: self.base.clone(), source })?;
        if status.is_success() {
            return Ok(text);
        }
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        let message = told["error"].as_str().or(told["error"]["message"].as_str()).unwrap_or(text.trim()).to_owned();
        Err(ClientError::Refused { path: path.to_owned(), status, message })
    }
}
