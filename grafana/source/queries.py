"""Runs a dashboard's queries against a Prometheus, as Grafana does: variables filled in, over a time range."""

import json
import math
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DASHBOARDS = Path(__file__).resolve().parent.parent / "dashboards"
# Runs older than this are not looked for, in seconds.
OLDEST = 24 * 3600
# The datasource's timeInterval, in seconds.
SCRAPE = 1
LABEL_VALUES = re.compile(r"label_values\((.+), *(\w+)\)$")


class Prometheus:
    """Its query API."""

    def __init__(self, url):
        self.url = url.rstrip("/")
        self.asked = 0

    def get(self, path, **parameters):
        """The data of an answer."""
        self.asked += 1
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", error)) from error


def span(prometheus):
    """The time range of all runs: from, to, in seconds."""
    now = time.time()
    data = prometheus.get("query", query=f"loadtest_info[{OLDEST}s]", time=now)
    starts = [float(series["values"][0][0]) for series in data["result"]]
    return (math.floor(min(starts)) - 1, now) if starts else None


def fill(text, chosen, seconds):
    """The text with all variables replaced, as Grafana does it."""
    step = max(1, round(seconds / 1000))
    values = {
        "__range": f"{seconds}s",
        "__range_s": str(seconds),
        "__interval": f"{step}s",
        "__rate_interval": f"{max(step + SCRAPE, 4 * SCRAPE)}s",
        **chosen,
    }
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], text)


def in_order(values, sort):
    """A variable's values as Grafana sorts them: 0 as they come, 1 and 2 by letters, 3 and 4 by number."""
    if not sort:
        return values
    number = lambda value: float(re.sub(r"\D", "", value) or "inf")
    return sorted(values, key=number if sort in (3, 4) else str, reverse=sort % 2 == 0)


def options(prometheus, variable, chosen, begin, end):
    """All values that a variable offers."""
    if variable["type"] != "query":
        return [option["value"] for option in variable["options"]]
    query = fill(variable["query"]["query"], chosen, round(end - begin))
    metric, label = LABEL_VALUES.match(query).groups()
    values = prometheus.get(f"label/{label}/values", **{"match[]": metric}, start=begin, end=end)
    return in_order(values, variable.get("sort", 0))


def choices(prometheus, variables, begin, end, chosen=None, given=None):
    """What a reader can choose: each run, and for the rest what is given or what Grafana shows first. Yields dicts, or a
    fault."""
    chosen, given = chosen or {}, given or {}
    if not variables:
        yield chosen
        return
    variable, *rest = variables
    values = options(prometheus, variable, chosen, begin, end)
    if not values:
        yield f"variable {variable['name']} with {chosen}: no values"
        return
    name = variable["name"]
    if name in given:
        if given[name] not in values:
            yield f"{name} {given[name]} is not there; there is {', '.join(values)}"
            return
        picks = [given[name]]
    elif variable["type"] == "custom":
        picks = [f"({'|'.join(values)})"]
    elif variable["multi"]:
        picks = [variable["allValue"], "|".join(map(re.escape, values)).replace("\\", "\\\\")]
    else:
        picks = values
    for pick in picks if name in ("run", "model") else picks[:1]:
        yield from choices(prometheus, rest, begin, end, {**chosen, name: pick}, given)


def series_of(prometheus, query, expr, begin, end):
    """The series of a query: labels and numbers of each."""
    if query.get("instant"):
        data = prometheus.get("query", query=expr, time=end)
        return [(series["metric"], [series["value"][1]]) for series in data["result"]]
    step = max(1, round((end - begin) / 1000))
    data = prometheus.get("query_range", query=expr, start=begin, end=end, step=step)
    return [(series["metric"], [value for _, value in series["values"]]) for series in data["result"]]
