//! The chain that records make: what is newest, what is missing, what is joined, and names from outside.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use tarn_attest::lineage::{
    Lineage, Pod, Records, Row, Stage, Standing, State, named_digests, names_pod, pods, standing, subject, to_dot,
    to_mermaid,
};

fn row(value: Value) -> Row {
    value.as_object().unwrap().clone()
}

fn digest(n: u8) -> String {
    format!("sha256:{}", hex::encode([n; 32]))
}

fn verified(uid: &str, time: i64, verdict: i64) -> Row {
    row(json!({"activity_id": 3, "time": time, "metadata": {"uid": uid}, "trust_verdict_id": verdict,
        "artifact": {"uid": digest(1)}, "attestation": {"uid": digest(9)}, "signer": {"uid": "ci"}}))
}

fn audited(name: &str, raw: &str) -> Row {
    row(json!({"time": 5, "status_id": 1, "metadata": {"uid": "a", "log_name": "audit"}, "raw_data": raw,
        "resources": [{"namespace": "ml", "name": name}]}))
}

fn states(records: &Records, through: Stage) -> Vec<(Stage, State)> {
    let lineage = Lineage::new(&BTreeSet::from([digest(1)]), records, through);
    lineage.edges.iter().map(|edge| (edge.stage, edge.state)).collect()
}

fn signature(signing: Vec<Row>) -> State {
    let records = Records { signing, ..Records::default() };
    states(&records, Stage::Signature).into_iter().find(|(stage, _)| *stage == Stage::Signature).unwrap().1
}

#[test]
fn the_newest_verdict_counts_whatever_the_order() {
    let (old, new) = (verified("1", 10, 2), verified("2", 20, 1));
    assert_eq!(signature(vec![old.clone(), new.clone()]), State::Whole);
    assert_eq!(signature(vec![new, old]), State::Whole);
    assert_eq!(signature(vec![verified("1", 10, 1), verified("2", 20, 2)]), State::Failing);
    // At the same time the one that fails.
    assert_eq!(signature(vec![verified("1", 10, 2), verified("2", 10, 1)]), State::Failing);
    assert_eq!(signature(vec![verified("2", 10, 1), verified("1", 10, 2)]), State::Failing);
    // Signing alone is no verification.
    let mut signed = verified("1", 10, 1);
    signed.insert("activity_id".into(), json!(1));
    assert_eq!(signature(vec![signed]), State::Missing);
}

#[test]
fn nothing_known_is_missing_and_not_whole() {
    let found = states(&Records::default(), Stage::Inference);
    assert_eq!(found, Stage::ALL.map(|stage| (stage, State::Missing)));
    assert!(!Lineage::new(&BTreeSet::new(), &Records::default(), Stage::Inference).is_whole());
}

#[test]
fn an_audit_record_without_an_image_is_joined_by_its_workload_and_one_with_another_image_is_not() {
    let admitted = row(json!({"time": 4, "status_id": 1, "action_id": 1, "metadata": {"uid": "w"},
        "raw_data": format!("app@{}", digest(1)), "resources": [{"namespace": "ml", "name": "app"}]}));
    let workload = |audit: Row| {
        let records = Records { activity: vec![admitted.clone(), audit], ..Records::default() };
        let lineage = Lineage::new(&BTreeSet::from([digest(1)]), &records, Stage::Workload);
        lineage.edges.into_iter().find(|edge| edge.stage == Stage::Workload).unwrap()
    };
    let joined = workload(audited("app", "{}"));
    assert_eq!(
        (joined.state, joined.from.as_str()),
        (State::Whole, "w: ml/app".replace("w:", "unknown decider:").as_str())
    );
    assert_eq!(workload(audited("other", "{}")).state, State::Missing);
    assert_eq!(workload(audited("app", &format!("app@{}", digest(2)))).state, State::Missing);
}

#[test]
fn digests_and_pods_are_read_out_of_records() {
    let found =
        named_digests(&row(json!({"a": {"b": [format!("x@{}", digest(1)), digest(2), "sha256:short", "@sha256:é"]},
        "policy": format!("version {}", digest(3))})));
    assert_eq!(found, BTreeSet::from([digest(1), digest(2)]));
    let pod = pods(&audited("app", "{}")).remove(0);
    assert!(names_pod(&row(json!({"raw_data": r#"{"k": ["ml", "app"]}"#})), &pod));
    assert!(!names_pod(&row(json!({"raw_data": r#"{"k": ["other", "app"]}"#})), &pod));
    assert!(!names_pod(&row(json!({"raw_data": r#"{"k": ["ml", "app-2"]}"#})), &pod));
}

#[test]
fn names_from_outside_stay_names() {
    let mut hostile = verified("1", 10, 1);
    hostile.insert("signer".into(), json!({"uid": "\"]; a -> b [\\\n<b>\u{1b}[2J".to_owned() + &"x".repeat(5_000)}));
    let records = Records { signing: vec![hostile], ..Records::default() };
    let lineage = Lineage::new(&BTreeSet::from([digest(1)]), &records, Stage::Signature);
    let (dot, mermaid) = (to_dot(&lineage), to_mermaid(&lineage));
    assert!(dot.contains(r#"\"]; a -> b [\\"#), "{dot}");
    for text in [dot, mermaid.clone()] {
        assert!(text.len() < 5_000 && !text.contains('\u{1b}'), "{text}");
    }
    assert!(mermaid.contains("#34;#93;#59;") && !mermaid.contains("<b>"), "{mermaid}");
}

fn pod(namespace: &str, name: &str, uid: &str) -> Pod {
    Pod { namespace: namespace.into(), name: name.into(), uid: uid.into() }
}

#[test]
fn what_a_finding_is_about_is_read_as_each_source_writes_it() {
    let image = format!("r.example/app@{}", digest(1));
    for (evidence, pods, is_named) in [
        (
            json!({"data": {"objectRef": {"resource": "pods", "namespace": "ml", "name": "app"}}}),
            vec![pod("ml", "app", "")],
            false,
        ),
        (json!({"data": {"objectRef": {"resource": "secrets", "namespace": "ml", "name": "app"}}}), vec![], false),
        (
            json!({"data": json!({"objectRef": {"resource": "pods", "namespace": "ml", "name": "app"}}).to_string()}),
            vec![pod("ml", "app", "")],
            false,
        ),
        (
            json!({"data": {"process": {"pod": {"namespace": "ml", "name": "app", "uid": "u",
            "container": {"image": {"id": image}}}}}}),
            vec![pod("ml", "app", "u")],
            true,
        ),
        (
            json!({"data": {"output_fields": {"k8s.ns.name": "ml", "k8s.pod.name": "app", "container.image.digest": digest(1)}}}),
            vec![pod("ml", "app", "")],
            true,
        ),
        (
            json!({"data": {"group": {"objectRef.namespace": "ml", "objectRef.name": "app"}, "count": 3}}),
            vec![pod("ml", "app", "")],
            false,
        ),
        (json!({"container": {"pod_uuid": "u", "image": {"uid": digest(1)}}}), vec![pod("", "", "u")], true),
        (json!({"data": {"user": "kim"}}), vec![], false),
    ] {
        // The digest of the rule is no image.
        let finding =
            row(json!({"finding_info": {"uid": "f", "analytic": {"version": digest(7)}}, "evidences": [evidence]}));
        let about = subject(&finding);
        assert_eq!(about.pods, BTreeSet::from_iter(pods), "{evidence}");
        assert_eq!(about.digests, is_named.then(|| digest(1)).into_iter().collect(), "{evidence}");
    }
    let about =
        subject(&row(json!({"resources": [{"namespace": "ml", "name": "app", "uid": "u"}, {"name": "a bucket"}]})));
    assert_eq!(about.pods, BTreeSet::from([pod("ml", "app", "u")]));
    assert!(about.is_on(&pod("ml", "app", "")) && about.is_on(&pod("", "", "u")));
    assert!(!about.is_on(&pod("ml", "app", "another")) && !about.is_on(&pod("other", "app", "")));
}

#[test]
fn a_finding_that_names_another_image_is_not_of_this_one_and_breaks_no_chain() {
    let admitted = row(json!({"time": 4, "status_id": 1, "action_id": 1, "metadata": {"uid": "w"},
        "raw_data": format!("app@{}", digest(1)), "resources": [{"namespace": "ml", "name": "app"}]}));
    let told = |image: Option<String>| {
        let data = json!({"k8s.ns.name": "ml", "k8s.pod.name": "app", "image": image});
        let finding =
            row(json!({"time": 9, "finding_info": {"uid": "f", "title": "t"}, "evidences": [{"data": data}]}));
        let records = Records { activity: vec![admitted.clone()], findings: vec![finding], ..Records::default() };
        let lineage = Lineage::new(&BTreeSet::from([digest(1)]), &records, Stage::Commit);
        assert!(!lineage.is_whole(), "the commit is missing");
        lineage.edges.into_iter().find(|edge| edge.stage == Stage::Finding).map(|edge| (edge.state, edge.from))
    };
    assert_eq!(told(None), Some((State::Told, "ml/app".to_owned())));
    assert_eq!(told(Some(digest(1))), Some((State::Told, digest(1))));
    assert_eq!(told(Some(digest(2))), None);
}

#[test]
fn an_image_is_attested_if_the_newest_verdict_on_one_of_its_documents_is_good() {
    let of = |rows: &[Row]| {
        let image = standing(&digest(1), rows);
        (image.standing, image.record)
    };
    assert_eq!(of(&[]), (Standing::Unattested, None));
    assert_eq!(of(&[verified("1", 10, 1)]), (Standing::Attested, Some("1".into())));
    assert_eq!(of(&[verified("1", 10, 1), verified("2", 20, 2)]), (Standing::Unattested, Some("2".into())));
    let mut other = verified("3", 5, 1);
    other.insert("attestation".into(), json!({"uid": digest(8)}));
    assert_eq!(of(&[verified("2", 20, 2), other]), (Standing::Attested, Some("3".into())));
}
