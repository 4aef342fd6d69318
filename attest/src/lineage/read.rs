//! Records to edges.

use super::{Edge, Records, Row, Stage, State};
use serde_json::Value;
use std::collections::BTreeSet;

/// Digests or pods that one look-up goes on with.
pub const NAMED_MAX: usize = 64;

/// Characters of a name that are shown.
const LABEL_MAX: usize = 200;

/// A pod or another workload, as Kubernetes names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pod {
    /// Its namespace; empty where the record has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid; empty where the record has none.
    pub uid: String,
}

/// The value at a dotted path.
fn at<'a>(row: &'a Row, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('.');
    let first = row.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

fn text<'a>(row: &'a Row, path: &str) -> Option<&'a str> {
    at(row, path).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn number(row: &Row, path: &str) -> Option<i64> {
    at(row, path).and_then(Value::as_i64)
}

/// What may be shown on a terminal: no control characters, and not too long.
fn label(text: &str) -> String {
    let shown: String = text.chars().take(LABEL_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LABEL_MAX).is_some() { shown + "…" } else { shown }
}

fn edge(row: &Row, artifact: &str, stage: Stage, to: &str, key: String) -> Edge {
    let failed = number(row, "trust_verdict_id").is_some_and(|verdict| verdict != 1);
    let words = [text(row, "trust_reason"), text(row, "status_detail")];
    Edge {
        stage,
        state: if failed { State::Failing } else { State::Whole },
        artifact: artifact.to_owned(),
        from: artifact.to_owned(),
        to: label(to),
        detail: label(&words.into_iter().flatten().collect::<Vec<_>>().join(": ")),
        record: Some(label(text(row, "metadata.uid").unwrap_or_default())),
        time: number(row, "time"),
        key,
    }
}

/// All edges that records of `artifact` tell of.
pub(super) fn edges(artifact: &str, records: &Records) -> Vec<Edge> {
    let mut edges = Vec::new();
    for row in &records.signing {
        if text(row, "artifact.uid") == Some(artifact) {
            signing(row, artifact, &mut edges);
        }
    }
    for row in &records.inventory {
        if names(row, artifact) {
            let name = text(row, "package.name").or(text(row, "sbom.package.name")).unwrap_or("software inventory");
            edges.push(edge(row, artifact, Stage::Sbom, name, "inventory".to_owned()));
        }
    }
    let named: Vec<bool> = records.activity.iter().map(|row| names(row, artifact)).collect();
    let workloads: BTreeSet<Pod> =
        records.activity.iter().zip(&named).filter(|(_, named)| **named).flat_map(|(row, _)| pods(row)).collect();
    let places: BTreeSet<String> = workloads.iter().map(place).collect();
    for (row, named) in records.activity.iter().zip(&named) {
        // An audit log that keeps no bodies names a workload and not its images.
        let of_known =
            || runs(row) && named_digests(row).is_empty() && pods(row).iter().any(|p| places.contains(&place(p)));
        if *named || of_known() {
            activity(row, artifact, &mut edges);
        }
    }
    for row in &records.keys {
        if keys(row).0.iter().any(|digest| digest == artifact) {
            key_release(row, artifact, &mut edges);
        }
    }
    let releases: Vec<&Row> = records.keys.iter().filter(|row| is_release_of(row, artifact)).collect();
    for row in &records.inference {
        let session = found(row, "gen_ai.conversation.id")
            .or_else(|| text(row, "trace.uid").map(str::to_owned))
            .or_else(|| text(row, "metadata.correlation_uid").map(str::to_owned))
            .unwrap_or_else(|| text(row, "metadata.uid").unwrap_or_default().to_owned());
        // What the workload says of the key that it got is closer than where it runs.
        let release = releases.iter().find(|release| names_one(row, &sessions(release)));
        let mut edge = match (release, workloads.iter().find(|pod| names_pod(row, pod))) {
            (Some(release), _) => {
                let mut edge = edge(row, artifact, Stage::Inference, &session, format!("key\u{0}{session}"));
                edge.from = label(key_name(release));
                edge
            }
            (None, Some(pod)) => {
                edge(row, artifact, Stage::Inference, &session, format!("{}\u{0}{session}", place(pod)))
            }
            (None, None) => continue,
        };
        edge.detail = label(&found(row, "gen_ai.request.model").unwrap_or_default());
        edges.push(edge);
    }
    edges
}

fn signing(row: &Row, artifact: &str, edges: &mut Vec<Edge>) {
    // What is signed now and not verified yet says nothing of whether it holds.
    if !matches!(number(row, "activity_id"), Some(3 | 4)) {
        return;
    }
    let document = text(row, "attestation.uid").unwrap_or_default();
    let key = format!("{document}\u{1}{}", text(row, "policy.uid").unwrap_or_default());
    let signer = text(row, "signer.uid").or(text(row, "signer.fingerprint.value")).unwrap_or("unknown signer");
    edges.push(edge(row, artifact, Stage::Signature, signer, key.clone()));
    if let Some(verdict) = number(row, "tlog_entry.trust_verdict_id") {
        let log = text(row, "tlog_entry.origin").or(text(row, "tlog_entry.log_uid")).unwrap_or("unknown log");
        let index = number(row, "tlog_entry.log_index").map_or_else(String::new, |n| format!("#{n}"));
        let mut entry = edge(row, artifact, Stage::Transparency, &format!("{log}{index}"), key.clone());
        entry.state = if verdict == 1 { State::Whole } else { State::Failing };
        edges.push(entry);
    }
    let predicate = text(row, "attestation.predicate_type").unwrap_or_default().to_ascii_lowercase();
    if predicate.contains("cyclonedx") || predicate.contains("spdx") {
        edges.push(edge(row, artifact, Stage::Sbom, document, key.clone()));
    }
    if let Some(commit) = text(row, "provenance.source_commit") {
        let source = text(row, "provenance.source_uri").map_or_else(String::new, |uri| format!("{uri}@"));
        edges.push(edge(row, artifact, Stage::Commit, &format!("{source}{commit}"), key.clone()));
    }
    let build = text(row, "provenance.invocation_uid").or(text(row, "provenance.builder_uid"));
    if let Some(build) = build {
        let mut built = edge(row, artifact, Stage::Build, build, key);
        if let Some(commit) = edges.iter().rev().find(|edge| edge.stage == Stage::Commit && edge.key == built.key) {
            built.from.clone_from(&commit.to);
        }
        edges.push(built);
    }
}

/// Whether a record of the Kubernetes API says that a workload was started or changed.
fn runs(row: &Row) -> bool {
    text(row, "metadata.log_name") == Some("audit") && number(row, "status_id") == Some(1)
}

fn activity(row: &Row, artifact: &str, edges: &mut Vec<Edge>) {
    let decisions: Vec<String> = at(row, "authorizations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("decision")?.as_str().map(str::to_ascii_lowercase))
        .collect();
    let denied = number(row, "action_id") == Some(2)
        || number(row, "status_id") == Some(2)
        || decisions.iter().any(|decision| decision.starts_with("den"));
    let running = runs(row);
    // The audit log of an API server is the workload's record, and the admission's where it says what was decided.
    let decided = !running || !decisions.is_empty() || number(row, "action_id").is_some();
    let decider = text(row, "policy.name").or(text(row, "policy.type")).or(text(row, "metadata.product.name"));
    for pod in pods(row) {
        let place = place(&pod);
        if decided {
            let decider = decider.unwrap_or("unknown decider");
            let to = format!("{decider}: {place}");
            let mut edge = edge(row, artifact, Stage::Admission, &to, format!("{place}\u{0}{decider}"));
            edge.state = if denied { State::Failing } else { State::Whole };
            if edge.detail.is_empty() {
                edge.detail = label(&decisions.join(", "));
            }
            edges.push(edge);
        }
        if running {
            edges.push(edge(row, artifact, Stage::Workload, &place, place.clone()));
        }
    }
}

fn key_release(row: &Row, artifact: &str, edges: &mut Vec<Edge>) {
    let activity = number(row, "activity_id").unwrap_or_default();
    if activity == 4 {
        return;
    }
    let workload = text(row, "container.pod_uuid").or(text(row, "container.name")).or(text(row, "actor.app_uid"));
    let workload = workload.unwrap_or_default();
    let platform = text(row, "tee_evidence.platform").unwrap_or("no evidence");
    let environment = text(row, "tee_evidence.uid").unwrap_or(workload);
    // Refused by the policy alone, the evidence held.
    let held = number(row, "key_release_info.policy_verdict_id").is_some_and(|verdict| matches!(verdict, 1 | 2))
        && !matches!(number(row, "trust_reason_id"), Some(10..=79));
    let mut attested = edge(
        row,
        artifact,
        Stage::Attestation,
        &format!("{platform} {environment}"),
        format!("{platform}\u{1}{environment}"),
    );
    if held {
        attested.state = State::Whole;
    }
    attested.detail = label(&format!(
        "{} {}",
        text(row, "tee_evidence.assurance").unwrap_or("unknown assurance"),
        text(row, "trust_reason").unwrap_or_default()
    ));
    let from = attested.key.clone();
    edges.push(attested);
    if matches!(activity, 2 | 3) {
        let name = key_name(row);
        let mut released = edge(row, artifact, Stage::KeyRelease, name, format!("{from}\u{0}{name}"));
        if activity == 3 {
            released.state = State::Failing;
        }
        edges.push(released);
    }
}

fn key_name(row: &Row) -> &str {
    text(row, "key_release_info.key_uri").or(text(row, "key_release_info.key_uid")).unwrap_or_default()
}

fn is_release_of(row: &Row, artifact: &str) -> bool {
    number(row, "activity_id") == Some(2) && keys(row).0.iter().any(|digest| digest == artifact)
}

/// By what telemetry names the key release that its session stands on: the decision's uid, or the broker session's.
pub fn sessions(row: &Row) -> Vec<String> {
    let names = ["key_release_info.uid", "key_release_info.session_uid"];
    names.iter().filter_map(|path| text(row, path)).map(str::to_owned).collect()
}

fn place(pod: &Pod) -> String {
    if pod.namespace.is_empty() { pod.name.clone() } else { format!("{}/{}", pod.namespace, pod.name) }
}

/// The workloads that a record of the Kubernetes API is about.
pub fn pods(row: &Row) -> Vec<Pod> {
    let of = |resource: &Value, name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let resources = at(row, "resources").and_then(Value::as_array).into_iter().flatten().take(NAMED_MAX);
    let pods = resources.map(|r| Pod { namespace: of(r, "namespace"), name: of(r, "name"), uid: of(r, "uid") });
    pods.filter(|pod| !pod.name.is_empty() && pod.name != "*" && !pod.name.contains("@sha256:")).collect()
}

/// What a key release is about: the digests of what was started, and the names of the key, session and decision.
pub fn keys(row: &Row) -> (Vec<String>, Vec<String>) {
    let texts = |paths: &[&str]| paths.iter().filter_map(|path| text(row, path)).map(str::to_owned).collect();
    let names = [
        "key_release_info.key_uri",
        "key_release_info.key_uid",
        "key_release_info.session_uid",
        "key_release_info.uid",
    ];
    (texts(&["artifact.uid", "tee_evidence.image.uid"]), texts(&names))
}

/// The digests of images that a record names, as `name@sha256:…`, or as the uid of a resource; at most [`NAMED_MAX`].
pub fn named_digests(row: &Row) -> BTreeSet<String> {
    let mut digests = BTreeSet::new();
    each_text(row, &mut |text| {
        for (start, _) in text.match_indices("sha256:") {
            let pinned = start == 0 || text[..start].ends_with('@');
            let hex = text[start + 7..].get(..64);
            if let Some(hex) = hex.filter(|hex| pinned && hex.bytes().all(|b| b.is_ascii_hexdigit()))
                && digests.len() < NAMED_MAX
            {
                digests.insert(format!("sha256:{}", hex.to_ascii_lowercase()));
            }
        }
    });
    digests
}

fn names(row: &Row, artifact: &str) -> bool {
    let mut is = false;
    each_text(row, &mut |text| is |= text.contains(artifact));
    is
}

/// Whether a record of telemetry is of that pod: it has the pod's uid, or its name and its namespace, as values.
pub fn names_pod(row: &Row, pod: &Pod) -> bool {
    let (mut uid, mut name, mut namespace) = (false, false, pod.namespace.is_empty());
    each_inner_text(row, &mut |text| {
        uid |= !pod.uid.is_empty() && text == pod.uid;
        name |= text == pod.name;
        namespace |= text == pod.namespace;
    });
    uid || (name && namespace)
}

/// Whether one of some names is a value in a record.
fn names_one(row: &Row, names: &[String]) -> bool {
    let mut is = false;
    each_inner_text(row, &mut |text| is |= names.iter().any(|name| name == text));
    is
}

fn each_text(row: &Row, f: &mut impl FnMut(&str)) {
    fn walk(value: &Value, f: &mut impl FnMut(&str)) {
        match value {
            Value::String(text) => f(text),
            Value::Array(list) => list.iter().for_each(|value| walk(value, f)),
            Value::Object(object) => object.values().for_each(|value| walk(value, f)),
            _ => {}
        }
    }
    row.values().for_each(|value| walk(value, f));
}

/// Also those within the original event, where it is JSON.
fn each_inner_text(row: &Row, f: &mut impl FnMut(&str)) {
    each_text(row, f);
    if let Some(inner) = text(row, "raw_data").and_then(|raw| serde_json::from_str::<Row>(raw).ok()) {
        each_text(&inner, f);
    }
}

/// An attribute of telemetry: a member of that name, or a `{key, value}` pair of OTLP.
fn found(row: &Row, name: &str) -> Option<String> {
    fn walk(value: &Value, name: &str) -> Option<String> {
        match value {
            Value::Array(list) => list.iter().find_map(|value| walk(value, name)),
            Value::Object(object) => {
                if let Some(text) = object.get(name).and_then(Value::as_str) {
                    return Some(text.to_owned());
                }
                if object.get("key").and_then(Value::as_str) == Some(name) {
                    return object.get("value")?.get("stringValue")?.as_str().map(str::to_owned);
                }
                object.values().find_map(|value| walk(value, name))
            }
            _ => None,
        }
    }
    let inner = text(row, "raw_data").and_then(|raw| serde_json::from_str::<Value>(raw).ok());
    walk(&Value::Object(row.clone()), name).or_else(|| walk(&inner?, name))
}
