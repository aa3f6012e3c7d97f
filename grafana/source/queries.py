"""Runs a dashboard's queries against a Prometheus, as Grafana does: variables filled in, over a time range."""

import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DASHBOARDS = Path(__file__).resolve().parent.parent / "dashboards"
# Runs older than this are not looked for, in seconds: as long as the dashboards look back.
OLDEST = 30 * 24 * 3600
# The datasource's timeInterval, in seconds.
SCRAPE = 1
LABEL_VALUES = re.compile(r"label_values\((.+), *(\w+)\)$")
QUERY_RESULT = re.compile(r"query_result\((.+)\)$")


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


def span(program, prometheus):
    """The time range of all runs and boards: from, to, in seconds. Ends the program with 2 if Prometheus cannot be asked, or has none."""
    now = time.time()
    problem = "it has no load test of the last 30 days: run one first"
    try:
        data = prometheus.get("query", query=f'{{__name__=~"loadtest_info|lab_claim"}}[{OLDEST}s]', time=now)
        if starts := [float(series["values"][0][0]) for series in data["result"]]:
            return math.floor(min(starts)) - 1, now
    except (OSError, ValueError) as error:
        problem = error
    print(f"{program}: {prometheus.url}: {problem}", file=sys.stderr)
    sys.exit(2)


def fill(text, chosen, seconds):
    """The text with all variables replaced, as Grafana does it."""
    step, now = max(1, round(seconds / 1000)), round(time.time())
    values = {
        "__range": f"{seconds}s",
        "__range_s": str(seconds),
        "__from": str(1000 * (now - seconds)),
        "__to": str(1000 * now),
        "__interval": f"{step}s",
        "__rate_interval": f"{max(step + SCRAPE, 4 * SCRAPE)}s",
        **chosen,
    }
    return re.sub(r"\$\{?([a-z_]\w*)\}?", lambda found: values[found[1]], text)  # $1 is label_replace's


def in_order(values, sort):
    """A variable's values as Grafana sorts them: 0 as they come, 1 and 2 by letters, 3 and 4 by number."""
    if not sort:
        return values
    number = lambda value: float(re.sub(r"\D", "", value) or "inf")
    return sorted(values, key=number if sort in (3, 4) else str, reverse=sort % 2 == 0)


def options(prometheus, variable, chosen, begin, end):
    """All values that a variable offers."""
    query = fill(variable["query"]["query"], chosen, round(end - begin))
    if asked := QUERY_RESULT.match(query):
        data = prometheus.get("query", query=asked[1], time=end)
        if data["resultType"] == "scalar":
            return [value for value in data["result"][1:] if value != "NaN"]
        return in_order([series["metric"]["name"] for series in data["result"]], variable["sort"])
    metric, label = LABEL_VALUES.match(query).groups()
    values = prometheus.get(f"label/{label}/values", **{"match[]": metric}, start=begin, end=end)
    return in_order(values, variable["sort"])


def choices(prometheus, variables, begin, end, chosen=None):
    """What a reader can choose, one value of each variable, and of those that take several both all and each of them. Yields dicts, or a fault."""
    chosen = chosen or {}
    if not variables:
        yield chosen
        return
    variable, *rest = variables
    values = options(prometheus, variable, chosen, begin, end)
    if not values:
        yield f"variable {variable['name']} with {chosen}: no values"
        return
    name = variable["name"]
    listed = "|".join(map(re.escape, values)).replace("\\", "\\\\")
    for pick in [variable["allValue"], listed] if variable["multi"] else values:
        yield from choices(prometheus, rest, begin, end, {**chosen, name: pick})


def series_of(prometheus, query, expr, begin, end):
    """The series of a query: labels and numbers of each; of a native histogram, its counts."""
    if query.get("instant"):
        data = prometheus.get("query", query=expr, time=end)
        return [(series["metric"], [number_of(series.get("value") or series["histogram"])]) for series in data["result"]]
    step = max(1, round((end - begin) / 1000))
    data = prometheus.get("query_range", query=expr, start=begin, end=end, step=step)
    points = lambda series: series.get("values", []) + series.get("histograms", [])
    return [(series["metric"], [number_of(point) for point in points(series)]) for series in data["result"]]


def number_of(point):
    """The number of a point, which is its time and a value."""
    return point[1]["count"] if isinstance(point[1], dict) else point[1]
