#!/usr/bin/env python3
"""How long a hunt takes, and how long DuckDB takes to read its columns and look at nothing but their lengths.

    pip install deltalake duckdb pyyaml
    benches/reading_for_hunts.py --rules sigma/rules/windows --lake ./lake

Both have one thread and go in turns; the least of `--runs` counts. DuckDB reads, of files that are for hunts, the members
of `unmapped` that rules name, and the OCSF texts outside of `metadata` with the two that tell channel and event id.
docs/engine.md says what that means for the speed of hunts.
"""
import argparse
import os
import pathlib
import subprocess
import time

import deltalake
import duckdb
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
TELLING = {"metadata.log_name", "metadata.event_code"}
WHOLE = {"message", "raw_data", "unmapped"}


def fields(node):
    """The names that a detection asks for."""
    if isinstance(node, list):
        return set().union(*map(fields, node))
    if isinstance(node, dict):
        return {str(key).split("|")[0] for key in node}.union(*map(fields, node.values()))
    return set()


def named_by(rules):
    named = set()
    for path in pathlib.Path(rules).rglob("*.yml"):
        for rule in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            named |= fields((rule or {}).get("detection", {}))
    return named


def is_read(column, named):
    if column.startswith("unmapped."):
        return column.removeprefix("unmapped.") in named
    return column in TELLING or not column.startswith(("metadata.", "unmapped")) and column not in WHOLE


def queries(connection, lake, named):
    """A query for each class table, with the files that it reads."""
    for table in sorted(pathlib.Path(lake, "tables").iterdir()):
        files = [file for file in deltalake.DeltaTable(str(table)).file_uris() if ".hunt." in file]
        if files:
            source = "read_parquet(?, union_by_name=true, hive_partitioning=false)"
            columns = connection.execute(f"DESCRIBE SELECT * FROM {source}", [files]).fetchall()
            texts = [name for name, kind, *_ in columns if kind == "VARCHAR" and is_read(name, named)]
            lengths = "".join(f', max(strlen("{name}"))' for name in texts)
            yield f"SELECT count(*){lengths} FROM {source}", [files]


def seconds(run):
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tarn", default=os.path.join(HERE, "../target/release/tarn"))
    parser.add_argument("--rules", required=True, help="a folder of Sigma rules")
    parser.add_argument("--lake", required=True, help="a lake's folder")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    if not pathlib.Path(options.lake, "tables").is_dir():
        parser.error(f"--lake {options.lake}: no such lake; tarn ingest makes one")
    if options.runs < 1:
        parser.error("--runs: at least 1")
    named = named_by(options.rules)
    if not named:
        parser.error(f"--rules {options.rules}: no rules (*.yml) in this folder")
    if not os.path.exists(options.tarn):
        parser.error(f"--tarn {options.tarn}: no such program; cargo build --release makes it")
    connection = duckdb.connect(config={"threads": 1})
    asked = list(queries(connection, options.lake, named))
    if not asked:
        parser.error(f"--lake {options.lake}: no files for hunts; tarn lake compact makes some of small ones")
    hunt = [options.tarn, "hunt", "--lake", options.lake, "--rules", options.rules, "--threads", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
    rows = sum(connection.execute(*query).fetchone()[0] for query in asked)
    reads, hunts = [], []
    for _ in range(options.runs):
        reads.append(seconds(lambda: [connection.execute(*query).fetchone() for query in asked]))
        hunts.append(seconds(lambda: subprocess.run(hunt, **quiet)))
    print(f"{rows} rows in {len(asked)} tables, {sum(len(files) for _, [files] in asked)} files")
    for what, times in ("DuckDB reads", reads), ("tarn hunt, start-up included", hunts):
        print(f"{what}: {min(times):.3f} s, {rows / min(times):,.0f} rows/s")


if __name__ == "__main__":
    main()
