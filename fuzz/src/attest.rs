//! Targets over `tarn-attest`: whatever the bytes, an error or a value, and nothing passes that nobody signed.
//!
//! Each is a function, so that `cargo test` runs it on inputs made of fixtures, and a fuzzer on whatever it makes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::error::Error;
use std::future::Future;
use std::sync::LazyLock;
use tarn_attest::admission::{Mode, Reference, Review, Unattested, Verdict, decide};
use tarn_attest::evidence::sbom::{Purl, Sbom};
use tarn_attest::evidence::{PredicateError, Provenance, Summary};
use tarn_attest::oci::{self, Layout};
use tarn_attest::policies::Policies;
use tarn_attest::policy::{Expectation, Identity, Issuer, Policy, PublicKey, Signer};
use tarn_attest::sigstore::Verifier;
use tarn_attest::{Artifact, Attestation, Digest, Outcome, Verification, dsse, intake, json, lineage, verify};

#[cfg(feature = "registry")]
#[path = "registry.rs"]
pub mod registry;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::production().unwrap());

/// P-256's base point as a key: whoever could sign by it would know that one is its logarithm, so inputs do not.
const KEY: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200\
    046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
    4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

static KEYED: LazyLock<PublicKey> = LazyLock::new(|| PublicKey::read(&hex::decode(KEY).unwrap()).unwrap());

/// Sigstore bundles, keyless and by a key.
pub fn bundle(data: &[u8]) {
    let signer = Signer::Keyless { identity: Identity::exact("a").unwrap(), issuer: Issuer::exact("b").unwrap() };
    refused(&verify(&VERIFIER, Artifact::Bytes(b"c"), data, &Policy { signer, expectation: None }));
    let keyed = Policy { signer: Signer::Key(KEYED.clone()), expectation: Some(Expectation::Sbom) };
    refused(&verify(&VERIFIER, Artifact::Bytes(b"c"), data, &keyed));
    let _ = intake::is_document(data);
}

/// DSSE envelopes.
pub fn envelope(data: &[u8]) {
    refused(&dsse::verify(data, Artifact::Bytes(b"c"), &KEYED, None));
    if json::check(data, json::DOCUMENT).is_ok() {
        assert!(serde_json::from_slice::<serde_json::Value>(data).is_ok());
    }
}

/// In-toto statements: the payload of an envelope.
pub fn statement(data: &[u8]) {
    let envelope = serde_json::json!({
        "payloadType": "application/vnd.in-toto+json", "payload": STANDARD.encode(data), "signatures": [{"sig": "AAAA"}],
    });
    refused(&dsse::verify(envelope.to_string().as_bytes(), Artifact::Bytes(b"c"), &KEYED, Some(&Expectation::Sbom)));
}

/// SLSA provenance, both versions.
pub fn provenance(data: &[u8]) {
    for provenance in [Provenance::v1(data), Provenance::v0_2(data)] {
        match provenance {
            Ok(provenance) => assert!(!provenance.builder.is_empty()),
            Err(error) => printable(&error),
        }
    }
}

/// Verification summaries.
pub fn summary(data: &[u8]) {
    match Summary::read(data) {
        Ok(summary) => assert!(!summary.reaches("SLSA_BUILD_LEVEL_99")),
        Err(error) => printable(&error),
    }
}

/// CycloneDX.
pub fn cyclonedx(data: &[u8]) {
    sbom(Sbom::cyclonedx(data));
}

/// SPDX.
pub fn spdx(data: &[u8]) {
    sbom(Sbom::spdx(data));
}

fn sbom(sbom: Result<Sbom, PredicateError>) {
    let sbom = match sbom {
        Ok(sbom) => sbom,
        Err(error) => return printable(&error),
    };
    for component in sbom.components.iter().chain(&sbom.subject) {
        assert!(component.purl.as_ref().is_none_or(|purl| Purl::read(purl.as_str()).as_ref() == Some(purl)));
        assert!(component.hashes.iter().all(|hash| hash.to_string().parse::<Digest>().as_ref() == Ok(hash)));
    }
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());

fn block_on<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.block_on(work)
}

/// OCI: the index of a layout, and a manifest in a sound one.
pub fn oci(data: &[u8]) {
    let root = std::env::temp_dir().join(format!("tarn-fuzz-oci-{}", std::process::id()));
    let blobs = root.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let digest = Digest::sha256(data);
    let blob = blobs.join(digest.to_hex());
    std::fs::write(&blob, data).unwrap();
    let listed = serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.to_string(), "size": data.len(),
    });
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [listed]}).to_string();
    for index in [data, index.as_bytes()] {
        std::fs::write(root.join("index.json"), index).unwrap();
        let layout = match Layout::open(&root) {
            Ok(layout) => layout,
            Err(error) => {
                printable(&error);
                continue;
            }
        };
        let images =
            [block_on(oci::image(&layout, None)), block_on(oci::image(&layout, Some("latest"))), Ok(digest.clone())];
        for image in images {
            if let Err(error) = image.and_then(|image| block_on(oci::attached(&layout, &image))) {
                printable(&error);
            }
        }
    }
    std::fs::remove_dir_all(root).unwrap();
}

/// AdmissionReviews: what is not attested does not run where that is enforced, and the answer is to the question.
pub fn review(data: &[u8]) {
    let review = match Review::read(data) {
        Ok(review) => review,
        Err(error) => return printable(&error),
    };
    let verify = |_: &Reference, image: &Digest| match image.as_bytes()[0] % 2 {
        0 => Verdict::Attested,
        _ => Verdict::Unattested(Unattested::Policy),
    };
    for mode in [Mode::Enforce, Mode::Warn] {
        let decision = decide(&review, mode, verify);
        let answer = decision.answer();
        let attested =
            decision.unknown.is_none() && decision.images.iter().all(|(_, verdict)| *verdict == Verdict::Attested);
        assert_eq!(decision.is_attested(), attested);
        assert_eq!(decision.allowed, attested || mode == Mode::Warn);
        assert_eq!(answer["response"]["allowed"], decision.allowed);
        let asked = serde_json::from_slice::<serde_json::Value>(data).unwrap();
        assert_eq!(answer["response"]["uid"], asked["request"]["uid"]);
    }
}

/// Trust policies, trusted roots and public keys.
pub fn policies(data: &[u8]) {
    let _ = Policies::read(data, |_| Err(std::io::ErrorKind::NotFound.into()));
    let _ = Verifier::with_root(data);
    let _ = PublicKey::read(data);
}

/// Records of lineage: findings and what they are about, and what is drawn of them.
pub fn chain(data: &[u8]) {
    let Ok(row) = serde_json::from_slice::<lineage::Row>(data) else { return };
    let about = lineage::subject(&row);
    assert!(about.digests.len() <= lineage::NAMED_MAX && about.pods.len() <= lineage::NAMED_MAX);
    let artifact = "sha256:".to_owned() + &"0".repeat(64);
    let rows = vec![row];
    let records = lineage::Records {
        signing: rows.clone(),
        inventory: rows.clone(),
        activity: rows.clone(),
        keys: rows.clone(),
        inference: rows.clone(),
        findings: rows,
        ..lineage::Records::default()
    };
    let artifacts = about.digests.into_iter().chain([artifact]).collect();
    let drawn = lineage::Lineage::new(&artifacts, &records, lineage::Stage::Inference);
    for text in [lineage::to_dot(&drawn), lineage::to_mermaid(&drawn)] {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }
}

/// Nothing here is signed by anybody who is asked for; and every check before the one that fails passed, none after it.
fn refused(verification: &Verification<Attestation>) {
    assert!(verification.verified().is_none() && verification.reason().is_some());
    let steps = &verification.record().steps;
    let failed = steps.iter().position(|step| matches!(step.outcome, Outcome::Failed(_))).unwrap();
    assert!(steps[..failed].iter().all(|step| step.outcome == Outcome::Passed));
    assert!(steps[failed + 1..].iter().all(|step| step.outcome == Outcome::NotReached));
    assert!(steps.iter().all(|step| !step.detail.contains(char::is_control)));
}

/// Reasons are for terminals, with their causes.
fn printable(error: &(dyn Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        assert!(!error.to_string().contains(char::is_control), "{:?}", error.to_string());
        next = error.source();
    }
}
