"""A lake on an object store: `tarn` against an S3 server on this machine (moto, in memory), and the same tables read by
deltalake and polars there.

    cargo build --features cloud
    target/readers/bin/pip install 'moto[server]' boto3
    target/readers/bin/python tests/readers/object_store.py [--tarn target/debug/tarn] LOG...

Ingests twice, which must add nothing the second time, and compares counts. Exit code 1 when anything differs.
"""

import argparse
import json
import logging
import os
import pathlib
import subprocess
import sys

import boto3
import deltalake
import polars as pl
from moto.server import ThreadedMotoServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAKE = "s3://lake/tarn"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tarn", default=ROOT / "target/debug/tarn", type=pathlib.Path)
    parser.add_argument("logs", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
    }
    os.environ.update(options)
    boto3.client("s3", endpoint_url=options["AWS_ENDPOINT_URL"], region_name="us-east-1").create_bucket(Bucket="lake")

    def rows(*command):
        out = subprocess.run([arguments.tarn, *command], stdout=subprocess.PIPE, text=True, check=True).stdout
        return [json.loads(line) for line in out.splitlines()]

    first = {row["table"]: row["rows"] for row in rows("ingest", "--lake", LAKE, *arguments.logs)}
    different = [f"ingested twice: {row}" for row in rows("ingest", "--lake", LAKE, *arguments.logs)]
    for table, count in first.items():
        found = {
            "tarn sql": rows("sql", "--lake", LAKE, f"SELECT count(*) AS n FROM {table}")[0]["n"],
            "deltalake": deltalake.DeltaTable(f"{LAKE}/tables/{table}", storage_options=options).count(),
            "polars": pl.scan_delta(f"{LAKE}/tables/{table}", storage_options=options).select(pl.len()).collect().item(),
        }
        different += [f"{table}: {who} counts {n}, {count} went in" for who, n in found.items() if n != count]
        print(f"{table}: {count} rows")
    server.stop()
    print("\n".join(different) or "all the same")
    sys.exit(1 if different or not first else 0)


if __name__ == "__main__":
    main()
