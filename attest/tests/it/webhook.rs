//! The admission webhook by its HTTP: answers in time, each with its record, whatever fails.

use crate::policies::{KEYED, policies};
use crate::world::{ARTIFACT, PAYLOAD_TYPE, SIGNED_AT, World, b64, statement};
use async_trait::async_trait;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tarn_attest::admission::{
    Admission, Layouts, Limits, Mode, Parts, Recorder, Reference, Source, SourceError, Summarizer, SummarizerError,
    router,
};
use tarn_attest::ledger::Entry;
use tarn_attest::oci::{Attached, Content, Found};
use tarn_attest::policies::Policies;
use tarn_attest::{Artifact, Digest};
use tower::ServiceExt;

const POLICY: &str = "images = [\"r.example/*\"]\n";
/// More than a deadline of the tests, and less than they may take.
const LONG: Duration = Duration::from_millis(1500);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(SIGNED_AT, 0).unwrap() + TimeDelta::days(1)
}

/// Documents for every image, where it does not fail.
#[derive(Default)]
struct Registry {
    documents: Vec<Attached>,
    asked: AtomicUsize,
    fails: AtomicBool,
    is_slow: AtomicBool,
}

#[async_trait]
impl Source for Registry {
    async fn attached(&self, _: &Reference, _: &Digest) -> Result<Vec<Attached>, SourceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let wait = if self.is_slow.load(Ordering::SeqCst) { LONG } else { Duration::from_millis(20) };
        tokio::time::sleep(wait).await;
        if self.fails.load(Ordering::SeqCst) { Err("the registry is away".into()) } else { Ok(self.documents.clone()) }
    }
}

#[derive(Default)]
struct Kept {
    entries: Mutex<Vec<Entry>>,
    fails: AtomicBool,
    is_slow: AtomicBool,
}

#[async_trait]
impl Recorder for Kept {
    async fn record(&self, entries: Vec<Entry>) -> Result<(), String> {
        if self.is_slow.load(Ordering::SeqCst) {
            tokio::time::sleep(LONG).await;
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err("the disk is full".to_owned());
        }
        self.entries.lock().unwrap().extend(entries);
        Ok(())
    }
}

impl Kept {
    fn records(&self) -> Vec<Value> {
        self.entries.lock().unwrap().iter().map(|entry| serde_json::from_slice(entry.record()).unwrap()).collect()
    }

    fn decisions(&self) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["class_uid"] == 6003).collect()
    }
}

struct Hook {
    world: World,
    registry: Arc<Registry>,
    kept: Arc<Kept>,
    admission: Arc<Admission>,
}

fn attached(bundle: &Value) -> Attached {
    let bytes = bundle.to_string().into_bytes();
    Attached {
        manifest: Digest::sha256(b"manifest"),
        digest: Digest::sha256(&bytes),
        media_type: "application/vnd.dev.sigstore.bundle.v0.3+json".to_owned(),
        found: Found::Referrer,
        content: Content::Bundle(bytes),
    }
}

impl Hook {
    /// An image of which somebody else says something, and the policy's signer as well.
    fn new(mode: Mode, more: &str, summarizer: Option<Summarizer>) -> Self {
        let world = World::new();
        let said = statement("https://example.com/said", &json!({})).to_string();
        let documents =
            [World::new().attested(PAYLOAD_TYPE, said.as_bytes()), world.attested(PAYLOAD_TYPE, said.as_bytes())];
        let documents = documents.iter().map(attached).collect();
        let registry = Arc::new(Registry { documents, ..Registry::default() });
        let kept = Arc::new(Kept::default());
        let admission = Arc::new(Admission::new(Parts {
            policies: policies(&world, &format!("{KEYED}{POLICY}{more}")),
            mode,
            source: registry.clone(),
            recorder: Some(kept.clone()),
            summarizer,
            clock: Arc::new(now),
            limits: Limits::default(),
        }));
        Self { world, registry, kept, admission }
    }

    async fn post(&self, query: &str, body: impl Into<Body>) -> (StatusCode, String) {
        let request = Request::post(format!("/validate{query}")).body(body.into()).unwrap();
        let response = router(self.admission.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The answer to a Pod with these images.
    async fn ask(&self, query: &str, images: &[&str]) -> Value {
        let (status, body) = self.post(query, review(images).to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&answer["kind"], &answer["response"]["uid"]), (&json!("AdmissionReview"), &json!("705ab4f5")));
        answer["response"].clone()
    }
}

fn review(images: &[&str]) -> Value {
    let containers: Vec<_> = images.iter().map(|image| json!({"name": "c", "image": image})).collect();
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
            "name": "web", "namespace": "shop", "userInfo": {"username": "alice"}, "dryRun": false,
            "object": {"metadata": {"uid": "0a1b2c3d"}, "spec": {"containers": containers}},
        },
    })
}

fn image() -> String {
    format!("r.example/app:v1@{}", Digest::sha256(ARTIFACT))
}

fn decided(response: &Value) -> (bool, &str) {
    (response["allowed"].as_bool().unwrap(), response["auditAnnotations"]["decision"].as_str().unwrap())
}

#[tokio::test]
async fn an_answer_is_recorded_with_what_it_stands_on() {
    let hook = Hook::new(Mode::Enforce, "", None);
    let response = hook.ask("?timeout=10s", &[&image()]).await;
    assert_eq!(decided(&response), (true, "attested"));
    let records = hook.kept.records();
    let classes: Vec<_> = records.iter().map(|record| record["class_uid"].as_u64().unwrap()).collect();
    assert_eq!(classes, [99_906_001, 99_906_001, 6003], "verifications come before the decision");
    let (other, own, decision) = (&records[0], &records[1], &records[2]);
    assert_eq!((&other["trust_verdict"], &own["trust_verdict"]), (&json!("Failed"), &json!("Passed")));
    assert_eq!(own["artifact"]["name"], "r.example/app");
    let entries = hook.kept.entries.lock().unwrap();
    assert_eq!(Digest::sha256(entries[1].raw().unwrap()).to_string(), own["attestation"]["uid"]);
    assert_eq!(entries[2].uid(), response["auditAnnotations"]["record"]);
    assert_eq!(
        (&decision["metadata"]["uid"], &decision["metadata"]["correlation_uid"]),
        (&json!(entries[2].uid()), &json!("705ab4f5"))
    );
    let evidence = &decision["enrichments"][0]["data"]["evidence"];
    let stood: Vec<_> = evidence.as_array().unwrap().iter().map(|e| (&e["uid"], &e["passed"])).collect();
    assert_eq!(stood, [(&other["metadata"]["uid"], &json!(false)), (&own["metadata"]["uid"], &json!(true))]);
    assert_eq!(decision["authorizations"][0]["decision"], "allow");
    assert_eq!(decision["authorizations"][0]["policy"]["uid"], "builds");
    let resources: Vec<_> =
        decision["resources"].as_array().unwrap().iter().map(|r| (&r["type"], &r["name"])).collect();
    assert_eq!(resources, [(&json!("Pod"), &json!("web")), (&json!("container image"), &json!(image()))]);
    assert_eq!(decision["resources"][0]["uid"], "0a1b2c3d");
}

#[tokio::test]
async fn what_is_not_attested_is_warned_of_or_refused_and_recorded_so() {
    for (mode, allowed, outcome) in [(Mode::Warn, true, "warned"), (Mode::Enforce, false, "refused")] {
        for (image, more, why) in [
            ("r.example/app:v1", "", "named without a digest"),
            (&image().replace("r.example", "other.example"), "", "no policy is for it"),
            (
                &image().replace(&Digest::sha256(ARTIFACT).to_hex(), &"0".repeat(64)),
                "",
                "none of 2 attached documents passes",
            ),
            (&image(), "sbom = true\n", "nothing passes for sbom"),
        ] {
            let hook = Hook::new(mode, more, None);
            let response = hook.ask("", &[image]).await;
            assert_eq!(decided(&response), (allowed, outcome), "{image}");
            let told = response.to_string();
            assert!(told.contains(why), "{told}");
            let decisions = hook.kept.decisions();
            let ([record], action) = (&decisions[..], if allowed { "Allowed" } else { "Denied" }) else {
                panic!("{decisions:?}")
            };
            assert_eq!(
                (&record["action"], &record["metadata"]["uid"]),
                (&json!(action), &response["auditAnnotations"]["record"])
            );
            assert!(record["status_detail"].as_str().unwrap().contains(why), "{record}");
        }
    }
}

#[tokio::test]
async fn an_image_is_asked_about_once_for_a_while_and_failures_are_not_kept() {
    let hook = Hook::new(Mode::Enforce, "", None);
    hook.registry.fails.store(true, Ordering::SeqCst);
    let response = hook.ask("", &[&image()]).await;
    assert_eq!(decided(&response), (false, "refused"));
    assert!(response["status"]["message"].as_str().unwrap().contains("the registry is away"), "{response}");
    hook.registry.fails.store(false, Ordering::SeqCst);
    // At the same time, under two tags, and then again.
    let names = [image(), image().replace(":v1", ":v2")];
    let ask = |number: usize| {
        let (hook, name) = (&hook, names[number % 2].as_str());
        async move { hook.ask("", &[name]).await }
    };
    let all = futures::future::join_all((0..20).map(ask)).await;
    assert!(all.iter().all(|response| decided(response) == (true, "attested")), "{all:?}");
    hook.ask("", &[&image()]).await;
    assert_eq!(hook.registry.asked.load(Ordering::SeqCst), 2);
    let evidence: Vec<_> =
        hook.kept.decisions().iter().skip(1).map(|d| d["enrichments"][0]["data"]["evidence"].clone()).collect();
    assert!(evidence.iter().all(|e| *e == evidence[0]), "they stand on the same records");
    // Other policies know nothing of it.
    hook.admission.replace(policies(&World::new(), &format!("{KEYED}{POLICY}")));
    assert_eq!(decided(&hook.ask("", &[&image()]).await), (false, "refused"));
    hook.admission.replace(policies(&hook.world, &format!("{KEYED}{POLICY}")));
    assert_eq!(decided(&hook.ask("", &[&image()]).await), (true, "attested"));
}

#[tokio::test]
async fn without_a_record_the_mode_says_what_becomes_of_it() {
    for (mode, expected) in [(Mode::Warn, (true, "warned")), (Mode::Enforce, (false, "refused"))] {
        // The evidence is recorded, and then the disk is full.
        let hook = Hook::new(mode, "", None);
        hook.ask("", &[&image()]).await;
        hook.kept.fails.store(true, Ordering::SeqCst);
        let response = hook.ask("", &[&image()]).await;
        assert_eq!(decided(&response), expected);
        assert!(response.to_string().contains("the decision is not recorded: the disk is full"), "{response}");
        assert!(response["auditAnnotations"]["record"].is_null());
        // It is full from the start: evidence that is not recorded does not count.
        let hook = Hook::new(mode, "", None);
        hook.kept.fails.store(true, Ordering::SeqCst);
        let response = hook.ask("", &[&image()]).await;
        assert_eq!(decided(&response), expected);
        assert!(response.to_string().contains("its evidence cannot be recorded: the disk is full"), "{response}");
        hook.kept.fails.store(false, Ordering::SeqCst);
        assert_eq!(decided(&hook.ask("", &[&image()]).await), (true, "attested"));
    }
}

#[tokio::test]
async fn at_the_deadline_there_is_an_answer() {
    for (mode, expected) in [(Mode::Warn, (true, "warned")), (Mode::Enforce, (false, "refused"))] {
        let hook = Hook::new(mode, "", None);
        hook.registry.is_slow.store(true, Ordering::SeqCst);
        let began = std::time::Instant::now();
        let response = hook.ask("?timeout=1s", &[&image()]).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(decided(&response), expected);
        assert!(response.to_string().contains("not verified: not by the deadline"), "{response}");
        assert_eq!(hook.kept.decisions().len(), 1, "in time for its record");
        // What was begun goes on, and is there for the next one.
        tokio::time::sleep(LONG).await;
        assert_eq!(decided(&hook.ask("?timeout=1s", &[&image()]).await), (true, "attested"));
        assert_eq!(hook.registry.asked.load(Ordering::SeqCst), 1);

        hook.kept.is_slow.store(true, Ordering::SeqCst);
        let response = hook.ask("?timeout=1s", &[&image()]).await;
        assert_eq!(decided(&response), expected);
        assert!(response.to_string().contains("the decision is not recorded: not by the deadline"), "{response}");
        // The record comes late; where the answer was another, the last one says so.
        tokio::time::sleep(LONG * 2 + LONG / 2).await;
        let actions: Vec<_> = hook.kept.decisions().iter().skip(2).map(|d| d["action"].clone()).collect();
        let expected = if mode == Mode::Warn { vec!["Allowed"] } else { vec!["Allowed", "Denied"] };
        assert_eq!(actions, expected);
    }
}

#[tokio::test]
async fn what_is_no_question_is_named_and_has_no_record() {
    let hook = Hook::new(Mode::Warn, "", None);
    let good = review(&[&image()]).to_string();
    let old = good.replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    for (query, body, status, why) in [
        ("", "{".to_owned(), StatusCode::BAD_REQUEST, "no JSON"),
        ("", "{}".to_owned(), StatusCode::BAD_REQUEST, "apiVersion"),
        ("", old, StatusCode::BAD_REQUEST, "got \"AdmissionReview\" of \"admission.k8s.io/v1beta1\""),
        ("", " ".repeat((3 << 20) + 1), StatusCode::PAYLOAD_TOO_LARGE, "longer than 3145728 bytes"),
        ("?timeout=soon", good.clone(), StatusCode::BAD_REQUEST, "a duration such as 10s, got \"soon\""),
        ("?timeout=0s", good.clone(), StatusCode::BAD_REQUEST, "got \"0s\""),
        ("?timeout=99999999999s", good.clone(), StatusCode::BAD_REQUEST, "got \"99999999999s\""),
    ] {
        let (got, told) = hook.post(query, body).await;
        assert_eq!(got, status, "{told}");
        assert!(told.contains(why), "{told}");
    }
    assert!(hook.kept.records().is_empty());
    let get = |path: &str| {
        let request = Request::get(path.to_owned()).body(Body::empty()).unwrap();
        router(hook.admission.clone()).oneshot(request)
    };
    assert_eq!(get("/validate").await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(hook.post("?timeout=1m0s500ms", good).await.0, StatusCode::OK);
    let metrics = get("/metrics").await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    assert!(metrics.contains("tarn_admission_invalid_total 7\n"), "{metrics}");
    assert!(metrics.contains("tarn_admission_answers_total{decision=\"attested\"} 1\n"), "{metrics}");
    assert_eq!(get("/readyz").await.unwrap().status(), StatusCode::OK);
    hook.admission.stop();
    assert_eq!(get("/readyz").await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get("/healthz").await.unwrap().status(), StatusCode::OK);
}

fn pem(what: &str, der: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", b64(der))
}

/// A private key's file and the public key's, of each kind.
fn keys() -> [(String, String); 2] {
    let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
    let public = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, p256.as_ref()).unwrap();
    let ed25519 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let edwards = Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap();
    [
        (pem("PRIVATE KEY", p256.as_ref()), pem("PUBLIC KEY", public.public_key().as_der().unwrap().as_ref())),
        (pem("PRIVATE KEY", ed25519.as_ref()), pem("PUBLIC KEY", edwards.public_key().as_der().unwrap().as_ref())),
    ]
}

#[tokio::test]
async fn an_image_that_passed_leaves_a_summary_that_others_verify() {
    const VERIFIER: &str = "https://example.com/admission";
    for (private, public) in keys() {
        let hook = Hook::new(Mode::Warn, "", Some(Summarizer::read(private.as_bytes(), VERIFIER).unwrap()));
        let response = hook.ask("", &[&image(), "r.example/untagged"]).await;
        assert_eq!(decided(&response), (true, "warned"));
        let (records, entries) = (hook.kept.records(), hook.kept.entries.lock().unwrap());
        let at = records.iter().position(|record| record["activity_name"] == "Attest").unwrap();
        let passed =
            records.iter().find(|record| record["activity_name"] == "Verify" && record["trust_verdict"] == "Passed");
        assert_eq!(records[at]["evidence_uids"], json!([passed.unwrap()["metadata"]["uid"]]));
        let decision = records.last().unwrap();
        assert_eq!(decision["enrichments"][0]["data"]["summary"]["uid"], records[at]["metadata"]["uid"]);
        assert!(decision["enrichments"][1]["data"]["summary"].is_null());
        // By a policy of somebody who trusts the webhook's key.
        let envelope = entries[at].raw().unwrap();
        let trusting = |verifier: &str, resource: &str| {
            let text = format!(
                "[[policy]]\nname = \"p\"\nkey = \"k\"\nmax_age_days = 1\n[policy.summary]\nverifier = \"{verifier}\"\nresource = \"{resource}\"\n"
            );
            Policies::read(text.as_bytes(), |_| Ok(public.clone().into_bytes())).unwrap()
        };
        let reason = |policies: &Policies, artifact: &[u8]| {
            policies.only().unwrap().verify(Artifact::Bytes(artifact), envelope, now()).reason().map(|r| r.as_str())
        };
        assert_eq!(reason(&trusting(VERIFIER, "oci://r.example/app"), ARTIFACT), None);
        assert_eq!(
            reason(&trusting("https://example.com/x", "oci://r.example/app"), ARTIFACT),
            Some("verifier_mismatch")
        );
        assert_eq!(reason(&trusting(VERIFIER, "oci://r.example/other"), ARTIFACT), Some("resource_mismatch"));
        assert_eq!(reason(&trusting(VERIFIER, "oci://r.example/app"), b"another"), Some("artifact_mismatch"));
    }
    let [(private, public), _] = keys();
    assert!(matches!(Summarizer::read(public.as_bytes(), VERIFIER), Err(SummarizerError::Key)));
    assert!(matches!(Summarizer::read(private.as_bytes(), "me"), Err(SummarizerError::Verifier(_))));
}

#[tokio::test]
async fn no_image_is_looked_for_beside_the_layouts_and_a_folder_that_went_is_no_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let broken = |at: &std::path::Path| {
        std::fs::create_dir_all(at).unwrap();
        std::fs::write(at.join("oci-layout"), "{}").unwrap();
    };
    broken(&folder.path().join("x"));
    broken(&tree.join("r.example/app"));
    assert!(Layouts::open(&folder.path().join("nowhere")).is_err());
    let layouts = Layouts::open(&tree).unwrap();
    let digest = Digest::sha256(ARTIFACT);
    let attached = |name: &str| {
        let (layouts, digest) = (&layouts, digest.clone());
        let reference = Reference::read(&format!("{name}@{digest}")).unwrap();
        async move { layouts.attached(&reference, &digest).await.map(|found| found.len()).map_err(|e| e.to_string()) }
    };
    assert!(attached("r.example/app").await.is_err(), "it is there, and none");
    assert_eq!(attached("../x").await, Ok(0));
    assert_eq!(attached("r.example/other").await, Ok(0));
    std::fs::remove_dir_all(&tree).unwrap();
    assert!(attached("r.example/other").await.unwrap_err().contains("expected a folder"));
}
