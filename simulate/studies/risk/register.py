"""The guide's risk register as a night: which risks there are, how probable, and the world in which some of them occur.

A night is watched for 40 minutes, whatever the rollout does: long enough for the guide's stages, a hold and the verification
after it, and for a migration that hangs half an hour. So all nights have the same length, and what a release that was wrongly
promoted does to users afterwards counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from simulate.controlplane import World
from simulate.scenarios import SCENARIOS, BadParameter, Parameter, Scenario, Values, compose, merged_defaults
from simulate.scenarios.scenario import COMMON, ordinary

NIGHT_S = 2400.0
_LUCK = (2,)  # spawn key of the register's stream; the data plane's have none, the control plane's is (1,)
_PROBABILITY = Parameter("probability", 0, "%", "probability of the risk in a night", 0, 100)


@dataclass(frozen=True, slots=True)
class Risk:
    """One row of the register. ``probability`` is in percent; ``values`` are its scenario's, the night's common ones among them."""

    scenario: Scenario
    number: int
    probability: float
    values: Values

    @property
    def name(self) -> str:
        return self.scenario.name


@dataclass(frozen=True, slots=True)
class Register:
    """The risks in the order of their numbers, and the common parameters of every night."""

    risks: tuple[Risk, ...]
    common: Values

    @classmethod
    def read(cls, given: Mapping[str, float]) -> Register:
        """The guide's register with what was set: a common parameter, ``SCENARIO.parameter`` or ``SCENARIO.probability``.

        Raises ``BadParameter``.
        """
        scenarios = sorted((one for one in SCENARIOS.values() if one.risk), key=lambda one: one.risk or 0)
        common, own = _sorted_out(given, {one.name: one for one in scenarios})
        shared = {one.name: one for one in COMMON}
        wanted = {**merged_defaults(scenarios), **{name: shared[name].check(v) for name, v in common.items()}}
        risks = []
        for one in scenarios:
            chance = _PROBABILITY.check(own[one.name].pop("probability", one.probability or 0))
            risks.append(Risk(one, one.risk or 0, chance, one.values({**wanted, **own[one.name]})))
        found = cls(tuple(risks), {one.name: wanted.get(one.name, one.default) for one in COMMON})
        found.world([one.name for one in risks])  # what does not fit together is found before the work
        return found

    def occurring(self, seed: int, replication: int) -> frozenset[str]:
        """The risks that occur in a replication.

        Each has a place of its own in a stream of its own: another probability, or a mitigation, changes nobody else's luck.
        """
        places = max(one.number for one in self.risks) + 1
        words = np.random.SeedSequence((seed, replication), spawn_key=_LUCK).generate_state(places, np.uint64)
        luck = (words >> np.uint64(11)) * 2.0**-53
        return frozenset(one.name for one in self.risks if luck[one.number] < one.probability / 100)

    def without(self, name: str) -> Register:
        """The register in which nobody and nothing answers this risk: its scenario's ``mitigation`` is off."""
        return replace(
            self,
            risks=tuple(
                replace(one, values={**one.values, "mitigation": 0.0}) if one.name == name else one
                for one in self.risks
            ),
        )

    def world(self, names: Collection[str]) -> World:
        """The night in which these risks occur, and no other."""
        base = ordinary(self.common)
        warm_up = max(one.scenario.build(one.values, base).warm_up_s for one in self.risks)
        parts = [(one.scenario, one.values) for one in self.risks if one.name in names]
        night = compose(replace(base, warm_up_s=warm_up), parts)
        return replace(night, observe_s=NIGHT_S, horizon_s=NIGHT_S)


def _sorted_out(
    given: Mapping[str, float], scenarios: Mapping[str, Scenario]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The common parameters, and each risk's own. Raises ``BadParameter``."""
    known = {one.name for one in COMMON}
    common: dict[str, float] = {}
    own: dict[str, dict[str, float]] = {name: {} for name in scenarios}
    for key, value in given.items():
        name, dot, parameter = key.partition(".")
        if not dot:
            if key not in known:
                raise BadParameter(
                    f"'{key}' is not a parameter of the night: write SCENARIO.{key}, or one of {', '.join(sorted(known))}"
                )
            common[key] = value
            continue
        if name not in scenarios:
            raise BadParameter(f"'{name}' is not in the register: it has {', '.join(scenarios)}")
        if parameter in known:
            raise BadParameter(f"'{parameter}' is the same for all risks of a night: leave out '{name}.'")
        own[name][parameter] = value
    return common, own
