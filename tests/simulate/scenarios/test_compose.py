"""Several scenarios in one night: their sum, with the luck that each has alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import pytest

from simulate.controlplane import Rehearsal, World
from simulate.scenarios import SCENARIOS, compose, find, merged_defaults
from simulate.scenarios.scenario import ordinary
from tests.simulate.rehearsals import PLAN

_RISKS = [one.name for one in SCENARIOS.values() if one.risk]


def night(*names: str, given: Mapping[str, Mapping[str, float]] | None = None) -> World:
    base = ordinary(find("healthy").values({"websockets": 50}))
    parts = [(find(name), find(name).values((given or {}).get(name, {}))) for name in names]
    return compose(replace(base, warm_up_s=70.0), parts)


@pytest.mark.parametrize(("one", "two"), [*combinations(_RISKS, 2)])
def test_two_risks_are_the_sum_of_both(one: str, two: str) -> None:
    a, b, both = night(one), night(two), night(one, two)
    assert both.faults == (*a.faults, *b.faults)
    assert both.reactions == (*a.reactions, *b.reactions)
    assert both.observe_s == max(a.observe_s, b.observe_s)
    nothing = night()
    for part in ("clients", "rate_limit", "candidate"):
        values = {getattr(world.model, part) for world in (a, b)} - {getattr(nothing.model, part)}
        assert {getattr(both.model, part)} == (values or {getattr(nothing.model, part)})


def test_places_are_a_scenarios_own() -> None:
    places = [fault.place for fault in night(*_RISKS).faults]
    assert len(set(places)) == len(places)
    assert night("cdn-failure").faults == night("migration-failure", "cdn-failure").faults[2:]


def test_another_risk_does_not_shift_the_luck_of_a_revert() -> None:
    """How long people take to bring the old frontend back is random; who else takes part is nothing to it."""

    def reverted(*names: str) -> float:
        result = Rehearsal(night(*names), PLAN, 4).run()
        return next(t for t, sentence in result.faults if "previous index.html is back" in sentence)

    assert reverted("cdn-failure") == reverted("migration-failure", "websocket-instability", "cdn-failure")


def test_crashes_and_outages_add_up() -> None:
    both = night("controller-crash", "metric-blackout", "controller-crash")
    assert len(both.absences) == 2
    later = night("metric-blackout", "metric-blackout", given={"metric-blackout": {"blackout_s": 5}})
    assert len(later.delivery.outages) == 2


def test_defaults_are_merged_or_refused() -> None:
    assert merged_defaults(find(name) for name in _RISKS) == {"websockets": 500}
    with pytest.raises(ValueError, match="rate_per_minute to be 12000, another 6000"):
        merged_defaults([find("retry-storm"), find("traffic-surge")])
