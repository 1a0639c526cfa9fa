"""The scenarios that ship: the nine risks of the guide's register, a good release, and what else goes wrong."""

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from simulate.scenarios import (
    bad_rule,
    broken_after_promotion,
    bundle_too_large,
    cdn_failure,
    controller_crash,
    error_regression,
    healthy,
    latency_regression,
    lb_misconfiguration,
    memory_leak,
    metric_blackout,
    migration_failure,
    pool_exhaustion,
    rate_limit_too_strict,
    retry_storm,
    slow_queries,
    traffic_surge,
    websocket_instability,
    wrong_version,
)
from simulate.scenarios.compose import compose, merged_defaults
from simulate.scenarios.scenario import BadParameter, Parameter, Scenario, Values

__all__ = [
    "SCENARIOS",
    "BadParameter",
    "Parameter",
    "Scenario",
    "UnknownScenario",
    "Values",
    "compose",
    "find",
    "merged_defaults",
]

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        module.SCENARIO.name: module.SCENARIO
        for module in (
            healthy,
            migration_failure,
            lb_misconfiguration,
            cdn_failure,
            rate_limit_too_strict,
            websocket_instability,
            pool_exhaustion,
            memory_leak,
            slow_queries,
            bundle_too_large,
            error_regression,
            latency_regression,
            metric_blackout,
            controller_crash,
            traffic_surge,
            retry_storm,
            bad_rule,
            wrong_version,
            broken_after_promotion,
        )
    }
)


class UnknownScenario(ValueError):
    """No scenario has this name; the message says which there are."""


def find(name: str) -> Scenario:
    """Raises :class:`UnknownScenario`."""
    if name not in SCENARIOS:
        meant = get_close_matches(name, SCENARIOS, n=1)
        near = f"did you mean {meant[0]}? It" if meant else "it"
        raise UnknownScenario(f"'{name}' is not a scenario: {near} is one of {', '.join(SCENARIOS)}")
    return SCENARIOS[name]
