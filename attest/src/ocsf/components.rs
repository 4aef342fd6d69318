//! A bill of materials as rows of Software Inventory Info (5020), joined to the artifact by its digest.

use super::frame::{fingerprint, put};
use super::{Evidence, Named};
use crate::digest::Digest;
use crate::evidence::sbom::{Component, Format, Sbom};
use chrono::{DateTime, Utc};
use serde_json::{Map, json};

/// Where a bill of materials is from.
pub struct Software<'a> {
    /// What it is the bill of.
    pub artifact: &'a Named,
    /// The document's digest.
    pub document: &'a Digest,
    /// The uid of the record of its verification.
    pub evidence_uid: &'a str,
    /// When it was read.
    pub time: DateTime<Utc>,
}

/// A row a component, in the bill's order.
///
/// `device.uid` and `device.image.uid` are the artifact's digest, `metadata.correlation_uid` the uid of the verification,
/// and each row's uid stands on that and the component's place, so that a bill read again gives the same rows.
pub fn components<'a>(sbom: &'a Sbom, of: &'a Software<'_>) -> impl Iterator<Item = Evidence> + 'a {
    sbom.components.iter().enumerate().map(move |(number, component)| row(sbom, component, number, of))
}

fn row(sbom: &Sbom, component: &Component, number: usize, of: &Software<'_>) -> Evidence {
    let uid = Digest::sha256(format!("tarn/component/1\n{}\n{}\n{number}", of.evidence_uid, of.document).as_bytes());
    let uid = uid.to_hex();
    let mut package = Map::new();
    package.insert("name".into(), component.name.as_str().into());
    // OCSF asks for a version; a bill may have none.
    package.insert("version".into(), component.version.as_deref().unwrap_or("unknown").into());
    put(&mut package, "purl", component.purl.as_ref().map(|purl| purl.as_str()));
    put(&mut package, "uid", component.reference.as_deref());
    let license = component.licenses.join(" AND ");
    put(&mut package, "license", (!license.is_empty()).then_some(license));
    put(&mut package, "hash", component.hashes.iter().max_by_key(|hash| hash.as_bytes().len()).map(fingerprint));

    let digest = of.artifact.digest.as_ref().map(Digest::to_string);
    let name = of.artifact.name.as_deref().or(of.artifact.uri.as_deref());
    let mut device = Map::new();
    device.insert("type_id".into(), 99.into());
    device.insert("type".into(), "Artifact".into());
    put(&mut device, "name", name);
    if let Some(digest) = digest {
        let mut image = Map::new();
        put(&mut image, "name", name);
        image.insert("uid".into(), digest.as_str().into());
        device.insert("image".into(), image.into());
        device.insert("uid".into(), digest.into());
    }
    let kind = match sbom.format {
        Format::Spdx => "SPDX",
        Format::CycloneDx => "CycloneDX",
    };
    let value = json!({
        "class_uid": 5020, "class_name": "Software Inventory Info", "category_uid": 5, "category_name": "Discovery",
        "activity_id": 2, "activity_name": "Collect", "type_uid": 502_002,
        "type_name": "Software Inventory Info: Collect", "severity_id": 1, "severity": "Informational",
        "time": of.time.timestamp_millis(),
        "metadata": {
            "uid": uid, "correlation_uid": of.evidence_uid, "version": "1.8.0",
            "product": {"name": "Tarn", "vendor_name": "Tarn", "feature": {"name": kind, "version": sbom.version}},
        },
        "device": device, "package": package,
    });
    Evidence { uid, value }
}
