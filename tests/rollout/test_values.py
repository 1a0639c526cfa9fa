"""Plans, events, states and records are values: nobody can change one that another still holds."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

# They collect, and leave no function; a lease is renewed; a dry run keeps what was commanded.
CHANGING = {"_Reader", "_Canvas", "Lease", "_Traffic", "_Limits"}


def dataclasses_of(room: str) -> Iterator[type]:
    package = importlib.import_module(room)
    for found in pkgutil.iter_modules(package.__path__, f"{room}."):
        if found.ispkg or found.name == "rollout.control.testing":
            continue  # fakes change
        module = importlib.import_module(found.name)
        for value in vars(module).values():
            if inspect.isclass(value) and dataclasses.is_dataclass(value) and value.__module__ == found.name:
                yield value


@pytest.mark.parametrize("room", ["rollout.policy", "rollout.plan", "rollout.journal", "rollout.control"])
def test_values_are_frozen_and_have_no_other_attributes(room: str) -> None:
    found = list(dataclasses_of(room))
    assert found
    loose = [value.__qualname__ for value in found if "__slots__" not in vars(value)]
    changeable = {value.__name__ for value in found if not vars(value)["__dataclass_params__"].frozen}
    assert loose == []
    assert changeable <= CHANGING
