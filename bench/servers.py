"""How each server of the bench is started, and how much CPU it uses."""

import contextlib
import ctypes
import http.client
import itertools
import os
import re
import shutil
import signal
import socket
import string
import subprocess
import time
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "target"))
BINARIES = os.path.abspath(os.path.join(TARGET, "release"))
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
HELLO = b"Hello World\n"
FILE = "/hello.txt"
# These are below the ports that Linux gives to clients, so that no client uses one of them: ip(7), ip_local_port_range.
PORTS = itertools.count(18000)


class Unusable(Exception):
    """A server that cannot be measured, or a figure that is not valid."""


class Recipe(NamedTuple):
    """How to start a server. `$port`, `$folder`, `$config` and `$bin` are replaced in the command and in the config."""

    command: str
    source: str  # how to get it
    config: str = ""
    path: str = "/"  # the path that is answered with HELLO
    version: str = ""  # the command that prints its version
    closes_unannounced: bool = False  # closes connections without `Connection: close`, which wrk counts as errors


# One worker, no log, and the answer is in the configuration: no file is touched.
NGINX = """
daemon off; worker_processes 1; pid $folder/nginx.pid; error_log $folder/nginx.log crit; worker_rlimit_nofile 10000;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; client_body_temp_path $folder/b; proxy_temp_path $folder/p;
  fastcgi_temp_path $folder/f; uwsgi_temp_path $folder/u; scgi_temp_path $folder/s;
  server { listen 127.0.0.1:$port backlog=4096;
    location / { default_type text/plain; return 200 "Hello World\\n"; } } }
"""

# Apache can only serve files, so it serves one. Besides what the other servers do, it stats, opens, reads and closes
# that file, which is part of its cost. It is configured as its performance tuning page advises, and as measurements
# showed to be cheapest: it does not look for .htaccess; it does not use mmap, which costs more than a read for 12
# bytes; and it loads only the one module without which it refuses every request. It never closes a connection by
# itself. From the start it has more processes or threads than there are connections, and no reason to start or end any
# of them later. With CACHED, mod_file_cache keeps the file in memory.
APACHE = """
LoadModule mpm_$mpm_module /usr/lib/apache2/modules/mod_mpm_$mpm.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
ServerRoot $folder
ServerName 127.0.0.1
Listen 127.0.0.1:$port
ListenBacklog 4096
PidFile $folder/apache-$port.pid
ErrorLog /dev/stderr
LogLevel crit
<Directory />
AllowOverride None
</Directory>
User #65534
Group #65534
DocumentRoot $folder
ForceType text/plain
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
MaxConnectionsPerChild 0
MaxRequestWorkers 512
EnableMMAP Off
"""
CACHED = """
LoadModule file_cache_module /usr/lib/apache2/modules/mod_file_cache.so
MMapFile $folder/hello.txt
"""
PREFORK = """
ServerLimit 512
StartServers 80
MinSpareServers 8
MaxSpareServers 80
"""
WORKER = """
ThreadLimit 64
ThreadsPerChild 64
ServerLimit 8
StartServers 2
MinSpareThreads 64
MaxSpareThreads 512
"""

# lighttpd serves a file, too, since without one it can only redirect. It keeps the file open, so a request costs one
# pread(2) more than a response from memory. The number of requests on a connection is the highest that it can count.
LIGHTTPD = """
server.modules = ("mod_staticfile")
server.compat-module-load = "disable"
server.event-handler = "poll"
server.bind = "127.0.0.1"
server.port = $port
server.document-root = "$folder"
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 60
server.max-fds = 4096
server.max-connections = 2048
server.listen-backlog = 4096
mimetype.assign = (".txt" => "text/plain")
"""

# The response has a Content-Length: without it, node would send chunks, which cost more.
NODE = """
require("http").createServer((request, response) => {
  response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": 12 });
  response.end("Hello World\\n");
}).listen({ port: $port, host: "127.0.0.1", backlog: 4096 });
"""


def apache(mpm, *settings):
    config = "".join([APACHE.replace("$mpm", mpm), *settings])
    return Recipe("apache2 -D FOREGROUND -f $config", "install the package apache2-bin", config, FILE, "apache2 -v")


def example(name, arguments=""):
    how_to_get = "build it: cargo build --release --workspace --examples"
    return Recipe(f"$bin/examples/{name} 127.0.0.1:$port {arguments}", how_to_get)


PEERS = {
    "nginx": Recipe("nginx -c $config -p $folder", "install the package nginx", NGINX, version="nginx -v"),
    "Apache prefork": apache("prefork", PREFORK),
    "Apache prefork, file cached": apache("prefork", PREFORK, CACHED),
    "Apache worker": apache("worker", WORKER),
    "Apache worker, file cached": apache("worker", WORKER, CACHED),
    "lighttpd poll": Recipe("lighttpd -D -f $config", "install the package lighttpd", LIGHTTPD, FILE, "lighttpd -v"),
    "node": Recipe("node $config", "install the package nodejs", NODE, version="node -v"),
    "busybox": Recipe(
        "busybox httpd -f -p 127.0.0.1:$port -h $folder", "install the package busybox", path=FILE, version="busybox"
    ),
    # With as many threads as thread-pool has by default.
    "tiny_http": example("tiny_http", "256")._replace(closes_unannounced=True),
    "hyper": example("hyper"),
    "axum": example("bare"),
}
# process-pool has as many workers from the start as Apache.
FLAGS = {"process-pool": "--start 80 --min-spare 8 --max-spare 80"}


def recipe(name):
    """How to start one of the peers or one of our models."""
    ours = f"$bin/{name} --listen 127.0.0.1:$port --admin 127.0.0.1:0 --threads 1 {FLAGS.get(name, '')}"
    return PEERS.get(name) or Recipe(ours, f"build it: cargo build --release -p {name}")


def version(command):
    """The first version number in the output of a command; None if the program is not installed."""
    program, *flags = command.split()
    if path := shutil.which(program, path=PATH):
        run = subprocess.run([path, *flags], capture_output=True, text=True, timeout=10)
        return re.search(r"\d+(\.\d+)+", run.stdout + run.stderr).group()


def free_port():
    for port in PORTS:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            return port


class Cgroup:
    """A cgroup that contains only one server, v1 (cpuacct) or v2. `make` returns None if we may not create one."""

    def __init__(self, path, cpu_file, unit):
        self.path, self.cpu_file, self.unit = path, cpu_file, unit

    @staticmethod
    def make(name):
        for root, cpu_file, unit in (
            ("/sys/fs/cgroup/cpuacct", "cpuacct.usage", 1e-3),
            ("/sys/fs/cgroup", "cpu.stat", 1.0),
        ):
            path = os.path.join(root, f"io-models-bench-{os.getpid()}-{name}")
            with contextlib.suppress(OSError):
                os.mkdir(path)
                if os.path.exists(os.path.join(path, cpu_file)):
                    return Cgroup(path, cpu_file, unit)
                os.rmdir(path)
        return None

    def cpu_us(self):
        with open(os.path.join(self.path, self.cpu_file)) as file:
            return int(re.search(r"\d+", file.read()).group()) * self.unit

    def join(self):
        with open(os.path.join(self.path, "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))

    def remove(self):
        """Removes the cgroup, and kills the processes that are left in it."""
        for _ in range(50):
            with contextlib.suppress(OSError):
                return os.rmdir(self.path)
            with open(os.path.join(self.path, "cgroup.procs")) as file:
                for pid in file.read().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.1)


def tree_cpu_us(pid):
    """The CPU time of a process, of the children that it has waited for, and of all live descendants: proc(5).

    That of each live process is read from its CPU clock, which is exact; the ticks of 10 ms in /proc are too coarse for
    a hundred small processes.
    """
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        children = []
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                children += map(int, file.read().split())
        own = time.clock_gettime_ns(~pid << 3 | 2) / 1e3  # the clock id that clock_getcpuclockid(3) would return
    except OSError:
        return 0
    waited_for = sum(map(int, fields[13:15])) * 1e6 / os.sysconf("SC_CLK_TCK")
    return own + waited_for + sum(tree_cpu_us(child) for child in children)


class Server(contextlib.AbstractContextManager):
    """A running server, bound to one CPU, and the CPU time that it has used."""

    def __init__(self, name, folder, cpu):
        self.name, self.recipe, self.port = name, recipe(name), free_port()
        slug = f"{re.sub('[^A-Za-z0-9_]+', '-', name)}-{self.port}"
        values = {"port": self.port, "folder": folder, "bin": BINARIES, "config": os.path.join(folder, slug + ".conf")}
        command = [string.Template(word).substitute(values) for word in self.recipe.command.split()]
        command[0] = shutil.which(command[0], path=PATH)
        if command[0] is None:
            raise Unusable(f"{name} is not here; {self.recipe.source}")
        with open(values["config"], "w") as file:
            file.write(string.Template(self.recipe.config).substitute(values))
        self.cgroup = Cgroup.make(slug)
        libc = ctypes.CDLL(None)

        def prepare():
            libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: if this script is killed, the server ends, too
            os.sched_setaffinity(0, {cpu})
            if self.cgroup:
                self.cgroup.join()

        self.process = None
        self.log = os.path.join(folder, slug + ".log")
        try:
            with open(self.log, "w") as log:
                self.process = subprocess.Popen(
                    command,
                    preexec_fn=prepare,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.wait_for_hello()
        except BaseException:
            self.stop()
            raise

    def wait_for_hello(self):
        answer = "nothing"
        for _ in range(200):
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.ask()
                break
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        if answer != (200, "text/plain", HELLO):
            with open(self.log) as log:
                output = log.read().strip().splitlines()
            raise Unusable(f"{self.name} answers {answer} on port {self.port}; its last output: {output[-1:]}")

    def ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", self.recipe.path)
            answer = connection.getresponse()
            return answer.status, answer.headers.get_content_type(), answer.read()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.recipe.path}"

    def cpu_us(self):
        return self.cgroup.cpu_us() if self.cgroup else tree_cpu_us(self.process.pid)

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the process and all its descendants."""
        if self.process:
            for how in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, how)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout=10)
        if self.cgroup:
            self.cgroup.remove()
