//! Decisions of the webhook and of others, held against each other.

use serde_json::{Map, Value, json};
use tarn_attest::Digest;
use tarn_attest::admission::Outcome;
use tarn_attest::admission::disagreements::{Disagreement, Disagreements, Verdict};

fn digest(of: &str) -> String {
    Digest::sha256(of.as_bytes()).to_string()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// A decision of ours at a second, on images that are attested or not.
fn ours(at: i64, refused: bool, images: &[(&str, bool)]) -> Map<String, Value> {
    let attested = images.iter().all(|(_, attested)| *attested);
    let (action, disposition) = if refused { (2, 2) } else { (1, if attested { 1 } else { 19 }) };
    let images: Vec<_> = images
        .iter()
        .map(|(image, attested)| {
            let desc = if *attested { "attested" } else { "nothing is attached to it" };
            let data = json!({"container": image, "attested": attested});
            json!({"name": "image", "value": format!("r.example/{image}@{}", digest(image)), "desc": desc, "data": data})
        })
        .collect();
    object(json!({
        "time": at * 1000, "metadata": {"uid": format!("ours-{at}"), "correlation_uid": format!("request-{at}")},
        "action_id": action, "disposition_id": disposition, "enrichments": images,
    }))
}

/// Another's record at a second about an image.
fn theirs(at: i64, image: &str, more: Value) -> Map<String, Value> {
    let mut record = object(json!({
        "time": at * 1000, "metadata": {"uid": format!("theirs-{at}"), "product": {"name": "Kyverno"}},
        "raw_data": format!(r#"{{"image": "r.example/{image}@{}"}}"#, digest(image)),
    }));
    for (name, value) in object(more) {
        match (record.get_mut(&name).and_then(Value::as_object_mut), value.as_object()) {
            (Some(into), Some(from)) => into.extend(from.clone()),
            _ => drop(record.insert(name, value)),
        }
    }
    record
}

fn audit(status: i64, action: Option<i64>) -> Value {
    json!({"metadata": {"log_name": "audit"}, "status_id": status, "activity_id": 1, "action_id": action})
}

/// What is found, as ours and theirs.
fn found(ours: &[Map<String, Value>], theirs: &[Map<String, Value>]) -> Vec<(Outcome, Verdict)> {
    all(ours, theirs).iter().map(|one| (one.ours, one.theirs)).collect()
}

fn all(ours: &[Map<String, Value>], theirs: &[Map<String, Value>]) -> Vec<Disagreement> {
    let mut held = Disagreements::default();
    ours.iter().for_each(|row| held.ours(row.clone()));
    held.begin();
    theirs.iter().for_each(|row| held.theirs(row.clone()));
    let (found, left_out) = held.finish();
    assert_eq!(left_out, 0);
    found
}

#[test]
fn a_policy_engine_is_held_against_what_is_known_of_the_image() {
    let both = ours(100, true, &[("good", true), ("bad", false)]);
    let engine = |image: &str, action: i64| theirs(200, image, json!({"action_id": action, "status_id": 2}));
    for (image, action, expected) in [
        ("good", 1, None),
        ("good", 4, None),
        ("good", 2, Some((Outcome::Attested, Verdict::Failed))),
        ("good", 3, Some((Outcome::Attested, Verdict::Failed))),
        ("bad", 1, Some((Outcome::Refused, Verdict::Passed))),
        ("bad", 2, None),
        ("bad", 3, None),
        ("bad", 99, None),
        ("another", 2, None),
    ] {
        let got = found(std::slice::from_ref(&both), &[engine(image, action)]);
        assert_eq!(got, expected.into_iter().collect::<Vec<_>>(), "{image} {action}");
    }
    let warned = [ours(100, false, &[("bad", false)])];
    assert_eq!(found(&warned, &[engine("bad", 1)]), [(Outcome::Warned, Verdict::Passed)]);
    let alert = theirs(200, "bad", json!({"action_id": 1, "disposition_id": 19}));
    assert_eq!(found(&warned, &[alert]), [], "both warn");
    // An engine may have been first.
    let early = theirs(1, "good", json!({"action_id": 2}));
    assert_eq!(found(&[both], &[early]), [(Outcome::Attested, Verdict::Failed)]);
}

#[test]
fn what_the_api_server_did_is_held_against_the_answer_before_it() {
    let refused = [ours(100, true, &[("good", true), ("bad", false)])];
    let let_in = |at: i64, image: &str| theirs(at, image, audit(1, None));
    assert_eq!(found(&refused, &[let_in(200, "bad")]), [(Outcome::Refused, Verdict::LetIn)]);
    assert_eq!(found(&refused, &[let_in(200, "good")]), [], "another workload may run it");
    assert_eq!(found(&refused, &[let_in(50, "bad")]), [], "it ran before it was refused");
    assert_eq!(found(&refused, &[let_in(99, "bad")]), [(Outcome::Refused, Verdict::LetIn)], "clocks differ");
    assert_eq!(found(&refused, &[theirs(200, "bad", audit(2, Some(2)))]), []);
    assert_eq!(found(&refused, &[theirs(200, "bad", audit(2, None))]), [], "a conflict is no decision");
    // The newest decision counts.
    let later = [ours(300, false, &[("bad", true)]), ours(100, true, &[("bad", false)])];
    assert_eq!(found(&later, &[let_in(200, "bad")]), [(Outcome::Refused, Verdict::LetIn)]);
    assert_eq!(found(&later, &[let_in(400, "bad")]), []);
    assert_eq!(found(&later, &[theirs(400, "bad", audit(2, Some(2)))]), [(Outcome::Attested, Verdict::Denied)]);
    let warned = [ours(100, false, &[("bad", false)])];
    assert_eq!(found(&warned, &[let_in(200, "bad")]), [], "a warning lets it in");
}

#[test]
fn a_request_counts_before_its_image_and_repeats_are_one() {
    let decided = [ours(100, true, &[("bad", false)]), ours(150, false, &[("good", true)])];
    let of = |at: i64, request: &str| {
        theirs(
            at,
            "bad",
            json!({"action_id": 1, "metadata": {"correlation_uid": request}, "resources": [{"namespace": "n", "name": "p"}]}),
        )
    };
    assert_eq!(found(&decided, &[of(200, "request-150")]), [], "of another request, whatever image it names");
    let repeated = all(&decided, &[of(300, "request-100"), of(200, "request-100")]);
    let [one] = repeated.as_slice() else { panic!("{repeated:?}") };
    assert_eq!((one.about.as_str(), one.count, one.decider.as_str()), ("request-100", 2, "Kyverno"));
    assert_eq!((one.first_time, one.last_time, one.their_record.as_str()), (200_000, 300_000, "theirs-300"));
    assert_eq!((one.workload.as_str(), one.our_record.as_str()), ("n/p", "ours-100"));
    // The same on one day is one record, and another on the next.
    let now = chrono::DateTime::from_timestamp(1_000_000, 0).unwrap();
    let mut next = one.clone();
    assert_eq!(one.to_ocsf(now).uid, next.to_ocsf(now + chrono::TimeDelta::hours(1)).uid);
    next.last_time += 86_400_000;
    assert_ne!(one.to_ocsf(now).uid, next.to_ocsf(now).uid);
    // What is no record says nothing.
    let mut held = Disagreements::default();
    held.ours(object(json!({"time": "soon"})));
    held.begin();
    held.theirs(object(json!({"raw_data": 5})));
    assert!(held.is_empty() && held.finish().0.is_empty());
}

/// A decision of ours on a Pod, and what a node says of its containers: each with the image that it runs.
fn on_pod(mut ours: Map<String, Value>, pod: &str) -> Map<String, Value> {
    ours.insert("resources".into(), json!([{"type": "Pod", "namespace": "n", "name": pod}]));
    ours
}

fn status(at: i64, pod: &str, running: &[(&str, &str)]) -> Map<String, Value> {
    let image = |image: &str| format!("containerd://r.example/other@{}", digest(image));
    let statuses: Vec<_> = running.iter().map(|(name, of)| json!({"name": name, "imageID": image(of)})).collect();
    let event = json!({"verb": "patch", "requestObject": {"status": {"containerStatuses": statuses}}});
    object(json!({
        "time": at * 1000, "metadata": {"uid": format!("theirs-{at}"), "log_name": "audit", "product": {"name": "Kubernetes"}},
        "status_id": 1, "activity_id": 3, "resources": [{"namespace": "n", "name": pod}], "raw_data": event.to_string(),
    }))
}

#[test]
fn an_image_that_runs_is_the_one_that_was_decided_on() {
    let decided = [
        on_pod(ours(100, false, &[("app", true), ("proxy", true)]), "web"),
        on_pod(ours(110, false, &[("known", true)]), "other"),
        on_pod(ours(120, true, &[("bad", false)]), "miner"),
    ];
    let runs = |at: i64, pod: &str, running: &[(&str, &str)]| found(&decided, &[status(at, pod, running)]);
    assert_eq!(runs(200, "web", &[("app", "app"), ("proxy", "proxy")]), []);
    assert_eq!(runs(200, "web", &[("app", "app"), ("proxy", "stranger")]), [(Outcome::Attested, Verdict::Runs)]);
    assert_eq!(runs(200, "web", &[("app", "known")]), [], "an image that was decided on elsewhere is no stranger");
    assert_eq!(runs(200, "web", &[("app", "bad")]), [(Outcome::Refused, Verdict::LetIn)], "one that was refused");
    assert_eq!(runs(200, "web", &[("sidecar", "stranger")]), [], "nothing was decided on for this container");
    assert_eq!(runs(200, "nobody", &[("app", "stranger")]), [], "nor on this workload");
    assert_eq!(runs(50, "web", &[("app", "stranger")]), [], "nor before it");

    // An update that the node has still to follow, and what it runs then.
    let updated =
        [on_pod(ours(100, false, &[("app", true)]), "web"), on_pod(ours(150, false, &[("next", true)]), "web")];
    assert_eq!(found(&updated, &[status(200, "web", &[("next", "app")])]), []);
    assert_eq!(found(&updated, &[status(200, "web", &[("next", "stranger")])]), [(Outcome::Attested, Verdict::Runs)]);

    // What names no image that could be compared, and the same as clouds wrap it.
    let written = |event: String| {
        let mut record = status(200, "web", &[]);
        record.insert("raw_data".into(), event.into());
        all(&decided, &[record])
    };
    let of = |image: &str| json!({"status": {"initContainerStatuses": [{"name": "app", "imageID": image}]}});
    let stranger = format!("r.example/app@{}", digest("stranger"));
    for silent in ["", "sha256:0123", "r.example/app@sha256:short", "r.example/app"] {
        assert_eq!(written(of(silent).to_string()), [], "{silent}");
    }
    let config = written(of(&digest("stranger")).to_string());
    assert_eq!(config, [], "the digest of a configuration is another than the image's");
    for wrapped in
        [of(&stranger), json!({"protoPayload": {"request": of(&stranger)}}), json!({"log": of(&stranger).to_string()})]
    {
        let found = written(wrapped.to_string());
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((one.about.as_str(), one.workload.as_str()), (digest("stranger").as_str(), "n/web"));
        assert_eq!((one.our_record.as_str(), one.decider.as_str()), ("ours-100", "Kubernetes"));
        let finding = one.to_ocsf(chrono::DateTime::from_timestamp(1_000_000, 0).unwrap()).value;
        assert_eq!(finding["finding_info"]["title"], "A workload runs another image than was decided on");
        assert_eq!((&finding["severity"], &finding["resources"][1]["name"]), (&json!("High"), &json!("web")));
    }
    assert_eq!(written("{\"imageID\": ".into()), []);
}

/// Kyverno's reports on image policies name the workload, and no digest.
#[test]
fn a_report_is_held_against_the_decision_on_its_workload() {
    let decided = [
        on_pod(ours(100, false, &[("good", true)]), "web"),
        on_pod(ours(110, true, &[("bad", false)]), "miner"),
        on_pod(ours(120, false, &[("bad", false)]), "warned"),
    ];
    let report = |kind: &str, pod: &str, results: &[(&str, &str)]| {
        let results: Vec<_> =
            results.iter().map(|(source, result)| json!({"source": source, "result": result})).collect();
        object(json!({
            "time": 200_000, "metadata": {"uid": "report", "product": {"name": "Policy reports"}}, "action_id": 3,
            "status_id": 2, "resources": [{"type": kind, "namespace": "n", "name": pod}], "policy": {"data": results},
        }))
    };
    let of = |pod: &str, results: &[(&str, &str)]| found(&decided, &[report("Pod", pod, results)]);
    let image = "KyvernoImageValidatingPolicy";
    assert_eq!(of("web", &[(image, "fail"), (image, "pass")]), [(Outcome::Attested, Verdict::Failed)]);
    assert_eq!(of("web", &[(image, "pass")]), []);
    assert_eq!(of("web", &[("kyverno", "fail"), (image, "pass")]), [], "labels are no evidence");
    assert_eq!(of("web", &[(image, "skip"), (image, "error")]), []);
    assert_eq!(of("miner", &[(image, "pass"), ("kyverno", "fail")]), [(Outcome::Refused, Verdict::Passed)]);
    assert_eq!(of("miner", &[(image, "fail")]), []);
    assert_eq!(of("warned", &[(image, "pass")]), [(Outcome::Warned, Verdict::Passed)]);
    assert_eq!(of("nobody", &[(image, "fail")]), []);
    assert_eq!(found(&decided, &[report("Deployment", "web", &[(image, "fail")])]), [], "of another kind");
    let found = all(&decided, &[report("Pod", "web", &[(image, "fail")])]);
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.about.as_str(), one.our_record.as_str()), ("n/web", "ours-100"));
    let resources = one.to_ocsf(chrono::DateTime::from_timestamp(1_000_000, 0).unwrap()).value["resources"].clone();
    assert_eq!(resources, json!([{"type": "workload", "namespace": "n", "name": "web"}]));
}
