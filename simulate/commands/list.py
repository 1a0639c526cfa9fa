"""``simulate list``: the scenarios, or the parameters of one."""

from __future__ import annotations

from dataclasses import asdict

from simulate.commands.errors import BadInput
from simulate.commands.list_text import print_scenario, print_scenarios
from simulate.commands.output import print_json
from simulate.scenarios import SCENARIOS, Scenario, UnknownScenario, find


def list_scenarios(name: str | None, *, as_json: bool) -> None:
    """Raises :class:`BadInput` if no scenario has this name."""
    if name is None:
        scenarios = [*SCENARIOS.values()]
        if as_json:
            print_json([_document(one) for one in scenarios])
        else:
            print_scenarios(scenarios)
        return
    try:
        scenario = find(name)
    except UnknownScenario as error:
        raise BadInput(f"{error}") from None
    if as_json:
        print_json(_document(scenario))
    else:
        print_scenario(scenario)


def _document(scenario: Scenario) -> dict[str, object]:
    names = ("name", "sentence", "risk", "probability", "symptom", "mitigation")
    found: dict[str, object] = {name: getattr(scenario, name) for name in names}
    return found | {"parameters": [asdict(one) for one in scenario.all_parameters()]}
