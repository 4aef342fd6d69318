//! A backup round: AWS Backup takes snapshots, lets old ones go, and tells of its jobs.

use super::{Actor, Notes};
use crate::company::{ACCOUNT, uuid};
use crate::day::Source;
use rand::Rng;
use serde_json::{Value, json};

/// Three volumes and a database.
pub(super) fn round(notes: &mut Notes<'_>) {
    let by = Actor::role(
        "AWSBackupDefaultServiceRole",
        "AWSBackup-AWSBackupDefaultServiceRole",
        "backup.amazonaws.com",
        "backup.amazonaws.com",
    );
    for _ in 0..3 {
        let (volume, snapshot) = (id(notes, "vol"), id(notes, "snap"));
        notes.change(
            &by,
            &[
                (
                    "ec2",
                    "CreateSnapshot",
                    json!({ "volumeId": volume, "description": "This snapshot is created by the AWS Backup service." }),
                    json!({
                        "snapshotId": snapshot, "volumeId": volume, "status": "pending", "ownerId": ACCOUNT,
                        "encrypted": true
                    }),
                ),
                (
                    "ec2",
                    "CreateTags",
                    json!({
                        "resourcesSet": { "items": [{ "resourceId": snapshot }] },
                        "tagSet": { "items": [{ "key": "aws:backup:source-resource", "value": volume }] }
                    }),
                    json!({ "_return": true }),
                ),
            ],
        );
        notes.read(
            &by,
            &[("ec2", "DescribeSnapshots", json!({ "snapshotSet": { "items": [{ "snapshotId": snapshot }] } }))],
        );
        let old = id(notes, "snap");
        notes.change(
            &by,
            &[("ec2", "DeleteSnapshot", json!({ "snapshotId": old, "force": false }), json!({ "_return": true }))],
        );
        job_is_done(notes, &snapshot);
    }
    database(notes, &by);
}

fn database(notes: &mut Notes<'_>, by: &Actor) {
    let (snapshot, grant) = (format!("awsbackup:job-{}", uuid(notes.rng)), notes.rng.random::<u64>());
    notes.change(
        by,
        &[
            (
                "rds",
                "CreateDBSnapshot",
                json!({ "dBInstanceIdentifier": "invoices", "dBSnapshotIdentifier": snapshot }),
                json!({ "dBSnapshotIdentifier": snapshot, "status": "creating", "encrypted": true }),
            ),
            (
                "kms",
                "CreateGrant",
                json!({
                    "keyId": "alias/fjord-data", "granteePrincipal": "rds.eu-north-1.amazonaws.com",
                    "operations": ["CreateGrant", "Decrypt", "RetireGrant"]
                }),
                json!({ "grantId": format!("{grant:064x}") }),
            ),
        ],
    );
    let rds = Actor::service("rds");
    notes.change(
        &rds,
        &[(
            "kms",
            "GenerateDataKeyWithoutPlaintext",
            json!({ "keyId": "alias/fjord-data", "encryptionContext": { "aws:rds:db-id": "db-EXAMPLE" } }),
            Value::Null,
        )],
    );
}

fn id(notes: &mut Notes<'_>, kind: &str) -> String {
    format!("{kind}-0{:016x}", notes.rng.random::<u64>() >> 4)
}

/// What the service itself writes: no call, and no caller.
fn job_is_done(notes: &mut Notes<'_>, snapshot: &str) {
    notes.pause(60_000);
    let value = json!({
        "eventVersion": "1.08", "userIdentity": { "accountId": ACCOUNT, "invokedBy": "backup.amazonaws.com" },
        "eventTime": notes.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), "eventSource": "backup.amazonaws.com",
        "eventName": "BackupJobCompleted", "awsRegion": "eu-north-1", "sourceIPAddress": "backup.amazonaws.com",
        "userAgent": "backup.amazonaws.com", "requestParameters": null, "responseElements": null, "eventID": uuid(notes.rng),
        "readOnly": false, "eventType": "AwsServiceEvent", "managementEvent": true, "recipientAccountId": ACCOUNT,
        "serviceEventDetails": { "state": "COMPLETED", "resourceType": "EBS", "recoveryPointArn": format!("arn:aws:ec2:eu-north-1::snapshot/{snapshot}") },
        "eventCategory": "Management"
    });
    notes.write(Source::CloudTrail, &value);
}
