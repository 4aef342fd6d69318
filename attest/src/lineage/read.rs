//! Records to edges.

use super::names::{at, found, label, names, names_one, number, place, text};
use super::subject::Subject;
use super::{Edge, Pod, Records, Row, Stage, State, keys, named_digests, names_pod, pods, sessions};
use serde_json::Value;
use std::collections::BTreeSet;

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

/// All edges that records of `artifact` tell of; `subjects` are those of the findings, in their order.
pub(super) fn edges(artifact: &str, records: &Records, subjects: &[Subject]) -> Vec<Edge> {
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
    for (row, subject) in records.findings.iter().zip(subjects) {
        // One that names images is about these, whatever else its pod ran.
        if subject.digests.contains(artifact) {
            edges.push(finding(row, artifact, artifact.to_owned()));
        } else if let Some(pod) = workloads.iter().find(|pod| subject.digests.is_empty() && subject.is_on(pod)) {
            edges.push(finding(row, artifact, place(pod)));
        }
    }
    edges
}

/// A finding neither makes a chain nor breaks one. Its record is known by the finding's uid, whatever was changed since.
fn finding(row: &Row, artifact: &str, from: String) -> Edge {
    let uid = text(row, "finding_info.uid").or(text(row, "metadata.uid")).unwrap_or_default();
    let title = text(row, "finding_info.title").or(text(row, "message")).unwrap_or(uid);
    let words = [text(row, "severity"), text(row, "status"), text(row, "verdict")];
    let mut edge = edge(row, artifact, Stage::Finding, title, uid.to_owned());
    edge.state = State::Told;
    edge.from = from;
    edge.detail = label(&words.into_iter().flatten().collect::<Vec<_>>().join(", "));
    edge.record = Some(label(uid));
    edge
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
