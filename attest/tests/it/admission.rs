//! Reviews as an API server asks them, and the answers.

use serde_json::{Value, json};
use std::cell::RefCell;
use tarn_attest::Digest;
use tarn_attest::admission::{Decision, Mode, Reference, Review, Unattested, Verdict, WorkloadError, decide};

fn digest(of: &str) -> String {
    Digest::sha256(of.as_bytes()).to_string()
}

pub fn review(group: &str, kind: &str, object: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5", "kind": {"group": group, "version": "v1", "kind": kind},
            "operation": "CREATE", "name": "", "namespace": "shop",
            "userInfo": {"username": "alice"}, "object": object,
        },
    })
}

fn pod(spec: Value) -> Value {
    review("", "Pod", json!({"metadata": {"generateName": "web-"}, "spec": spec}))
}

fn read(review: &Value) -> Review {
    Review::read(review.to_string().as_bytes()).unwrap()
}

/// The image named `good` is attested.
fn answer(review: &Value, mode: Mode) -> (Decision, Value) {
    let verify = |_: &Reference, image: &Digest| match image.to_string() == digest("good") {
        true => Verdict::Attested,
        false => Verdict::Unattested(Unattested::Failed("none of 2 attached documents passes".into())),
    };
    let decision = decide(&read(review), mode, verify);
    let answer = decision.answer();
    assert_eq!(answer["response"]["uid"], "705ab4f5");
    assert_eq!(answer["response"]["allowed"], decision.allowed);
    (decision, answer["response"].clone())
}

#[test]
fn images_of_every_kind_of_container_and_workload_are_found() {
    let spec = json!({
        "containers": [{"name": "a", "image": "r.example/a"}], "initContainers": [{"name": "i", "image": "r.example/i:1"}],
        "ephemeralContainers": [{"name": "e", "image": "r.example/e"}],
        "volumes": [{"name": "v", "image": {"reference": "r.example/v"}}, {"name": "w", "emptyDir": {}}],
    });
    let template = json!({"template": {"spec": spec}});
    let of = |value: &Value| value.clone();
    for (group, kind, object) in [
        ("", "Pod", json!({"spec": of(&spec)})),
        ("", "PodTemplate", of(&template)),
        ("", "ReplicationController", json!({"spec": of(&template)})),
        ("apps", "Deployment", json!({"spec": of(&template)})),
        ("apps", "ReplicaSet", json!({"spec": of(&template)})),
        ("apps", "StatefulSet", json!({"spec": of(&template)})),
        ("apps", "DaemonSet", json!({"spec": of(&template)})),
        ("batch", "Job", json!({"spec": of(&template)})),
        ("batch", "CronJob", json!({"spec": {"jobTemplate": {"spec": of(&template)}}})),
    ] {
        let review = read(&review(group, kind, object));
        let images = review.images.unwrap();
        let by: Vec<_> = images.iter().map(|used| used.by.as_str()).collect();
        assert_eq!(by, ["i", "a", "e", "v"], "{kind}");
        assert_eq!(images[0].reference.as_ref().unwrap().tag.as_deref(), Some("1"));
    }
    // A validating webhook is asked when the name was made; it is in the object alone.
    let made = json!({"generateName": "web-", "name": "web-x7k2p", "uid": "0a1b2c3d"});
    let made = read(&review("", "Pod", json!({"metadata": made, "spec": {"containers": []}})));
    assert_eq!((made.name.as_str(), made.object_uid.as_str()), ("web-x7k2p", "0a1b2c3d"));
    let review = read(&pod(spec));
    assert_eq!((review.kind.as_str(), review.namespace.as_str()), ("Pod", "shop"));
    assert_eq!((review.name.as_str(), review.user.as_str()), ("web-", "alice"));
}

#[test]
fn an_attested_workload_may_run_and_another_is_warned_of_or_refused() {
    let good = format!("r.example/good@{}", digest("good"));
    let bad = format!("r.example/bad:v1@{}", digest("bad"));
    let of = |images: &[&str]| {
        let containers: Vec<_> = images.iter().map(|image| json!({"name": "c", "image": image})).collect();
        pod(json!({"containers": containers}))
    };
    for mode in [Mode::Warn, Mode::Enforce] {
        let (decision, response) = answer(&of(&[&good, &good]), mode);
        assert!(decision.allowed && decision.is_attested());
        assert_eq!(response["auditAnnotations"]["decision"], "attested");
        assert!(response.get("warnings").is_none() && response.get("status").is_none());
    }
    for (image, why) in [
        (bad.as_str(), "none of 2 attached documents passes"),
        ("r.example/good:v1", "named without a digest"),
        ("r.example/good", "named without a digest"),
        ("", "no image reference"),
        ("R.example/GOOD@sha256:00", "no image reference"),
    ] {
        let both = of(&[&good, image]);
        let (decision, warned) = answer(&both, Mode::Warn);
        assert!(decision.allowed && !decision.is_attested());
        let warning = warned["warnings"][0].as_str().unwrap();
        assert!(warning.contains(why) && warning.contains(image), "{warning}");
        assert_eq!(
            (warned["warnings"].as_array().unwrap().len(), &warned["auditAnnotations"]["decision"]),
            (1, &json!("warned"))
        );
        let (decision, refused) = answer(&both, Mode::Enforce);
        assert!(!decision.allowed);
        assert_eq!(
            (&refused["status"]["code"], &refused["auditAnnotations"]["decision"]),
            (&json!(403), &json!("refused"))
        );
        assert!(refused["status"]["message"].as_str().unwrap().contains(why));
    }
}

#[test]
fn what_cannot_be_told_is_refused_where_it_is_enforced() {
    let mut deleted = pod(json!({"containers": [{"name": "c", "image": "a"}]}));
    deleted["request"]["operation"] = "DELETE".into();
    let many: Vec<_> = (0..257).map(|i| json!({"name": "c", "image": i.to_string()})).collect();
    for (review, expected) in [
        (deleted, "operation"),
        (review("", "Node", json!({})), "kind"),
        (review("other.example", "Deployment", json!({"spec": {"template": {"spec": {"containers": []}}}})), "kind"),
        (review("apps", "Deployment", json!({"spec": {}})), "object"),
        (pod(json!({"containers": "none"})), "object"),
        (pod(json!({"containers": []})), "object"),
        (review("", "Pod", Value::Null), "object"),
        (pod(json!({"containers": many})), "too many"),
    ] {
        let error = read(&review).images.unwrap_err();
        let got = match error {
            WorkloadError::Operation(_) => "operation",
            WorkloadError::Kind(_) => "kind",
            WorkloadError::Object { .. } => "object",
            WorkloadError::TooMany(_) => "too many",
        };
        assert_eq!(got, expected, "{error}");
        let (decision, warned) = answer(&review, Mode::Warn);
        assert!(decision.allowed && !decision.is_attested());
        assert_eq!(warned["warnings"], json!([error.to_string()]));
        assert!(!answer(&review, Mode::Enforce).0.allowed);
    }
    let image = format!("r.example/a@{}", digest("a"));
    let review = read(&pod(json!({"containers": [{"name": "c", "image": image}]})));
    let late = |_: &Reference, _: &Digest| Verdict::Unattested(Unattested::Error("the deadline is over".into()));
    assert!(!decide(&review, Mode::Enforce, late).allowed);
    assert!(decide(&review, Mode::Warn, late).allowed);
}

#[test]
fn an_image_is_verified_once_for_each_name_and_digest() {
    let image = |name: &str| format!("{name}@{}", digest("good"));
    let containers: Vec<_> = ["nginx", "docker.io/library/nginx:1", "r.example/nginx"]
        .iter()
        .map(|n| json!({"name": "c", "image": image(n)}))
        .collect();
    let asked = RefCell::new(Vec::new());
    let decision = decide(&read(&pod(json!({"containers": containers}))), Mode::Enforce, |reference, _| {
        asked.borrow_mut().push(reference.name.clone());
        Verdict::Attested
    });
    assert!(decision.allowed);
    assert_eq!(decision.images.len(), 3);
    assert_eq!(*asked.borrow(), ["docker.io/library/nginx", "r.example/nginx"]);
}

#[test]
fn answers_stay_within_what_the_api_server_takes() {
    let long = format!("r.example/{}\u{1b}[31m", "x".repeat(5000));
    let containers: Vec<_> = (0..40).map(|_| json!({"name": "c", "image": long})).collect();
    let (_, response) = answer(&pod(json!({"containers": containers})), Mode::Warn);
    let warnings: Vec<_> = response["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert_eq!((warnings.len(), *warnings.last().unwrap()), (16, "and 25 more"));
    assert!(warnings.iter().all(|warning| warning.chars().count() <= 256 && !warning.contains('\u{1b}')));
    assert!(warnings.iter().map(|warning| warning.len()).sum::<usize>() <= 4096);
    let (_, response) = answer(&pod(json!({"containers": [{"name": "c\u{7}", "image": "a\u{1b}b"}]})), Mode::Enforce);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("a\\u{1b}b") && !message.contains('\u{7}'), "{message}");
}

#[test]
fn what_is_no_review_has_no_answer() {
    let whole = pod(json!({"containers": [{"name": "c", "image": "a"}]}));
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut changed = whole.clone();
        change(&mut changed);
        Review::read(changed.to_string().as_bytes()).is_err()
    };
    assert!(!refused(&|_| ()));
    assert!(refused(&|r| r["apiVersion"] = "admission.k8s.io/v1beta1".into()));
    assert!(refused(&|r| r["kind"] = "Pod".into()));
    assert!(refused(&|r| r["request"] = Value::Null));
    assert!(refused(&|r| r["request"]["uid"] = "".into()));
    assert!(refused(&|r| r["request"]["uid"] = "u".repeat(254).into()));
    assert!(refused(&|r| r["request"]["kind"] = "Pod".into()));
    assert!(Review::read(b"").is_err());
    assert!(Review::read(&vec![b' '; 5 << 20]).is_err());
    let twice = whole.to_string().replacen(r#""image":"a""#, r#""image":"a","image":"b""#, 1);
    assert!(Review::read(twice.as_bytes()).is_err(), "one reader would take the first image, another the last");
}

#[test]
fn references_are_read_as_runtimes_read_them() {
    let d = digest("good");
    for (text, name, tag, has_digest) in [
        ("nginx", "docker.io/library/nginx", None, false),
        ("nginx:1.27", "docker.io/library/nginx", Some("1.27"), false),
        ("docker.io/nginx", "docker.io/library/nginx", None, false),
        ("index.docker.io/library/nginx", "docker.io/library/nginx", None, false),
        ("team/app", "docker.io/team/app", None, false),
        ("localhost/app", "localhost/app", None, false),
        ("registry.example:5000/app", "registry.example:5000/app", None, false),
        ("Registry.Example:5000/ml/app:v1@DIGEST", "registry.example:5000/ml/app", Some("v1"), true),
        ("[::1]:5000/app@DIGEST", "[::1]:5000/app", None, true),
    ] {
        let reference = Reference::read(&text.replace("DIGEST", &d)).unwrap();
        assert_eq!((reference.name.as_str(), reference.tag.as_deref()), (name, tag), "{text}");
        assert_eq!(reference.digest.is_some(), has_digest, "{text}");
        assert_eq!(Reference::read(&reference.to_string()).unwrap(), reference, "{text}");
    }
    for text in [
        "",
        ":",
        "@",
        "a:",
        "a:b:c@",
        "a@sha256:00",
        "a@md5:d41d8cd98f00b204e9800998ecf8427e",
        "a b",
        "a//b",
        "/a",
        "a/",
        "App",
        "r.example/App",
        "a@b@c",
        "a:v 1",
        "..",
        "r.example/../x",
        "a\n",
    ] {
        assert!(Reference::read(text).is_err(), "{text:?}");
    }
    assert!(Reference::read(&format!("a:{}@{d}", "t".repeat(129))).is_err());
    assert!(Reference::read(&"a".repeat(2000)).is_err());
}
