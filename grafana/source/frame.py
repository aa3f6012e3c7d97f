"""What is around the panels of each dashboard: variables, annotations, links.

Classic dashboard JSON (v1), whose last schema version is 42.
"""

from .panels import DATASOURCE, place

ALPHABETICAL, NEWEST, LARGEST = 1, 2, 4


def variable(name, label, description, metric, of, sort=ALPHABETICAL, multi=False):
    """A choice among the values of a label of a metric. multi: several, and all of them unless told otherwise."""
    made = of_query(name, label, description, f"label_values({metric}, {of})", sort, multi)
    return made | ({"allValue": ".+"} if multi else {})


def moment(name, label, description, expr):
    """A moment in milliseconds since 1970, which links use and nobody chooses."""
    query = f"query_result(scalar(round(1000 * {expr})))"
    return of_query(name, label, description, query, 0, False, QUERY_RESULT) | {"hide": 2, "skipUrlSync": True}


def either(name, label, description, series):
    """A choice among the values of a label of one metric and those of another one's. series: pairs of a metric and its label."""
    named = " or ".join(f'label_replace(last_over_time({metric}[$__range]), "name", "$1", "{of}", "(.+)")' for metric, of in series)
    query = f"query_result(max by (name) ({named}))"
    return of_query(name, label, description, query, ALPHABETICAL, False, QUERY_RESULT) | {"regex": '/name="([^"]+)"/'}


# Grafana's numbers of the kinds of queries that a variable may have.
LABEL_VALUES, QUERY_RESULT = 1, 3


def of_query(name, label, description, query, sort, multi, kind=LABEL_VALUES):
    """A variable whose values a query gives."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "description": description,
        "datasource": DATASOURCE,
        "query": {"qryType": kind, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
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


RUN_LABELS = (
    ("workload", "Workload", "What was asked for.", ALPHABETICAL),
    ("schedule", "Schedule", "When requests were sent: each after the last answer (closed), or at a rate.", ALPHABETICAL),
    ("beside", "Beside", "Which other connections the model had to serve meanwhile.", ALPHABETICAL),
    ("concurrency", "Connections", "How many connections were open at a time; the most are on top.", LARGEST),
    ("requests_per_connection", "Requests per connection", "After how many requests a connection was closed.", ALPHABETICAL),
)


def load_variables(selector, without=()):
    """The variables that choose a load among those of the cells that the selector chooses, each among what the earlier ones leave; and
    the selector of the load. without: those that the page leaves open."""
    made = []
    for name, label, description, sort in RUN_LABELS:
        if name not in without:
            made.append(variable(name, label, description, f"loadtest_run_verdict{{{selector}}}", name, sort))
            selector += f', {name}="${name}"'
    return made, selector


def several_runs(description, without, which=""):
    """The variables of a page that shows several runs at once, and the selector of their cells. without: the variable that the page leaves
    open. which: of which cells the page is about, as a further selector."""
    all_of_them = "loadtest_run_verdict" + (f"{{{which}}}" if which else "")
    runs = ", ".join(filter(None, ('run_id=~"$run"', which)))
    choices, selector = load_variables(runs, without)
    variables = [
        variable("run", "Run", description, all_of_them, "run_id", NEWEST, multi=True),
        *choices,
        variable("model", "Model", "Which targets to compare.", f"loadtest_run_verdict{{{runs}}}", "target", multi=True),
    ]
    return variables, f'{selector}, target=~"$model"'


def run_times():
    """When the chosen run began, and when it ended, or now: a second is left on either side."""
    at = lambda which: f'max(last_over_time(loadtest_{which}_timestamp_seconds{{run_id="$run"}}[$__range]))'
    # A run that goes on has no end yet, and one of an older load test says neither.
    begins, ends = f"(({at('start')} - 1) or vector($__from / 1000))", f"(({at('end')} + 1) or vector($__to / 1000))"
    return [
        moment("begins", "Begin", "When the run began: links lead to that time.", begins),
        moment("ends", "End", "When the run ended.", ends),
    ]


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
BOARDS = annotation("Boards", "blue", "max by (run_id) (lab_lecture_running)", "Claims {{run_id}}", "Claims were judged.")
THROWN_AWAY = annotation(
    "Thrown away",
    "orange",
    "max by (run_id, target, workload, trial, why) (loadtest_made_again)",
    "{{target}} {{workload}}: trial {{trial}} is made again",
    "{{why}}",
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
        "schemaVersion": 42,
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
