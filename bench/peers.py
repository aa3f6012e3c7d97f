#!/usr/bin/env python3
"""Compares our models with the best known servers of their kind, and our load generator with wrk, in one run.

    cargo build --release --workspace --bins --examples && sudo python3 bench/peers.py

Servers run on one CPU and the client on another. The CPU time a request is compared, user and system, of the whole
process tree. Peak throughput would say little, because one core of client can load about one core of server.
Repetitions are interleaved (ours, peer, ours, peer ...), and medians are printed. Peers that are not installed are
named, and a figure is invalid if the client saw an error. The client is wrk, except for tiny_http, which closes
connections without announcing it: there it is our loadtest. servers.py says how the servers are configured, and why.

As root, the CPU time of a server is that of its cgroup, which misses nothing. Otherwise it is summed over the server's
processes, which misses children that the server never waited for. busybox has such children, so its row is then left
out.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial

from servers import BINARIES, FILE, HELLO, PEERS, Server, Unusable, version

# (name, connections, one request a connection?)
LOADS = [("keep-alive, 64", 64, False), ("keep-alive, 512", 512, False), ("one request a connection, 64", 64, True)]
ANY = float("inf")
# Our model, the peer, and the highest acceptable ratio under each load; ANY: compared without a goal; None: not
# compared.
ROWS = [
    ("process-per-connection", "busybox", (None, None, 0.5)),
    ("process-pool", "Apache prefork", (0.25, None, 0.6)),
    ("process-pool", "Apache prefork, file cached", (ANY, None, ANY)),
    ("thread-per-connection", "Apache worker", (0.25, None, 0.7)),
    ("thread-per-connection", "Apache worker, file cached", (ANY, None, ANY)),
    ("thread-pool", "tiny_http", (0.6, None, 0.7)),
    ("select", "lighttpd poll", (1.0, None, 0.9)),
    ("poll", "lighttpd poll", (1.0, None, 0.9)),
    ("epoll", "nginx", (0.87, 0.85, 0.95)),
    ("uring", "nginx", (1.0, 0.9, 1.0)),
    ("callback", "nginx", (0.87, None, 0.95)),
    ("event-loop", "node", (0.6, None, 0.7)),
    ("async-await", "hyper", (1.0, None, 1.0)),
    ("framework", "axum", (1.05, None, 1.05)),
    ("loadtest", "wrk", (0.95, 0.95, 1.0)),
]
NAMES = list(dict.fromkeys(ours for ours, _, _ in ROWS))
CLIENTS_SERVER = "epoll"  # the server for the comparison of the two clients
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def wrk(url, connections, closing, seconds, _folder):
    """The command that runs wrk, and a function that reads its output: the requests, and the errors in words."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
    command[1:1] = ["-H", "Connection: close"] if closing else []

    def read(output):
        return int(re.search(r"(\d+) requests in", output)[1]), re.findall(r"Non-2xx.*|Socket errors:.*", output)

    return command, read


def loadtest(url, connections, closing, seconds, folder):
    """The same for our load generator."""
    out = os.path.join(folder, "loadtest.json")
    command = [os.path.join(BINARIES, "loadtest"), "--quiet", "--target", f"it={url}", "-c", str(connections)]
    command += ["-d", f"{seconds}s", "--warmup", "0s", "-t", "1", "--json", out]
    command += ["--requests-per-connection", "1" if closing else "unlimited"]

    def read(_output):
        with open(out) as file:
            cell = json.load(file)["cells"][0]
        errors = {name: n for name, n in cell["errors"].items() if n and name != "aborted_at_end"}
        return cell["ok"], [json.dumps(errors)] if errors else []

    return command, read


def load(client, server, connections, closing, seconds, folder):
    """Runs a client on its CPU. Returns the number of answered requests, and the client's CPU time in µs."""
    command, read = client(server.url, connections, closing, seconds, folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        run = subprocess.run(
            command,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpus[-1]}),
            capture_output=True,
            text=True,
            timeout=seconds + 30,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(error) from None
    if run.returncode != 0:
        raise Unusable(f"{command[0]} failed: {run.stderr.strip()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    requests, errors = read(run.stdout)
    if errors or not requests:
        raise Unusable(f"{os.path.basename(command[0])} at {server.name}: {requests} requests, {'; '.join(errors)}")
    return requests, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6


def server_cost(client, server, *how):
    """The CPU time of the server per request, in µs."""
    before = server.cpu_us()
    requests, _ = load(client, server, *how)
    time.sleep(0.2)  # so that the last children exit, and are counted
    cost = (server.cpu_us() - before) / requests
    if cost <= 0:
        raise Unusable(f"{server.name}: {requests} requests are too few to measure")
    return cost


def client_cost(client, server, *how):
    """The CPU time of the client per request, in µs."""
    requests, cpu_us = load(client, server, *how)
    return cpu_us / requests


def measurements(ours, peer, folder, stack):
    """Two functions that measure ours and the peer. Their servers run until the stack is unwound."""

    def start(name):
        return stack.enter_context(Server(name, folder, cpus[0]))

    if ours == "loadtest":
        server = start(CLIENTS_SERVER)
        return [partial(client_cost, client, server) for client in (loadtest, wrk)]
    both = [start(ours), start(peer)]
    if peer == "busybox" and not both[1].cgroup:
        raise Unusable("needs root, for a cgroup: busybox does not wait for its children")
    client = loadtest if any(server.recipe.closes_unannounced for server in both) else wrk
    return [partial(server_cost, client, server) for server in both]


def compare(both, connections, closing, goal, folder):
    """Measures both in turn, several times. Returns a line to print, and a cell of the table."""
    for measure in both:
        measure(connections, closing, 1, folder)  # a warm-up, which is not counted: pools grow, caches get warm
    figures = [[], []]
    for _ in range(options.repetitions):
        for measure, taken in zip(both, figures):
            taken.append(measure(connections, closing, options.seconds, folder))
    a, b = map(statistics.median, figures)
    line = "   ".join(f"{m:8.2f} µs ({min(xs):.2f}..{max(xs):.2f})" for m, xs in zip((a, b), figures))
    line, cell = f"{line}   ratio {a / b:.2f}", f"{a:.3g} / {b:.3g} = **{a / b:.2f}**"
    if goal != ANY:
        line += f", goal {goal:.2f}: {'reached' if a / b <= goal else 'NOT reached'}"
        cell += f" (≤ {goal:g})"
    return line, cell


def row(ours, peer, goals, folder):
    """Measures one pair under all loads. Returns the cells of the table."""
    title = f"{ours} / {peer}"
    cells = ["" for _ in LOADS]
    try:
        with contextlib.ExitStack() as stack:
            both = measurements(ours, peer, folder, stack)
            for n, ((name, connections, closing), goal) in enumerate(zip(LOADS, goals)):
                if goal is None:
                    continue
                try:
                    line, cells[n] = compare(both, connections, closing, goal, folder)
                except Unusable as error:
                    line, cells[n] = f"INVALID: {error}", "invalid"
                print(f"{title:51} {name:28} {line}", flush=True)
    except Unusable as error:
        print(f"{title:51} skipped: {error}", flush=True)
    return cells


def machine():
    """Describes the machine, and the versions of the peers."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    found = {name.split()[0]: version(recipe.version) for name, recipe in PEERS.items() if recipe.version}
    found["wrk"] = version("wrk -v")
    versions = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    return f"{len(cpus)} CPUs ({model[1] if model else platform.machine()}), Linux {platform.release()}, {versions}"


def interrupted(signum, _frame):
    """Stops everything. Further signals are ignored."""
    for again in SIGNALS:
        signal.signal(again, signal.SIG_IGN)
    raise KeyboardInterrupt


def row_names(text):
    if unknown := set(text.split(",")) - set(NAMES):
        raise argparse.ArgumentTypeError(f"no row is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return text.split(",")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--only", type=row_names, metavar="ROW,...", help=f"of {', '.join(NAMES)}")
parser.add_argument("--seconds", type=int, default=3, help="length of one repetition (default 3)")
parser.add_argument("--repetitions", type=int, default=3, help="of each figure (default 3)")
options = parser.parse_args()

cpus = sorted(os.sched_getaffinity(0))
if len(cpus) < 2:
    sys.exit("bench: two CPUs are needed, one for the server and one for the client")
if not shutil.which("wrk"):
    sys.exit("bench: wrk is missing, which is needed for every comparison: install the package wrk")
for signum in SIGNALS:
    signal.signal(signum, interrupted)

table, status = [], 0
print(machine())
if os.getloadavg()[0] > 0.5:
    print(f"note: the machine is busy with other work (load {os.getloadavg()[0]:.1f}), which makes all figures worse")
print("CPU µs a request: median (lowest..highest), ours and the peer's", flush=True)
with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="io-models-bench-") as folder:
    status = 130  # in case of an interruption
    os.chmod(folder, 0o755)  # Apache's children run as the user nobody
    with open(folder + FILE, "wb") as file:
        file.write(HELLO)
    for ours, peer, goals in ROWS:
        if options.only is None or ours in options.only:
            table.append((ours, peer, row(ours, peer, goals, folder)))
    status = 0

print("\nMedians of CPU µs a request, ours / the peer's = **ratio** (goal); an empty cell was not compared\n")
print("| ours | peer |", " | ".join(name for name, _, _ in LOADS), "|")
print("|---" * (2 + len(LOADS)) + "|")
for ours, peer, cells in table:
    if any(cells):
        print("|", " | ".join([ours, peer, *cells]), "|")
sys.exit(status or any("invalid" in cells for _, _, cells in table))
