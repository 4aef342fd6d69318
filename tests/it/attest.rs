//! `tarn attest`: as a release script and the conformance suite call it.

use crate::command::{data, tarn, text};
use crate::signed;
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

    let run = verify(&["--provenance-material", "git+https://forge.example/o/r"]);
    assert!(run.code == 1 && run.stderr.contains("not verified: material_mismatch"), "{}", run.stderr);
    let run = verify(&["--provenance-material", "git+https://forge.example/o/r sha256:00"]);
    assert!(run.code == 2 && run.stderr.contains("--provenance-material"), "{}", run.stderr);

    assert_eq!(verify(&["--sbom", "--predicate-type", "x"]).code, 2);
    assert_eq!(tarn(&["attest", "verify", "--identity", "me", text(&artifact)]).code, 2, "no issuer");
    assert_eq!(tarn(&["attest", "verify", text(&artifact)]).code, 2, "nobody");
    let absent = tarn(&["attest", "verify", "--identity", "me", "--issuer", "https://i.example", "absent.txt"]);
    assert_eq!(absent.code, 2);
    assert!(absent.stderr.contains("absent.txt"), "{}", absent.stderr);
}

#[test]
fn a_bare_envelope_passes_by_its_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(at(name), text).unwrap();
    let (key, other) = (signed::Key::new(1), signed::Key::new(2));
    write("app", "what was built");
    write("cosign.pub", &key.public());
    write("other.pub", &other.public());
    let bill = "https://cyclonedx.org/bom";
    let envelope = key.envelope(&signed::statement("what was built", bill, &signed::bill()));
    write("app.json", &envelope);
    let verify = |name: &str, public: &str, more: &[&str]| {
        let (bundle, public, app) = (at(name), at(public), at("app"));
        let all = ["attest", "verify", "--bundle", text(&bundle), "--key", text(&public), text(&app)];
        tarn(&[&all[..], more].concat())
    };
    let rows = verify("app.json", "cosign.pub", &["--sbom"]).ok().rows();
    let checks: Vec<_> = rows.iter().map(|row| row["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["document", "statement", "signature", "artifact", "predicate"]);
    let fails = |run: crate::command::Run, reason: &str| {
        assert!(run.code == 1 && run.stderr.contains(&format!("not verified: {reason}")), "{reason}: {}", run.stderr);
    };
    fails(verify("app.json", "other.pub", &[]), "signature_invalid");
    fails(
        verify("app.json", "cosign.pub", &["--predicate-type", "https://spdx.dev/Document"]),
        "predicate_type_unexpected",
    );
    // Changed below the signature, of another type than was signed, and of both kinds of document at once.
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut envelope: Value = serde_json::from_str(&envelope).unwrap();
        change(&mut envelope);
        write("changed.json", &envelope.to_string());
        verify("changed.json", "cosign.pub", &[])
    };
    let payload = signed::statement("what was built", "https://example.com/other", &json!({})).to_string();
    fails(changed(&|envelope| envelope["payload"] = STANDARD.encode(&payload).into()), "signature_invalid");
    fails(changed(&|envelope| envelope["payloadType"] = "text/plain".into()), "payload_type_unexpected");
    fails(
        changed(&|envelope| envelope["payloadType"] = "application/VND.IN-TOTO+json".into()),
        "payload_type_unexpected",
    );
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    fails(changed(&|envelope| envelope["mediaType"] = bundle.into()), "bundle_malformed");
    write("twice.json", &envelope.replacen('{', r#"{"payloadType": "text/plain", "#, 1));
    fails(verify("twice.json", "cosign.pub", &[]), "document_ambiguous");
    // What the key signed as something else is no statement: the type is a part of what is signed.
    write("plain.json", &key.envelope_of("text/plain", &payload));
    fails(verify("plain.json", "cosign.pub", &[]), "payload_type_unexpected");
    let relabelled = key.envelope_of("text/plain", &payload).replace("text/plain", signed::IN_TOTO);
    write("relabelled.json", &relabelled);
    fails(verify("relabelled.json", "cosign.pub", &[]), "signature_invalid");
    // Nobody vouches for the key's holder.
    let (bundle, app) = (at("app.json"), at("app"));
    let who = ["--identity", "me", "--issuer", "https://i.example"];
    let all = [&["attest", "verify", "--bundle", text(&bundle)], &who[..], &[text(&app)]].concat();
    fails(tarn(&all), "signer_kind_unexpected");
    write("app", "something else");
    fails(verify("app.json", "cosign.pub", &[]), "artifact_mismatch");
}

/// A folder with a bundle that passes, one that is none, a bill of materials, and a policy file.
fn release(case: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| std::fs::copy(case.join(from), folder.path().join(to)).unwrap();
    std::fs::create_dir(folder.path().join("release")).unwrap();
    copy("artifact", "release/d.txt");
    copy("bundle.sigstore.json", "release/d.txt.sigstore.json");
    copy("trusted_root.json", "root.json");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("release/broken.sigstore.json", "{}");
    write("release/package.json", r#"{"name": "d"}"#);
    let digest = "0f".repeat(32);
    let bill = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": {"type": "application",
        "name": "d", "hashes": [{"alg": "SHA-256", "content": "DIGEST"}]}},
        "components": [{"type": "library", "name": "zlib", "version": "1.3"}, {"type": "library", "name": "plain"}]}"#;
    // As writers on Windows begin a file.
    write("release/sbom.json", &format!("\u{feff}{}", bill.replace("DIGEST", &digest)));
    let file = |name: &str| std::fs::read_to_string(case.join(name)).ok().map(|t| t.trim().to_owned());
    let identity = file("identity").unwrap_or_else(|| "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main".into());
    let issuer = file("issuer").unwrap_or_else(|| "https://token.actions.githubusercontent.com".into());
    let policy = format!(
        "[[policy]]\nname = \"release\"\nidentity = \"{identity}\"\nissuer = \"{issuer}\"\ntrusted_root = \"root.json\"\n"
    );
    write("policies.toml", &policy);
    folder
}

#[test]
fn what_is_ingested_is_rows_and_leaves_once() {
    let Some(data) = data() else { return };
    let folder = release(&data.join("sigstore-bundles/intoto-with-custom-trust-root"));
    let at = |name: &str| folder.path().join(name);
    let (lake, policies, documents, key) = (at("lake"), at("policies.toml"), at("release"), at("evidence.key"));
    let public = tarn(&["evidence", "key", "new", text(&key), "--name", "example.com/evidence"]).ok().stdout;
    let ingest = |more: &[&str]| {
        let all = ["attest", "ingest", "--lake", text(&lake), "--policies", text(&policies), text(&documents)];
        tarn(&[&all[..], more].concat())
    };
    let logged = ["--ledger-key", text(&key)];
    let first = ingest(&logged).ok();
    let rows = first.rows();
    let told: Vec<_> =
        rows.iter().map(|row| (row["verdict"].as_str().unwrap(), row["new"].as_bool().unwrap())).collect();
    assert_eq!(told, [("failed", true), ("passed", true), ("not_checked", true)], "{}", first.stdout);
    assert!(rows[1]["artifact"].as_str().unwrap().starts_with("sha256:330a0432"), "{}", rows[1]);
    assert!(first.stderr.contains("left alone: 1"), "package.json is no document: {}", first.stderr);

    let again = ingest(&logged).ok().rows();
    assert!(again.iter().all(|row| row["new"] == false), "{again:?}");
    let count = |sql: &str| {
        let run = tarn(&["sql", "--lake", text(&lake), "--format", "ndjson", sql]).ok();
        run.rows()[0]["n"].as_u64().unwrap()
    };
    assert_eq!(count("SELECT count(*) AS n FROM artifact_signing"), 3);
    assert_eq!(count("SELECT count(*) AS n FROM software_info"), 2);
    let joined =
        "SELECT count(*) AS n FROM software_info s JOIN artifact_signing a ON s.device.image.uid = a.artifact.uid";
    assert_eq!(count(joined), 2);
    let built = "SELECT count(*) AS n FROM artifact_signing WHERE provenance.builder_uid IS NOT NULL";
    assert_eq!(count(built), 1);

    let records = at("records.ndjson");
    std::fs::write(&records, tarn(&["ocsf", "export", "--lake", text(&lake)]).ok().stdout).unwrap();
    tarn(&["ocsf", "validate", text(&records)]).ok();

    // Each is a leaf, with the bytes of its document.
    for row in &rows {
        let proof = at("proof.json");
        tarn(&["evidence", "prove", "--lake", text(&lake), row["uid"].as_str().unwrap(), "-o", text(&proof)]).ok();
        tarn(&["evidence", "verify", text(&proof), "--key", public.trim_end()]).ok();
    }
    let audit = ["evidence", "audit", "--lake", text(&lake), "--key", public.trim_end(), "--format", "ndjson"];
    assert_eq!(tarn(&audit).ok().rows()[0]["leaves"], 3);

    // A run that ended between ledger and tables: the next one puts into the tables what was logged, with its time.
    let times = || {
        let sql = "SELECT metadata.uid AS uid, time FROM artifact_signing ORDER BY metadata.uid";
        tarn(&["sql", "--lake", text(&lake), "--format", "ndjson", sql]).ok().stdout
    };
    let before = times();
    for entry in std::fs::read_dir(&lake).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("_evidence") {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    assert!(ingest(&logged).ok().rows().iter().all(|row| row["new"] == true));
    assert_eq!(times(), before);
    assert_eq!(tarn(&audit).ok().rows()[0]["leaves"], 3);
}

#[test]
fn a_policy_file_is_verified_by_and_its_mistakes_are_usage() {
    let Some(data) = data() else { return };
    let folder = release(&data.join("sigstore-bundles/intoto-with-custom-trust-root"));
    let (policies, artifact) = (folder.path().join("policies.toml"), folder.path().join("release/d.txt"));
    let verify =
        |more: &[&str]| tarn(&[&["attest", "verify", "--policies", text(&policies), text(&artifact)], more].concat());
    verify(&[]).ok();
    verify(&["--policy", "release"]).ok();
    let absent = verify(&["--policy", "other"]);
    assert!(absent.code == 2 && absent.stderr.contains("the file has release"), "{}", absent.stderr);
    assert_eq!(verify(&["--sbom"]).code, 2);
    let nowhere = tarn(&["attest", "verify", "--policies", "nowhere.toml", text(&artifact)]);
    assert!(nowhere.code == 2 && nowhere.stderr.contains("nowhere.toml cannot be read: "), "{}", nowhere.stderr);
    let mut file = std::fs::read_to_string(&policies).unwrap();
    file.push_str("max_age_days = 0\n");
    std::fs::write(&policies, file).unwrap();
    let wrong = verify(&[]);
    assert!(wrong.code == 2 && wrong.stderr.contains("policy[0].max_age_days"), "{}", wrong.stderr);
}

/// Keeps content in a layout; returns its descriptor.
pub fn blob(layout: &Path, content: &str) -> Value {
    let digest = Digest::sha256(content.as_bytes());
    std::fs::write(layout.join("blobs/sha256").join(digest.to_hex()), content).unwrap();
    json!({"digest": digest.to_string(), "size": content.len()})
}

/// A layout of an image `v1` with two signatures as cosign attaches them, by these keys.
pub fn layout(folder: &Path, keys: [&SigningKey; 2]) -> String {
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
pub fn public(folder: &Path, name: &str, key: &SigningKey) -> String {
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
    let none = tarn(&["attest", "verify", "--layout", text(folder.path()), "--key", &own]);
    assert!(none.code == 2 && none.stderr.contains("expected an OCI image layout"), "{}", none.stderr);
    assert_eq!(verify(&own, &["--bundle", "b"]).code, 2);
    // By a policy file: a signature alone, and with a bill of materials that nobody attached.
    let policies = folder.path().join("policies.toml");
    let by_policy = |more: &str| {
        std::fs::write(&policies, format!("[[policy]]\nname = \"app\"\nkey = \"own.pub\"\n{more}")).unwrap();
        tarn(&["attest", "verify", "--layout", text(&app), "--policies", text(&policies)])
    };
    assert!(by_policy("").ok().stderr.contains("1 of 2"));
    let without = by_policy("sbom = true\n");
    assert_eq!(without.code, 1);
    assert!(without.stderr.contains("nothing passes for sbom"), "{}", without.stderr);
    assert_eq!(tarn(&["attest", "verify", "--layout", text(&app)]).code, 2, "nobody");
    // A layout in which anything was changed is not read further, and is not verified.
    let path = app.join("blobs").join(digest.replace(':', "/"));
    let changed = std::fs::read_to_string(&path).unwrap().replace('2', "3");
    std::fs::write(&path, changed).unwrap();
    let changed = verify(&own, &[]);
    assert_ne!(changed.code, 0);
    assert!(changed.stderr.contains("the content has the digest"), "{}", changed.stderr);
}
