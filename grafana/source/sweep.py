"""Concurrency sweep: what more connections do to each model."""

from .cells import cells_table, judged
from .figures import CPU, KERNEL, MEMORY, P99, THROUGHPUT, Cells, newest, only
from .frame import RUNS, dashboard, several_runs
from .panels import curves, override, report_link, text


def sweep():
    """What more connections do to each model."""
    variables, one = several_runs("Which load tests; where several have the same point, the newest one gives it.", ("concurrency",))
    among = only(newest(one, "target, concurrency"))
    points = Cells(one, "target, concurrency", among)
    rows = Cells(one, "run_id, target, concurrency", among)
    found = cells_table(
        "The points, and the runs that they come from",
        """A row for each point: the newest run with this model, load and number of connections. Why a point may not be compared stands in
        the last column. The run leads to its report.""",
        rows,
        {"Model": ("target", None), "Connections": ("concurrency", None), "Run": ("run_id", None)},
        judged(rows, "Requests/s", "p99", "CPU per request"),
        links={"Run": report_link("${__value.raw}")},
    )
    override(found, "Connections", {"id": "custom.align", "value": "right"})
    return dashboard(
        "sweep",
        "Concurrency sweep",
        "Throughput, latency and memory of every model over the number of connections.",
        "now-30d",
        "10s",
        variables,
        [RUNS],
        [
            text(
                "How to read this page",
                "What the curves show, and what to look for.",
                24,
                7,
                """
                Each point is a cell: a model at one number of connections, the median over its trials. **Runs join one curve**: run the
                load test again with another concurrency, and its point is there. Where several runs have the same point, the newest one
                gives it; the table below says which, and above you can leave runs out. Runs differ by what the machine did meanwhile.

                A curve of **throughput** rises until something is used up, and what happens then tells the models apart: it stays level,
                or falls. **p99** rises in proportion once throughput is level. **Memory** is level for an event loop, and a
                slope where each connection has a process or thread. **Grey points** may not be compared.

                For a sweep: `docker compose run --rm loadtest --workload / --concurrency 1,10,100,1000`.
                """,
            ),
            curves("Throughput", "Successful requests a second over the number of connections; higher is better.",
                   points.named(THROUGHPUT), "concurrency", "reqps", log=False, x_base=2),
            curves("Latency, 99th percentile", """One request in a hundred took longer; lower is better. The scale is
                   logarithmic: each line of the grid is ten times the one below.""",
                   points.named(P99), "concurrency", "s", x_base=2),
            curves("Memory: of the processes, and of the kernel (dashed)", """Memory while the load is on: of the model's processes together,
                   and the growth of the kernel's for them (stacks, page tables, sockets), which is known from 1000 connections on. Lower is
                   better. The scale is logarithmic.""",
                   f"{points.named(MEMORY)} or {points.named(KERNEL, 'kernel')}", "concurrency", "bytes", x_base=2),
            curves("CPU time per request", """CPU time of the model's whole process tree over the requests it answered; lower
                   is better.""",
                   points.named(CPU), "concurrency", "s", log=False, x_base=2),
            found,
        ],
    )  # fmt: skip
