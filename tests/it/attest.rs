//! `tarn attest`: as a release script and the conformance suite call it.

use crate::command::{data, tarn, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use std::path::Path;
use tarn_attest::Digest;

fn arguments<'a>(case: &'a Path, bundle: &'a Path, artifact: &'a Path, prefix: [&'a str; 2]) -> Vec<String> {
    let file = |name: &str| std::fs::read_to_string(case.join(name)).ok().map(|t| t.trim().to_owned());
    let identity = file("identity").unwrap_or_else(|| "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main".into());
    let issuer = file("issuer").unwrap_or_else(|| "https://token.actions.githubusercontent.com".into());
    let mut arguments: Vec<String> = vec!["--bundle".into(), text(bundle).into()];
    if case.join("key.pub").exists() {
        arguments.extend(["--key".into(), text(&case.join("key.pub")).into()]);
    } else {
        arguments.extend([prefix[0].into(), identity, prefix[1].into(), issuer]);
    }
    if case.join("trusted_root.json").exists() {
        arguments.extend(["--trusted-root".into(), text(&case.join("trusted_root.json")).into()]);
    }
    arguments.push(text(artifact).into());
    arguments
}

#[test]
fn every_conformance_case_exits_as_its_name_says() {
    let Some(data) = data() else { return };
    let folder = data.join("sigstore-bundles");
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let case = entry.unwrap().path();
        if !case.is_dir() {
            continue;
        }
        let own = case.join("artifact");
        let artifact = if own.exists() { own } else { folder.join("a.txt") };
        let names = ["--certificate-identity", "--certificate-oidc-issuer"];
        let arguments = arguments(&case, &case.join("bundle.sigstore.json"), &artifact, names);
        let run =
            tarn(&[&["attest".to_owned(), "conformance".into(), "verify-bundle".into()], &arguments[..]].concat());
        let expected = i32::from(text(&case).ends_with("_fail"));
        assert_eq!(run.code, expected, "{}\n{}{}", case.display(), run.stdout, run.stderr);
        cases += 1;
    }
    assert!(cases >= 30, "{cases}");
}

#[test]
fn a_verification_prints_its_steps_and_names_its_reason() {
    let Some(data) = data() else { return };
    let case = data.join("sigstore-bundles/intoto-with-custom-trust-root");
    // Beside the file, where it is looked for.
    let folder = tempfile::tempdir().unwrap();
    let (artifact, bundle) = (folder.path().join("d.txt"), folder.path().join("d.txt.sigstore.json"));
    std::fs::copy(case.join("artifact"), &artifact).unwrap();
    std::fs::copy(case.join("bundle.sigstore.json"), &bundle).unwrap();
    let verify = |more: &[&str]| {
        let mut all = arguments(&case, &bundle, &artifact, ["--identity", "--issuer"]);
        all.drain(..2);
        let more: Vec<String> = more.iter().map(|m| (*m).to_owned()).collect();
        tarn(&[&["attest".to_owned(), "verify".into()], &more[..], &all[..]].concat())
    };
    let run = verify(&["--predicate-type", "https://slsa.dev/provenance/v1"]).ok();
    let rows = run.rows();
    assert!(rows.iter().all(|row| row["outcome"] == "passed"), "{rows:?}");
    assert_eq!((rows[0]["check"].as_str(), rows[0]["step"].as_u64()), (Some("document"), Some(1)));
    assert!(run.stderr.contains("verified: sha256:330a0432"), "{}", run.stderr);

    let run = verify(&["--provenance-builder", "https://builder.example"]);
    assert_eq!(run.code, 1);
    let rows = run.rows();
    let last = rows.last().unwrap();
    assert_eq!((last["check"].as_str(), last["reason"].as_str()), (Some("builder"), Some("builder_mismatch")));
    assert!(run.stderr.contains("not verified: builder_mismatch"), "{}", run.stderr);

    assert_eq!(verify(&["--sbom", "--predicate-type", "x"]).code, 2);
    assert_eq!(tarn(&["attest", "verify", "--identity", "me", text(&artifact)]).code, 2, "no issuer");
    assert_eq!(tarn(&["attest", "verify", text(&artifact)]).code, 2, "nobody");
    let absent = tarn(&["attest", "verify", "--identity", "me", "--issuer", "https://i.example", "absent.txt"]);
    assert_eq!(absent.code, 2);
    assert!(absent.stderr.contains("absent.txt"), "{}", absent.stderr);
}

/// Keeps content in a layout; returns its descriptor.
fn blob(layout: &Path, content: &str) -> Value {
    let digest = Digest::sha256(content.as_bytes());
    std::fs::write(layout.join("blobs/sha256").join(digest.to_hex()), content).unwrap();
    json!({"digest": digest.to_string(), "size": content.len()})
}

/// A layout of an image `v1` with two signatures as cosign attaches them, by these keys.
fn layout(folder: &Path, keys: [&SigningKey; 2]) -> String {
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut image = blob(folder, &json!({"schemaVersion": 2, "layers": []}).to_string());
    let digest = image["digest"].as_str().unwrap().to_owned();
    image["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    let critical = json!({"image": {"docker-manifest-digest": digest}, "type": "cosign container image signature"});
    let payload = json!({"critical": critical}).to_string();
    let layers = keys.map(|key| {
        let mut layer = blob(folder, &payload);
        layer["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json".into();
        let signature = STANDARD.encode(key.sign(payload.as_bytes()).to_bytes());
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        layer
    });
    let mut signatures = blob(folder, &json!({"schemaVersion": 2, "layers": layers}).to_string());
    let tag = format!("{}.sig", digest.replace(':', "-"));
    signatures["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    let index = json!({"schemaVersion": 2, "manifests": [image, signatures]});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    digest
}

/// A public key's file (RFC 8410).
fn public(folder: &Path, name: &str, key: &SigningKey) -> String {
    let mut der = hex::decode("302a300506032b6570032100").unwrap();
    der.extend(key.verifying_key().to_bytes());
    let path = folder.join(name);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    std::fs::write(&path, pem).unwrap();
    text(&path).to_owned()
}

#[test]
fn an_image_in_a_layout_passes_by_one_of_what_is_attached() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    let [own, another, nobody] = [1, 2, 3].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let digest = layout(&app, [&another, &own]);
    let own = public(folder.path(), "own.pub", &own);
    let verify =
        |key: &str, more: &[&str]| tarn(&[&["attest", "verify", "--layout", text(&app), "--key", key], more].concat());
    for name in [&[][..], &["v1"], &[digest.as_str()]] {
        let run = verify(&own, name).ok();
        let rows = run.rows();
        let outcomes: Vec<_> = rows.iter().map(|row| (row["check"].as_str(), row["outcome"].as_str())).collect();
        assert!(outcomes.contains(&(Some("signature"), Some("failed"))), "{outcomes:?}");
        assert_eq!(outcomes.last(), Some(&(Some("artifact"), Some("passed"))));
        assert!(rows.iter().all(|row| row["document"].as_str().is_some_and(|d| d.starts_with("sha256:"))));
        assert!(run.stderr.contains(&format!("verified: {digest}: 1 of 2")), "{}", run.stderr);
    }
    let nobody = verify(&public(folder.path(), "nobody.pub", &nobody), &[]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.stderr.contains("none of 2 attached documents passes"), "{}", nobody.stderr);
    assert_eq!(verify(&own, &["--sbom"]).code, 1, "a signature is no bill of materials");
    assert!(verify(&own, &["v2"]).stderr.contains("no image \"v2\""));
    assert_eq!(verify(&own, &["--bundle", "b"]).code, 2);
    assert_eq!(tarn(&["attest", "verify", "--layout", text(&app)]).code, 2, "nobody");
    // A layout in which anything was changed is not read further, and is not verified.
    let path = app.join("blobs").join(digest.replace(':', "/"));
    let changed = std::fs::read_to_string(&path).unwrap().replace('2', "3");
    std::fs::write(&path, changed).unwrap();
    let changed = verify(&own, &[]);
    assert_ne!(changed.code, 0);
    assert!(changed.stderr.contains("the content has the digest"), "{}", changed.stderr);
}
