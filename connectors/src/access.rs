//! Who may do what: tokens and client certificates, and the scopes that they are given.
//!
//! Tokens are random and long, so a SHA-256 of them is what is stored; comparing takes the same time whatever is wrong.
//! Without any grant the server listens on loopback only ([`crate::listen`]), and everyone there may do everything.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use thiserror::Error;

/// One thing that a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Send events, of a named log source or of any.
    Ingest(Option<&'a str>),
    /// Ask SQL.
    Query,
    /// Change the status, assignee and verdict of findings.
    Respond,
    /// Reload, read metrics.
    Admin,
}

/// What an identity may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What it is called in logs and rate limits.
    pub name: String,
    /// SHA-256 of its token, 64 hexadecimal digits.
    pub token_sha256: Option<String>,
    /// The SPIFFE id (or other URI name) of its client certificate.
    pub spiffe_id: Option<String>,
    /// Log sources that it may send: names, or `*` for all.
    #[serde(default)]
    pub ingest: Vec<String>,
    /// Whether it may ask SQL.
    #[serde(default)]
    pub query: bool,
    /// Whether it may change findings.
    #[serde(default)]
    pub respond: bool,
    /// Whether it may administer.
    #[serde(default)]
    pub admin: bool,
    /// MiB of events that it may send a second, on the average of a few; more is refused until then.
    pub ingest_mib_per_second: Option<u32>,
    /// Queries that it may have running at once, where that is less than all.
    pub queries_max: Option<usize>,
}

/// A grant that cannot be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GrantError {
    /// Neither a token nor a certificate's name.
    #[error("access.{name}: needs token_sha256 or spiffe_id")]
    Nobody {
        /// The grant's name.
        name: String,
    },
    /// Not a digest.
    #[error(
        "access.{name}.token_sha256: expected 64 hexadecimal digits, as `printf %s \"$TOKEN\" | sha256sum` prints them"
    )]
    Digest {
        /// The grant's name.
        name: String,
    },
}

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The grant's name; `anonymous` where nobody is asked.
    pub name: Arc<str>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Denied {
    /// No credentials, or wrong ones: HTTP 401, gRPC `UNAUTHENTICATED`.
    #[error("credentials are missing or wrong")]
    Unauthenticated,
    /// Known, and not allowed to: HTTP 403, gRPC `PERMISSION_DENIED`.
    #[error("this identity is not allowed to do that")]
    Forbidden,
}

/// What a client shows.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// A bearer token, or a password where a protocol only has passwords.
    pub token: Option<String>,
    /// The URI name of a certificate that was verified.
    pub spiffe_id: Option<String>,
}

/// A grant that was looked at.
#[derive(Debug)]
struct Known {
    grant: Grant,
    name: Arc<str>,
    token: Option<[u8; 32]>,
}

/// All grants.
#[derive(Clone, Debug, Default)]
pub struct Access {
    grants: Arc<Vec<Known>>,
}

impl Access {
    /// Everyone may do everything: for loopback without credentials.
    pub fn open() -> Self {
        Self::default()
    }

    /// These grants and no more.
    ///
    /// **Errors**: the first grant that cannot be.
    pub fn new(grants: Vec<Grant>) -> Result<Self, GrantError> {
        let parsed = grants.into_iter().map(|grant| {
            let name = || grant.name.clone();
            if grant.token_sha256.is_none() && grant.spiffe_id.is_none() {
                return Err(GrantError::Nobody { name: name() });
            }
            let mut digest = [0; 32];
            if let Some(text) = &grant.token_sha256 {
                hex::decode_to_slice(text, &mut digest).map_err(|_| GrantError::Digest { name: name() })?;
            }
            let token = grant.token_sha256.as_ref().map(|_| digest);
            Ok(Known { name: grant.name.as_str().into(), grant, token })
        });
        Ok(Self { grants: Arc::new(parsed.collect::<Result<_, _>>()?) })
    }

    /// The grant of a name.
    pub fn grant(&self, name: &str) -> Option<&Grant> {
        self.grants.iter().map(|known| &known.grant).find(|grant| grant.name == name)
    }

    /// All grants.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter().map(|known| &known.grant)
    }

    /// Whether anybody is asked who they are.
    pub fn is_open(&self) -> bool {
        self.grants.is_empty()
    }

    /// Who these credentials are, if they may do this.
    ///
    /// **Errors**: [`Denied`].
    pub fn check(&self, credentials: &Credentials, scope: Scope<'_>) -> Result<Identity, Denied> {
        if self.is_open() {
            return Ok(Identity { name: "anonymous".into() });
        }
        let shown: Option<[u8; 32]> = credentials.token.as_ref().map(|token| Sha256::digest(token).into());
        let mut known = None;
        for one in self.grants.iter() {
            // Every grant is looked at, so that time does not tell which one was near.
            let by_token = shown.zip(one.token).is_some_and(|(shown, token)| shown.ct_eq(&token).into());
            let by_certificate = credentials.spiffe_id.is_some() && credentials.spiffe_id == one.grant.spiffe_id;
            if by_token || by_certificate {
                known = Some(one);
            }
        }
        let Known { grant, name, .. } = known.ok_or(Denied::Unauthenticated)?;
        let allowed = match scope {
            Scope::Ingest(Some(source)) => grant.ingest.iter().any(|s| s == "*" || s == source),
            Scope::Ingest(None) => grant.ingest.iter().any(|s| s == "*"),
            Scope::Query => grant.query,
            Scope::Respond => grant.respond,
            Scope::Admin => grant.admin,
        };
        if allowed { Ok(Identity { name: name.clone() }) } else { Err(Denied::Forbidden) }
    }
}

/// What is stored of a token.
pub fn token_digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipper() -> Grant {
        Grant {
            name: "shipper".into(),
            token_sha256: Some(token_digest("s3cret")),
            ingest: vec!["aws_cloudtrail".into()],
            ..Grant::default()
        }
    }

    fn token(text: &str) -> Credentials {
        Credentials { token: Some(text.into()), spiffe_id: None }
    }

    #[test]
    fn scopes_are_kept_apart() -> Result<(), GrantError> {
        let access = Access::new(vec![shipper()])?;
        let may = |scope| access.check(&token("s3cret"), scope).map(|i| i.name.to_string());
        assert_eq!(may(Scope::Ingest(Some("aws_cloudtrail"))), Ok("shipper".into()));
        assert_eq!(may(Scope::Ingest(Some("okta"))), Err(Denied::Forbidden));
        assert_eq!(may(Scope::Ingest(None)), Err(Denied::Forbidden));
        assert_eq!(may(Scope::Query), Err(Denied::Forbidden));
        assert_eq!(may(Scope::Respond), Err(Denied::Forbidden));
        assert_eq!(access.check(&token("other"), Scope::Query), Err(Denied::Unauthenticated));
        assert_eq!(access.check(&Credentials::default(), Scope::Query), Err(Denied::Unauthenticated));
        Ok(())
    }

    #[test]
    fn a_certificate_is_an_identity() -> Result<(), GrantError> {
        let id = "spiffe://example.org/collector".to_owned();
        let grant = Grant { token_sha256: None, spiffe_id: Some(id.clone()), ingest: vec!["*".into()], ..shipper() };
        let access = Access::new(vec![grant])?;
        let shown = Credentials { token: None, spiffe_id: Some(id) };
        assert!(access.check(&shown, Scope::Ingest(None)).is_ok());
        assert_eq!(access.check(&Credentials::default(), Scope::Ingest(None)), Err(Denied::Unauthenticated));
        Ok(())
    }

    #[test]
    fn a_grant_for_nobody_is_an_error() {
        let nobody = Grant { token_sha256: None, ..shipper() };
        assert_eq!(Access::new(vec![nobody]).err(), Some(GrantError::Nobody { name: "shipper".into() }));
        let short = Grant { token_sha256: Some("abc".into()), ..shipper() };
        assert_eq!(Access::new(vec![short]).err(), Some(GrantError::Digest { name: "shipper".into() }));
    }
}
