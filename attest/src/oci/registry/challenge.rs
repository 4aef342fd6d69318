//! What a registry asks of who asks it, and the token that is had for it. Specification: CNCF distribution, "Token
//! Authentication Specification"; RFC 7235 for the header. Nothing is asked here.

use super::error::RegistryError;
use crate::json::{self, Limits};
use http_auth::parser::ChallengeParser;
use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Deserialize;

/// A token is a JWT of some kilobytes.
pub(super) const TOKEN: Limits = Limits { bytes_max: 256 << 10, depth_max: 8, values_max: 1_000 };

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A token.
    Bearer {
        /// Where it is had.
        realm: String,
        /// In whose name.
        service: Option<String>,
    },
    /// User and password.
    Basic,
}

impl Challenge {
    /// The first one of a `WWW-Authenticate` that can be met.
    pub fn read(header: &str) -> Option<Self> {
        let challenges: Vec<_> = ChallengeParser::new(header).collect::<Result<_, _>>().ok()?;
        challenges.iter().find_map(|challenge| {
            let value = |name: &str| {
                let mut params = challenge.params.iter();
                params.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                Some(Self::Bearer { realm: value("realm")?, service: value("service") })
            } else {
                challenge.scheme.eq_ignore_ascii_case("basic").then_some(Self::Basic)
            }
        })
    }
}

/// Where a token to pull from a repository is had. The scope is ours: a registry is not asked for more than that.
///
/// **Errors**: a realm that is no address, or that names a user.
pub fn token_url(realm: &str, service: Option<&str>, repository: &str) -> Result<Url, RegistryError> {
    let refused = || RegistryError::Realm(realm.chars().take(160).collect());
    let mut url = Url::parse(realm).map_err(|_| refused())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused());
    }
    url.set_fragment(None);
    let mut query = url.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    query.append_pair("scope", &format!("repository:{repository}:pull"));
    drop(query);
    Ok(url)
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The header that a token's answer gives.
///
/// **Errors**: an answer over 256 KiB, or without a token that a header can hold.
pub fn bearer(realm: &str, answer: &[u8]) -> Result<HeaderValue, RegistryError> {
    let none = || RegistryError::Token(realm.chars().take(160).collect());
    let Token { token, access_token } = json::read(answer, TOKEN).map_err(|_| none())?;
    let token = token.or(access_token).filter(|token| !token.is_empty()).ok_or_else(none)?;
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| none())?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn challenges_are_read_in_any_order_and_others_passed_over() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) })
        };
        for (header, expected) in [
            (r#"Bearer realm="https://a.example/t",service="s""#, bearer("https://a.example/t", Some("s"))),
            (
                r#"bearer service=s, scope="x:y:z", realm="https://a.example/t""#,
                bearer("https://a.example/t", Some("s")),
            ),
            (r#"Negotiate, Bearer realm="https://a.example/t""#, bearer("https://a.example/t", None)),
            (r#"Basic realm="a \" b""#, Some(Challenge::Basic)),
            (r#"Bearer service="s""#, None),
            ("Negotiate", None),
            ("", None),
            (r#"Bearer realm="unfinished"#, None),
        ] {
            assert_eq!(Challenge::read(header), expected, "{header}");
        }
    }

    #[test]
    fn tokens_are_asked_for_with_our_scope_and_read_by_either_name() {
        let url = token_url("https://a.example/t?x=1#f", Some("s&scope=all"), "team/app").unwrap();
        assert_eq!(
            url.as_str(),
            "https://a.example/t?x=1&service=s%26scope%3Dall&scope=repository%3Ateam%2Fapp%3Apull"
        );
        assert!(token_url("/t", None, "a").is_err());
        let secret = token_url("https://me:hush@a.example/t", None, "a").unwrap_err();
        assert!(matches!(secret, RegistryError::Realm(_)));
        for answer in [r#"{"token":"abc"}"#, r#"{"access_token":"abc","expires_in":300}"#] {
            let header = bearer("r", answer.as_bytes()).unwrap();
            assert!(header == "Bearer abc" && header.is_sensitive());
        }
        for answer in ["{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#, r#"{"token":1}"#, "no JSON"] {
            assert!(bearer("r", answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
