"""The proposed plan as a file, whose header says what it buys, what it costs, and how that was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from textwrap import TextWrapper

from rollout.plan import Plan
from rollout.plan.yaml import as_yaml
from simulate.scenarios import find
from simulate.studies.tune.objectives import Figures, Value
from simulate.studies.tune.result import GUIDE, Tuned
from simulate.studies.tune.words import differences

NAME = "tuned"
_wrapped = TextWrapper(110, break_on_hyphens=False).wrap
BLIND_SPOTS = (
    "It is tuned on what the simulator can see, and on the releases named above with these weights. It knows nothing of errors in a few "
    "requests only that no error rate shows, of wrong answers with status 200, of the frontend, of traffic that is unlike the assumed, or "
    "of a person at the console. Rehearse it on your own rate and base error rate before you trust it."
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
    for said in differences(plan, guide):
        yield f"  {said}"
    yield ""
    yield f"{'Beside ' + guide.name:38}{'this plan':>28}{guide.name:>28}"
    for name, value in rows(mine):
        other = dict(rows(its))[name]
        yield f"{name:38}{said_value(value):>28}{said_value(other):>28}"
    yield ""
    yield from _wrapped(gain(mine, its))
    yield ""
    bad = ", ".join(f"{case.label} {case.weight:.3g}" for case in asked.cases if case.weight)
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
        f"{name}={given[name]:g}" for name in given if name not in {"rate_per_minute", "base_error_percent"}
    ]
    return ", ".join(
        [f"{rate:,.10g} requests/min of which {base:g} % fail anyway", *others, "all else at its defaults"]
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
        now, before = f"{one.mean:.3g}", f"{other.mean:.3g}"
        if now == before:
            same.append(f"{name} ({now}{unit})")
        else:
            side = better if one.mean < other.mean else worse
            side.append(f"{name} {now} instead of {before}{unit}")
    said = (("It buys", better), ("It costs", worse), ("As before", same))
    return " ".join(f"{head}: {'; '.join(found) or 'nothing'}." for head, found in said)


def rows(found: Figures) -> Iterator[tuple[str, Value | None]]:
    yield "false rollbacks, % of good nights", found.false_rollbacks
    yield "promoted, % of bad nights", found.missed
    yield "requests hurt in a bad night", found.hurt
    yield "requests failed in a bad night", found.failed
    yield "bad release noticed after, s", found.detection_s
    yield "a good night, s", found.night_s


def said_value(value: Value | None) -> str:
    return "-" if value is None else f"{value.mean:.3g} ({value.low:.3g} to {value.high:.3g})"
