"""The table of faults, and how a backend reads its part."""

from __future__ import annotations

import re

import pytest

from simulate.lab.backend.faults import BackendFaults
from simulate.lab.faults import BREAK_RULE, FAULTS, SWITCH_NAMES, BadFault, fault


def test_every_fault_is_usable() -> None:
    for name, entry in FAULTS.items():
        assert name == entry.name
        assert entry.sentence
        assert entry.risk is None or 1 <= entry.risk <= 9
        assert bool(entry.env) + bool(entry.config) + bool(entry.switch) + bool(entry.by_hand) == 1, (
            "one way in"
        )
        assert BackendFaults.from_environment(entry.env).any() is bool(entry.env)
        assert entry.switch is None or entry.switch in SWITCH_NAMES
        assert entry.by_hand in (None, BREAK_RULE)


def test_the_faults_of_the_release_gate_are_there() -> None:
    wanted = {"errors-5pct", "slow-queries", "failing-probe", "pool-exhaustion", "targets-unreachable"}
    assert wanted | {"metrics-missing", "metrics-failing"} <= FAULTS.keys()


def test_an_unknown_fault_is_named_with_those_that_exist() -> None:
    with pytest.raises(BadFault, match=r"'gremlins'.*errors-5pct"):
        fault("gremlins")
    with pytest.raises(BadFault, match=r"'eror-5pct': did you mean errors-5pct\? It is one of "):
        fault("eror-5pct")


def test_settings() -> None:
    environment = {
        "FAULT_ERROR_RATE": "0.05",
        "FAULT_PROBE": "deep",
        "FAULT_LEAK_CONNECTIONS": "3",
        "PATH": "/bin",
    }
    assert BackendFaults.from_environment(environment) == BackendFaults(
        error_rate=0.05, probe="deep", leak_connections=3
    )
    assert not BackendFaults.from_environment({}).any()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("FAULT_ERROR_RATE", "5", "from 0 to 1"),
        ("FAULT_ERROR_RATE", "nan", "from 0 to 1"),
        ("FAULT_PG_SLEEP_S", "-1", "from 0 to 600"),
        ("FAULT_PG_SLEEP_S", "slow", "use a number"),
        ("FAULT_LEAK_CONNECTIONS", "1.5", "whole number"),
        ("FAULT_PROBE", "liveness", "health, ready, deep"),
        ("FAULT_GREMLINS", "1", "FAULT_ERROR_RATE"),
    ],
)
def test_a_bad_setting_is_named(variable: str, value: str, says: str) -> None:
    with pytest.raises(BadFault, match=re.escape(says)) as error:
        BackendFaults.from_environment({variable: value})
    assert variable in str(error.value)
