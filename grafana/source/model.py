"""Model: one model, or guest, in depth."""

from .figures import why
from .frame import CELLS, NEWEST, RUNS, THROWN_AWAY, dashboard, either, load_variables, variable
from .panels import NOTHING, heatmap, lines, row, table, text


def model():
    """One model in depth."""
    served = 'model="$model"'
    rate = lambda metric, by: f"sum by ({by}) (rate({metric}{{{served}}}[$__rate_interval]))"
    level = lambda metric: f"sum by (model) ({metric}{{{served}}})"
    choices, selector = load_variables('run_id="$run", target="$model"')
    variables = [
        # Those that are scraped, and those that only a load test knows.
        either("model", "Model", "Which model, or guest.", [("process_tree_cpu_seconds_total", "model"), ("loadtest_run_verdict", "target")]),
        variable("run", "Run", "Which load test, for its results below; the newest one is on top.",
                 'loadtest_run_verdict{target="$model"}', "run_id", NEWEST),
        *choices,
    ]  # fmt: skip
    none = "No load test of this model in this time range: choose a longer one, or come by a link from Overview"
    names = '__name__=~"loadtest_run_.+", __name__!~"loadtest_run_(flaw|missing|disturbance|request_duration_seconds)"'
    figures = f"last_over_time({{{names}, {selector}}}[$__range])"
    return dashboard(
        "model",
        "Model",
        "One model in depth: its requests, their times, and what they cost.",
        "now-1h",
        "5s",
        variables,
        [RUNS, CELLS, THROWN_AWAY],
        [
            text(
                "How to read this page",
                "What belongs together on this page.",
                24,
                6,
                """
                The lines are the service's own figures, scraped every second; blue regions are load tests. Read it **from top to
                bottom**: what was asked, how long it took, and what the kernel had to do for it. At the end stands what the chosen run
                measured under the chosen load: a link from *Overview* or *History* leads to the time of that run. The page of the model,
                `services/<model>/README.md`, says what to expect.

                Of a **guest**, a server of others, there is what the kernel knows: CPU, memory, switches, descriptors, processes.
                It does not count its replies and calls for us. *Live* has its requests, as the load test sees them.
                """,
            ),
            lines("Replies per second", "Replies that were sent whole, by route and status.",
                  [(rate("http_server_requests_total", "route, status"), "{{route}} {{status}}")], "reqps"),
            lines("Open connections and queue", "Connections that are open, and those of them that wait for a worker.",
                  [(level("http_server_active_connections"), "open"), (level("http_server_queue_depth"), "waiting")], "short"),
            heatmap("Times to reply", """Each column is a moment, each cell a range of times; the darker, the more replies took
                    that long. A smear upwards is a queue.""",
                    f"sum by (le) (increase(http_server_request_duration_seconds_bucket{{{served}}}[$__rate_interval]))", "s"),
            lines("CPU", "CPUs in use by the model's whole process tree.",
                  [(rate("process_tree_cpu_seconds_total", "model"), "{{model}}")], "none"),
            lines("Memory", "Memory of the process tree; what several processes share counts once where the kernel tells.",
                  [(level("process_tree_memory_bytes"), "{{model}}")], "bytes"),
            lines("Context switches per second", "Voluntary: a thread waited. Involuntary: its time was up.",
                  [(rate("process_tree_context_switches_total", "kind"), "{{kind}}")], "cps"),
            lines("System calls per second", "As counted by the model's own code, by call.",
                  [(rate("server_syscalls_total", "call"), "{{call}}")], "cps"),
            lines("Open descriptors", "Over the whole process tree: sockets, files, and what the model itself needs.",
                  [(level("process_tree_open_fds"), "{{model}}")], "short"),
            lines("Processes and threads", "That live now: a level line is a loop or a pool, one that follows the load is not.",
                  [(level("process_tree_processes"), "processes"), (level("process_tree_threads"), "threads")], "short"),
            row("What the run measured"),
            table(
                "All figures of this run and load",
                """Each figure of results.json by its name in Prometheus, in seconds and bytes: the median over the trials. `bound` says on which
                side of it the true value is, where its verdict is not valid but that is known. crates/results/FIGURES.md says what each is.""",
                {
                    "Figure": ("__name__", None),
                    "Quantile": ("quantile", None),
                    "Class": ("class", None),
                    "By": ("by", None),
                    "Verdict": ("verdict", None),
                    "Bound": ("bound", None),
                    "Value": (f"max by (__name__, quantile, class, by, verdict, bound) ({figures})", "short"),
                },
                width=14,
                height=16,
                noValue=none,
            ),
            table(
                "What it could not measure, or what may not be compared",
                "The reasons, as results.json has them under `flaws` and `missing`: of a figure, or of all figures of a group.",
                {"Figure": ("figure", None), "Verdict": ("verdict", None), "Why": ("why", None)},
                rows=why(selector, [".+"]),
                width=10,
                height=16,
                noValue=NOTHING + "each figure is there, and may be compared.",
            ),
        ],
    )  # fmt: skip
