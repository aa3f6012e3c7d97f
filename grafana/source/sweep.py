"""Concurrency sweep: what more connections do to each model."""

from .panels import NEWEST, OF_FIGURES, RUNS, choice, curves, dashboard, text, variable


def sweep():
    """What more connections do to each model."""
    run = 'run_id="$run"'
    workload = f'{run}, workload="$workload"'
    schedule = f'{workload}, schedule="$schedule"'
    beside = f'{schedule}, beside="$beside"'
    verdict = "loadtest_run_verdict"
    variables = [
        variable("run", "Run", "Which load test; it should have several numbers of connections.", verdict, "run_id", NEWEST),
        variable("workload", "Workload", "What was asked for.", f"{verdict}{{{run}}}", "workload"),
        variable("schedule", "Schedule", "When requests were sent: each after the last answer (closed), or at a rate.",
                 f"{verdict}{{{workload}}}", "schedule"),
        variable("beside", "Beside", "Which other connections the model had to serve meanwhile.",
                 f"{verdict}{{{schedule}}}", "beside"),
        variable("requests_per_connection", "Requests per connection", "After how many requests a connection was closed.",
                 f"{verdict}{{{beside}}}", "requests_per_connection"),
        variable("model", "Model", "Which targets to compare.", f"{verdict}{{{run}}}", "target", multi=True),
        choice("verdict", "Verdict", "Which figures to draw. Only valid ones may be compared.", OF_FIGURES, ["valid"]),
    ]  # fmt: skip
    one = f'{beside}, requests_per_connection="$requests_per_connection", target=~"$model", verdict=~"$verdict"'

    def over(name, more=""):
        return [f"max by (target, concurrency) (last_over_time(loadtest_run_{name}{{{one}{more}}}[$__range]))"]

    return dashboard(
        "sweep",
        "Concurrency sweep",
        "Throughput, latency and memory of every model over the number of connections.",
        "now-24h",
        "10s",
        variables,
        [RUNS],
        [
            text(
                "How to read this page",
                "What the curves show, and what to look for.",
                24,
                6,
                """
                Each point is a cell of one run: a model at one number of connections, the median over its trials. A curve of
                **throughput** rises until something is used up, and what happens then tells the models apart: it stays level,
                or falls. **p99** rises in proportion once throughput is level. **Memory** is level for an event loop, and a
                slope where each connection has a process or thread.

                Figures whose verdict is not chosen above are left out. For a sweep: `docker compose run --rm loadtest
                --concurrency 1,10,100,1000`.
                """,
            ),
            curves("Throughput", "Successful requests a second over the number of connections; higher is better.",
                   over("throughput"), "concurrency", "reqps", "target", log=False),
            curves("Latency, 99th percentile", """One request in a hundred took longer; lower is better. The scale is
                   logarithmic: each line of the grid is ten times the one below.""",
                   over("latency_seconds", ', quantile="0.99"'), "concurrency", "s", "target"),
            curves("Peak memory", """The most memory that the model's processes had together in a trial, without the kernel's part;
                   lower is better. The scale is logarithmic.""",
                   over("peak_memory_bytes"), "concurrency", "bytes", "target"),
            curves("CPU time per request", """CPU time of the model's whole process tree over the requests it answered; lower
                   is better.""",
                   over("cpu_seconds_per_request"), "concurrency", "s", "target", log=False),
        ],
    )  # fmt: skip
