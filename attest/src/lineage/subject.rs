//! What a Detection Finding is about: the images and workloads that its evidence names.

use super::names::{at, text, workload_kind};
use super::{NAMED_MAX, Pod, Row, named_digests, pods};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Bytes of evidence that is JSON in a text.
const EVIDENCE_BYTES_MAX: usize = 1 << 20;

/// Images and workloads; at most [`NAMED_MAX`] of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Digests of images, `sha256:…`.
    pub digests: BTreeSet<String>,
    /// Workloads.
    pub pods: BTreeSet<Pod>,
}

impl Subject {
    /// Whether it is about nothing that has a chain.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty() && self.pods.is_empty()
    }

    /// Whether it is about that workload: the same uid, or the same name in the same namespace.
    pub fn is_on(&self, workload: &Pod) -> bool {
        self.pods.iter().any(|pod| pod.is(workload))
    }

    fn add(&mut self, pod: Pod) {
        if !(pod.name.is_empty() && pod.uid.is_empty()) && self.pods.len() < NAMED_MAX {
            self.pods.insert(pod);
        }
    }
}

/// What a finding is about, from its `resources` and `evidences`, whose `data` is the event as it came.
///
/// Understood are OCSF's `container` (`image.uid`, `pod_uuid`) and `resources`, the `objectRef` of Kubernetes' audit log, the
/// `pod` of Tetragon, and the attributes `k8s.pod.name`, `k8s.pod.uid` and `k8s.ns.name` or `k8s.namespace.name` of Falco and
/// OpenTelemetry. Digests count where an image is named by them: `name@sha256:…`, or as a whole value.
pub fn subject(finding: &Row) -> Subject {
    let mut about = Subject::default();
    // What else it says, such as the digest of its rule, is no image.
    let mut named: Row = Map::new();
    for part in ["resources", "evidences", "device"] {
        if let Some(value) = at(finding, part) {
            named.insert(part.to_owned(), opened(value, 0));
        }
    }
    about.digests = named_digests(&named);
    for pod in pods(&named).into_iter().filter(|pod| !pod.namespace.is_empty()) {
        about.add(pod);
    }
    named.values().for_each(|value| workloads(value, &mut about));
    about
}

/// The value, with texts in it that are JSON objects as what they are.
fn opened(value: &Value, depth: usize) -> Value {
    match value {
        Value::String(inner) if depth < 4 && inner.starts_with('{') && inner.len() <= EVIDENCE_BYTES_MAX => {
            serde_json::from_str(inner).unwrap_or_else(|_| value.clone())
        }
        Value::Array(list) => list.iter().take(NAMED_MAX).map(|one| opened(one, depth + 1)).collect(),
        Value::Object(object) => {
            Value::Object(object.iter().map(|(name, one)| (name.clone(), opened(one, depth + 1))).collect())
        }
        _ => value.clone(),
    }
}

fn workloads(value: &Value, about: &mut Subject) {
    match value {
        Value::Array(list) => list.iter().for_each(|one| workloads(one, about)),
        Value::Object(object) => {
            if let Some(pod) = workload(object) {
                about.add(pod);
            }
            object.values().for_each(|one| workloads(one, about));
        }
        _ => {}
    }
}

/// The workload that an object's own members name.
fn workload(object: &Row) -> Option<Pod> {
    let of = |names: &[&str]| {
        let found =
            names.iter().find_map(|name| object.get(*name).and_then(Value::as_str).or_else(|| text(object, name)));
        found.unwrap_or_default().to_owned()
    };
    let pod = |namespace: &[&str], name: &[&str], uid: &[&str]| {
        let pod = Pod { namespace: of(namespace), name: of(name), uid: of(uid) };
        (!pod.name.is_empty() || !pod.uid.is_empty()).then_some(pod)
    };
    let audited = || {
        // A group of a correlation may have the fields and not the kind.
        let kind = of(&["objectRef.resource"]);
        let is_workload = kind.is_empty() || workload_kind(&kind);
        is_workload.then(|| pod(&["objectRef.namespace"], &["objectRef.name"], &["objectRef.uid"])).flatten()
    };
    audited()
        .or_else(|| pod(&["k8s.ns.name", "k8s.namespace.name"], &["k8s.pod.name"], &["k8s.pod.uid"]))
        .or_else(|| pod(&["pod.namespace"], &["pod.name"], &["pod.uid"]))
        .or_else(|| pod(&[], &[], &["container.pod_uuid"]))
}
