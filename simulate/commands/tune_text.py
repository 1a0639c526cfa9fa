"""Results of ``simulate tune`` as text: the plans side by side, their front as a drawing, the plan that is proposed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from simulate.commands.output import width, wrapped
from simulate.commands.table import table
from simulate.figures import between, plain
from simulate.studies.tune import GUIDE, Figures, Tuned, Value, differences
from simulate.studies.tune.tuned_plan import BLIND_SPOTS, gain

HEADS = ("false rollbacks, %", "promoted bad, %", "hurt", "failed", "noticed, s", "night, min")
NOTE = (
    "False rollbacks: good nights with any weight decrease. Promoted bad: bad nights that end promoted. Hurt: requests of a bad night "
    "that failed, were rate limited or answered after more than 2 s; failed: those of them that failed. Noticed: when a bad release "
    "was first acted on. Night: a good one, when promoted. Below each figure its 95 % interval (Wilson's, MOVER for the weighted, "
    "Student's t for means)."
)
_HIGH = 13  # lines of the drawing


def print_tuned(tuned: Tuned) -> None:
    asked = tuned.asked
    guide = asked.plans[GUIDE].name
    given = "".join(f", {name}={plain(value, 6)}" for name, value in asked.given.items())
    print(
        wrapped(
            f"{len(asked.plans)} plans on {len(asked.cases)} releases, {tuned.screened_of:,} rehearsals of each, seed {asked.seed}{given}"
        )
    )
    weights = ", ".join(f"{case.label} {plain(case.weight)}" for case in asked.cases if case.weight)
    print(wrapped(f"Bad releases by weight: {weights}"))
    print(f"\nHow each plan differs from {guide}\n")
    for number in range(len(asked.plans)):
        print(wrapped(f"{number:>3}  {difference(tuned, number)}", 5))
    print(
        "\n"
        + wrapped("All plans (*: on the front: no other is at least as good in all three and better in one)")
        + "\n"
    )
    _print_table(dict(enumerate(tuned.screened)), tuned)
    print("\n" + wrapped(NOTE))
    print(
        "\n"
        + wrapped(
            "The front, by plan number: requests hurt in a bad night over false rollbacks. (n): promotes more bad releases than "
            f"{guide}."
        )
    )
    _print_front(tuned)
    if tuned.confirmed:
        print(f"\nConfirmed on seed {asked.confirm_seed}, {tuned.confirmed_of:,} rehearsals of each\n")
        _print_table(tuned.confirmed, tuned)
        print("\nFixed limits against comparison")
        for line in fixed_and_compared(tuned):
            print(wrapped(f"  {line}", 4))
    print("\nProposed")
    for line in proposed(tuned):
        print(wrapped(f"  {line}", 2))
    print(
        "\n"
        + wrapped(
            f"Shared rehearsals: {tuned.asked_s / 3600:,.0f} simulated hours were asked for and "
            f"{tuned.simulated_s / 3600:,.0f} were run, {tuned.asked_s / tuned.simulated_s:.1f} times fewer."
        )
    )


def _print_table(found: Mapping[int, Figures], tuned: Tuned) -> None:
    rows = []
    for number, mine in found.items():
        name = f"{number:>3}{'*' if number in tuned.front else ' '} {tuned.asked.plans[number].name}"
        cells = ["\n".join(cell(value)) for value in main(mine)]
        rows.append([name, *cells, *(cell(value)[0] for value in others(mine))])
    print("\n".join(table(("    plan", *HEADS), rows)))


def main(mine: Figures) -> tuple[Value, Value, Value]:
    return mine.false_rollbacks, mine.missed, mine.hurt


def others(mine: Figures) -> tuple[Value | None, ...]:
    """Failed requests, seconds to notice, minutes of a good night."""
    night = mine.night_s
    minutes = None if night is None else Value(night.mean / 60, night.low / 60, night.high / 60)
    return mine.failed, mine.detection_s, minutes


def cell(value: Value | None) -> tuple[str, str]:
    """A mean and its interval."""
    return ("-", "") if value is None else (plain(value.mean), between(value.low, value.high))


def difference(tuned: Tuned, number: int) -> str:
    plans = tuned.asked.plans
    return "; ".join(differences(plans[number], plans[GUIDE])) or "nothing"


def _print_front(tuned: Tuned) -> None:
    """Plans of the front and the guide's, each at its place; where two share one, both numbers stand."""
    found, wide = tuned.screened, min(width() - 8, 72)
    shown = sorted({GUIDE, *tuned.front})
    right = max(found[k].false_rollbacks.mean for k in shown) or 1.0
    hurt = [found[k].hurt.mean for k in shown]
    low, span = min(hurt), (max(hurt) - min(hurt)) or 1.0
    marks: dict[tuple[int, int], list[str]] = {}
    for k in shown:
        row = round((found[k].hurt.mean - low) / span * (_HIGH - 1))
        column = round(found[k].false_rollbacks.mean / right * (wide - 1))
        worse = found[k].missed.mean > found[GUIDE].missed.mean
        marks.setdefault((row, column), []).append(f"({k})" if worse else str(k))
    for row in range(_HIGH - 1, -1, -1):
        line = ""
        for (_, column), numbers in sorted(item for item in marks.items() if item[0][0] == row):
            line = f"{line:<{column}}" + ",".join(numbers) + " "
        scale = f"{low + row / (_HIGH - 1) * span:7,.0f}" if row % 3 == 0 else " " * 7
        print(f"{scale} |{line.rstrip()}")
    print(" " * 8 + "+" + "-" * (wide - 1))
    print(f"{'':8} 0 %{f'{plain(right)} %':>{wide - 4}}")


def fixed_and_compared(tuned: Tuned) -> Iterator[str]:
    """The best plans of the two kinds; nothing before they are confirmed."""
    fixed, compared = tuned.best_fixed, tuned.best_compared
    plans, found = tuned.asked.plans, tuned.confirmed
    if not found:
        return
    yield f"The best with fixed limits: {fixed}, {plans[fixed].name}: {_three(found[fixed])}"
    if compared is None:
        yield "No plan compares with stable."
        return
    yield f"The best with a comparison: {compared}, {plans[compared].name}: {_three(found[compared])}"
    for k in found:
        if plans[k].criteria.comparison and k != compared:
            yield f"Also on the front: {k}, {plans[k].name}: {_three(found[k])}"


def _three(mine: Figures) -> str:
    false, missed, hurt = (f"{mean} ({interval})" for mean, interval in map(cell, main(mine)))
    return f"{false} % false rollbacks, {missed} % promoted bad, {hurt} hurt"


def proposed(tuned: Tuned) -> Iterator[str]:
    asked = tuned.asked
    guide = asked.plans[GUIDE]
    if tuned.interrupted:
        yield (
            f"Nothing: the study was interrupted when {tuned.screened_of:,} of {asked.replications:,} rehearsals had been screened "
            f"and {tuned.confirmed_of:,} confirmed."
        )
        return
    yield asked.bounds.rule(guide.name)
    if tuned.chosen is None:
        yield f"No other plan is within these bounds: keep {guide.name}."
        return
    plan = asked.plans[tuned.chosen]
    yield f"{tuned.chosen}, {plan.name}: {difference(tuned, tuned.chosen)}."
    yield gain(tuned.confirmed[tuned.chosen], tuned.confirmed[GUIDE])
    yield BLIND_SPOTS
