//! Sending over HTTP: one POST, no redirects, no proxies, and only to addresses that [`Reach`] allows.
//!
//! A target's URL may be a secret (Slack's are), so nothing here shows it: not in `Debug`, not in errors.

use super::config::{ConfigError, ValueError};
use super::network::{AddressDenied, Reach};
use super::retry::Verdict;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use std::error::Error;
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::time::Duration;
use url::Host;

/// Bytes of an answer that are looked at.
const REPLY_BYTES_MAX: usize = 1024;
/// Of connecting, with TLS: within the timeout of a try.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Where a sink sends to.
pub struct Endpoint {
    url: Url,
    client: Client,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint(…)")
    }
}

/// What every sink over HTTP is told about its target.
pub struct Target<'a> {
    /// The URL's key in the configuration.
    pub key: String,
    /// The URL.
    pub url: &'a str,
    /// The addresses that it may have.
    pub reach: Reach,
    /// Whether `http://` is meant.
    pub plain_http: bool,
    /// Of one try.
    pub timeout: Duration,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// How long to wait, where it says so.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub body: String,
}

impl Endpoint {
    /// A client for one target.
    ///
    /// **Errors**: an URL that is none, has credentials, has no TLS without leave, or is an address that is not allowed.
    pub fn open(target: Target<'_>) -> Result<Self, ConfigError> {
        let wrong = |problem| ConfigError::value(target.key.clone(), problem);
        let url = Url::parse(target.url).map_err(|_| wrong(ValueError::Url))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(ValueError::Url));
        }
        match url.scheme() {
            "https" => {}
            "http" if target.plain_http => {}
            "http" => return Err(wrong(ValueError::PlainHttp)),
            _ => return Err(wrong(ValueError::Url)),
        }
        // The client connects to literal addresses without asking the resolver.
        let literal = match url.host() {
            Some(Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => Some(IpAddr::V6(v6)),
            Some(Host::Domain(_)) => None,
            None => return Err(wrong(ValueError::Url)),
        };
        if let Some(address) = literal {
            target.reach.check(address).map_err(|denied| wrong(denied.into()))?;
        }
        let client = Client::builder()
            .dns_resolver(std::sync::Arc::new(target.reach))
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("tarn/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX.min(target.timeout))
            .timeout(target.timeout)
            .build();
        let client = client.map_err(|e| ConfigError::value(target.key, ValueError::Client(e)))?;
        Ok(Self { url, client })
    }

    /// Posts once.
    ///
    /// **Errors**: what to do about a request that had no answer.
    pub async fn post(&self, headers: HeaderMap, body: Vec<u8>, now: DateTime<Utc>) -> Result<Reply, Verdict> {
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        let mut response = request.send().await.map_err(failed)?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|v| wait(v.to_str().ok()?, now));
        let mut text = Vec::new();
        // The status has decided; a body that breaks off changes nothing.
        while let Ok(Some(chunk)) = response.chunk().await {
            text.extend_from_slice(&chunk[..chunk.len().min(REPLY_BYTES_MAX - text.len())]);
            if text.len() == REPLY_BYTES_MAX {
                break;
            }
        }
        let body = String::from_utf8_lossy(&text).trim().to_owned();
        Ok(Reply { status: response.status().as_u16(), retry_after, body })
    }
}

/// A refused address stays refused until somebody changes something; all else may pass.
fn failed(error: reqwest::Error) -> Verdict {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        if let Some(denied) = next.downcast_ref::<AddressDenied>() {
            return Verdict::Never { reason: denied.to_string() };
        }
        let _ = write!(reason, ": {next}");
        cause = next.source();
    }
    Verdict::Retry { reason, after: None }
}

/// `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3).
fn wait(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

impl Reply {
    /// What most receivers mean by their status: 2xx is success; 408, 425, 429 and 5xx may pass; the rest may not.
    pub fn verdict(&self) -> Verdict {
        match self.status {
            200..=299 => Verdict::Delivered,
            408 | 425 | 429 | 500..=599 => Verdict::Retry { reason: self.reason(), after: self.retry_after },
            _ => Verdict::Never { reason: self.reason() },
        }
    }

    /// Status and body, in one line.
    pub fn reason(&self) -> String {
        let body: String = self.body.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if body.is_empty() { format!("HTTP {}", self.status) } else { format!("HTTP {}: {body}", self.status) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn open(url: &str, plain_http: bool) -> Result<Endpoint, String> {
        let timeout = Duration::from_secs(1);
        let target = Target { key: "alerts.sinks.x.url".into(), url, reach: Reach::default(), plain_http, timeout };
        Endpoint::open(target).map_err(|e| e.to_string())
    }

    #[test]
    fn urls() {
        assert!(open("https://example.org/hook", false).is_ok());
        assert!(open("http://example.org/hook", true).is_ok());
        for (url, plain) in [
            ("http://example.org/", false),
            ("ftp://example.org/", true),
            ("https://user:pw@example.org/", false),
            ("https://127.0.0.1/", false),
            ("https://2130706433/", false),
            ("https://0x7f.1/", false),
            ("https://[::ffff:169.254.169.254]/", false),
            ("not a url", false),
        ] {
            let error = open(url, plain).unwrap_err();
            assert!(error.starts_with("alerts.sinks.x.url: ") && !error.contains("pw@"), "{error}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::from_timestamp(1_445_412_480, 0).unwrap();
        assert_eq!(wait("120", now), Some(Duration::from_secs(120)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(wait("-1", now), None);
    }
}
