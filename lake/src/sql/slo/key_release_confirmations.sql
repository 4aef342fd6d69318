-- What AWS KMS says in CloudTrail that it unwrapped for enclaves, beside what the broker says that it released, by the
-- request's id. An event that no release has may be of an enclave that the broker attested itself: its module and its image
-- are in a record then.
WITH events AS (
    SELECT time, metadata.uid AS event_uid, operation, request_uid, kms_key, coalesce(status_id = 1, false) AS succeeded,
        json_get(unmapped, 'additionalEventData.recipient.attestationDocumentModuleId') AS module_uid,
        digest_uid('sha384', json_get(unmapped, 'additionalEventData.recipient.attestationDocumentEnclaveImageDigest'))
            AS image_uid
    FROM evidence_kms
    WHERE service = 'kms.amazonaws.com'
        AND operation IN ('Decrypt', 'DeriveSharedSecret', 'GenerateDataKey', 'GenerateDataKeyPair')
        AND json_get(unmapped, 'additionalEventData.recipient') IS NOT NULL
), releases AS (
    SELECT time, metadata.uid AS release_uid, key_release_info.request_uid AS request_uid,
        key_release_info.key_uri AS key_uri
    FROM evidence_releases
    WHERE activity_id = 2 AND key_release_info.request_uid IS NOT NULL
), attested AS (
    SELECT DISTINCT tee_evidence.uid AS module_uid, artifact.uid AS image_uid
    FROM evidence_releases
    WHERE activity_id = 1 AND trust_verdict_id = 1
)
SELECT
    CASE
        WHEN e.event_uid IS NULL THEN 'unconfirmed'
        WHEN r.release_uid IS NOT NULL AND e.succeeded THEN 'confirmed'
        WHEN r.release_uid IS NOT NULL THEN 'contradicted'
        WHEN NOT e.succeeded THEN 'refused'
        WHEN a.module_uid IS NOT NULL THEN 'attested'
        ELSE 'unrecorded'
    END AS state,
    coalesce(e.time, r.time) AS time, coalesce(e.request_uid, r.request_uid) AS request_uid, r.release_uid, r.key_uri,
    e.event_uid, e.operation, e.kms_key, e.module_uid, e.image_uid
FROM events e
FULL JOIN releases r ON r.request_uid = e.request_uid
LEFT JOIN attested a ON a.module_uid = e.module_uid AND a.image_uid = e.image_uid
