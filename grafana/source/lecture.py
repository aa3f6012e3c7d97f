"""Lecture: what the experiments say of each claim."""

from .colours import fixed
from .figures import bounded
from .frame import BOARDS, NEWEST, dashboard, variable
from .panels import override, report_link, stat, table, text, worded

RULINGS = {"holds": "green", "fails": "red", "cannot-be-shown": "text"}


def lecture():
    """What the experiments say of each claim."""
    run = 'run_id="$run"'
    last = lambda name, selector=run: f"last_over_time(lab_claim{name}{{{selector}}}[$__range])"
    none = "No claims were judged in this time range: docker compose run --rm lecture"
    rulings = stat(
        "Claims by ruling",
        """How many sentences of the lecture hold on this machine, how many fail, and how many cannot be shown: the experiment was not made, or its
        interval holds the margin.""",
        [(f"count by (ruling) ({last('')})", "{{ruling}}")],
        9,
        8,
        noValue=none,
    )
    for name, colour in RULINGS.items():
        override(rulings, name, {"id": "color", "value": fixed(colour)})
    claims = table(
        "The claims",
        "Each sentence of the lecture, what the experiment says of it on this machine, and why, if it cannot be shown.",
        {
            "Claim": ("claim", None),
            "Ruling": ("ruling", None),
            "What the lecture says": ("says", None),
            "Why": ("why", None),
        },
        rows=f"max by (claim, ruling, says, why) ({last('')})",
        noValue=none,
    )
    # A part without an interval, or with one margin, has fewer figures: its row has empty fields.
    part = lambda name: f"max by (claim, part, ruling, mark) ({bounded(last(name))})"
    figures = table(
        "The parts of each claim, and their margins",
        """What was measured for each claim: the median over the blocks, the ends of its 95 % confidence interval, and the margin that it has to
        keep to hold: at least, at most, or between both. It fails if the whole interval is beyond the margin. After `>=` or `<=`, the figure
        is only a bound of the true one.""",
        {
            "Claim": ("claim", None),
            "Part": ("part", None),
            "Ruling": ("ruling", None),
            "Bound": ("mark", None),
            "Figure": (part("_figure"), "short"),
            "from": (part("_low"), "short"),
            "to": (part("_high"), "short"),
            "at least": (part("_margin_least"), "short"),
            "at most": (part("_margin_most"), "short"),
        },
        noValue=none,
    )
    boards = table(
        "The same claims in all runs",
        """The ruling on each claim in each run of this time range: one that changes from run to run is close to its margin, or something has
        changed. The run leads to its report.""",
        {
            "Claim": ("claim", None),
            "Ruling": ("ruling", None),
            "Run": ("run_id", None),
        },
        rows=f"max by (claim, ruling, run_id) ({last('', '')})",
        noValue=none,
        links={"Run": report_link("${__value.raw}")},
    )
    for made in (claims, figures, boards):
        worded(made, "Ruling", {name: (name.replace("-", " "), colour) for name, colour in RULINGS.items()})
    return dashboard(
        "lecture",
        "Lecture",
        "What the experiments say of each sentence of the lecture.",
        "now-30d",
        "10s",
        [variable("run", "Run", "Which board; the newest one is on top.", "lab_claim", "run_id", NEWEST)],
        [BOARDS],
        [
            text(
                "How to read this page",
                "What a ruling means.",
                15,
                8,
                """
                A lecture on servers says sentences such as *a process per connection costs the most*. Each is an experiment here, with a
                **margin** that was written down before: the claim **holds** if the whole interval of its figure keeps the margin, **fails** if
                the whole interval is beyond it, and otherwise it **cannot be shown** on this machine.

                `docker compose run --rm lecture` judges all of them, and `docker compose run --rm lecture idle-connections` one. The reports on
                the runs have the figures of each experiment.
                """,
            ),
            rulings,
            claims,
            figures,
            boards,
        ],
    )
