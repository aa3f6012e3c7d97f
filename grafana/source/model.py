"""Model: one model, or guest, in depth."""

from .panels import CELLS, RUNS, dashboard, heatmap, lines, text, variable


def model():
    """One model in depth."""
    served = 'model="$model"'
    rate = lambda metric, by: f"sum by ({by}) (rate({metric}{{{served}}}[$__rate_interval]))"
    level = lambda metric: f"sum by (model) ({metric}{{{served}}})"
    return dashboard(
        "model",
        "Model",
        "One model in depth: its requests, their times, and what they cost.",
        "now-15m",
        "5s",
        [variable("model", "Model", "Which model, or guest.", "process_tree_cpu_seconds_total", "model")],
        [RUNS, CELLS],
        [
            text(
                "How to read this page",
                "What belongs together on this page.",
                24,
                6,
                """
                All figures are the service's own, scraped every second; blue regions are load tests. Read it **from top to
                bottom**: what was asked, how long it took, and what the kernel had to do for it. The page of the model,
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
        ],
    )  # fmt: skip
