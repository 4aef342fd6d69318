//! GuardDuty's findings: the resource that is meant, and what was seen. Source: AWS, "GuardDuty finding format" and the
//! API's type Finding.

use super::Made;
use crate::json::{Kind, Members, at, kind, text};

type Child = (&'static str, String);

/// Details of a resource: member of `resource`, its type, paths of its name and of its id.
const RESOURCES: [(&str, &str, &str, &str); 13] = [
    ("accessKeyDetails", "AWS::IAM::AccessKey", "userName", "accessKeyId"),
    ("instanceDetails", "AWS::EC2::Instance", "", "instanceId"),
    ("s3BucketDetails", "AWS::S3::Bucket", "name", "arn"),
    ("eksClusterDetails", "AWS::EKS::Cluster", "name", "arn"),
    ("kubernetesDetails.kubernetesWorkloadDetails", "Kubernetes workload", "name", "uid"),
    ("kubernetesDetails.kubernetesUserDetails", "Kubernetes user", "username", "uid"),
    ("ecsClusterDetails", "AWS::ECS::Cluster", "name", "arn"),
    ("containerDetails", "Container", "name", "id"),
    ("rdsDbInstanceDetails", "AWS::RDS::DBInstance", "dbInstanceIdentifier", "dbInstanceArn"),
    ("rdsDbUserDetails", "Database user", "user", ""),
    ("lambdaDetails", "AWS::Lambda::Function", "functionName", "functionArn"),
    ("ebsVolumeDetails.scannedVolumeDetails", "AWS::EC2::Volume", "", "volumeArn"),
    ("ebsSnapshotDetails", "AWS::EC2::Snapshot", "", "snapshotArn"),
];

/// The resources that a finding's `resource` tells, a list's elements each.
pub fn guardduty_resources(texts: &[&str]) -> Made {
    let mut made = Vec::new();
    for resource in texts {
        for (member, of_type, name, uid) in RESOURCES {
            for details in elements(at(resource, member).unwrap_or_default()) {
                let children: Vec<Child> = [("name", name), ("uid", uid)]
                    .iter()
                    .filter_map(|(child, path)| said(details, path, child))
                    .collect();
                if !children.is_empty() {
                    made.push([children, vec![("type", of_type.to_owned())]].concat());
                }
            }
        }
    }
    if made.is_empty() { Made::Nothing } else { Made::Objects(made) }
}

/// What of an action is a caller, a peer, a call or a name.
const EVIDENCE: [(&str, &str); 19] = [
    ("awsApiCallAction.api", "api.operation"),
    ("awsApiCallAction.serviceName", "api.service.name"),
    ("awsApiCallAction.remoteIpDetails.ipAddressV4", "src_endpoint.ip"),
    ("awsApiCallAction.remoteIpDetails.city.cityName", "src_endpoint.location.city"),
    ("awsApiCallAction.remoteIpDetails.organization.org", "src_endpoint.autonomous_system.name"),
    ("awsApiCallAction.remoteIpDetails.organization.asn", "src_endpoint.autonomous_system.number"),
    ("awsApiCallAction.domainDetails.domain", "src_endpoint.domain"),
    ("networkConnectionAction.remoteIpDetails.ipAddressV4", "src_endpoint.ip"),
    ("networkConnectionAction.remotePortDetails.port", "src_endpoint.port"),
    ("networkConnectionAction.localIpDetails.ipAddressV4", "dst_endpoint.ip"),
    ("networkConnectionAction.localPortDetails.port", "dst_endpoint.port"),
    ("kubernetesApiCallAction.verb", "api.operation"),
    ("kubernetesApiCallAction.requestUri", "url.path"),
    ("kubernetesApiCallAction.remoteIpDetails.ipAddressV4", "src_endpoint.ip"),
    ("rdsLoginAttemptAction.remoteIpDetails.ipAddressV4", "src_endpoint.ip"),
    ("dnsRequestAction.domain", "query.hostname"),
    ("portProbeAction.portProbeDetails.remoteIpDetails.ipAddressV4", "src_endpoint.ip"),
    ("portProbeAction.portProbeDetails.localPortDetails.port", "dst_endpoint.port"),
    ("portProbeAction.portProbeDetails.localIpDetails.ipAddressV4", "dst_endpoint.ip"),
];

/// What a finding's `service.action` shows; of an outbound connection, the remote side is where it went.
pub fn guardduty_evidence(texts: &[&str]) -> Made {
    let made: Vec<Vec<Child>> = texts.iter().map(|action| evidence(action)).filter(|made| !made.is_empty()).collect();
    if made.is_empty() { Made::Nothing } else { Made::Objects(made) }
}

fn evidence(action: &str) -> Vec<Child> {
    let outbound = at(action, "networkConnectionAction.connectionDirection").is_some_and(|raw| text(raw) == "OUTBOUND");
    let mut made: Vec<Child> = Vec::new();
    for (path, child) in EVIDENCE {
        let child = match child {
            "src_endpoint.ip" if outbound => "dst_endpoint.ip",
            "src_endpoint.port" if outbound => "dst_endpoint.port",
            "dst_endpoint.ip" if outbound => "src_endpoint.ip",
            "dst_endpoint.port" if outbound => "src_endpoint.port",
            child => child,
        };
        // Of a list of probes the first is shown; `unmapped` has all.
        let mut found = None;
        crate::json::descend(action, path, &mut |raw| found = found.or(Some(raw)));
        if let Some(raw) = found.filter(|raw| scalar(raw) && made.iter().all(|(own, _)| *own != child)) {
            made.push((child, text(raw).into_owned()));
        }
    }
    // OCSF asks an API for its name, an endpoint for what tells it from others.
    for (object, needs) in [
        ("api.", &["api.operation"][..]),
        ("src_endpoint.", &["src_endpoint.ip", "src_endpoint.domain"]),
        ("dst_endpoint.", &["dst_endpoint.ip"]),
    ] {
        if !made.iter().any(|(child, _)| needs.contains(child)) {
            made.retain(|(child, _)| !child.starts_with(object));
        }
    }
    made
}

fn elements(raw: &str) -> Vec<&str> {
    match kind(raw) {
        Kind::Array => Members::of(raw).map(|(_, element)| element).collect(),
        Kind::Object => vec![raw],
        _ => Vec::new(),
    }
}

fn said(details: &str, path: &str, child: &'static str) -> Option<Child> {
    let raw = at(details, path).filter(|raw| scalar(raw) && *raw != "\"\"")?;
    Some((child, text(raw).into_owned()))
}

fn scalar(raw: &str) -> bool {
    matches!(kind(raw), Kind::String | Kind::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(children: &[(&'static str, &str)]) -> Vec<Child> {
        children.iter().map(|(child, value)| (*child, (*value).to_owned())).collect()
    }

    #[test]
    fn resources_are_told_by_their_details() {
        let resource = concat!(
            r#"{"resourceType":"S3Bucket","accessKeyDetails":{"accessKeyId":"ASIAEXAMPLE","userName":"etl"},"#,
            r#""s3BucketDetails":[{"arn":"arn:aws:s3:::b1","name":"b1"},{"name":7},null],"instanceDetails":{"instanceId":null}}"#
        );
        let key = object(&[("name", "etl"), ("uid", "ASIAEXAMPLE"), ("type", "AWS::IAM::AccessKey")]);
        let bucket = object(&[("name", "b1"), ("uid", "arn:aws:s3:::b1"), ("type", "AWS::S3::Bucket")]);
        let other = object(&[("name", "7"), ("type", "AWS::S3::Bucket")]);
        assert_eq!(guardduty_resources(&[resource]), Made::Objects(vec![key, bucket, other]));
        assert_eq!(guardduty_resources(&["[]"]), Made::Nothing);
    }

    #[test]
    fn an_action_shows_who_and_what() {
        let outbound = concat!(
            r#"{"networkConnectionAction":{"connectionDirection":"OUTBOUND","remoteIpDetails":{"ipAddressV4":"203.0.113.8"},"#,
            r#""localPortDetails":{"port":49152},"remotePortDetails":{"port":443}}}"#
        );
        let seen = object(&[("dst_endpoint.ip", "203.0.113.8"), ("dst_endpoint.port", "443")]);
        assert_eq!(guardduty_evidence(&[outbound]), Made::Objects(vec![seen]));
        let probes = concat!(
            r#"{"portProbeAction":{"portProbeDetails":[{"localPortDetails":{"port":22},"#,
            r#""remoteIpDetails":{"ipAddressV4":"198.51.100.3"}},{"localPortDetails":{"port":23}}]}}"#
        );
        let seen = object(&[("src_endpoint.ip", "198.51.100.3")]);
        assert_eq!(guardduty_evidence(&[probes]), Made::Objects(vec![seen]));
        assert_eq!(guardduty_evidence(&[r#"{"awsApiCallAction":{"serviceName":"s3.amazonaws.com"}}"#]), Made::Nothing);
    }
}
