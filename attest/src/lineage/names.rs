//! What records name: digests, workloads, keys; and what may be shown of it.

use super::Row;
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

impl Pod {
    /// Whether both are the same workload: by uid where both have one, else by name and namespace.
    pub fn is(&self, other: &Self) -> bool {
        if !self.uid.is_empty() && !other.uid.is_empty() {
            return self.uid == other.uid;
        }
        !self.name.is_empty() && self.name == other.name && self.namespace == other.namespace
    }
}

/// Whether a resource of Kubernetes runs containers: `pods`, `deployments` and so on, singular or plural.
pub(super) fn workload_kind(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_suffix('s').unwrap_or(&kind);
    ["pod", "deployment", "statefulset", "daemonset", "replicaset", "job", "cronjob"].contains(&kind)
}

/// The value at a dotted path.
pub(super) fn at<'a>(row: &'a Row, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('.');
    let first = row.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

pub(super) fn text<'a>(row: &'a Row, path: &str) -> Option<&'a str> {
    at(row, path).and_then(Value::as_str).filter(|text| !text.is_empty())
}

pub(super) fn number(row: &Row, path: &str) -> Option<i64> {
    at(row, path).and_then(Value::as_i64)
}

/// What may be shown on a terminal: no control characters, and not too long.
pub(super) fn label(text: &str) -> String {
    let shown: String = text.chars().take(LABEL_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LABEL_MAX).is_some() { shown + "…" } else { shown }
}

pub(super) fn place(pod: &Pod) -> String {
    if pod.namespace.is_empty() { pod.name.clone() } else { format!("{}/{}", pod.namespace, pod.name) }
}

/// The workloads that a record of the Kubernetes API is about.
pub fn pods(row: &Row) -> Vec<Pod> {
    let of = |resource: &Value, name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let resources = at(row, "resources").and_then(Value::as_array).into_iter().flatten().take(NAMED_MAX);
    let pods = resources.map(|r| Pod { namespace: of(r, "namespace"), name: of(r, "name"), uid: of(r, "uid") });
    pods.filter(|pod| !pod.name.is_empty() && pod.name != "*" && !pod.name.contains("@sha256:")).collect()
}

/// By what telemetry names the key release that its session stands on: the decision's uid, or the broker session's.
pub fn sessions(row: &Row) -> Vec<String> {
    let names = ["key_release_info.uid", "key_release_info.session_uid"];
    names.iter().filter_map(|path| text(row, path)).map(str::to_owned).collect()
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

pub(super) fn names(row: &Row, artifact: &str) -> bool {
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
pub(super) fn names_one(row: &Row, names: &[String]) -> bool {
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
pub(super) fn found(row: &Row, name: &str) -> Option<String> {
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
