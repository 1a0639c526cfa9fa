"""Target health: thresholds, draining, fail-open; and what of it HAProxy is told."""

from __future__ import annotations

import pytest

from simulate.lab.load_balancer.health import State, TargetHealth, follow, server_states
from simulate.lab.load_balancer.model import Target

ONE, TWO = Target("10.0.0.1", 8000), Target("10.0.0.2", 8000)


def after(start: TargetHealth, checks: str) -> State:
    """Of checks: ``.`` passed, ``x`` failed. Three of either are needed."""
    for check in checks:
        start = start.after_check(
            "" if check == "." else "refused", healthy_threshold=3, unhealthy_threshold=3
        )
    return start.state


@pytest.mark.parametrize(
    ("checks", "state"),
    [
        ("", State.INITIAL),
        (".", State.HEALTHY),  # a new target is healthy after one
        ("xx", State.INITIAL),
        ("xxx", State.UNHEALTHY),
        ("xx.", State.HEALTHY),
        (".xx.xx", State.HEALTHY),
        (".xxx", State.UNHEALTHY),
        (".xxx..", State.UNHEALTHY),
        (".xxx...", State.HEALTHY),
        (".xxx..x..", State.UNHEALTHY),
    ],
)
def test_thresholds(checks: str, state: State) -> None:
    assert after(TargetHealth(), checks) is state


def health(state: State) -> TargetHealth:
    return TargetHealth(state)


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ((State.HEALTHY, State.UNHEALTHY), ("ready", "drain")),
        ((State.UNHEALTHY, State.UNHEALTHY), ("ready", "ready")),  # fail-open
        ((State.UNHEALTHY, State.INITIAL), ("ready", "maint")),
        ((State.HEALTHY, State.DRAINING), ("ready", "drain")),
        ((State.DRAINING, State.DRAINING), ("drain", "drain")),
        ((State.INITIAL, State.INITIAL), ("maint", "maint")),
    ],
)
def test_what_haproxy_does(states: tuple[State, State], wanted: tuple[str, str]) -> None:
    told = server_states({ONE: health(states[0]), TWO: health(states[1])})
    assert (told[ONE], told[TWO]) == wanted


def test_a_deregistered_target_drains_and_is_forgotten() -> None:
    known = {ONE: health(State.HEALTHY), TWO: health(State.HEALTHY)}
    draining = follow(known, [ONE], now=100, deregistration_delay_s=30, in_use=True)
    assert (draining[TWO].state, draining[TWO].until) == (State.DRAINING, 130)
    assert TWO in follow(draining, [ONE], now=129, deregistration_delay_s=30, in_use=True)
    assert TWO not in follow(draining, [ONE], now=130, deregistration_delay_s=30, in_use=True)


def test_a_target_that_comes_back_is_checked_anew() -> None:
    known = {ONE: TargetHealth(State.DRAINING, until=130)}
    assert follow(known, [ONE], now=100, deregistration_delay_s=30, in_use=True)[ONE].state is State.INITIAL


def test_targets_of_an_unused_group_are_unused() -> None:
    unused = follow({ONE: health(State.HEALTHY)}, [ONE], now=0, deregistration_delay_s=30, in_use=False)
    assert unused[ONE].state is State.UNUSED
    assert follow(unused, [ONE], now=0, deregistration_delay_s=30, in_use=True)[ONE].state is State.INITIAL
    assert follow(unused, [], now=0, deregistration_delay_s=30, in_use=False) == {}


def test_reports_are_worded_as_the_api_words_them() -> None:
    assert health(State.HEALTHY).report() == {"state": "healthy"}
    assert health(State.INITIAL).report()["reason"] == "Elb.InitialHealthChecking"
    assert TargetHealth(State.UNHEALTHY, why="Request timed out").report()["reason"] == "Target.Timeout"
    assert TargetHealth(State.UNHEALTHY, why="codes: [503]").report()["reason"] == "Target.FailedHealthChecks"
