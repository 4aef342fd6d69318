"""What others make of a lake: deltalake, polars and duckdb open its tables and count as `tarn sql` does, and every record
that it exports is valid by an OCSF validator that is not ours.

    python3 -m venv target/readers && target/readers/bin/pip install -r tests/readers/requirements.txt
    target/readers/bin/python tests/readers/check.py [--tarn target/debug/tarn] [LOG...]

Ingests the inputs of the golden records, and the logs that are named, into a lake of its own. Exit code 1 when anything
differs.
"""

import argparse
import collections
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import deltalake
import duckdb
import jsonschema
import polars as pl
import pyarrow.compute as pc
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "schema-ocsf"))
import generate  # noqa: E402
# Dotted columns of a table that are asked for their most frequent value.
COLUMNS_PER_TABLE = 3


class Tarn:
    """The binary under test, and its lake."""

    def __init__(self, binary, lake):
        self.binary, self.lake = binary, lake

    def run(self, *arguments):
        command = [self.binary, *arguments]
        return subprocess.run(map(str, command), stdout=subprocess.PIPE, text=True, check=True).stdout

    def sql(self, query):
        out = self.run("sql", "--lake", self.lake, "--format", "ndjson", query)
        return [json.loads(line) for line in out.splitlines()]

    def count(self, table, condition="TRUE"):
        return self.sql(f"SELECT count(*) AS n FROM {table} WHERE {condition}")[0]["n"]


def frequent(tarn, table):
    """Dotted text columns that have values, each with its most frequent one."""
    found = []
    for column in tarn.sql(f"DESCRIBE {table}"):
        name, kind = column["column_name"], column["data_type"]
        if len(found) == COLUMNS_PER_TABLE or kind != "text" or "." not in name or "[" in name:
            continue
        top = tarn.sql(
            f"SELECT {name} AS value, count(*) AS n FROM {table} WHERE {name} IS NOT NULL "
            f"GROUP BY {name} ORDER BY n DESC, value LIMIT 1"
        )
        if top and "'" not in top[0]["value"]:
            found.append((name, top[0]["value"]))
    return found


def counts_elsewhere(tarn, table, views, conditions):
    """Per reader: all rows, and the rows with each value."""
    path = str(tarn.lake / "tables" / table)
    rows = deltalake.DeltaTable(path).to_pyarrow_table()
    equal = lambda name, value: pc.sum(pc.equal(rows[name], value)).as_py() or 0
    yield "deltalake", [rows.num_rows, *(equal(*c) for c in conditions)]
    lazy = pl.scan_delta(path)
    counted = lambda frame: frame.select(pl.len()).collect().item()
    yield "polars", [counted(lazy), *(counted(lazy.filter(pl.col(n) == v)) for n, v in conditions)]
    # The views name columns with underscores.
    one = lambda query, *values: views.execute(query, values).fetchone()[0]
    where = lambda n: f'SELECT count(*) FROM {table} WHERE "{n.replace(".", "_")}" = ?'
    yield "duckdb", [one(f"SELECT count(*) FROM {table}"), *(one(where(n), v) for n, v in conditions)]


def compare(tarn):
    views = duckdb.connect()
    views.execute(tarn.run("lake", "views", "--lake", tarn.lake, "--dialect", "duckdb-files"))
    different = 0
    # Not SHOW TABLES, which lists views of our SQL as well.
    tables = tarn.run("lake", "info", "--lake", tarn.lake, "--format", "ndjson").splitlines()
    for table in sorted(json.loads(row)["table"] for row in tables):
        conditions = frequent(tarn, table)
        ours = [tarn.count(table), *(tarn.count(table, f"{n} = '{v}'") for n, v in conditions)]
        for reader, theirs in counts_elsewhere(tarn, table, views, conditions):
            if theirs != ours:
                different += 1
                print(f"{table}: {reader} counts {theirs}, tarn sql {ours} ({conditions})")
        print(f"{table}: {ours[0]} rows, {len(conditions)} filtered counts")
    return different


def validator(schema, cache, record):
    profiles = tuple(sorted(record.get("metadata", {}).get("profiles", [])))
    key = (record["class_uid"], profiles)
    if key not in cache:
        name = schema.lookup_class_name_from_uid(key[0])
        for known in (name, f"win/{name}", f"linux/{name}", f"trust/{name}"):
            try:
                found = schema.get_class_schema(known, profiles=list(profiles))
            except ValueError:
                continue
            cache[key] = jsonschema.validators.validator_for(found)(found)
            break
    return cache[key]


def validate(tarn):
    ocsf = get_ocsf_schema("1.8.0")
    generate.Extension(ocsf, ROOT / "schema-ocsf/extensions/trust").merge()
    schema, cache, seen = OcsfJsonSchemaEmbedded(ocsf), {}, 0
    invalid = collections.Counter()
    for line in tarn.run("ocsf", "export", "--lake", tarn.lake).splitlines():
        record, seen = json.loads(line), seen + 1
        error = next(validator(schema, cache, record).iter_errors(record), None)
        if error:
            path = ".".join(map(str, error.absolute_path))
            invalid[f"class {record['class_uid']}, {path}: {error.message[:160]}"] += 1
    for problem, count in invalid.most_common(20):
        print(f"{count} × {problem}")
    print(f"{seen} records, {sum(invalid.values())} invalid")
    return sum(invalid.values()) + (seen == 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tarn", default=ROOT / "target/debug/tarn", type=pathlib.Path)
    parser.add_argument("logs", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        inputs, tarn = pathlib.Path(folder) / "inputs", Tarn(arguments.tarn, pathlib.Path(folder) / "lake")
        inputs.mkdir()
        for golden in sorted((ROOT / "ingest/sources").glob("*/*.input.*")):
            shutil.copy(golden, inputs / f"{golden.parent.name}-{golden.name}")
        tarn.run("ingest", "--lake", tarn.lake, inputs, *arguments.logs)
        sys.exit(1 if compare(tarn) + validate(tarn) else 0)


if __name__ == "__main__":
    main()
