-- All service levels. Deployments, verdicts and builds are read once each: levels are counted from sums by image.
WITH images AS (
    SELECT digest, count(*) AS requests, count(CASE WHEN admitted THEN 1 END) AS admitted,
        count(CASE WHEN denied THEN 1 END) AS rejected, count(CASE WHEN denied OR flagged THEN 1 END) AS noted,
        min(admitted_at) AS admitted_at
    FROM evidence_deployments
    GROUP BY digest
), builds AS (
    SELECT artifact.uid AS digest, min(coalesce(provenance.end_time, attestation.signed_time)) AS built_at
    FROM evidence_signing
    WHERE trust_verdict_id = 1
    GROUP BY artifact.uid
), judged AS (
    -- A request should have been rejected if it was, if a policy only noted it, or if all evidence of its image fails.
    SELECT i.requests, i.admitted, i.rejected, CASE WHEN v.passed THEN i.admitted ELSE 0 END AS attested,
        CASE WHEN v.failed AND NOT v.passed THEN i.requests ELSE i.noted END AS noncompliant,
        date_part('epoch', i.admitted_at) - date_part('epoch', b.built_at) AS seconds
    FROM images i
    LEFT JOIN evidence_verdicts v ON v.digest = i.digest
    LEFT JOIN builds b ON b.digest = i.digest
), counted AS (
    SELECT coalesce(sum(requests), 0) AS requests, coalesce(sum(admitted), 0) AS admitted,
        coalesce(sum(rejected), 0) AS rejected, coalesce(sum(attested), 0) AS attested,
        coalesce(sum(noncompliant), 0) AS noncompliant, count(seconds) AS builds,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
    FROM judged
), decided AS (
    -- A record that came twice counts once.
    SELECT count(DISTINCT key_release_info.uid) AS decisions,
        count(DISTINCT CASE WHEN activity_id = 3 THEN key_release_info.uid END) AS refused
    FROM evidence_keys
    WHERE activity_id IN (2, 3)
), levels AS (
    SELECT l.name,
        CASE l.name WHEN 'attestation_latency_p50' THEN p50 WHEN 'attestation_latency_p95' THEN p95 END AS seconds,
        CASE l.name WHEN 'attested_deployments' THEN attested WHEN 'policy_rejections' THEN rejected
            WHEN 'policy_recall' THEN rejected WHEN 'key_release_refusals' THEN refused END AS numerator,
        CASE l.name WHEN 'attested_deployments' THEN admitted WHEN 'policy_rejections' THEN requests
            WHEN 'policy_recall' THEN noncompliant WHEN 'key_release_refusals' THEN decisions ELSE builds END AS denominator
    FROM counted CROSS JOIN decided CROSS JOIN (VALUES ('attested_deployments'), ('attestation_latency_p50'),
        ('attestation_latency_p95'), ('policy_rejections'), ('policy_recall'), ('key_release_refusals')) AS l(name)
)
SELECT name, coalesce(seconds, CAST(numerator AS DOUBLE) / nullif(denominator, 0)) AS value,
    wilson_lower(numerator, denominator) AS lower, wilson_upper(numerator, denominator) AS upper,
    numerator, denominator, CASE WHEN name LIKE 'attestation_latency%' THEN 'seconds' ELSE 'ratio' END AS unit
FROM levels
