"""The proposed plan as a file. Its header gives what it buys and costs and how that was measured; ``read_header`` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from textwrap import TextWrapper

from rollout.plan import Plan
from rollout.plan.yaml import as_yaml
from simulate.figures import plain
from simulate.scenarios import find
from simulate.studies.tune.objectives import Figures, Value
from simulate.studies.tune.result import GUIDE, Tuned
from simulate.studies.tune.words import differences

NAME = "tuned"
FALSE_ROLLBACKS = "false rollbacks, % of good nights"
_NUMBER = re.compile(r"-?[\d.,]+")
_VALUE = rf"{_NUMBER.pattern} \({_NUMBER.pattern} to {_NUMBER.pattern}\)"
_ROW = re.compile(rf"# (?P<name>.+?) +(?P<mine>{_VALUE}) +(?P<guide>{_VALUE})")
_wrapped = TextWrapper(110, break_on_hyphens=False).wrap
BLIND_SPOTS = (
    "It is tuned on what the simulator can see, and on the releases named above with these weights. It knows nothing of errors in a few "
    "requests only that no error rate shows, of wrong answers with status 200, of the frontend, of traffic that is unlike the assumed, or "
    "of a person at the console. Rehearse it on your own rate and base error rate before you trust it. How long to bake was not tried: "
    "every plan bakes as the guide's does, and `bake: 30m` is set by hand, for errors that begin late."
)


def text(tuned: Tuned, command: str) -> str:
    """The file. There must be a chosen plan."""
    if tuned.chosen is None:
        raise ValueError("no plan was chosen")
    plan = replace(tuned.asked.plans[tuned.chosen], name=NAME)
    return (
        "".join(f"# {line}".rstrip() + "\n" for line in _header(tuned, plan, command)) + "\n" + as_yaml(plan)
    )


def _header(tuned: Tuned, plan: Plan, command: str) -> Iterator[str]:
    asked = tuned.asked
    guide = asked.plans[GUIDE]
    mine, its = tuned.confirmed[tuned.chosen or GUIDE], tuned.confirmed[GUIDE]
    yield f"Proposed by `{command}`: {guide.name} with"
    for line in differences(plan, guide):
        yield f"  {line}"
    yield ""
    yield f"{'Beside ' + guide.name:38}{'this plan':>28}{guide.name:>28}"
    for (name, value), (_, other) in zip(_rows(mine), _rows(its), strict=True):
        yield f"{name:38}{_written(value):>28}{_written(other):>28}"
    yield ""
    yield from _wrapped(gain(mine, its))
    yield ""
    bad = ", ".join(f"{case.label} {plain(case.weight)}" for case in asked.cases if case.weight)
    yield from _wrapped(
        f"Means with 95 % intervals of {asked.replications} rehearsals of each release, on seed {asked.confirm_seed}; the plan was chosen on "
        f"seed {asked.seed}, of {len(asked.plans)}. Every release: {_given(tuned)}. Bad releases by weight: {bad}."
    )
    yield from _wrapped(asked.bounds.rule(guide.name))
    yield ""
    yield from _wrapped(BLIND_SPOTS)


def _given(tuned: Tuned) -> str:
    """The traffic in words, and whatever else was set."""
    given = tuned.asked.given
    values = find(tuned.asked.cases[0].scenario).values(given)
    rate, base = values["rate_per_minute"], values["base_error_percent"]
    others = [
        f"{name}={plain(given[name], 6)}"
        for name in given
        if name not in {"rate_per_minute", "base_error_percent"}
    ]
    return ", ".join(
        [
            f"{plain(rate, 6)} requests/min of which {plain(base)} % fail anyway",
            *others,
            "all else at its defaults",
        ]
    )


def gain(mine: Figures, its: Figures) -> str:
    """What a plan buys and costs beside the guide's, in a sentence."""
    better: list[str] = []
    worse: list[str] = []
    same: list[str] = []
    for name, unit, one, other in (
        ("false rollbacks", " % of the good nights", mine.false_rollbacks, its.false_rollbacks),
        ("bad releases promoted", " % of the bad nights", mine.missed, its.missed),
        ("requests hurt in a bad night", "", mine.hurt, its.hurt),
        ("a bad release noticed after", " s", mine.detection_s, its.detection_s),
        ("a good night", " s", mine.night_s, its.night_s),
    ):
        if one is None or other is None:
            continue
        now, before = plain(one.mean), plain(other.mean)
        if now == before:
            same.append(f"{name} ({now}{unit})")
        else:
            side = better if one.mean < other.mean else worse
            side.append(f"{name} {now} instead of {before}{unit}")
    parts = (("It buys", better), ("It costs", worse), ("As before", same))
    return " ".join(f"{head}: {'; '.join(found) or 'nothing'}." for head, found in parts)


def _rows(found: Figures) -> Iterator[tuple[str, Value | None]]:
    yield FALSE_ROLLBACKS, found.false_rollbacks
    yield "promoted, % of bad nights", found.missed
    yield "requests hurt in a bad night", found.hurt
    yield "requests failed in a bad night", found.failed
    yield "bad release noticed after, s", found.detection_s
    yield "a good night, s", found.night_s


def _written(value: Value | None) -> str:
    return "-" if value is None else f"{plain(value.mean)} ({plain(value.low)} to {plain(value.high)})"


def read_header(text: str) -> dict[str, tuple[Value, Value]]:
    """From a plan file the figures of its plan and of the guide's, by their names; empty if its header has none."""
    return {
        found["name"]: (_value(found["mine"]), _value(found["guide"]))
        for line in text.splitlines()
        if (found := _ROW.fullmatch(line))
    }


def _value(written: str) -> Value:
    mean, low, high = (float(number.replace(",", "")) for number in _NUMBER.findall(written))
    return Value(mean, low, high)
