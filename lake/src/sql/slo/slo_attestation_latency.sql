-- From the end of a build (its signature, where the provenance says no end) to the first time that it was let in.
WITH builds AS (
    SELECT artifact.uid AS digest, min(coalesce(provenance.end_time, attestation.signed_time)) AS built_at
    FROM evidence_signing
    WHERE trust_verdict_id = 1
    GROUP BY artifact.uid
), admitted AS (
    SELECT digest, min(admitted_at) AS admitted_at FROM evidence_deployments WHERE digest IS NOT NULL GROUP BY digest
), latencies AS (
    SELECT date_part('epoch', a.admitted_at) - date_part('epoch', b.built_at) AS seconds
    FROM builds b JOIN admitted a ON a.digest = b.digest
    WHERE a.admitted_at IS NOT NULL AND b.built_at IS NOT NULL
), quantiles AS (
    SELECT count(*) AS builds, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
    FROM latencies
)
SELECT 'attestation_latency_p50' AS name, p50 AS value, CAST(NULL AS DOUBLE) AS lower, CAST(NULL AS DOUBLE) AS upper,
    CAST(NULL AS BIGINT) AS numerator, builds AS denominator, 'seconds' AS unit
FROM quantiles
UNION ALL
SELECT 'attestation_latency_p95', p95, CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE), CAST(NULL AS BIGINT), builds, 'seconds'
FROM quantiles
