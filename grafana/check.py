#!/usr/bin/env python3
"""Checks the dashboards and their provisioning against Grafana's rules, without a Grafana: check.py [--venv DIR]

Needs Python 3.9. With --venv, each file is also read by Grafana's own typed models, grafana-foundation-sdk, which pip
puts into a virtual environment at DIR; where pip cannot get it, that is said, and is no failure.
"""

import argparse
import json
import re
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The last version of classic dashboards: DASHBOARD_SCHEMA_VERSION of Grafana's DashboardMigrator.ts.
SCHEMA = 42
# By its uid, and not by a variable: there is one Prometheus here, provisioning/ gives it this uid, and a variable would be one more thing to
# choose wrongly. In a Grafana of your own, give your data source the same uid.
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
SDK = "grafana-foundation-sdk==1769699241"  # made for what came after Grafana 12; older ones name their Grafana: 1769699379!11.6.0
# Grafana's units, as far as they are about software: packages/grafana-data/src/valueFormats/categories.ts
UNITS = set(
    """none string short sishort percent percentunit locale sci
    bits bytes kbytes mbytes gbytes decbytes deckbytes decmbytes decgbytes
    pps binbps bps binBps Bps KiBs KBs MiBs MBs
    hertz ns µs ms s m h d dtdurationms dtdurations dthms dtdhms clockms clocks
    cps ops reqps rps wps iops eps mps recps cpm opm dateTimeAsIso""".split()
)
# Grafana gives these to every dashboard. $__rate_interval and its like begin with two underscores.
GLOBAL = {"timeFilter", "interval"}
VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))|\[\[(\w+)\]\]")
# Prometheus' own fields of an annotation, which the typed models do not know.
UNTYPED = {"step", "tagKeys", "titleFormat", "textFormat", "useValueForTime"}


def variables_in(value):
    """Names of the variables that a JSON value mentions anywhere."""
    if isinstance(value, str):
        return {next(filter(None, found)) for found in VARIABLE.findall(value)}
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(variables_in, parts))


def unknown_variables(value, names):
    """What is used and not there. ($1 is label_replace's.)"""
    is_known = lambda name: name in names | GLOBAL or name.startswith("__") or name.isdigit()
    return sorted(name for name in variables_in(value) if not is_known(name))


def links_in(value):
    """All links from a panel's data."""
    if isinstance(value, dict):
        yield from (value["links"] if isinstance(value.get("links"), list) else [])
        if value.get("id") == "links":
            yield from value["value"]
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from links_in(part)


def link_faults(url, choices):
    """What is wrong with a link to another dashboard: it has to be there, and to have the variables that the link sets. choices: the
    variables of each dashboard."""
    found = re.match(r"/d/([\w-]+)\?", url)
    if not found:
        if not url.startswith("http://localhost:8000/"):
            yield f"{url} leads to no dashboard, and to no report"
        return
    there = choices.get(found[1])
    if there is None:
        yield f"{url} leads to a dashboard that is not there"
        return
    for name in re.findall(r"[?&]var-(\w+)=|&\$\{(\w+):queryparam\}", url):
        if (name[0] or name[1]) not in there:
            yield f"{url} sets {name[0] or name[1]}, which is no variable of {found[1]}"


def units_in(panel):
    """All units that a panel sets."""
    fields = panel.get("fieldConfig", {})
    properties = [it for override in fields.get("overrides", []) for it in override["properties"]]
    return [fields.get("defaults", {}).get("unit")] + [it["value"] for it in properties if it["id"] == "unit"]


def overlap(a, b):
    """Whether two places on the grid share a cell."""
    return a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


def panel_faults(panel, names, choices):
    """What is wrong with one panel. names: the variables of its dashboard; choices: those of each dashboard."""
    if not panel.get("title"):
        yield "no title"
    if panel["type"] == "row":
        return
    if len(panel.get("description", "")) < 20:
        yield "no description that says how to read it"
    if unknown := unknown_variables(panel, names):
        yield f"uses ${', $'.join(unknown)}, which is no variable of the dashboard"
    if panel["type"] == "text":
        return
    for link in links_in(panel):
        yield from link_faults(link["url"], choices)
    if panel.get("datasource") != DATASOURCE:
        yield f"datasource {panel.get('datasource')} instead of {DATASOURCE}"
    for unit in units_in(panel):
        if unit not in UNITS:
            yield f"unit {unit!r} is not in Grafana's list"
    refs = [query.get("refId") for query in panel.get("targets", [])]
    if not refs or len(set(refs)) < len(refs):
        yield f"queries {refs} are none, or not told apart"
    for query in panel.get("targets", []):
        if query.get("datasource") != DATASOURCE:
            yield f"query {query['refId']} has datasource {query.get('datasource')}"
        if "loadtest_run_" in query["expr"] and "last_over_time" not in query["expr"]:
            yield f"query {query['refId']} would lose a result after five minutes: use last_over_time"
        # A query that gives no numbers needs no order.
        if panel["type"] == "bargauge" and not re.match(r"sort(_desc)?\(|NaN \*", query["expr"]):
            yield f"query {query['refId']} of a bar gauge is not sorted"


def faults(file, dashboard, choices):
    """What is wrong with one dashboard."""
    if dashboard.get("schemaVersion") != SCHEMA:
        yield f"schemaVersion {dashboard.get('schemaVersion')} instead of {SCHEMA}"
    if dashboard.get("uid") != file.stem:
        yield f"uid {dashboard.get('uid')!r} is not the file's name"
    for name in ("title", "description", "refresh", "tags"):
        if not dashboard.get(name):
            yield f"no {name}"
    if dashboard.get("id") is not None:
        yield "has an id: Grafana gives it"
    variables = dashboard["templating"]["list"]
    names = {variable["name"] for variable in variables}
    if len(names) < len(variables):
        yield "two variables have one name"
    for number, variable in enumerate(variables):
        before = {earlier["name"] for earlier in variables[:number]}
        if unknown := unknown_variables(variable.get("query"), before):
            yield f"variable {variable['name']}: uses ${', $'.join(unknown)}, which is not defined before it"
        if not variable.get("label") or not variable.get("description"):
            yield f"variable {variable['name']}: no label or description"
        if variable["type"] == "query" and variable.get("datasource") != DATASOURCE:
            yield f"variable {variable['name']}: datasource {variable.get('datasource')}"
    annotations = [it for it in dashboard["annotations"]["list"] if not it.get("builtIn")]
    if not any(re.search("loadtest_running|lab_lecture_running", it.get("expr", "")) for it in annotations):
        yield "no annotation shows the runs"
    for annotation in annotations:
        if annotation.get("datasource") != DATASOURCE:
            yield f"annotation {annotation['name']}: datasource {annotation.get('datasource')}"
    panels = dashboard["panels"]
    if not any(panel["type"] == "text" for panel in panels):
        yield "no text panel tells how to read it"
    ids = [panel.get("id") for panel in panels]
    if None in ids or len(set(ids)) < len(ids):
        yield f"panel ids are missing or not unique: {ids}"
    for number, panel in enumerate(panels):
        where, title = panel["gridPos"], panel.get("title") or f"panel {panel.get('id')}"
        if min(where["x"], where["y"], where["w"] - 1, where["h"] - 1) < 0 or where["x"] + where["w"] > 24:
            yield f"{title}: {where} is not on the grid of 24 columns"
        for other in panels[:number]:
            if overlap(where, other["gridPos"]):
                yield f"{title}: overlaps {other.get('title')}"
        for fault in panel_faults(panel, names, choices):
            yield f"{title}: {fault}"


def provisioning_faults():
    """What is wrong with the files that tell Grafana of all this."""
    expected = {
        "datasources/prometheus.yaml": ["uid: prometheus", "type: prometheus", "url: http://prometheus:9090"],
        "dashboards/lab.yaml": ["type: file", "allowUiUpdates: false", "path: /etc/grafana/dashboards"],
    }
    for name, wanted in expected.items():
        lines = [line.strip() for line in (HERE / "provisioning" / name).read_text(encoding="utf-8").splitlines()]
        for line in wanted:
            if line not in lines:
                yield f"provisioning/{name}: no line '{line}'"


def rule_faults():
    """Prometheus has no alerts and no recording rules, on purpose: grafana/README.md. Rules would need tests of their own."""
    text = (HERE.parent / "prometheus/prometheus.yml").read_text(encoding="utf-8")
    for section in ("rule_files", "alerting"):
        if re.search(rf"^{section}:", text, re.MULTILINE):
            yield f"prometheus/prometheus.yml has {section}: test them with promtool, and say so in grafana/README.md"


def lost(ours, theirs, path=""):
    """Where a value of ours did not survive the typed models: a name that Grafana does not know, or a wrong type."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key not in theirs:
                if key not in UNTYPED and value not in (None, [], {}):
                    yield f"{path}.{key}"
            else:
                yield from lost(value, theirs[key], f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (mine, other) in enumerate(zip(ours, theirs)):
            yield from lost(mine, other, f"{path}[{number}]")
    elif ours != theirs:
        yield f"{path}: {ours!r} became {theirs!r}"


def typed_faults(files):
    """What Grafana's typed models make of each file. Runs where they are installed."""
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import dashboard, units

    plugins.register_default_plugins()
    known = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
    yield from (f"unit {unit} is not in Grafana's list" for unit in sorted(UNITS - known))
    for file in files:
        ours = json.loads(file.read_text(encoding="utf-8"))
        theirs = json.loads(JSONEncoder().encode(dashboard.Dashboard.from_json(ours)))
        yield from (f"{file.name}{where}: not in Grafana's typed models" for where in lost(ours, theirs))


def typed_in(folder):
    """Runs this again in a virtual environment that has the typed models. Answers with an exit code."""
    python = folder / "bin" / "python3"
    if not python.exists():
        venv.create(folder, with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SDK]
    got = subprocess.run(install, capture_output=True, text=True, check=False)
    if got.returncode:
        print(f"skipped: typed models, for pip cannot get {SDK}: {got.stderr.strip().splitlines()[-1:]}")
        return 0
    return subprocess.run([python, __file__, "--typed"], check=False).returncode


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--venv", type=Path, help="where the typed models are, or are to be put")
    arguments.add_argument("--typed", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    files = sorted((HERE / "dashboards").glob("*.json"))
    if chosen.typed:
        found = list(typed_faults(files))
    else:
        all_of_them = {file: json.loads(file.read_text("utf-8")) for file in files}
        choices = {file.stem: {it["name"] for it in made["templating"]["list"]} for file, made in all_of_them.items()}
        found = [f"{file.name}: {fault}" for file, made in all_of_them.items() for fault in faults(file, made, choices)]
        found += [*provisioning_faults(), *rule_faults()]
        made = subprocess.run([sys.executable, HERE / "generate.py", "--check"], capture_output=True, text=True, check=False)
        found += made.stderr.splitlines()[-1:] if made.returncode else []
    for fault in found:
        print(fault)
    kind = "Grafana's typed models" if chosen.typed else "the rules"
    print(f"{len(files)} dashboards, {len(found)} faults by {kind}")
    code = 1 if found or not files else 0
    if chosen.venv and not chosen.typed:
        code = typed_in(chosen.venv) or code
    return code


if __name__ == "__main__":
    sys.exit(main())
