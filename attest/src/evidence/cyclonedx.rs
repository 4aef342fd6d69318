//! CycloneDX 1.2 to 1.7, JSON.

use super::PredicateError;
use super::sbom::{Component, Format, Rejected, Sbom, hash, purl, reference};
use crate::json;
use serde::Deserialize;

const VERSIONS: [&str; 6] = ["1.2", "1.3", "1.4", "1.5", "1.6", "1.7"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    bom_format: String,
    spec_version: String,
    serial_number: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    components: Vec<Wire>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    component: Option<Wire>,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "bom-ref")]
    reference: Option<String>,
    group: Option<String>,
    name: String,
    version: Option<String>,
    purl: Option<String>,
    #[serde(default)]
    licenses: Vec<Choice>,
    #[serde(default)]
    hashes: Vec<Hash>,
    #[serde(default)]
    components: Vec<Wire>,
}

/// An expression, or a licence by its identifier or its name.
#[derive(Deserialize)]
struct Choice {
    expression: Option<String>,
    license: Option<License>,
}

#[derive(Deserialize)]
struct License {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Hash {
    alg: String,
    content: String,
}

impl Sbom {
    /// Reads a CycloneDX document.
    ///
    /// **Errors**: what is none, or of a version that is not read.
    pub fn cyclonedx(document: &[u8]) -> Result<Self, PredicateError> {
        let document: Document = json::read(document, json::DOCUMENT)?;
        if document.bom_format != "CycloneDX" {
            return Err(PredicateError::Value(format!("bomFormat is {:?}", document.bom_format)));
        }
        if !VERSIONS.contains(&document.spec_version.as_str()) {
            let expected = "CycloneDX 1.2 to 1.7";
            return Err(PredicateError::Version { expected, got: document.spec_version });
        }
        let (mut components, mut rejected) = (Vec::new(), Vec::new());
        // What is within the subject is in the bill.
        let subject = document.metadata.component.map(|mut subject| {
            let within = std::mem::take(&mut subject.components);
            let subject = row(subject, None, &mut rejected);
            let parent = subject.reference.as_deref();
            within.into_iter().for_each(|c| add(c, parent, &mut components, &mut rejected));
            subject
        });
        document.components.into_iter().for_each(|c| add(c, None, &mut components, &mut rejected));
        Ok(Self {
            format: Format::CycloneDx,
            version: document.spec_version,
            serial: document.serial_number,
            subject,
            components,
            rejected,
        })
    }
}

/// A component before those within it. The depth is bounded by that of the document.
fn add(mut wire: Wire, parent: Option<&str>, rows: &mut Vec<Component>, rejected: &mut Vec<Rejected>) {
    let within = std::mem::take(&mut wire.components);
    let row = row(wire, parent, rejected);
    let reference = row.reference.clone();
    rows.push(row);
    within.into_iter().for_each(|c| add(c, reference.as_deref(), rows, rejected));
}

fn row(wire: Wire, parent: Option<&str>, rejected: &mut Vec<Rejected>) -> Component {
    let name = match wire.group.filter(|group| !group.is_empty()) {
        Some(group) => format!("{group}/{}", wire.name),
        None => wire.name,
    };
    let license = |choice: Choice| choice.expression.or_else(|| choice.license.and_then(|l| l.id.or(l.name)));
    let hashes = wire.hashes.iter().filter_map(|h| hash(&h.alg, &h.content, &name, rejected)).collect();
    Component {
        reference: reference(wire.reference, &name, rejected),
        parent: parent.map(str::to_owned),
        version: wire.version,
        purl: purl(wire.purl, &name, rejected),
        licenses: wire.licenses.into_iter().filter_map(license).collect(),
        hashes,
        name,
    }
}
