"""History: one model over the runs."""

from .cells import cells_table, judged
from .colours import GREY, by_regexp, fixed
from .figures import CPU, LOAD, P99, PEAK, QUANTILES, THROUGHPUT, Cells, end_of, together
from .frame import RUNS, dashboard, load_variables, variable
from .panels import NO_FIGURE, kept, override, report_link, stat, text
from .panels import history as over_runs


def history():
    """One model over the runs."""
    choices, selector = load_variables('target="$model"')
    variables = [
        variable("model", "Model", "Which model, or guest.", "loadtest_run_verdict", "target"),
        *choices,
    ]
    runs = Cells(selector, "run_id")
    cells = runs.any(("verdict", ""))
    moment = lambda which: f"1000 * max by (run_id) (last_over_time(loadtest_{which}_timestamp_seconds[$__range])) and on (run_id) {cells}"

    def median_and_interval(figure):
        flawed = f"max by (run_id) ({runs.flawed(figure)})"
        return [runs.valid(figure), flawed, runs.any(end_of(figure, "low")), runs.any(end_of(figure, "high")), moment("start")]

    found = cells_table(
        "The runs",
        "A row for each run with this model and load. The run leads to its report, and *Began* to the model at that time.",
        runs,
        {
            "Run": ("run_id", None),
            "Began": (moment("start"), "dateTimeAsIso"),
            "Ended": (moment("end"), "dateTimeAsIso"),
            "Trials": (runs.any(("trials", "")), "short"),
            "Disturbed trials": (runs.any(("disturbed_trials", "")), "short"),
        },
        judged(runs, "Requests/s", "CPU per request", "p99", "Peak memory"),
        links={"Run": report_link("${__value.raw}")},
    )
    fields = "from=${__data.fields.Began.numeric}&to=${__data.fields.Ended.numeric}&var-run=${__data.fields.Run}"
    link = {"title": "Model at that time", "url": f"/d/model?{fields}{kept(('model', *LOAD))}", "targetBlank": False}
    override(found, "Began", {"id": "links", "value": [link]})
    percentiles = {f"p{float(q) * 100:g}": together(selector, q) for q in QUANTILES}
    pooled = stat(
        "All these runs together: latency by percentile",
        """Of all requests of the runs whose latencies may be compared, as if they were one run: native histograms can be added up, percentiles
        cannot. If no run's may be compared, of all runs, in grey and with a `!`.""",
        [pair for name, (valid, others) in percentiles.items() for pair in ((valid, name), (others, f"{name} !"))],
        24,
        5,
        "s",
        noValue=NO_FIGURE + "no run has this load, or this Prometheus keeps no native histograms.",
        color=fixed("#4583d0"),
    )
    pooled["fieldConfig"]["overrides"].append(by_regexp(" !$", GREY))
    return dashboard(
        "history",
        "History",
        "One model under one load, run by run, with the interval of each figure.",
        "now-30d",
        "1m",
        variables,
        [RUNS],
        [
            text(
                "How to read this page",
                "What may differ from run to run.",
                24,
                5,
                """
                A point for each run: the median over its trials, and around it the 95 % confidence interval, which needs three trials. A grey
                point may not be compared. **Two runs differ** if their intervals do not overlap, but what differs may be the machine: compare
                with another model at the same times, or ask the page of the two runs, *Reports*, which says what changed in their plans.
                """,
            ),
            over_runs("CPU time per request", "CPU time of the whole process tree over the requests it answered; lower is better.",
                      median_and_interval(CPU), "s"),
            over_runs("Throughput", "Successful requests a second; higher is better.", median_and_interval(THROUGHPUT), "reqps"),
            over_runs("Latency, 99th percentile", "One request in a hundred took longer; lower is better.", median_and_interval(P99), "s"),
            over_runs("Peak memory", "The most memory that the processes had together in a trial; lower is better.",
                      median_and_interval(PEAK), "bytes"),
            pooled,
            found,
        ],
    )  # fmt: skip
