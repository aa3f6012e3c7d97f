"""Building blocks of the dashboards: everything that is the same on all of them is said here, once.

Classic dashboard JSON (v1), which file provisioning takes; https://grafana.com/docs/grafana/latest/visualizations/
"""

import re

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS = 24
# A model has the same colour wherever it is, for the colour follows from its name. Guests are grey.
BY_NAME = {"mode": "palette-classic-by-name"}
GREYS = {"mode": "shades", "fixedColor": "#8e8e8e"}
# The folders in guests/; containers/check compares them.
GUESTS = ["nginx", "nginx-aio", "lighttpd", "lighttpd-poll", "apache-prefork", "apache-worker", "apache-event", "node", "express", "busybox", "hyper"]
# The panels with a line, bar or curve for each target: its name is first in theirs, as in "nginx q0.99".
OF_TARGETS = ("bargauge", "timeseries", "xychart")
# Metrics that our code counts for its models, and that a guest therefore lacks.
OF_MODELS = re.compile("http_server_|server_syscalls_")
PLAIN = {"mode": "absolute", "steps": [{"color": "blue", "value": None}]}
# In the order of their numbers in loadtest_run_verdict.
VERDICTS = {"valid": "green", "client-limited": "orange", "errors": "red", "unsupported": "text", "unstable": "yellow", "starved": "purple", "disturbed": "blue", "undercounted": "light-yellow", "not-cold": "light-red"}
# Those that a figure can have.
OF_FIGURES = [name for name in VERDICTS if name != "unsupported"]


def target(expr, legend="", kind="range", ref="A"):
    """One query. kind: range (over time), instant (now), table (now, a column for each label), heatmap."""
    instant = kind in ("instant", "table")
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": " ".join(expr.split()),
        "format": {"table": "table", "heatmap": "heatmap"}.get(kind, "time_series"),
        "instant": instant,
        "legendFormat": legend or "__auto",
        "range": not instant,
        "refId": ref,
    }


def targets(*queries, kind="range"):
    """Queries as (expression, legend) or expressions alone."""
    pairs = [(query, "") if isinstance(query, str) else query for query in queries]
    return [target(expr, legend, kind, chr(ord("A") + n)) for n, (expr, legend) in enumerate(pairs)]


def panel(kind, title, description, width, height, queries=(), unit="none", options=None, custom=None, **defaults):
    """Any panel; its id and place come later. What is given besides goes into the defaults of its fields."""
    made = {
        "type": kind,
        "title": title,
        "description": " ".join(description.split()),
        "gridPos": {"h": height, "w": width, "x": 0, "y": 0},
        "options": options or {},
    }
    if kind != "text":
        fields = {"color": BY_NAME, "mappings": [], "thresholds": PLAIN, "unit": unit, "custom": custom or {}, **defaults}
        if queries and all(OF_MODELS.search(query["expr"]) for query in queries):
            fields.setdefault("noValue", "No data. Only models count this, not guests.")
        made |= {"datasource": DATASOURCE, "targets": list(queries), "fieldConfig": {"defaults": fields, "overrides": []}}
        if kind in OF_TARGETS:
            matcher = {"id": "byRegexp", "options": f"/^({'|'.join(GUESTS)})( .*)?$/"}
            made["fieldConfig"]["overrides"].append({"matcher": matcher, "properties": [{"id": "color", "value": GREYS}]})
    return made


def text(title, description, width, height, markdown):
    """Words."""
    content = "\n".join(line.strip() for line in markdown.strip().splitlines())
    return panel("text", title, description, width, height, options={"mode": "markdown", "content": content})


LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def bars(title, description, expr, unit, lowest_first=True, legend="{{target}} ({{verdict}})", width=12, height=11):
    """A bar for each target, the best one on top."""
    sort = "sort" if lowest_first else "sort_desc"
    options = {
        "displayMode": "basic",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "maxVizHeight": 40,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "left",
        "orientation": "horizontal",
        "reduceOptions": LAST,
        "showUnfilled": True,
        "sizing": "manual",
        "valueMode": "text",
    }
    queries = targets((f"{sort}({expr})", legend), kind="instant")
    nothing = "no such cell: see the table of results, and the choices above"
    return panel("bargauge", title, description, width, height, queries, unit, options, min=0, noValue=nothing)


def parts(title, description, queries, unit, stacked, width=12, height=11):
    """A bar for each part of a figure, side by side or stacked, for each target. queries: name of the part -> expression."""
    custom = {
        "axisPlacement": "auto",
        "fillOpacity": 80,
        "lineWidth": 1,
        "scaleDistribution": {"type": "linear"},
    }
    options = {
        "barWidth": 0.8,
        "groupWidth": 0.7,
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "orientation": "horizontal",
        "showValue": "auto",
        "stacking": "normal" if stacked else "none",
        "tooltip": {"mode": "multi", "sort": "none"},
        "xField": "target",
        "xTickLabelSpacing": 0,
    }
    # One query, so that a part that is absent everywhere cannot change the names of the others.
    expr = " or ".join(f'label_replace({expr}, "part", "{name}", "", "")' for name, expr in queries.items())
    made = panel("barchart", title, description, width, height, targets(expr, kind="table"), unit, options, custom, min=0)
    corner = "target\\part"
    made["transformations"] = [
        {"id": "groupingToMatrix", "options": {"columnField": "part", "emptyValue": "null", "rowField": "target", "valueField": "Value"}},
        {"id": "organize", "options": {"excludeByName": {}, "indexByName": {}, "renameByName": {corner: "target"}}},
    ]
    return made


def stat(title, description, expr, legend, width, height, unit="none"):
    """Big numbers, one for each series."""
    options = {
        "colorMode": "background_solid",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": LAST,
        "showPercentChange": False,
        "textMode": "value_and_name",
        "wideLayout": True,
    }
    return panel("stat", title, description, width, height, targets((expr, legend), kind="instant"), unit, options)


def lines(title, description, queries, unit, width=12, height=8, log=False, **defaults):
    """Lines over time."""
    custom = {
        "axisPlacement": "auto",
        "drawStyle": "line",
        "fillOpacity": 8,
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "pointSize": 4,
        "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "none"},
        "thresholdsStyle": {"mode": "off"},
    }
    options = {
        "legend": {"calcs": ["mean", "max"], "displayMode": "table", "placement": "right", "showLegend": True},
        "tooltip": {"hideZeros": True, "mode": "multi", "sort": "desc"},
    }
    made = panel("timeseries", title, description, width, height, targets(*queries), unit, options, custom, **defaults)
    if not log:
        made["fieldConfig"]["defaults"].setdefault("min", 0)
    return made


def curves(title, description, queries, x, unit, legend, log=True, width=12, height=11):
    """Figures over a number that is a label: a curve for each value of the label `legend`. queries: instant ones."""
    custom = {
        "axisPlacement": "auto",
        "fillOpacity": 50,
        "lineStyle": {"fill": "solid"},
        "lineWidth": 2,
        "pointShape": "circle",
        "pointSize": {"fixed": 6},
        "pointStrokeWidth": 1,
        "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
        "show": "points+lines",
    }
    options = {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "mapping": "manual",
        "series": [
            {
                "frame": {"matcher": {"id": "byIndex", "options": 0}},
                "x": {"matcher": {"id": "byName", "options": x}},
                "y": {"matcher": {"id": "byRegexp", "options": f"/^(?!{x}$|Time$).+/"}},
            }
        ],
        "tooltip": {"mode": "single", "sort": "none"},
    }
    made = panel("xychart", title, description, width, height, targets(*queries, kind="table"), unit, options, custom)
    made["transformations"] = [
        {"id": "convertFieldType", "options": {"conversions": [{"destinationType": "number", "targetField": x}], "fields": {}}},
        {"id": "groupingToMatrix", "options": {"columnField": legend, "emptyValue": "null", "rowField": x, "valueField": "Value"}},
        {"id": "convertFieldType",
         "options": {"conversions": [{"destinationType": "number", "targetField": f"{x}\\{legend}"}], "fields": {}}},
        {"id": "organize", "options": {"excludeByName": {}, "indexByName": {}, "renameByName": {f"{x}\\{legend}": x}}},
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"desc": False, "field": x}]}},
    ]
    return made


def heatmap(title, description, expr, unit, width=24, height=9):
    """Where the counts of a histogram lie, over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": False, "scale": "exponential", "scheme": "Oranges", "steps": 64},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    custom = {
        "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        "scaleDistribution": {"type": "linear"},
    }
    queries = [target(expr, "{{le}}", "heatmap")]
    return panel("heatmap", title, description, width, height, queries, unit, options, custom)


def table(title, description, columns, hidden=(), width=24, height=12, sort=None):
    """A row for each combination of labels. columns: name -> (expression or label, unit or None for a label)."""
    queries = [expr for expr, unit in columns.values() if unit]
    renamed, order = {}, {}
    for name, (source, unit) in columns.items():
        field = f"Value #{chr(ord('A') + queries.index(source))}" if unit else source
        renamed[field] = name
        order[field] = len(order)
    if len(queries) == 1:
        renamed = {key.replace("Value #A", "Value"): name for key, name in renamed.items()}
        order = {key.replace("Value #A", "Value"): place for key, place in order.items()}
    options = {
        "cellHeight": "sm",
        "footer": {"countRows": False, "enablePagination": False, "fields": "", "reducer": ["sum"], "show": False},
        "frameIndex": 0,
        "showHeader": True,
        "sortBy": [{"desc": False, "displayName": sort or next(iter(columns))}],
    }
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False}
    made = panel("table", title, description, width, height, targets(*queries, kind="table"), "none", options, custom)
    made["fieldConfig"]["defaults"]["color"] = {"mode": "thresholds"}
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {name: True for name in ("Time", *hidden)},
                "includeByName": {},
                "indexByName": order,
                "renameByName": renamed,
            },
        },
    ]
    for name, (_, unit) in columns.items():
        if unit and unit != "none":
            override(made, name, {"id": "unit", "value": unit})
    return made


def override(made, name, *properties):
    """Properties of the field of that name alone."""
    matcher = {"id": "byName", "options": name}
    made["fieldConfig"]["overrides"].append({"matcher": matcher, "properties": list(properties)})


def row(title):
    """A headline."""
    grid = {"h": 1, "w": COLUMNS, "x": 0, "y": 0}
    return {"type": "row", "title": title, "gridPos": grid, "collapsed": False, "panels": []}


def place(panels):
    """Gives each panel its id and place: from left to right, and a new line where one does not fit any more."""
    x = y = tallest = 0
    for number, made in enumerate(panels, 1):
        grid = made["gridPos"]
        if x + grid["w"] > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        grid |= {"x": x, "y": y}
        made["id"] = number
        x, tallest = x + grid["w"], max(tallest, grid["h"])
    return panels


ALPHABETICAL, NEWEST, LARGEST = 1, 2, 4


def variable(name, label, description, metric, of, sort=ALPHABETICAL, multi=False):
    """A choice among the values of a label of a metric. multi: several, and all of them unless told otherwise."""
    query = f"label_values({metric}, {of})"
    made = {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,  # whenever the time range is another one
        "sort": sort,
        "hide": 0,
        "includeAll": multi,
        "multi": multi,
        "options": [],
        "regex": "",
        "skipUrlSync": False,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if multi else {},
    }
    return made | ({"allValue": ".+"} if multi else {})


def choice(name, label, description, values, chosen):
    """A choice among fixed values, of which several may be chosen."""
    option = lambda value: {"selected": value in chosen, "text": value, "value": value}
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "description": description,
        "query": ",".join(values),
        "options": [option(value) for value in values],
        "current": {"selected": True, "text": list(chosen), "value": list(chosen)},
        "hide": 0,
        "includeAll": False,
        "multi": True,
        "skipUrlSync": False,
    }


def annotation(name, colour, expr, title, words, enable=True):
    """Marks on the time axis: a region for each series, as long as its value is above zero."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": enable,
        "hide": False,
        "iconColor": colour,
        "expr": expr,
        "step": "1s",
        "tagKeys": "run_id",
        "titleFormat": title,
        "textFormat": words,
        "useValueForTime": False,
    }


RUNS = annotation("Runs", "blue", "max by (run_id) (loadtest_running)", "Run {{run_id}}", "A load test ran.")
CELLS = annotation(
    "Cells",
    "semi-dark-purple",
    "max by (run_id, target, workload, schedule, beside, concurrency) (loadtest_connections)",
    "{{target}} {{workload}}",
    "{{concurrency}} connections, {{schedule}}, beside {{beside}}",
    enable=False,
)


def dashboard(uid, title, description, since, refresh, variables, annotations, panels):
    """A whole dashboard."""
    built_in = {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }
    link = {
        "asDropdown": False,
        "icon": "external link",
        "includeVars": False,
        "keepTime": False,
        "tags": ["io-models-lab"],
        "targetBlank": False,
        "title": "",
        "tooltip": "",
        "type": "dashboards",
        "url": "",
    }
    # The container `pages`, which links back.
    reports = {**link, "tags": [], "title": "Reports", "tooltip": "The report on each run", "type": "link", "url": "http://localhost:8000"}
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["io-models-lab"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,  # one cursor on all panels
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "refresh": refresh,
        "links": [link, reports],
        "templating": {"list": variables},
        "annotations": {"list": [built_in, *annotations]},
        "panels": place(panels),
    }
