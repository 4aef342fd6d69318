//! A monitoring company's round through the account: it may read everything, and does so in a minute.

use super::{Actor, Notes};
use crate::company::ACCOUNT;
use serde_json::{Value, json};

const READS: &[(&str, &str)] = &[
    ("ec2", "DescribeInstances"),
    ("ec2", "DescribeVolumes"),
    ("ec2", "DescribeSnapshots"),
    ("ec2", "DescribeSecurityGroups"),
    ("ec2", "DescribeNetworkInterfaces"),
    ("s3", "ListBuckets"),
    ("rds", "DescribeDBInstances"),
    ("rds", "DescribeDBClusters"),
    ("lambda", "ListFunctions20150331"),
    ("ecs", "ListClusters"),
    ("eks", "ListClusters"),
    ("iam", "ListUsers"),
    ("iam", "ListRoles"),
    ("iam", "GetAccountSummary"),
    ("iam", "GetAccountAuthorizationDetails"),
    ("iam", "GenerateCredentialReport"),
    ("cloudtrail", "DescribeTrails"),
    ("cloudtrail", "GetTrailStatus"),
    ("guardduty", "ListDetectors"),
    ("kms", "ListKeys"),
    ("secretsmanager", "ListSecrets"),
    ("sns", "ListTopics"),
    ("sqs", "ListQueues"),
    ("dynamodb", "ListTables"),
    ("elasticloadbalancing", "DescribeLoadBalancers"),
    ("organizations", "DescribeOrganization"),
    ("monitoring", "DescribeAlarms"),
    ("tagging", "GetResources"),
];

/// Signs in from its own account, with the id that was agreed, and reads.
pub(super) fn round(notes: &mut Notes<'_>) {
    let agent = "Boto3/1.35.10 md/Botocore#1.35.10 ua/2.0 os/linux lang/python#3.12.6";
    let outside = Actor {
        identity: json!({
            "type": "AWSAccount", "principalId": "AROAEXAMPLEMON:collector", "accountId": "444455556666"
        }),
        address: "203.0.113.90".into(),
        agent: agent.into(),
    };
    let role = format!("arn:aws:iam::{ACCOUNT}:role/monitoring-read-only");
    let request = json!({
        "roleArn": role, "roleSessionName": "collector", "externalId": "0f1e2d3c4b5a6978", "durationSeconds": 3_600
    });
    let response = json!({
        "assumedRoleUser": { "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/monitoring-read-only/collector") }
    });
    notes.change(&outside, &[("sts", "AssumeRole", request, response)]);
    let by = Actor::role("monitoring-read-only", "collector", "203.0.113.90", agent);
    let calls: Vec<(&str, &str, Value)> = READS.iter().map(|(service, name)| (*service, *name, Value::Null)).collect();
    notes.read(&by, &calls);
}
