//! The fuzz targets of `fuzz/`, on inputs that are made of this crate's fixtures: the same every time, and some thousands.

#[path = "../../../fuzz/src/ledger.rs"]
mod ledger;
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;
#[path = "../../../fuzz/src/attest.rs"]
mod targets;

use crate::cases;
use crate::world::{ARTIFACT, PAYLOAD_TYPE, World, statement};
use crate::{admission, evidence, policies, provenance};
use mutate::run;
use serde_json::{Value, json};

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn statements() -> Vec<Vec<u8>> {
    let predicates = [
        (provenance::V1, provenance::v1()),
        ("https://slsa.dev/verification_summary/v1", provenance::summary("PASSED")),
        ("https://cyclonedx.org/bom", evidence::cyclonedx()),
    ];
    predicates.map(|(kind, predicate)| bytes(&statement(kind, &predicate))).into()
}

#[test]
fn signed_documents() {
    let world = World::new();
    let statement = statements().remove(0);
    let mut bundles = vec![bytes(&world.message(ARTIFACT)), bytes(&world.attested(PAYLOAD_TYPE, &statement))];
    // Keyless ones, with certificates and timestamps.
    let cases = cases::folder().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    bundles.extend(cases.filter_map(|case| std::fs::read(case.path().join("bundle.sigstore.json")).ok()).take(8));
    run("attest_bundle", targets::bundle, &bundles, 2_000);
    run("attest_envelope", targets::envelope, &[bytes(&world.envelope(PAYLOAD_TYPE, &statement))], 3_000);
    run("attest_statement", targets::statement, &statements(), 3_000);
}

#[test]
fn predicates() {
    let builds = [bytes(&provenance::v1()), bytes(&provenance::v02())];
    run("attest_provenance", targets::provenance, &builds, 5_000);
    run("attest_summary", targets::summary, &[bytes(&provenance::summary("PASSED"))], 5_000);
    run("attest_cyclonedx", targets::cyclonedx, &[bytes(&evidence::cyclonedx())], 4_000);
    run("attest_spdx", targets::spdx, &[bytes(&evidence::spdx())], 4_000);
}

#[test]
fn images_and_workloads() {
    let descriptor = json!({"mediaType": "x", "digest": format!("sha256:{}", "0".repeat(64)), "size": 2,
        "annotations": {"org.opencontainers.image.ref.name": "latest", "kind": "dev.cosignproject.cosign/sigs"}});
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    let manifest = json!({"schemaVersion": 2, "layers": [descriptor], "subject": descriptor, "config": descriptor});
    run("attest_oci", targets::oci, &[bytes(&index), bytes(&manifest)], 1_000);
    let image = format!("r.example/app@sha256:{}", "1".repeat(64));
    let spec = json!({"containers": [{"name": "a", "image": image}], "initContainers": [{"name": "i", "image": "i:1"}],
        "volumes": [{"name": "v", "image": {"reference": image}}]});
    let pod = admission::review("", "Pod", json!({"metadata": {"generateName": "web-"}, "spec": spec}));
    let job = admission::review("batch", "Job", json!({"spec": {"template": {"spec": spec}}}));
    run("attest_review", targets::review, &[bytes(&pod), bytes(&job)], 5_000);
}

#[test]
fn policies_and_roots() {
    let world = World::new();
    let policy = format!("{}images = [\"r.example/*\"]\n[policy.provenance]\nbuilder = \"b\"\n", policies::KEYED);
    let seeds = [policy.into_bytes(), bytes(&world.root()), world.pem().into_bytes()];
    run("attest_policies", targets::policies, &seeds, 3_000);
}

#[test]
fn records_of_lineage() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let verified = json!({"activity_id": 3, "time": 1, "metadata": {"uid": "v"}, "trust_verdict_id": 1,
        "artifact": {"uid": digest}, "attestation": {"uid": digest, "predicate_type": "https://spdx.dev"},
        "signer": {"uid": "ci"}, "tlog_entry": {"trust_verdict_id": 1, "log_index": 7},
        "provenance": {"source_commit": "c", "invocation_uid": "b"}});
    let event = json!({"objectRef": {"resource": "pods", "namespace": "ml", "name": "app"}, "image": format!("a@{digest}"),
        "k8s.pod.name": "app", "k8s.ns.name": "ml", "process": {"pod": {"namespace": "ml", "name": "app"}}});
    let finding = json!({"time": 2, "severity": "High", "status": "New", "raw_data": event.to_string(),
        "metadata": {"uid": "f", "log_name": "audit"}, "status_id": 1, "finding_info": {"uid": "f", "title": "t"},
        "resources": [{"namespace": "ml", "name": "app", "uid": "u"}], "evidences": [{"data": event.to_string(),
        "container": {"image": {"uid": digest}, "pod_uuid": "u"}}], "authorizations": [{"decision": "allow"}]});
    run("attest_lineage", targets::chain, &[bytes(&verified), bytes(&finding)], 4_000);
}

#[test]
fn the_ledger() {
    run("ledger_leaf", ledger::leaf, &[ledger::leaf_seed()], 5_000);
    run("ledger_batch", ledger::batch, &[ledger::batch_seed()], 100);
    let key = b"example.com/evidence+b8276b1e+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs".to_vec();
    run("ledger_checkpoint", ledger::checkpoint, &[ledger::checkpoint_seed(), key], 3_000);
    run("ledger_proof", ledger::proof, &[ledger::proof_seed()], 2_000);
    run("ledger_consistency", ledger::consistency, &[ledger::consistency_seed()], 2_000);
}

#[cfg(feature = "registry")]
#[test]
fn registries() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let descriptor = json!({"mediaType": "x", "digest": digest, "size": 2});
    let texts = [
        r#"Bearer realm="https://a.example/t",service="s",scope="repository:a:pull""#,
        r#"Negotiate, Basic realm="r", Digest qop=auth"#,
        r#"</v2/team/app/referrers/d?last=x,y>; rel="next", <https://r.example/>; rel=prev"#,
        r#"{"token":"abc","access_token":"abc","expires_in":300}"#,
        r#"{"errors":[{"code":"DENIED","message":"no","detail":{"a":[1]}}]}"#,
    ];
    let mut seeds: Vec<_> = texts.map(|text| text.as_bytes().to_vec()).into();
    seeds.push(bytes(&json!({"schemaVersion": 2, "manifests": [descriptor]})));
    seeds
        .push(bytes(&json!({"schemaVersion": 2, "layers": [descriptor], "subject": descriptor, "config": descriptor})));
    run("attest_registry", targets::registry::answers, &seeds, 300);
    let auths = json!({"https://index.docker.io/v1/": {"auth": "bWU6YS1zZWNyZXQtd29yZA=="},
        "r.example": {"username": "me", "password": "a-secret-word", "email": "me@r.example"},
        "r.example:5000": {"identitytoken": "a-secret-token", "auth": ""}});
    let kept = json!({"auths": {"r.example": {}}, "credsStore": "desktop", "credHelpers": {"docker.io": "ecr-login"}});
    let seeds = [bytes(&json!({"auths": auths})), bytes(&kept)];
    run("attest_docker_config", targets::registry::docker_config, &seeds, 5_000);
}
