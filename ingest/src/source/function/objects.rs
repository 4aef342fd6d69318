//! Lists of objects: resources and groups.

use super::Made;
use crate::json::{Kind, Members, kind, text};

fn objects(array: &str) -> impl Iterator<Item = &str> {
    Members::of(array).map(|(_, v)| v).filter(|v| kind(v) == Kind::Object)
}

/// CloudTrail's `resources`: ARN, type, account.
pub fn aws_resources(texts: &[&str]) -> Made {
    let object = |item: &str| {
        let mut out = Vec::new();
        for (key, raw) in Members::of(item) {
            let child = match key {
                "ARN" | "arn" => "uid",
                "type" => "type",
                "accountId" => "owner.account.uid",
                _ => continue,
            };
            out.push((child, text(raw).into_owned()));
        }
        if out.iter().all(|(c, _)| *c != "uid") {
            // OCSF asks a resource for a name or an id; a prefix of ARNs is its name.
            let name = Members::of(item)
                .find(|(k, _)| *k == "ARNPrefix")
                .map_or_else(|| "unknown".into(), |(_, v)| text(v).into_owned());
            out.push(("name", name));
        }
        out
    };
    let made: Vec<_> = texts.iter().flat_map(|t| objects(t).map(object)).collect();
    if made.is_empty() { Made::Nothing } else { Made::Objects(made) }
}

/// CloudTrail's fields that OCSF has no attribute for, as tags by name.
pub fn cloudtrail_tags(texts: &[&str]) -> Made {
    const TAGS: [&str; 7] = [
        "readOnly",
        "managementEvent",
        "tlsDetails.tlsVersion",
        "tlsDetails.cipherSuite",
        "sessionCredentialFromConsole",
        "sessionIssuer.type",
        "sessionIssuer.accountId",
    ];
    tags(&TAGS, texts)
}

/// Fields of S3's access log that OCSF has no attribute for, as tags by name.
pub fn s3_tags(texts: &[&str]) -> Made {
    const TAGS: [&str; 10] = [
        "objectsize",
        "turnaroundtime",
        "versionid",
        "hostid",
        "signatureversion",
        "ciphersuite",
        "authenticationtype",
        "tlsversion",
        "accesspointarn",
        "aclrequired",
    ];
    tags(&TAGS, texts)
}

fn tags(names: &[&str], texts: &[&str]) -> Made {
    let tag = |(name, value): (&&str, &&str)| vec![("name", (*name).to_owned()), ("value", (*value).to_owned())];
    let made: Vec<_> = names.iter().zip(texts).filter(|(_, value)| !value.is_empty()).map(tag).collect();
    if made.is_empty() { Made::Nothing } else { Made::Objects(made) }
}

/// The bucket, the key and the bucket's owner of a request to Amazon S3.
pub fn s3_resources(texts: &[&str]) -> Made {
    let [bucket, key, owner, ..] = texts else { return Made::Nothing };
    if bucket.is_empty() {
        return Made::Nothing;
    }
    let resource = |of_type: &str, name: &str, uid: String| {
        vec![("type", of_type.to_owned()), ("name", name.to_owned()), ("uid", uid)]
    };
    let mut made = vec![resource("AWS::S3::Bucket", bucket, format!("arn:aws:s3:::{bucket}"))];
    if !owner.is_empty() {
        made[0].push(("owner.uid", (*owner).to_owned()));
    }
    if !key.is_empty() {
        made.push(resource("AWS::S3::Object", key, format!("arn:aws:s3:::{bucket}/{key}")));
    }
    Made::Objects(made)
}

/// A Kubernetes object reference: resource, name, namespace, uid.
pub fn kubernetes_resource(texts: &[&str]) -> Made {
    let [resource, name, namespace, uid] = texts else { return Made::Nothing };
    if resource.is_empty() {
        return Made::Nothing;
    }
    let mut out = vec![("type", (*resource).to_owned())];
    // A request on a collection names no object.
    out.push(("name", if name.is_empty() { "*" } else { name }.to_owned()));
    for (child, value) in [("namespace", namespace), ("uid", uid)] {
        if !value.is_empty() {
            out.push((child, (*value).to_owned()));
        }
    }
    Made::Objects(vec![out])
}

/// A JSON array of names as groups.
pub fn groups(texts: &[&str]) -> Made {
    let names = texts.iter().flat_map(|t| Members::of(t)).map(|(_, v)| vec![("name", text(v).into_owned())]);
    let made: Vec<_> = names.collect();
    if made.is_empty() { Made::Nothing } else { Made::Objects(made) }
}
