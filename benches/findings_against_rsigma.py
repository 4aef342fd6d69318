#!/usr/bin/env python3
"""Findings of `tarn detect` and of `rsigma engine eval --logsource-routing` on the same events, rule by rule.

    benches/findings_against_rsigma.py --rules sigma/rules events.ndjson.gz regression/*/*.json

Prints each file's rules whose counts differ, with the channel and id of the events on which Tarn fired. rsigma gets the
same events with routing hints added and EVTX dumps made flat (benches/rsigma_hints.py). docs/engine.md says what
explains the differences.
"""
import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def lines(command, stdin=None):
    with open(stdin or os.devnull, "rb") as source:
        run = subprocess.run(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if run.returncode not in (0, 1):
        sys.exit(f"{command[0]} failed: {run.stderr.decode(errors='replace')[-2000:]}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def described(event):
    system = event.get("Event", {}).get("System", {}) if "Event" in event else event
    identifier = system.get("EventID")
    return f"{system.get('Channel')} {identifier.get('#text') if isinstance(identifier, dict) else identifier}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tarn", default=os.path.join(HERE, "../target/release/tarn"))
    parser.add_argument("--rsigma", default=shutil.which("rsigma") or "rsigma")
    parser.add_argument("--rules", required=True)
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    ours, theirs, events = collections.Counter(), collections.Counter(), collections.defaultdict(collections.Counter)
    titles = {}
    for finding in lines([options.tarn, "detect", "--rules", options.rules, *options.files]):
        key = (finding["file"], finding["rule"]["id"])
        ours[key] += 1
        events[key][described(finding["event"])] += 1
        titles[finding["rule"]["id"]] = finding["rule"]["title"]
    with tempfile.TemporaryDirectory() as folder:
        for path in options.files:
            hinted = os.path.join(folder, "hinted.ndjson")
            with open(hinted, "wb") as target:
                subprocess.run([sys.executable, os.path.join(HERE, "rsigma_hints.py"), path], stdout=target, check=True)
            for match in lines([options.rsigma, "engine", "eval", "--logsource-routing", "-r", options.rules], hinted):
                theirs[path, match["rule_id"]] += 1
                titles.setdefault(match["rule_id"], match["rule_title"])
    differing = sorted(key for key in ours | theirs if ours[key] != theirs[key])
    for path, rule in differing:
        seen = ", ".join(f"{name} ×{n}" for name, n in events[path, rule].items())
        print(f"{os.path.basename(path)}  tarn {ours[path, rule]}  rsigma {theirs[path, rule]}  {titles[rule]}  [{seen}]")
    same = len(ours | theirs) - len(differing)
    print(f"{same} of {len(ours | theirs)} (file, rule) pairs agree; {sum(ours.values())} findings, rsigma {sum(theirs.values())}")


if __name__ == "__main__":
    main()
