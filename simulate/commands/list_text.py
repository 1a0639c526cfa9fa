"""Scenarios as ``simulate list`` prints them."""

from __future__ import annotations

from collections.abc import Sequence

from simulate.commands.output import wrapped
from simulate.figures import plain
from simulate.scenarios import Scenario


def print_scenarios(scenarios: Sequence[Scenario]) -> None:
    for one in scenarios:
        begin = f"{one.name:24}{_register(one)}"
        print(wrapped(begin + one.sentence, len(begin)))
    print("\nIts parameters: simulate list SCENARIO. Rehearse it: simulate rehearse SCENARIO")


def print_scenario(scenario: Scenario) -> None:
    print(wrapped(f"{scenario.name}: {scenario.sentence}"))
    lines = [("symptom", scenario.symptom), ("mitigation", scenario.mitigation)]
    if scenario.risk:
        lines.insert(0, ("risk", f"{scenario.risk} of the guide, probability {scenario.probability:g} %"))
    for name, text in lines:
        print(wrapped(f"{name:12}{text}", 12))
    print()
    for one in scenario.all_parameters():
        begin = f"  {one.name:26}{plain(one.default, 6):>10}  "
        print(wrapped(f"{begin}{one.what} ({one.unit})", len(begin)))


def _register(scenario: Scenario) -> str:
    return f"risk {scenario.risk}, {scenario.probability:>2g} %  " if scenario.risk else " " * 14
