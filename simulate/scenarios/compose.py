"""Several scenarios in one night: each does to the world what it does alone, and has the luck that it has alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar
from zlib import crc32

from simulate.controlplane import Fault, Reaction, World
from simulate.scenarios.scenario import Scenario, Values

_Placed = TypeVar("_Placed", Fault, Reaction)


def merged_defaults(scenarios: Iterable[Scenario]) -> dict[str, float]:
    """The scenarios' own defaults of common parameters. Raises ``ValueError`` where two want different ones."""
    found: dict[str, float] = {}
    for scenario in scenarios:
        for name, value in scenario.defaults.items():
            if found.setdefault(name, value) != value:
                raise ValueError(f"{scenario.name} wants {name} to be {value:g}, another {found[name]:g}")
    return found


def compose(world: World, scenarios: Iterable[tuple[Scenario, Values]]) -> World:
    """The world in which all of them happen.

    Faults and reactions get a place of their own in the streams of luck, by their scenario's name: who else takes part does
    not shift it. What two scenarios switch alike, the later switch decides.
    """
    for scenario, values in scenarios:
        faults, reactions = len(world.faults), len(world.reactions)
        world = scenario.build(values, world)
        world = replace(
            world,
            faults=(*world.faults[:faults], *_placed(scenario, world.faults[faults:])),
            reactions=(*world.reactions[:reactions], *_placed(scenario, world.reactions[reactions:])),
        )
    return world


def _placed(scenario: Scenario, added: tuple[_Placed, ...]) -> list[_Placed]:
    first = crc32(scenario.name.encode()) << 4
    return [replace(one, place=first + k) for k, one in enumerate(added)]
