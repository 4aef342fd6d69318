//! SLSA provenance v0.2 and v1 as one type: who built what from which source, how.
//!
//! What a build's parameters mean is said by its build type, so the source is read for those types only that are in
//! [`source_of`]; for others it is unknown, and expectations of it fail. Fields that are not named here are not read.

mod expectations;

pub(crate) use expectations::check;
pub use expectations::{Expectations, ExpectedMaterial, OtherParameters};

use super::PredicateError;
use crate::digest::{Algorithm, Digest, DigestSet};
use crate::json;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How something was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Who built it. A claim of the signer: a policy must name a signer that may speak for the builder.
    pub builder: String,
    /// What the parameters mean.
    pub build_type: String,
    /// From which source, where the build type is known here.
    pub source: Option<Source>,
    /// The workflow, target or file that was started.
    pub entry_point: Option<String>,
    /// What the build was asked for: `a.b.0` → text. Dots in names are written `\.`; numbers, booleans and null are
    /// their JSON text.
    pub parameters: BTreeMap<String, String>,
    /// What went in.
    pub materials: Vec<Material>,
    /// The run.
    pub invocation: Option<String>,
    /// When it began, as the builder wrote it.
    pub started_on: Option<String>,
    /// When it ended, as the builder wrote it.
    pub finished_on: Option<String>,
}

/// Something that went in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// Where it is from.
    pub uri: Option<String>,
    /// Its digests.
    pub digests: Vec<Digest>,
}

/// A source: a repository without scheme (`github.com/o/r`), and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The repository.
    pub repository: String,
    /// The branch or tag, such as `refs/heads/main`.
    pub reference: Option<String>,
    /// The commit.
    pub commit: Option<Digest>,
}

impl FromStr for Source {
    type Err = String;

    /// Reads `git+https://github.com/o/r.git@refs/heads/main`, of which scheme, `.git` and reference may be absent.
    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (path, reference) = match bare.split_once('@') {
            // What is before it may be a user, as in ssh://git@host/path.
            Some((user, rest)) if !user.is_empty() && !user.contains('/') => match rest.split_once('@') {
                Some((path, reference)) => (path, Some(reference)),
                None => (rest, None),
            },
            Some((path, reference)) => (path, Some(reference)),
            None => (bare, None),
        };
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let Some((host, rest)) = path.split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty())
        else {
            return Err(format!("expected a repository such as https://github.com/owner/name, got {text:?}"));
        };
        let repository = format!("{}/{rest}", host.to_ascii_lowercase());
        Ok(Self { repository, reference: reference.map(str::to_owned), commit: None })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.reference.iter().try_for_each(|reference| write!(f, "@{reference}"))?;
        self.commit.iter().try_for_each(|commit| write!(f, " at {commit}"))
    }
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Resource {
    uri: Option<String>,
    #[serde(default)]
    digest: DigestSet,
}

impl From<Resource> for Material {
    fn from(resource: Resource) -> Self {
        Self { uri: resource.uri, digests: resource.digest.0 }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct V1 {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    /// An object; writers that leave out what is empty leave out this.
    #[serde(default)]
    external_parameters: Value,
    #[serde(default)]
    resolved_dependencies: Vec<Resource>,
}

#[derive(Deserialize)]
struct RunDetails {
    builder: Id,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    // v1
    invocation_id: Option<String>,
    started_on: Option<String>,
    finished_on: Option<String>,
    // v0.2
    build_invocation_id: Option<String>,
    build_started_on: Option<String>,
    build_finished_on: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct V02 {
    builder: Id,
    build_type: String,
    #[serde(default)]
    invocation: Invocation,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    materials: Vec<Resource>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Invocation {
    config_source: ConfigSource,
    parameters: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigSource {
    uri: Option<String>,
    digest: DigestSet,
    entry_point: Option<String>,
}

impl Provenance {
    /// Reads a predicate of `https://slsa.dev/provenance/v1`.
    ///
    /// **Errors**: what is missing or of another shape.
    pub fn v1(predicate: &[u8]) -> Result<Self, PredicateError> {
        let V1 { build_definition, run_details } = json::read(predicate, json::DOCUMENT)?;
        let BuildDefinition { build_type, external_parameters, resolved_dependencies } = build_definition;
        if !external_parameters.is_object() && !external_parameters.is_null() {
            return Err(PredicateError::Value("externalParameters is no object".into()));
        }
        let parameters = flatten(&external_parameters)?;
        let materials: Vec<Material> = resolved_dependencies.into_iter().map(Material::from).collect();
        let (source, entry_point) = source_of(&build_type, &parameters, &materials);
        let metadata = run_details.metadata;
        named(run_details.builder.id, build_type).map(|(builder, build_type)| Self {
            builder,
            build_type,
            source,
            entry_point,
            parameters,
            materials,
            invocation: metadata.invocation_id,
            started_on: metadata.started_on,
            finished_on: metadata.finished_on,
        })
    }

    /// Reads a predicate of `https://slsa.dev/provenance/v0.2`.
    ///
    /// **Errors**: what is missing or of another shape.
    pub fn v0_2(predicate: &[u8]) -> Result<Self, PredicateError> {
        let V02 { builder, build_type, invocation, metadata, materials } = json::read(predicate, json::DOCUMENT)?;
        let ConfigSource { uri, digest, entry_point } = invocation.config_source;
        let source = uri.and_then(|uri| uri.parse::<Source>().ok());
        let source = source.map(|source| Source { commit: commit(&digest.0), ..source });
        let parameters = flatten(&invocation.parameters)?;
        named(builder.id, build_type).map(|(builder, build_type)| Self {
            builder,
            build_type,
            source,
            entry_point,
            parameters,
            materials: materials.into_iter().map(Material::from).collect(),
            invocation: metadata.build_invocation_id,
            started_on: metadata.build_started_on,
            finished_on: metadata.build_finished_on,
        })
    }
}

fn named(builder: String, build_type: String) -> Result<(String, String), PredicateError> {
    if builder.is_empty() || build_type.is_empty() {
        return Err(PredicateError::Value("the builder's id or the build type is empty".into()));
    }
    Ok((builder, build_type))
}

/// The first digest that can be a commit's.
fn commit(digests: &[Digest]) -> Option<Digest> {
    let commit = digests.iter().find(|d| matches!(d.algorithm(), Algorithm::GitCommit | Algorithm::Sha1))?;
    Digest::new(Algorithm::GitCommit, commit.as_bytes().to_vec()).ok()
}

/// Source and entry point by what the build type says of its parameters.
fn source_of(
    build_type: &str,
    parameters: &BTreeMap<String, String>,
    materials: &[Material],
) -> (Option<Source>, Option<String>) {
    let get = |name: &str| parameters.get(name).map(String::as_str);
    let (repository, reference, entry_point) = match build_type {
        "https://actions.github.io/buildtypes/workflow/v1"
        | "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1" => {
            (get("workflow.repository"), get("workflow.ref"), get("workflow.path"))
        }
        "https://slsa-framework.github.io/gcb-buildtypes/triggered-build/v1" => {
            (get("sourceToBuild.repository"), get("sourceToBuild.ref"), get("buildConfigSource.path"))
        }
        "https://slsa.dev/container-based-build/v0.1?draft" => (get("source.uri"), None, get("configPath")),
        _ => (None, None, None),
    };
    let source = repository.and_then(|repository| repository.parse::<Source>().ok()).map(|source| {
        let reference = reference.map(str::to_owned).or(source.reference);
        // The material that is this repository at this reference.
        let is_it = |m: &&Material| {
            let uri = m.uri.as_ref().and_then(|uri| uri.parse::<Source>().ok());
            uri.is_some_and(|uri| {
                uri.repository == source.repository && (uri.reference.is_none() || uri.reference == reference)
            })
        };
        let commit = materials.iter().find(is_it).and_then(|m| commit(&m.digests));
        Source { repository: source.repository, reference, commit }
    });
    (source, entry_point.map(str::to_owned))
}

/// Leaves of the parameters, and bytes of the path to one: a short document can have long paths to many.
const PARAMETERS_MAX: usize = 10_000;
const PATH_BYTES_MAX: usize = 1024;

/// An object's leaves by their paths.
fn flatten(value: &Value) -> Result<BTreeMap<String, String>, PredicateError> {
    let mut leaves = BTreeMap::new();
    if !value.is_null() {
        walk(String::new(), value, &mut leaves)?;
    }
    Ok(leaves)
}

fn walk(path: String, value: &Value, leaves: &mut BTreeMap<String, String>) -> Result<(), PredicateError> {
    if path.len() > PATH_BYTES_MAX || leaves.len() > PARAMETERS_MAX {
        let detail = format!("more than {PARAMETERS_MAX} parameters, or a path to one over {PATH_BYTES_MAX} bytes");
        return Err(PredicateError::Value(detail));
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                walk(below(&name.replace('\\', r"\\").replace('.', r"\.")), value, leaves)?;
            }
        }
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                walk(below(&i.to_string()), value, leaves)?;
            }
        }
        Value::String(text) => drop(leaves.insert(path, text.clone())),
        other => drop(leaves.insert(path, other.to_string())),
    }
    Ok(())
}
