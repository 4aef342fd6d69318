-- What is known of each artifact today: of a document checked against a policy, the newest verdict counts; of two at the
-- same time the one that failed.
SELECT artifact.uid AS digest, bool_or(trust_verdict_id = 1) AS passed, bool_or(trust_verdict_id <> 1) AS failed
FROM (
    SELECT artifact.uid, trust_verdict_id, row_number() OVER (
        PARTITION BY artifact.uid, attestation.uid, policy.uid ORDER BY time DESC, trust_verdict_id DESC, metadata.uid
    ) AS newest
    FROM evidence_signing
    WHERE activity_id IN (3, 4) AND artifact.uid IS NOT NULL AND trust_verdict_id IS NOT NULL
)
WHERE newest = 1
GROUP BY artifact.uid
