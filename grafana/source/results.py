"""results.json as the dashboards should show it: the figures by the names of their series, and the verdict on each."""

import collections
import json
import re
from datetime import datetime
from pathlib import Path

from .figures import LOAD
from .hdr import around, counts_of
from .panels import VERDICTS
from .rates import NO_RATE

FIGURES_MD = Path(__file__).resolve().parents[2] / "crates/results/FIGURES.md"
# | `server.cpu_us_per_request` | µs | CPU time a request | `cpu_us_per_request` | `cpu_seconds_per_request` |
ROW = re.compile(r"^\| `([\w.]+)` \| ([^|]+) \|.*\| `(\w+)(?:\{quantile=\"([\d.]+)\"\})?` \|$", re.MULTILINE)
FIGURES = {path: (series, quantile, 1e-6 if unit == "µs" else 1.0) for path, unit, series, quantile in ROW.findall(FIGURES_MD.read_text(encoding="utf-8"))}
# Those whose intervals are sent: WITH_INTERVAL of loadtest/src/remote_write/samples.rs.
WITH_INTERVAL = ["throughput", "server.cpu_us_per_request", "latency_us.p99", "server.peak_memory_bytes", "server.memory_bytes_per_connection"]
# In the order of their numbers.
NUMBERS = list(VERDICTS)
WITHOUT_RATE = re.compile(f"^({NO_RATE})$")
MARKS = {None: "!", "lower": ">=", "upper": "<="}
# What becomes of a request, apart from success and from requests that the end of the window cut off.
NO_ERRORS = ("ok", "aborted_at_end")


class Cell:
    """A target under one load."""

    def __init__(self, run_id, cell):
        self.run_id = run_id
        self.cell = cell
        self.target = cell["target"]
        self.trials = cell["trials"]
        self.reason = "; ".join(cell["reasons"])
        self.verdict = cell["verdict"]
        self.verdict_number = NUMBERS.index(cell["verdict"])
        self.load = {
            "workload": cell["workload"],
            "schedule": cell["schedule"],
            "beside": beside(cell.get("beside")),
            "concurrency": str(cell["concurrency"]),
            "requests_per_connection": str(cell["requests_per_connection"]),
        }

    def of_load(self):
        """The values of its load's labels, in their order."""
        return tuple(self.load[name] for name in LOAD)

    def figure(self, path, end="median"):
        """A figure in base units: its median, or an end of its interval; None if there is none."""
        group, _, field = path.rpartition(".")
        figure = (self.cell[group] if group else self.cell)[field]
        if figure is None or figure.get(end) is None:
            return None
        return figure[end] * FIGURES[path][2]

    def flaw(self, path):
        """The verdict on a figure, and on which side of it the true value is."""
        flaws = self.cell.get("flaws", {})
        flaw = flaws.get(path) or flaws.get(path.rpartition(".")[0])
        if flaw:
            return flaw["verdict"], flaw.get("bound")
        return ("valid" if flaws else self.verdict), None

    def judgement(self, path):
        """How a table judges a figure: nothing if it may be compared, else a mark and the verdict."""
        verdict, bound = self.flaw(path)
        return "" if verdict == "valid" else f"{MARKS[bound]} {verdict}"

    def rank(self, by):
        """Its rank; None if it has none."""
        rank = self.cell.get("ranks", {}).get(by)
        return None if rank is None else float(rank)

    def errors(self):
        """Requests that failed; None if nothing was measured."""
        return float(sum(count for name, count in self.outcomes().items() if name not in NO_ERRORS)) if self.trials else None

    def outcomes(self):
        """How many requests ended how."""
        return {"ok": self.cell["ok"], **self.cell["errors"]}

    def disturbances(self):
        """The trials that others disturbed: the number, what they did, and whether the trial counts. The file says it in words only, and
        the shares that decide: more than 2 % of the window, and more than 40 ms."""
        found = []
        for number, trial in enumerate(self.trials, 1):
            machine = trial["machine"]
            said = [
                f"{use} {share:.0f} % {of}"
                for use, name, of in (
                    ("other programs used", "foreign_on_server_cpus", "of the target's CPUs"),
                    ("other programs used", "foreign_on_client_cpus", "of the load generator's CPUs"),
                    ("the hypervisor gave other machines", "steal", "of a CPU"),
                )
                if (share := 100 * (machine[name] or 0)) > 2 and share / 100 * trial["seconds"] > 0.04
            ]
            if said:
                found.append((number, ", ".join(said), trial))
        whole = [trial for trial in self.trials if not trial["aborted"]]
        may_go = [trial for _, _, trial in found if not trial["aborted"] and not trial.get("gone") and not failures(trial)]
        left = len(whole) - len(may_go)
        is_left_out = lambda trial: left >= 3 and left * 2 >= len(whole) and any(trial is other for other in may_go)
        counts = lambda trial: "no" if is_left_out(trial) or (trial["aborted"] and whole) else "yes"
        return [(str(number), why, counts(trial)) for number, why, trial in found]

    def counted(self):
        """The trials that count: not those that others disturbed, if enough others are left, and those that an interrupt cut short only if there
        are no others."""
        left_out = {number for number, _, counts in self.disturbances() if counts == "no"}
        whole = [trial for trial in self.trials if not trial["aborted"]]
        numbered = enumerate(self.trials, 1)
        return [trial for number, trial in numbered if str(number) not in left_out and not (trial["aborted"] and whole)]

    def around(self, q):
        """The latencies next to a quantile of all trials together, in seconds: one place below it, and one above."""
        counts = collections.Counter()
        for trial in self.counted():
            counts.update(counts_of(trial["latency_histogram"]))
        return [time / 1e9 for time in around(counts, q)]

    def reasons_of(self, paths):
        """Why figures may not be compared or are missing: figure, verdict, reason. paths: of these figures or groups; None means all."""
        is_asked = lambda path: paths is None or path in paths
        flaws = self.cell.get("flaws", {})
        for path, flaw in flaws.items():
            if is_asked(path):
                yield path, flaw["verdict"], flaw["why"]
        if self.trials:
            yield from ((path, "no figure", why) for path, why in self.cell["missing"].items() if is_asked(path))
        if not flaws and self.verdict != "valid":
            yield "all", self.verdict, self.reason

    def series(self):
        """Everything that Prometheus has of the cell: (series, quantile, class, by, verdict, bound) -> value."""
        whole = lambda name, of_class="", by="": (name, "", of_class, by, self.verdict, "")
        made = {whole("verdict"): float(self.verdict_number)}
        if not self.trials:
            return made
        made[whole("trials")] = float(len(self.trials))
        made[whole("requests")] = float(self.cell["requests"])
        made[whole("disturbed_trials")] = float(len(self.disturbances()))
        for name, count in self.outcomes().items():
            series = {"ok": "ok_requests", "aborted_at_end": "aborted_requests"}.get(name)
            made[whole(series) if series else whole("errors", name)] = float(count)
        for path, (series, quantile, _) in FIGURES.items():
            verdict, bound = self.flaw(path)
            ends = {"median": "", "low": "_low", "high": "_high"} if path in WITH_INTERVAL else {"median": ""}
            for end, suffix in ends.items():
                value = self.figure(path, end)
                if value is not None and (end == "median" or self.has_interval(path)):
                    made[(series + suffix, quantile, "", "", verdict, bound or "")] = value
        for by, rank in self.cell.get("ranks", {}).items():
            if rank is not None:
                made[("rank", "", "", by, "valid", "")] = float(rank)
        return made

    def has_interval(self, path):
        """Whether both ends of a figure's interval are there."""
        return self.figure(path, "low") is not None and self.figure(path, "high") is not None


def failures(trial):
    """Requests of a trial that failed."""
    return sum(count for name, count in trial["errors"].items() if name not in NO_ERRORS)


def moment(text):
    """A time of RFC 3339 in UTC, in seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# The kinds of background connections in results.json, and in words.
KINDS = (
    ("idle", "idle connection", None),
    ("slow_senders", "slow sender", None),
    ("slow_readers", "slow reader", "slow_reader_workload"),
    ("resetters", "resetter", None),
    ("busy", "client", "busy_workload"),
)


def beside(background):
    """What a load is beside, in the words of the label."""
    said = []
    for name, kind, workload in KINDS:
        if count := (background or {}).get(name, 0):
            of = f" of {background[workload]}" if workload and background.get(workload) else ""
            said.append(f"{count} {kind}{'s' if count > 1 else ''}{of}")
    return ", ".join(said) or "nothing"


class Run:
    """A run, or a board of claims."""

    def __init__(self, file):
        self.results = json.loads(Path(file).read_text(encoding="utf-8"))
        self.run_id = self.results["run_id"]
        self.started = moment(self.results["started_at"])
        self.all = [Cell(self.run_id, cell) for cell in self.results["cells"]]

    def loads(self):
        """The loads of the run, each once."""
        return [dict(load) for load in dict.fromkeys(tuple(cell.load.items()) for cell in self.all)]

    def trials(self):
        """When the first trial began, and the last one, in seconds since 1970; when the run began, if it has none."""
        began = [moment(trial["began_at"]) for cell in self.all for trial in cell.trials] or [self.started]
        return min(began), max(began)

    def cells(self, load, by=LOAD):
        """The cells whose load has the same of all these."""
        return [cell for cell in self.all if all(cell.load[name] == load[name] for name in by)]

    def verdicts(self):
        """How many cells have which verdict."""
        names = [cell.verdict for cell in self.all]
        return {name: float(names.count(name)) for name in names}

    def figures(self):
        """How many figures the run has, or how many a board has."""
        return sum(len(cell.series()) for cell in self.all) + sum(len(column) for column in self.parts().values())

    def claims(self):
        """The claims of a board: ruling, sentence, and why it cannot be shown, if it cannot."""
        made = {}
        for claim in self.results.get("claims", []):
            deciding = next((part for part in claim["parts"] if part["ruling"] == claim["ruling"]), (claim["parts"] or [{}])[0])
            made[claim["id"]] = (claim["ruling"], claim["says"], deciding.get("why") or claim.get("why") or "")
        return made

    def parts(self):
        """The columns of the parts of all claims: column -> (claim, part, ruling, mark of a bound) -> number."""
        made = {name: {} for name in ("Figure", "from", "to", "at least", "at most")}
        for claim in self.results.get("claims", []):
            for number, part in enumerate(claim["parts"], 1):
                mark = MARKS[part["bound"]] if part.get("bound") else ""
                place = (claim["id"], f"{number}: {part['what']}", part["ruling"], mark)
                least, most = bounds(part["margin"])
                values = (part.get("figure"), part.get("low"), part.get("high"), least, most)
                for column, value in zip(made.values(), values):
                    if value is not None:
                        column[place] = float(value)
        return made


def bounds(margin):
    """The ends of a margin, as {"at-least": 3} or {"within": [0.9, 1.1]}."""
    ((kind, value),) = margin.items()
    alone = {"at-least": (value, None), "more-than": (value, None), "at-most": (None, value)}
    return alone.get(kind) or tuple(value)
