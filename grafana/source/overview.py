"""Overview: who wins at what."""

from .cells import cells_table, judged
from .colours import BLUE, GREY, YELLOW, fixed
from .figures import (
    CPU, KERNEL_A_CONNECTION, LOAD, OTHERS_ON_CLIENT, OTHERS_ON_SERVER, P99, PEAK, THROUGHPUT, USER_A_CONNECTION,
    Cells, end_of, last, percentiles, why,
)  # fmt: skip
from .frame import NEWEST, RUNS, dashboard, load_variables, run_times, variable
from .panels import NOTHING, VERDICTS, bars, curves, model_link, override, parts, row_link, stat, table, text

# What the bars show, in the words of results.json: a figure, or the whole group that has it.
SHOWN = ["throughput", "latency_us", "latency_us.p99", "server", "server.cpu_us_per_request", "server.peak_memory_bytes"]


def both(cells, figure, name, colour):
    """A part of a figure: where it may be compared, and in grey where it may not."""
    flawed = f"max by ({cells.by}) ({cells.flawed(figure)})"
    return {name: (cells.valid(figure), colour), f"{name}, may not be compared": (flawed, GREY)}


def results_table(selector):
    """Every cell of a run with a workload."""
    cells = Cells(f'{selector}, target=~"$model"', "target, schedule, beside, concurrency, requests_per_connection")
    sum_of = lambda series: f"sum by ({cells.by}) ({cells.series((series, ''))})"
    rank = lambda by: (cells.any(("rank", f', by="{by}"')), "none")
    return cells_table(
        "All results of this run and workload",
        """A row for each cell: a model under one load. A figure is the median over the trials. A column as *Throughput is* says whether the
        next one may be compared: nothing where it may, and otherwise its verdict, after `>=` or `<=` where the true value is on that
        side, or `!`; for the other figures, the page of the model says it. From three trials on, some have the ends of their interval beside them.
        Equals have the same rank. The verdict is the gravest on any figure of the cell, and the last column says why. An empty field is a figure
        that could not be had.""",
        cells,
        {
            "Model": ("target", None),
            "Schedule": ("schedule", None),
            "Beside": ("beside", None),
            "Connections": ("concurrency", None),
            "Requests per connection": ("requests_per_connection", None),
        },
        {
            **judged(cells, "Requests/s"),
            "from": (cells.any(end_of(THROUGHPUT, "low")), "reqps"),
            "to": (cells.any(end_of(THROUGHPUT, "high")), "reqps"),
            **judged(cells, "p50", "p99"),
            "p99 from": (cells.any(end_of(P99, "low")), "s"),
            "p99 to": (cells.any(end_of(P99, "high")), "s"),
            **judged(cells, "CPU per request"),
            "CPU from": (cells.any(end_of(CPU, "low")), "s"),
            "CPU to": (cells.any(end_of(CPU, "high")), "s"),
            **judged(cells, "Peak memory"),
            "User memory a connection": (cells.any(USER_A_CONNECTION), "bytes"),
            "Kernel memory a connection": (cells.any(KERNEL_A_CONNECTION), "bytes"),
            "Rank by CPU": rank("cpu"),
            "Rank by p99": rank("p99"),
            "Rank by throughput": rank("throughput"),
            "Rank by memory": rank("memory"),
            "Processes": (cells.any(("processes", "")), "short"),
            "Threads": (cells.any(("threads", "")), "short"),
            "Errors": (sum_of("errors"), "short"),
            "Disturbed trials": (cells.any(("disturbed_trials", "")), "short"),
        },
    )


def overview():
    """Who wins at what."""
    run = 'run_id="$run"'
    choices, selector = load_variables(run)
    variables = [
        variable("run", "Run", "Which load test; the newest one is on top.", "loadtest_run_verdict", "run_id", NEWEST),
        *choices,
        variable("model", "Model", "Which targets to compare.", f"loadtest_run_verdict{{{run}}}", "target", multi=True),
        *run_times(),
    ]
    one = f'{selector}, target=~"$model"'
    cells = Cells(one)
    verdicts = stat(
        "Cells by verdict",
        """How many cells of this run may be compared as a whole (valid), and how many not: the load generator was the
        bottleneck (client-limited), requests failed (errors), some connections were not served (starved), other programs
        used the CPUs (disturbed), the rate changed or was not kept (unstable), not all CPU time of a
        guest was counted (undercounted), or this machine does not permit the model
        (unsupported). Some figures of such a cell may be valid all the same.""",
        [(f"count by (verdict) ({last('verdict', run)})", "{{verdict}}")],
        9,
        11,
    )
    for name, colour in VERDICTS.items():
        override(verdicts, name, {"id": "color", "value": fixed(colour)})
    reasons = table(
        "Why bars are grey",
        """Each figure of the bars that may not be compared, or that is missing, and the reason, as results.json has it under `flaws` and
        `missing`. `server` and `latency_us` mean all figures of that group, `all` the whole cell.""",
        {
            "Model": ("target", None),
            "Figure": ("figure", None),
            "Verdict": ("verdict", None),
            "Why": ("why", None),
        },
        rows=why(one, SHOWN),
        height=8,
        noValue=NOTHING + "each of these figures may be compared.",
    )
    disturbed = table(
        "What was disturbed",
        """The trials of this run in which other programs, or other machines of the same hypervisor, used more than 2 % of the CPUs, and
        what they did. A disturbed trial does not count if enough others are left: at least three, and at least half. If it
        counts, the figures that it disturbed have that verdict.""",
        {
            "Model": ("target", None),
            "Workload": ("workload", None),
            "Schedule": ("schedule", None),
            "Beside": ("beside", None),
            "Connections": ("concurrency", None),
            "Requests per connection": ("requests_per_connection", None),
            "Trial": ("trial", None),
            "What others did": ("why", None),
            "Counts": ("counted", None),
        },
        rows=f"max by (target, {', '.join(LOAD)}, trial, why, counted) ({last('disturbance', run)})",
        height=8,
        noValue=NOTHING + "no trial of this run was disturbed.",
    )
    workload = f'{run}, workload="$workload"'
    results = results_table(workload)
    of_row = {"model": "Model", "schedule": "Schedule", "beside": "Beside", "concurrency": "Connections", "requests_per_connection": "Requests per connection"}
    for made, link in (
        (reasons, model_link("${__value.raw}")),
        (results, row_link(of_row)),
        (disturbed, row_link({**of_row, "workload": "Workload"})),
    ):
        override(made, "Model", {"id": "links", "value": [link]})
    return dashboard(
        "overview",
        "Overview",
        "Who wins at what: one run's results, model beside model.",
        "now-30d",
        "10s",
        variables,
        [RUNS],
        [
            text(
                "How to read this page",
                "What the panels below show, and what to look for.",
                15,
                11,
                """
                **One server, several I/O models.** Parser, routes and files are the same; whatever differs here is the I/O
                model's doing. Choose a *run* and a load of it above, from *workload* to *requests per connection*. **The best is on
                top.** A click on a bar leads to that model, at the time of the run.

                * **CPU per request** is the fair comparison: half of it is room for twice the load.
                * **Throughput** says little by itself: on one machine, server and load generator share the cores.
                * **p99** is what one visitor in a hundred has to wait. Compare it at a load that every model carries.
                * **Memory** grows with the connections where each has a process or thread. Compare 10 with 1000.
                * **Grey bars** may not be compared. After `>=`, the true value is at least this, after `<=` at most, after `!` neither is known;
                *no figure* could not be had. Below stands why. Light grey are **guests**, servers of others.

                For another load: `docker compose run --rm loadtest --concurrency 1000`.
                """,
            ),
            verdicts,
            bars(
                "Throughput (more is better)",
                """Successful requests a second. Longer bars are better. Models within a few percent of each other are equal: the
                table of results has the ranks and the intervals.""",
                cells,
                THROUGHPUT,
                "reqps",
                lowest_first=False,
            ),
            bars(
                "CPU time per request (less is better)",
                """CPU time that the model's whole process tree used, divided by the requests that it answered. Shorter bars
                are better. Forks, thread switches and system calls all show here.""",
                cells,
                CPU,
                "s",
            ),
            bars(
                "Latency, 99th percentile (less is better)",
                """One request in a hundred took longer, from its first byte sent to the last byte of its answer; in an open loop, from
                when it was due. Shorter bars are better. It needs at least 1000 requests.""",
                cells,
                P99,
                "s",
            ),
            bars(
                "Peak memory (less is better)",
                """The most memory that the model's processes had together in a trial, without the kernel's part; what several
                share counts once where the kernel tells.""",
                cells,
                PEAK,
                "bytes",
            ),
            reasons,
            parts(
                "Memory of a connection (less is better)",
                """Growth of memory while the load is on, divided by the connections: that of the model's processes, and that of
                the kernel for them (stacks, page tables, sockets). The kernel's part is known only from 1000 connections on,
                and on a quiet machine: where it is absent, it is not zero.""",
                {
                    **both(cells, USER_A_CONNECTION, "processes", BLUE),
                    **both(cells, KERNEL_A_CONNECTION, "kernel", YELLOW),
                },
                cells.absent(USER_A_CONNECTION, KERNEL_A_CONNECTION),
                "bytes",
                stacked=True,
            ),
            parts(
                "Who else used the CPUs (0 is best)",
                """Share of the time of the model's and of the load's CPUs that neither of them used, in the window: other
                programs, other services, the monitoring. It is at least this, and above 2 %, the trial is disturbed.""",
                {
                    "the model's CPUs": (cells.any(OTHERS_ON_SERVER), BLUE),
                    "the load's CPUs": (cells.any(OTHERS_ON_CLIENT), YELLOW),
                },
                cells.absent(OTHERS_ON_SERVER, OTHERS_ON_CLIENT),
                "percentunit",
                stacked=False,
            ),
            curves(
                "Latency by percentile",
                """One request in two took longer than the first point, which is the median, one in a hundred longer than that at 100, the 99th
                percentile: over all trials together and true to 2 %. A curve that rises steeply has a long tail. Where this Prometheus keeps no native histograms, the medians over the trials of the table below. The scale is
                logarithmic: each line of the grid is ten times the one below.""",
                percentiles(one),
                "one_in",
                "s",
                x_title="one request in so many took longer",
                width=24,
            ),
            disturbed,
            results,
        ],
    )
