#!/usr/bin/env python3
"""Compares our load generator with wrk: the client's CPU time a request, loadtest / wrk, against the model epoll.

    cargo build --release -p epoll -p loadtest && python3 bench/wrk.py

The server has one CPU and the client another. A block has a repetition of each client, whose order changes from block to
block; the ratio is the geometric mean over the blocks, with its 95 % interval (Student's paired t, on logarithms). A goal is
reached if the whole interval is at or below the bound. The exit code is 4 if one is not reached or cannot be told.
"""

import argparse
import contextlib
import json
import math
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

# (name, connections, one request a connection?, highest acceptable ratio)
LOADS = [
    ("keep-alive, 64", 64, False, 0.95),
    ("keep-alive, 512", 512, False, 0.95),
    ("one request a connection, 64", 64, True, 1.0),
]
# The 97.5 % quantile of Student's t distribution with 2, 3 ... degrees of freedom.
CRITICAL_T = [4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131]
BLOCKS = range(3, len(CRITICAL_T) + 3)
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(__file__), "..", "target"))
BUILD = "cargo build --release -p epoll -p loadtest"
EPOLL, LOADTEST = (os.path.join(TARGET, "release", name) for name in ("epoll", "loadtest"))


def wrk(url, connections, closing, seconds, _folder):
    """The command that runs wrk, and a function that reads its output: the requests, and the errors in words."""
    header = ["-H", "Connection: close"] if closing else []

    def read(output):
        return int(re.search(r"(\d+) requests in", output)[1]), re.findall(r"Non-2xx.*|Socket errors:.*", output)

    return ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *header, url], read


def loadtest(url, connections, closing, seconds, folder):
    """The same for our load generator."""
    out = os.path.join(folder, "loadtest.json")
    command = [LOADTEST, "--quiet", "--target", f"it={url}", "-c", str(connections), "-d", f"{seconds}s"]
    command += ["-t1", "--warmup=0s", f"--json={out}", "--requests-per-connection", "1" if closing else "unlimited"]

    def read(_output):
        with open(out) as file:
            cell = json.load(file)["cells"][0]
        errors = {name: n for name, n in cell["errors"].items() if n and name != "aborted_at_end"}
        return cell["ok"], [json.dumps(errors)] if errors else []

    return command, read


def pin():
    """Binds a client to its CPU."""
    os.sched_setaffinity(0, {cpus[-1]})


def cost(client, url, connections, closing, seconds, folder):
    """The CPU time of the client a request, in µs."""
    command, read = client(url, connections, closing, seconds, folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, preexec_fn=pin, capture_output=True, text=True, timeout=seconds + 60)
    if run.returncode != 0:
        sys.exit(f"wrk.py: {client.__name__} failed: {run.stderr.strip()}")
    requests, errors = read(run.stdout)
    if errors or not requests:
        sys.exit(f"wrk.py: {client.__name__}: {requests} requests, {'; '.join(errors)}: no valid figure")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6 / requests


def ratio(ours, theirs):
    """The ratio of paired values, and the ends of its 95 % interval."""
    logarithms = [math.log(a / b) for a, b in zip(ours, theirs)]
    mean = statistics.mean(logarithms)
    half = CRITICAL_T[len(logarithms) - 3] * statistics.stdev(logarithms) / math.sqrt(len(logarithms))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def compare(url, connections, closing, bound, folder):
    """Measures both clients in blocks. Returns what to print, and whether the bound is certainly met."""
    values = {loadtest: [], wrk: []}
    for block in range(options.blocks):
        for client in sorted(values, key=lambda client: client.__name__, reverse=block % 2 == 1):
            values[client].append(cost(client, url, connections, closing, options.seconds, folder))
    middle, low, high = ratio(*values.values())
    verdict = "reached" if high <= bound else "not reached" if low > bound else "cannot be told; give more --blocks"
    medians = " / ".join(f"{statistics.median(each):.1f}" for each in values.values())
    return f"{medians} µs, {middle:.2f}x ({low:.2f} .. {high:.2f}), at most {bound}: {verdict}", high <= bound


@contextlib.contextmanager
def epoll():
    """A running server on its CPU: its URL."""
    command = [EPOLL, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--threads", "1", "--cpus", str(cpus[0])]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = server.stderr.readline()
            found = re.search(r"listening on (http://[^,\s]+)", line)
            yield found[1] if found else sys.exit(f"wrk.py: epoll does not start: {line.strip()}")
        finally:
            server.terminate()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seconds", type=int, default=3, help="length of a repetition (default 3)")
parser.add_argument("--blocks", type=int, choices=BLOCKS, default=6, metavar="N", help="3 to 16 (default 6)")
options = parser.parse_args()
cpus = sorted(os.sched_getaffinity(0))
if len(cpus) < 2:
    sys.exit("wrk.py: two CPUs are needed, one for the server and one for the client")
for program, remedy in [("wrk", "install the package wrk"), (EPOLL, BUILD), (LOADTEST, BUILD)]:
    if not shutil.which(program):
        sys.exit(f"wrk.py: {program} is missing: {remedy}")
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))

print("CPU time a request of the client, loadtest / wrk", flush=True)
all_reached = True
with tempfile.TemporaryDirectory(prefix="io-models-bench-") as folder, epoll() as url:
    for name, connections, closing, bound in LOADS:
        said, is_reached = compare(url, connections, closing, bound, folder)
        print(f"{name}: {said}", flush=True)
        all_reached &= is_reached
sys.exit(0 if all_reached else 4)
