#!/usr/bin/env python3
"""Draws the bar gauges of the overview as an SVG: picture.py URL FILE [--run ID] [--workload PATH] ...

From the very queries of dashboards/overview.json against the Prometheus at URL; not a screenshot, and it says so.
Without a choice: the newest run, and what Grafana would show first of each variable. Needs Python 3.9.
"""

import argparse
import json
import sys
from html import escape

sys.dont_write_bytecode = True
from source.panels import GREYS, GUESTS
from source.queries import DASHBOARDS, Prometheus, choices, fill, series_of, span

# The variables of the overview that choose a load, each with a flag of its own.
CHOICES = ("run", "workload", "schedule", "beside", "concurrency", "requests_per_connection")
WIDTH, PANEL, BAR, NAMES, MARGIN = 960, 470, 24, 190, 12
COLOURS = ["#3871dc", "#e0752d", "#3f6833", "#8f3bb8", "#c4162a", "#fade2a", "#37872d", "#5794f2"]
SCALES = {
    "reqps": [(1, " req/s", 1)],
    "s": [(1, " s", 1), (1e-3, " ms", 1e3), (1e-6, " µs", 1e6)],
    "bytes": [(2**30, " GiB", 2**-30), (2**20, " MiB", 2**-20), (2**10, " KiB", 2**-10)],
}


def written(number, unit):
    """A number with its unit, in three digits where it has fractions."""
    _, name, factor = next((scale for scale in SCALES[unit] if number >= scale[0]), SCALES[unit][-1])
    number *= factor
    return f"{number:,.0f}{name}" if number >= 100 else f"{number:.3g}{name}"


def text(x, y, words, size=13, **more):
    """An SVG text."""
    attributes = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in more.items())
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}"{attributes}>{escape(words)}</text>'


def draw(panel, series, left, top, colours):
    """One bar gauge."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    yield text(left, top + 16, panel["title"], 14, font_weight="bold")
    most = max(float(values[0]) for _, values in series)
    for number, (labels, values) in enumerate(series):
        value, y = float(values[0]), top + 28 + number * BAR
        name = labels["target"] + ("" if labels["verdict"] == "valid" else f" ({labels['verdict']})")
        room = PANEL - NAMES - 90
        yield text(left + NAMES - 8, y + 14, name, text_anchor="end")
        is_guest = labels["target"] in GUESTS
        ours = None if is_guest else colours.setdefault(labels["target"], COLOURS[len(colours) % len(COLOURS)])
        colour = ours or GREYS["fixedColor"]
        length = max(1, room * value / most)
        yield f'<rect x="{left + NAMES}" y="{y}" width="{length:.1f}" height="{BAR - 5}" fill="{colour}" rx="2"/>'
        yield text(left + NAMES + length + 6, y + 14, written(value, unit))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("url")
    arguments.add_argument("file")
    for name in CHOICES:
        arguments.add_argument(f"--{name}")
    asked = arguments.parse_args()
    prometheus = Prometheus(asked.url)
    begin_end = span(prometheus)
    if not begin_end:
        sys.exit(f"picture.py: {asked.url} has no load test of the last day: run one first")
    overview = json.loads((DASHBOARDS / "overview.json").read_text(encoding="utf-8"))
    given = {name: value for name in CHOICES if (value := getattr(asked, name))}
    values = next(choices(prometheus, overview["templating"]["list"], *begin_end, given=given))
    if isinstance(values, str):
        sys.exit(f"picture.py: {values}")
    values["verdict"] = "valid"
    begin, end = begin_end
    parts, colours, top, heights = [], {}, 70, [0]
    panels = [panel for panel in overview["panels"] if panel["type"] == "bargauge"]
    for number, panel in enumerate(panels):
        query = panel["targets"][0]
        expr = fill(query["expr"], values, round(end - begin))
        series = series_of(prometheus, query, expr, begin, end)
        if number % 2 == 0:
            top, heights = top + max(heights), []
        left = MARGIN + number % 2 * (WIDTH // 2)
        if series:
            parts += draw(panel, series, left, top, colours)
        heights.append(48 + BAR * len(series))
    height = top + max(heights) + 10
    load = f"{values['workload']}, {values['concurrency']} connections, {values['schedule']}, beside {values['beside']}"
    title = f"{load}, run {values['run']}"
    caption = "Drawn from the queries of the Grafana dashboard “Overview” (grafana/picture.py); not a screenshot."
    head = [text(MARGIN, 30, title, 18, font_weight="bold"), text(MARGIN, 50, caption, 12, fill="#666")]
    style = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"'
    background = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    with open(asked.file, "w", encoding="utf-8") as file:
        file.write("\n".join([f"<svg {style}>", background, *head, *parts, "</svg>", ""]))


if __name__ == "__main__":
    main()
