//! Tokens of attestation services (JSON Web Tokens, RFC 7519, in compact form): Azure's and Google's.
//!
//! Keys and issuer are given; the token's `jku`, `jwk` and `x5c` are not looked at, and its `alg` must be that of the key.
//! The hardware's own evidence behind the token is the service's to check: what is trusted here is the service.

mod azure;
mod confidential_space;
mod keys;

pub use keys::{HardwareKeys, JWKS_BYTES_MAX, KeysError, SimulatedKeys};
pub(crate) use keys::{SIMULATED_KID, jwks_of};

use super::{Assurance, Claims, Expected, Platform, Trail, Verification, check_age, check_nonce};
use crate::json;
use crate::reason::{Reason, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;
use keys::Key;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A token's bytes: real ones are some ten kilobytes.
pub const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Bytes of a text that is kept of a token.
const TEXT_BYTES_MAX: usize = 2048;

/// Which service's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Microsoft Azure Attestation.
    AzureMaa,
    /// Google Cloud's Confidential Space.
    ConfidentialSpace,
}

/// Who must have issued a token, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`, of which one must be this. Azure's tokens have none; Google's must name the broker.
    pub audience: Option<String>,
}

/// The verifier of one service's tokens.
#[derive(Clone)]
pub struct Tokens {
    service: Service,
    keys: HashMap<String, Key>,
    issuer: Issuer,
    assurance: Assurance,
}

impl Tokens {
    /// For tokens of hardware.
    pub fn new(service: Service, keys: HardwareKeys, issuer: Issuer) -> Self {
        Self { service, keys: keys.0, issuer, assurance: Assurance::Hardware }
    }

    /// For tokens of a simulated issuer.
    pub fn simulated(service: Service, keys: SimulatedKeys, issuer: Issuer) -> Self {
        Self { service, keys: keys.0, issuer, assurance: Assurance::Simulated }
    }

    /// The kind of evidence.
    pub fn platform(&self) -> Platform {
        match self.service {
            Service::AzureMaa => Platform::AzureMaa,
            Service::ConfidentialSpace => Platform::ConfidentialSpace,
        }
    }

    /// Verifies a token. Steps, in their order: `document`, `key`, `signature`, `issuer`, `audience`, `age`, `platform`,
    /// `debug`, `nonce`. The public key is bound by the nonce, which is a digest over both.
    pub fn verify(&self, token: &str, expected: &Expected<'_>) -> Verification {
        Verification::run(|trail| self.check(token, expected, trail))
    }

    fn check(&self, token: &str, expected: &Expected<'_>, trail: &mut Trail) -> Result<(), Refusal> {
        trail.step("document");
        let parts = Parts::of(token)?;
        let times = Times::of(&parts.payload)?;
        let mut claims = Claims::new(self.platform(), self.assurance, token.as_bytes(), parts.message.as_bytes());
        claims.issued_at = Some(times.issued_at);
        claims.expires_at = Some(times.expires_at);
        claims.issuer = text(&parts.payload, "iss")?;
        match self.service {
            Service::AzureMaa => azure::read(&parts.payload, &mut claims)?,
            Service::ConfidentialSpace => confidential_space::read(&parts.payload, &mut claims)?,
        }
        trail.claims = Some(claims.clone());

        trail.step("key");
        let key = keys::find(&self.keys, parts.kid.as_deref())?;
        if parts.algorithm.parse::<Algorithm>().ok() != Some(key.algorithm) {
            let detail = format!("the token says {:?}, its key is for {:?}", parts.algorithm, key.algorithm);
            return Err(Refusal::new(Reason::AlgorithmNotAllowed, detail));
        }
        trail.step("signature");
        let valid =
            jsonwebtoken::crypto::verify(parts.signature, parts.message.as_bytes(), &key.decoding, key.algorithm);
        if !matches!(valid, Ok(true)) {
            return Err(Refusal::new(Reason::SignatureInvalid, "the signature is not of the issuer's key"));
        }
        trail.step("issuer");
        if claims.issuer.as_deref() != Some(&self.issuer.issuer) {
            let detail = format!("the issuer is {:?}, expected {:?}", claims.issuer, self.issuer.issuer);
            return Err(Refusal::new(Reason::IssuerMismatch, detail));
        }
        trail.step("audience");
        check_audience(&parts.payload, self.issuer.audience.as_deref())?;
        trail.step("age");
        times.check(expected)?;
        trail.step("platform");
        match self.service {
            Service::AzureMaa => azure::check_platform(&parts.payload)?,
            Service::ConfidentialSpace => confidential_space::check_platform(&parts.payload)?,
        }
        trail.step("debug");
        if claims.debug {
            return Err(Refusal::new(Reason::DebugMode, "the token says that debugging is possible"));
        }
        trail.step("nonce");
        match self.service {
            Service::AzureMaa => check_nonce(claims.nonce.as_deref(), expected),
            Service::ConfidentialSpace => confidential_space::check_nonce(&parts.payload, expected),
        }
    }
}

/// A token's three parts.
struct Parts<'t> {
    /// What is signed: header and payload as they were sent.
    message: &'t str,
    signature: &'t str,
    algorithm: String,
    kid: Option<String>,
    payload: Map<String, Value>,
}

impl<'t> Parts<'t> {
    fn of(token: &'t str) -> Result<Self, Refusal> {
        let malformed = |detail: &str| Refusal::new(Reason::MalformedDocument, detail);
        if token.len() > TOKEN_BYTES_MAX {
            let detail = format!("a token of {} bytes, at most {TOKEN_BYTES_MAX} are read", token.len());
            return Err(Refusal::new(Reason::LimitExceeded, detail));
        }
        let (message, signature) = token.rsplit_once('.').ok_or_else(|| malformed("no token: it has no dots"))?;
        let (header, payload) = message.split_once('.').ok_or_else(|| malformed("no token: it has one dot"))?;
        let header = object(header, "header")?;
        if header.contains_key("crit") {
            return Err(Refusal::new(Reason::UnsupportedFormat, "the header has critical extensions"));
        }
        let algorithm = text(&header, "alg")?.ok_or_else(|| malformed("the header has no alg"))?;
        Ok(Self { message, signature, algorithm, kid: text(&header, "kid")?, payload: object(payload, "payload")? })
    }
}

fn object(part: &str, name: &str) -> Result<Map<String, Value>, Refusal> {
    let malformed = |detail: String| Refusal::new(Reason::MalformedDocument, detail);
    let bytes =
        URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed(format!("the token's {name} is not in base64url")))?;
    match json::value(&bytes, TOKEN_BYTES_MAX)? {
        Value::Object(object) => Ok(object),
        _ => Err(malformed(format!("the token's {name} is no object"))),
    }
}

/// A text of a claim, if the claim is there.
fn text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= TEXT_BYTES_MAX => Ok(Some(text.clone())),
        Some(Value::String(text)) => {
            let detail = format!("{name} has {} bytes, at most {TEXT_BYTES_MAX} are read", text.len());
            Err(Refusal::new(Reason::LimitExceeded, detail))
        }
        Some(_) => Err(Refusal::new(Reason::MalformedDocument, format!("{name} is no text"))),
    }
}

/// A claim by its path.
fn at<'v>(claims: &'v Map<String, Value>, path: &[&str]) -> Option<&'v Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(*first)?, |value, name| value.get(*name))
}

/// Bytes in base64 of any of its four forms: services differ.
fn base64_of_any_form(text: &str) -> Option<Vec<u8>> {
    [URL_SAFE_NO_PAD, URL_SAFE, STANDARD, STANDARD_NO_PAD].iter().find_map(|form| form.decode(text).ok())
}

/// `aud` is a text or a list of texts (RFC 7519 section 4.1.3).
fn check_audience(claims: &Map<String, Value>, expected: Option<&str>) -> Result<(), Refusal> {
    let Some(expected) = expected else { return Ok(()) };
    let found = match claims.get("aud") {
        Some(Value::String(one)) => one == expected,
        Some(Value::Array(many)) => many.iter().any(|one| one == expected),
        _ => false,
    };
    if found {
        Ok(())
    } else {
        Err(Refusal::new(Reason::AudienceMismatch, format!("the token is not for {expected:?}")))
    }
}

struct Times {
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    not_before: Option<DateTime<Utc>>,
}

impl Times {
    fn of(claims: &Map<String, Value>) -> Result<Self, Refusal> {
        let malformed = |name: &str| Refusal::new(Reason::MalformedDocument, format!("{name} is no time in seconds"));
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            // NumericDate may have a fraction, which nothing here depends on.
            Some(value) => {
                let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
                let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
                time.map(Some).ok_or_else(|| malformed(name))
            }
        };
        Ok(Self {
            issued_at: time("iat")?.ok_or_else(|| malformed("iat"))?,
            expires_at: time("exp")?.ok_or_else(|| malformed("exp"))?,
            not_before: time("nbf")?,
        })
    }

    fn check(&self, expected: &Expected<'_>) -> Result<(), Refusal> {
        if self.expires_at <= expected.now {
            let detail = format!("the token ended at {}, before {}", self.expires_at, expected.now);
            return Err(Refusal::new(Reason::DocumentExpired, detail));
        }
        match self.not_before {
            Some(from) if from.signed_duration_since(expected.now) > expected.skew_max => {
                let detail = format!("the token begins at {from}, after {}", expected.now);
                Err(Refusal::new(Reason::DocumentNotYetValid, detail))
            }
            _ => check_age(self.issued_at, expected),
        }
    }
}
