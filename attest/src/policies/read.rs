//! Reading a policy file: TOML into the types that verifiers take.

use super::glob::Glob;
use super::{Policies, TrustPolicy};
use crate::digest::{Algorithm, Digest};
use crate::evidence::provenance::{Expectations, ExpectedMaterial, OtherParameters, Source};
use crate::evidence::vsa;
use crate::policy::{Identity, Issuer, PolicyError, PublicKey, Signer};
use crate::sigstore::Verifier;
use chrono::TimeDelta;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// Bytes of the file, and of one that it names.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Policies of a file, and patterns and materials of a policy.
const POLICIES_MAX: usize = 256;
/// A hundred years.
const AGE_DAYS_MAX: u32 = 36_525;

/// What is no policy file.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// It cannot be read.
    #[error("{path} cannot be read")]
    Io {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No TOML, or a key that is unknown, missing or of another type; the message shows its line.
    #[error("{0}")]
    Toml(#[from] Box<toml::de::Error>),
    /// A value that cannot be.
    #[error("{key}: {what}")]
    Value {
        /// The key's path, such as `policy[0].identity`.
        key: String,
        /// What is wrong.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    policy: Vec<Wire>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    name: String,
    #[serde(default)]
    images: Vec<String>,
    identity: Option<String>,
    identity_pattern: Option<String>,
    issuer: Option<String>,
    key: Option<String>,
    trusted_root: Option<String>,
    max_age_days: Option<u32>,
    #[serde(default)]
    sbom: bool,
    provenance: Option<WireProvenance>,
    summary: Option<WireSummary>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProvenance {
    builder: Option<String>,
    build_type: Option<String>,
    source: Option<String>,
    commit: Option<String>,
    entry_point: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, toml::Value>,
    #[serde(default)]
    other_parameters: OtherParameters,
    #[serde(default)]
    materials: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSummary {
    verifier: String,
    resource: Option<String>,
    #[serde(default)]
    levels: Vec<String>,
}

impl Policies {
    /// Reads a file, and those beside it that it names.
    ///
    /// **Errors**: what is no policy file, by the key that is wrong.
    pub fn load(path: &Path) -> Result<Self, PoliciesError> {
        Self::load_with(path, None)
    }

    /// As [`Self::load`]; policies that name no trusted root are checked by `root` in place of Sigstore's public instance.
    ///
    /// **Errors**: as [`Self::load`].
    pub fn load_with(path: &Path, root: Option<Verifier>) -> Result<Self, PoliciesError> {
        let io = |source| PoliciesError::Io { path: path.display().to_string(), source };
        let bytes = small(path).map_err(io)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::read_with(&bytes, |name| small(&folder.join(name)), root)
    }

    /// Reads a file's bytes; `beside` reads a file that it names.
    ///
    /// **Errors**: as [`Self::load`].
    pub fn read(bytes: &[u8], beside: impl Fn(&str) -> std::io::Result<Vec<u8>>) -> Result<Self, PoliciesError> {
        Self::read_with(bytes, beside, None)
    }

    fn read_with(
        bytes: &[u8],
        beside: impl Fn(&str) -> std::io::Result<Vec<u8>>,
        root: Option<Verifier>,
    ) -> Result<Self, PoliciesError> {
        let wrong = |key: &str, what: String| PoliciesError::Value { key: key.to_owned(), what };
        let text = std::str::from_utf8(bytes).map_err(|e| wrong("policy", e.to_string()))?;
        let file: File = toml::from_str(text).map_err(Box::new)?;
        if !(1..=POLICIES_MAX).contains(&file.policy.len()) {
            let what = format!("expected 1 to {POLICIES_MAX} policies, got {}", file.policy.len());
            return Err(wrong("policy", what));
        }
        let digest = Digest::sha256(bytes);
        let roots = root.map(|root| (None, Arc::new(root))).into_iter().collect();
        let mut reader = Reader { version: digest.to_string(), beside, roots, names: HashSet::new() };
        let policies = file.policy.into_iter().enumerate();
        let policies = policies.map(|(number, wire)| {
            reader.policy(wire).map_err(|(key, what)| wrong(&format!("policy[{number}].{key}"), what))
        });
        let policies = policies.collect::<Result<_, _>>()?;
        Ok(Self { version: digest.to_string(), digest, policies })
    }
}

fn small(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// The key that is wrong, and what is.
type Wrong = (String, String);

fn at<E: std::fmt::Display>(key: &str) -> impl Fn(E) -> Wrong + '_ {
    move |error| (key.to_owned(), error.to_string())
}

struct Reader<F> {
    version: String,
    beside: F,
    /// Trusted roots by their files, and that of policies that name none: policies that name one file share it.
    roots: HashMap<Option<String>, Arc<Verifier>>,
    names: HashSet<String>,
}

impl<F: Fn(&str) -> std::io::Result<Vec<u8>>> Reader<F> {
    fn policy(&mut self, wire: Wire) -> Result<TrustPolicy, Wrong> {
        let name = wire.name.clone();
        if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
            return Err(at("name")("expected 1 to 256 characters"));
        }
        if !self.names.insert(name.clone()) {
            return Err(at("name")(format!("{name:?} is there twice")));
        }
        if wire.images.len() > POLICIES_MAX {
            return Err(at("images")(format!("expected at most {POLICIES_MAX}, got {}", wire.images.len())));
        }
        let images = wire.images.iter().map(|pattern| Glob::read(pattern)).collect::<Result<_, _>>();
        let max_age = match wire.max_age_days {
            Some(days) if !(1..=AGE_DAYS_MAX).contains(&days) => {
                return Err(at("max_age_days")(format!("expected 1 to {AGE_DAYS_MAX}, got {days}")));
            }
            days => days.map(|days| TimeDelta::days(days.into())),
        };
        Ok(TrustPolicy {
            name,
            version: self.version.clone(),
            signer: self.signer(&wire)?,
            verifier: self.root(wire.trusted_root)?,
            max_age,
            provenance: wire.provenance.map(provenance).transpose()?,
            summary: wire.summary.map(summary).transpose()?,
            sbom: wire.sbom,
            images: images.map_err(at("images"))?,
        })
    }

    fn signer(&self, wire: &Wire) -> Result<Signer, Wrong> {
        let exactly_one = "expected one of identity, identity_pattern and key";
        let (key, identity) = match (&wire.identity, &wire.identity_pattern, &wire.key) {
            (Some(identity), None, None) => ("identity", Identity::exact(identity)),
            (None, Some(pattern), None) => ("identity_pattern", Identity::pattern(pattern)),
            (None, None, Some(_)) if wire.issuer.is_some() => {
                return Err(at("issuer")("a key has no issuer"));
            }
            (None, None, Some(file)) => {
                let bytes = (self.beside)(file).map_err(|e| at("key")(format!("{file}: {e}")))?;
                return PublicKey::read(&bytes).map(Signer::Key).map_err(at("key"));
            }
            (None, None, None) => return Err(at("identity")(format!("{exactly_one}, got none"))),
            (Some(_), ..) | (None, Some(_), _) => return Err(at("identity")(format!("{exactly_one}, got more"))),
        };
        let identity = identity.map_err(at::<PolicyError>(key))?;
        let issuer = wire.issuer.as_ref().ok_or_else(|| at("issuer")("an identity needs one"))?;
        Ok(Signer::Keyless { identity, issuer: Issuer::exact(issuer).map_err(at("issuer"))? })
    }

    fn root(&mut self, file: Option<String>) -> Result<Arc<Verifier>, Wrong> {
        if let Some(verifier) = self.roots.get(&file) {
            return Ok(verifier.clone());
        }
        let verifier = match &file {
            None => Verifier::production(),
            Some(name) => {
                let bytes = (self.beside)(name).map_err(|e| at("trusted_root")(format!("{name}: {e}")))?;
                Verifier::with_root(&bytes)
            }
        };
        let verifier = Arc::new(verifier.map_err(at("trusted_root"))?);
        self.roots.insert(file, verifier.clone());
        Ok(verifier)
    }
}

fn provenance(wire: WireProvenance) -> Result<Expectations, Wrong> {
    let commit = wire.commit.map(|hex| Digest::from_hex(Algorithm::GitCommit, &hex)).transpose();
    let commit = commit.map_err(at("provenance.commit"))?;
    let source = wire.source.map(|text| text.parse::<Source>()).transpose().map_err(at("provenance.source"))?;
    if commit.is_some() && source.is_none() {
        return Err(at("provenance.commit")("a commit needs its source"));
    }
    if wire.materials.len() > POLICIES_MAX {
        let what = format!("expected at most {POLICIES_MAX}, got {}", wire.materials.len());
        return Err(at("provenance.materials")(what));
    }
    let material = |(number, text): (usize, &String)| {
        text.parse::<ExpectedMaterial>().map_err(|what| (format!("provenance.materials[{number}]"), what))
    };
    let parameter = |(name, value): (String, toml::Value)| {
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(holds) => holds.to_string(),
            other => {
                let what = format!("expected a string, an integer or a boolean, got a {}", other.type_str());
                return Err((format!("provenance.parameters.{name}"), what));
            }
        };
        Ok((name, text))
    };
    Ok(Expectations {
        builder: wire.builder,
        build_type: wire.build_type,
        source: source.map(|source| Source { commit, ..source }),
        entry_point: wire.entry_point,
        parameters: wire.parameters.into_iter().map(parameter).collect::<Result<_, _>>()?,
        other_parameters: wire.other_parameters,
        materials: wire.materials.iter().enumerate().map(material).collect::<Result<_, _>>()?,
    })
}

fn summary(wire: WireSummary) -> Result<vsa::Expectations, Wrong> {
    if wire.verifier.is_empty() {
        return Err(at("summary.verifier")("it is empty"));
    }
    Ok(vsa::Expectations { verifier: wire.verifier, resource_uri: wire.resource, levels: wire.levels, fresh: None })
}
