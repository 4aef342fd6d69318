//! Bills of materials as rows.

use crate::world::{ARTIFACT, PAYLOAD_TYPE, World, statement};
use serde_json::{Value, json};
use tarn_attest::evidence::sbom::{Format, Purl};
use tarn_attest::evidence::{Component, PredicateError, Sbom};
use tarn_attest::policy::{Expectation, PublicKey};
use tarn_attest::{Artifact, Reason, dsse};

pub fn cyclonedx() -> Value {
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.7", "serialNumber": "urn:uuid:1", "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "app", "name": "app", "version": "1.0"}},
        "components": [
            {"type": "library", "bom-ref": "a", "group": "org.example", "name": "a", "version": "2.1",
             "purl": "pkg:maven/org.example/a@2.1", "hashes": [{"alg": "SHA-256", "content": sha256}, {"alg": "Streebog-256", "content": "00"}],
             "licenses": [{"license": {"id": "Apache-2.0"}}, {"license": {"name": "Our own"}}],
             "components": [{"type": "library", "name": "inner", "components": [{"type": "file", "name": "innermost"}]}]},
            {"type": "library", "name": "b", "purl": "not a purl", "hashes": [{"alg": "MD5", "content": "xyz"}],
             "licenses": [{"expression": "MIT OR Apache-2.0"}]},
        ],
    })
}

pub fn spdx() -> Value {
    json!({
        "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "documentNamespace": "https://example.com/1",
        "packages": [
            {"SPDXID": "SPDXRef-app", "name": "app", "versionInfo": "1.0", "licenseConcluded": "NOASSERTION"},
            {"SPDXID": "SPDXRef-a", "name": "a", "versionInfo": "2.1", "licenseConcluded": "MIT", "licenseDeclared": "MIT",
             "checksums": [{"algorithm": "SHA1", "checksumValue": "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"}],
             "externalRefs": [
                {"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:*"},
                {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:cargo/a@2.1"}]},
        ],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-app"}],
    })
}

fn names(components: &[Component]) -> Vec<&str> {
    components.iter().map(|c| c.name.as_str()).collect()
}

#[test]
fn cyclonedx_is_a_row_a_component() {
    let sbom = Sbom::cyclonedx(cyclonedx().to_string().as_bytes()).unwrap();
    assert_eq!((sbom.format, sbom.version.as_str()), (Format::CycloneDx, "1.7"));
    assert_eq!(sbom.subject.as_ref().unwrap().name, "app");
    assert_eq!(names(&sbom.components), ["org.example/a", "inner", "innermost", "b"]);
    let [a, inner, innermost, b] = &sbom.components[..] else { panic!("four rows") };
    assert_eq!(a.purl.as_ref().map(Purl::as_str), Some("pkg:maven/org.example/a@2.1"));
    assert_eq!((a.version.as_deref(), a.hashes.len()), (Some("2.1"), 1));
    assert_eq!(a.licenses, ["Apache-2.0", "Our own"]);
    assert_eq!((inner.parent.as_deref(), innermost.parent.as_deref()), (Some("a"), None));
    assert_eq!(b.licenses, ["MIT OR Apache-2.0"]);
    assert_eq!((b.purl.as_ref(), b.hashes.len()), (None, 0));
    let rejected: Vec<_> = sbom.rejected.iter().map(|r| (r.component.as_str(), r.field)).collect();
    assert_eq!(rejected, [("b", "hash"), ("b", "purl")]);
}

#[test]
fn a_reference_that_is_long_is_not_repeated_in_what_is_within() {
    let mut document = cyclonedx();
    document["components"][0]["bom-ref"] = "x".repeat(2000).into();
    let sbom = Sbom::cyclonedx(document.to_string().as_bytes()).unwrap();
    assert_eq!((sbom.components[0].reference.as_ref(), sbom.components[1].parent.as_ref()), (None, None));
    assert!(sbom.rejected.iter().any(|r| r.field == "reference"));
}

#[test]
fn spdx_is_a_row_a_package() {
    let sbom = Sbom::spdx(spdx().to_string().as_bytes()).unwrap();
    assert_eq!((sbom.format, sbom.version.as_str()), (Format::Spdx, "SPDX-2.3"));
    let subject = sbom.subject.unwrap();
    assert_eq!((subject.name.as_str(), subject.licenses.len()), ("app", 0));
    let [a] = &sbom.components[..] else { panic!("one row") };
    assert_eq!(a.purl.as_ref().map(Purl::as_str), Some("pkg:cargo/a@2.1"));
    assert_eq!((a.licenses.as_slice(), a.hashes.len()), (&["MIT".to_owned()][..], 1));
}

#[test]
fn versions_that_are_not_read_are_refused_by_name() {
    for version in ["1.2", "1.3", "1.4", "1.5", "1.6", "1.7"] {
        let mut document = cyclonedx();
        document["specVersion"] = version.into();
        assert!(Sbom::cyclonedx(document.to_string().as_bytes()).is_ok(), "{version}");
    }
    for version in ["1.1", "1.8", "2.0", ""] {
        let mut document = cyclonedx();
        document["specVersion"] = version.into();
        let refused = Sbom::cyclonedx(document.to_string().as_bytes());
        assert!(matches!(refused, Err(PredicateError::Version { .. })), "{version}");
    }
    let mut document = spdx();
    document["spdxVersion"] = "SPDX-2.1".into();
    assert!(matches!(Sbom::spdx(document.to_string().as_bytes()), Err(PredicateError::Version { .. })));
    let three = br#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}"#;
    assert!(matches!(Sbom::spdx(three), Err(PredicateError::Version { .. })));
}

#[test]
fn what_is_no_bill_of_materials() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"bomFormat":"SPDX","specVersion":"1.5"}"#,
        r#"{"bomFormat":"CycloneDX","specVersion":1.5}"#,
    ] {
        assert!(Sbom::cyclonedx(text.as_bytes()).is_err(), "{text}");
        assert!(Sbom::spdx(text.as_bytes()).is_err(), "{text}");
    }
    let mut nameless = cyclonedx();
    nameless["components"][0].as_object_mut().unwrap().remove("name");
    assert!(matches!(Sbom::cyclonedx(nameless.to_string().as_bytes()), Err(PredicateError::Json(_))));
    let nested = format!("{}{}", r#"{"name":"n","components":["#.repeat(70), "]}".repeat(70));
    let deep = format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{nested}]}}"#);
    assert!(matches!(Sbom::cyclonedx(deep.as_bytes()), Err(PredicateError::Json(_))));
}

#[test]
fn a_signed_bill_of_materials_passes_as_one() {
    let world = World::new();
    let key = PublicKey::read(world.pem().as_bytes()).unwrap();
    let reason = |predicate_type: &str, predicate: &Value| {
        let payload = statement(predicate_type, predicate).to_string();
        let envelope = world.envelope(PAYLOAD_TYPE, payload.as_bytes()).to_string();
        dsse::verify(envelope.as_bytes(), Artifact::Bytes(ARTIFACT), &key, Some(&Expectation::Sbom)).reason()
    };
    assert_eq!(reason("https://cyclonedx.org/bom", &cyclonedx()), None);
    assert_eq!(reason("https://cyclonedx.org/bom/v1.7", &cyclonedx()), None);
    assert_eq!(reason("https://spdx.dev/Document", &spdx()), None);
    assert_eq!(reason("https://spdx.dev/Document/v2.3", &spdx()), None);
    assert_eq!(reason("https://spdx.dev/DocumentX", &spdx()), Some(Reason::PredicateTypeUnexpected));
    assert_eq!(reason("https://spdx.dev/Document", &cyclonedx()), Some(Reason::PredicateMalformed));
    let mut later = cyclonedx();
    later["specVersion"] = "1.9".into();
    assert_eq!(reason("https://cyclonedx.org/bom", &later), Some(Reason::PredicateVersionUnsupported));
}

#[test]
fn package_urls() {
    for text in
        ["pkg:cargo/serde@1.0", "pkg:npm/%40scope/name@1?arch=x#sub", "pkg:oci/app@sha256:00", "pkg://deb/debian/curl"]
    {
        assert!(Purl::read(text).is_some(), "{text}");
    }
    for text in [
        "",
        "cargo/serde",
        "pkg:",
        "pkg:cargo",
        "pkg:cargo/",
        "pkg:/serde",
        "pkg:1x/a",
        "pkg:npm/a b",
        "pkg:npm/@1",
        "pkg:n!/a",
    ] {
        assert!(Purl::read(text).is_none(), "{text}");
    }
}
