"""The daemon with its lake, and its durable log, in an S3 server on this machine (moto), read meanwhile by deltalake.

    cargo build --features cloud
    target/readers/bin/pip install 'moto[server]' boto3 -r tests/readers/requirements.txt
    target/readers/bin/python tests/clients/daemon_on_s3.py [--tarn target/debug/tarn] [--rounds 6]

Events are sent while the daemon is killed, its machine is lost with all that was on its disk, and the store is not to be
reached for some seconds. At the end every acknowledged event has to be in the lake once, and its finding once; the tables
have to be readable by deltalake at any time, with no event twice. Exit code 1 when anything differs.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import boto3
import deltalake
from moto.server import ThreadedMotoServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULE = """title: Marked
id: 3d1c9c6e-7d0f-4f0e-9a63-0c1f6f6f3b10
status: test
logsource: {product: windows, category: process_creation}
detection:
    selection: {CommandLine|startswith: mark}
    condition: selection
level: low
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def event(number):
    return {
        "EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "SourceName": "Microsoft-Windows-Sysmon",
        "UtcTime": time.strftime("%Y-%m-%d %H:%M:%S.000", time.gmtime()), "Hostname": "host",
        "Image": "C:\\Windows\\System32\\cmd.exe", "CommandLine": f"mark {number}",
    }


class Daemon:
    def __init__(self, tarn, folder, port):
        self.tarn, self.folder, self.port, self.process = tarn, folder, port, None
        self.folder.mkdir()
        (self.folder / "rule.yml").write_text(RULE)
        self.config = self.folder / "tarn.toml"

    def start(self, state):
        self.config.write_text(f"""lake = "s3://lake/tarn"
state = "{state}"
rules = ["{self.folder / 'rule.yml'}"]
[listen]
http = ["127.0.0.1:{self.port}"]
grpc = []
postgres = []
flight_sql = []
[log]
store = "s3://lake/log"
[commit]
seconds = 1
""")
        self.process = subprocess.Popen([self.tarn, "serve", "--config", self.config], stderr=subprocess.DEVNULL)
        for _ in range(600):
            if self.process.poll() is not None:
                raise SystemExit("the daemon ended: start it by hand to see why")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).read()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise SystemExit("the daemon did not get ready within a minute")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def post(self, path, body, timeout=60):
        headers = {"Content-Type": "text/plain", "Accept": "application/x-ndjson"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, headers=headers)
        return urllib.request.urlopen(request, timeout=timeout).read()

    def sql(self, query):
        answer = self.post("/v1/sql", query.encode())
        return [json.loads(line) for line in answer.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tarn", default=ROOT / "target/debug/tarn", type=pathlib.Path)
    parser.add_argument("--rounds", default=6, type=int)
    parser.add_argument("--seed", default=7, type=int)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    store_port = free_port()
    # Its objects outlive it: they are this process's.
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=store_port, verbose=False)
    server.start()
    options = {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store_port}", "AWS_ALLOW_HTTP": "true",
    }
    os.environ.update(options)
    boto3.client("s3", endpoint_url=options["AWS_ENDPOINT_URL"], region_name="us-east-1").create_bucket(Bucket="lake")
    folder = pathlib.Path(tempfile.mkdtemp())
    daemon = Daemon(arguments.tarn, folder / "daemon", free_port())
    acknowledged, maybe, sending, wrong = set(), set(), threading.Event(), []
    numbers = iter(range(10**9))

    def send():
        while not sending.is_set():
            some = [next(numbers) for _ in range(20)]
            body = "\n".join(json.dumps(event(number)) for number in some).encode()
            try:
                daemon.post("/v1/ingest/windows", body, timeout=30)
                acknowledged.update(some)
            except (urllib.error.URLError, OSError):
                # Perhaps kept: the answer is what is missing.
                maybe.update(some)
                time.sleep(0.2)

    def read():
        """What deltalake sees at this moment: no event twice."""
        try:
            table = deltalake.DeltaTable("s3://lake/tarn/tables/process_activity", storage_options=options)
        except deltalake.exceptions.TableNotFoundError:
            return 0
        seen = table.to_pyarrow_table(columns=["process.cmd_line"]).column(0).to_pylist()
        wrong.extend(f"deltalake sees {who} {n} times" for who, n in collections.Counter(seen).items() if n > 1)
        return len(seen)

    machine = 0
    daemon.start(folder / f"machine {machine}")
    sender = threading.Thread(target=send)
    sender.start()
    for turn in range(arguments.rounds):
        time.sleep(chance.uniform(1, 4))
        what = ["kill", "lose the machine", "cut the store off"][turn % 3]
        if what == "cut the store off":
            server.stop()
            time.sleep(chance.uniform(1, 3))
            server = ThreadedMotoServer(ip_address="127.0.0.1", port=store_port, verbose=False)
            server.start()
        else:
            daemon.kill()
            if what == "lose the machine":
                shutil.rmtree(folder / f"machine {machine}", ignore_errors=True)
                machine += 1
            daemon.start(folder / f"machine {machine}")
        print(f"{what}: {len(acknowledged)} acknowledged, deltalake reads {read()}", flush=True)
    time.sleep(2)
    sending.set()
    sender.join()

    lines = [row["line"] for row in daemon.sql('SELECT process.cmd_line AS line FROM process_activity')]
    daemon.process.send_signal(signal.SIGTERM)
    if daemon.process.wait(90) != 0:
        wrong.append("the daemon did not end well")
    table = deltalake.DeltaTable("s3://lake/tarn/tables/detection_finding", storage_options=options)
    findings = collections.Counter(table.to_pyarrow_table(columns=["metadata.uid"]).column(0).to_pylist())
    counts = collections.Counter(int(line.split()[1]) for line in lines)
    wrong += [f"event {number} is in the lake {counts[number]} times" for number in acknowledged if counts[number] != 1]
    wrong += [f"event {number} is in the lake {n} times" for number, n in counts.items() if n > 1]
    wrong += [f"finding {uid} is there {n} times" for uid, n in findings.items() if n > 1]
    if len(findings) != len(counts):
        wrong.append(f"{len(findings)} findings on {len(counts)} events")
    if read() != len(counts):
        wrong.append(f"deltalake reads {read()} of {len(counts)} events")
    print(f"{len(acknowledged)} acknowledged, {len(maybe)} unanswered, {len(counts)} in the lake, {len(findings)} findings")
    print("\n".join(wrong[:20]) or "each once")
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if wrong or not acknowledged else 0)


if __name__ == "__main__":
    main()
