"""A tuning in words: the plans side by side, their front drawn in characters, the one that is proposed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from simulate.studies.tune import GUIDE, Figures, Tuned, Value, differences
from simulate.studies.tune.tuned_plan import BLIND_SPOTS, gain

HEADS = ("false rollbacks, %", "promoted bad, %", "hurt", "failed", "noticed, s", "night, min")
NOTE = (
    "false rollbacks: good nights with any weight decrease. promoted bad: bad nights that end promoted. hurt: requests of a bad night that\n"
    "failed, were rate limited or answered after more than 2 s; failed: those of them that failed. noticed: when a bad release was first\n"
    "acted on. night: a good one, when promoted. Below each its 95 % interval (Wilson's, MOVER for the weighted, Student's t for means)."
)
_NUMBER, _COLUMN = 4, 21
_THOUSAND = 1000
_WIDE, _HIGH = 72, 13  # characters of the drawing


def told(tuned: Tuned) -> Iterator[str]:
    asked = tuned.asked
    given = "".join(f", {name}={value:g}" for name, value in asked.given.items())
    yield (
        f"{len(asked.plans)} plans on {len(asked.cases)} releases, {asked.replications} rehearsals of each, seed {asked.seed}{given}"
    )
    yield "bad releases by weight: " + ", ".join(
        f"{case.label} {case.weight:.3g}" for case in asked.cases if case.weight
    )
    yield f"\nWhat each plan does otherwise than {asked.plans[GUIDE].name}\n"
    for number in range(len(asked.plans)):
        yield f"{number:>{_NUMBER + 1}} {otherwise(tuned, number)}"
    yield "\nAll plans (*: on the front, no other is at least as good in all three and better in one)\n"
    yield from table(dict(enumerate(tuned.screened)), tuned)
    yield f"\n{NOTE}"
    yield "\nThe front, by plan number: requests hurt in a bad night over false rollbacks. (n): promotes more bad releases than phase-c\n"
    yield from drawing(tuned)
    yield f"\nConfirmed on seed {asked.confirm_seed}\n"
    yield from table(tuned.confirmed, tuned)
    yield "\nFixed limits against comparison"
    yield from fixed_and_compared(tuned)
    yield "\nProposed"
    yield from proposed(tuned)
    yield (
        f"\nShared: {tuned.walked_s / 3600:,.0f} simulated hours were run through for {tuned.asked_s / 3600:,.0f} asked, "
        f"{tuned.asked_s / tuned.walked_s:.1f} times as many."
    )


def table(found: Mapping[int, Figures], tuned: Tuned) -> Iterator[str]:
    yield (
        " " * (_NUMBER + 2)
        + "".join(f"{head:>{_COLUMN}}" for head in HEADS[:3])
        + "".join(f"{head:>12}" for head in HEADS[3:])
    )
    for number, mine in found.items():
        plan = tuned.asked.plans[number]
        mark = "*" if number in tuned.front else " "
        values = "".join(f"{_mean(value):>{_COLUMN}}" for value in main(mine))
        rest = "".join(f"{_mean(value):>12}" for value in others(mine))
        between = "".join(f"{_interval(value):>{_COLUMN}}" for value in main(mine))
        yield f"{mark}{number:>{_NUMBER}} {values}{rest}   {plan.name}"
        yield f"{'':{_NUMBER + 2}}{between}"


def main(mine: Figures) -> tuple[Value, Value, Value]:
    return mine.false_rollbacks, mine.missed, mine.hurt


def others(mine: Figures) -> tuple[Value | None, ...]:
    """Failed requests, seconds to notice, minutes of a good night."""
    night = mine.night_s
    minutes = None if night is None else Value(night.mean / 60, night.low / 60, night.high / 60)
    return mine.failed, mine.detection_s, minutes


def _mean(value: Value | None) -> str:
    if value is None:
        return "-"
    return f"{value.mean:.3g}" if value.mean < _THOUSAND else f"{value.mean:,.0f}"


def _interval(value: Value) -> str:
    return f"{value.low:.3g} to {value.high:.3g}"


def otherwise(tuned: Tuned, number: int) -> str:
    plans = tuned.asked.plans
    return "; ".join(differences(plans[number], plans[GUIDE])) or "nothing"


def drawing(tuned: Tuned) -> Iterator[str]:
    """Plans of the front and the guide's, each at its place; of two at one place both numbers stand."""
    found = tuned.screened
    shown = sorted({GUIDE, *tuned.front})
    right = max(found[k].false_rollbacks.mean for k in shown) or 1.0
    hurt = [found[k].hurt.mean for k in shown]
    low, span = min(hurt), (max(hurt) - min(hurt)) or 1.0
    marks: dict[tuple[int, int], list[str]] = {}
    for k in shown:
        row = round((found[k].hurt.mean - low) / span * (_HIGH - 1))
        column = round(found[k].false_rollbacks.mean / right * (_WIDE - 1))
        worse = found[k].missed.mean > found[GUIDE].missed.mean
        marks.setdefault((row, column), []).append(f"({k})" if worse else str(k))
    for row in range(_HIGH - 1, -1, -1):
        line = ""
        for (_, column), numbers in sorted(item for item in marks.items() if item[0][0] == row):
            line = f"{line:<{column}}" + ",".join(numbers) + " "
        scale = f"{low + row / (_HIGH - 1) * span:7.0f}" if row % 3 == 0 else " " * 7
        yield f"{scale} |{line.rstrip()}"
    yield " " * 8 + "+" + "-" * _WIDE
    yield f"{'':8} 0 %{f'{right:.3g} %':>{_WIDE - 3}}"


def fixed_and_compared(tuned: Tuned) -> Iterator[str]:
    fixed, compared = tuned.best_fixed, tuned.best_compared
    plans, found = tuned.asked.plans, tuned.confirmed
    yield f"  the best with fixed limits:   {fixed}, {plans[fixed].name}: {_three(found[fixed])}"
    if compared is None:
        yield "  no plan compares with stable"
        return
    yield f"  the best with a comparison:   {compared}, {plans[compared].name}: {_three(found[compared])}"
    alone = [k for k in found if plans[k].criteria.comparison and k != compared]
    for k in alone:
        yield f"  also on the front:            {k}, {plans[k].name}: {_three(found[k])}"


def _three(mine: Figures) -> str:
    return (
        f"{_mean(mine.false_rollbacks)} % false rollbacks ({_interval(mine.false_rollbacks)}), {_mean(mine.missed)} % promoted bad "
        f"({_interval(mine.missed)}), {_mean(mine.hurt)} hurt ({_interval(mine.hurt)})"
    )


def proposed(tuned: Tuned) -> Iterator[str]:
    asked = tuned.asked
    yield f"  {asked.bounds.rule(asked.plans[GUIDE].name)}"
    if tuned.chosen is None:
        yield f"  No other plan is within these bounds: keep {asked.plans[GUIDE].name}."
        return
    plan = asked.plans[tuned.chosen]
    yield f"  {tuned.chosen}, {plan.name}: {otherwise(tuned, tuned.chosen)}."
    yield f"  {gain(tuned.confirmed[tuned.chosen], tuned.confirmed[GUIDE])}"
    yield f"  {BLIND_SPOTS}"
