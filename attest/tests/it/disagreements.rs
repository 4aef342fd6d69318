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
            json!({"name": "image", "value": format!("r.example/{image}@{}", digest(image)), "desc": desc})
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
