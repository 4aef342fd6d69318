//! Who asks a registry: a user and a password, given or of Docker's configuration file.
//!
//! Programs that keep credentials (`credsStore`, `credHelpers`) are not run here: what they would be asked for is an
//! error that says so.

use crate::json::{self, Limits};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// Docker's configuration is some kilobytes, with an entry a registry.
const CONFIG: Limits = Limits { bytes_max: 1 << 20, depth_max: 16, values_max: 20_000 };

/// A user and a password, or a token in its place. Shows the user alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.user)
    }
}

/// Why a configuration file says nothing of a registry. No message has a secret in it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Not JSON, or over the bounds.
    #[error("expected Docker's configuration: {0}")]
    Json(json::JsonError),
    /// JSON of another shape, and where. What is there instead may be a secret.
    #[error("expected Docker's configuration, as `docker login` writes it, got something else at {0}")]
    Shape(String),
    /// Another program has them.
    #[error("the credentials of {registry} are kept by docker-credential-{helper}, which is not run here")]
    Helper {
        /// The registry.
        registry: String,
        /// The program's name after `docker-credential-`.
        helper: String,
    },
    /// A token that is changed for another one, which is not done here.
    #[error("auths.{0:?} has an identity token, which is not read: expected a user and a password")]
    IdentityToken(String),
    /// Not a user and a password.
    #[error("auths.{0:?}.auth: expected user:password in base64")]
    Auth(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl Credentials {
    /// Those of a user.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// Those that Docker's configuration file (`config.json`) has for a registry, such as `registry.example:5000`; none
    /// where it has nothing of it.
    ///
    /// **Errors**: what cannot be read, and credentials that are kept elsewhere.
    pub fn of_docker(config: &[u8], registry: &str) -> Result<Option<Self>, CredentialsError> {
        let config: Config = json::read(config, CONFIG).map_err(|error| match error {
            json::JsonError::Shape(words) => {
                let place = words.rsplit_once(" at line ").map_or("", |(_, place)| place);
                CredentialsError::Shape(format!("line {place}"))
            }
            error => CredentialsError::Json(error),
        })?;
        let kept = |helper: &String| CredentialsError::Helper {
            registry: registry.chars().take(160).collect(),
            helper: json::escaped(&helper.chars().take(160).collect::<String>()),
        };
        if let Some((_, helper)) = config.cred_helpers.iter().find(|(name, _)| is_of(name, registry)) {
            return Err(kept(helper));
        }
        let Some((name, auth)) = config.auths.iter().find(|(name, _)| is_of(name, registry)) else { return Ok(None) };
        let name = || name.chars().take(160).collect();
        if auth.identitytoken.as_ref().is_some_and(|token| !token.is_empty()) {
            return Err(CredentialsError::IdentityToken(name()));
        }
        match (&auth.auth, &auth.username, &auth.password, &config.creds_store) {
            (Some(auth), ..) if !auth.is_empty() => {
                let text = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let (user, password) = text
                    .as_deref()
                    .and_then(|text| text.trim_end_matches('\0').split_once(':'))
                    .filter(|(user, _)| !user.is_empty())
                    .ok_or_else(|| CredentialsError::Auth(name()))?;
                Ok(Some(Self::new(user, password)))
            }
            (_, Some(user), Some(password), _) if !user.is_empty() => Ok(Some(Self::new(user, password))),
            // `docker login` leaves an empty entry where a program has the rest.
            (.., Some(helper)) => Err(kept(helper)),
            _ => Ok(None),
        }
    }
}

/// Whether a name of Docker's configuration is a registry's: `registry.example`, `https://registry.example/v2/`.
fn is_of(name: &str, registry: &str) -> bool {
    let host = name.strip_prefix("https://").or(name.strip_prefix("http://")).unwrap_or(name);
    let host = host.strip_suffix('/').unwrap_or(host);
    let host = host.strip_suffix("/v1").or(host.strip_suffix("/v2")).unwrap_or(host);
    let docker = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    host.eq_ignore_ascii_case(registry) || (docker(host) && docker(registry))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_configuration_is_read_by_its_registry_and_never_shown() {
        let auth = STANDARD.encode("me:a:secret");
        let read = |config: String, registry: &str| Credentials::of_docker(config.as_bytes(), registry);
        let plain = format!(r#"{{"auths":{{"registry.example:5000":{{"auth":"{auth}"}}}}}}"#);
        let found = read(plain.clone(), "registry.example:5000").unwrap().unwrap();
        assert_eq!((found.user.as_str(), found.password()), ("me", "a:secret"));
        assert!(!format!("{found:?}").contains("secret"));
        for (name, registry, is_found) in [
            ("https://index.docker.io/v1/", "docker.io", true),
            ("https://registry.example/v2/", "registry.example", true),
            ("Registry.example", "registry.example", true),
            ("registry.example", "registry.example:5000", false),
            ("registry.example.evil.example", "registry.example", false),
            ("registry.example/team", "registry.example", false),
        ] {
            let config = format!(r#"{{"auths":{{"{name}":{{"auth":"{auth}"}}}}}}"#);
            assert_eq!(read(config, registry).unwrap().is_some(), is_found, "{name} for {registry}");
        }
        assert!(read("{}".into(), "registry.example").unwrap().is_none());
        assert!(read(plain, "other.example").unwrap().is_none());
    }

    #[test]
    fn what_is_kept_elsewhere_or_is_no_secret_is_an_error_without_it() {
        for (config, expected) in [
            (r#"{"credHelpers":{"r.example":"ecr-login"}}"#, "docker-credential-ecr-login"),
            (r#"{"credHelpers":{"r.example":"ecr\u007flogin"}}"#, r"docker-credential-ecr\u{7f}login,"),
            (r#"{"credsStore":"desktop","auths":{"r.example":{}}}"#, "docker-credential-desktop"),
            (r#"{"auths":{"r.example":{"identitytoken":"hush"}}}"#, "identity token"),
            (r#"{"auths":{"r.example":{"auth":"aHVzaA=="}}}"#, "user:password in base64"),
            (r#"{"auths":{"r.example":{"auth":"hush!"}}}"#, "user:password in base64"),
            (r#"{"auths":{"r.example":{"auth":1}}}"#, "something else at line 1 column 31"),
            (r#"{"auths":{"r.example":"hush"}}"#, "something else at line 1 column 28"),
            (r#"{"credsStore":{"hush":"hush at line 9"}}"#, "something else at line 1 column 14"),
            (r#"{"auths":{},"auths":{}}"#, "twice"),
            ("", "no JSON"),
        ] {
            let error = Credentials::of_docker(config.as_bytes(), "r.example").unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hush"), "{config}: {error}");
        }
        // A program for all registries is of no matter for one that nobody logged in to.
        let other = r#"{"credsStore":"desktop","auths":{"other.example":{}}}"#;
        assert!(Credentials::of_docker(other.as_bytes(), "r.example").unwrap().is_none());
    }
}
