"""Live: what happens now."""

from .figures import label
from .frame import CELLS, NEWEST, RUNS, THROWN_AWAY, dashboard, variable
from .panels import NO_FIGURE, heatmap, lines, row, text


def live():
    """What happens now."""
    mine = 'run_id=~"$run", workload=~"$workload", target=~"$model"'
    served = 'model=~"$model"'
    variables = [
        variable("run", "Run", "Which load tests.", "loadtest_info", "run_id", NEWEST, multi=True),
        variable("workload", "Workload", "What is asked for.", "loadtest_requests_total", "workload", multi=True),
        variable("model", "Model", "Which models and guests.", "process_tree_cpu_seconds_total", "model", multi=True),
    ]
    # From native histograms, which can be added up, where this Prometheus has them; else those of each second alone.
    durations = f"rate(loadtest_request_duration_seconds{{{mine}}}[$__rate_interval])"
    latency = lambda q: f"""{label(f'histogram_quantile({q}, sum by (target) ({durations}))', 'quantile', q)}
        or max by (target, quantile) (loadtest_latency_seconds{{{mine}, quantile="{q}"}})"""
    requests = f"sum by (model) (rate(http_server_requests_total{{{served}}}[$__rate_interval]))"
    failed = f'sum by (model) (rate(http_server_requests_total{{{served}, status!~"[23].."}}[$__rate_interval]))'
    buckets = f"http_server_request_duration_seconds_bucket{{{served}}}"
    return dashboard(
        "live",
        "Live",
        "Rate, errors and duration of every model, while a load test runs.",
        "now-5m",
        "5s",
        variables,
        [RUNS, CELLS, THROWN_AWAY],
        [
            text(
                "How to read this page",
                "Two sides of the same requests, and why they differ.",
                24,
                7,
                """
                The same requests from **two sides**. *Seen by the load test*: what a client waits for, queues of the kernel
                included, told by the load test every second. *Seen by the services*: what a server knows of, scraped every
                second. Where the client waits much longer than the server says it worked, **requests queue before the server
                looks at them**: that is what a saturated loop or an exhausted pool looks like.

                A load test visits **one model after the other**, in random order, so at any time one line is up. Blue regions
                are runs; switch on *Cells* above to see which model is loaded, with what. **Guests**, servers of others, are light grey,
                and have only the load test's side.
                """,
            ),
            row("Seen by the load test"),
            lines(
                "Requests per second",
                "Requests that ended, by target, however they ended. It is 0 to 5 seconds late.",
                [(f"sum by (target) (rate(loadtest_requests_total{{{mine}}}[$__rate_interval]))", "{{target}}")],
                "reqps",
            ),
            lines(
                "Failed requests per second",
                """Requests that ended badly, by target and class: status (4xx or 5xx), reset, closed, read_timeout and so on.
                A flat zero is what you want to see.""",
                [(f"sum by (target, class) (rate(loadtest_errors_total{{{mine}}}[$__rate_interval]))",
                  "{{target}} {{class}}")],
                "reqps",
            ),
            lines(
                "Latency: median and 99th percentile",
                """From the first byte sent, or in an open loop from when the request was due, to the last byte received, true to 2 %. The
                scale is logarithmic: each line of the grid is ten times the one below. The gap between the two lines of a
                model is its unfairness.""",
                [(latency("0.5"), "{{target}} q{{quantile}}"), (latency("0.99"), "{{target}} q{{quantile}}")],
                "s",
                log=True,
            ),
            lines(
                "Connections",
                "Connections that the load test has established, by target.",
                [(f"sum by (target) (loadtest_connections{{{mine}}})", "{{target}}")],
                "short",
            ),
            heatmap(
                "Latencies of the chosen targets",
                """Each column is a moment, each cell a range of times; the darker, the more requests took that long. Choose one model above:
                two bands are two kinds of requests, hits and misses say; a smear upwards is a queue.""",
                f"sum (increase(loadtest_request_duration_seconds{{{mine}}}[$__rate_interval]))",
                "s",
                noValue=NO_FIGURE + "this Prometheus keeps no native histograms, or no request was answered. grafana/README.md says how to have them.",
            ),
            row("Seen by the services"),
            lines(
                "Replies per second",
                "Replies that the model sent whole, by model. The health checks of the containers are not among them.",
                [(requests, "{{model}}")],
                "reqps",
            ),
            lines(
                "Share of replies with an error status",
                "Replies with a status other than 2xx and 3xx, as a share of all replies. A flat zero is what you want to see.",
                [(f"({failed} or 0 * {requests}) / clamp_min({requests}, 1)", "{{model}}")],
                "percentunit",
                max=1,
            ),
            lines(
                "Time to reply, 99th percentile",
                """From the bytes that completed a request to the last byte of its reply, as the server knows it; from a
                histogram, so true to the width of a bucket. Compare with the latency above. No line without requests.""",
                [(f"histogram_quantile(0.99, sum by (model, le) (rate({buckets}[$__rate_interval])))", "{{model}}")],
                "s",
                log=True,
            ),
            lines(
                "Open connections and queue",
                """Connections that are open in the server, and those of them that wait for a worker (models without a queue
                have none waiting).""",
                [(f"sum by (model) (http_server_active_connections{{{served}}})", "{{model}}"),
                 (f"sum by (model) (http_server_queue_depth{{{served}}})", "{{model}} waiting")],
                "short",
            ),
            heatmap(
                "Times to reply of the chosen models",
                """Each column is a moment, each cell a range of times; the darker, the more replies took that long. Choose one
                model above: two bands are two kinds of requests, hits and misses say; a smear upwards is a queue.""",
                f"sum by (le) (increase({buckets}[$__rate_interval]))",
                "s",
            ),
        ],
    )  # fmt: skip
