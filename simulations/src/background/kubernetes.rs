//! Ordinary Kubernetes audit events (audit.k8s.io/v1): controllers, kubelets and a few operators.

use crate::company::{DEPLOYMENTS, OPERATORS, office_address, pick, uuid};
use chrono::{DateTime, SecondsFormat, Utc};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// A request to the API server.
pub struct Request<'a> {
    /// `user`: name and groups.
    pub user: (&'a str, &'a [&'a str]),
    /// The client's address.
    pub address: String,
    /// `verb`.
    pub verb: &'a str,
    /// `requestURI`.
    pub uri: String,
    /// `objectRef`.
    pub object: Value,
    /// `requestObject`, where the policy's level keeps it.
    pub body: Option<Value>,
    /// `responseStatus.code`.
    pub code: u16,
}

/// The audit event of a request, at stage `ResponseComplete`.
pub fn record(time: DateTime<Utc>, request: Request<'_>, rng: &mut ChaCha8Rng) -> Value {
    let stamp = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let allowed = request.code < 400;
    let mut record = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1",
        "level": if request.body.is_some() { "RequestResponse" } else { "Metadata" }, "auditID": uuid(rng),
        "stage": "ResponseComplete", "requestURI": request.uri, "verb": request.verb,
        "user": {"username": request.user.0, "groups": request.user.1}, "sourceIPs": [request.address],
        "userAgent": if request.user.0.starts_with("system:") { "kube-controller-manager/v1.31.4 (linux/amd64)" } else { "kubectl/v1.31.2 (linux/amd64)" },
        "objectRef": request.object, "responseStatus": {"metadata": {}, "code": request.code},
        "requestReceivedTimestamp": stamp, "stageTimestamp": stamp,
        "annotations": {"authorization.k8s.io/decision": if allowed { "allow" } else { "forbid" },
            "authorization.k8s.io/reason": if allowed { "RBAC: allowed" } else { "" }}
    });
    if let Some(body) = request.body {
        record["requestObject"] = body;
    }
    record
}

/// One ordinary event.
pub fn event(time: DateTime<Utc>, rng: &mut ChaCha8Rng) -> Value {
    let (namespace, name) = DEPLOYMENTS[rng.random_range(0..DEPLOYMENTS.len())];
    let pod = format!("{name}-{:05x}", rng.random_range(0..64u32) * 9_973 % 0xfffff);
    let node_address = format!("10.30.0.{}", rng.random_range(10..40));
    let masters: &[&str] = &["system:masters", "system:authenticated"];
    let request = match rng.random_range(0..100) {
        0..40 => Request {
            user: ("system:kube-controller-manager", &["system:authenticated"]),
            address: "10.30.0.2".into(),
            verb: "update",
            uri: "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager".into(),
            object: json!({"resource": "leases", "namespace": "kube-system", "name": "kube-controller-manager", "apiGroup": "coordination.k8s.io", "apiVersion": "v1"}),
            body: None,
            code: 200,
        },
        40..70 => Request {
            user: ("system:node:worker-1", &["system:nodes", "system:authenticated"]),
            address: node_address,
            verb: "patch",
            uri: format!("/api/v1/namespaces/{namespace}/pods/{pod}/status"),
            object: json!({"resource": "pods", "subresource": "status", "namespace": namespace, "name": pod, "apiVersion": "v1"}),
            body: None,
            code: 200,
        },
        70..85 => Request {
            user: ("system:serviceaccount:platform:metrics", &["system:serviceaccounts", "system:authenticated"]),
            address: node_address,
            verb: "list",
            uri: format!("/api/v1/namespaces/{namespace}/pods?limit=500"),
            object: json!({"resource": "pods", "namespace": namespace, "apiVersion": "v1"}),
            body: None,
            code: 200,
        },
        85..96 => Request {
            user: ("system:serviceaccount:platform:ingress", &["system:serviceaccounts", "system:authenticated"]),
            address: node_address,
            verb: "watch",
            uri: "/api/v1/endpoints?watch=true".into(),
            object: json!({"resource": "endpoints", "apiVersion": "v1"}),
            body: None,
            code: 200,
        },
        n => {
            let person = pick(rng, OPERATORS);
            let verb = if n < 99 { "get" } else { "patch" };
            Request {
                user: (person, masters),
                address: office_address(person),
                verb,
                uri: format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"),
                object: json!({"resource": "deployments", "namespace": namespace, "name": name, "apiGroup": "apps", "apiVersion": "v1"}),
                body: (verb == "patch").then(|| json!({"spec": {"replicas": rng.random_range(2..5)}})),
                code: 200,
            }
        }
    };
    record(time, request, rng)
}
