"""Rates: what a higher rate of requests does to each model."""

from .cells import cells_table, judged
from .figures import CELL, CPU, KEPT, LOAD, OFFERED, P50, P99, Cells, last, newest, only
from .frame import RUNS, dashboard, several_runs
from .panels import bars, curves, history_link, report_link, text

# A rate is kept if so much of it was answered in time: less is more than chance.
ENOUGH = 0.99
# Schedules without one rate.
NO_RATE = "closed|ramp:.+"


def rates():
    """What a higher rate of requests does to each model."""
    description = "Which load tests with a rate; where several have the same point, the newest one gives it."
    variables, one = several_runs(description, ("schedule",), f'schedule!~"{NO_RATE}"')
    of_schedules = newest(one, "target, schedule")
    # The rate that was offered is a figure. It becomes a label, so that it can be an axis. Two schedules may have the same one.
    offered = f'count_values by ({CELL}) ("offered", round({last("offered_per_second", one)}))'
    with_rate = lambda series: f"({series} * on ({CELL}) group_left (offered) {offered})"
    of_rates = only(f"topk by (target, offered) (1, {with_rate(of_schedules)})")
    points = Cells(one, "target, offered", lambda series: of_rates(with_rate(series)))
    among = only(of_schedules)
    rows = Cells(one, "run_id, target, schedule", among)
    # The highest rate that each target kept, whatever the verdict.
    kept = f"{among(last(OFFERED[0], one))} and on ({CELL}) {among(last(KEPT[0], one))} >= {ENOUGH}"
    highest = Cells(one, "target, schedule", only(f"topk by (target) (1, {kept})"))
    found = cells_table(
        "The points, and the runs that they come from",
        """A row for each schedule: the newest run with this model and load. `rate` is a rate that was asked for, `share` a part of the throughput of the
        model's closed loop, `common` a part of that of the slowest one, `knee:10` the highest rate that was kept and did not make the p99 grow tenfold. The
        run leads to its report.""",
        rows,
        {"Model": ("target", None), "Schedule": ("schedule", None), "Run": ("run_id", None)},
        {
            **judged(rows, "Offered", "Answered in time", "Requests/s", "p50", "p99", "CPU per request"),
            "Largest burst": (rows.any(("largest_burst", "")), "short"),
            "Unsent": (rows.any(("unsent", "")), "short"),
        },
        links={"Run": report_link("${__value.raw}")},
    )

    def of_schedule(name):
        """Links of a bar to History, with its schedule."""
        link = history_link(name, [of for of in LOAD if of != "schedule"])
        return [{**link, "url": link["url"] + "&var-schedule=${__field.labels.schedule:percentencode}"}]

    return dashboard(
        "rates",
        "Rates",
        "Latency and cost of every model over the rate of requests, and the highest rate that it kept.",
        "now-30d",
        "10s",
        variables,
        [RUNS],
        [
            text(
                "How to read this page",
                "What the curves show, and what to look for.",
                24,
                7,
                """
                In an **open loop**, requests are sent when they are due, whether or not earlier ones were answered, as by people who do
                not know of each other. So a server that is too slow does not slow down its load, and **latency counts from when a request
                was due**. Each point is a model at one rate, the median over its trials; runs join one curve, and the newest gives
                the point. Runs with even and with Poisson arrivals are not told apart: leave out what you do not want above.

                **p99** is level until the server can keep up no more, and then rises steeply: that is the knee. **CPU per request** falls
                with the rate where a server does several requests at a wake-up. **Grey points** may not be compared.

                For several rates: `docker compose run --rm loadtest --workload / --rate 1k,10k,50k`. To search for each model's knee:
                `docker compose run --rm loadtest --workload / --knee --duration 2s`.
                """,
            ),
            curves("Latency, 99th percentile, over the rate", """One request in a hundred took longer, from when it was due; lower is better. The scale is
                   logarithmic: each line of the grid is ten times the one below.""",
                   points.named(P99), "offered", "s", x_unit="reqps"),
            curves("Latency, median, over the rate", "Half of the requests took longer, from when they were due. The scale is logarithmic.",
                   points.named(P50), "offered", "s", x_unit="reqps"),
            curves("Answered in time, over the rate", """Complete answers that came in the window, as a share of the requests that were due in it:
                   about 1 if the model keeps up.""",
                   points.named(KEPT), "offered", "percentunit", log=False, x_unit="reqps"),
            curves("CPU time per request, over the rate", """CPU time of the model's whole process tree over the requests it answered; lower
                   is better.""",
                   points.named(CPU), "offered", "s", log=False, x_unit="reqps"),
            bars("The highest rate that was kept", f"""The highest of these rates at which at least {ENOUGH:.0%} of the requests were answered in
                 time; more is better. If a knee was searched for, this is it, unless a higher rate was kept with a longer latency. Otherwise the
                 model may keep a higher one: try it.""",
                 highest, OFFERED, "reqps", lowest_first=False, width=24,
                 links=of_schedule),
            found,
        ],
    )  # fmt: skip
