-- From the end of a build (its signature, where the provenance says no end) to the first time that it was let in.
SELECT * FROM slo WHERE name IN ('attestation_latency_p50', 'attestation_latency_p95')
