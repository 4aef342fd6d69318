//! What is attached to an image, in layouts that are written here, by people who may and who may not.

use crate::cases::Case;
use crate::world::{ARTIFACT, PAYLOAD_TYPE, SIGNED_AT, World, b64, hashedrekord, statement, unb64};
use serde_json::{Value, json};
use std::path::PathBuf;
use tarn_attest::digest::Digest;
use tarn_attest::evidence::provenance;
use tarn_attest::oci::{self, Attached, Content, Examined, Found, Layout, OciError, Repository};
use tarn_attest::policies::{Part, Policies};
use tarn_attest::policy::{Expectation, Policy, PublicKey, Signer};
use tarn_attest::sigstore::Verifier;
use tarn_attest::{Check, Reason, RequestedSigner};

pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
pub const SIGNATURE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub const SAID: &str = "https://example.com/said";

fn image(repository: &dyn Repository, name: Option<&str>) -> Result<Digest, OciError> {
    tokio::runtime::Runtime::new().unwrap().block_on(oci::image(repository, name))
}

fn attached(repository: &dyn Repository, image: &Digest) -> Result<Vec<Attached>, OciError> {
    tokio::runtime::Runtime::new().unwrap().block_on(oci::attached(repository, image))
}

/// A layout with one image, `app:v1`.
pub struct Delivery {
    pub folder: tempfile::TempDir,
    pub image: Digest,
    pub listed: Vec<Value>,
}

impl Delivery {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let mut delivery = Self { folder, image: Digest::sha256(b""), listed: Vec::new() };
        let image = delivery.manifest(&json!({"schemaVersion": 2, "layers": [delivery.blob(b"a file", "x")]}));
        delivery.image = image["digest"].as_str().unwrap().parse().unwrap();
        delivery.list(image, "app:v1");
        delivery
    }

    pub fn path(&self, digest: &str) -> PathBuf {
        self.folder.path().join("blobs").join(digest.replace(':', "/"))
    }

    /// Keeps content; returns its descriptor.
    pub fn blob(&self, bytes: impl AsRef<[u8]>, media_type: &str) -> Value {
        let digest = Digest::sha256(bytes.as_ref()).to_string();
        std::fs::write(self.path(&digest), &bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.as_ref().len()})
    }

    pub fn manifest(&self, manifest: &Value) -> Value {
        let mut manifest = manifest.clone();
        if manifest["manifests"].is_array() {
            return self.blob(manifest.to_string(), "application/vnd.oci.image.index.v1+json");
        }
        manifest["config"] = self.blob("{}", "application/vnd.oci.empty.v1+json");
        self.blob(manifest.to_string(), "application/vnd.oci.image.manifest.v1+json")
    }

    pub fn list(&mut self, mut descriptor: Value, tag: &str) {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        self.listed.push(descriptor);
    }

    pub fn subject(&self) -> Value {
        json!({"mediaType": "x", "digest": self.image, "size": 1})
    }

    /// Attaches a document by its manifest's subject.
    pub fn refer(&mut self, document: impl AsRef<[u8]>, media_type: &str) {
        let layers = [self.blob(document, media_type)];
        let manifest = self.manifest(&json!({"schemaVersion": 2, "layers": layers, "subject": self.subject()}));
        self.listed.push(manifest);
    }

    /// Attaches a document by cosign's tag.
    pub fn tag(&mut self, suffix: &str, document: impl AsRef<[u8]>, media_type: &str, annotations: Value) {
        let mut layer = self.blob(document, media_type);
        layer["annotations"] = annotations;
        let manifest = self.manifest(&json!({"schemaVersion": 2, "layers": [layer]}));
        self.list(manifest, &format!("sha256-{}{suffix}", self.image.to_hex()));
    }

    pub fn open(&self) -> Result<Layout, OciError> {
        let index = json!({"schemaVersion": 2, "manifests": self.listed});
        std::fs::write(self.folder.path().join("index.json"), index.to_string()).unwrap();
        Layout::open(self.folder.path())
    }

    /// Why the documents that are attached fail, in the index's order.
    fn reasons(&self, world: &World, policy: &Policy) -> Vec<Option<Reason>> {
        let verifier = Verifier::with_root(world.root().to_string().as_bytes()).unwrap();
        let layout = self.open().unwrap();
        let image = image(&layout, None).unwrap();
        assert_eq!(image, self.image);
        let attached = attached(&layout, &image).unwrap();
        let verify = |document: &Attached| {
            let verification = document.verify(&verifier, &image, policy);
            // Whatever comes of it, the record is of the document that lies there, and of this image.
            assert_eq!(verification.record().digests.document.as_ref(), Some(&document.digest));
            assert_eq!(verification.reason().is_none(), verification.verified().is_some());
            verification.reason()
        };
        attached.iter().map(verify).collect()
    }

    /// A statement about this image.
    pub fn statement(&self, predicate_type: &str, predicate: &Value) -> Vec<u8> {
        let mut statement = statement(predicate_type, predicate);
        statement["subject"][0]["digest"]["sha256"] = self.image.to_hex().into();
        statement.to_string().into_bytes()
    }

    /// What cosign signs of it.
    pub fn payload(&self) -> Value {
        json!({"critical": {
            "identity": {"docker-reference": "registry.example/app"},
            "image": {"docker-manifest-digest": self.image}, "type": "cosign container image signature",
        }, "optional": null})
    }
}

pub fn policy(world: &World, expectation: Option<Expectation>) -> Policy {
    Policy { signer: Signer::Key(PublicKey::read(world.pem().as_bytes()).unwrap()), expectation }
}

fn signed(world: &World, payload: &[u8]) -> String {
    b64(world.key.sign(payload).unwrap().as_bytes())
}

/// The annotation in which cosign keeps a log's promise, of an entry of a bundle.
fn promise(entry: &Value) -> String {
    json!({
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"], "logID": hex::encode(unb64(&entry["logId"]["keyId"])),
            "integratedTime": entry["integratedTime"].as_str().unwrap().parse::<i64>().unwrap(),
            "logIndex": entry["logIndex"].as_str().unwrap().parse::<i64>().unwrap(),
        },
    })
    .to_string()
}

/// What cosign writes beside a payload that the world signed and logged.
pub fn logged(world: &World, payload: &[u8]) -> Value {
    let signature = signed(world, payload);
    let body = hashedrekord(payload, &unb64(&json!(signature)), &world.pem());
    let entry = world.log.entry("hashedrekord", "0.0.1", &body, SIGNED_AT);
    json!({"dev.cosignproject.cosign/signature": signature, "dev.sigstore.cosign/bundle": promise(&entry)})
}

#[test]
fn bundles_are_found_by_their_subject_and_pass_by_their_signer() {
    let (world, other) = (World::new(), World::new());
    let mut delivery = Delivery::new();
    let said = delivery.statement(SAID, &json!({}));
    delivery.refer(world.attested(PAYLOAD_TYPE, &said).to_string(), BUNDLE);
    // Attached by anybody: in a log that nobody trusts, about another image, and not signed at all.
    delivery.refer(other.attested(PAYLOAD_TYPE, &said).to_string(), BUNDLE);
    let elsewhere = statement(SAID, &json!({})).to_string();
    delivery.refer(world.attested(PAYLOAD_TYPE, elsewhere.as_bytes()).to_string(), BUNDLE);
    delivery.refer(&said, "application/vnd.in-toto+json");
    delivery.refer("{}", "application/vnd.dev.sigstore.bundle.v9+json");
    let expected = [
        None,
        Some(Reason::CheckpointInvalid),
        Some(Reason::ArtifactMismatch),
        Some(Reason::BundleUnsupported),
        Some(Reason::BundleMalformed),
    ];
    assert_eq!(delivery.reasons(&world, &policy(&world, None)), expected);
    assert_eq!(delivery.reasons(&world, &policy(&other, None))[0], Some(Reason::SignatureInvalid));
    // What is attached to another image is none of this one's.
    let foreign = json!({"mediaType": "x", "digest": Digest::sha256(b"another"), "size": 1});
    let layer = delivery.blob(world.attested(PAYLOAD_TYPE, &said).to_string(), BUNDLE);
    let manifest = delivery.manifest(&json!({"schemaVersion": 2, "layers": [layer], "subject": foreign}));
    delivery.listed.push(manifest);
    assert_eq!(delivery.reasons(&world, &policy(&world, None)).len(), expected.len());
}

#[test]
fn referrers_are_found_in_the_list_of_the_fallback_tag_too() {
    let world = World::new();
    let mut delivery = Delivery::new();
    let said = delivery.statement(SAID, &json!({}));
    delivery.refer(world.attested(PAYLOAD_TYPE, &said).to_string(), BUNDLE);
    let referrer = delivery.listed.pop().unwrap();
    let stray = delivery.listed[0].clone();
    let list = delivery.manifest(&json!({"schemaVersion": 2, "manifests": [referrer, stray]}));
    delivery.list(list, &format!("sha256-{}", delivery.image.to_hex()));
    assert_eq!(delivery.reasons(&world, &policy(&world, None)), [None]);
    // Named twice, it is there once.
    delivery.listed.push(referrer);
    assert_eq!(delivery.reasons(&world, &policy(&world, None)), [None]);
    let attached = attached(&delivery.open().unwrap(), &delivery.image).unwrap();
    assert_eq!(attached[0].found, Found::Referrer);
    assert!(matches!(attached[0].content, Content::Bundle(_)));
}

#[test]
fn signatures_and_attestations_by_tag_pass_with_and_without_a_log() {
    let world = World::new();
    let mut delivery = Delivery::new();
    let payload = delivery.payload().to_string();
    let bare = json!({"dev.cosignproject.cosign/signature": signed(&world, payload.as_bytes())});
    delivery.tag(".sig", &payload, SIGNATURE, bare);
    let said = delivery.statement(SAID, &json!({}));
    delivery.tag(".att", world.envelope(PAYLOAD_TYPE, &said).to_string(), ENVELOPE, json!({"predicateType": SAID}));
    let bundle = world.attested(PAYLOAD_TYPE, &said);
    let beside = json!({"dev.sigstore.cosign/bundle": promise(&bundle["verificationMaterial"]["tlogEntries"][0])});
    delivery.tag(".att", bundle["dsseEnvelope"].to_string(), ENVELOPE, beside);
    assert_eq!(delivery.reasons(&world, &policy(&world, None)), [None, None, None]);

    let logged = logged(&world, payload.as_bytes());
    delivery.tag(".sig", &payload, SIGNATURE, logged);
    let verifier = Verifier::with_root(world.root().to_string().as_bytes()).unwrap();
    let attached = attached(&delivery.open().unwrap(), &delivery.image).unwrap();
    let verification = attached[3].verify(&verifier, &delivery.image, &policy(&world, None));
    assert_eq!(verification.reason(), None, "{:#?}", verification.record());
    let signature = &verification.verified().unwrap().get().signature;
    assert_eq!(signature.signed_at.len(), 1, "the log says when");
    assert_eq!(verification.record().digests.artifact, std::slice::from_ref(&delivery.image));

    // Signing says nothing of the image but that it is this one.
    let expected = policy(&world, Some(Expectation::PredicateType(SAID.into())));
    let missing = Some(Reason::StatementMissing);
    assert_eq!(delivery.reasons(&world, &expected), [missing, None, None, missing]);
    let built = provenance::Expectations { builder: Some("https://builder.example".into()), ..Default::default() };
    let other = Some(Reason::PredicateTypeUnexpected);
    let expected = policy(&world, Some(Expectation::Provenance(built)));
    assert_eq!(delivery.reasons(&world, &expected), [missing, other, other, missing]);
}

#[test]
fn signatures_that_were_tampered_with_fail() {
    let (world, other) = (World::new(), World::new());
    let payload = Delivery::new().payload();
    let text = payload.to_string();
    let check = |document: &str, annotations: Value, expected: Reason| {
        let mut delivery = Delivery::new();
        delivery.tag(".sig", document, SIGNATURE, annotations.clone());
        assert_eq!(delivery.reasons(&world, &policy(&world, None)), [Some(expected)], "{document} {annotations}");
    };
    let bare = |signature: String| json!({"dev.cosignproject.cosign/signature": signature});
    check(&text, bare(signed(&other, text.as_bytes())), Reason::SignatureInvalid);
    check(
        &text.replace("registry.example", "registry.elsewhere"),
        bare(signed(&world, text.as_bytes())),
        Reason::SignatureInvalid,
    );
    check(&text, json!({}), Reason::BundleMalformed);
    check(&text, bare("no base64".into()), Reason::BundleMalformed);

    // Genuine, and about another image; of another type; no payload.
    let mut another = payload.clone();
    another["critical"]["image"]["docker-manifest-digest"] = Digest::sha256(ARTIFACT).to_string().into();
    let mut typed = payload.clone();
    typed["critical"]["type"] = "another".into();
    for (document, reason) in
        [(another, Reason::ArtifactMismatch), (typed, Reason::ArtifactMismatch), (json!({}), Reason::BundleMalformed)]
    {
        let document = document.to_string();
        check(&document, bare(signed(&world, document.as_bytes())), reason);
        check(&document, logged(&world, document.as_bytes()), reason);
    }

    // A promise for something else, of another log, or none.
    let mut annotations = logged(&world, text.as_bytes());
    annotations["dev.sigstore.cosign/bundle"] = logged(&world, b"something")["dev.sigstore.cosign/bundle"].clone();
    check(&text, annotations.clone(), Reason::LogEntryMismatch);
    annotations["dev.sigstore.cosign/bundle"] = logged(&other, text.as_bytes())["dev.sigstore.cosign/bundle"].clone();
    check(&text, annotations.clone(), Reason::InclusionPromiseInvalid);
    for broken in
        ["no JSON", r#"{"SignedEntryTimestamp":"","Payload":{"body":"!","integratedTime":1,"logIndex":1,"logID":""}}"#]
    {
        annotations["dev.sigstore.cosign/bundle"] = broken.into();
        let reason = if broken == "no JSON" { Reason::DocumentMalformed } else { Reason::BundleMalformed };
        check(&text, annotations.clone(), reason);
    }
    annotations["dev.sigstore.cosign/certificate"] = "no certificate".into();
    annotations["dev.sigstore.cosign/bundle"] = json!(null);
    annotations.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    check(&text, annotations, Reason::BundleMalformed);
}

#[test]
fn a_key_does_not_pass_where_an_identity_is_asked_for() {
    let world = World::new();
    let mut delivery = Delivery::new();
    let payload = delivery.payload().to_string();
    delivery.tag(
        ".sig",
        &payload,
        SIGNATURE,
        json!({"dev.cosignproject.cosign/signature": signed(&world, payload.as_bytes())}),
    );
    delivery.tag(".sig", &payload, SIGNATURE, logged(&world, payload.as_bytes()));
    let said = delivery.statement(SAID, &json!({}));
    delivery.tag(".att", world.envelope(PAYLOAD_TYPE, &said).to_string(), ENVELOPE, json!({}));
    let signer = RequestedSigner::Identity { identity: "me@example.com", issuer: "https://issuer.example" };
    let policy = Policy { signer: signer.read().unwrap(), expectation: None };
    assert_eq!(delivery.reasons(&world, &policy), vec![Some(Reason::SignerKindUnexpected); 3]);
}

/// A real certificate and a real log's promise, as cosign would have attached them.
#[test]
fn an_attestation_without_a_key_passes_by_its_certificate_and_the_logs_promise() {
    let Some(case) = Case::named("intoto-with-custom-trust-root") else { return };
    let bundle = case.json();
    let material = &bundle["verificationMaterial"];
    let certificate = material["certificate"]["rawBytes"].as_str();
    let certificate = certificate.or(material["x509CertificateChain"]["certificates"][0]["rawBytes"].as_str()).unwrap();
    let entry = &material["tlogEntries"][0];
    if entry["inclusionPromise"].is_null() {
        panic!("the case has no promise");
    }
    let stamp = &material["timestampVerificationData"]["rfc3161Timestamps"][0]["signedTimestamp"];
    let mut annotations = json!({
        "dev.sigstore.cosign/certificate": format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"),
        "dev.sigstore.cosign/bundle": promise(entry),
    });
    if !stamp.is_null() {
        annotations["dev.sigstore.cosign/rfc3161timestamp"] =
            json!({"SignedRFC3161Timestamp": stamp}).to_string().into();
    }
    let mut delivery = Delivery::new();
    delivery.tag(".att", bundle["dsseEnvelope"].to_string(), ENVELOPE, annotations);
    let attached = attached(&delivery.open().unwrap(), &delivery.image).unwrap();
    let verifier = Verifier::with_root(case.trusted_root.as_deref().unwrap()).unwrap();
    let policy = Policy { signer: case.signer().read().unwrap(), expectation: None };
    // It is about the case's artifact, which stands for an image.
    let verification = attached[0].verify(&verifier, &Digest::sha256(&case.artifact), &policy);
    assert_eq!(verification.reason(), None, "{:#?}", verification.record());
    let about = attached[0].verify(&verifier, &delivery.image, &policy);
    assert_eq!(about.reason(), Some(Reason::ArtifactMismatch));
    let signer = RequestedSigner::Identity { identity: "me@example.com", issuer: &case.issuer };
    let other = Policy { signer: signer.read().unwrap(), expectation: None };
    let verification = attached[0].verify(&verifier, &Digest::sha256(&case.artifact), &other);
    assert_eq!(verification.reason(), Some(Reason::IdentityMismatch));
    assert!(verification.record().steps.iter().any(|step| step.check == Check::LogInclusion));
}

#[test]
fn an_image_is_named_by_digest_or_tag_or_is_the_only_one() {
    let world = World::new();
    let mut delivery = Delivery::new();
    let payload = delivery.payload().to_string();
    delivery.tag(".sig", &payload, SIGNATURE, logged(&world, payload.as_bytes()));
    let layout = delivery.open().unwrap();
    let digest = delivery.image.to_string();
    for name in [None, Some("v1"), Some("app:v1"), Some(digest.as_str())] {
        assert_eq!(image(&layout, name).unwrap(), delivery.image, "{name:?}");
    }
    assert!(matches!(image(&layout, Some("v2")), Err(OciError::Absent(_))));
    let absent = Digest::sha256(b"absent").to_string();
    assert!(matches!(image(&layout, Some(&absent)), Err(OciError::Read { .. })));
    // A layer has a digest too, and is no image.
    assert!(image(&layout, Some(&Digest::sha256(b"a file").to_string())).is_err());
    let second = delivery.manifest(&json!({"schemaVersion": 2, "layers": []}));
    delivery.list(second, "app:v2");
    assert!(matches!(image(&delivery.open().unwrap(), None), Err(OciError::Ambiguous(2))));
    delivery.listed.clear();
    assert!(matches!(image(&delivery.open().unwrap(), None), Err(OciError::Ambiguous(0))));
}

/// As `cosign attach sbom` and `oras attach` leave it: it is there to be recorded, and no policy is met by it.
#[test]
fn a_bill_of_materials_that_nobody_signed_is_found_and_does_not_pass() {
    let world = World::new();
    let mut delivery = Delivery::new();
    let bill = r#"{"bomFormat":"CycloneDX","specVersion":"1.5"}"#;
    delivery.tag(".sbom", bill, "application/vnd.cyclonedx+json", json!({}));
    delivery.refer(r#"{"spdxVersion":"SPDX-2.3"}"#, "application/spdx+json");
    assert_eq!(delivery.reasons(&world, &policy(&world, None)), vec![Some(Reason::BundleUnsupported); 2]);
    let found = attached(&delivery.open().unwrap(), &delivery.image).unwrap();
    assert_eq!([found[0].found, found[1].found], [Found::Tag, Found::Referrer]);
    assert!(matches!(&found[0].content, Content::Sbom(bytes) if bytes == bill.as_bytes()));
}

#[test]
fn what_cosign_saves_is_found_by_its_mark() {
    let world = World::new();
    let mut delivery = Delivery::new();
    let payload = delivery.payload().to_string();
    delivery.tag(".sig", &payload, SIGNATURE, logged(&world, payload.as_bytes()));
    delivery.listed[1]["annotations"] = json!({"kind": "dev.cosignproject.cosign/sigs"});
    assert_eq!(delivery.reasons(&world, &policy(&world, None)), [None]);
}

#[test]
fn a_layout_that_was_changed_is_refused() {
    let world = World::new();
    let whole = || {
        let mut delivery = Delivery::new();
        let payload = delivery.payload().to_string();
        delivery.tag(".sig", &payload, SIGNATURE, logged(&world, payload.as_bytes()));
        (delivery, Digest::sha256(payload.as_bytes()).to_string())
    };
    let refused = |delivery: &Delivery| attached(&delivery.open().unwrap(), &delivery.image).unwrap_err();
    // Another byte, another length, nothing, a folder.
    let (delivery, document) = whole();
    let mut bytes = std::fs::read(delivery.path(&document)).unwrap();
    bytes[0] ^= 1;
    std::fs::write(delivery.path(&document), &bytes).unwrap();
    assert!(matches!(refused(&delivery), OciError::Changed { .. }));
    bytes.push(0);
    std::fs::write(delivery.path(&document), &bytes).unwrap();
    assert!(matches!(refused(&delivery), OciError::Size { .. }));
    std::fs::remove_file(delivery.path(&document)).unwrap();
    assert!(matches!(refused(&delivery), OciError::Read { .. }));
    std::fs::create_dir(delivery.path(&document)).unwrap();
    assert!(matches!(refused(&delivery), OciError::NoFile(_)));
    // The image itself.
    let (delivery, _) = whole();
    std::fs::write(delivery.path(&delivery.image.to_string()), "{}").unwrap();
    assert!(matches!(image(&delivery.open().unwrap(), Some("v1")), Err(OciError::Changed { .. })));
}

#[test]
fn what_is_no_layout_or_over_its_bounds_is_refused() {
    let delivery = Delivery::new();
    let root = delivery.folder.path();
    assert!(matches!(Layout::open(&root.join("absent")), Err(OciError::Read { .. })));
    assert!(matches!(Layout::open(root), Err(OciError::Read { .. })), "no index");
    let index = |text: String| {
        std::fs::write(root.join("index.json"), text).unwrap();
        Layout::open(root)
    };
    let digest = delivery.image.to_string();
    for (text, why) in [
        ("", "nothing"),
        ("{}", "no version"),
        (r#"{"schemaVersion":1,"manifests":[]}"#, "another version"),
        (r#"{"schemaVersion":2}"#, "neither"),
        (r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#, "both"),
        (r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#, "twice"),
        (r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../../../etc/passwd","size":1}]}"#, "a path"),
        (r#"{"schemaVersion":2,"manifests":[{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":1}]}"#, "MD5"),
        (r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:00","size":-1}]}"#, "a short digest"),
    ] {
        assert!(index(text.into()).is_err(), "{why}");
    }
    assert!(matches!(index(" ".repeat(5 << 20)), Err(OciError::TooMuch { unit: "bytes", .. })));
    let many = json!({"schemaVersion": 2, "manifests": vec![json!({"digest": digest, "size": 1}); 1025]});
    let layout = index(many.to_string()).unwrap();
    assert!(matches!(attached(&layout, &delivery.image), Err(OciError::TooMuch { unit: "manifests", .. })));
    assert!(matches!(image(&layout, None), Err(OciError::TooMuch { unit: "manifests", .. })));

    let mut delivery = Delivery::new();
    let layers: Vec<Value> = (0..257).map(|i| delivery.blob(i.to_string(), "text/plain")).collect();
    let manifest = delivery.manifest(&json!({"schemaVersion": 2, "layers": layers, "subject": delivery.subject()}));
    delivery.listed.push(manifest);
    let refused = attached(&delivery.open().unwrap(), &delivery.image);
    assert!(matches!(refused, Err(OciError::TooMuch { unit: "documents", .. })));
    // A size is believed for the bound, and checked when read.
    let mut delivery = Delivery::new();
    let mut layer = delivery.blob("{}", BUNDLE);
    layer["size"] = json!(u64::MAX);
    let manifest = delivery.manifest(&json!({"schemaVersion": 2, "layers": [layer], "subject": delivery.subject()}));
    delivery.listed.push(manifest);
    let refused = attached(&delivery.open().unwrap(), &delivery.image);
    assert!(matches!(refused, Err(OciError::TooMuch { unit: "bytes", .. })));

    std::fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(matches!(Layout::open(root), Err(OciError::Version(_))));
}

#[test]
fn a_policy_of_the_file_is_met_by_all_that_is_attached_together() {
    let world = World::new();
    let mut delivery = Delivery::new();
    let read = |more: &str| {
        let text = format!("[[policy]]\nname = \"p\"\nkey = \"k.pub\"\ntrusted_root = \"r.json\"\n{more}");
        let beside = |name: &str| Ok(if name == "k.pub" { world.pem() } else { world.root().to_string() }.into_bytes());
        Policies::read(text.as_bytes(), beside).unwrap()
    };
    let now = chrono::DateTime::from_timestamp(SIGNED_AT, 0).unwrap() + chrono::TimeDelta::days(10);
    let examine = |delivery: &Delivery, more: &str| {
        let attached = attached(&delivery.open().unwrap(), &delivery.image).unwrap();
        let examined = Examined::of(read(more).only().unwrap(), &delivery.image, attached, now);
        (examined.is_attested(), examined.passed(), examined.missing)
    };
    let asked = "sbom = true\n[policy.provenance]\nbuilder = \"https://b.example\"";
    assert_eq!(examine(&delivery, ""), (false, 0, vec![]), "nothing is attached");
    let payload = delivery.payload().to_string();
    delivery.tag(".sig", &payload, SIGNATURE, logged(&world, payload.as_bytes()));
    assert_eq!(examine(&delivery, ""), (true, 1, vec![]));
    assert_eq!(examine(&delivery, asked), (false, 1, vec![Part::Provenance, Part::Sbom]));
    assert_eq!(examine(&delivery, "max_age_days = 10"), (true, 1, vec![]));
    assert_eq!(examine(&delivery, "max_age_days = 9"), (false, 0, vec![]));

    let sbom = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []});
    let sbom = delivery.statement("https://cyclonedx.org/bom", &sbom);
    delivery.refer(world.attested(PAYLOAD_TYPE, &sbom).to_string(), BUNDLE);
    let provenance = |builder: &str| {
        json!({
            "buildDefinition": {"buildType": "https://t.example", "externalParameters": {}},
            "runDetails": {"builder": {"id": builder}},
        })
    };
    // Provenance by another builder, and one that another signed, are not the policy's.
    let another = delivery.statement("https://slsa.dev/provenance/v1", &provenance("https://another.example"));
    delivery.refer(world.attested(PAYLOAD_TYPE, &another).to_string(), BUNDLE);
    let built = delivery.statement("https://slsa.dev/provenance/v1", &provenance("https://b.example"));
    delivery.refer(World::new().attested(PAYLOAD_TYPE, &built).to_string(), BUNDLE);
    assert_eq!(examine(&delivery, asked), (false, 2, vec![Part::Provenance]));
    delivery.refer(world.attested(PAYLOAD_TYPE, &built).to_string(), BUNDLE);
    assert_eq!(examine(&delivery, asked), (true, 3, vec![]));
}
