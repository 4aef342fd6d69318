//! SPDX 2.2 and 2.3, JSON. SPDX 3 is another model, and is refused by its version.

use super::PredicateError;
use super::sbom::{Component, Format, Rejected, Sbom, hash, purl, reference};
use crate::json;
use serde::Deserialize;

const VERSIONS: [&str; 2] = ["SPDX-2.2", "SPDX-2.3"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    /// Of 2.x.
    spdx_version: Option<String>,
    /// Of 3.x.
    #[serde(rename = "@context")]
    context: Option<serde::de::IgnoredAny>,
    document_namespace: Option<String>,
    #[serde(default)]
    document_describes: Vec<String>,
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    relationships: Vec<Relationship>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: Option<String>,
    license_concluded: Option<String>,
    license_declared: Option<String>,
    #[serde(default)]
    checksums: Vec<Checksum>,
    #[serde(default)]
    external_refs: Vec<ExternalRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: String,
    checksum_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_type: String,
    reference_locator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: String,
    related_spdx_element: String,
}

impl Sbom {
    /// Reads an SPDX document.
    ///
    /// **Errors**: what is none, or of a version that is not read.
    pub fn spdx(document: &[u8]) -> Result<Self, PredicateError> {
        let document: Document = json::read(document, json::DOCUMENT)?;
        let expected = "SPDX-2.2 or SPDX-2.3";
        let version = match (document.spdx_version, document.context) {
            (Some(version), _) if VERSIONS.contains(&version.as_str()) => version,
            (Some(got), _) => return Err(PredicateError::Version { expected, got }),
            (None, Some(_)) => return Err(PredicateError::Version { expected, got: "SPDX-3".to_owned() }),
            (None, None) => return Err(PredicateError::Value("spdxVersion is missing".to_owned())),
        };
        let described = described(&document.document_describes, &document.relationships);
        let mut rejected = Vec::new();
        let (mut subjects, components): (Vec<_>, Vec<_>) = document
            .packages
            .into_iter()
            .map(|package| row(package, &mut rejected))
            .partition(|row| row.reference.as_deref().is_some_and(|id| described == [id]));
        Ok(Self {
            format: Format::Spdx,
            version,
            serial: document.document_namespace,
            subject: subjects.pop(),
            components,
            rejected,
        })
    }
}

/// What the document is about. One package is its subject; of several, all are components.
fn described<'a>(listed: &'a [String], relationships: &'a [Relationship]) -> Vec<&'a str> {
    let related = relationships.iter().filter_map(|r| match r.relationship_type.as_str() {
        "DESCRIBES" if r.spdx_element_id == "SPDXRef-DOCUMENT" => Some(r.related_spdx_element.as_str()),
        "DESCRIBED_BY" if r.related_spdx_element == "SPDXRef-DOCUMENT" => Some(r.spdx_element_id.as_str()),
        _ => None,
    });
    let mut described: Vec<&str> = listed.iter().map(String::as_str).chain(related).collect();
    described.sort_unstable();
    described.dedup();
    described
}

fn row(package: Package, rejected: &mut Vec<Rejected>) -> Component {
    let name = package.name;
    let asserted = |license: &String| !matches!(license.as_str(), "NOASSERTION" | "NONE" | "");
    let mut licenses: Vec<String> =
        [package.license_concluded, package.license_declared].into_iter().flatten().filter(asserted).collect();
    licenses.dedup();
    let checksums = &package.checksums;
    let hashes = checksums.iter().filter_map(|c| hash(&c.algorithm, &c.checksum_value, &name, rejected)).collect();
    let located = package.external_refs.into_iter().find(|r| r.reference_type == "purl").map(|r| r.reference_locator);
    Component {
        reference: reference(Some(package.id), &name, rejected),
        parent: None,
        version: package.version_info,
        purl: purl(located, &name, rejected),
        licenses,
        hashes,
        name,
    }
}
