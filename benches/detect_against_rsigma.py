#!/usr/bin/env python3
"""`tarn detect` and `rsigma engine eval --logsource-routing` on the same events, in alternation, one thread each.

    cargo build --release
    cargo install rsigma --version 0.26.0 --ignore-rust-version
    benches/detect_against_rsigma.py --rules sigma/rules events.ndjson.gz …

Every file is run `--runs` times by both programs in turn; the table gives each one's median, and the ratio. rsigma
gets the same events with routing hints added (benches/rsigma_hints.py); its rate is counted in bytes of the original
file, so that the hints do not flatter it. Start-up with the loading of all rules is part of both times; an empty run
of each is timed too and given apart.
"""
import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def timed(command, stdin=None):
    start = time.perf_counter()
    with open(stdin or os.devnull, "rb") as source:
        run = subprocess.run(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    elapsed = time.perf_counter() - start
    if run.returncode not in (0, 1):
        sys.exit(f"{command[0]} failed: {run.stderr.decode(errors='replace')[-2000:]}")
    return elapsed, run.stdout.count(b"\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tarn", default=os.path.join(HERE, "../target/release/tarn"))
    parser.add_argument("--rsigma", default=shutil.which("rsigma") or "rsigma")
    parser.add_argument("--rules", required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        empty = os.path.join(folder, "empty.ndjson")
        open(empty, "w").close()
        tarn = [options.tarn, "detect", "--threads", "1", "--rules", options.rules]
        rsigma = [options.rsigma, "engine", "eval", "--logsource-routing", "-r", options.rules]
        start_tarn = min(timed(tarn + [empty])[0] for _ in range(options.runs))
        start_rsigma = min(timed(rsigma, empty)[0] for _ in range(options.runs))
        print(f"start-up and rule loading: tarn {start_tarn:.2f} s, rsigma {start_rsigma:.2f} s")
        print(f"{'file':40} {'MB':>6} {'tarn MB/s':>10} {'rsigma MB/s':>12} {'ratio':>6}  {'without start-up':>16}")
        for path in options.files:
            name = os.path.basename(path).removesuffix(".gz")
            plain, hinted = os.path.join(folder, name), os.path.join(folder, "hinted-" + name)
            opened = gzip.open if path.endswith(".gz") else open
            with opened(path, "rb") as source, open(plain, "wb") as target:
                shutil.copyfileobj(source, target)
            with open(hinted, "wb") as target:
                subprocess.run([sys.executable, os.path.join(HERE, "rsigma_hints.py"), plain], stdout=target, check=True)
            ours, theirs = [], []
            for _ in range(options.runs):
                ours.append(timed(tarn + [plain])[0])
                theirs.append(timed(rsigma, hinted)[0])
            size = os.path.getsize(plain) / 1e6
            a, b = statistics.median(ours), statistics.median(theirs)
            net = (b - start_rsigma) / max(a - start_tarn, 1e-9)
            print(f"{name:40} {size:6.1f} {size / a:10.1f} {size / b:12.1f} {b / a:6.1f}  {net:16.1f}")


if __name__ == "__main__":
    main()
