"""Tables with a row for each cell: the same columns on each page that has one."""

from .figures import CPU, KEPT, OFFERED, P50, P99, PEAK, THROUGHPUT
from .panels import VERDICTS, table, worded

# The columns of figures with a column before them that says whether they may be compared: the figure, what the column before is called, its
# label, and the unit.
JUDGED = {
    "Requests/s": (THROUGHPUT, "Throughput is", "throughput_is", "reqps"),
    "Offered": (OFFERED, "Offered is", "offered_is", "reqps"),
    "Answered in time": (KEPT, "Answered in time is", "kept_is", "percentunit"),
    "p50": (P50, "p50 is", "p50_is", "s"),
    "p99": (P99, "p99 is", "p99_is", "s"),
    "CPU per request": (CPU, "CPU is", "cpu_is", "s"),
    "Peak memory": (PEAK, "Memory is", "memory_is", "bytes"),
}


def judged(cells, *names):
    """These columns of figures, each with its judgement before it."""
    columns = {}
    for name in names:
        figure, judgement, label, unit = JUDGED[name]
        columns |= {judgement: (label, None), name: (cells.judged(figure, label), unit)}
    return columns


def cells_table(title, description, cells, places, columns, **more):
    """A table of cells: first what tells the rows apart (`places`), then the verdict, the columns, and last the reason of the verdict."""
    verdict = f"max by ({cells.by}, reason) ({cells.series(('verdict', ''))})"
    made = table(title, description, {**places, "Verdict": (verdict, "none"), **columns, "Why": ("reason", None)}, **more)
    worded(made, "Verdict", {str(number): verdict for number, verdict in enumerate(VERDICTS.items())})
    return made
