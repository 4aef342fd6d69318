#!/usr/bin/env python3
"""The conformance cases (rules/conformance) in rsigma: which sentences of the specification it reads as they say.

    cargo install rsigma --version 0.26.0 --ignore-rust-version
    pip install pyyaml
    benches/conformance_of_rsigma.py

Every event of a case is given to rsigma alone; a case agrees when each of its events does. `tarn rules test --sources
rules/conformance/sources rules/conformance` is the same for Tarn.
"""
import json
import pathlib
import subprocess
import sys

import yaml

CASES = pathlib.Path(__file__).resolve().parents[1] / "rules/conformance"


def fires(rule, event):
    command = ["rsigma", "engine", "eval", "--quiet", "-r", str(rule)]
    run = subprocess.run(command, input=json.dumps(event) + "\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return None if run.returncode not in (0, 1) else bool(run.stdout.strip())


def main():
    differing = 0
    rules = [r for r in sorted(CASES.glob("*.yml")) if not r.name.endswith(".events.yml")]
    for rule in rules:
        wrong = []
        for case in yaml.safe_load(rule.with_suffix(".events.yml").read_text()):
            if fires(rule, case["event"]) != case["fires"]:
                wrong.append(f"{'misses' if case['fires'] else 'fires on'} {json.dumps(case['event'], ensure_ascii=False)}")
        if wrong:
            differing += 1
            print(f"{rule.stem}: {'; '.join(wrong)}")
    print(f"{len(rules) - differing} of {len(rules)} cases agree")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
