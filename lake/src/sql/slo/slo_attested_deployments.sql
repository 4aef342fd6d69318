-- Of all deployments that were let in, how many name an image by a digest whose evidence passed.
SELECT 'attested_deployments' AS name, CAST(attested AS DOUBLE) / nullif(observed, 0) AS value,
    wilson_lower(attested, observed) AS lower, wilson_upper(attested, observed) AS upper,
    attested AS numerator, observed AS denominator, 'ratio' AS unit
FROM (
    SELECT count(*) AS observed, count(CASE WHEN v.passed THEN 1 END) AS attested
    FROM evidence_deployments d LEFT JOIN evidence_verdicts v ON v.digest = d.digest
    WHERE d.admitted
)
