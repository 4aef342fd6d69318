#!/usr/bin/env python3
"""Records to measure `tarn evidence lineage` and `tarn slo` with: OCSF, one a line, of a seed.

    benches/lineage_records.py --builds 1000 --admissions 10000 > records.ndjson
    tarn ingest --lake ./lineage records.ndjson
    time tarn evidence lineage kbs:///models/500/weights --lake ./lineage --through key_release
    time tarn slo --lake ./lineage
"""

import argparse
import hashlib
import json
import random

DAY = 1764201600000  # 2025-11-27T00:00:00Z, ms


def digest(name):
    return "sha256:" + hashlib.sha256(str(name).encode()).hexdigest()


def record(class_uid, uid, time, activity, log_name=None, **more):
    metadata = {"uid": uid, "version": "1.8.0", "product": {"name": "Tarn", "vendor_name": "Tarn"}}
    if log_name:
        metadata["log_name"] = log_name
    return {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000 % 100,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "severity_id": 1,
        "time": DAY + time,
        "metadata": metadata,
        **more,
    }


def build(n):
    """Provenance, an SBOM and a key release of build n."""
    passed = {"trust_verdict_id": 1, "trust_reason_id": 1, "trust_reason": "Verified"}
    for kind in ("provenance", "spdx"):
        more = {
            "artifact": {"uid": digest(n), "type_id": 1},
            "attestation": {
                "uid": digest(f"{kind} {n}"),
                "type_id": 2,
                "predicate_type": f"https://example.org/{kind}",
                "signed_time": DAY,
            },
            "policy": {"uid": "release"},
            "signer": {"uid": "https://forge.example/release.yml"},
            "tlog_entry": {"origin": "log.example/2026", "log_index": n, "trust_verdict_id": 1},
        }
        if kind == "provenance":
            more["provenance"] = {
                "source_commit": f"{n:040x}",
                "source_uri": "git+https://forge.example/app",
                "invocation_uid": f"https://forge.example/runs/{n}",
                "end_time": DAY + 10_000,
            }
        yield record(99906001, f"ev-{kind}-{n}", n * 1000, 3, **passed, **more)
    key = {"uid": f"k-{n}", "key_uri": f"kbs:///models/{n}/weights", "session_uid": f"s-{n}", "policy_verdict_id": 1}
    tee = {"platform_id": 1, "platform": "AWS Nitro", "uid": f"i-{n}", "assurance_id": 1, "assurance": "Hardware"}
    artifact = {"uid": digest(n)}
    yield record(99903001, f"kr-{n}", 500_000 + n * 1000, 2, **passed, artifact=artifact, tee_evidence=tee, key_release_info=key)


def admission(i, builds, chance):
    """A webhook's decision on a pod, and the API server's record of those that were let in."""
    n, allowed = chance.randint(1, builds), chance.random() > 0.05
    common = {
        "actor": {"app_name": "controller"},
        "src_endpoint": {"ip": "10.0.0.1"},
        "resources": [{"namespace": "ml", "type": "pods", "name": f"app-{n}-{i:05x}"}],
        "status_id": 1 if allowed else 2,
    }
    yield record(
        6003,
        f"adm-{i}",
        2_000_000 + i * 1000,
        1,
        action_id=1 if allowed else 2,
        authorizations=[{"decision": "allow" if allowed else "deny"}],
        policy={"name": "release"},
        api={"operation": "CREATE", "request": {"data": {"image": f"registry.example/app@{digest(n)}", "pad": "x" * 600}}},
        **common,
    )
    if allowed:
        yield record(6003, f"aud-{i}", 2_000_500 + i * 1000, 1, "audit", api={"operation": "create"}, **common)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builds", type=int, default=1000)
    parser.add_argument("--admissions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    for n in range(1, asked.builds + 1):
        for one in build(n):
            print(json.dumps(one))
    for i in range(asked.admissions):
        for one in admission(i, asked.builds, chance):
            print(json.dumps(one))


if __name__ == "__main__":
    main()
