"""The queries of figures of a run: each has a verdict, and one that may not be compared is shown as such, and never left out.

A figure is a single sample, at the moment when its cell was done, so each query looks back over the whole time range.
"""

# The labels of a load, and all that identify a cell.
LOAD = ("workload", "schedule", "beside", "concurrency", "requests_per_connection")
CELL = ", ".join(("run_id", "target", *LOAD))

THROUGHPUT = ("throughput", "")
CPU = ("cpu_seconds_per_request", "")
P50 = ("latency_seconds", ', quantile="0.5"')
P99 = ("latency_seconds", ', quantile="0.99"')
PEAK = ("peak_memory_bytes", "")
MEMORY = ("memory_bytes", "")
KERNEL = ("kernel_memory_bytes", "")
USER_A_CONNECTION = ("user_memory_bytes_per_connection", "")
KERNEL_A_CONNECTION = ("kernel_memory_bytes_per_connection", "")
OTHERS_ON_SERVER = ("foreign_on_server_cpus", "")
OTHERS_ON_CLIENT = ("foreign_on_client_cpus", "")
OFFERED = ("offered_per_second", "")
KEPT = ("achieved_share", "")


def last(series, selector):
    """The only sample of each series of a run, although it may be weeks old."""
    return f"last_over_time(loadtest_run_{series}{{{selector}}}[$__range])"


def end_of(figure, end):
    """An end of the figure's interval: `low` or `high`."""
    series, more = figure
    return (f"{series}_{end}", more)


def label(expr, name, value):
    """The series with a label more."""
    return f'label_replace({expr}, "{name}", "{value}", "", "")'


def bounded(expr):
    """The series with the label `mark` where the value is a bound: `>=` or `<=`."""
    for bound, sign in (("lower", ">="), ("upper", "<=")):
        expr = f'label_replace({expr}, "mark", "{sign}", "bound", "{bound}")'
    return expr


def marked(expr):
    """The same, and `!` where it is none, as tables have it."""
    return bounded(label(expr, "mark", "!"))


VALID = ', verdict="valid"'
NOT_VALID = ', verdict!="valid"'


class Cells:
    """The figures of the cells that a selector chooses. `by`: the labels that tell them apart. `among`: which of them, as a
    function of their series; all, if it is not given."""

    def __init__(self, selector, by="target", among=lambda series: series):
        self.selector = selector
        self.by = by
        self.among = among

    def series(self, figure, more=""):
        """The series of a figure."""
        series, quantile = figure
        return self.among(last(series, f"{self.selector}{quantile}{more}"))

    def any(self, figure):
        """Whatever the verdict."""
        return f"max by ({self.by}) ({self.series(figure)})"

    def valid(self, figure):
        """Where it may be compared."""
        return f"max by ({self.by}) ({self.series(figure, VALID)})"

    def flawed(self, figure):
        """Where it may not, with its mark and its verdict."""
        return f"max by ({self.by}, mark, verdict) ({marked(self.series(figure, NOT_VALID))})"

    def absent(self, *figures):
        """Not a number for each target that lacks them all."""
        targets = f"max by (target) ({last('verdict', self.selector)})"
        return f"NaN * {targets}" + "".join(f" unless on (target) {self.any(figure)}" for figure in figures)

    def judged(self, figure, column):
        """Whatever the verdict, which stands in a label of its own where the figure may not be compared."""
        flawed = f'label_join({self.flawed(figure)}, "{column}", " ", "mark", "verdict")'
        return f"{self.valid(figure)} or max by ({self.by}, {column}) ({flawed})"

    def named(self, figure, part=""):
        """Whatever the verdict, with the label `name`: the target, of what, and the verdict if it may not be compared."""
        valid, flawed = self.valid(figure), self.flawed(figure)
        words = '"target"'
        if part:
            words = '"target", "part"'
            valid, flawed = label(valid, "part", part), label(flawed, "part", part)
        valid = f'label_join({valid}, "name", " ", {words})'
        flawed = f'label_join({flawed}, "name", " ", {words}, "mark", "verdict")'
        return f"max by ({self.by}, name) ({valid} or {flawed})"


# Percentiles that a histogram gives; in how many requests one takes longer; and the percentile of results.json that says whether there
# are enough requests for it.
QUANTILES = {"0.5": (2, "0.5"), "0.75": (4, "0.9"), "0.9": (10, "0.9"), "0.95": (20, "0.99"), "0.99": (100, "0.99"), "0.999": (1000, "0.999")}
# Samples that have to lie beyond a percentile: crates/results/src/histogram.rs.
BEYOND = 10


def percentiles(selector):
    """The latency that one request in so many exceeded, with the labels `one_in` and `name`: of all trials together, from the native histograms of the
    run; without these, the medians over the trials, which are exact. What results.json withholds is not there."""
    made = []
    for q, (one_in, needs) in QUANTILES.items():
        of_histogram = Cells(selector, among=lambda series, q=q: f"histogram_quantile({q}, {series})")
        pooled = of_histogram.named(("request_duration_seconds", ""))
        is_there = Cells(selector).any(("latency_seconds", f', quantile="{needs}"'))
        exact = Cells(selector).named(("latency_seconds", f', quantile="{q}"'))
        made.append(label(f"({pooled} and on (target) {is_there} or {exact})", "one_in", one_in))
    return " or ".join(made)


def together(selector, q):
    """A percentile of all requests of several cells together, if they are enough: of those that may be compared, and of all if there are
    none of them."""
    one_in, _ = QUANTILES[q]

    def of(more):
        all_of_them = f"sum({last('request_duration_seconds', selector + more)})"
        return f"(histogram_quantile({q}, {all_of_them}) and histogram_count({all_of_them}) >= {BEYOND * one_in})"

    return of(VALID), f"{of('')} unless {of(VALID)}"


def why(selector, figures):
    """Why figures may not be compared, or are missing: results.json's paths. A cell that was not measured has one reason."""
    labels = "target, figure, verdict, why"
    paths = "|".join(figure if figure == ".+" else figure.replace(".", "[.]") for figure in figures)
    chosen = f'{selector}, figure=~"{paths}"'
    flaws, missing = last("flaw", chosen), label(last("missing", chosen), "verdict", "no figure")
    without = f"{last('verdict', selector + NOT_VALID)} unless on (target) {last('flaw', selector)}"
    whole = label(without, "figure", "all")
    whole = f'label_replace({whole}, "why", "$1", "reason", "(.+)")'
    return f"max by ({labels}) ({flaws}) or max by ({labels}) ({missing}) or max by ({labels}) ({whole})"


def newest(selector, by):
    """Of each group by these labels, the cell of the chosen run that began last, with that time as its value. A run of an older load test does not say
    when it began, and comes before all others."""
    known = 'last_over_time(loadtest_start_timestamp_seconds{run_id=~"$run"}[$__range])'
    cells = last("verdict", selector)
    began = f"({known} or on (run_id) 0 * max by (run_id) ({cells}))"
    return f"topk by ({by}) (1, 0 * {cells} + on (run_id) group_left () {began})"


def only(chosen):
    """Of series, those of the cells that are chosen: a function of the series."""
    return lambda series: f"({series} and on ({CELL}) {chosen})"
