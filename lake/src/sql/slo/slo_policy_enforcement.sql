-- How many requests were rejected, and how many of those that should have been. A request should have been rejected if it
-- was, if a policy only noted it, or if all evidence of its image fails.
WITH counted AS (
    SELECT count(*) AS requests, count(CASE WHEN d.denied THEN 1 END) AS rejected,
        count(CASE WHEN d.denied OR d.flagged OR (v.failed AND NOT v.passed) THEN 1 END) AS noncompliant
    FROM evidence_deployments d LEFT JOIN evidence_verdicts v ON v.digest = d.digest
)
SELECT 'policy_rejections' AS name, CAST(rejected AS DOUBLE) / nullif(requests, 0) AS value,
    wilson_lower(rejected, requests) AS lower, wilson_upper(rejected, requests) AS upper,
    rejected AS numerator, requests AS denominator, 'ratio' AS unit
FROM counted
UNION ALL
SELECT 'policy_recall', CAST(rejected AS DOUBLE) / nullif(noncompliant, 0), wilson_lower(rejected, noncompliant),
    wilson_upper(rejected, noncompliant), rejected, noncompliant, 'ratio'
FROM counted
