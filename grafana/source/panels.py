"""Building blocks of the dashboards: everything that is the same on all of them is said here, once.

Classic dashboard JSON (v1), which file provisioning takes; https://grafana.com/docs/grafana/latest/visualizations/
"""

import re

from .colours import BLUE, FLAWED, GREY, by_regexp, of_targets
from .figures import LOAD, label

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS = 24
# What has no target has colours by its name.
BY_NAME = {"mode": "palette-classic-by-name"}
# A legend that begins with the name of a target, whose line or bar has its colour.
OF_TARGETS = re.compile(r"\{\{(target|model)\}\}")
# Metrics that our code counts for its models, and that a guest therefore lacks.
OF_MODELS = re.compile("http_server_|server_syscalls_")
# A part of a figure, in the name of a curve.
PART = r"^.+ kernel( .*)?$"
PLAIN = {"mode": "absolute", "steps": [{"color": "blue", "value": None}]}
# In the order of their numbers in loadtest_run_verdict.
VERDICTS = {"valid": "green", "client-limited": "orange", "errors": "red", "unsupported": "text", "unstable": "yellow", "starved": "purple", "disturbed": "blue", "undercounted": "light-yellow", "not-cold": "light-red"}
# What a panel says instead of "No data" where nothing is an answer.
NOTHING = "Nothing: "
# And what it says where the load that was chosen lacks the figure.
NO_FIGURE = "No figure: "


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
        fields = {"color": BY_NAME, "links": [], "mappings": [], "thresholds": PLAIN, "unit": unit, "custom": custom or {}, **defaults}
        if queries and all(OF_MODELS.search(query["expr"]) for query in queries):
            fields.setdefault("noValue", "No data. Only models count this, not guests.")
        made |= {"datasource": DATASOURCE, "targets": list(queries), "fieldConfig": {"defaults": fields, "overrides": []}}
        if any(OF_TARGETS.match(query["legendFormat"]) for query in queries):
            made["fieldConfig"]["overrides"] += of_targets()
    return made


def text(title, description, width, height, markdown):
    """Words."""
    content = "\n".join(line.strip() for line in markdown.strip().splitlines())
    return panel("text", title, description, width, height, options={"mode": "markdown", "content": content})


LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def kept(names):
    """What is chosen for these variables, to be chosen on the other page, too."""
    return "".join(f"&${{{name}:queryparam}}" for name in names)


def model_link(name, run=True):
    """A link to Model, with the model that `name` says, and the time and load of the run, or the time of this page."""
    then = f"from=${{begins}}&to=${{ends}}{kept(('run', *LOAD))}" if run else "${__url_time_range}"
    return {"title": "Model", "url": f"/d/model?var-model={name}&{then}", "targetBlank": False}


def row_link(columns):
    """A link from the row of a table to Model, at the time of the run. columns: the variables that a row decides, with its column; the other ones are
    as they are chosen here."""
    of_row = "".join(f'&var-{name}=${{__data.fields["{column}"]:percentencode}}' for name, column in columns.items())
    of_page = kept(name for name in ("run", *LOAD) if name not in columns)
    return {"title": "Model", "url": f"/d/model?from=${{begins}}&to=${{ends}}{of_page}{of_row}", "targetBlank": False}


def history_link(name, load=LOAD):
    """A link to History, with the model that `name` says, the time of this page, and what it knows of the load."""
    return {"title": "History", "url": f"/d/history?var-model={name}&${{__url_time_range}}{kept(load)}", "targetBlank": False}


def report_link(run):
    """A link to the report on a run, which the container `pages` serves."""
    return {"title": "Report", "url": f"http://localhost:8000/runs/{run}", "targetBlank": True}


def bars(title, description, cells, figure, unit, lowest_first=True, width=12, height=12, links=None):
    """A bar for each target, the best one on top, with links: a function of the target's name. Below them, in grey, are those whose figure may
    not be compared, and then those that have none."""
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
    queries = targets(
        (f"{sort}({cells.valid(figure)})", "{{target}}"),
        (f"{sort}({cells.flawed(figure)})", "{{target}} {{mark}} {{verdict}}"),
        (cells.absent(figure), "{{target}} – no figure"),
        kind="instant",
    )
    none = {"type": "special", "options": {"match": "null+nan", "result": {"index": 0, "text": "see below why"}}}
    made = panel("bargauge", title, description, width, height, queries, unit, options, min=0, mappings=[none])
    name = "${__field.labels.target}"
    made["fieldConfig"]["defaults"]["links"] = links(name) if links else [model_link(name), history_link(name)]
    return made


def parts(title, description, queries, absent, unit, stacked, width=12, height=11):
    """A bar for each part of a figure, side by side or stacked, for each target; those without any part, which `absent` finds, stand there
    without a bar. queries: name of the part -> expression, colour."""
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
    queries = {**queries, "no figure": (absent, GREY)}
    expr = " or ".join(label(expr, "part", name) for name, (expr, _) in queries.items())
    none = NO_FIGURE + "no target of this load has it."
    made = panel("barchart", title, description, width, height, targets(expr, kind="table"), unit, options, custom, min=0, noValue=none)
    for name, (_, colour) in queries.items():
        override(made, name, {"id": "color", "value": colour})
    made["fieldConfig"]["defaults"]["links"] = [model_link("${__data.fields.target}")]
    corner = "target\\part"
    made["transformations"] = [
        {"id": "groupingToMatrix", "options": {"columnField": "part", "emptyValue": "null", "rowField": "target", "valueField": "Value"}},
        {"id": "organize", "options": {"excludeByName": {}, "indexByName": {}, "renameByName": {corner: "target"}}},
    ]
    return made


def stat(title, description, queries, width, height, unit="none", **defaults):
    """Big numbers, one for each series. queries: pairs of an expression and a legend."""
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
    return panel("stat", title, description, width, height, targets(*queries, kind="instant"), unit, options, **defaults)


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
    for label_of_target in ("target", "model"):
        if all(f"{{{{{label_of_target}}}}}" in legend for _, legend in queries):
            made["fieldConfig"]["defaults"]["links"] = [model_link(f"${{__field.labels.{label_of_target}}}", run=False)]
    return made


def curves(title, description, expr, x, unit, log=True, width=12, height=11, x_unit="none", x_base=10, x_title=""):
    """Figures over a number that is the label `x`: a curve for each value of the label `name`. What may not be compared is grey, and no
    line connects it; a part of a figure is dashed.

    Each curve is a frame of its own: in one table of all, a curve would have null where only others have a point, and Grafana draws null as 0
    (public/app/plugins/panel/xychart/scatter.ts). The mapping is automatic, since a manual one draws one curve of a frame (utils.ts beside it)."""
    scale = lambda base: {"type": "log", "log": base}
    custom = {
        "axisPlacement": "auto",
        "fillOpacity": 50,
        "lineStyle": {"fill": "solid"},
        "lineWidth": 2,
        "pointShape": "circle",
        "pointSize": {"fixed": 6},
        "pointStrokeWidth": 1,
        "scaleDistribution": scale(10) if log else {"type": "linear"},
        "show": "points+lines",
    }
    options = {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "mapping": "auto",
        "series": [{"x": {"matcher": {"id": "byName", "options": x}}}],
        "tooltip": {"mode": "single", "sort": "none"},
    }
    none = NO_FIGURE + "no cell of this load has it. The page of the model says why, under what it could not measure."
    # xychart knows fixed colours and the classic palette, and no others.
    made = panel("xychart", title, description, width, height, targets(expr, kind="table"), unit, options, custom,
                 noValue=none, color={"mode": "palette-classic"})  # fmt: skip
    made["transformations"] = [
        {"id": "convertFieldType", "options": {"conversions": [{"destinationType": "number", "targetField": x}], "fields": {}}},
        {"id": "organize", "options": {"excludeByName": {"Time": True, "target": True}, "indexByName": {}, "renameByName": {}}},
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"desc": False, "field": x}]}},
        {"id": "partitionByValues", "options": {"fields": ["name"], "keepFields": False, "naming": {"asLabels": True}}},
    ]
    dashes = {"fill": "dash", "dash": [6, 4]}
    made["fieldConfig"]["overrides"] += [*of_targets(), by_regexp(FLAWED, "points", "custom.show"), by_regexp(PART, dashes, "custom.lineStyle")]
    of_axis = [{"id": "unit", "value": x_unit}, {"id": "custom.scaleDistribution", "value": scale(x_base)}]
    override(made, x, *of_axis, *([{"id": "custom.axisLabel", "value": x_title}] if x_title else []))
    return made


def history(title, description, queries, unit, width=12, height=10):
    """A point for each run, at the time when it began. queries: the median where it may be compared, where it may not, the two ends of the
    interval, and the time in milliseconds."""
    custom = {
        "axisPlacement": "auto",
        "drawStyle": "line",
        "fillOpacity": 0,
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "pointSize": 7,
        "scaleDistribution": {"type": "linear"},
        "showPoints": "always",
        "spanNulls": True,
        "stacking": {"group": "A", "mode": "none"},
        "thresholdsStyle": {"mode": "off"},
    }
    options = {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"hideZeros": False, "mode": "multi", "sort": "none"},
    }
    none = NO_FIGURE + "no run with this load has it."
    made = panel("timeseries", title, description, width, height, targets(*queries, kind="table"), unit, options, custom, min=0, noValue=none)
    names = ("median", "may not be compared", "from", "to", "began")
    fields = {f"Value #{chr(ord('A') + number)}": name for number, name in enumerate(names)}
    order = {field: number for number, field in enumerate(fields)}
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True, "run_id": True}, "includeByName": {}, "indexByName": order, "renameByName": fields}},
        {"id": "convertFieldType", "options": {"conversions": [{"destinationType": "time", "targetField": "began"}], "fields": {}}},
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"desc": False, "field": "began"}]}},
    ]
    no_points = {"id": "custom.showPoints", "value": "never"}
    thin = {"id": "custom.lineWidth", "value": 0}
    override(made, "median", {"id": "color", "value": BLUE})
    override(made, "may not be compared", {"id": "color", "value": GREY}, {"id": "custom.drawStyle", "value": "points"})
    override(made, "from", {"id": "color", "value": BLUE}, thin, no_points)
    override(made, "to", {"id": "color", "value": BLUE}, thin, no_points,
             {"id": "custom.fillBelowTo", "value": "from"}, {"id": "custom.fillOpacity", "value": 20})  # fmt: skip
    return made


def heatmap(title, description, expr, unit, width=24, height=9, **defaults):
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
    return panel("heatmap", title, description, width, height, queries, unit, options, custom, **defaults)


def table(title, description, columns, rows=None, width=24, height=12, links=(), **defaults):
    """A row for each combination of labels. columns: name -> (expression or label, unit or None for a label). rows: the query of a table
    that has labels alone. links: name of a column -> a link from each of its cells."""
    queries = [rows] if rows else [expr for expr, unit in columns.values() if unit]
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
        "sortBy": [{"desc": False, "displayName": next(iter(columns))}],
    }
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False}
    made = panel("table", title, description, width, height, targets(*queries, kind="table"), "none", options, custom, **defaults)
    made["fieldConfig"]["defaults"]["color"] = {"mode": "thresholds"}
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {name: True for name in (("Time", "Value") if rows else ("Time",))},
                "includeByName": {},
                "indexByName": order,
                "renameByName": renamed,
            },
        },
    ]
    for name, (_, unit) in columns.items():
        if unit and unit != "none":
            override(made, name, {"id": "unit", "value": unit})
    for name, link in dict(links).items():
        override(made, name, {"id": "links", "value": [link]})
    return made


def override(made, name, *properties):
    """Properties of the field of that name alone."""
    matcher = {"id": "byName", "options": name}
    made["fieldConfig"]["overrides"].append({"matcher": matcher, "properties": list(properties)})


def worded(made, column, words):
    """A column of words in their colours. words: value -> the word, its colour."""
    mapping = {value: {"color": colour, "index": number, "text": word} for number, (value, (word, colour)) in enumerate(words.items())}
    override(
        made,
        column,
        {"id": "mappings", "value": [{"type": "value", "options": mapping}]},
        {"id": "custom.cellOptions", "value": {"type": "color-text"}},
    )


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
