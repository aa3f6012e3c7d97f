"""The colours of targets, which are those of the reports: crates/pages/src/target.rs is the one source of both."""

import re
from pathlib import Path

TARGET_RS = Path(__file__).resolve().parents[2] / "crates/pages/src/target.rs"
# `("epoll", colour("#0b4f9e", "#8cc2ff"))`: the colour on a light page, and the one on a dark page, which Grafana's is.
ENTRY = re.compile(r'\("([a-z-]+)", colour\("#[0-9a-f]{6}", "(#[0-9a-f]{6})"\)\)')
TEXT = TARGET_RS.read_text(encoding="utf-8")
MODELS = dict(ENTRY.findall(TEXT))
# Those of others, in turn: `const OTHERS: [Colour; 4] = [colour("#4d5562", "#c3cad4"), …];`
OTHERS = re.findall(r'colour\("#[0-9a-f]{6}", "(#[0-9a-f]{6})"\)', re.search(r"const OTHERS.*?\];", TEXT, re.DOTALL)[0])
# The folders in guests/; containers/check compares them.
GUESTS = ["nginx", "nginx-aio", "lighttpd", "lighttpd-poll", "apache-prefork", "apache-worker", "apache-event", "node", "express", "busybox", "hyper"]
# What may not be compared: the contrast to a dark panel, #181b1f, is 3.6 to 1.
GREY = {"mode": "fixed", "fixedColor": "#6b7079"}
# The colours of what is no target: a figure, or the two parts of one.
BLUE = {"mode": "fixed", "fixedColor": "#5a9ff0"}
YELLOW = {"mode": "fixed", "fixedColor": "#e6c05a"}
# What follows the name of a target in that of its series, as in "epoll q0.99"; and in that of a figure that may not be compared, as in
# "epoll >= client-limited".
MORE = "( .*)?"
FLAWED = r"^.+ (>=|<=|!|–) [a-z-]+( [a-z]+)?$"


def fixed(colour):
    """One colour."""
    return {"mode": "fixed", "fixedColor": colour}


def by_regexp(pattern, value, of="color"):
    """An override: the series with such names have this property, as a rule a colour."""
    return {"matcher": {"id": "byRegexp", "options": f"/{pattern}/"}, "properties": [{"id": of, "value": value}]}


def of_targets():
    """The overrides that give each target its colour, and grey to what may not be compared: the last one wins."""
    guests = {name: OTHERS[number % len(OTHERS)] for number, name in enumerate(GUESTS)}
    named = [by_regexp(f"^{name}{MORE}$", fixed(colour)) for name, colour in {**MODELS, **guests}.items()]
    return [*named, by_regexp(FLAWED, GREY)]
