//! `tarn attest`: as a release script and the conformance suite call it.

use crate::command::{data, tarn, text};
use std::path::Path;

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
