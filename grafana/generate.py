#!/usr/bin/env python3
"""Writes the dashboards: generate.py. With --check it only says whether they are up to date.

Needs Python 3.9 and nothing else. What it writes is committed, for Grafana reads the files and not this.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from source.history import history
from source.lecture import lecture
from source.live import live
from source.model import model
from source.overview import overview
from source.rates import rates
from source.resources import resources
from source.sweep import sweep

FOLDER = Path(__file__).resolve().parent / "dashboards"
# The longest line of JSON that is not broken.
WIDTH = 140


def written(value, indent=""):
    """A value as JSON: what fits stands on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, (dict, list)):
        return line
    deeper = indent + "  "
    if isinstance(value, list):
        parts, ends = [written(part, deeper) for part in value], "[]"
    else:
        parts, ends = [f"{json.dumps(name)}: {written(part, deeper)}" for name, part in value.items()], "{}"
    inner = ",\n".join(deeper + part for part in parts)
    return f"{ends[0]}\n{inner}\n{indent}{ends[1]}"


def main():
    stale = []
    for make in (overview, live, resources, sweep, rates, history, model, lecture):
        file = FOLDER / f"{make.__name__}.json"
        content = written(make()) + "\n"
        if "--check" not in sys.argv[1:]:
            file.write_text(content, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != content:
            stale.append(file.name)
    if stale:
        sys.exit(f"{', '.join(stale)}: not what generate.py makes; change generate.py, and run it")


if __name__ == "__main__":
    main()
