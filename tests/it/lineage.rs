//! `tarn evidence lineage`, over records made up here.

use crate::command::{Run, tarn, tarn_reading, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const DAY: i64 = 1_764_201_600_000;

pub fn digest(n: u32) -> String {
    format!("sha256:{n:064x}")
}

/// A lake of some OCSF records.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new(records: &[Value]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.add(records);
        place
    }

    pub fn add(&self, records: &[Value]) {
        let lines: Vec<String> = records.iter().map(Value::to_string).collect();
        let lake = self.0.path().join("lake");
        tarn_reading(&["ingest", "--lake", text(&lake), "-"], lines.join("\n").as_bytes()).ok();
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        let lake = self.0.path().join("lake");
        tarn(&[arguments, &["--lake", text(&lake)]].concat())
    }
}

fn of(class: u32, name: &str, uid: &str, time: i64, activity: u32, more: Value) -> Value {
    let mut record = json!({
        "class_uid": class, "class_name": name, "category_uid": class / 1000 % 100, "activity_id": activity,
        "type_uid": u64::from(class) * 100 + u64::from(activity), "severity_id": 1, "time": DAY + time * 1000,
        "metadata": {"uid": uid, "version": "1.8.0", "product": {"name": "Tarn", "vendor_name": "Tarn"}},
    });
    for (key, value) in more.as_object().unwrap() {
        match (record.get_mut(key).and_then(Value::as_object_mut), value.as_object()) {
            (Some(into), Some(from)) => into.extend(from.clone()),
            _ => record[key] = value.clone(),
        }
    }
    record
}

/// A verification of build `n`'s provenance (`kind` "provenance") or SBOM ("spdx").
pub fn verified(n: u32, kind: &str, time: i64, passed: bool) -> Value {
    let (verdict, reason) = if passed { (1, (1, "Verified")) } else { (2, (30, "Signature Invalid")) };
    let mut record = of(
        99_906_001,
        "Artifact Signing",
        &format!("ev-{kind}-{n}-{time}"),
        time,
        3,
        json!({
            "trust_verdict_id": verdict, "trust_reason_id": reason.0, "trust_reason": reason.1,
            "artifact": {"uid": digest(n), "type_id": 1},
            "attestation": {"uid": format!("sha256:{:064x}", u64::from(n) + if kind == "spdx" { 1 << 40 } else { 1 << 41 }),
                "type_id": 2, "predicate_type": format!("https://example.org/{kind}"), "signed_time": DAY},
            "policy": {"uid": "release"},
            "signer": {"uid": "https://forge.example/release.yml"},
            "tlog_entry": {"origin": "log.example/2026", "log_index": n, "trust_verdict_id": verdict, "trust_verdict": "x"},
        }),
    );
    if kind == "provenance" {
        record["provenance"] = json!({"source_commit": format!("{n:040x}"), "source_uri": "git+https://forge.example/app",
            "invocation_uid": format!("https://forge.example/runs/{n}"), "end_time": DAY + 10_000});
    }
    record
}

/// What a webhook decided on a pod of build `n`.
pub fn admitted(n: u32, pod: &str, time: i64, allowed: bool) -> Value {
    of(
        6003,
        "API Activity",
        &format!("adm-{pod}-{time}"),
        time,
        1,
        json!({
            "action_id": if allowed { 1 } else { 2 }, "status_id": if allowed { 1 } else { 2 },
            "authorizations": [{"decision": if allowed { "allow" } else { "deny" }}],
            "policy": {"name": "release"}, "actor": {"app_name": "kubelet"}, "src_endpoint": {"ip": "10.0.0.1"},
            "api": {"operation": "CREATE", "request": {"data": {"image": format!("registry.example/app@{}", digest(n))}}},
            "resources": [{"namespace": "ml", "type": "pods", "name": pod}],
        }),
    )
}

/// The API server's record of a pod; without bodies it names no image.
pub fn audited(n: Option<u32>, pod: &str, time: i64, allowed: bool) -> Value {
    let mut record = of(
        6003,
        "API Activity",
        &format!("aud-{pod}-{time}"),
        time,
        1,
        json!({
            "status_id": if allowed { 1 } else { 2 }, "metadata": {"log_name": "audit"},
            "actor": {"app_name": "kubelet"}, "src_endpoint": {"ip": "10.0.0.1"}, "api": {"operation": "create"},
            "resources": [{"namespace": "ml", "type": "pods", "name": pod}],
        }),
    );
    if let Some(n) = n {
        record["api"]["response"] = json!({"data": {"imageID": format!("registry.example/app@{}", digest(n))}});
    }
    if !allowed {
        record["action_id"] = json!(2);
        record["authorizations"] = json!([{"decision": "deny"}]);
    }
    record
}

/// What the key broker decided for build `n`.
pub fn asked(n: u32, uid: &str, time: i64, released: bool) -> Value {
    let (verdict, reason) = if released { (1, (1, "Verified")) } else { (2, (79, "Simulated Evidence")) };
    of(
        99_903_001,
        "Key Release",
        &format!("kr-{uid}"),
        time,
        if released { 2 } else { 3 },
        json!({
            "trust_verdict_id": verdict, "trust_reason_id": reason.0, "trust_reason": reason.1,
            "artifact": {"uid": digest(n)}, "tee_evidence": {"platform_id": 1, "platform": "AWS Nitro", "uid": "i-1",
                "assurance_id": 1, "assurance": "Hardware"},
            "key_release_info": {"uid": uid, "key_uri": "kbs:///models/app/weights", "session_uid": format!("s-{uid}"),
                "policy_verdict_id": verdict},
        }),
    )
}

/// A span of a model's answer, as OTLP has it.
fn answered(pod: &str, time: i64) -> Value {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("service.name", "app"), attribute("k8s.pod.name", pod),
            attribute("k8s.namespace.name", "ml")]},
        "scopeSpans": [{"scope": {"name": "app"}, "spans": [{
            "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "00f067aa0ba902b7", "name": "chat", "kind": 2,
            "startTimeUnixNano": ((DAY + time * 1000) * 1_000_000).to_string(),
            "endTimeUnixNano": ((DAY + time * 1000 + 5) * 1_000_000).to_string(),
            "attributes": [attribute("gen_ai.operation.name", "chat"), attribute("gen_ai.request.model", "app-7b"),
                attribute("gen_ai.conversation.id", "conv-1")],
        }]}],
    }]})
}

/// The same, of a workload that says which decision gave it its key, and not where it runs.
fn answered_by_key(decision: &str, time: i64) -> Value {
    let mut span = answered("elsewhere", time);
    span["resourceSpans"][0]["resource"]["attributes"] =
        json!([{"key": "tarn.decision", "value": {"stringValue": decision}}]);
    span
}

fn chain(n: u32, pod: &str) -> Vec<Value> {
    vec![
        verified(n, "provenance", 60, true),
        verified(n, "spdx", 61, true),
        admitted(n, pod, 70, true),
        audited(Some(n), pod, 71, true),
        asked(n, &format!("kr-{n}"), 80, true),
        answered(pod, 90),
    ]
}

fn found(run: &Run) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    run.rows().iter().map(|row| (text(&row["link"]), text(&row["state"]))).collect()
}

#[test]
fn the_whole_chain_is_found_from_any_of_its_ends() {
    let place = Place::new(&[chain(1, "app-1"), chain(2, "app-2")].concat());
    let all = [
        "admission",
        "attestation",
        "build",
        "commit",
        "inference",
        "key_release",
        "sbom",
        "signature",
        "transparency",
        "workload",
    ];
    let whole: BTreeSet<_> = all.iter().map(|link| ((*link).to_owned(), "whole".to_owned())).collect();
    for start in [&digest(1), &format!("{:040x}", 1), "ml/app-1", "app-1", "https://forge.example/runs/1", "s-kr-1"] {
        let run = place.run(&["evidence", "lineage", start]);
        assert_eq!(found(&run), whole, "{start}: {}\n{}", run.stderr, run.stdout);
        assert_eq!(run.code, 0, "{start}");
        assert!(run.rows().iter().all(|row| row["artifact"] == digest(1).as_str()), "{start}: {}", run.stdout);
        assert!(run.rows().iter().all(|row| !row["record"].as_str().unwrap().is_empty()));
    }
    let both = place.run(&["evidence", "lineage", "kbs:///models/app/weights"]).ok().rows();
    assert_eq!(both.iter().filter(|row| row["link"] == "build").count(), 2);
}

#[test]
fn a_session_is_joined_to_the_key_release_that_it_names() {
    let place = Place::new(&[asked(1, "kr-1", 80, true), answered_by_key("kr-1", 90), asked(2, "kr-2", 80, true)]);
    let inference = |n: u32| {
        let run = place.run(&["evidence", "lineage", &digest(n)]);
        run.rows().into_iter().find(|row| row["link"] == "inference").unwrap()
    };
    let row = inference(1);
    assert_eq!(
        (&row["state"], &row["from"], &row["to"]),
        (&json!("whole"), &json!("kbs:///models/app/weights"), &json!("conv-1"))
    );
    assert_eq!(inference(2)["state"], "missing");
    // By the broker's session too; a refusal gave no key.
    let place = Place::new(&[asked(1, "kr-1", 80, true), answered_by_key("s-kr-1", 90)]);
    let run = place.run(&["evidence", "lineage", &digest(1)]);
    assert!(found(&run).contains(&("inference".into(), "whole".into())), "{}", run.stdout);
    let place = Place::new(&[asked(1, "kr-1", 80, false), answered_by_key("kr-1", 90)]);
    let run = place.run(&["evidence", "lineage", &digest(1)]);
    assert!(found(&run).contains(&("inference".into(), "missing".into())), "{}", run.stdout);
}

#[test]
fn gaps_and_failures_come_first_and_are_a_code() {
    let place = Place::new(&[
        verified(1, "provenance", 60, true),
        admitted(1, "app-1", 70, false),
        audited(None, "app-3", 71, true),
    ]);
    let run = place.run(&["evidence", "lineage", &digest(1), "--through", "workload"]);
    assert_eq!(run.code, 1);
    let states: Vec<String> =
        run.rows().iter().map(|r| format!("{} {}", r["state"], r["link"]).replace('"', "")).collect();
    let expected = [
        "missing sbom",
        "missing workload",
        "failing admission",
        "whole commit",
        "whole build",
        "whole signature",
        "whole transparency",
    ];
    assert_eq!(states, expected);

    // An older failure is no failure, a newer one is.
    place.add(&[
        verified(1, "provenance", 50, false),
        admitted(1, "app-1", 75, true),
        audited(None, "app-1", 76, true),
    ]);
    place.add(&[verified(1, "spdx", 55, true)]);
    assert_eq!(place.run(&["evidence", "lineage", &digest(1), "--through", "workload"]).code, 0);
    place.add(&[verified(1, "provenance", 99, false)]);
    let run = place.run(&["evidence", "lineage", &digest(1), "--through", "transparency"]);
    assert!(found(&run).contains(&("signature".into(), "failing".into())), "{}", run.stdout);

    // A pod whose image nobody knows is a starting point, and no whole chain.
    assert_eq!(place.run(&["evidence", "lineage", "app-3"]).code, 1);
    let unknown = place.run(&["evidence", "lineage", "ml/other"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stdout);
    assert!(unknown.stderr.contains("no record knows"), "{}", unknown.stderr);
}

#[test]
fn names_from_outside_do_not_leave_their_quotes() {
    let mut hostile = admitted(1, "app-1", 70, true);
    hostile["policy"]["name"] = json!("x\"];\n<script>alert(1)</script>\u{1b}[31m");
    let place = Place::new(&[verified(1, "provenance", 60, true), hostile]);
    let dot = place.run(&["evidence", "lineage", &digest(1), "--format", "dot"]).stdout;
    assert!(dot.contains(r#"x\"];"#) && !dot.contains('\u{1b}'), "{dot}");
    let mermaid = place.run(&["evidence", "lineage", &digest(1), "--format", "mermaid"]).stdout;
    assert!(mermaid.contains("#60;script#62;") && !mermaid.contains("<script"), "{mermaid}");
    let table = place.run(&["evidence", "lineage", &digest(1), "--format", "table"]).stdout;
    assert!(!table.contains('\u{1b}'), "{table}");
}

/// What a rule found on a pod, in an event of the Kubernetes API that names no image.
fn finding(uid: &str, pod: &str, time: i64, status: (u8, &str)) -> Value {
    let event = json!({"kind": "Event", "objectRef": {"resource": "pods", "namespace": "ml", "name": pod, "subresource": "exec"}});
    let mut record = of(
        2004,
        "Detection Finding",
        &format!("{uid}-{time}"),
        time,
        if status.0 == 1 { 1 } else { 2 },
        json!({
            "status_id": status.0, "status": status.1, "severity": "High", "message": "Exec Into Pod",
            "finding_info": {"uid": uid, "title": "Exec Into Pod", "related_events": [{"uid": format!("exec-{pod}")}]},
            "evidences": [{"data": event}],
        }),
    );
    record["severity_id"] = json!(4);
    record
}

#[test]
fn a_finding_leads_to_the_chain_of_its_workload_and_is_told_with_it() {
    let place = Place::new(&[chain(1, "app-1"), chain(2, "app-2")].concat());
    place.add(&[finding("f-1", "app-1", 100, (1, "New")), finding("f-2", "app-9", 100, (1, "New"))]);
    for start in ["finding:f-1", "f-1", &digest(1), "ml/app-1"] {
        let run = place.run(&["evidence", "lineage", start]);
        assert_eq!(run.code, 0, "{start}: a finding is no gap: {}\n{}", run.stderr, run.stdout);
        let rows = run.rows();
        assert_eq!(rows.len(), 13, "{start}: {}", run.stdout);
        assert!(rows.iter().all(|row| row["artifact"] == digest(1).as_str()), "{start}: {}", run.stdout);
        let told = rows.last().unwrap();
        let cells = ["state", "link", "from", "to", "record", "detail"].map(|name| told[name].as_str().unwrap());
        assert_eq!(cells, ["told", "finding", "ml/app-1", "Exec Into Pod", "f-1", "High, New"], "{start}");
    }
    // What was done with it takes its place.
    place.add(&[finding("f-1", "app-1", 200, (4, "Resolved"))]);
    let rows = place.run(&["evidence", "lineage", &digest(1), "--through", "workload"]).ok().rows();
    let told: Vec<_> = rows.iter().filter(|row| row["link"] == "finding").map(|row| &row["detail"]).collect();
    assert_eq!(told, ["High, Resolved"]);
    let dot = place.run(&["evidence", "lineage", "f-1", "--format", "dot"]).stdout;
    assert!(dot.contains("finding: Exec Into Pod") && dot.contains("style=dotted"), "{dot}");

    // A pod that no record names an image of, and a finding that nobody knows.
    let unknown = place.run(&["evidence", "lineage", "finding:f-2"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("no record says which image"), "{}", unknown.stderr);
    assert_eq!(place.run(&["evidence", "lineage", "finding:f-3"]).code, 2);
}

#[test]
fn a_finding_without_a_workload_in_its_evidence_is_about_what_its_events_are() {
    let place = Place::new(&chain(1, "app-1"));
    let mut record = finding("f-1", "-", 100, (1, "New"));
    record["evidences"] = json!([{"data": {"group": {"user.username": "kim"}, "measure": 3, "count": 3}}]);
    record["finding_info"]["related_events"] = json!([{"uid": "adm-app-1-70"}]);
    place.add(&[record]);
    let run = place.run(&["evidence", "lineage", "f-1"]);
    assert_eq!(run.code, 0, "{}\n{}", run.stderr, run.stdout);
    assert_eq!(run.rows().last().unwrap()["record"], "f-1");
    let mut record = finding("f-4", "-", 100, (1, "New"));
    record["evidences"] = json!([{"data": {"user": "kim"}}]);
    place.add(&[record]);
    let nothing = place.run(&["evidence", "lineage", "f-4"]);
    assert_eq!(nothing.code, 2);
    assert!(nothing.stderr.contains("names no image and no workload"), "{}", nothing.stderr);
}

#[test]
fn a_limit_is_told_in_the_answer() {
    let component = |number: usize| {
        of(
            5020,
            "Software Inventory Info",
            &format!("c-{number}"),
            60,
            2,
            json!({"device": {"uid": digest(1), "type_id": 99, "image": {"uid": digest(1)}},
                "package": {"name": format!("p-{number}"), "version": "1"}}),
        )
    };
    let place = Place::new(&(0..2_000).map(component).collect::<Vec<_>>());
    let limited = |place: &Place| {
        let rows = place.run(&["evidence", "lineage", &digest(1), "--through", "sbom"]).rows();
        rows.into_iter().filter(|row| row["state"] == "limited").collect::<Vec<_>>()
    };
    place.add(&[verified(1, "provenance", 60, true)]);
    assert_eq!(limited(&place), [] as [Value; 0]);
    place.add(&[component(2_000)]);
    let [row] = &limited(&place)[..] else { panic!("one row") };
    assert_eq!((&row["link"], &row["to"]), (&json!("sbom"), &json!("the newest 2000 records")));
}
