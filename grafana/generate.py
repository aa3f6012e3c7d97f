#!/usr/bin/env python3
"""Writes the dashboards: generate.py. With --check it only says whether they are up to date.

Needs Python 3.9 and nothing else. What it writes is committed, for Grafana reads the files and not this.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from source.live import live
from source.model import model
from source.overview import overview
from source.resources import resources
from source.sweep import sweep

FOLDER = Path(__file__).resolve().parent / "dashboards"


def main():
    stale = []
    for make in (overview, live, resources, sweep, model):
        file = FOLDER / f"{make.__name__}.json"
        content = json.dumps(make(), indent=2, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv[1:]:
            file.write_text(content, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != content:
            stale.append(file.name)
    if stale:
        sys.exit(f"{', '.join(stale)}: not what generate.py makes; change generate.py, and run it")


if __name__ == "__main__":
    main()
