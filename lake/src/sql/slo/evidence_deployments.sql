-- Workloads that were asked for, once for each image that they name by digest, and once if they name none: however many
-- records tell of them (the API server's audit log, webhooks, reports), and in whatever order these came.
WITH requests AS (
    SELECT time, coalesce(namespace, '') AS namespace, regexp_replace(lower(kind), 's$', '') AS kind, name,
        coalesce(action_id = 2, false) OR coalesce(lower(decision) LIKE 'den%', false) AS denied,
        coalesce(action_id = 3, false) OR coalesce(lower(decision) IN ('audit', 'warn'), false) AS flagged,
        coalesce(status_id = 1, false) AS succeeded, raw_data
    FROM evidence_activity
    WHERE activity_id IN (1, 99) AND name IS NOT NULL AND name <> '*'
), workloads AS (
    SELECT * FROM requests
    WHERE kind IN ('pod', 'deployment', 'statefulset', 'daemonset', 'replicaset', 'job', 'cronjob')
), pinned AS (
    SELECT time, namespace, kind, name, denied, flagged, succeeded, 'sha256:' || lower(left(part, 64)) AS digest
    FROM (SELECT *, unnest(string_to_array(raw_data, '@sha256:')) AS part FROM workloads)
    WHERE regexp_like(part, '^[0-9a-fA-F]{64}')
), named AS (
    SELECT DISTINCT namespace, kind, name, denied FROM pinned
), unpinned AS (
    -- An audit record without bodies names no image; another record of the same workload may.
    SELECT w.time, w.namespace, w.kind, w.name, w.denied, w.flagged, w.succeeded, CAST(NULL AS VARCHAR) AS digest
    FROM workloads w
    LEFT ANTI JOIN named n
        ON n.namespace = w.namespace AND n.kind = w.kind AND n.name = w.name AND n.denied = w.denied
    WHERE NOT coalesce(regexp_like(w.raw_data, '@sha256:[0-9a-fA-F]{64}'), false)
), seen AS (
    SELECT * FROM pinned UNION ALL SELECT * FROM unpinned
)
SELECT namespace, kind, name, digest, bool_or(denied) AS denied, bool_or(flagged) AS flagged,
    bool_or(succeeded AND NOT denied) AS admitted, min(CASE WHEN succeeded AND NOT denied THEN time END) AS admitted_at
FROM seen
GROUP BY namespace, kind, name, digest
