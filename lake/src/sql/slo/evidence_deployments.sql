-- Workloads that were asked for, once for each image that they name by digest, and once if they name none: however many
-- records tell of them (the API server's audit log, webhooks, reports), and in whatever order these came.
WITH asked AS (
    SELECT time, coalesce(namespace, '') AS namespace, regexp_replace(lower(kind), 's$', '') AS kind, name,
        coalesce(action_id = 2, false) OR coalesce(lower(decision) LIKE 'den%', false) AS denied,
        coalesce(action_id = 3, false) OR coalesce(lower(decision) IN ('audit', 'warn'), false) AS flagged,
        coalesce(status_id = 1, false) AS succeeded, image_digests(raw_data) AS digests
    FROM evidence_activity
    WHERE activity_id IN (1, 99) AND name IS NOT NULL AND name <> '*'
), requests AS (
    SELECT time, namespace, kind, name, denied, flagged, succeeded, unnest(digests) AS digest
    FROM asked
    WHERE kind IN ('pod', 'deployment', 'statefulset', 'daemonset', 'replicaset', 'job', 'cronjob')
), told AS (
    SELECT namespace, kind, name, denied, digest, bool_or(flagged) AS flagged,
        bool_or(succeeded AND NOT denied) AS admitted, min(CASE WHEN succeeded AND NOT denied THEN time END) AS admitted_at
    FROM requests
    GROUP BY namespace, kind, name, denied, digest
), known AS (
    -- An audit record without bodies names no image; another record of the same workload may.
    SELECT *, count(digest) OVER (PARTITION BY namespace, kind, name, denied) AS images FROM told
)
SELECT namespace, kind, name, digest, bool_or(denied) AS denied, bool_or(flagged) AS flagged,
    bool_or(admitted) AS admitted, min(admitted_at) AS admitted_at
FROM known
WHERE digest IS NOT NULL OR images = 0
GROUP BY namespace, kind, name, digest
