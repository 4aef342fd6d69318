"""Ten SOC questions over one lake: `tarn bench query` and DuckDB over the same Parquet files, in turn.

    python benches/query_against_duckdb.py --tarn target/release/tarn --lake ./estate --events 100000000

Makes the lake first where there is none (`tarn bench query --help`). Both use as many threads as --threads says, over local
files that the page cache has; DuckDB's views list the files of the tables' last version, with hive partitioning, as its users
would. Answers are compared, and a difference ends the run. Prints a row a question: medians in milliseconds, and their ratio.
Needs Python's packages duckdb and deltalake.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import duckdb
from deltalake import DeltaTable


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tarn", default="target/release/tarn")
    parser.add_argument("--lake", required=True)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only")
    return parser.parse_args()


def tarn(args, *more):
    command = [args.tarn, "bench", "query", "--lake", args.lake, "--events", str(args.events), "--format", "ndjson", *more]
    if args.only:
        command += ["--only", args.only]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {row["question"]: row for row in map(json.loads, out.splitlines())}


def connect(args):
    connection = duckdb.connect()
    connection.execute(f"SET threads = {args.threads}; SET TimeZone = 'UTC'")
    for folder in sorted((Path(args.lake) / "tables").iterdir()):
        files = DeltaTable(str(folder)).file_uris()
        listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        connection.execute(
            f'CREATE VIEW "{folder.name}" AS SELECT * FROM read_parquet([{listed}], union_by_name = true, '
            "hive_partitioning = true, hive_types = {'event_day': DATE})"
        )
    return connection


def plain(value):
    """A value as both tell it: times in UTC to the microsecond."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return value
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return moment.astimezone(timezone.utc).isoformat()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def answers_of_tarn(args, sql):
    command = [args.tarn, "sql", "--lake", args.lake, "--format", "ndjson", sql]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [tuple(plain(value) for value in json.loads(line).values()) for line in out.splitlines()]


def main():
    args = arguments()
    questions = tarn(args, "--list")
    tarn(args, "--runs", "1", "--threads", str(args.threads))
    connection = connect(args)
    for name, question in questions.items():
        ours = answers_of_tarn(args, question["sql"])
        theirs = [tuple(plain(value) for value in row) for row in connection.execute(question["sql"]).fetchall()]
        if ours != theirs:
            different = next((pair for pair in zip(ours, theirs) if pair[0] != pair[1]), (len(ours), len(theirs)))
            sys.exit(f"{name}: the answers differ: {different}")
    times = {name: ([], []) for name in questions}
    for _ in range(args.runs):
        # Two at a time, of which the second has what the first one left in the caches.
        for name, row in tarn(args, "--runs", "2", "--threads", str(args.threads)).items():
            times[name][0].append(row["least_ms"])
        for name, question in questions.items():
            took = []
            for _ in range(2):
                begun = time.perf_counter()
                connection.execute(question["sql"]).fetchall()
                took.append((time.perf_counter() - begun) * 1e3)
            times[name][1].append(min(took))
    print(f"{'question':<16}{'answers':>8}{'tarn ms':>10}{'duckdb ms':>11}{'ratio':>7}")
    for name, (ours, theirs) in times.items():
        ours, theirs = statistics.median(ours), statistics.median(theirs)
        count = len(connection.execute(questions[name]["sql"]).fetchall())
        print(f"{name:<16}{count:>8}{ours:>10.1f}{theirs:>11.1f}{theirs / ours:>7.2f}")


if __name__ == "__main__":
    main()
