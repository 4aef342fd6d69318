//! A deployment: the pipeline signs in by its identity token, pushes an image, and rolls it out to AWS and the cluster.

use super::super::kubernetes::{self, Request};
use super::{Actor, Notes};
use crate::company::{ACCOUNT, DEPLOYMENTS};
use crate::day::Source;
use rand::Rng;
use serde_json::{Value, json};

/// The whole of it.
pub(super) fn deploy(notes: &mut Notes<'_>) {
    let number: u32 = notes.rng.random_range(1_000..9_000);
    let address = format!("198.51.100.{}", notes.rng.random_range(130..190));
    sign_in(notes, number, &address);
    let by = Actor::role(
        "ci-deploy",
        &format!("deploy-{number}"),
        &address,
        "aws-sdk-nodejs/3.658.1 os/linux/6.8 lang/js/20.17.0",
    );
    let (namespace, name) = DEPLOYMENTS[notes.rng.random_range(0..DEPLOYMENTS.len())];
    let layers: Vec<Value> = (0..3).map(|n| json!(format!("sha256:{:064x}", u64::from(number) * 7 + n))).collect();
    notes.read(
        &by,
        &[
            ("sts", "GetCallerIdentity", Value::Null),
            ("ecr", "GetAuthorizationToken", Value::Null),
            (
                "ecr",
                "BatchCheckLayerAvailability",
                json!({ "repositoryName": name, "registryId": ACCOUNT, "layerDigests": layers }),
            ),
        ],
    );
    let image = format!("{ACCOUNT}.dkr.ecr.eu-north-1.amazonaws.com/{name}:1.{number}.0");
    push(notes, &by, name, number, &layers);
    release(notes, &by, &image, number);
    roll_out(notes, namespace, name, &image);
}

fn push(notes: &mut Notes<'_>, by: &Actor, name: &str, number: u32, layers: &[Value]) {
    notes.change(
        by,
        &[
            (
                "ecr",
                "InitiateLayerUpload",
                json!({ "repositoryName": name, "registryId": ACCOUNT }),
                json!({ "partSize": 20_971_520 }),
            ),
            (
                "ecr",
                "CompleteLayerUpload",
                json!({ "repositoryName": name, "registryId": ACCOUNT, "layerDigests": layers }),
                json!({ "repositoryName": name }),
            ),
            (
                "ecr",
                "PutImage",
                json!({ "repositoryName": name, "registryId": ACCOUNT, "imageTag": format!("1.{number}.0") }),
                json!({ "image": { "repositoryName": name, "registryId": ACCOUNT } }),
            ),
        ],
    );
}

fn release(notes: &mut Notes<'_>, by: &Actor, image: &str, number: u32) {
    notes.change(by, &[
        (
            "ecs",
            "RegisterTaskDefinition",
            json!({
                "family": "invoice-api",
                "containerDefinitions": [{ "name": "invoice-api", "image": image, "privileged": false }],
                "taskRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/invoice-api")
            }),
            json!({ "taskDefinition": { "revision": number } }),
        ),
        (
            "ecs",
            "UpdateService",
            json!({ "cluster": "prod", "service": "invoice-api", "taskDefinition": format!("invoice-api:{number}") }),
            json!({ "service": { "status": "ACTIVE" } }),
        ),
        (
            "lambda",
            "UpdateFunctionCode20150331v2",
            json!({
                "functionName": "invoice-render", "s3Bucket": "fjord-artifacts",
                "s3Key": format!("render/{number}.zip"), "publish": true, "dryRun": false
            }),
            json!({ "functionName": "invoice-render", "version": number.to_string() }),
        ),
        (
            "cloudfront",
            "CreateInvalidation",
            json!({
                "distributionId": "E1EXAMPLE", "invalidationBatch": { "paths": { "items": ["/*"], "quantity": 1 } }
            }),
            json!({ "invalidation": { "status": "InProgress" } }),
        ),
    ]);
}

fn sign_in(notes: &mut Notes<'_>, number: u32, address: &str) {
    let provider = "token.actions.githubusercontent.com";
    let subject = "repo:fjord-example/shop:ref:refs/heads/main";
    let identity = json!({
        "type": "WebIdentityUser", "principalId": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{provider}:sts.amazonaws.com:{subject}"),
        "userName": subject, "identityProvider": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{provider}")
    });
    let by = Actor {
        identity,
        address: address.to_owned(),
        agent: "aws-sdk-nodejs/3.658.1 configure-aws-credentials-for-github-actions".into(),
    };
    let request = json!({
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/ci-deploy"), "roleSessionName": format!("deploy-{number}"),
        "durationSeconds": 3_600
    });
    let response = json!({
        "subjectFromWebIdentityToken": subject, "audience": "sts.amazonaws.com",
        "assumedRoleUser": { "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/ci-deploy/deploy-{number}") }
    });
    notes.change(&by, &[("sts", "AssumeRoleWithWebIdentity", request, response)]);
}

fn roll_out(notes: &mut Notes<'_>, namespace: &str, name: &str, image: &str) {
    let user = (
        "system:serviceaccount:ci:deployer",
        &["system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"][..],
    );
    let object = json!({
        "resource": "deployments", "namespace": namespace, "name": name, "apiGroup": "apps", "apiVersion": "v1"
    });
    let body = json!({ "spec": { "template": { "spec": { "containers": [{ "name": name, "image": image }] } } } });
    for (verb, body) in [("get", None), ("patch", Some(body)), ("watch", None)] {
        notes.pause(4_000);
        let request = Request {
            user,
            address: "10.30.0.21".into(),
            verb,
            uri: format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"),
            object: object.clone(),
            body,
            code: 200,
        };
        let value = kubernetes::record(notes.at, request, notes.rng);
        notes.write(Source::Kubernetes, &value);
    }
}
