//! Secrets of sinks: configuration names where they are, and nothing shows them.
//!
//! A reference is `env:NAME` or `file:PATH`. The environment is the caller's to read; files are read here, when the
//! configuration is loaded or loaded again, so a rotated secret comes with a reload.

use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// No secret is larger.
const BYTES_MAX: u64 = 64 * 1024;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SecretRef {
    /// A variable of the environment.
    Env(String),
    /// The content of a file, without the line break at its end.
    File(PathBuf),
}

/// A text that is no reference. The text is not repeated: it may be the secret itself.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a secret is not written here; expected env:NAME or file:PATH")]
pub struct NoReference;

/// A secret that cannot be had.
#[derive(Debug, Error)]
pub enum SecretError {
    /// No such variable, or an empty one.
    #[error("the environment has no {name}")]
    Unset {
        /// The variable.
        name: String,
    },
    /// No such file, or not allowed to.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing in the file, or too much.
    #[error("{}: expected 1 to {BYTES_MAX} bytes", path.display())]
    Size {
        /// The file.
        path: PathBuf,
    },
}

impl TryFrom<String> for SecretRef {
    type Error = NoReference;

    fn try_from(text: String) -> Result<Self, NoReference> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(NoReference),
        }
    }
}

impl SecretRef {
    /// The secret; `environment` gives the value of a variable.
    ///
    /// **Errors**: [`SecretError`], which names the place and never the content.
    pub fn read(&self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => match environment(name).filter(|value| !value.is_empty()) {
                Some(value) => Ok(Secret(value.into())),
                None => Err(SecretError::Unset { name: name.clone() }),
            },
            Self::File(path) => {
                let failed = |source| SecretError::File { path: path.clone(), source };
                let size = std::fs::metadata(path).map_err(failed)?.len();
                if size > BYTES_MAX {
                    return Err(SecretError::Size { path: path.clone() });
                }
                let text = std::fs::read_to_string(path).map_err(failed)?;
                match text.trim_end_matches(['\r', '\n']) {
                    "" => Err(SecretError::Size { path: path.clone() }),
                    secret => Ok(Secret(secret.into())),
                }
            }
        }
    }
}

/// A secret. Its [`fmt::Debug`] does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_values_are_not_shown() -> Result<(), Box<dyn std::error::Error>> {
        let environment = |name: &str| (name == "KEY").then(|| "s3cret".to_owned());
        let secret = SecretRef::try_from("env:KEY".to_owned())?.read(&environment)?;
        assert_eq!(secret.reveal(), "s3cret");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let file = tempfile::NamedTempFile::new()?;
        let of_file = SecretRef::File(file.path().to_owned());
        assert!(matches!(of_file.read(&environment), Err(SecretError::Size { .. })));
        std::fs::write(file.path(), "hidden\r\n")?;
        assert_eq!(of_file.read(&environment)?.reveal(), "hidden");
        assert!(matches!(SecretRef::Env("NO".into()).read(&environment), Err(SecretError::Unset { .. })));
        let error = SecretRef::try_from("xoxb-token".to_owned());
        assert!(!format!("{error:?}").contains("xoxb"));
        Ok(())
    }
}
