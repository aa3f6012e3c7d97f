"""What the dashboards show, and what differs from what they should show."""

import json
import math

from .queries import DASHBOARDS, fill, series_of

# A value of a query, with nine digits, is that of the file.
NEAR = 1e-8
# The columns of tables: the figure of each, and whether it is an end of its interval.
COLUMNS = {
    "Requests/s": ("throughput", "median"), "from": ("throughput", "low"), "to": ("throughput", "high"),
    "p50": ("latency_us.p50", "median"),
    "p99": ("latency_us.p99", "median"), "p99 from": ("latency_us.p99", "low"), "p99 to": ("latency_us.p99", "high"),
    "CPU per request": ("server.cpu_us_per_request", "median"),
    "CPU from": ("server.cpu_us_per_request", "low"), "CPU to": ("server.cpu_us_per_request", "high"),
    "Peak memory": ("server.peak_memory_bytes", "median"),
    "User memory a connection": ("server.user_memory_bytes_per_connection", "median"),
    "Kernel memory a connection": ("server.kernel_memory_bytes_per_connection", "median"),
    "Processes": ("server.processes", "median"), "Threads": ("server.threads", "median"),
    "Offered": ("pace.offered_per_second", "median"), "Answered in time": ("pace.achieved_share", "median"),
    "Largest burst": ("pace.largest_burst", "median"), "Unsent": ("pace.unsent", "median"),
}  # fmt: skip


class Board:
    """The queries of a dashboard, in a Prometheus. values: what is chosen."""

    def __init__(self, prometheus, name, begin_end, values):
        self.prometheus = prometheus
        self.begin, self.end = begin_end
        self.values = values
        dashboard = json.loads((DASHBOARDS / f"{name}.json").read_text(encoding="utf-8"))
        self.panels = {panel["title"]: panel for panel in dashboard["panels"]}
        self.variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}

    def filled(self, text):
        """A text with the variables replaced."""
        return fill(text, self.values, round(self.end - self.begin))

    def ask(self, query):
        """What a query answers: labels and a number of each series."""
        series = series_of(self.prometheus, query, self.filled(query["expr"]), self.begin, self.end)
        return [(labels, float(numbers[-1])) for labels, numbers in series]

    def panel(self, title):
        """What each query of a panel answers."""
        return [self.ask(query) for query in self.panels[title]["targets"]]

    def rows(self, title):
        """What the only query of a panel answers."""
        [rows] = self.panel(title)
        return rows

    def columns(self, title):
        """What a table shows: its columns by their names, each with the label of its judgement, if it has one, and with what its query answers."""
        panel = self.panels[title]
        options = panel["transformations"][1]["options"]
        fields = sorted(options["renameByName"], key=options["indexByName"].get)
        names = [options["renameByName"][field] for field in fields]
        before = dict(zip(names[1:], fields))
        found = {}
        for query in panel["targets"]:
            name = options["renameByName"][f"Value #{query['refId']}"]
            judgement = before[name] if before[name].endswith("_is") else None
            found[name] = (judgement, self.ask(query))
        return found


def same(ours, theirs):
    """Whether two numbers are the same to nine digits, and other things the same."""
    if isinstance(ours, tuple) and isinstance(theirs, tuple) and len(ours) == len(theirs):
        return all(map(same, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=NEAR) or ours == theirs
    return ours == theirs


def differences(where, expected, shown):
    """What differs between two dictionaries."""
    for name in sorted({*expected, *shown}, key=str):
        if not same(expected.get(name), shown.get(name)):
            yield f"{where}: {name}: {shown.get(name)} instead of {expected.get(name)}"


def either_side(where, ours, theirs):
    """What differs between two sets."""
    yield from (f"{where}: {it} is not shown" for it in sorted(ours - theirs))
    yield from (f"{where}: {it} is in no results" for it in sorted(theirs - ours))


def bars(board, title, cells, path, lowest_first=True):
    """A panel with bars: those that may be compared in their order, then those that may not, then those without a figure. cells: by the
    name of their target; None for a target without one."""
    valid, flawed, absent = board.panel(title)
    figures = {target: cell and cell.figure(path) for target, cell in cells.items()}
    expected = {target: "no figure" if figure is None else (cells[target].judgement(path), figure) for target, figure in figures.items()}
    shown = {labels["target"]: ("", value) for labels, value in valid}
    shown |= {labels["target"]: (f"{labels['mark']} {labels['verdict']}", value) for labels, value in flawed}
    shown |= {labels["target"]: "no figure" for labels, _ in absent}
    if len(valid) + len(flawed) + len(absent) != len(cells):
        yield f"{title}: {len(valid)} + {len(flawed)} + {len(absent)} bars for {len(cells)} targets"
    for rows in (valid, flawed):
        values = [value for _, value in rows]
        if values != sorted(values, reverse=not lowest_first):
            yield f"{title}: not sorted: {values}"
    yield from differences(title, expected, shown)


def reasons(board, title, cells, paths):
    """A table of reasons: figures that may not be compared, or are missing."""
    shown = {(labels["target"], labels["figure"], labels["verdict"], labels.get("why", "")) for labels, _ in board.rows(title)}
    expected = {(cell.target, *reason) for cell in cells for reason in cell.reasons_of(paths)}
    yield from either_side(title, expected, shown)


def table(board, title, cells, place_of, of_cell):
    """A table with a row for each of the cells. place_of: what its labels say of the row; of_cell: the same of a cell."""
    for column, (judgement, rows) in board.columns(title).items():
        if column in ("Began", "Ended"):
            continue
        expected = {}
        for cell in cells:
            value = of_column(cell, column)
            if value is not None:
                judged = judgement and cell.judgement(COLUMNS[column][0])
                expected[of_cell(cell)] = (judged, value) if judgement else (cell.reason, value) if column == "Verdict" else value
        shown = {}
        for labels, value in rows:
            judged = labels.get(judgement, "") if judgement else labels.get("reason", "")
            shown[place_of(labels)] = (judged, value) if judgement or column == "Verdict" else value
        yield from differences(f"{title}: {column}", expected, shown)


def of_column(cell, column):
    """The number of a cell in a column; None if it has none."""
    if column == "Verdict":
        return float(cell.verdict_number)
    if column.startswith("Rank by "):
        return cell.rank(column[len("Rank by ") :].lower())
    if column in ("Errors", "Trials", "Disturbed trials"):
        counts = {"Errors": cell.errors, "Trials": lambda: float(len(cell.trials)), "Disturbed trials": lambda: float(len(cell.disturbances()))}
        return counts[column]() if cell.trials else None
    return cell.figure(*COLUMNS[column])
