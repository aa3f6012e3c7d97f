"""Overview: who wins at what."""

from .panels import LARGEST, NEWEST, OF_FIGURES, RUNS, VERDICTS, bars, choice, dashboard, override, parts, stat, table, text, variable


def overview():
    """Who wins at what."""
    run = 'run_id="$run"'
    workload = f'{run}, workload="$workload"'
    schedule = f'{workload}, schedule="$schedule"'
    beside = f'{schedule}, beside="$beside"'
    concurrency = f'{beside}, concurrency="$concurrency"'
    one = f'{concurrency}, requests_per_connection="$requests_per_connection", target=~"$model"'
    verdict = "loadtest_run_verdict"
    variables = [
        variable("run", "Run", "Which load test; the newest one is on top.", verdict, "run_id", NEWEST),
        variable("workload", "Workload", "What was asked for.", f"{verdict}{{{run}}}", "workload"),
        variable("schedule", "Schedule", "When requests were sent: each after the last answer (closed), or at a rate.",
                 f"{verdict}{{{workload}}}", "schedule"),
        variable("beside", "Beside", "Which other connections the model had to serve meanwhile.",
                 f"{verdict}{{{schedule}}}", "beside"),
        variable("concurrency", "Connections", "How many connections were open at a time; the most are on top.",
                 f"{verdict}{{{beside}}}", "concurrency", LARGEST),
        variable("requests_per_connection", "Requests per connection", "After how many requests a connection was closed.",
                 f"{verdict}{{{concurrency}}}", "requests_per_connection"),
        variable("model", "Model", "Which targets to compare.", f"{verdict}{{{run}}}", "target", multi=True),
        choice("verdict", "Verdict", "Which figures to rank. Only valid ones may be compared; add others at your own risk.",
               OF_FIGURES, ["valid"]),
    ]  # fmt: skip

    def last(name, more=""):
        """The cell's figure if the verdict on it is chosen, although its only sample may be hours old."""
        selector = f'{{{one}, verdict=~"$verdict"{more}}}'
        return f"max by (target, verdict) (last_over_time(loadtest_run_{name}{selector}[$__range]))"

    def of_target(name):
        """The same, whatever its verdict, to be joined by the target alone."""
        return f"max by (target) (last_over_time(loadtest_run_{name}{{{one}}}[$__range]))"

    # Without the verdict, which differs from figure to figure of a cell: each would make a row of its own.
    def column(name, more="", by="", how="max"):
        labels = f"target, schedule, beside, concurrency, requests_per_connection{by}"
        selector = f'{{{workload}, target=~"$model"{more}}}'
        return f"{how} by ({labels}) (last_over_time(loadtest_run_{name}{selector}[$__range]))"

    results = table(
        "All results of this run and workload",
        """A row for each cell: a model under one load. The verdict is the gravest on any of its figures, and the
        last column says why, and which figures are meant. Every figure is the median over the trials; from three trials
        on, two have the ends of their interval beside them; results.json has the trials. An empty field is a
        figure that could not be had, a percentile of too few requests for example.""",
        {
            "Model": ("target", None),
            "Schedule": ("schedule", None),
            "Beside": ("beside", None),
            "Connections": ("concurrency", None),
            "Requests per connection": ("requests_per_connection", None),
            "Verdict": (column("verdict", by=", reason"), "none"),
            "Requests/s": (column("throughput"), "reqps"),
            "from": (column("throughput_low"), "reqps"),
            "to": (column("throughput_high"), "reqps"),
            "p50": (column("latency_seconds", ', quantile="0.5"'), "s"),
            "p99": (column("latency_seconds", ', quantile="0.99"'), "s"),
            "CPU per request": (column("cpu_seconds_per_request"), "s"),
            "CPU from": (column("cpu_seconds_per_request_low"), "s"),
            "CPU to": (column("cpu_seconds_per_request_high"), "s"),
            "Peak memory": (column("peak_memory_bytes"), "bytes"),
            "User memory a connection": (column("user_memory_bytes_per_connection"), "bytes"),
            "Kernel memory a connection": (column("kernel_memory_bytes_per_connection"), "bytes"),
            "Processes": (column("processes"), "short"),
            "Threads": (column("threads"), "short"),
            "Errors": (column("errors", how="sum"), "short"),
            "Others on the model's CPUs": (column("foreign_on_server_cpus"), "percentunit"),
            "Others on the load's CPUs": (column("foreign_on_client_cpus"), "percentunit"),
            "Why": ("reason", None),
        },
    )
    names = list(VERDICTS)
    mapping = {str(n): {"color": VERDICTS[name], "index": n, "text": name} for n, name in enumerate(names)}
    override(
        results,
        "Verdict",
        {"id": "mappings", "value": [{"type": "value", "options": mapping}]},
        {"id": "custom.cellOptions", "value": {"type": "color-text"}},
    )
    verdicts = stat(
        "Cells by verdict",
        """How many cells of this run may be compared as a whole (valid), and how many not: the load generator was the
        bottleneck (client-limited), requests failed (errors), some connections were not served (starved), other programs
        used the CPUs (disturbed), the rate changed or was not kept (unstable), not all CPU time of a
        guest was counted (undercounted), or this machine does not permit the model
        (unsupported). Some figures of such a cell may be valid all the same.""",
        f"count by (verdict) (last_over_time(loadtest_run_verdict{{{run}}}[$__range]))",
        "{{verdict}}",
        9,
        10,
    )
    for name, colour in VERDICTS.items():
        override(verdicts, name, {"id": "color", "value": {"fixedColor": colour, "mode": "fixed"}})
    return dashboard(
        "overview",
        "Overview",
        "Who wins at what: one run's results, model beside model.",
        "now-24h",
        "10s",
        variables,
        [RUNS],
        [
            text(
                "How to read this page",
                "What the panels below show, and what to look for.",
                15,
                10,
                """
                **One server, several I/O models.** Parser, routes and files are the same; whatever differs here is the I/O
                model's doing. Choose a *run* and a load of it above, from *workload* to *requests per connection*. **The best is on top.**

                * **Guests**, servers of others as nginx, are grey.
                * **Throughput** says little by itself: on one machine, server and load generator share the cores.
                * **CPU per request** is the fair comparison: half of it is room for twice the load.
                * **p99** is what one visitor in a hundred has to wait. Compare it at a load that every model carries.
                * **Memory** grows with the connections where each has a process or thread. Compare 10 with 1000.

                Each figure has a verdict of its own: only *valid* figures are ranked. The table has all of them, and why the
                others are not. For another load: `docker compose run --rm loadtest --concurrency 1000`.
                """,
            ),
            verdicts,
            bars(
                "Throughput (more is better)",
                """Successful requests a second. Longer bars are better. Models within a few percent of each other are equal:
                look at several trials before you name a winner.""",
                last("throughput"),
                "reqps",
                lowest_first=False,
            ),
            bars(
                "CPU time per request (less is better)",
                """CPU time that the model's whole process tree used, divided by the requests that it answered. Shorter bars
                are better. Forks, thread switches and system calls all show here.""",
                last("cpu_seconds_per_request"),
                "s",
            ),
            bars(
                "Latency, 99th percentile (less is better)",
                """One request in a hundred took longer, from its first byte sent to the last byte of its answer. Shorter bars
                are better. It needs at least 1000 requests, or there is no bar.""",
                last("latency_seconds", ', quantile="0.99"'),
                "s",
            ),
            bars(
                "Peak memory (less is better)",
                """The most memory that the model's processes had together in a trial, without the kernel's part; what several
                share counts once where the kernel tells.""",
                last("peak_memory_bytes"),
                "bytes",
            ),
            parts(
                "Memory of a connection (less is better)",
                """Growth of memory while the load is on, divided by the connections: that of the model's processes, and that of
                the kernel for them (stacks, page tables, sockets). The kernel's part is known only from 1000 connections on,
                and on a quiet machine: where it is absent, it is not zero. Whatever the verdict.""",
                {
                    "processes": of_target("user_memory_bytes_per_connection"),
                    "kernel": of_target("kernel_memory_bytes_per_connection"),
                },
                "bytes",
                stacked=True,
            ),
            parts(
                "Who else used the CPUs (0 is best)",
                """Share of the time of the model's and of the load's CPUs that neither of them used, in the window: other
                programs, other services, the monitoring. Above 2 %, the cell is disturbed. Whatever the verdict.""",
                {
                    "the model's CPUs": of_target("foreign_on_server_cpus"),
                    "the load's CPUs": of_target("foreign_on_client_cpus"),
                },
                "percentunit",
                stacked=False,
            ),
            results,
        ],
    )
