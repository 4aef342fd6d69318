//! A Terraform run from the pipeline: it refreshes what it knows, secrets included, and changes a little.

use super::{Actor, Notes};
use crate::company::{ACCOUNT, BUCKETS, ROLES, pick, uuid};
use rand::Rng;
use serde_json::{Value, json};

const AGENT: &str = "APN/1.0 HashiCorp/1.0 Terraform/1.9.8 (+https://www.terraform.io) terraform-provider-aws/5.72.1 \
                     (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.32.2 os/linux lang/go#1.23.2";

/// Plan and apply.
pub(super) fn run(notes: &mut Notes<'_>) {
    let session = format!("aws-go-sdk-{}", notes.at.timestamp());
    let by = Actor::role("terraform-apply", &session, "203.0.113.24", AGENT);
    let (bucket, role) = (pick(notes.rng, BUCKETS), pick(notes.rng, ROLES));
    refresh(notes, &by, bucket, role);
    apply(notes, &by, bucket, role);
}

fn refresh(notes: &mut Notes<'_>, by: &Actor, bucket: &str, role: &str) {
    let policy = format!("arn:aws:iam::{ACCOUNT}:policy/{role}-data");
    let of_bucket = || json!({ "bucketName": bucket, "Host": format!("{bucket}.s3.amazonaws.com") });
    let mut calls = vec![
        ("sts", "GetCallerIdentity", Value::Null),
        ("ec2", "DescribeAccountAttributes", json!({ "accountAttributeNameSet": {}, "filterSet": {} })),
        ("ec2", "DescribeVpcs", json!({ "vpcSet": { "items": [{ "vpcId": "vpc-0a1b2c3d4e5f60718" }] } })),
        ("ec2", "DescribeSubnets", json!({ "subnetSet": {}, "filterSet": {} })),
        ("ec2", "DescribeRouteTables", json!({ "routeTableIdSet": {}, "filterSet": {} })),
        ("ec2", "DescribeSecurityGroups", json!({ "securityGroupSet": {}, "securityGroupIdSet": {}, "filterSet": {} })),
        (
            "ec2",
            "DescribeFlowLogs",
            json!({ "DescribeFlowLogsRequest": { "FlowLogId": { "content": "fl-0123456789abcdef0" } } }),
        ),
        ("iam", "GetRole", json!({ "roleName": role })),
        ("iam", "ListRolePolicies", json!({ "roleName": role })),
        ("iam", "ListAttachedRolePolicies", json!({ "roleName": role })),
        ("iam", "GetPolicy", json!({ "policyArn": policy })),
        ("iam", "GetPolicyVersion", json!({ "policyArn": policy, "versionId": "v3" })),
        ("kms", "DescribeKey", json!({ "keyId": "alias/fjord-data" })),
        ("kms", "GetKeyPolicy", json!({ "keyId": "alias/fjord-data", "policyName": "default" })),
        ("logs", "DescribeLogGroups", json!({ "logGroupNamePrefix": "/ecs/invoice-api" })),
        ("cloudtrail", "DescribeTrails", json!({ "trailNameList": ["org-trail"], "includeShadowTrails": false })),
        ("cloudtrail", "GetEventSelectors", json!({ "trailName": "org-trail" })),
        ("guardduty", "GetDetector", json!({ "detectorId": "d4b040365221be2b54a6264dc9a4bc64" })),
        ("lambda", "GetFunction20150331v2", json!({ "functionName": "invoice-render" })),
        ("rds", "DescribeDBInstances", json!({ "dBInstanceIdentifier": "invoices" })),
        ("ssm", "GetParameter", json!({ "name": "/invoice-api/feature-flags", "withDecryption": true })),
        ("secretsmanager", "DescribeSecret", json!({ "secretId": "prod/invoice-api/database" })),
        (
            "secretsmanager",
            "GetSecretValue",
            json!({ "secretId": "prod/invoice-api/database", "versionStage": "AWSCURRENT" }),
        ),
    ];
    for name in
        ["GetBucketAcl", "GetBucketPolicy", "GetBucketVersioning", "GetBucketPublicAccessBlock", "GetBucketEncryption"]
    {
        calls.push(("s3", name, of_bucket()));
    }
    notes.read(by, &calls);
}

fn apply(notes: &mut Notes<'_>, by: &Actor, bucket: &str, role: &str) {
    notes.pause(40_000);
    make_task(notes, by, role);
    change_settings(notes, by, bucket);
    let managed = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
    notes.change(
        by,
        &[
            ("ec2", "DeleteSecurityGroup", json!({ "groupId": "sg-0f0e0d0c0b0a09080" }), json!({ "_return": true })),
            ("iam", "DetachRolePolicy", json!({ "roleName": "old-task", "policyArn": managed }), Value::Null),
            ("iam", "DeleteRole", json!({ "roleName": "old-task" }), Value::Null),
        ],
    );
}

/// What a new task runs as, and where.
fn make_task(notes: &mut Notes<'_>, by: &Actor, role: &str) {
    let group = format!("sg-0{:016x}", notes.rng.random::<u64>() >> 4);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let narrow = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":"arn:aws:s3:::fjord-invoices/*"}]}"#;
    let ingress = json!({
        "groupId": group,
        "ipPermissions": { "items": [{ "ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "groups": {},
            "ipRanges": { "items": [{ "cidrIp": "10.20.0.0/16", "description": "from the VPC" }] }, "ipv6Ranges": {}, "prefixListIds": {} }] }
    });
    let task = format!("{role}-task");
    let managed = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
    notes.change(by, &[
        (
            "ec2",
            "CreateSecurityGroup",
            json!({ "groupName": task, "groupDescription": "Managed by Terraform", "vpcId": "vpc-0a1b2c3d4e5f60718" }),
            json!({ "groupId": group, "_return": true }),
        ),
        ("ec2", "AuthorizeSecurityGroupIngress", ingress, json!({ "_return": true })),
        (
            "iam",
            "CreateRole",
            json!({ "roleName": task, "path": "/", "assumeRolePolicyDocument": trust }),
            json!({ "role": { "roleName": task, "arn": format!("arn:aws:iam::{ACCOUNT}:role/{task}") } }),
        ),
        ("iam", "AttachRolePolicy", json!({ "roleName": task, "policyArn": managed }), Value::Null),
        (
            "iam",
            "PutRolePolicy",
            json!({ "roleName": task, "policyName": "read-invoices", "policyDocument": narrow }),
            Value::Null,
        ),
        ("logs", "CreateLogGroup", json!({ "logGroupName": format!("/ecs/{task}") }), Value::Null),
        (
            "logs",
            "PutRetentionPolicy",
            json!({ "logGroupName": format!("/ecs/{task}"), "retentionInDays": 90 }),
            Value::Null,
        ),
    ]);
}

fn change_settings(notes: &mut Notes<'_>, by: &Actor, bucket: &str) {
    let revision = uuid(notes.rng);
    let own = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::{bucket}/*","Condition":{{"Bool":{{"aws:SecureTransport":"false"}}}}}}]}}"#
    );
    notes.change(
        by,
        &[
            (
                "s3",
                "PutBucketPolicy",
                json!({
                    "bucketName": bucket, "bucketPolicy": serde_json::from_str::<Value>(&own).unwrap_or_default(),
                    "Host": format!("{bucket}.s3.amazonaws.com")
                }),
                Value::Null,
            ),
            (
                "s3",
                "PutBucketPublicAccessBlock",
                json!({
                    "bucketName": bucket,
                    "PublicAccessBlockConfiguration": {
                        "BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true,
                        "RestrictPublicBuckets": true
                    }
                }),
                Value::Null,
            ),
            (
                "ssm",
                "PutParameter",
                json!({ "name": "/invoice-api/feature-flags", "type": "String", "overwrite": true }),
                json!({ "version": 12, "tier": "Standard" }),
            ),
            (
                "lambda",
                "UpdateFunctionConfiguration20150331v2",
                json!({ "functionName": "invoice-render", "memorySize": 512, "timeout": 30 }),
                json!({ "functionName": "invoice-render", "revisionId": revision }),
            ),
            (
                "rds",
                "ModifyDBInstance",
                json!({ "dBInstanceIdentifier": "invoices", "backupRetentionPeriod": 14, "applyImmediately": false }),
                json!({ "dBInstanceIdentifier": "invoices", "publiclyAccessible": false }),
            ),
        ],
    );
}
