//! GKE's audit log (a Cloud Logging entry of `k8s.io`) as the audit event that it was made of.

use crate::json::{Members, at, push_string, text};

/// The audit event of a log entry: `methodName` is `io.k8s.<group>.<version>.<resource>[.<subresource>].<verb>`.
pub fn gke(entry: &str) -> Option<String> {
    let payload = at(entry, "protoPayload")?;
    let method = text(at(payload, "methodName")?).into_owned();
    let mut parts: Vec<&str> = method.split('.').collect();
    let verb = parts.pop()?;
    let version = parts.iter().position(|p| p.len() > 1 && p.starts_with('v') && p.as_bytes()[1].is_ascii_digit())?;
    let resource = parts.get(version + 1)?;
    let name = at(payload, "resourceName").map(text).unwrap_or_default();
    let segments: Vec<&str> = name.split('/').collect();
    let after = |word: &str| segments.iter().position(|s| *s == word).and_then(|i| segments.get(i + 1)).copied();

    let mut out = String::from("{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"");
    let mut member = |key: &str, raw: Option<&str>| {
        if let Some(raw) = raw {
            out.push_str(",\"");
            out.push_str(key);
            out.push_str("\":");
            out.push_str(raw);
        }
    };
    let quoted = |value: &str| {
        let mut json = String::new();
        push_string(&mut json, value);
        json
    };
    member("auditID", at(entry, "operation.id").or_else(|| at(entry, "insertId")));
    member("stageTimestamp", at(entry, "timestamp"));
    member("verb", Some(&quoted(verb)));
    let mut object = format!("{{\"resource\":{},\"apiVersion\":{}", quoted(resource), quoted(parts[version]));
    let mut add = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            object.push_str(&format!(",\"{key}\":{}", quoted(value)));
        }
    };
    add("subresource", parts.get(version + 2).copied());
    add("namespace", after("namespaces"));
    add("name", after(resource));
    let group = segments.first().copied().filter(|g| *g != "core" && !g.is_empty());
    add("apiGroup", group);
    object.push('}');
    member("objectRef", Some(&object));
    // Who is not signed in may be named as the authority only.
    let first = |paths: [&str; 2]| {
        paths.into_iter().filter_map(|path| at(payload, path)).find(|raw| !matches!(*raw, "null" | "\"\""))
    };
    let user = first(["authenticationInfo.principalEmail", "authenticationInfo.authoritySelector"]);
    member("user", user.map(|user| format!("{{\"username\":{user}}}")).as_deref());
    let address = first(["requestMetadata.callerIp", "requestMetadata.callerIP"]).map(|ip| format!("[{ip}]"));
    member("sourceIPs", address.as_deref());
    member("userAgent", at(payload, "requestMetadata.callerSuppliedUserAgent"));
    member("requestObject", at(payload, "request"));
    member("responseObject", at(payload, "response"));
    // google.rpc.Status codes: 0 is OK, 7 PERMISSION_DENIED; absent is OK.
    let code = at(payload, "status.code").map_or("200", |c| match c {
        "0" => "200",
        "5" => "404",
        "6" => "409",
        "7" => "403",
        "16" => "401",
        _ => "500",
    });
    member("responseStatus", Some(&format!("{{\"code\":{code}}}")));
    member("annotations", at(entry, "labels"));
    // What has no place in an audit event stays under its own name.
    let known = ["protoPayload", "labels", "timestamp", "operation"];
    let mut rest: Vec<(String, &str)> =
        Members::of(entry).filter(|(k, _)| !known.contains(k)).map(|(k, v)| (k.to_owned(), v)).collect();
    let used = ["request", "response"];
    rest.extend(Members::of(payload).filter(|(k, _)| !used.contains(k)).map(|(k, v)| (format!("protoPayload.{k}"), v)));
    for (key, raw) in rest {
        out.push_str(&format!(",\"{key}\":{raw}"));
    }
    out.push('}');
    Some(out)
}
