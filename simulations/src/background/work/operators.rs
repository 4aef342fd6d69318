//! The cluster: an operator with kubectl, and the controllers that keep certificates, secrets and backups.

use super::super::kubernetes::{self, Request};
use super::Notes;
use crate::company::{DEPLOYMENTS, OPERATORS, office_address, pick};
use crate::day::Source;
use rand::Rng;
use serde_json::{Value, json};

/// Looks around, reads logs, restarts something.
pub(super) fn at_the_cluster(notes: &mut Notes<'_>) {
    let person = pick(notes.rng, OPERATORS);
    let user = (person, &["platform-engineers", "system:authenticated"][..]);
    let (namespace, name) = DEPLOYMENTS[notes.rng.random_range(0..DEPLOYMENTS.len())];
    let pod = format!("{name}-{:05x}", notes.rng.random_range(0..0xfffff));
    let core = |resource: &str, name: Option<&str>| {
        json!({
            "resource": resource, "namespace": namespace, "name": name, "apiVersion": "v1"
        })
    };
    let below = format!("/api/v1/namespaces/{namespace}");
    let sub = |sub: &str| {
        json!({
            "resource": "pods", "subresource": sub, "namespace": namespace, "name": pod, "apiVersion": "v1"
        })
    };
    let apps = json!({
        "resource": "deployments", "namespace": namespace, "name": name, "apiGroup": "apps", "apiVersion": "v1"
    });
    let restart = json!({
        "spec": { "template": { "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": notes.at.to_rfc3339() } } } }
    });
    let review =
        json!({ "resource": "selfsubjectaccessreviews", "apiGroup": "authorization.k8s.io", "apiVersion": "v1" });
    let steps: Vec<(&str, String, Value, Option<Value>, u16)> = vec![
        ("create", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".into(), review, None, 201),
        ("list", "/api/v1/nodes?limit=500".into(), json!({ "resource": "nodes", "apiVersion": "v1" }), None, 200),
        ("list", format!("{below}/pods?limit=500"), core("pods", None), None, 200),
        ("get", format!("{below}/pods/{pod}"), core("pods", Some(&pod)), None, 200),
        ("list", format!("{below}/events?fieldSelector=involvedObject.name%3D{pod}"), core("events", None), None, 200),
        ("get", format!("{below}/pods/{pod}/log?container={name}&tailLines=200"), sub("log"), None, 200),
        ("get", format!("{below}/configmaps/{name}"), core("configmaps", Some(name)), None, 200),
        ("get", format!("{below}/secrets/{name}-tls"), core("secrets", Some(&format!("{name}-tls"))), None, 200),
        ("create", format!("{below}/pods/{pod}/portforward"), sub("portforward"), None, 101),
        (
            "get",
            "/api/v1/namespaces/kube-system/configmaps/coredns".into(),
            json!({ "resource": "configmaps", "namespace": "kube-system", "name": "coredns", "apiVersion": "v1" }),
            None,
            403,
        ),
        ("patch", format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"), apps, Some(restart), 200),
    ];
    for (verb, uri, object, body, code) in steps {
        notes.pause(20_000);
        let request = Request { user, address: office_address(person), verb, uri, object, body, code };
        let value = kubernetes::record(notes.at, request, notes.rng);
        notes.write(Source::Kubernetes, &value);
    }
}

/// cert-manager renews a certificate, the secrets operator writes one secret, the backup lists what it keeps.
pub(super) fn controllers(notes: &mut Notes<'_>) {
    let (namespace, name) = DEPLOYMENTS[notes.rng.random_range(0..DEPLOYMENTS.len())];
    let secret =
        |name: &str| json!({ "resource": "secrets", "namespace": namespace, "name": name, "apiVersion": "v1" });
    let (tls, database) = (format!("{name}-tls"), format!("{name}-database"));
    let below = format!("/api/v1/namespaces/{namespace}/secrets");
    let steps = [
        ("cert-manager:cert-manager", "get", format!("{below}/{tls}"), secret(&tls)),
        ("cert-manager:cert-manager", "update", format!("{below}/{tls}"), secret(&tls)),
        ("external-secrets:external-secrets", "patch", format!("{below}/{database}"), secret(&database)),
        (
            "velero:velero",
            "list",
            format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"),
            json!({ "resource": "persistentvolumeclaims", "namespace": namespace, "apiVersion": "v1" }),
        ),
        (
            "velero:velero",
            "list",
            format!("/api/v1/namespaces/{namespace}/configmaps"),
            json!({ "resource": "configmaps", "namespace": namespace, "apiVersion": "v1" }),
        ),
        (
            "kube-system:cronjob-controller",
            "create",
            format!("/apis/batch/v1/namespaces/{namespace}/jobs"),
            json!({
                "resource": "jobs", "namespace": namespace, "name": format!("{name}-nightly"), "apiGroup": "batch",
                "apiVersion": "v1"
            }),
        ),
    ];
    for (account, verb, uri, object) in steps {
        notes.pause(3_000);
        let account = format!("system:serviceaccount:{account}");
        let user = (account.as_str(), &["system:serviceaccounts", "system:authenticated"][..]);
        let request = Request { user, address: "10.30.0.14".into(), verb, uri, object, body: None, code: 200 };
        let value = kubernetes::record(notes.at, request, notes.rng);
        notes.write(Source::Kubernetes, &value);
    }
}
