//! Questions to a registry, within bounds: how long they take, how often they are asked again, how many bytes an answer
//! has, and where redirects lead.

use super::challenge::{self, Challenge, bearer, token_url};
use super::credentials::Credentials;
use super::error::RegistryError;
use crate::json::{self, Limits};
use crate::oci::OciError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::Mutex;

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Between two parts of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// From a question to the end of its answer.
const ANSWER_MAX: Duration = Duration::from_secs(120);
const REDIRECTS_MAX: usize = 5;
const ATTEMPTS_MAX: u32 = 3;
/// Before the second attempt; twice as long before the third.
const PAUSE: Duration = Duration::from_millis(250);
/// A registry that asks for a longer pause is not waited for.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A registry's own words for an error.
const ERRORS: Limits = Limits { bytes_max: 64 << 10, depth_max: 16, values_max: 1_000 };

/// How a registry is reached, and by whom.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who asks. They go to the registry, and to whichever https realm it names for its tokens.
    pub credentials: Option<Credentials>,
    /// Plain HTTP instead of HTTPS, to this machine alone.
    pub insecure_http: bool,
    /// Certificates in PEM that are trusted beside the usual ones, such as of a private authority.
    pub authorities: Option<Vec<u8>>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

/// A client for one repository of a registry.
pub(super) struct Http {
    client: Client,
    repository: String,
    credentials: Option<Credentials>,
    insecure_http: bool,
    /// What the registry was told last of who asks.
    authorization: Mutex<Option<HeaderValue>>,
}

/// A `GET`, and the most that is read of its answer.
#[derive(Clone, Copy)]
struct Question<'a> {
    url: &'a Url,
    accept: &'a str,
    authorization: Option<&'a HeaderValue>,
    bytes_max: u64,
}

impl Http {
    pub(super) fn new(repository: &str, access: Access) -> Result<Self, RegistryError> {
        let insecure_http = access.insecure_http;
        let redirects = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error(format!("more than {REDIRECTS_MAX} redirects"))
            } else if is_allowed(attempt.url(), insecure_http) {
                attempt.follow()
            } else {
                attempt.error("a redirect to something else than HTTPS")
            }
        });
        let mut builder = Client::builder()
            .redirect(redirects)
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .timeout(ANSWER_MAX)
            .user_agent(concat!("tarn/", env!("CARGO_PKG_VERSION")));
        if insecure_http {
            // What is on this machine is not asked through another one.
            builder = builder.no_proxy();
        }
        if let Some(pem) = &access.authorities {
            for certificate in Certificate::from_pem_bundle(pem).map_err(RegistryError::Client)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self {
            client: builder.build().map_err(RegistryError::Client)?,
            repository: repository.to_owned(),
            credentials: access.credentials,
            insecure_http,
            authorization: Mutex::new(None),
        })
    }

    /// Asks; `None` where there is no such thing.
    pub(super) async fn get(&self, url: &Url, accept: &str, bytes_max: u64) -> Result<Option<Answer>, OciError> {
        let told = self.authorization.lock().await.clone();
        let mut answer = self.ask(Question { url, accept, authorization: told.as_ref(), bytes_max }).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            let authorization = self.authorize(url, &answer, told.as_ref()).await?;
            answer = self.ask(Question { url, accept, authorization: authorization.as_ref(), bytes_max }).await?;
        }
        match answer.status {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refusal(url, &answer).into()),
        }
    }

    /// Does what a registry asks for, unless that was done since it was told this.
    async fn authorize(
        &self,
        url: &Url,
        answer: &Answer,
        told: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, OciError> {
        let mut authorization = self.authorization.lock().await;
        if authorization.as_ref() != told {
            return Ok(authorization.clone());
        }
        let headers = answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let headers: Vec<_> = headers.collect();
        let asked = headers.iter().find_map(|header| Challenge::read(header));
        let asked = asked.ok_or_else(|| RegistryError::Challenge {
            url: url.to_string(),
            challenge: headers.join(", ").chars().take(160).collect(),
        })?;
        *authorization = Some(match (asked, &self.credentials) {
            (Challenge::Bearer { realm, service }, _) => self.token(&realm, service.as_deref()).await?,
            (Challenge::Basic, Some(credentials)) => basic(credentials)?,
            (Challenge::Basic, None) => return Err(self.refusal(url, answer).into()),
        });
        Ok(authorization.clone())
    }

    async fn token(&self, realm: &str, service: Option<&str>) -> Result<HeaderValue, OciError> {
        let url = token_url(realm, service, &self.repository)?;
        if !is_allowed(&url, self.insecure_http) {
            return Err(RegistryError::Realm(realm.chars().take(160).collect()).into());
        }
        let credentials = self.credentials.as_ref().map(basic).transpose()?;
        let bytes_max = challenge::TOKEN.bytes_max as u64;
        let answer = self
            .ask(Question { url: &url, accept: "application/json", authorization: credentials.as_ref(), bytes_max })
            .await?;
        match answer.status {
            StatusCode::OK => Ok(bearer(realm, &answer.bytes)?),
            _ => Err(self.refusal(&url, &answer).into()),
        }
    }

    /// Asks, and asks again where that may help.
    async fn ask(&self, question: Question<'_>) -> Result<Answer, OciError> {
        let (mut attempt, mut pause) = (1, PAUSE);
        loop {
            let once = self.once(question).await;
            let wait = match &once {
                Ok(answer) if is_busy(answer.status) => Some(retry_after(&answer.headers).unwrap_or(pause)),
                // A redirect that is refused once is refused again.
                Err(OciError::Registry(RegistryError::Unreached { error, .. })) if !error.is_redirect() => Some(pause),
                _ => None,
            };
            match wait.filter(|wait| attempt < ATTEMPTS_MAX && *wait <= PAUSE_MAX) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return once,
            }
            (attempt, pause) = (attempt + 1, pause * 2);
        }
    }

    async fn once(&self, question: Question<'_>) -> Result<Answer, OciError> {
        let Question { url, accept, authorization, bytes_max } = question;
        let unreached =
            |error: reqwest::Error| RegistryError::Unreached { url: url.to_string(), error: error.without_url() };
        let mut request = self.client.get(url.clone()).header(ACCEPT, accept);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut response = request.send().await.map_err(unreached)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let max = if status.is_success() { bytes_max } else { ERRORS.bytes_max as u64 };
        let too_much = || OciError::TooMuch { what: url.to_string(), max, unit: "bytes" };
        if response.content_length().is_some_and(|length| length > max) {
            return Err(too_much());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreached)? {
            if (bytes.len() + chunk.len()) as u64 > max {
                return Err(too_much());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, bytes })
    }

    fn refusal(&self, url: &Url, answer: &Answer) -> RegistryError {
        let (url, status, code) = (url.to_string(), answer.status, code(&answer.bytes));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let user = self.credentials.as_ref().map(|credentials| credentials.user.clone());
                RegistryError::Refused { url, status, code, user }
            }
            _ => RegistryError::Status { url, status, code },
        }
    }
}

/// Whether a place may be asked: by HTTPS, or on this machine where that was allowed.
pub(super) fn is_allowed(url: &Url, insecure_http: bool) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => insecure_http && is_loopback(url),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn basic(credentials: &Credentials) -> Result<HeaderValue, RegistryError> {
    let pair = STANDARD.encode(format!("{}:{}", credentials.user, credentials.password()));
    let mut header = HeaderValue::from_str(&format!("Basic {pair}")).map_err(|_| RegistryError::Header)?;
    header.set_sensitive(true);
    Ok(header)
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// How many seconds a registry asks to wait. A date is not read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Code>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

/// The registry's code of what is wrong (OCI distribution, "Error Codes"): upper-case letters and underscores.
fn code(answer: &[u8]) -> Option<String> {
    let Errors { errors } = json::read(answer, ERRORS).ok()?;
    let code = errors.into_iter().next()?.code;
    (code.len() <= 64 && code.chars().all(|c| c.is_ascii_uppercase() || c == '_')).then_some(code)
}
