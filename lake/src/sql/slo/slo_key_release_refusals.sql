-- Of the decisions on keys that were asked for, how many were refusals. A record that came twice counts once.
SELECT 'key_release_refusals' AS name, CAST(refused AS DOUBLE) / nullif(decisions, 0) AS value,
    wilson_lower(refused, decisions) AS lower, wilson_upper(refused, decisions) AS upper,
    refused AS numerator, decisions AS denominator, 'ratio' AS unit
FROM (
    SELECT count(DISTINCT key_release_info.uid) AS decisions,
        count(DISTINCT CASE WHEN activity_id = 3 THEN key_release_info.uid END) AS refused
    FROM evidence_keys
    WHERE activity_id IN (2, 3)
)
