"""Resources: what it costs."""

from .frame import CELLS, RUNS, dashboard, variable
from .panels import lines, row, table, text


def resources():
    """What it costs."""
    mine = 'model=~"$model"'

    def rate(name, by="model", more=""):
        return f"sum by ({by}) (rate({name}{{{mine}{more}}}[$__rate_interval]))"

    def level(name, by="model"):
        return f"sum by ({by}) ({name}{{{mine}}})"

    def per_request(name):
        return f"{rate(name)} / ({rate('http_server_requests_total')} > 1)"

    pressure = lambda where: rate(f"{where}_pressure_seconds_total", "model, resource", ', kind="some"')
    variables = [
        variable("model", "Model", "Which models and guests.", "process_tree_cpu_seconds_total", "model", multi=True),
    ]
    return dashboard(
        "resources",
        "Resources",
        "What each model costs the machine.",
        "now-15m",
        "5s",
        variables,
        [RUNS, CELLS],
        [
            text(
                "How to read this page",
                "What the figures include, and which ones tell the models apart.",
                24,
                8,
                """
                Each figure is of a model's **whole process tree**, children and threads included and the supervisor beside it
                not, so that process-per-connection and epoll are measured alike. Figures **per request** compare models;
                figures per second mostly follow the load (*Live* has it).

                * **Processes and threads** are the models' definition: one each, a pool, or one in all.
                * **Context switches per request** tell who waits for whom: a blocking model is switched away at every wait, a
                loop under load hardly ever.
                * **System calls per request** tell how much asking around it needs: readiness needs two or three, a ring
                less than one.

                **Guests**, servers of others, are light grey. Figures per request lack them, since only models count their replies:
                *Overview* has their CPU time per request, from the load test.
                """,
            ),
            row("CPU"),
            lines(
                "CPUs in use",
                "CPU seconds per second of the process tree, so 2 means two CPUs busy. Exact: from the kernel's own clocks.",
                [(rate("process_tree_cpu_seconds_total"), "{{model}}")],
                "short",
            ),
            lines(
                "CPU time per request",
                """CPUs in use divided by replies per second: what one request costs now. Only under load of more than one
                request a second.""",
                [(per_request("process_tree_cpu_seconds_total"), "{{model}}")],
                "s",
            ),
            lines(
                "CPUs in use, in user mode and in the kernel",
                """The same apart: a server that does little but I/O spends most of its time in the kernel. From clock ticks, so
                coarse; absent for a model whose children live too short for that to be true.""",
                [(rate("process_tree_cpu_user_seconds_total"), "{{model}} user"),
                 (rate("process_tree_cpu_system_seconds_total"), "{{model}} kernel")],
                "short",
            ),
            lines(
                "Time in which tasks had to wait (pressure)",
                """Share of the time in which at least one task waited for CPU, memory or I/O, by the kernel's pressure stall
                information: of the model's control group where there is one, else of the whole machine.""",
                [(f"{pressure('cgroup')} or {pressure('machine')}", "{{model}} {{resource}}")],
                "percentunit",
            ),
            row("Memory, processes and descriptors"),
            lines(
                "Memory",
                """Memory of the process tree; what several processes share counts once. What each connection costs shows when
                the load begins.""",
                [(level("process_tree_memory_bytes"), "{{model}}")],
                "bytes",
            ),
            lines(
                "Peak memory",
                "The most that it has been since the service started. The table below says how that is known.",
                [(level("process_tree_memory_peak_bytes"), "{{model}}")],
                "bytes",
            ),
            lines(
                "Processes and threads",
                "How many there are. Process-per-connection has one for each connection, epoll one thread for each CPU.",
                [(level("process_tree_processes"), "{{model}} processes"),
                 (level("process_tree_threads"), "{{model}} threads")],
                "short",
            ),
            lines(
                "Open file descriptors",
                "Sockets, files and the rest, over all processes: one that two processes share counts twice.",
                [(level("process_tree_open_fds"), "{{model}}")],
                "short",
            ),
            row("The kernel's work"),
            lines(
                "Context switches per second",
                """Times that a thread gave up the CPU to wait (voluntary), or had to give it up (involuntary): the latter means
                that there are more threads to run than CPUs.""",
                [(rate("process_tree_context_switches_total", "model, kind"), "{{model}} {{kind}}")],
                "ops",
            ),
            lines(
                "Context switches per request",
                "How often a request makes a thread wait or be pushed aside. Blocking models pay here.",
                [(per_request("process_tree_context_switches_total"), "{{model}}")],
                "none",
                decimals=2,
            ),
            lines(
                "System calls per request",
                """As counted by our own code where it makes them; what the C library and the runtime call besides is not in it.
                Batching shows as less than one.""",
                [(per_request("server_syscalls_total"), "{{model}}")],
                "none",
                decimals=2,
            ),
            lines(
                "Page faults per second",
                "Memory touched for the first time (minor), or read from disk (major): fork pays here for copied pages.",
                [(rate("process_tree_page_faults_total", "model, kind"), "{{model}} {{kind}}")],
                "ops",
            ),
            table(
                "Where the figures come from",
                """How each model's CPU time, memory and peak are known on this machine. Figures from different sources are not
                to be compared to the last digit.""",
                {
                    "Model": ("model", None),
                    "Figure": ("of", None),
                    "Source": ("source", None),
                    "Known": (f"max by (model, of, source) (process_tree_source{{{mine}}})", "short"),
                },
                height=9,
            ),
        ],
    )  # fmt: skip
